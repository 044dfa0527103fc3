package replicate

import "time"

const (
	minTarget     = 1 << 10
	firstTarget   = 256 << 10
	quick         = 2 * time.Second // requests are made larger while they take less
	slow          = 6 * time.Second // and smaller when they take more
	baseDeadline  = 20 * time.Second
	maxDeadline   = 15 * time.Minute
	startingRate  = 32 << 10 // bytes/s that a link is taken to have before it was measured
	lowestRate    = 128      // bytes/s
	deadlineSlack = 4
	afterBreak    = 8
)

// pace adapts the size of requests and their deadlines to the link. Sizes are bytes of line protocol before compression.
type pace struct {
	target  int
	ceiling int     // from the configuration
	refused int     // size that was answered with 413, 0 for none
	rate    float64 // bytes/s, smoothed; 0 before the first request
	careful int     // requests to go well before they are made larger again
}

func newPace(s Spec) pace {
	p := pace{target: firstTarget}
	p.configure(s)
	return p
}

// configure sets the ceiling of a spec. Where the bandwidth is limited a request is not to take many seconds.
func (p *pace) configure(s Spec) {
	p.ceiling = s.MaxBatchBytes
	if s.BytesPerSecond > 0 {
		p.ceiling = min(p.ceiling, int(min(4*s.BytesPerSecond, MaxBatchBytes)))
	}
	p.ceiling = max(p.ceiling, minTarget)
	p.target = min(p.target, p.ceiling)
}

// deadline returns how long a request of n bytes may take.
func (p *pace) deadline(n int) time.Duration {
	rate := p.rate
	if rate == 0 {
		rate = startingRate
	}
	seconds := deadlineSlack * float64(n) / max(rate, lowestRate)
	return min(baseDeadline+time.Duration(seconds*float64(time.Second)), maxDeadline)
}

// accepted learns from a request of n bytes that took d.
func (p *pace) accepted(n int, d time.Duration) {
	// Small requests measure the round trip, not the rate.
	if n >= 16<<10 || d > time.Second {
		rate := float64(n) / max(d.Seconds(), 1e-3)
		if p.rate == 0 {
			p.rate = rate
		}
		p.rate += (rate - p.rate) * 0.3
	}
	if p.careful > 0 {
		p.careful--
	}
	switch {
	case d < quick && n >= p.target/2 && p.careful == 0:
		p.target *= 2
	case d > slow:
		p.target = max(p.target/2, minTarget)
	}
	p.target = min(p.target, p.ceiling)
	if p.refused > 0 {
		p.target = max(min(p.target, p.refused*3/4), minTarget)
	}
}

// broken learns that a request of n bytes broke after d with the given part of it handed over, or had no answer in time.
// The next ones are sized to take a second at the rate that was seen, so that a link that comes and goes loses little.
func (p *pace) broken(n int, part float64, d time.Duration, timeout bool) {
	p.target = max(min(p.target, n)/2, minTarget)
	p.careful = afterBreak
	if timeout && p.rate == 0 {
		p.rate = startingRate
	}
	if timeout {
		p.rate = max(p.rate/2, lowestRate)
	} else if d > time.Second && part < 1 {
		p.rate = max(float64(n)*part/d.Seconds(), lowestRate)
	}
	if p.rate > 0 {
		p.target = max(min(p.target, int(p.rate)), minTarget)
	}
}

// tooLarge learns that n bytes were refused as too large.
func (p *pace) tooLarge(n int) {
	if p.refused == 0 || n < p.refused {
		p.refused = n
	}
	p.target = max(n/2, minTarget)
}
