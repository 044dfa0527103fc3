package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
)

//go:embed plan.html
var pageText string

//go:embed plan.css
var pageStyle string

var pageTemplate = template.Must(template.New("plan").Funcs(template.FuncMap{
	"wanted": wanted,
	"day":    func(t time.Time) string { return t.Format(time.DateOnly) },
}).Parse(pageText))

// maxRows is how many findings the page has, and how many objects of one fate of one Application.
const maxRows = 1000

// page is what the template shows.
type page struct {
	*Planned
	Style   template.CSS
	Policy  string // of what the page may load: its own style, and nothing else
	Lines   []string
	Picture picture
	Rows    []row
	More    string // what is not in Rows
	Parts   []part
}

// part is what becomes of one Application.
type part struct {
	*plan.Change
	Open   bool
	Groups []group
}

// group are objects of one Application that become the same for the same reason.
type group struct {
	Fate, Class, Why string
	Keys             []object.Key
	All              int
}

// PlanHTML writes a plan as a page with a picture of the Applications. It needs nothing from elsewhere, and forbids the browser to fetch
// anything.
func PlanHTML(w io.Writer, p *Planned) error {
	sum := sha256.Sum256([]byte(pageStyle))
	g := page{Planned: p, Style: template.CSS(pageStyle), Lines: p.Summary(), Picture: draw(p.Plan), Rows: rows(p.Findings),
		Policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"}
	if over := len(g.Rows) - maxRows; over > 0 {
		g.Rows, g.More = g.Rows[:maxRows], fmt.Sprintf("%s more: holdfast-guard diff --full has all.", Counted(over, "row"))
	}
	for n := range p.Changes {
		c := &p.Changes[n]
		g.Parts = append(g.Parts, part{c, n < 20 && plan.Losses(c) != "", groups(c)})
	}
	var b strings.Builder
	if err := pageTemplate.Execute(&b, g); err != nil {
		return err
	}
	lines := strings.Split(b.String(), "\n")
	for n := range lines { // names may have anything
		lines[n] = clean(lines[n])
	}
	_, err := io.WriteString(w, strings.Join(lines, "\n"))
	return err
}

// groups gathers the objects of one fate and reason, in the order of the first of each.
func groups(c *plan.Change) []group {
	type of struct {
		fate plan.Fate
		why  string
	}
	place := make(map[of]int)
	var all []group
	for _, e := range c.Effects {
		at := of{e.Fate, e.Why + basis(e)}
		n, ok := place[at]
		if !ok {
			n = len(all)
			place[at] = n
			all = append(all, group{Fate: e.Fate.String(), Class: className(e.Fate), Why: at.why})
		}
		all[n].add(e.Key)
	}
	for _, made := range []struct {
		fate string
		keys []object.Key
	}{{"created", c.Created}, {"updated", c.Updated}} {
		if len(made.keys) > 0 {
			g := group{Fate: made.fate, Class: made.fate}
			for _, key := range made.keys {
				g.add(key)
			}
			all = append(all, g)
		}
	}
	return all
}

func (g *group) add(key object.Key) {
	if g.All++; g.All <= maxRows {
		g.Keys = append(g.Keys, key)
	}
}

// Rest is how many objects are not named.
func (g group) Rest() int { return g.All - len(g.Keys) }
