//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func lines(measurement string, from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, "%s,host=h%d v=%di %d\n", measurement, i%7, i, chaosTime(int64(i)))
	}
	return b.String()
}

// holds checks that a node has exactly the points [0,n) of a measurement.
func holds(p *process, measurement string, n int) error {
	rows, err := p.tryQuery("SELECT v FROM " + measurement)
	if err != nil {
		return err
	}
	if len(rows) != n {
		return fmt.Errorf("%s holds %d points, want %d", p.addr, len(rows), n)
	}
	seen := map[string]bool{}
	for _, r := range rows {
		seen[fmt.Sprint(r[1])] = true
	}
	if len(seen) != n {
		return fmt.Errorf("%s holds %d different values, want %d", p.addr, len(seen), n)
	}
	return nil
}

func pair(t *testing.T) (edge, central *process, wire *link) {
	edge = startNode(t, "[journal]\nsegment_bytes = 65536").setup("edge", "plant")
	central = startNode(t, "").setup("central", "plant")
	return edge, central, startLink(t, central.addr)
}

// Every second segment was lost where a request took longer than the time between two saves of the position.
func TestSlowRequestsAtSegmentBoundariesLoseNothing(t *testing.T) {
	edge, central, wire := pair(t)
	wire.set(refuse)
	edge.replicateTo(central, wire.url(), nil)
	const n = 12_000 // several segments
	for i := 0; i < n; i += 200 {
		edge.mustWrite(lines("slow", i, i+200))
	}
	wire.set(slow)
	eventually(t, time.Minute, func() error { return holds(central, "slow", n) })
}

// A queue stood still after a restart until somebody wrote.
func TestBacklogDrainsAfterRestartWithoutAnyWrite(t *testing.T) {
	edge, central, wire := pair(t)
	wire.set(refuse)
	edge.replicateTo(central, wire.url(), nil)
	edge.mustWrite(lines("backlog", 0, 1000))
	edge.kill()
	wire.set(pass)
	edge.start()
	eventually(t, 20*time.Second, func() error { return holds(central, "backlog", 1000) })
}

// A write of which a part was refused was stored and not replicated at all.
func TestPartOfAWriteThatIsAcceptedIsReplicated(t *testing.T) {
	edge, central, wire := pair(t)
	edge.replicateTo(central, wire.url(), nil)
	edge.mustWrite(lines("part", 0, 1))
	status, body, err := edge.write(t.Context(), lines("part", 1, 10)+fmt.Sprintf("part,host=h1 v=\"text\" %d\n", chaosTime(11)))
	if err != nil || status != 422 || !strings.Contains(body, "partial write: field type conflict") || !strings.Contains(body, "dropped=1") {
		t.Fatalf("status %d, %v: %s", status, err, body)
	}
	eventually(t, 20*time.Second, func() error { return holds(central, "part", 10) })
}

// One line that the remote refuses blocked the stream for good, or took up to 5000 others with it.
func TestOneBadLineDoesNotBlockTheStream(t *testing.T) {
	edge, central, wire := pair(t)
	central.mustWrite(fmt.Sprintf("bad,host=h3 conflict=\"text\" %d\n", chaosTime(3)))
	wire.set(refuse)
	id := edge.replicateTo(central, wire.url(), nil)
	edge.mustWrite(lines("bad", 0, 500) + fmt.Sprintf("bad,host=h3 conflict=1i %d\n", chaosTime(3)) + lines("bad", 500, 1000))
	wire.set(pass)
	eventually(t, 30*time.Second, func() error { return holds(central, "bad", 1000) })
	var letters struct {
		DeadLetters []struct{ Line, Reason string }
	}
	eventually(t, 10*time.Second, func() error {
		edge.call("GET", "/api/holdfast/v1/replications/"+id+"/dead-letters", nil, 200, &letters)
		if len(letters.DeadLetters) != 1 || !strings.Contains(letters.DeadLetters[0].Line, "conflict=1i") {
			return fmt.Errorf("dead letters: %+v", letters)
		}
		return nil
	})
	edge.mustWrite(lines("bad", 1000, 1010))
	eventually(t, 10*time.Second, func() error { return holds(central, "bad", 1010) })
}

// The queue was full, the write was acknowledged, and its points never left.
func TestPointsPastTheBoundsOfTheJournalAreFilledFromTheStore(t *testing.T) {
	edge := startNode(t, "[journal]\nsegment_bytes = 65536\nmax_bytes = 262144").setup("edge", "plant")
	central := startNode(t, "").setup("central", "plant")
	wire := startLink(t, central.addr)
	wire.set(refuse)
	edge.replicateTo(central, wire.url(), nil)
	const n = 60_000
	for i := 0; i < n; i += 1000 {
		edge.mustWrite(lines("gap", i, i+1000))
	}
	wire.set(pass)
	eventually(t, 90*time.Second, func() error { return holds(central, "gap", n) })
}
