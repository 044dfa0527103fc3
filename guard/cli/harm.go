package cli

import (
	"fmt"

	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
	"github.com/holdfast-telemetry/holdfast/guard/rule"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// harm is what changes do beside what they are for.
type harm struct {
	before, after *inventory.Inventory
	changes       *rule.Changes
	paths         map[string]bool     // of what is harmed
	applications  map[object.Key]bool // that are, or have it
}

// harmOf returns what changes do beside what they are for, nil where that is nothing.
func harmOf(before, after *inventory.Inventory, changes *rule.Changes, o plan.Options) *harm {
	h := &harm{before, after, changes, make(map[string]bool), make(map[object.Key]bool)}
	p := plan.Between(before, after, o)
	for n := range p.Changes {
		h.change(&p.Changes[n])
	}
	h.rest()
	if len(h.applications) == 0 {
		return nil
	}
	return h
}

// note notes something that is harmed, with what a link leads to.
func (h *harm) note(application object.Key, path string) {
	h.applications[application] = true
	h.paths[path] = true
	if f, ok := tree.Find(h.before.Tree().Files(), path); ok {
		h.paths[f.Target] = true
	}
}

// change notes what is planned for an Application, except that objects which were edited are updated, and hooks run as with every sync.
func (h *harm) change(c *plan.Change) {
	if c.Added || c.Fate != plan.Untouched || len(c.Repointed) > 0 {
		h.note(c.Application, c.Path)
	}
	for _, e := range c.Effects {
		if !e.Hook {
			h.note(c.Application, e.Path)
		}
	}
	if len(c.Created)+len(c.Updated) == 0 {
		return
	}
	was, is := standing(h.before, c.Application), standing(h.after, c.Application)
	for _, key := range c.Created {
		h.note(c.Application, is[key].Path)
	}
	for _, key := range c.Updated {
		if t := was[key]; t.Object == nil || !h.changes.Edits(t.Origin) {
			h.note(c.Application, t.Path)
		}
	}
}

// standing returns the objects of an Application, by the last of its definitions.
func standing(i *inventory.Inventory, key object.Key) map[object.Key]inventory.Target {
	var last *inventory.Application
	for _, a := range i.Applications {
		if a.Key() == key {
			last = a
		}
	}
	if last == nil {
		return nil
	}
	return last.Standing()
}

// has is an object that an Application has, or without an object what of the Application is not rendered.
type has struct {
	application, object object.Key
	unread              string
}

// everything returns how often each Application has each object, and where. A plan does not count what an Application has that does not sync.
func everything(i *inventory.Inventory) (map[has]int, map[has]string) {
	counts, paths := make(map[has]int), make(map[has]string)
	add := func(h has, path string) {
		counts[h]++
		paths[h] = path
	}
	for _, a := range i.Applications {
		if a.Broken != nil || len(a.Unanalysed) > 0 {
			add(has{application: a.Key(), unread: fmt.Sprint(a.Broken, a.Unanalysed)}, a.Path)
		}
		for _, t := range a.Targets {
			add(has{application: a.Key(), object: t.Key.Canonical()}, t.Path)
		}
	}
	return counts, paths
}

// rest notes objects that Applications have in other numbers, and Applications that are not rendered as they were.
func (h *harm) rest() {
	was, wasIn := everything(h.before)
	is, isIn := everything(h.after)
	for what := range was {
		if is[what] != was[what] {
			h.note(what.application, wasIn[what])
		}
	}
	for what := range is {
		if is[what] != was[what] {
			h.note(what.application, isIn[what])
		}
	}
}

// read returns the paths of all that harmed Applications read.
func (h *harm) read() map[string]bool {
	paths := make(map[string]bool)
	for _, i := range []*inventory.Inventory{h.before, h.after} {
		for _, a := range i.Applications {
			if h.applications[a.Key()] {
				for _, t := range a.Targets {
					paths[t.Path] = true
				}
			}
		}
	}
	return paths
}
