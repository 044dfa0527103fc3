package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/rule"
	"github.com/holdfast-telemetry/holdfast/guard/settings"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// read reads the settings that count: a file's, or those of what is checked. With a base they are the base's where those of the change would
// find less, or let more pass: whoever writes a change also writes what is in it.
func (c *check) read(ctx context.Context) (*settings.Settings, error) {
	if c.base != "" {
		if err := c.comparable(ctx); err != nil {
			return nil, err
		}
	}
	if c.settings != "" {
		return settings.Read(c.settings, false)
	}
	own, err := c.own(ctx)
	if err != nil || c.base == "" {
		return own, err
	}
	base, err := tree.Revision(ctx, c.folder, c.base)
	if err != nil {
		return nil, unknown(err)
	}
	was, unread := settings.In(base)
	if err := base.Close(); err != nil {
		return nil, err
	}
	if unread != nil {
		c.uncounted = append(c.uncounted, fmt.Sprintf("%s: it cannot be read as it is in %s, and the defaults count: %v", settings.Name, c.base, unread))
		return settings.Parse(nil)
	}
	edits := settings.Weakened(was, own)
	for _, e := range edits {
		c.uncounted = append(c.uncounted, fmt.Sprintf("%s: %s: %s has it otherwise, and all of %s counts as it is there", e.Place, e.Text, c.base, settings.Name))
	}
	if len(edits) > 0 {
		return was, nil
	}
	return own, nil
}

// unread is the error of settings that cannot be read: whoever wrote them mends them, unless it is the repository that cannot be read.
func (c *check) unread(err error) error {
	var coded *exitError
	if errors.As(err, &coded) {
		return err
	}
	return &exitError{ExitUsage, err}
}

// own reads the settings of what is checked.
func (c *check) own(ctx context.Context) (*settings.Settings, error) {
	if c.revision == "" {
		return settings.Read(filepath.Join(c.folder, settings.Name), true)
	}
	t, err := c.open(ctx)
	if err != nil {
		return nil, unknown(err)
	}
	s, err := settings.In(t)
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	c.opened = t
	return s, nil
}

// comparable refuses what cannot be held against a base: a part of a repository, and settings that the change has.
func (c *check) comparable(ctx context.Context) error {
	root, err := tree.Root(ctx, c.folder)
	if err != nil {
		return unknown(err)
	}
	folder, err := filepath.Abs(c.folder)
	if err == nil {
		folder, err = filepath.EvalSymlinks(folder)
	}
	if err != nil {
		return err
	}
	if c.revision == "" && folder != root {
		return fmt.Errorf("--base compares whole repositories: check %s, and not %s in it", root, c.folder)
	}
	return isOutside(ctx, c.folder, "settings", c.settings)
}

// carried is what makes a waiver of an object the same in two revisions. Without a path it is of a file that was moved.
type carried struct {
	path, rules, expires string
	object.Key
}

func carriedBy(w *finding.Waiver, path string) carried {
	return carried{path, strings.Join(w.Rules, ","), w.Expires.String(), w.In.Key}
}

// standing returns those of the waivers that objects carry which they carry in the base too, and notes the others.
func (c *check) standing(ctx context.Context, waivers []*finding.Waiver, i *inventory.Inventory, config *rule.Config) (stand []*finding.Waiver, err error) {
	if c.base == "" || len(waivers) == 0 {
		return waivers, nil
	}
	base, err := tree.Revision(ctx, c.folder, c.base)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, base.Close()) }()
	before, err := inventory.Load(ctx, base, i.Options)
	if err != nil {
		return nil, err
	}
	there, err := rule.Carried(ctx, before, config)
	if err != nil {
		return nil, err
	}
	known := make(map[carried]bool)
	for _, w := range there {
		path := w.Place.Path
		if _, stays := tree.Find(i.Tree().Files(), path); !stays {
			path = ""
		}
		known[carriedBy(w, path)] = true
	}
	for _, w := range waivers {
		if known[carriedBy(w, w.Place.Path)] || known[carriedBy(w, "")] {
			stand = append(stand, w)
			continue
		}
		c.uncounted = append(c.uncounted, fmt.Sprintf("%s: the waiver of %s (%s) is not in %s", w.Place, strings.Join(w.Rules, ", "), w.Reason, c.base))
	}
	return stand, nil
}
