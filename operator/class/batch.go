package class

import (
	"context"
	"time"

	"k8s.io/client-go/tools/cache"
)

// batch lets changes that come shortly one after another be taken as one.
type batch struct {
	period time.Duration
	poke   chan struct{}
}

func newBatch(period time.Duration) *batch {
	return &batch{period: period, poke: make(chan struct{}, 1)}
}

// changed notes a change. It never blocks.
func (b *batch) changed() {
	select {
	case b.poke <- struct{}{}:
	default:
	}
}

// wait waits for a change and those that follow it within the period, or for again. It is false when ctx ends.
func (b *batch) wait(ctx context.Context, again <-chan time.Time) bool {
	select {
	case <-ctx.Done():
		return false
	case <-again:
		return true
	case <-b.poke:
	}
	more := time.NewTimer(b.period)
	defer more.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-again:
	case <-more.C:
	}
	// What came meanwhile is part of this batch: whoever waits reads after this.
	select {
	case <-b.poke:
	default:
	}
	return true
}

// handler notes every event of an informer as a change, except updates that same says change nothing.
func (b *batch) handler(same func(old, new any) bool) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { b.changed() },
		DeleteFunc: func(any) { b.changed() },
		UpdateFunc: func(old, new any) {
			if same == nil || !same(old, new) {
				b.changed()
			}
		},
	}
}
