// Package sync keeps a cluster's policy as the key list says: it fetches the list, decides whether to accept it, writes one
// ClusterImagePolicy, waits until policy-controller has it, has it tested, and only then remembers the list.
//
// Whatever fails, the policy that is there stays, and a metric, an event and the status say why. What was accepted is mended when someone
// changes or deletes it, also while the endpoint is away. It never deletes a policy and never writes one that admits everything.
package sync

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/retry"

	"github.com/holdfast-telemetry/holdfast/trust/keylist"
	"github.com/holdfast-telemetry/holdfast/trust/policy"
)

// Agent keeps one cluster's policy.
type Agent struct {
	Fetcher *Fetcher
	// Pinned are the list keys: a list by any of them is heard.
	Pinned []*ecdsa.PublicKey
	Memory *Memory
	// Policies is a client of the cluster.
	Policies dynamic.Interface
	Policy   policy.Options
	// MinimumVersion is the least version of a list that a cluster accepts which has not accepted any.
	MinimumVersion int64
	// Poll is how often the endpoint is asked, at most.
	Poll time.Duration
	// Settle bounds the wait for policy-controller to take a policy in.
	Settle time.Duration
	// Selftest, when it is set, says whether the policy does what it should.
	Selftest func(context.Context) error
	Recorder record.EventRecorder
	Logger   *slog.Logger
	Now      func() time.Time

	metrics metrics
	tested  bool // since this process wrote or found the policy
	last    string
}

// manager is the field manager of the policy.
const manager = "holdfast-trust"

type metrics struct {
	polls   *prometheus.CounterVec
	version prometheus.Gauge
	expires prometheus.Gauge
	ends    prometheus.Gauge
	success prometheus.Gauge
}

// New returns an agent with the defaults.
func New(registerer prometheus.Registerer) *Agent {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "holdfast_trust_sync_" + name, Help: help})
	}
	a := &Agent{Poll: time.Minute, Settle: 15 * time.Second, Now: time.Now, metrics: metrics{
		polls:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_trust_sync_polls_total", Help: "Polls of the key list, by what became of them."}, []string{"result"}),
		version: gauge("list_version", "Version of the key list in force."),
		expires: gauge("list_expires_timestamp_seconds", "When the key list in force expires."),
		ends:    gauge("keys_end_timestamp_seconds", "When the last key of the list in force ends, and with it all deployments."),
		success: gauge("last_success_timestamp_seconds", "When a poll last ended well."),
	}}
	registerer.MustRegister(a.metrics.polls, a.metrics.version, a.metrics.expires, a.metrics.ends, a.metrics.success)
	return a
}

// Failure is a poll that did not end well.
type Failure struct {
	// Reason is one word, for metrics and events.
	Reason string
	Err    error
}

func (f *Failure) Error() string { return f.Reason + ": " + f.Err.Error() }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Reasons of failures, beside those of keylist.Refusal.
const (
	Unreachable = "Unreachable" // the endpoint does not give a list
	NotSigned   = "NotSigned"   // what it gives is not by a pinned list key
	Invalid     = "Invalid"     // it is signed and cannot be read
	NotApplied  = "NotApplied"  // the API server did not take the policy
	NotReady    = "NotReady"    // policy-controller did not take it in
	NotTested   = "NotTested"   // the self-test failed
	NotStored   = "NotStored"   // what was accepted could not be remembered
)

