package settings

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/rule"
)

// Edit is an edit of settings after which less is found, or more is let pass.
type Edit struct {
	// Text says what it is, as in "ignore leaves out env/**".
	Text string
	// Place is where the later settings have it, or would.
	Place finding.Place
}

// Weakened returns the edits between two settings that weaken what is judged by them. Those that make it stricter are not there.
func Weakened(before, after *Settings) []Edit {
	w := weakening{before: before, after: after}
	w.lists()
	w.judged()
	w.numbers()
	w.waived()
	w.rendered()
	return w.edits
}

type weakening struct {
	before, after *Settings
	edits         []Edit
}

func (w *weakening) add(field, value, format string, args ...any) {
	w.edits = append(w.edits, Edit{fmt.Sprintf(format, args...), w.after.place(field, value)})
}

// lists compares fields with several values.
func (w *weakening) lists() {
	for _, p := range added(w.before.Ignore, w.after.Ignore) {
		w.add("ignore", p, "ignore leaves out %s", p)
	}
	for _, p := range added(w.before.AllowUnanalysed, w.after.AllowUnanalysed) {
		w.add("allow-unanalysed", p, "allow-unanalysed lets %s be unknown", p)
	}
	for _, k := range added(w.after.Stateful, w.before.Stateful) {
		w.add("stateful", k, "stateful does not have %s any more", k)
	}
	gone := added(w.after.Repositories, w.before.Repositories)
	if len(w.before.Repositories) == 0 && len(w.after.Repositories) > 0 {
		gone = []string{"what is not in its list"}
	}
	for _, url := range gone {
		w.add("repositories", url, "repositories leaves out %s", url)
	}
	for _, of := range []struct {
		field         string
		before, after map[string]string
	}{{"clusters", w.before.Clusters, w.after.Clusters}, {"scopes", w.before.Scopes, w.after.Scopes}} {
		for _, key := range slices.Sorted(maps.Keys(of.before)) {
			if now := of.after[key]; now != of.before[key] {
				w.add(of.field, key, "%s.%s is %s, and was %s", of.field, key, cmp.Or(now, "nothing"), of.before[key])
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(w.after.Scopes)) {
		if _, ok := w.before.Scopes[key]; !ok {
			w.add("scopes", key, "scopes.%s is new", key)
		}
	}
}

// added returns what is in the second list and not in the first.
func added(before, after []string) []string {
	return slices.DeleteFunc(slices.Clone(after), func(s string) bool { return slices.Contains(before, s) })
}

// judged compares what rules heed.
func (w *weakening) judged() {
	if w.before.Conventions != nil && !reflect.DeepEqual(w.before.Conventions, w.after.Conventions) {
		w.add("conventions", "", "conventions are others")
	} else if w.before.Conventions == nil && w.after.Conventions != nil {
		w.add("conventions", "", "conventions take the place of the article's")
	}
	for _, f := range []struct{ field, before, after string }{
		{"instance", w.before.Instance, w.after.Instance},
		{"argocd-version", w.before.ArgoCDVersion, w.after.ArgoCDVersion},
		{"kube-version", w.before.KubeVersion, w.after.KubeVersion},
		{"api-versions", strings.Join(w.before.APIVersions, " "), strings.Join(w.after.APIVersions, " ")},
		{"tracking", w.before.Tracking, w.after.Tracking},
	} {
		if f.before != f.after {
			w.add(f.field, "", "%s is %s, and was %s", f.field, cmp.Or(f.after, "nothing"), cmp.Or(f.before, "nothing"))
		}
	}
	before, errBefore := w.before.Config()
	after, errAfter := w.after.Config()
	if errBefore != nil || errAfter != nil { // both were checked when they were read
		return
	}
	for _, id := range slices.Sorted(maps.Keys(after.Off)) {
		if _, off := before.Off[id]; !off {
			w.add("rules", id, "rules turns %s off", id)
		}
	}
	for _, r := range rule.Catalogue() {
		was, is := r.Severity, r.Severity
		if s, ok := before.Severities[r.ID]; ok {
			was = s
		}
		if s, ok := after.Severities[r.ID]; ok {
			is = s
		}
		if is < was {
			w.add("rules", r.ID, "rules makes %s %s, and it was %s", r.ID, is, was)
		}
	}
}

// numbers compares the thresholds.
func (w *weakening) numbers() {
	before, percentBefore := w.before.Limits()
	after, percentAfter := w.after.Limits()
	for _, f := range []struct {
		field   string
		was, is int
	}{{"max-deleted", before, after}, {"max-deleted-percent", percentBefore, percentAfter}} {
		if f.was != 0 && (f.is == 0 || f.is > f.was) {
			w.add(f.field, "", "%s is %d, and was %d", f.field, f.is, f.was)
		}
	}
}

// waived finds waivers and approvals that are new.
func (w *weakening) waived() {
	known := make(map[string]bool)
	sign := func(f *finding.Waiver) string {
		return fmt.Sprintf("%q", []string{strings.Join(f.Rules, ","), f.Object, f.Path, f.Application, f.Expires.Format(time.DateOnly)})
	}
	for _, f := range slices.Concat(w.before.own, w.before.approvals) {
		known[sign(f)] = true
	}
	for _, f := range slices.Concat(w.after.own, w.after.approvals) {
		if known[sign(f)] {
			continue
		}
		var of []string
		for _, part := range []string{f.Object, f.Application, f.Path} {
			if part != "" {
				of = append(of, part)
			}
		}
		text := fmt.Sprintf("a waiver of %s for %s until %s", strings.Join(f.Rules, ", "), strings.Join(of, ", "), f.Expires.Format(time.DateOnly))
		w.edits = append(w.edits, Edit{text, f.Place})
	}
}

// Thresholds where the settings have none.
const (
	DefaultMaxDeleted        = 50
	DefaultMaxDeletedPercent = 25
)

// Limits returns how many objects a change may delete, and how much of one Application in percent. 0 is any number.
func (s *Settings) Limits() (objects, percent int) {
	objects, percent = DefaultMaxDeleted, DefaultMaxDeletedPercent
	if s.MaxDeleted != nil {
		objects = *s.MaxDeleted
	}
	if s.MaxDeletedPercent != nil {
		percent = *s.MaxDeletedPercent
	}
	return objects, percent
}

// place finds the line of a value of a field, of the field, or else the file.
func (s *Settings) place(field, value string) finding.Place {
	p := finding.Place{Path: s.file}
	var document yaml.Node
	if yaml.Unmarshal(s.text, &document) != nil || len(document.Content) == 0 {
		return p
	}
	key := finding.Walk(document.Content[0], []string{field})
	if key == document.Content[0] {
		return p
	}
	p.Line, p.Column = key.Line, key.Column
	if n := scalar(finding.Value(document.Content[0], field), value); n != nil {
		p.Line, p.Column = n.Line, n.Column
	}
	return p
}

// scalar finds a text in a node, nil where it is not there.
func scalar(n *yaml.Node, text string) *yaml.Node {
	if n == nil || text == "" || n.Kind == yaml.AliasNode {
		return nil
	}
	if n.Kind == yaml.ScalarNode && n.Value == text {
		return n
	}
	for _, child := range n.Content {
		if found := scalar(child, text); found != nil {
			return found
		}
	}
	return nil
}
