package resign

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Verdicts on a deployed image.
const (
	Admitted = "admitted" // until a time
	Refused  = "refused"  // it is not signed by a key that counts: it would not start again
	Unknown  = "unknown"  // a registry could not be asked
)

// Found is a deployed image and what is known of it.
type Found struct {
	Image   string    `json:"image"`
	Verdict string    `json:"verdict"`
	Key     string    `json:"key,omitempty"`
	Until   time.Time `json:"until,omitzero"`
	Pods    int       `json:"pods"`
	First   string    `json:"first"`
	// Exempt images are asked for only where pods are admitted unseen.
	Exempt  bool   `json:"exempt,omitempty"`
	Problem string `json:"problem,omitempty"`

	written bool
}

// View is what clusters run, as it was at the end of a pass. It is empty in a process that did not do the last one.
type View struct {
	At     time.Time `json:"at,omitzero"`
	Images []Found   `json:"images"`
	// Unpinned are images that pods name without a digest.
	Unpinned []string `json:"unpinned,omitempty"`
}

// show publishes what was found: what ends first, first.
func (p *pass) show() {
	slices.SortFunc(p.view.Images, func(a, b Found) int {
		if c := a.Until.Compare(b.Until); c != 0 {
			return c
		}
		return strings.Compare(a.Image, b.Image)
	})
	p.view.At = p.Now()
	p.Job.mu.Lock()
	defer p.Job.mu.Unlock()
	p.Job.view = p.view
}

// look returns the present record and view.
func (j *Job) look() (Record, View) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.seen, j.view
}

// ending counts the images of a view that are admitted and will not be after a time.
func (v View) ending(by time.Time) (n int) {
	for _, i := range v.Images {
		if i.Verdict == Admitted && !i.Exempt && !i.Until.After(by) {
			n++
		}
	}
	return n
}

// count counts the images with a verdict; exempt ones have their own.
func (v View) count(verdict string) (n int) {
	for _, i := range v.Images {
		if i.Exempt && verdict == exempt || !i.Exempt && i.Verdict == verdict {
			n++
		}
	}
	return n
}

// exempt is what the metric has in place of the verdict on an image that nobody looks at.
const exempt = "exempt"

// ServeHTTP answers with the record and the view, as JSON.
func (j *Job) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	rec, view := j.look()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(struct { // who asked notices
		Instance string `json:"instance"`
		Record   Record `json:"record"`
		Deployed View   `json:"deployed"`
	}{j.Instance, rec, view})
}

// windows are the times within which deployed images are counted that stop being admitted.
var windows = []struct {
	name string
	time.Duration
}{{"1h", time.Hour}, {"6h", 6 * time.Hour}, {"24h", 24 * time.Hour}, {"7d", 7 * 24 * time.Hour}}

// metrics are those of a job. All are computed when they are asked for: what is about to end is nearer at each scrape.
type metrics struct {
	job *Job

	good, tries, interval, images, deployed, unpinned, ending, first, at *prometheus.Desc
}

// Register adds the metrics of a job.
func (j *Job) Register(registerer prometheus.Registerer) {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("holdfast_trust_"+name, help, labels, nil)
	}
	registerer.MustRegister(&metrics{job: j,
		good:     desc("resign_last_success_timestamp_seconds", "When everything that is to go on running was last signed again without a failure, by any instance; 0 before."),
		tries:    desc("resign_failed_passes", "Passes in a row that had failures."),
		interval: desc("resign_interval_seconds", "The longest time between two passes."),
		images:   desc("resign_images", "Images of the pass that is under way, or else of the last one, by what became of them.", "result"),
		deployed: desc("deployed_images", "Images that clusters run, by the verdict on them. Only the instance that looked last has it.", "verdict"),
		unpinned: desc("deployed_images_unpinned", "Images that pods name without a digest. Only the instance that looked last has it."),
		ending:   desc("deployed_images_ending", "Images that clusters run, that are admitted, and that will not be after this time from now. Only the instance that looked last has it.", "within"),
		first:    desc("deployed_images_first_end_timestamp_seconds", "When the first of the images that clusters run and that are admitted now stops being so."),
		at:       desc("deployed_images_looked_up_timestamp_seconds", "When this instance last looked up what clusters run."),
	})
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.good, m.tries, m.interval, m.images, m.deployed, m.unpinned, m.ending, m.first, m.at} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	rec, view := m.job.look()
	set := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	stamp := func(t time.Time) float64 {
		if t.IsZero() {
			return 0
		}
		return float64(t.Unix())
	}
	set(m.good, stamp(rec.Good))
	set(m.tries, float64(rec.Tries))
	set(m.interval, m.job.Every.Seconds())
	p := rec.Progress
	for result, n := range map[string]int{"written": p.Written, "fresh": p.Fresh, "lapsed": p.Lapsed, "failed": p.Failed, "left": p.Total - p.Done()} {
		set(m.images, float64(n), result)
	}
	if view.At.IsZero() {
		return
	}
	set(m.at, stamp(view.At))
	for _, verdict := range []string{Admitted, Refused, Unknown, exempt} {
		set(m.deployed, float64(view.count(verdict)), verdict)
	}
	set(m.unpinned, float64(len(view.Unpinned)))
	now := m.job.Now()
	for _, w := range windows {
		set(m.ending, float64(view.ending(now.Add(w.Duration))), w.name)
	}
	for _, i := range view.Images { // in the order of their ends
		if i.Verdict == Admitted && !i.Exempt {
			set(m.first, stamp(i.Until))
			break
		}
	}
}
