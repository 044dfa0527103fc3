package render

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// Manifest is an object and its file.
type Manifest struct {
	Key     object.Key
	Version string
	// Name is the file's, in the output's folder.
	Name   string
	Origin Origin
	Text   []byte
}

// Warning is something about what was rendered that somebody should know.
type Warning struct {
	Origin  Origin
	Message string
}

func (w Warning) String() string { return fmt.Sprintf("%s: %s", w.Origin, w.Message) }

// Rendered is what came of rendering an output, beside its manifests.
type Rendered struct {
	Objects  int
	Warnings []Warning
}

// rendering is an output at work.
type rendering struct {
	*Renderer
	take func(*Manifest) error

	mu       sync.Mutex
	claims   *claims
	problems Problems
	done     Rendered
	err      error // that ends it
}

// job is a text in its place.
type job struct {
	text
	place
}

// Each renders an output and hands over every manifest, by several goroutines at once. With an error, what was handed over is of no use:
// Problems when what was rendered cannot be written.
func (r *Renderer) Each(ctx context.Context, o *Output, take func(*Manifest) error) (*Rendered, error) {
	sources, err := r.sources(o)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	at := &rendering{Renderer: r, take: take, claims: newClaims(MaxObjects)}
	jobs := make(chan job, 64)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for j := range jobs {
				if err := at.text(j); err != nil {
					at.fail(err)
					stop()
				}
			}
		})
	}
	for n := range sources {
		count := 0
		err := at.texts(ctx, &sources[n], func(t text) {
			if ctx.Err() == nil {
				jobs <- job{t, place{source: n, text: count}}
			}
			count++
		})
		var problem *Problem
		if errors.As(err, &problem) {
			at.problem(problem)
		} else if err != nil {
			at.fail(err)
			break
		}
	}
	close(jobs)
	wg.Wait()
	return at.result()
}

func (r *rendering) result() (*Rendered, error) {
	if r.err != nil {
		return nil, r.err
	}
	problems := append(r.problems, r.claims.problems()...)
	if len(problems) > 0 {
		slices.SortStableFunc(problems, func(a, b *Problem) int {
			return cmp.Or(tree.Compare(a.Origin.Path, b.Origin.Path), cmp.Compare(a.Origin.Line, b.Origin.Line), strings.Compare(a.Error(), b.Error()))
		})
		return nil, problems
	}
	slices.SortFunc(r.done.Warnings, func(a, b Warning) int { return strings.Compare(a.String(), b.String()) })
	return &r.done, nil
}

// fail keeps the first error that ends it.
func (r *rendering) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
}

func (r *rendering) problem(p *Problem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problems = append(r.problems, p)
}

// text finds the objects of one text.
func (r *rendering) text(j job) error {
	for _, document := range object.Documents(j.data) {
		v, err := parse(document)
		if err != nil {
			r.problem(&Problem{Origin: j.origin, Message: err.Error()})
			continue
		}
		var list []found
		if err := objects(v, "", 0, func(f found) { list = append(list, f) }); err != nil {
			r.problem(&Problem{Origin: j.origin, Message: err.Error()})
			continue
		}
		for n := range list {
			if err := r.object(&j, &list[n]); err != nil {
				return err
			}
			j.item++
		}
	}
	return nil
}

// object makes the manifest of an object, and hands it over.
func (r *rendering) object(j *job, f *found) error {
	origin := j.origin
	origin.Way = f.way
	if j.lines != nil {
		origin.Way, origin.Line = "", j.lines[f.item]
	}
	k, version, generated, err := identity(f.body)
	if err != nil {
		r.problem(&Problem{Origin: origin, Message: err.Error()})
		return nil
	}
	k = r.Scopes.Normalise(k, "")
	m := &Manifest{Key: k, Version: version, Name: object.FileName(k, version), Origin: origin}
	first, err := r.claim(claimed{j.place, k, version, m.Name, origin}, generated)
	if !first || err != nil {
		return err
	}
	if m.Text, err = encode(f.body); err == nil && bytes.Contains(m.Text, []byte(object.SkipMarker)) {
		err = errMarker
	}
	if err != nil {
		r.problem(&Problem{Origin: origin, Message: fmt.Sprintf("%s: %v", k, err)})
		return nil
	}
	if isSecret(k, f.body) {
		r.warn(Warning{origin, fmt.Sprintf("%s has values: in git, everybody who can read the repository has them for ever", k)})
	}
	return r.take(m)
}

func (r *rendering) claim(c claimed, generated bool) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first, err := r.claims.claim(c, generated)
	if first {
		r.done.Objects++
	}
	return first, err
}

func (r *rendering) warn(w Warning) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done.Warnings = append(r.done.Warnings, w)
}
