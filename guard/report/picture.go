package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
)

// box is an Application in the picture, or several that have no box of their own.
type box struct {
	Name, Count, Title, Class string
	X, Y, W, H                int
}

// line joins a box with one that it defines.
type line struct{ Path, Class string }

// picture has the changed Applications and those that define them, from the left to the right, and in each column the worst first.
type picture struct {
	Boxes         []box
	Lines         []line
	Width, Height int
}

// Sizes of the picture, in pixels, and how many boxes one Application has beside it at most.
const (
	boxHeight, rowHeight, columnGap = 46, 56, 56
	letter, margin                  = 8, 24
	longestName, shortestName       = 36, 22
	maxSiblings                     = 24
	maxDepth                        = 12
)

// drawing is a picture that is being made.
type drawing struct {
	picture
	children map[object.Key][]object.Key
	changes  map[object.Key]*plan.Change
	rank     map[object.Key]int // of the changes, from the worst
	drawn    map[object.Key]bool
	column   int // the width of one
}

// draw makes the picture of a plan.
func draw(p *plan.Plan) picture {
	d := drawing{
		children: make(map[object.Key][]object.Key), changes: make(map[object.Key]*plan.Change),
		rank: make(map[object.Key]int), drawn: make(map[object.Key]bool),
	}
	for i := range p.Changes {
		c := &p.Changes[i]
		d.changes[c.Application], d.rank[c.Application] = c, i-len(p.Changes)
	}
	roots := d.join(p.Tree)
	d.row(roots, 0)
	d.Width, d.Height = d.Width+2, max(d.Height, 1)
	return d.picture
}

// join finds the children of each Application, and those that have no parent.
func (d *drawing) join(tree []plan.Node) (roots []object.Key) {
	known := make(map[object.Key]bool)
	longest := shortestName
	for _, n := range tree {
		known[n.Application] = true
		longest = max(longest, len([]rune(n.Application.Name)))
	}
	d.column = min(longest, longestName)*letter + margin
	for _, n := range tree {
		root := true
		for _, parent := range n.Parents {
			if known[parent] && parent != n.Application {
				d.children[parent] = append(d.children[parent], n.Application)
				root = false
			}
		}
		if root {
			roots = append(roots, n.Application)
		}
	}
	if len(roots) == 0 && len(tree) > 0 { // all of them define one another
		roots = append(roots, tree[0].Application)
	}
	return roots
}

// row draws Applications below one another, the worst first, and returns the middles of their boxes and what they are like.
func (d *drawing) row(keys []object.Key, depth int) (middles []int, classes []string) {
	keys = slices.DeleteFunc(slices.Clone(keys), func(k object.Key) bool { return d.drawn[k] })
	slices.SortStableFunc(keys, func(a, b object.Key) int { return cmp.Or(d.rank[a]-d.rank[b], a.Compare(b)) })
	shown := keys
	if len(keys) > maxSiblings+1 || depth == maxDepth && len(keys) > 0 {
		shown = keys[:min(len(keys), maxSiblings)]
		if depth == maxDepth {
			shown = nil
		}
	}
	for _, key := range shown {
		if d.drawn[key] {
			continue
		}
		middle, class := d.place(key, depth)
		middles, classes = append(middles, middle), append(classes, class)
	}
	if rest := keys[len(shown):]; len(rest) > 0 {
		b := d.together(rest)
		middles, classes = append(middles, d.put(&b, depth, d.Height)), append(classes, b.Class)
	}
	return middles, classes
}

// place draws an Application and what it defines, and returns the middle of its box.
func (d *drawing) place(key object.Key, depth int) (middle int, class string) {
	d.drawn[key] = true
	b := box{Name: middleCut(key.Name, longestName), Class: "untouched", Count: "unchanged", Title: key.String()}
	if c := d.changes[key]; c != nil {
		b.Class, b.Count = className(worst(c)), counts([]*plan.Change{c})
	}
	top := d.Height
	middles, classes := d.row(d.children[key], depth+1)
	middle = d.put(&b, depth, top) // beside the worst of what it defines: the rest may be far below
	right := b.X + b.W
	for n, m := range middles {
		path := fmt.Sprintf("M%d %d C%d %d %d %d %d %d", right, middle, right+columnGap/2, middle, right+columnGap/2, m, right+columnGap, m)
		d.Lines = append(d.Lines, line{path, classes[n]})
	}
	return middle, b.Class
}

// middleCut cuts a name to that many characters where names are most alike: what tells them apart is at their ends.
func middleCut(name string, most int) string {
	runes := []rune(name)
	if len(runes) <= most {
		return name
	}
	begin := (most - 1) / 2
	return string(runes[:begin]) + "…" + string(runes[len(runes)-(most-1-begin):])
}

// put puts a box into the picture, and returns its middle.
func (d *drawing) put(b *box, depth, y int) int {
	b.X, b.Y, b.W, b.H = 2+depth*(d.column+columnGap), y+2, d.column, boxHeight
	d.Width, d.Height = max(d.Width, b.X+b.W), max(d.Height, y+rowHeight)
	d.Boxes = append(d.Boxes, *b)
	return b.Y + boxHeight/2
}

// together is one box for several Applications.
func (d *drawing) together(keys []object.Key) box {
	fate := plan.Untouched
	var changes []*plan.Change
	for _, key := range keys {
		d.drawn[key] = true
		if c := d.changes[key]; c != nil {
			changes, fate = append(changes, c), max(fate, worst(c))
		}
	}
	name := "and " + Counted(len(keys), "Application") + " more"
	return box{Name: name, Count: counts(changes), Class: className(fate), Title: "the others are below, and in the output as text"}
}

func worst(c *plan.Change) plan.Fate {
	f := c.Fate
	for _, e := range c.Effects {
		f = max(f, e.Fate)
	}
	return f
}

func className(f plan.Fate) string { return strings.ReplaceAll(f.String(), " ", "-") }

// counts says in a few words what becomes of the objects of Applications.
func counts(changes []*plan.Change) string {
	var of [plan.Deleted + 1]int
	created, updated := 0, 0
	for _, c := range changes {
		for _, e := range c.Effects {
			of[e.Fate]++
		}
		created, updated = created+len(c.Created), updated+len(c.Updated)
	}
	var parts []string
	for f := plan.Deleted; f > plan.Untouched; f-- {
		if of[f] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", of[f], f))
		}
	}
	if created > 0 {
		parts = append(parts, fmt.Sprintf("%d new", created))
	}
	if updated > 0 {
		parts = append(parts, fmt.Sprintf("%d updated", updated))
	}
	if len(parts) > 3 {
		parts = append(parts[:2], "…")
	}
	if len(parts) == 0 {
		return "no object of it"
	}
	return strings.Join(parts, ", ")
}
