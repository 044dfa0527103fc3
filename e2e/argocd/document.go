//go:build e2e

package argocd

import (
	"fmt"
	"slices"
	"strings"
)

// fates are in the order in which a table has them.
var fates = []Fate{Deleted, Recreated, Deleting, Orphaned}

// Table returns the cases as a table in Markdown.
func Table(cases []Case) string {
	var b strings.Builder
	b.WriteString("| case | change | what becomes of the objects |\n|---|---|---|\n")
	for _, c := range cases {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", c.Name, c.Title, c.words())
	}
	return b.String()
}

// words say what a case does.
func (c *Case) words() string {
	var parts []string
	for _, fate := range fates {
		if names := c.Want[fate]; len(names) > 0 {
			parts = append(parts, fmt.Sprintf("**%s**: %s", fate, enumerate(names)))
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "all kept")
	}
	if len(c.Racing) > 0 {
		parts = append(parts, fmt.Sprintf("the order decides; %s is possible of %s", c.Or, enumerate(c.Racing)))
	}
	if len(c.Remade) > 0 {
		parts = append(parts, "sooner or later made again: "+enumerate(c.Remade))
	}
	if c.Beyond != "" {
		parts = append(parts, "the plan says "+c.Beyond)
	}
	for _, s := range c.Says {
		parts = append(parts, "“"+strings.TrimSuffix(s, "/")+"”")
	}
	return strings.Join(parts, "; ")
}

// enumerate lists names, the four objects of an application as one.
func enumerate(names []string) string {
	names = slices.Clone(names)
	var short []string
	for _, app := range []string{"app01", "app02"} {
		four := all(app)
		if !slices.ContainsFunc(four, func(n string) bool { return !slices.Contains(names, n) }) {
			names = slices.DeleteFunc(names, func(n string) bool { return slices.Contains(four, n) })
			short = append(short, "all four of "+app)
		}
	}
	return strings.Join(append(short, names...), ", ")
}
