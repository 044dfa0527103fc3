package deliver_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestTheTimeFromAChangeToItsDeliveryIsMeasured(t *testing.T) {
	c := newCluster(pod("a", "p", "default=hash-1"))
	c.classes.all["default"], c.classes.since = "1", c.now.Add(-24*time.Hour)
	c.look(t, "a") // a namespace that had nothing waited for no change
	c.classes.all["default"], c.classes.since = "2", c.now.Add(-1500*time.Millisecond)
	c.look(t, "a")
	c.look(t, "a") // and gets it once
	c.classes.all["default"], c.classes.since = "3", time.Time{}
	c.look(t, "a") // a text of an earlier process is of unknown age
	want := "# HELP holdfast_operator_reload_seconds Time from when the operator saw another text of a class to when a namespace that had the old one was given it.\n" +
		"# TYPE holdfast_operator_reload_seconds histogram\n"
	for _, bound := range []string{"0.1", "0.2", "0.4", "0.8"} {
		want += `holdfast_operator_reload_seconds_bucket{le="` + bound + `"} 0` + "\n"
	}
	for _, bound := range []string{"1.6", "3.2", "6.4", "12.8", "25.6", "51.2", "102.4", "204.8", "+Inf"} {
		want += `holdfast_operator_reload_seconds_bucket{le="` + bound + `"} 1` + "\n"
	}
	want += "holdfast_operator_reload_seconds_sum 1.5\nholdfast_operator_reload_seconds_count 1\n"
	if err := testutil.GatherAndCompare(c.metrics, strings.NewReader(want), "holdfast_operator_reload_seconds"); err != nil {
		t.Error(err)
	}
}
