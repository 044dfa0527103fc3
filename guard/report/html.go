package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
)

//go:embed plan.html
var page string

var pageTemplate = template.Must(template.New("plan").Funcs(template.FuncMap{"class": class}).Parse(page))

func class(f plan.Fate) string { return strings.ReplaceAll(f.String(), " ", "-") }

// box is an Application in the picture.
type box struct {
	Name, Count, Title, Class string
	X, Y, W, H                int
	TextX, TextY, CountY      int
}

// picture has the changed Applications and those that define them, from the left to the right.
type picture struct {
	*Planned
	Summary       []string
	Boxes         []box
	Edges         []string
	Width, Height int
}

// Sizes of the picture, in pixels.
const (
	boxHeight, rowHeight, columnGap, letter = 44, 56, 60, 8
	maxBoxes                                = 400
)

// PlanHTML writes a plan as a page with a picture of the Applications.
func PlanHTML(w io.Writer, p *Planned) error {
	d := drawing{picture: picture{Planned: p, Summary: p.Summary()}, children: make(map[object.Key][]object.Key), changes: make(map[object.Key]*plan.Change)}
	d.draw()
	return pageTemplate.Execute(w, d.picture)
}

// drawing is a picture that is being made.
type drawing struct {
	picture
	children map[object.Key][]object.Key
	changes  map[object.Key]*plan.Change
	drawn    map[object.Key]bool
	column   int // the width of one
}

func (d *drawing) draw() {
	var roots []object.Key
	known := make(map[object.Key]bool)
	for i := range d.Changes {
		d.changes[d.Changes[i].Application] = &d.Changes[i]
	}
	longest := 0
	for _, n := range d.Tree {
		known[n.Application] = true
		longest = max(longest, len(n.Application.Name))
	}
	for _, n := range d.Tree {
		hasParent := false
		for _, parent := range n.Parents {
			if known[parent] && parent != n.Application {
				d.children[parent] = append(d.children[parent], n.Application)
				hasParent = true
			}
		}
		if !hasParent {
			roots = append(roots, n.Application)
		}
	}
	d.column, d.drawn = longest*letter+24, make(map[object.Key]bool)
	for _, root := range roots {
		d.place(root, 0)
	}
	d.Width, d.Height = d.Width+4, d.Height+4
}

// place draws an Application and what it defines, and returns the middle of its box.
func (d *drawing) place(key object.Key, depth int) int {
	d.drawn[key] = true
	b := box{Name: key.Name, X: 2 + depth*(d.column+columnGap), W: d.column, H: boxHeight, Class: "untouched", Count: "unchanged", Title: key.String()}
	b.Y = 2 + d.Height
	start, bottom := d.Height, d.Height+rowHeight
	var middles []int
	for _, child := range d.children[key] {
		if !d.drawn[child] && len(d.drawn) < maxBoxes {
			middles = append(middles, d.place(child, depth+1))
		}
	}
	d.Height = max(d.Height, bottom)
	if len(middles) > 0 {
		b.Y = 2 + start + (d.Height-start-rowHeight)/2
	}
	b.TextX, b.TextY, b.CountY = b.X+12, b.Y+19, b.Y+35
	if c := d.changes[key]; c != nil {
		b.Class, b.Count = class(worst(c)), counts(c)
	}
	d.Width = max(d.Width, b.X+b.W)
	d.Boxes = append(d.Boxes, b)
	middle, right := b.Y+boxHeight/2, b.X+b.W
	for _, m := range middles {
		d.Edges = append(d.Edges, fmt.Sprintf("M%d %d C%d %d %d %d %d %d", right, middle, right+columnGap/2, middle, right+columnGap/2, m, right+columnGap, m))
	}
	return middle
}

func worst(c *plan.Change) plan.Fate {
	f := c.Fate
	for _, e := range c.Effects {
		f = max(f, e.Fate)
	}
	return f
}

// counts says in a few words what becomes of an Application's objects.
func counts(c *plan.Change) string {
	var parts []string
	for f := plan.Deleted; f > plan.Untouched; f-- {
		if n := c.Count(f); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, f))
		}
	}
	if n := len(c.Created); n > 0 {
		parts = append(parts, fmt.Sprintf("%d new", n))
	}
	if n := len(c.Updated); n > 0 {
		parts = append(parts, fmt.Sprintf("%d updated", n))
	}
	if len(parts) > 2 {
		parts = append(parts[:2], "…")
	}
	return strings.Join(parts, ", ")
}
