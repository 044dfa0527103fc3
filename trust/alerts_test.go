package trust

import (
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"github.com/holdfast-telemetry/holdfast/trust/endpoint"
	"github.com/holdfast-telemetry/holdfast/trust/resign"
	keysync "github.com/holdfast-telemetry/holdfast/trust/sync"
)

// described keeps the names and the labels of what is registered.
type described map[string][]string

var description = regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)

func (d described) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		if err := d.Register(c); err != nil {
			panic(err)
		}
	}
}

func (d described) Register(c prometheus.Collector) error {
	out := make(chan *prometheus.Desc, 100)
	c.Describe(out)
	close(out)
	for desc := range out {
		m := description.FindStringSubmatch(desc.String())
		d[m[1]] = strings.Split(m[2], ",")
	}
	return nil
}

func (d described) Unregister(prometheus.Collector) bool { return false }

func TestTheAlertsAreOnMetricsThatThereAre(t *testing.T) {
	there := described{}
	newKeeper(nil, slog.New(slog.DiscardHandler), there)
	endpoint.NewOutcomes(there)
	resign.New().Register(there)
	keysync.New(there)
	text, err := os.ReadFile(filepath.Join("..", "docs", "trust", "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	d := yaml.NewDecoder(strings.NewReader(string(text)))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	metric, label := regexp.MustCompile(`(holdfast_\w+)(?:\{([^}]*)\})?`), regexp.MustCompile(`(\w+)=~?"`)
	used := map[string]bool{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			found := metric.FindAllStringSubmatch(r.Expr, -1)
			if len(found) == 0 || r.Annotations["summary"] == "" || !slices.Contains([]string{"warning", "critical"}, r.Labels["severity"]) {
				t.Errorf("%s: no metric, no summary or no severity", r.Alert)
			}
			for _, m := range found {
				labels, known := there[m[1]]
				if !known {
					t.Errorf("%s: there is no metric %s", r.Alert, m[1])
				}
				used[m[1]] = true
				for _, l := range label.FindAllStringSubmatch(m[2], -1) {
					if !slices.Contains(labels, l[1]) {
						t.Errorf("%s: %s has no label %s, but %q", r.Alert, m[1], l[1], labels)
					}
				}
			}
		}
	}
	if len(used) < 10 {
		t.Errorf("the alerts look at %d metrics only: %v", len(used), used)
	}
	for _, name := range []string{"holdfast_trust_deployed_images_ending", "holdfast_trust_resign_failed_passes", "holdfast_trust_sync_polls_total"} {
		if !used[name] {
			t.Errorf("no alert is on %s", name)
		}
	}
}
