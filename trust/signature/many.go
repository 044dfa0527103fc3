package signature

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/key"
)

// Many signs many images. What fails for a time is tried again by the client of its writer; what fails for good does not stop the others.
type Many struct {
	Writer Writer
	// Workers bounds how many images are signed at once; 16 by default. The key store gets at most as many hashes in one call.
	Workers int
	// Linger is how long a hash waits for others to go to the key store with; 2 ms by default.
	Linger time.Duration
	// SignTimeout bounds one call to the key store; a minute by default.
	SignTimeout time.Duration
	// Progress is told of each image when it is done, one at a time.
	Progress func(Progress)
}

// Progress is how far the signing of many images is.
type Progress struct {
	Total, Written, Fresh, Failed int
	// Last is the image that was done last.
	Last Outcome
}

// Done is how many images are done, well or not.
func (p Progress) Done() int { return p.Written + p.Fresh + p.Failed }

// Outcome is what became of an image.
type Outcome struct {
	Target Target
	Result Result
	Err    error
}

// Failures are the images that were not signed, in the order in which they were asked for.
type Failures struct {
	Failed []Outcome
	Total  int
}

func (f *Failures) Error() string {
	return fmt.Sprintf("%d of %d images were not signed; the first: %v", len(f.Failed), f.Total, f.Failed[0].Err)
}

// Unwrap returns the error of each.
func (f *Failures) Unwrap() (errs []error) {
	for _, o := range f.Failed {
		errs = append(errs, o.Err)
	}
	return errs
}

// Sign signs images as ordered, and returns what became of each, in their order. Where some were not signed there is an error too, which
// is a [*Failures]. When the context ends, those that are left fail with its cause.
func (m *Many) Sign(ctx context.Context, targets []Target, order Order) ([]Outcome, error) {
	if len(targets) == 0 {
		return nil, nil
	}
	workers := min(orDefault(m.Workers, 16), len(targets))
	batch := &batch{sign: order.Sign, size: workers, linger: orDefault(m.Linger, 2*time.Millisecond), timeout: orDefault(m.SignTimeout, time.Minute),
		asked: make(chan *asking), ended: make(chan struct{})}
	if order.Sign != nil {
		order.Sign = batch.ask
	}
	go batch.run(ctx)
	outcomes := make([]Outcome, len(targets))
	progress := &progress{tell: m.Progress, now: Progress{Total: len(targets)}}
	each(workers, len(targets), func(i int) {
		outcomes[i].Target = targets[i]
		if ctx.Err() != nil {
			outcomes[i].Err = fmt.Errorf("%s was not signed: %w", targets[i].Image, context.Cause(ctx))
		} else {
			outcomes[i].Result, outcomes[i].Err = m.Writer.Write(ctx, targets[i], order)
		}
		progress.add(outcomes[i])
	})
	close(batch.asked)
	<-batch.ended
	var failed []Outcome
	for _, o := range outcomes {
		if o.Err != nil {
			failed = append(failed, o)
		}
	}
	if failed != nil {
		return outcomes, &Failures{failed, len(targets)}
	}
	return outcomes, nil
}

// each calls a function with all numbers below n, by several workers, and returns when all have returned.
func each(workers, n int, do func(i int)) {
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(workers, n) {
		wg.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}

type progress struct {
	mu   sync.Mutex
	now  Progress
	tell func(Progress)
}

func (p *progress) add(o Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case o.Err != nil:
		p.now.Failed++
	case o.Result.Written:
		p.now.Written++
	default:
		p.now.Fresh++
	}
	p.now.Last = o
	if p.tell != nil {
		p.tell(p.now)
	}
}

// batch takes hashes from many, and gives them to a key store together. Who asks holds at most its own tag, and waits for nothing but the
// key store: so nobody waits for somebody who waits for him.
type batch struct {
	sign    Signer
	size    int
	linger  time.Duration
	timeout time.Duration
	asked   chan *asking
	ended   chan struct{}
}

type asking struct {
	hashes []key.Hash
	answer chan signed // has room for the answer
}

type signed struct {
	signatures [][]byte
	err        error
}

// ask is a Signer.
func (b *batch) ask(ctx context.Context, hashes []key.Hash) ([][]byte, error) {
	a := &asking{hashes, make(chan signed, 1)}
	select {
	case b.asked <- a:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	select {
	case s := <-a.answer:
		return s.signatures, s.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// run answers until nobody can ask any more.
func (b *batch) run(ctx context.Context) {
	defer close(b.ended)
	for first := range b.asked {
		b.answer(ctx, b.gather(first))
	}
}

// gather waits a little for others.
func (b *batch) gather(first *asking) []*asking {
	all := []*asking{first}
	linger := time.NewTimer(b.linger)
	defer linger.Stop()
	for len(all) < b.size {
		select {
		case a, ok := <-b.asked:
			if !ok {
				return all
			}
			all = append(all, a)
		case <-linger.C:
			return all
		}
	}
	return all
}

func (b *batch) answer(ctx context.Context, all []*asking) {
	ctx, cancel := context.WithTimeoutCause(ctx, b.timeout, fmt.Errorf("the key store did not sign within %s: %w", b.timeout, context.DeadlineExceeded))
	defer cancel()
	var hashes []key.Hash
	for _, a := range all {
		hashes = append(hashes, a.hashes...)
	}
	signatures, err := b.sign(ctx, hashes)
	switch {
	case err != nil && ctx.Err() != nil:
		err = context.Cause(ctx)
	case err == nil && len(signatures) != len(hashes):
		err = fmt.Errorf("the key store gave %d signatures for %d hashes", len(signatures), len(hashes))
	}
	for _, a := range all {
		if err != nil {
			a.answer <- signed{err: err}
			continue
		}
		a.answer <- signed{signatures: signatures[:len(a.hashes):len(a.hashes)]}
		signatures = signatures[len(a.hashes):]
	}
}