// Run polls until the context ends.
func (a *Agent) Run(ctx context.Context) {
	for {
		a.report(ctx, a.Once(ctx))
		// Jitter keeps clusters from asking all at once; the whole stays within Poll, which the service counts on.
		wait := a.Poll - rand.N(a.Poll/4+1)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// report tells of a poll, on the ConfigMap once for each change.
func (a *Agent) report(ctx context.Context, err error) {
	result, message := "OK", "the key list is in force"
	var f *Failure
	if errors.As(err, &f) {
		result, message = f.Reason, f.Err.Error()
	}
	a.metrics.polls.WithLabelValues(result).Inc()
	if err == nil {
		a.metrics.success.Set(float64(a.Now().Unix()))
	}
	if ctx.Err() != nil || result == a.last {
		return
	}
	a.last = result
	kind := corev1.EventTypeNormal
	if err != nil {
		kind = corev1.EventTypeWarning
		a.Logger.Error("the policy stays as it is", "reason", result, "error", message)
	} else {
		a.Logger.Info(message)
	}
	known, err := a.Memory.load(ctx)
	if err == nil {
		known.status = result + ": " + message
		err = a.Memory.save(ctx, known)
	}
	if err != nil {
		a.Logger.Error("the status could not be written", "error", err)
		return
	}
	a.Recorder.Event(known.object, kind, result, message)
}

// Once polls once.
func (a *Agent) Once(ctx context.Context) error {
	known, err := a.Memory.load(ctx)
	if err != nil {
		return &Failure{NotStored, err}
	}
	if len(known.envelope) == 0 {
		// Whoever deleted the ConfigMap gets the list again, and the status.
		a.Fetcher.keep("")
		a.last = ""
	}
	envelope, etag, err := a.Fetcher.fetch(ctx)
	if err != nil {
		return errors.Join(&Failure{Unreachable, fmt.Errorf("fetching the key list from %s: %w", a.Fetcher.url, err)}, a.mend(ctx, known))
	}
	if envelope == nil {
		envelope = known.envelope
	}
	list, seen, err := a.accept(envelope, known)
	if err != nil {
		a.Fetcher.keep("")
		return errors.Join(err, a.mend(ctx, known))
	}
	if err := a.enforce(ctx, list.List); err != nil {
		return err
	}
	if !reflect.DeepEqual(seen, known.seen) || string(envelope) != string(known.envelope) {
		known.seen, known.envelope = seen, envelope
		if err := a.Memory.save(ctx, known); err != nil {
			return &Failure{NotStored, err}
		}
	}
	a.Fetcher.keep(etag)
	a.show(list.List)
	return nil
}

// accept decides about an envelope.
func (a *Agent) accept(envelope []byte, known *accepted) (*keylist.Opened, keylist.Seen, error) {
	list, err := keylist.Open(envelope, a.Pinned...)
	if errors.Is(err, keylist.ErrSignature) {
		return nil, nil, &Failure{NotSigned, err}
	}
	if err != nil {
		return nil, nil, &Failure{Invalid, err}
	}
	if len(known.seen) == 0 && list.Version < a.MinimumVersion {
		return nil, nil, &Failure{string(keylist.RolledBack), fmt.Errorf("the key list is not accepted: its version is %d, and this cluster accepts %d or newer ones", list.Version, a.MinimumVersion)}
	}
	seen, err := known.seen.Accept(list, a.Now())
	var refused *keylist.NotAccepted
	if errors.As(err, &refused) {
		return nil, nil, &Failure{string(refused.Refusal), err}
	}
	return list, seen, err
}

// mend keeps the policy of the list that was accepted before.
func (a *Agent) mend(ctx context.Context, known *accepted) error {
	if len(known.envelope) == 0 {
		return nil
	}
	list, err := keylist.Open(known.envelope, a.Pinned...)
	if err != nil {
		return &Failure{Invalid, fmt.Errorf("the key list in the ConfigMap %s: %w", a.Memory.Name, err)}
	}
	return a.enforce(ctx, list.List)
}

// enforce writes the policy of a list, where it is not there already, and has it tested.
func (a *Agent) enforce(ctx context.Context, list *keylist.List) error {
	want, err := policy.Build(list, a.Now(), a.Policy)
	if err != nil {
		return &Failure{Invalid, err}
	}
	policies := a.Policies.Resource(policy.Resource)
	have, err := policies.Get(ctx, want.GetName(), metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return &Failure{NotApplied, fmt.Errorf("reading the ClusterImagePolicy %s: %w", want.GetName(), err)}
	}
	if err != nil || !same(have.Object["spec"], want.Object["spec"]) {
		a.tested = false
		if err := a.write(ctx, want); err != nil {
			return &Failure{NotApplied, fmt.Errorf("writing the ClusterImagePolicy %s: %w", want.GetName(), err)}
		}
	}
	if err := a.ready(ctx, want.GetName()); err != nil {
		return err
	}
	if a.Selftest == nil || a.tested {
		return nil
	}
	if err := a.Selftest(ctx); err != nil {
		return &Failure{NotTested, err}
	}
	a.tested = true
	return nil
}

// write writes the policy under its name and as a whole: deleting one and making another would leave a gap.
func (a *Agent) write(ctx context.Context, want *unstructured.Unstructured) error {
	policies := a.Policies.Resource(policy.Resource)
	got, err := policies.Apply(ctx, want.GetName(), want, metav1.ApplyOptions{FieldManager: manager, Force: true})
	if err != nil || same(got.Object["spec"], want.Object["spec"]) {
		return err
	}
	// Somebody else's fields are left by an apply. One of them could narrow what the policy is for.
	return retry.RetryOnConflict(retry.DefaultRetry, func() error { // with policy-controller, which writes the status
		got, err := policies.Get(ctx, want.GetName(), metav1.GetOptions{})
		if err != nil {
			return err
		}
		got.Object["spec"] = want.Object["spec"]
		_, err = policies.Update(ctx, got, metav1.UpdateOptions{FieldManager: manager})
		return err
	})
}

// same says whether two specifications are the same as JSON.
func same(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// ready waits until policy-controller has taken the policy in.
func (a *Agent) ready(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, a.Settle)
	defer cancel()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	message := "it could not be read"
	for {
		p, err := a.Policies.Resource(policy.Resource).Get(ctx, name, metav1.GetOptions{})
		if err == nil {
			var ok bool
			if ok, message = policy.Ready(p); ok {
				return nil
			}
		} else if apierrors.IsNotFound(err) {
			return &Failure{NotReady, fmt.Errorf("the ClusterImagePolicy %s was deleted while it was to come into force", name)}
		}
		select {
		case <-ctx.Done():
			return &Failure{NotReady, fmt.Errorf("the ClusterImagePolicy %s is not in force: %s", name, message)}
		case <-tick.C:
		}
	}
}

// show sets what the metrics say of the list in force.
func (a *Agent) show(l *keylist.List) {
	a.metrics.version.Set(float64(l.Version))
	a.metrics.expires.Set(float64(l.Expires.Unix()))
	var ends time.Time
	for _, k := range l.Keys {
		if k.NotAfter.After(ends) {
			ends = k.NotAfter
		}
	}
	a.metrics.ends.Set(float64(ends.Unix()))
}
