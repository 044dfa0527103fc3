package operator

import (
	"sync"

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
