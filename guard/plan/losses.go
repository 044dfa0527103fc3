package plan

import (
	"fmt"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// named is how many objects of a kind a sentence names.
const named = 4

// loss is a fate in words: what an Application does to its objects, and what is done to them.
type loss struct {
	fate      Fate
	does, are string
}

var losses = []loss{
	{Deleted, "deletes", "deleted"}, {Recreated, "deletes and makes again", "deleted and made again"},
	{AtRisk, "may delete", "at risk"}, {Held, "deletes, once approved,", "deleted once approved"},
}

// Losses says in a clause what an Application loses, and why; it is empty where it loses nothing. What is only orphaned, not known or left
// behind comes after what is lost.
func Losses(c *Change) string {
	var parts []string
	lost := some(c, Fate.Lost)
	var of []string
	for _, l := range losses {
		n := len(some(c, func(f Fate) bool { return f == l.fate }))
		switch {
		case n == 0:
		case n == len(lost):
			parts = append(parts, l.does+" "+naming(lost))
		default:
			of = append(of, fmt.Sprintf("%d %s", n, l.are))
		}
	}
	if len(of) > 0 {
		parts = append(parts, "loses "+naming(lost)+", that is "+strings.Join(of, " and "))
	}
	why := reason(lost)
	for _, l := range []loss{{Orphaned, "leaves without an owner", ""}, {Unknown, "may delete (not analysed)", ""}} {
		if effects := some(c, func(f Fate) bool { return f == l.fate }); len(effects) > 0 {
			parts = append(parts, l.does+" "+naming(effects))
			if why == "" {
				why = reason(effects)
			}
		}
	}
	if left := leaving(c); left != "" {
		if parts = append(parts, left); len(parts) == 1 {
			return left
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return strings.Join(parts, "; ") + ": " + why
}

// leaving says in a clause what an Application leaves behind, and what that waits for.
func leaving(c *Change) string {
	var left []*Effect
	for n := range c.Effects {
		if e := &c.Effects[n]; e.Waits != "" && e.Fate == Kept {
			left = append(left, e)
		}
	}
	if len(left) == 0 {
		return ""
	}
	return fmt.Sprintf("leaves behind %s, kept only while %s", naming(left), left[0].Waits)
}

// some returns the effects with one of some fates. Hooks come and go with each sync, and count where they hold state.
func some(c *Change, is func(Fate) bool) []*Effect {
	var effects []*Effect
	for n := range c.Effects {
		if e := &c.Effects[n]; is(e.Fate) && (!e.Hook || e.Stateful) {
			effects = append(effects, e)
		}
	}
	return effects
}

// reason is why: that of a namespace where one goes, for what is in it goes because of it, and else of the first that is in git.
func reason(effects []*Effect) string {
	why, implied := "", true
	for _, e := range effects {
		if e.Key.GroupKind() == (object.Kind{Kind: "Namespace"}) {
			return e.Why
		}
		if why == "" || implied && !e.Implied {
			why, implied = e.Why, e.Implied
		}
	}
	return why
}

// naming counts objects, and names those that hold state, or else all, as far as a sentence can.
func naming(effects []*Effect) string {
	var all, stateful []object.Key
	for _, e := range effects {
		if all = append(all, e.Key); e.Stateful {
			stateful = append(stateful, e.Key)
		}
	}
	text := fmt.Sprintf("%d objects", len(all))
	if len(all) == 1 {
		text = "1 object"
	}
	if len(stateful) == 0 {
		return text + " (" + object.Listing(all, named) + ")"
	}
	return text + fmt.Sprintf(", %d of them stateful (%s)", len(stateful), object.Listing(stateful, named))
}
