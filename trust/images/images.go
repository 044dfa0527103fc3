// Package images reads the lists of images that others publish and that may run: which exact image, whose it is, who reviewed it, and until
// when. A list is a file in git, so that a change of it is reviewed as any other is.
//
// It contacts a registry only in Update, to ask what a tag names now.
package images

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"go.yaml.in/yaml/v3"

	"github.com/holdfast-telemetry/holdfast/internal/nearest"
)

// Bounds of a list.
const (
	MaxSize  = 4 << 20 // bytes
	MaxWords = 255     // bytes of owner and reviewer
)

// Soon is how long before an entry expires its owner is told.
const Soon = 14 * 24 * time.Hour

// Image is an entry.
type Image struct {
	// Reference is the image, with its digest.
	Reference name.Digest
	// Tag is the one that the reference also names; empty when it names none.
	Tag string
	// Owner uses the image, and ReviewedBy looked at this digest of it.
	Owner, ReviewedBy string
	// Expires is the day from which on the image is no longer signed.
	Expires time.Time

	File string
	Line int

	reference, review *yaml.Node
}

// Problem is what is wrong with a list, and where.
type Problem struct {
	File    string
	Line    int
	Message string
	// Warning says that the list may be used all the same.
	Warning bool
}

func (p Problem) String() string {
	kind := "error"
	if p.Warning {
		kind = "warning"
	}
	return fmt.Sprintf("%s:%d: %s: %s", p.File, p.Line, kind, p.Message)
}

// List is what is in a file.
type List struct {
	File   string
	Text   []byte
	Images []Image
}

// Read reads a list and returns the problems of its form. Entries with an error are left out.
func Read(fsys fs.FS, file string) (*List, []Problem, error) {
	in, err := fsys.Open(file)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the list of images: %w", err)
	}
	defer func() { _ = in.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(in, MaxSize+1))
	if err != nil {
		return nil, nil, fmt.Errorf("reading the list of images %s: %w", file, err)
	}
	if len(text) > MaxSize {
		return nil, nil, fmt.Errorf("the list of images %s has more than %d bytes", file, MaxSize)
	}
	l, problems := Parse(file, text)
	return l, problems, nil
}

// Parse reads the text of a list.
func Parse(file string, text []byte) (*List, []Problem) {
	r := &reader{List: &List{File: file, Text: text}}
	r.document()
	return r.List, r.problems
}

type reader struct {
	*List
	problems []Problem
}

func (r *reader) fail(n *yaml.Node, format string, args ...any) {
	r.problems = append(r.problems, Problem{File: r.File, Line: max(n.Line, 1), Message: fmt.Sprintf(format, args...)})
}

func (r *reader) document() {
	d := yaml.NewDecoder(bytes.NewReader(r.Text))
	var doc yaml.Node
	if err := d.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		r.fail(&doc, "it is no YAML: %v", err)
		return
	}
	if err := d.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		r.fail(&doc, "there is a second document, which nothing would read")
		return
	}
	if doc.Kind != yaml.DocumentNode || doc.Content[0].Kind != yaml.MappingNode {
		r.fail(&doc, `it has no list "images"`)
		return
	}
	for key, value := range r.fields(doc.Content[0], "images") {
		if key == "images" && value.Kind != yaml.SequenceNode {
			r.fail(value, "images is no list")
			continue
		}
		for _, n := range value.Content {
			r.image(n)
		}
	}
}

// fields are those of a mapping, which must be among the known ones.
func (r *reader) fields(n *yaml.Node, known ...string) map[string]*yaml.Node {
	all := map[string]*yaml.Node{}
	if n.Kind != yaml.MappingNode {
		r.fail(n, "this is no entry with the fields %s", strings.Join(known, ", "))
		return all
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case !slices.Contains(known, key.Value):
			hint := "known are " + strings.Join(known, ", ")
			if near := nearest.Of(key.Value, known); near != "" {
				hint = "did you mean " + near + "?"
			}
			r.fail(key, "there is no field %q: %s", key.Value, hint)
		case all[key.Value] != nil:
			r.fail(key, "the field %s is there twice", key.Value)
		default:
			all[key.Value] = value
		}
	}
	return all
}

