//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	chaosSeed  = flag.Uint64("chaos.seed", 20221122, "seed of the chaos run")
	chaosKills = flag.Int("chaos.kills", 20, "how often the chaos run kills the edge node")
)

// fate is what a writer was told of a point.
type fate uint8

const (
	untried fate = iota
	acked        // must be there
	unknown      // no answer: may be there
	refused      // must not be there
)

// ledger is what the writers know of every point they tried, by writer and sequence number.
type ledger struct {
	mu      sync.Mutex
	fates   [chaosWriters][]fate
	batches int
}

const (
	batchPoints  = 25
	chaosWriters = 4
)

// value is what the point with this sequence number holds; a changed byte shows.
func value(writer int, seq int64) int64 { return seq*1_000_003 + int64(writer)*7919 }

func chaosTime(seq int64) int64 { return chaosEpoch + seq*1_000_000 }

var chaosEpoch = time.Now().Add(-time.Hour).Truncate(time.Minute).UnixNano()

// run writes unique points as fast as it may until the context ends.
func (l *ledger) run(ctx context.Context, p *process, writer int, rng *rand.Rand) {
	var seq int64
	for ctx.Err() == nil {
		var b strings.Builder
		first := seq
		for range batchPoints {
			fmt.Fprintf(&b, "chaos,writer=w%d seq=%di,v=%di,s=\"%x\" %d\n", writer, seq, value(writer, seq), value(writer, seq), chaosTime(seq))
			seq++
		}
		want := http.StatusNoContent
		switch rng.IntN(20) {
		case 0: // one unparsable line: nothing of the request may be stored
			b.WriteString("chaos,writer=refused v=\n")
			want = http.StatusBadRequest
		case 1: // one point of another type: the others are stored
			fmt.Fprintf(&b, "chaos,writer=refused v=\"text\" %d\n", chaosTime(first))
			want = http.StatusUnprocessableEntity
		}
		status, body, err := p.write(ctx, b.String())
		told := refused
		switch {
		case err != nil:
			told = unknown
		case status == http.StatusNoContent, status == http.StatusUnprocessableEntity && want == status:
			told = acked
		}
		l.mu.Lock()
		l.batches++
		for range batchPoints {
			l.fates[writer] = append(l.fates[writer], told)
		}
		l.mu.Unlock()
		if err != nil {
			time.Sleep(20 * time.Millisecond) // the node is down: do not spin
			continue
		}
		if status != want && status != http.StatusServiceUnavailable {
			p.t.Errorf("write: status %d, want %d: %s", status, want, body)
			return
		}
	}
}

// count returns how many points were told so.
func (l *ledger) count(f fate) (n int) {
	for _, fates := range l.fates {
		for _, g := range fates {
			if g == f {
				n++
			}
		}
	}
	return n
}

// check compares a node with the ledger, and returns how many points it holds.
func (l *ledger) check(p *process) (int, error) {
	total := 0
	for w := range chaosWriters {
		seen := make([]bool, len(l.fates[w]))
		err := p.scan(fmt.Sprintf(`SELECT seq, v, s FROM chaos WHERE writer = 'w%d'`, w), func(r []string) error {
			seq, err := strconv.ParseInt(r[1], 10, 64)
			if err != nil || seq < 0 || seq >= int64(len(seen)) {
				return fmt.Errorf("writer %d: a point that nobody wrote: %v", w, r)
			}
			want := []string{fmt.Sprint(chaosTime(seq)), fmt.Sprint(seq), fmt.Sprint(value(w, seq)), fmt.Sprintf("%x", value(w, seq))}
			if !slices.Equal(r, want) {
				return fmt.Errorf("writer %d: altered point %v, want %v", w, r, want)
			}
			if l.fates[w][seq] == refused {
				return fmt.Errorf("writer %d: point %d was refused and is there", w, seq)
			}
			if seen[seq] {
				return fmt.Errorf("writer %d: point %d is there twice", w, seq)
			}
			seen[seq] = true
			total++
			return nil
		})
		if err != nil {
			return 0, err
		}
		missing, first := 0, 0
		for seq, f := range l.fates[w] {
			if f == acked && !seen[seq] {
				if missing++; missing == 1 {
					first = seq
				}
			}
		}
		if missing > 0 {
			return 0, fmt.Errorf("writer %d: %d acknowledged points are missing, the first is %d of %d", w, missing, first, len(seen))
		}
	}
	if rows, err := p.tryQuery(`SELECT * FROM chaos WHERE writer = 'refused'`); err != nil || len(rows) > 0 {
		return 0, fmt.Errorf("refused points: %v, %v", rows, err)
	}
	return total, nil
}

