package deliver

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Register makes the metrics, as Setup does.
func (c *Controller) Register(r prometheus.Registerer) { c.metrics = newMetrics(r) }

// Remembered are the namespaces in memory.
func (c *Controller) Remembered() (names []string) {
	for name := range c.memory.namespaces {
		names = append(names, name)
	}
	return names
}

// Strip is what a cache keeps of an object.
func Strip(o client.Object) client.Object {
	kept, err := strip(o)
	if err != nil {
		panic(err)
	}
	return kept.(client.Object)
}

// Notice is what setupNotices runs for a refused pod.
var Notice = (*Controller).notice