func (r *reader) image(n *yaml.Node) {
	before := len(r.problems)
	f := r.fields(n, "reference", "owner", "reviewed-by", "expires")
	if n.Kind != yaml.MappingNode {
		return
	}
	i := Image{File: r.File, Line: n.Line, reference: f["reference"], review: f["reviewed-by"]}
	words := func(field string) string {
		v := f[field]
		if v == nil || v.Kind != yaml.ScalarNode || strings.TrimSpace(v.Value) == "" {
			at := n
			if v != nil {
				at = v
			}
			r.fail(at, "%s is missing or empty", field)
			return ""
		}
		if len(v.Value) > MaxWords {
			r.fail(v, "%s has more than %d bytes", field, MaxWords)
		}
		return strings.TrimSpace(v.Value)
	}
	i.Owner, i.ReviewedBy = words("owner"), words("reviewed-by")
	if text := words("reference"); text != "" {
		r.reference(&i, f["reference"], text)
	}
	if text := words("expires"); text != "" {
		var err error
		if i.Expires, err = time.Parse(time.DateOnly, text); err != nil {
			r.fail(f["expires"], "expires is %q: a day is wanted, as in 2027-01-31", text)
		}
	}
	// An entry that nobody has reviewed is one of the list all the same: Update writes such.
	if len(r.problems) == before || i.reference != nil && i.Reference.DigestStr() != "" && i.ReviewedBy == "" {
		r.Images = append(r.Images, i)
	}
}

// reference reads REPOSITORY:TAG@DIGEST; the tag may be missing.
func (r *reader) reference(i *Image, n *yaml.Node, text string) {
	at, digest, pinned := strings.Cut(text, "@")
	if !pinned {
		r.fail(n, "%s has no digest: whoever can push the tag could have anything signed. Pin it by %s@sha256:..., which images update does", text, text)
		return
	}
	repository := at
	if tag, err := name.NewTag(at, name.WeakValidation); err == nil && strings.HasSuffix(at, ":"+tag.TagStr()) {
		i.Tag, repository = tag.TagStr(), strings.TrimSuffix(at, ":"+tag.TagStr())
	}
	d, err := name.NewDigest(repository+"@"+digest, name.WeakValidation)
	if err != nil || !strings.HasPrefix(digest, "sha256:") {
		r.fail(n, "%s is no image with a digest: REPOSITORY:TAG@sha256:... is wanted", text)
		return
	}
	i.Reference = d
}

// Check looks at entries together: it names those that are there twice, have expired, or soon will.
func Check(lists []*List, now time.Time) (problems []Problem) {
	seen := map[string]Image{}
	for _, l := range lists {
		for _, i := range l.Images {
			id := i.Reference.Name() // in which docker.io/library/redis is redis
			if first, twice := seen[id]; twice {
				problems = append(problems, Problem{File: i.File, Line: i.Line, Message: fmt.Sprintf("%s is at %s:%d already", id, first.File, first.Line)})
			} else {
				seen[id] = i
			}
			switch left := i.Expires.Sub(now); {
			case i.Expires.IsZero(): // which Read has said
			case left <= 0:
				problems = append(problems, Problem{File: i.File, Line: i.Line, Message: fmt.Sprintf("%s expired on %s: review it again, or remove it", id, i.Expires.Format(time.DateOnly))})
			case left < Soon:
				problems = append(problems, Problem{File: i.File, Line: i.Line, Warning: true, Message: fmt.Sprintf("%s expires on %s; it is %s's", id, i.Expires.Format(time.DateOnly), i.Owner)})
			}
		}
	}
	return problems
}

// Signable are the images that are to be signed now: reviewed and not expired.
func Signable(lists []*List, now time.Time) (all []Image) {
	for _, l := range lists {
		for _, i := range l.Images {
			if i.ReviewedBy != "" && now.Before(i.Expires) {
				all = append(all, i)
			}
		}
	}
	return all
}
