package recovery

import (
	"context"
	"fmt"
)

// Finding is a step whose postcondition does not hold.
type Finding struct {
	Step  string `json:"step"`
	About string `json:"about"`
	Why   string `json:"why"`
}

// Verify compares a cluster with a plan and changes nothing: claims and their volumes, workloads and their replicas and probes,
// controllers, Applications. A postcondition that a later step undoes is not looked at. Checks of the policy are run.
func (r *Run) Verify(ctx context.Context) (findings []Finding, err error) {
	if err := r.prepare(); err != nil {
		return nil, err
	}
	r.Plan.Steps(func(_ *Phase, s *Step) bool {
		if s.once() || s.Until != "" || r.moot(s) {
			return true
		}
		if q := r.Plan.Question(s.Question); q != nil && q.Answer == "" {
			findings = append(findings, Finding{s.ID, s.describe(), "the question " + q.ID + " has no answer"})
			return true
		}
		var o observation
		if o, err = r.look(ctx, s); err != nil {
			err = fmt.Errorf("verifying step %s: %w", s.ID, err)
			return false
		}
		if o.state != done {
			findings = append(findings, Finding{s.ID, s.describe(), o.why})
		}
		return true
	})
	return findings, err
}
