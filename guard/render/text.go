package render

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/engine"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// text is one that has objects.
type text struct {
	data   []byte
	origin Origin
	// lines are those of its objects, by their place in a list; nil where it was made by a tool.
	lines map[int]int
}

// texts renders a source and hands on each text that it has.
func (r *rendering) texts(ctx context.Context, s *source, do func(text)) error {
	if s.tool != "" {
		return r.engine(ctx, s, &engine.Spec{Tool: s.tool, Path: s.Path, Helm: s.helm()}, do)
	}
	for _, f := range s.files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if isJsonnet(f) {
			spec := &engine.Spec{Tool: engine.Jsonnet, Path: tree.Clean(path.Dir("/" + f.Path)), Jsonnet: s.Jsonnet}
			spec.Jsonnet.File = f.Path
			if err := r.engine(ctx, s, spec, do); err != nil {
				return err
			}
		} else if err := r.plain(f, do); err != nil {
			return err
		}
	}
	return nil
}

func (s *source) helm() engine.HelmOptions {
	h := s.Helm
	if h.Release == "" {
		h.Release = path.Base(s.Path)
	}
	h.SkipCRDs = !s.IncludeCRDs
	return h
}

// plain hands on the documents of a file.
func (r *rendering) plain(f tree.File, do func(text)) error {
	origin := Origin{Path: f.Path}
	if f.Escapes {
		r.problem(&Problem{Origin: origin, Message: "it is a link out of the repository, which is not followed"})
		return nil
	}
	data, err := r.Tree.Read(f)
	if err != nil {
		return fmt.Errorf("reading %s in %s: %w", f.Path, r.Tree.Name(), err)
	}
	file := object.Read(f.Path, data, nil)
	if file.Bad != nil {
		r.problem(&Problem{Origin: Origin{Path: f.Path, Line: file.Bad.Line}, Message: file.Bad.Message})
		return nil
	}
	for _, repeated := range file.Repeated {
		r.problem(&Problem{Origin: Origin{Path: f.Path, Line: repeated.Line}, Message: fmt.Sprintf("%s is there twice, and the last one would stand", repeated.Field)})
	}
	if file.Skipped {
		r.warn(Warning{origin, "it carries " + object.SkipMarker + ", and is not rendered"})
		return nil
	}
	documents(f.Path, data, file, do)
	return nil
}

// documents hands on those of a file that has objects.
func documents(path string, data []byte, file *object.File, do func(text)) {
	if strings.HasSuffix(path, ".json") {
		do(text{data, Origin{Path: path}, linesOf(file.Objects)})
		return
	}
	number, at := 0, 0
	for _, document := range object.Documents(data) {
		from := at
		for at < len(file.Objects) && file.Objects[at].Document == number {
			at++
		}
		if at > from {
			do(text{document, Origin{Path: path, Line: file.Objects[from].Line}, linesOf(file.Objects[from:at])})
		}
		number++
	}
}

func linesOf(objects []object.Object) map[int]int {
	lines := make(map[int]int, len(objects))
	for n := range objects {
		lines[objects[n].Item] = objects[n].Line
	}
	return lines
}

// engine has the engine render, charts twice: their templates can roll dice and look at the clock.
func (r *rendering) engine(ctx context.Context, s *source, spec *engine.Spec, do func(text)) error {
	result, err := r.Engine.Render(ctx, r.Tree, spec)
	var failed *engine.Error
	if errors.As(err, &failed) && failed.Path != "" {
		return err // it says itself where it is
	} else if err != nil {
		return fmt.Errorf("rendering %s: %w", s.Path, err)
	}
	if spec.Tool == engine.Helm {
		again, err := r.Engine.Anew(ctx, r.Tree, spec)
		if err != nil {
			return fmt.Errorf("rendering %s again: %w", s.Path, err)
		}
		if err := same(s.Path, result, again); err != nil {
			return err
		}
	}
	for _, d := range result.Documents {
		origin := Origin{Path: d.Origin}
		if origin.Path == "" {
			origin.Path = s.Path
		}
		do(text{data: d.Data, origin: origin})
	}
	return nil
}

// same says where two renderings of a chart differ.
func same(chart string, a, b *engine.Result) error {
	for n := range max(len(a.Documents), len(b.Documents)) {
		if n >= len(a.Documents) || n >= len(b.Documents) {
			return fmt.Errorf("%s: rendered twice it gives %d documents and then %d: %s", chart, len(a.Documents), len(b.Documents), random)
		}
		if one, other := a.Documents[n], b.Documents[n]; string(one.Data) != string(other.Data) {
			return fmt.Errorf("%s: rendered twice it differs (%s): %s", one.Origin, firstDifference(one.Data, other.Data), random)
		}
	}
	return nil
}

const random = "a template uses randAlphaNum, genCA, uuidv4, now or the like; give it the value instead of having it made"

// firstDifference returns where two texts differ first: the line's number and what is before the colon, never a value, for it may be a secret.
func firstDifference(a, b []byte) string {
	x, y := strings.Split(string(a), "\n"), strings.Split(string(b), "\n")
	for n := range min(len(x), len(y)) {
		if x[n] != y[n] {
			key, _, found := strings.Cut(strings.TrimSpace(x[n]), ":")
			if !found {
				return fmt.Sprintf("line %d", n+1)
			}
			return fmt.Sprintf("line %d, %s", n+1, key)
		}
	}
	return "in its length"
}
