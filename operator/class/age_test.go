package class_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/holdfast-telemetry/holdfast/operator/class"
)

func TestTheAgeOfATextCountsFromTheChange(t *testing.T) {
	var now atomic.Int64
	reg := prometheus.NewRegistry()
	source := newHand(class.KindDirectory)
	o := class.Options{Registerer: reg, Now: func() time.Time { return time.Unix(now.Load(), 0) }}
	r := class.NewRegistry(o, source)
	r.Load(map[class.Key]class.Good{folder("kept"): {Text: []byte(output("0")), Sure: true}})
	run(t, r)
	now.Store(1000)
	source.reports <- map[class.Key]class.Raw{folder("a"): raw(output("1")), folder("b"): raw(output("1")), folder("bad"): raw("[agent")}
	<-r.Synced()
	now.Store(1060)
	source.reports <- map[class.Key]class.Raw{folder("a"): raw(output("2")), folder("b"): raw(output("1"))}
	eventually(t, "the new text is in use", func() bool { return text(r, "x", "a") == output("2") })
	now.Store(1075)
	want := `# HELP holdfast_operator_config_age_seconds Time since this replica first saw the text of a class that is in use, by kind, namespace (of a TelegrafClass) and name.
# TYPE holdfast_operator_config_age_seconds gauge
holdfast_operator_config_age_seconds{kind="Directory",name="a",namespace=""} 15
holdfast_operator_config_age_seconds{kind="Directory",name="b",namespace=""} 75
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "holdfast_operator_config_age_seconds"); err != nil {
		t.Error(err)
	}
}
