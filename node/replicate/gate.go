package replicate

import (
	"math/rand/v2"
	"time"
)

const (
	backoffBase = 250 * time.Millisecond
	backoffCap  = 60 * time.Second
	probeBase   = 15 * time.Second
	probeCap    = 5 * time.Minute
	gateCap     = time.Hour // the longest Retry-After that is believed
)

// gate holds a stream back after a failure. Data that arrives does not open it.
type gate struct {
	until time.Time
	state State // Waiting, Gated or Refused while closed
	last  time.Duration
	probe time.Duration
}

// closed reports whether the stream must wait.
func (g *gate) closed(now time.Time) bool { return now.Before(g.until) }

// backoff waits for a random time between the base and three times the last wait, capped (decorrelated jitter), so that a
// fleet that lost its remote together does not come back together.
func (g *gate) backoff(now time.Time) {
	most := max(3*g.last, 2*backoffBase)
	g.last = min(backoffBase+time.Duration(rand.Int64N(int64(most-backoffBase)+1)), backoffCap)
	g.until, g.state = now.Add(g.last), Waiting
}

// hold waits for as long as the remote asked.
func (g *gate) hold(now time.Time, d time.Duration) {
	g.until, g.state = now.Add(min(max(d, backoffBase), gateCap)), Gated
}

// refuse waits for the next probe. Probes become slower until a request is accepted.
func (g *gate) refuse(now time.Time) {
	g.probe = min(max(2*g.probe, probeBase), probeCap)
	wait := g.probe - time.Duration(rand.Int64N(int64(g.probe)/5))
	g.until, g.state = now.Add(wait), Refused
}

// open ends the wait, but remembers how long it was.
func (g *gate) open() { g.until = time.Time{} }

// reset forgets all failures.
func (g *gate) reset() { *g = gate{} }
