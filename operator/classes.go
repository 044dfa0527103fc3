package operator

import (
	"context"
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/holdfast-telemetry/holdfast/operator/agent"
	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
	"github.com/holdfast-telemetry/holdfast/operator/class"
)

// addClasses makes the registry, with the sources that the options name and the texts that an earlier process found good.
func (op *Operator) addClasses(ctx context.Context) error {
	secrets := op.client.CoreV1().Secrets(op.o.Namespace)
	sources := []class.Source{class.NewResources(op.manager.GetCache(), func(ctx context.Context, name, key string) ([]byte, error) {
		secret, err := secrets.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		text, ok := secret.Data[key]
		if !ok {
			return nil, fmt.Errorf("the Secret %s has no key %q", name, key)
		}
		return text, nil
	})}
	var object *corev1.ObjectReference
	if op.o.ClassesSecret != "" {
		secret := class.NewSecret(secrets, op.o.Namespace, op.o.ClassesSecret)
		sources, object = append(sources, secret), secret.Object()
	}
	if op.o.ClassesDirectory != "" {
		sources = append(sources, class.NewDirectory(op.o.ClassesDirectory, op.o.Logger))
	}
	op.registry = class.NewRegistry(class.Options{Checkers: checkers(op.o.Checkers), DefaultAgent: op.o.Sidecar.Sidecar.Agent, Logger: op.o.Logger,
		Registerer: ctrlmetrics.Registry}, sources...)
	lastGood := class.NewLastGood(secrets, lastGoodSecret, op.o.Logger, ctrlmetrics.Registry)
	good, err := lastGood.Load(ctx)
	if err != nil {
		return err
	}
	op.registry.Load(good)
	op.changes = newChanges()
	op.registry.Subscribe(op.changed)
	op.reporter = class.NewReporter(op.registry, op.manager.GetClient(), op.recorder, op.o.Logger)
	op.reporter.ClassesObject = object
	for _, r := range []manager.Runnable{everywhere(op.registry.Run), everywhere(op.changes.run), manager.RunnableFunc(op.reporter.Run),
		manager.RunnableFunc(func(ctx context.Context) error { return lastGood.Run(ctx, op.registry) })} {
		if err := op.manager.Add(r); err != nil {
			return err
		}
	}
	return nil
}

// lastGoodSecret is the Secret of the own namespace that keeps the last good texts.
const lastGoodSecret = "holdfast-operator-last-good"

// checkers are the agents that say whether a text is good.
func checkers(places map[v1alpha1.Agent]string) map[v1alpha1.Agent]agent.Checker {
	all := map[v1alpha1.Agent]agent.Checker{}
	for name, place := range places {
		if socket, ok := strings.CutPrefix(place, "unix:"); ok {
			all[name] = &agent.Remote{Socket: socket}
		} else if place != "" {
			all[name] = agent.NewExec(place)
		}
	}
	return all
}

// changed has namespaces looked at whose classes have changed, and pods without a sidecar that may get one now.
func (op *Operator) changed(keys []class.Key) {
	for _, key := range keys {
		op.changes.note(key.Namespace)
	}
	if op.recheck != nil {
		op.recheck.Trigger()
	}
}

// everywhere is something to run on every replica, whether it leads or not.
type everywhere func(context.Context) error

var _ manager.LeaderElectionRunnable = everywhere(nil)

func (f everywhere) Start(ctx context.Context) error { return f(ctx) }

// NeedLeaderElection says no.
func (f everywhere) NeedLeaderElection() bool { return false }

// changes hands changes of classes on, without making who notes them wait. However many are noted meanwhile, each namespace is handed on
// once; "" stands for all.
type changes struct {
	out chan event.GenericEvent

	mu      sync.Mutex
	pending map[string]bool
	poke    chan struct{}
}

func newChanges() *changes {
	return &changes{out: make(chan event.GenericEvent), pending: map[string]bool{}, poke: make(chan struct{}, 1)}
}

func (c *changes) note(namespace string) {
	c.mu.Lock()
	c.pending[namespace] = true
	c.mu.Unlock()
	select {
	case c.poke <- struct{}{}:
	default:
	}
}

func (c *changes) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.poke:
		}
		c.mu.Lock()
		pending := c.pending
		c.pending = map[string]bool{}
		c.mu.Unlock()
		for namespace := range pending {
			o := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: namespace}}
			select {
			case c.out <- event.GenericEvent{Object: o}:
			case <-ctx.Done():
				return nil
			}
		}
	}
}
