// Package operator wires the rooms of holdfast-operator into one process.
//
// Every replica answers admission requests, from classes that it holds in memory. Only the leader writes: classes to namespaces,
// hashes on pods, certificates, conditions.
package operator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
	"github.com/holdfast-telemetry/holdfast/operator/certs"
	"github.com/holdfast-telemetry/holdfast/operator/class"
	"github.com/holdfast-telemetry/holdfast/operator/deliver"
	"github.com/holdfast-telemetry/holdfast/operator/recheck"
	"github.com/holdfast-telemetry/holdfast/operator/scope"
	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
	hook "github.com/holdfast-telemetry/holdfast/operator/webhook"
)

// kubeSystem is a namespace whose pods are left alone whatever the configuration says: the cluster needs them to run the operator.
const kubeSystem = "kube-system"

// collectAt is by how much, in percent, what is in use may grow before garbage is collected; GOGC says otherwise. The cache of pods is what
// memory is in use for, and little garbage is made: memory counts for more here than the time that collecting takes.
const collectAt = 50

// Operator is one process.
type Operator struct {
	o        Options
	config   *rest.Config
	manager  ctrl.Manager
	client   kubernetes.Interface
	serving  *certs.Serving
	recorder record.EventRecorder
	scope    *scope.Scope
	registry *class.Registry
	reporter *class.Reporter
	builder  *sidecar.Builder
	changes  *changes
	recheck  *recheck.Rechecker
}

// Run runs an operator until the context ends.
func Run(ctx context.Context, o Options) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	if o.MemoryLimit > 0 {
		debug.SetMemoryLimit(o.MemoryLimit)
	}
	logger := logr.FromSlogHandler(o.Logger.Handler())
	ctrl.SetLogger(logger)
	klog.SetSlogLogger(o.Logger)
	op := &Operator{o: o}
	for _, step := range []func(context.Context) error{op.connect, op.makeManager, op.addClasses, op.addWebhook, op.addCertificates, op.addDelivery, op.addRecheck, op.addProbes} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return op.manager.Start(ctx)
}

// connect makes the clients.
func (op *Operator) connect(context.Context) (err error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = op.o.Kubeconfig
	op.config, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	// No rate of the client's own: what is written at once is bounded where it is written, and the API server's priority and fairness
	// knows better than a number here how much it can take.
	op.config.QPS = -1
	op.config.UserAgent = "holdfast-operator"
	if op.client, err = kubernetes.NewForConfig(op.config); err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	if _, err := op.client.Discovery().ServerVersion(); err != nil {
		return fmt.Errorf("the API server at %s cannot be asked: %w", op.config.Host, err)
	}
	return nil
}

func (op *Operator) makeManager(context.Context) error {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return err
	}
	host, port, err := splitAddr(op.o.WebhookAddr)
	if err != nil {
		return fmt.Errorf("the address of the webhook: %w", err)
	}
	op.serving = certs.NewServing(ctrlmetrics.Registry)
	op.serving.Logger = op.o.Logger
	op.manager, err = ctrl.NewManager(op.config, ctrl.Options{
		Scheme: scheme,
		Logger: logr.FromSlogHandler(op.o.Logger.Handler()),
		Cache:  cache.Options{ByObject: deliver.CacheOptions(op.o.Sidecar.ClassesObject, op.o.DeliveryNamespaces), DefaultTransform: cache.TransformStripManagedFields()},
		// Reading one of these through the cache would list and hold all of the cluster's.
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}, &corev1.Pod{}, &corev1.Namespace{},
			&admissionregistrationv1.MutatingWebhookConfiguration{}}}},
		Metrics:                       metricsserver.Options{BindAddress: op.o.MetricsAddr},
		HealthProbeBindAddress:        op.o.ProbeAddr,
		LeaderElection:                op.o.LeaderElection,
		LeaderElectionID:              "holdfast-operator",
		LeaderElectionNamespace:       op.o.Namespace,
		LeaderElectionReleaseOnCancel: true,
		WebhookServer:                 webhook.NewServer(webhook.Options{Host: host, Port: port, TLSOpts: []func(*tls.Config){op.serving.Configure}}),
		GracefulShutdownTimeout:       new(20 * time.Second),
	})
	if err != nil {
		return fmt.Errorf("setting up: %w", err)
	}
	op.scope = &scope.Scope{Live: op.manager.GetAPIReader(), Webhooks: op.o.WebhookNames, Exempt: []string{kubeSystem, op.o.Namespace}, Also: op.o.DeliverAlso}
	return op.addEvents(scheme)
}

// addEvents records events. The older of the two kinds: the newer folds events of one reason into the first one's text, however they
// differ, and what is told here is in the text.
func (op *Operator) addEvents(scheme *runtime.Scheme) error {
	// All classes of a Secret are told about on that one object, whose events the usual bounds would soon drop: 25, then one in 5 minutes.
	broadcaster := record.NewBroadcasterWithCorrelatorOptions(record.CorrelatorOptions{BurstSize: 100, QPS: 1.0 / 10, MaxEvents: 100})
	op.recorder = broadcaster.NewRecorder(scheme, corev1.EventSource{Component: "holdfast-operator"})
	return op.manager.Add(everywhere(func(ctx context.Context) error {
		broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: op.client.CoreV1().Events("")})
		<-ctx.Done()
		broadcaster.Shutdown()
		return nil
	}))
}

