package operator

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast-telemetry/holdfast/operator/class"
	"github.com/holdfast-telemetry/holdfast/operator/deliver"
)

// delivery is the registry as delivery sees it, and the sums of what delivery reports.
type delivery struct {
	registry *class.Registry
	report   func(class.Key, class.Usage)

	mu         sync.Mutex
	namespaces map[string]map[class.Key]deliver.Count
}

// Known is closed once every class has been read and checked.
func (d *delivery) Known() <-chan struct{} { return d.registry.Synced() }

// Text returns what pods of a namespace that run with a class are to have.
func (d *delivery) Text(namespace, name string) (deliver.Text, bool) {
	c, err := d.registry.Delivered(namespace, name)
	if err != nil {
		return deliver.Text{}, false
	}
	return deliver.Text{Text: c.Text, Hash: c.Hash, Since: c.Since}, true
}

// Report takes the figures of one namespace. A class that is gone and that no pod has any more is forgotten.
func (d *delivery) Report(namespace string, counts map[string]deliver.Count) {
	d.mu.Lock()
	defer d.mu.Unlock()
	old := d.namespaces[namespace]
	now := map[class.Key]deliver.Count{}
	for name, n := range counts {
		if c, err := d.registry.Delivered(namespace, name); err == nil {
			now[c.Key()] = n
		}
	}
	d.namespaces[namespace] = now
	if len(now) == 0 {
		delete(d.namespaces, namespace)
	}
	for key := range now {
		if old[key] != now[key] {
			d.report(key, d.sum(key))
		}
	}
	for key := range old {
		if _, still := now[key]; still {
			continue
		}
		sum := d.sum(key)
		d.report(key, sum)
		if _, present := d.registry.Verdict(key); sum.Pods == 0 && !present {
			d.registry.Forget(key)
		}
	}
}

// forgetUnused forgets classes that are gone and that no pod has had for a while, such as those that never had a pod, or whose pods went while
// no operator looked. It is for the leader, which alone is told who has what.
func (d *delivery) forgetUnused(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-d.Known():
	}
	tick := time.NewTicker(deliver.DefaultGrace)
	defer tick.Stop()
	for unused := map[class.Key]bool(nil); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			unused = d.sweep(unused)
		}
	}
}

// sweep forgets those classes without pods that had none at the last sweep either, by when every namespace had been reported. It returns the
// others.
func (d *delivery) sweep(before map[class.Key]bool) map[class.Key]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	unused := map[class.Key]bool{}
	for _, key := range d.registry.Retained() {
		switch {
		case d.sum(key).Pods > 0:
		case before[key]:
			d.registry.Forget(key)
		default:
			unused[key] = true
		}
	}
	return unused
}

func (d *delivery) sum(key class.Key) (sum class.Usage) {
	for _, counts := range d.namespaces {
		if n, ok := counts[key]; ok {
			sum.Namespaces++
			sum.Pods += int32(n.Pods)
			sum.CurrentPods += int32(n.Current)
		}
	}
	return sum
}
