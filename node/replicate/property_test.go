package replicate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// The property: whatever the remote does and however often the node restarts, at the end the remote has exactly what was
// acknowledged, except for the dead letters, which are exactly the bad lines.
func TestPropertyRemoteHasWhatWasAcknowledged(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, func(b *bench) { randomRun(b, seed) })
		})
	}
}

func randomRun(b *bench, seed uint64) {
	rnd, faults := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2))
	b.spec.MaxBatchBytes = MinBatchBytes << rnd.IntN(6)
	if rnd.IntN(2) == 0 {
		b.spec.Order = NewestFirst
	}
	b.rows = newMemoryRows()
	bad := func(l string) bool {
		return strings.Contains(l, "7i ") && strings.HasPrefix(l, "m,host=a n=") && len(l)%3 == 0
	}
	b.remote.script(func(c *call) reply { return randomReply(faults, c, bad) })
	b.add()
	for range 120 {
		switch rnd.IntN(12) {
		case 0:
			b.restart()
		case 1:
			b.remote.link.set(rnd.IntN(2) == 0)
		case 2:
			b.set.Wake()
		case 3:
			_, last := b.log.Bounds()
			if pos := b.status().Position; last > pos+4 && rnd.IntN(2) == 0 {
				b.memory.lose(pos+2, pos+3, "dropped")
			}
		case 4:
			time.Sleep(time.Duration(rnd.IntN(100)) * time.Second)
		default:
			b.write(1 + rnd.IntN(40))
			time.Sleep(time.Duration(rnd.IntN(2000)) * time.Millisecond)
		}
	}
	b.remote.link.set(false)
	b.remote.script(func(c *call) reply {
		if slices.ContainsFunc(c.lines, bad) {
			return reply{code: 400}
		}
		return reply{}
	})
	b.drained(time.Hour)
	var dead []string
	for _, l := range b.sent {
		if bad(l) {
			dead = append(dead, l)
		}
	}
	b.delivered(dead...)
	got := b.dead()
	slices.Sort(got)
	slices.Sort(dead)
	if !slices.Equal(got, dead) {
		b.t.Errorf("%d dead letters, want %d", len(got), len(dead))
	}
	gaps, err := b.set.Gaps(testReplication)
	if err != nil {
		b.t.Error(err)
	}
	b.t.Logf("%d lines, %d bad, %d gaps, %d requests", len(b.sent), len(dead), len(gaps), len(b.remote.requests()))
}

// randomReply answers as a remote in trouble does, and refuses bad lines in one of the ways that are known.
func randomReply(rnd *rand.Rand, c *call, bad func(string) bool) reply {
	switch rnd.IntN(12) {
	case 0:
		return reply{code: 500}
	case 1:
		return reply{hang: true}
	case 2:
		return reply{reset: true}
	case 3:
		return reply{hang: true, store: good(c.lines, bad)} // stored, but the answer is lost
	case 4:
		return reply{code: 429, header: retryAfterSeconds(rnd.IntN(60))}
	case 5:
		return reply{code: []int{401, 403, 404, 503, 502}[rnd.IntN(5)]}
	case 6:
		if len(c.lines) > 20 {
			return reply{code: 413}
		}
	}
	if !slices.ContainsFunc(c.lines, bad) {
		return reply{code: []int{200, 204}[rnd.IntN(2)]}
	}
	var v3, quoted []string
	n := 0
	for i, l := range c.lines {
		if bad(l) {
			n++
			v3 = append(v3, fmt.Sprintf(`{"line_number":%d,"error_message":"bad"}`, i+1))
			quoted = append(quoted, fmt.Sprintf("unable to parse '%s': bad", l))
		}
	}
	switch rnd.IntN(4) {
	case 0:
		return reply{code: 400, store: good(c.lines, bad), body: `{"error":"partial write of line protocol occurred","data":[` + strings.Join(v3, ",") + `]}`}
	case 1:
		return reply{code: 400, body: `{"code":"invalid","message":"` + strings.Join(quoted, `\n`) + `"}`}
	case 2:
		return reply{code: 422, store: good(c.lines, bad), body: fmt.Sprintf(`{"code":"unprocessable entity","message":"failure writing points to database: partial write: something dropped=%d"}`, n)}
	}
	return reply{code: 400, body: `{"message":"no"}`}
}

func good(lines []string, bad func(string) bool) []string {
	return slices.DeleteFunc(slices.Clone(lines), bad)
}