// addWebhook serves admission requests.
func (op *Operator) addWebhook(ctx context.Context) error {
	native := &nativeSidecars{client: op.client.Discovery(), logger: op.o.Logger}
	if op.o.Sidecar.Sidecar.Mode == "" { // else the flag has decided
		if err := native.look(); err != nil {
			return err
		}
		if err := op.manager.Add(native); err != nil {
			return err
		}
	}
	op.builder = &sidecar.Builder{Defaults: op.o.Sidecar, Classes: op.registry.Resolve, Namespaces: op.o.DeliveryNamespaces, Native: native.known}
	handler := hook.New(hook.Options{Builder: op.builder, Deny: op.o.Deny, Scope: op.scope, Logger: op.o.Logger, Registerer: ctrlmetrics.Registry})
	op.manager.GetWebhookServer().Register(hook.Path, &admission.Webhook{Handler: handler})
	return nil
}

// addCertificates keeps the webhook's certificate.
func (op *Operator) addCertificates(context.Context) error {
	if op.o.CertDir != "" {
		watch := certs.NewFolderWatch(op.o.CertDir, op.serving)
		watch.Logger = op.o.Logger
		return op.manager.Add(watch)
	}
	secrets := op.client.CoreV1().Secrets(op.o.Namespace)
	watch := certs.NewSecretWatch(secrets, op.serving)
	watch.Secret, watch.Logger = op.o.TLSSecret, op.o.Logger
	if err := op.manager.Add(watch); err != nil {
		return err
	}
	r := certs.NewRotator(secrets, op.client.AdmissionregistrationV1().MutatingWebhookConfigurations(), ctrlmetrics.Registry)
	r.Namespace, r.Secret, r.Webhooks, r.Service = op.o.Namespace, op.o.TLSSecret, op.o.WebhookNames, op.o.ServiceName
	r.CAValidity, r.CertValidity, r.Settle, r.Logger = op.o.CAValidity, op.o.CertValidity, op.o.CertSettle, op.o.Logger
	for _, name := range op.o.CertNames {
		if ip := net.ParseIP(name); ip != nil {
			r.IPs = append(r.IPs, ip)
		} else {
			r.DNSNames = append(r.DNSNames, name)
		}
	}
	if err := r.Validate(); err != nil {
		return err
	}
	return op.manager.Add(r)
}

// addDelivery brings classes to namespaces.
func (op *Operator) addDelivery(ctx context.Context) error {
	owner, err := deliver.OwnerOf(ctx, op.manager.GetAPIReader())
	if err != nil {
		return err
	}
	classes := &delivery{registry: op.registry, report: op.reporter.SetUsage, namespaces: map[string]map[class.Key]deliver.Count{}}
	c := &deliver.Controller{Client: op.manager.GetClient(), Cache: op.manager.GetCache(), Live: op.manager.GetAPIReader(), Builder: op.builder,
		Object: op.o.Sidecar.ClassesObject, Namespaces: op.o.DeliveryNamespaces,
		Checker: checkers(op.o.Checkers)[v1alpha1.AgentTelegraf], Owner: owner, Classes: classes, Scope: op.scope, Recorder: op.recorder, Logger: op.o.Logger,
		Grace: deliver.DefaultGrace, Now: time.Now}
	if err := op.manager.Add(manager.RunnableFunc(classes.forgetUnused)); err != nil {
		return err
	}
	return c.Setup(op.manager, op.changes.out, ctrlmetrics.Registry)
}

// addRecheck looks for pods without their sidecar.
func (op *Operator) addRecheck(context.Context) error {
	op.recheck = &recheck.Rechecker{Live: op.manager.GetAPIReader(), Client: op.manager.GetClient(), Builder: op.builder,
		Recorder: op.recorder, Logger: op.o.Logger, Mode: op.o.Recheck, Interval: op.o.RecheckInterval, Settle: recheckSettle,
		Scope: op.scope, Cache: op.manager.GetCache(), Now: time.Now, MaxEvictions: op.o.RecheckEvictions, PageSize: 500}
	op.recheck.Register(ctrlmetrics.Registry)
	return op.manager.Add(op.recheck)
}

// recheckSettle lets what is being created when the operator starts, or when a class appears, be created first.
const recheckSettle = 5 * time.Second

// addProbes says whether pods can be served: with a certificate that API servers accept, and with the classes known.
func (op *Operator) addProbes(context.Context) error {
	checks := map[string]func(*http.Request) error{
		"certificate": func(*http.Request) error { return op.serving.Ready() },
		"classes":     known(op.registry),
		"webhook":     op.manager.GetWebhookServer().StartedChecker(),
	}
	for name, check := range checks {
		if err := op.manager.AddReadyzCheck(name, check); err != nil {
			return err
		}
	}
	return op.manager.AddHealthzCheck("alive", func(*http.Request) error { return nil })
}

// known is a check that fails until every class has been read and checked: a replica that does not know a class would leave its pods bare.
func known(registry *class.Registry) func(*http.Request) error {
	return func(*http.Request) error {
		select {
		case <-registry.Synced():
			return nil
		default:
			return errors.New("the classes have not been read and checked yet")
		}
	}
}

func splitAddr(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	port, err = strconv.Atoi(text)
	return host, port, err
}
