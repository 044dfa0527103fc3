package certs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	admissionclient "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
)

// Rotator makes and renews the certificates. It is for the leader; should two run at once, each one's writes fail on what the other
// changed, and it reads again. The fields are set before the first use; NewRotator sets the defaults.
//
// It needs get, list, watch, create, patch and update of the Secret, all of which can be granted by its name, and get, list, watch and
// patch of the webhook configurations.
type Rotator struct {
	Namespace string   // of the operator
	Secret    string   // its name
	Webhooks  []string // the names of the MutatingWebhookConfigurations
	Service   string   // that the webhook configurations refer to

	DNSNames []string // that the serving certificate is for, beyond the Service's
	IPs      []net.IP

	CAValidity   time.Duration // of an authority; default one year
	CertValidity time.Duration // of a serving certificate; default 90 days
	Settle       time.Duration // how long an API server may work with a cached webhook configuration; default one minute

	Now    func() time.Time
	Logger *slog.Logger

	secrets  coreclient.SecretInterface
	webhooks admissionclient.MutatingWebhookConfigurationInterface
	metrics  *metrics
	trigger  chan struct{}

	// carried and since remember which authority the webhook configurations carry and since when this process has known. They are
	// not kept anywhere else: a new leader waits for Settle from the moment it sees for itself.
	carried string
	since   time.Time
}

// NewRotator returns a Rotator with the names and times of a default installation. secrets are those of the operator's namespace.
func NewRotator(secrets coreclient.SecretInterface, webhooks admissionclient.MutatingWebhookConfigurationInterface, reg prometheus.Registerer) *Rotator {
	return &Rotator{
		Namespace:    "holdfast-operator",
		Secret:       "holdfast-operator-tls",
		Webhooks:     []string{"holdfast-operator"},
		Service:      "holdfast-operator",
		CAValidity:   365 * 24 * time.Hour,
		CertValidity: 90 * 24 * time.Hour,
		Settle:       time.Minute,
		Now:          time.Now,
		Logger:       slog.New(slog.DiscardHandler),
		secrets:      secrets,
		webhooks:     webhooks,
		metrics:      newMetrics(reg),
		trigger:      make(chan struct{}, 1),
	}
}

// Validate returns what is wrong with the fields.
func (r *Rotator) Validate() error {
	var errs []error
	// Without a webhook configuration, its name is the one that is empty.
	for name, value := range map[string]string{"namespace": r.Namespace, "TLS secret": r.Secret, "webhook": strings.Join(r.Webhooks, ""), "service": r.Service} {
		if value == "" {
			errs = append(errs, fmt.Errorf("certificates: the name of the %s is empty", name))
		}
	}
	for name, validity := range map[string]time.Duration{"authority": r.CAValidity, "serving certificate": r.CertValidity} {
		// The last third of a life must have room for the wait before a new authority is used.
		if validity < time.Minute || r.Settle < 0 || r.Settle > validity/6 {
			errs = append(errs, fmt.Errorf("certificates: the validity of the %s is %s: it must be a minute at least, and six times the settle time (%s)", name, validity, r.Settle))
		}
	}
	return errors.Join(errs...)
}

// fieldManager is the name under which the API server notes what the operator writes.
const fieldManager = "holdfast-operator"

// maxSteps bounds the writes of one Ensure, with room for conflicts. A rotation needs three, and so does a first start.
const maxSteps = 12

// Ensure brings the Secret and the webhook configuration to where they should be now. It returns after how long there will be something
// to do again, if neither is changed by others. On an error, as when the webhook configuration is missing, as much as possible has
// been done, and calling again is safe. Not for concurrent use.
func (r *Rotator) Ensure(ctx context.Context) (next time.Duration, err error) {
	defer func() {
		if err != nil {
			r.metrics.errors.WithLabelValues("rotate").Inc()
		}
	}()
	if err := r.Validate(); err != nil {
		return 0, err
	}
	for range maxSteps {
		next, done, err := r.advance(ctx)
		if err != nil && !conflicting(err) {
			return 0, err
		}
		if done && err == nil {
			return next, nil
		}
	}
	return 0, fmt.Errorf("certificates: Secret %s/%s or webhook configuration %s is changed by others all the time", r.Namespace, r.Secret, strings.Join(r.Webhooks, ", "))
}

