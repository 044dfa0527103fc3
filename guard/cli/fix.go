package cli

import (
	"context"
	"errors"

	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
	"github.com/holdfast-telemetry/holdfast/guard/report"
	"github.com/holdfast-telemetry/holdfast/guard/rule"
	"github.com/holdfast-telemetry/holdfast/guard/settings"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// mend mends what can be, and checks again.
func (c *check) mend(ctx context.Context, s *settings.Settings, found *report.Check) (*report.Check, error) {
	t, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	changes, err := changesFor(ctx, t, s, found)
	if err = errors.Join(err, t.Close()); err != nil {
		return nil, err
	}
	done, err := changes.Apply(c.folder)
	if err != nil {
		return nil, err
	}
	again, err := c.find(ctx, s)
	if err == nil {
		again.Fixed = done
	}
	return again, err
}

// changesFor returns the changes that mend what was found in a tree and do nothing else. What mends a name can move the folder of an Application,
// or what another file reads: each change is planned as diff plans it, and left out when more than the mended fields would change.
func changesFor(ctx context.Context, t tree.Tree, s *settings.Settings, found *report.Check) (*rule.Changes, error) {
	options, err := s.Inventory()
	if err != nil {
		return nil, err
	}
	options.Cache = inventory.NewMemory() // what both trees have is there once, and is the same
	before, err := inventory.Load(ctx, t, options)
	if err != nil {
		return nil, err
	}
	changes, err := rule.Mend(before, found.Findings)
	if err != nil {
		return nil, err
	}
	wanted := plan.Options{Stateful: options.Keep.And(object.Stateful()), Clusters: options.Clusters}
	for !changes.Empty() {
		after, err := inventory.Load(ctx, changes.Over(t), options)
		if err != nil {
			return nil, err
		}
		harmed := harmOf(before, after, changes, wanted)
		if harmed == nil {
			break
		}
		if !changes.Drop(harmed.paths) && !changes.Drop(harmed.read()) {
			return new(rule.Changes), nil
		}
	}
	return changes, nil
}
