package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/internal/version"
	"github.com/holdfast-telemetry/holdfast/node/collect"
	"github.com/holdfast-telemetry/holdfast/node/replicate"
)

// runOnce gathers each input once, stores and replicates the points, and ends. It serves nothing. The error tells of inputs that failed and of
// points that were not sent; those are kept, and sent by the next run.
func runOnce(ctx context.Context, o RunOptions) (err error) {
	c, err := load(ctx, o, nil)
	if err != nil {
		return err
	}
	if c.inputs.Inputs() == 0 {
		return errors.New("there is nothing to gather: the configuration has no input")
	}
	n := newNode(c.settings, c.logger)
	defer func() { err = errors.Join(err, n.Close()) }()
	defer context.AfterFunc(ctx, n.close)()
	if err := n.openRooms(c.inputs, version.Get(), true); err != nil {
		return err
	}
	before := n.replications.refused()
	err = collect.Once(ctx, c.inputs, n.collectOptions(), 0)
	return errors.Join(err, n.replications.drain(ctx, before))
}

// drainLook is how often drain looks at the replications.
const drainLook = 20 * time.Millisecond

// drain returns when every replication is in step with its journal, or when those that are not cannot go on now. before is what refused
// returned at the beginning.
func (r *replications) drain(ctx context.Context, before map[id.ID]int64) error {
	tick := time.NewTicker(drainLook)
	defer tick.Stop()
	for {
		unsent, busy := r.unsent()
		if !busy {
			return errors.Join(append(unsent, r.newlyRefused(before)...)...)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(append(unsent, fmt.Errorf("sending what is left: %w", ctx.Err()))...)
		}
	}
}

// unsent returns what keeps replications that have something to send from it, and whether others are at it.
func (r *replications) unsent() (stuck []error, busy bool) {
	for _, st := range r.set.Statuses() {
		switch st.State {
		case replicate.Paused, replicate.Stopped:
		case replicate.Idle, replicate.Sending, replicate.Starting:
			busy = busy || st.State != replicate.Idle || st.RemainingBytes > 0 || st.OpenGaps > 0
		default:
			if st.RemainingBytes > 0 || st.OpenGaps > 0 || st.State == replicate.Failed {
				stuck = append(stuck, fmt.Errorf("replication %q has not sent everything, %d bytes are kept for the next run: %s: %s",
					st.Name, st.RemainingBytes, st.State, st.Reason))
			}
		}
	}
	return stuck, busy
}

// refused counts the points of each replication that its remote did not take and will not.
func (r *replications) refused() map[id.ID]int64 {
	all := map[id.ID]int64{}
	for _, st := range r.set.Statuses() {
		all[st.ID] = int64(st.DeadLetters) + st.Dropped[replicate.DroppedRefused] + st.Dropped[replicate.DroppedEvicted]
	}
	return all
}

func (r *replications) newlyRefused(before map[id.ID]int64) (all []error) {
	now := r.refused()
	for _, st := range r.set.Statuses() {
		if n := now[st.ID] - before[st.ID]; n > 0 {
			reason := ""
			if st.LastRefusal != nil {
				reason = ": " + st.LastRefusal.Reason
			}
			all = append(all, fmt.Errorf("replication %q: the remote refused %d points%s", st.Name, n, reason))
		}
	}
	return all
}