// advance makes at most one write. It is done when none was needed.
//
// The webhook configurations are read before the Secret, and written only if unchanged since. So a bundle is never replaced by one that
// is older, even by a leader that does not know yet that it is not.
func (r *Rotator) advance(ctx context.Context) (next time.Duration, done bool, err error) {
	confs, confErr := r.configurations(ctx)
	secret, err := r.secrets.Get(ctx, r.Secret, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		secret = nil
	} else if err != nil {
		return 0, false, fmt.Errorf("read Secret %s/%s: %w", r.Namespace, r.Secret, err)
	}
	if secret == nil {
		return 0, false, r.create(ctx)
	}
	s, now := inspect(secret), r.Now()
	todo := r.plan(s, r.observe(confs, s, now), now)
	if todo.action != actNone {
		return 0, false, r.store(ctx, secret, s, todo, now)
	}
	r.metrics.expires("ca", s.cas[0].NotAfter)
	for _, conf := range confs {
		if changed, err := r.publish(ctx, conf, encodeCertificates(s.cas...)); err != nil || changed {
			return 0, false, err
		}
	}
	if confErr != nil {
		return 0, false, confErr
	}
	return max(todo.next.Sub(now), time.Second), true, nil
}

// configurations reads the webhook configurations that are there. The error is of those that are not.
func (r *Rotator) configurations(ctx context.Context) (confs []*admissionv1.MutatingWebhookConfiguration, err error) {
	for _, name := range r.Webhooks {
		conf, failed := r.webhooks.Get(ctx, name, metav1.GetOptions{})
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("read MutatingWebhookConfiguration %s: %w", name, failed))
			continue
		}
		confs = append(confs, conf)
	}
	return confs, err
}

// create makes the Secret, empty. Server-side apply names what it makes, unlike POST, so RBAC can limit it to this one name. It sets no
// data: should another have made the Secret meanwhile, it takes nothing away from it.
func (r *Rotator) create(ctx context.Context) error {
	secret := applycorev1.Secret(r.Secret, r.Namespace).WithLabels(map[string]string{"app.kubernetes.io/managed-by": fieldManager})
	if _, err := r.secrets.Apply(ctx, secret, metav1.ApplyOptions{FieldManager: fieldManager, Force: true}); err != nil {
		return fmt.Errorf("make Secret %s/%s: %w", r.Namespace, r.Secret, err)
	}
	return nil
}

// store carries out a step and writes the Secret, if nobody else has since it was read.
func (r *Rotator) store(ctx context.Context, secret *corev1.Secret, s state, todo step, now time.Time) error {
	data, err := r.apply(todo.action, s, now)
	if err != nil {
		return err
	}
	secret = secret.DeepCopy()
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	maps.Copy(secret.Data, data)
	if _, err = r.secrets.Update(ctx, secret, metav1.UpdateOptions{FieldManager: fieldManager}); apierrors.IsNotFound(err) {
		err = errOutdated
	}
	if err != nil {
		return fmt.Errorf("write Secret %s/%s: %w", r.Namespace, r.Secret, err)
	}
	r.report(todo)
	return nil
}

func (r *Rotator) report(todo step) {
	level := slog.LevelInfo
	if todo.damage {
		level = slog.LevelWarn
	}
	did := map[action]string{
		actAuthority: "made a new certificate authority",
		actIssue:     "issued a new serving certificate",
		actReplace:   "made a new certificate authority and a serving certificate",
		actTrim:      "removed authorities from the bundle",
	}[todo.action]
	r.Logger.Log(context.Background(), level, did, "secret", r.Namespace+"/"+r.Secret, "reason", todo.reason)
	if todo.action == actAuthority || todo.action == actReplace {
		r.metrics.rotations.WithLabelValues("ca").Inc()
	}
	if todo.action == actIssue || todo.action == actReplace {
		r.metrics.rotations.WithLabelValues("serving").Inc()
	}
}

func (r *Rotator) subjects() subjects {
	return newSubjects(r.Service, r.Namespace, r.DNSNames, r.IPs)
}

// conflicting reports whether err says that an object was changed, made or removed by someone else since it was read.
func conflicting(err error) bool {
	return apierrors.IsConflict(err) || errors.Is(err, errOutdated)
}
