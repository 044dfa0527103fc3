package replicate

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// throttle is a token bucket on bytes that leave. It is used by one goroutine at a time.
type throttle struct {
	rate   int64 // bytes/s
	burst  int64
	tokens int64
	filled time.Time
}

func newThrottle(rate int64) *throttle {
	// A tenth of a second at once keeps the flow even; a packet's worth is the least that makes sense.
	burst := max(rate/10, 512)
	return &throttle{rate: rate, burst: burst, tokens: burst, filled: time.Now()}
}

// take waits until some bytes may leave, at most want, and returns how many.
func (t *throttle) take(ctx context.Context, want int) (int, error) {
	now := time.Now()
	t.tokens = min(t.tokens+int64(now.Sub(t.filled).Seconds()*float64(t.rate)), t.burst)
	t.filled = now
	need := min(int64(want), t.burst)
	if t.tokens < need {
		wait := time.Duration(float64(need-t.tokens) / float64(t.rate) * float64(time.Second))
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-timer.C:
		}
		t.tokens, t.filled = need, time.Now()
	}
	t.tokens -= need
	return int(need), nil
}

// bodySource makes readers of one request body, throttled. The transport may go on reading after it has returned an answer;
// finish ends that, so that the content can be used again.
type bodySource struct {
	ctx      context.Context
	content  []byte
	throttle *throttle
	taken    atomic.Int64 // bytes that were handed to the network, over all readers

	mu       sync.Mutex // held while a reader copies
	finished bool
}

func (s *bodySource) open() io.ReadCloser { return &bodyReader{source: s} }

// finish waits for a copy under way, which the end of ctx cuts short, and lets no other begin.
func (s *bodySource) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finished = true
}

type bodyReader struct {
	source *bodySource
	at     int
}

func (r *bodyReader) Read(p []byte) (int, error) {
	s := r.source
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finished {
		return 0, io.ErrClosedPipe
	}
	n := min(len(p), len(s.content)-r.at)
	if n == 0 {
		return 0, io.EOF
	}
	if s.throttle != nil {
		var err error
		if n, err = s.throttle.take(s.ctx, n); err != nil {
			return 0, err
		}
	}
	n = copy(p, s.content[r.at:r.at+n])
	s.taken.Add(int64(n))
	r.at += n
	return n, nil
}

func (r *bodyReader) Close() error { return nil }