// arrived waits until a node holds at least n points.
func arrived(p *process, n int) func() error {
	return func() error {
		rows, err := p.tryQuery("SELECT count(seq) FROM chaos")
		if err != nil || len(rows) != 1 {
			return fmt.Errorf("count: %v, %v", rows, err)
		}
		if got, _ := rows[0][1].(json.Number).Int64(); int(got) < n {
			return fmt.Errorf("%s holds %d points, at least %d were acknowledged", p.addr, got, n)
		}
		return nil
	}
}

// TestChaosLosesNothing kills the edge node and breaks its link in every way while it is written to at full speed.
func TestChaosLosesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(*chaosSeed, 1))
	edge := startNode(t, "[journal]\nsegment_bytes = 1048576").setup("edge", "plant")
	central := startNode(t, "").setup("central", "plant")
	// The field's type is set before the writers start, so that the point of another type is refused by each run.
	edge.mustWrite(fmt.Sprintf("chaos,writer=first v=1i %d", chaosEpoch))
	wire := startLink(t, central.addr)
	id := edge.replicateTo(central, wire.url(), nil)

	l := &ledger{}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writers sync.WaitGroup
	for w := range chaosWriters {
		writers.Go(func() { l.run(ctx, edge, w, rand.New(rand.NewPCG(*chaosSeed, uint64(w)+2))) })
	}
	begin := time.Now()
	for kill := range *chaosKills {
		wire.set(fault(rng.IntN(int(faultKinds))))
		time.Sleep(time.Duration(300+rng.IntN(700)) * time.Millisecond)
		edge.kill()
		if kill%4 == 3 { // the link flaps: up for a while, down for as long
			wire.set(pass)
		}
		edge.start()
	}
	for range 3 {
		wire.set(refuse)
		time.Sleep(3 * time.Second)
		wire.set(pass)
		time.Sleep(3 * time.Second)
	}
	stop()
	writers.Wait()
	wire.set(pass)

	onEdge, err := l.check(edge)
	if err != nil {
		t.Fatalf("edge: %v", err)
	}
	eventually(t, 3*time.Minute, arrived(central, onEdge))
	onCentral, err := l.check(central)
	if err != nil {
		t.Fatalf("central: %v", err)
	}
	t.Logf("seed %d: %d kills in %v; %d requests; points: %d acknowledged, %d without an answer, %d refused; on the edge %d, on the central node %d; link: %s",
		*chaosSeed, *chaosKills, time.Since(begin).Round(time.Second), l.batches, l.count(acked), l.count(unknown), l.count(refused), onEdge, onCentral, wire.counts())
	if onEdge != onCentral {
		t.Errorf("the edge holds %d points, the central node %d", onEdge, onCentral)
	}
	var status struct {
		RemainingBytesToBeSynced int64
		LatestErrorMessage       string
	}
	eventually(t, 10*time.Second, func() error {
		edge.call("GET", "/api/v2/replications/"+id, nil, http.StatusOK, &status)
		if status.RemainingBytesToBeSynced != 0 || status.LatestErrorMessage != "" {
			return fmt.Errorf("status after the drain: %+v", status)
		}
		return nil
	})
}
