package operator

import (
	"context"
	"fmt"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/holdfast-telemetry/holdfast/operator/agent"
	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
	"github.com/holdfast-telemetry/holdfast/operator/class"
	"github.com/holdfast-telemetry/holdfast/operator/deliver"
)

// addClasses makes the registry with the sources that the options name.
func (op *Operator) addClasses(context.Context) error {
	var sources []class.Source
	if op.o.ClassesDirectory != "" {
		sources = append(sources, class.NewDirectory(op.o.ClassesDirectory, op.o.Logger))
	}
	op.registry = class.NewRegistry(class.Options{Checkers: checkers(op.o.Checkers), DefaultAgent: op.o.Sidecar.Sidecar.Agent, Logger: op.o.Logger,
		Registerer: ctrlmetrics.Registry}, sources...)
	op.changes = newChanges()
	op.registry.Subscribe(op.changed)
	if err := op.manager.Add(everywhere(op.registry.Run)); err != nil {
		return err
	}
	return op.manager.Add(everywhere(op.changes.run))
}

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

// delivered is the registry as delivery sees it.
type delivered struct{ registry *class.Registry }

func (d *delivered) Text(namespace, name string) (deliver.Text, bool) {
	c, err := d.registry.Delivered(namespace, name)
	if err != nil {
		return deliver.Text{}, false
	}
	return deliver.Text{Text: c.Text, Hash: c.Hash}, true
}

func (d *delivered) Report(string, map[string]deliver.Count) {}

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

// errNoVersion is told when the API server's version cannot be read.
func errNoVersion(version string) error {
	return fmt.Errorf("the API server's version %q cannot be read; say --sidecar-mode native or container", version)
}
