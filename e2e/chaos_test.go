//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	chaosSeed  = flag.Uint64("chaos.seed", 20221122, "seed of the chaos run")
	chaosKills = flag.Int("chaos.kills", 20, "how often the chaos run kills the edge node")
)

// ledger is what the writers know: every point they tried, and what they were told about it.
type ledger struct {
	mu       sync.Mutex
	acked    map[int]map[int64]bool // by writer, sequence number
	unknown  map[int]map[int64]bool // tried, no answer: may be there
	rejected int                    // told that it is refused: must not be there
	batches  int
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
		l.mu.Lock()
		l.batches++
		for s := first; s < seq; s++ {
			switch {
			case err != nil:
				l.unknown[writer][s] = true
			case status == http.StatusNoContent, status == http.StatusUnprocessableEntity && want == status:
				l.acked[writer][s] = true
			default:
				l.rejected++
			}
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

// check compares a node with the ledger, and returns how many points it holds.
func (l *ledger) check(p *process) (int, error) {
	total := 0
	for w := range chaosWriters {
		rows, err := p.tryQuery(fmt.Sprintf(`SELECT seq, v, s FROM chaos WHERE writer = 'w%d'`, w))
		if err != nil {
			return 0, err
		}
		seen := make(map[int64]bool, len(rows))
		for _, r := range rows {
			at, _ := r[0].(json.Number).Int64()
			seq, _ := r[1].(json.Number).Int64()
			v, _ := r[2].(json.Number).Int64()
			if at != chaosTime(seq) || v != value(w, seq) || r[3] != fmt.Sprintf("%x", value(w, seq)) {
				return 0, fmt.Errorf("writer %d: altered point %v", w, r)
			}
			if !l.acked[w][seq] && !l.unknown[w][seq] {
				return 0, fmt.Errorf("writer %d: point %d was refused and is there", w, seq)
			}
			seen[seq] = true
		}
		missing := 0
		for seq := range l.acked[w] {
			if !seen[seq] {
				missing++
			}
		}
		if missing > 0 {
			return 0, fmt.Errorf("writer %d: %d of %d acknowledged points are missing", w, missing, len(l.acked[w]))
		}
		total += len(seen)
	}
	if rows, err := p.tryQuery(`SELECT * FROM chaos WHERE writer = 'refused'`); err != nil || len(rows) > 0 {
		return 0, fmt.Errorf("refused points: %v, %v", rows, err)
	}
	return total, nil
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

	l := &ledger{acked: map[int]map[int64]bool{}, unknown: map[int]map[int64]bool{}}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writers sync.WaitGroup
	for w := range chaosWriters {
		l.acked[w], l.unknown[w] = map[int64]bool{}, map[int64]bool{}
	}
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
	var onCentral int
	eventually(t, 3*time.Minute, func() (err error) { onCentral, err = l.check(central); return err })
	acked, unknown := 0, 0
	for w := range chaosWriters {
		acked += len(l.acked[w])
		unknown += len(l.unknown[w])
	}
	t.Logf("seed %d: %d kills in %v; %d requests; points: %d acknowledged, %d without an answer, %d refused; on the edge %d, on the central node %d; link: %s",
		*chaosSeed, *chaosKills, time.Since(begin).Round(time.Second), l.batches, acked, unknown, l.rejected, onEdge, onCentral, wire.counts())
	if onEdge != onCentral {
		eventually(t, time.Minute, func() error {
			if onCentral, err = l.check(central); err != nil || onCentral != onEdge {
				return fmt.Errorf("edge holds %d points, central %d (%v)", onEdge, onCentral, err)
			}
			return nil
		})
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
