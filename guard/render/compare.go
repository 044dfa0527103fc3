package render

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/gobwas/glob"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// Kind says how a file of an output differs from what is rendered.
type Kind string

// The kinds of differences.
const (
	Missing Kind = "missing" // rendered, and not there
	Changed Kind = "changed" // there, with other bytes
	Stale   Kind = "stale"   // a file as render writes it, and not rendered
	Foreign Kind = "foreign" // a file that Argo CD would read, and that render never wrote: it stays
)

// Difference is one file of an output that is not what rendering gives.
type Difference struct {
	Kind Kind
	// Name is the file's in the output's folder.
	Name string
	Key  object.Key
	// Origin is what it is rendered from; nothing of stale and foreign files.
	Origin Origin
	// Diff has the lines that differ, and Why what is foreign in a file.
	Diff, Why string
}

// Existing is the folder of an output as it is.
type Existing interface {
	// Names are those of the files in the folder, without folders. There are none where there is no folder.
	Names() ([]string, error)
	// Read returns a file's content, and false where there is none. What is no plain file is an errNotPlain.
	Read(name string) ([]byte, bool, error)
	// Same says whether two names are one file, as they are where upper and lower case are one.
	Same(a, b string) bool
}

// errNotPlain is what is there in a file's place: a link, for one.
type errNotPlain struct{ what string }

func (e errNotPlain) Error() string { return "it is " + e.what + ", and no file" }

// Outcome is what came of comparing or writing an output.
type Outcome struct {
	Rendered
	// Differences are in the order of the names.
	Differences []Difference
	// Written and Removed are the names of files.
	Written, Removed []string
}

// comparison is an output that is rendered against what is there.
type comparison struct {
	there Existing
	keep  []glob.Glob

	mu          sync.Mutex
	differences []Difference
	rendered    map[string]string // names by their lower case
}

// Compare renders an output and says where the folder differs.
func (r *Renderer) Compare(ctx context.Context, o *Output, there Existing) (*Outcome, error) {
	c, err := newComparison(o, there)
	if err != nil {
		return nil, err
	}
	rendered, err := r.Each(ctx, o, func(m *Manifest) error {
		_, err := c.compare(m)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := c.others(); err != nil {
		return nil, err
	}
	return c.outcome(rendered), nil
}

func newComparison(o *Output, there Existing) (*comparison, error) {
	c := &comparison{there: there, rendered: make(map[string]string)}
	for _, text := range o.Keep {
		g, err := glob.Compile(text, '/')
		if err != nil {
			return nil, fmt.Errorf("keep: %q is no pattern: %w", text, err)
		}
		c.keep = append(c.keep, g)
	}
	return c, nil
}

func (c *comparison) outcome(r *Rendered) *Outcome {
	slices.SortFunc(c.differences, func(a, b Difference) int { return strings.Compare(a.Name, b.Name) })
	return &Outcome{Rendered: *r, Differences: c.differences}
}

// compare says whether a manifest is there as it is rendered.
func (c *comparison) compare(m *Manifest) (bool, error) {
	was, ok, err := c.there.Read(m.Name)
	d := Difference{Kind: Changed, Name: m.Name, Key: m.Key, Origin: m.Origin}
	var notPlain errNotPlain
	if errors.As(err, &notPlain) {
		d.Why, err = notPlain.Error(), nil
	}
	if err != nil {
		return false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rendered[strings.ToLower(m.Name)] = m.Name
	switch {
	case ok && bytes.Equal(was, m.Text):
		return true, nil
	case !ok && d.Why == "":
		d.Kind = Missing
	case d.Why == "":
		if d.Diff = diff(was, m.Text); m.Key.GroupKind() == (object.Kind{Kind: "Secret"}) {
			d.Diff, d.Why = "", "its values are not shown"
		}
		if sameObject(was, m.Text) {
			d.Why = "it has the same object, written in another way"
		}
	}
	c.differences = append(c.differences, d)
	return false, nil
}

// sameObject says whether two texts have one object, however they write it.
func sameObject(a, b []byte) bool {
	x, err := parse(a)
	if err != nil {
		return false
	}
	body, ok := x.(map[string]any)
	if !ok {
		return false
	}
	text, err := encode(body)
	return err == nil && bytes.Equal(text, b)
}

// others looks at the files that nothing was rendered for.
func (c *comparison) others() error {
	names, err := c.there.Names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if !argo.Readable(name) || slices.ContainsFunc(c.keep, func(g glob.Glob) bool { return g.Match(name) }) {
			continue
		}
		if mine, ok := c.rendered[strings.ToLower(name)]; ok && (mine == name || c.there.Same(mine, name)) {
			continue
		}
		if d, differs, err := c.other(name); err != nil {
			return err
		} else if differs {
			c.differences = append(c.differences, d)
		}
	}
	return nil
}

// other says what a file is that was not rendered.
func (c *comparison) other(name string) (Difference, bool, error) {
	d := Difference{Kind: Foreign, Name: name}
	data, ok, err := c.there.Read(name)
	var notPlain errNotPlain
	if errors.As(err, &notPlain) {
		d.Why = notPlain.Error()
		return d, true, nil
	}
	if err != nil || !ok {
		return d, false, err
	}
	if strings.HasSuffix(name, ".jsonnet") {
		d.Why = "Argo CD evaluates it"
		return d, true, nil
	}
	f := object.Read(name, data, nil)
	switch {
	case f.Bad != nil && f.Bad.Manifest:
		d.Why = "it cannot be read: " + f.Bad.Error()
	case f.Bad != nil, len(f.Objects) == 0:
		return d, false, nil // Argo CD reads nothing of it
	case len(f.Objects) == 1 && !f.Lists && isNamed(name, &f.Objects[0]):
		d.Kind, d.Key = Stale, f.Objects[0].Key
	case len(f.Objects) == 1:
		d.Why = fmt.Sprintf("it has %s and is not named after it", f.Objects[0].Key)
	default:
		d.Why = fmt.Sprintf("it has %d objects", len(f.Objects))
	}
	return d, true, nil
}

// isNamed says whether a file has the name that render gives to one with that object.
func isNamed(name string, o *object.Object) bool {
	k := o.Key
	if name == object.FileName(k, o.Version) {
		return true
	}
	k.Namespace = ""
	return name == object.FileName(k, o.Version)
}
