package rotation

import (
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/keylist"
)

// Timing is when keys change.
type Timing struct {
	// Active is how long a key signs before the next one does.
	Active time.Duration
	// Lifetime is how long the signatures of a key count, from when it begins to sign.
	Lifetime time.Duration
	// Poll is the longest that a cluster goes without asking for the list.
	Poll time.Duration
	// Slack is added to Poll before a published key signs: for what a cluster needs to bring a list into force.
	Slack time.Duration
	// Resign is how often images that are to go on running are signed again.
	Resign time.Duration
	// List is how long a list is good for. A new one is issued when a third of that has passed.
	List time.Duration
}

// DefaultTiming rotates weekly, and leaves a fortnight to notice that nothing is signed again.
func DefaultTiming() Timing {
	return Timing{Active: 7 * 24 * time.Hour, Lifetime: 21 * 24 * time.Hour, Poll: time.Minute, Slack: 30 * time.Second, Resign: 24 * time.Hour, List: 6 * time.Hour}
}

// Lead is how long a key is published before it signs.
func (t Timing) Lead() time.Duration { return t.Poll + t.Slack }

// Validate says which of the times contradict each other.
func (t Timing) Validate() error {
	var errs []error
	for name, d := range map[string]time.Duration{"active": t.Active, "lifetime": t.Lifetime, "poll": t.Poll, "slack": t.Slack, "resign": t.Resign, "list": t.List} {
		if d <= 0 {
			errs = append(errs, fmt.Errorf("%s is %v: it must be above 0", name, d))
		}
	}
	if least := 2 * t.Lead(); t.Active < least {
		errs = append(errs, fmt.Errorf("active is %v: at least %v, twice poll and slack, are needed to publish each key before it signs", t.Active, least))
	}
	if least := t.Active + t.Resign + t.Lead(); t.Lifetime < least {
		errs = append(errs, fmt.Errorf("lifetime is %v: at least %v, which are active, resign, poll and slack, are needed, or images stop running before they are signed again", t.Lifetime, least))
	}
	if t.Lifetime > keylist.MaxLifetime-t.Lead() {
		errs = append(errs, fmt.Errorf("lifetime is %v: clusters accept no key that counts for longer than %v", t.Lifetime, keylist.MaxLifetime))
	}
	if keys := t.Lifetime/t.Active + 3; t.Active > 0 && keys > keylist.MaxKeys {
		errs = append(errs, fmt.Errorf("lifetime is %v and active is %v: the list would have %d keys, and at most %d are allowed", t.Lifetime, t.Active, keys, keylist.MaxKeys))
	}
	if least := 3 * t.Poll; t.List < least {
		errs = append(errs, fmt.Errorf("list is %v: at least %v, three times poll, are needed, or a cluster that misses an answer has an expired list", t.List, least))
	}
	return errors.Join(errs...)
}
