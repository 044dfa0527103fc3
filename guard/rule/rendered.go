package rule

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"runtime"
	"strings"
	"sync"

	"github.com/holdfast-telemetry/holdfast/guard/engine"
	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/render"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

func renderRules() []*Rule {
	return []*Rule{
		{ID: "HG023", Name: "not-rendered-from-source", Severity: finding.Error,
			Catches: "A file of an output that `guard.yaml` lists under `render` is not what its sources render to: it is missing, has other bytes, or is of an object that is no longer rendered; or the sources cannot be rendered.",
			Why:     "What is reviewed in the sources is then not what Argo CD applies. What was changed in the output by hand is lost with the next rendering, and what was forgotten there arrives with the next change of somebody else.",
			Mend:    "run holdfast-guard render, with --prune-output where files are stale, and commit what it writes", Setting: "`render`; see [render.md](render.md)", run: rendered},
	}
}

// rendered renders all outputs and compares them with what is there.
func rendered(p *pass) {
	outputs, err := render.Outputs(p.config.Render, p.Tree().Files())
	if err != nil {
		p.findFile(finding.Place{Path: "guard.yaml"}, "what is to be rendered is not there: %v", err)
		return
	}
	r := &render.Renderer{Tree: p.Tree(), Engine: p.Options.Engine, Scopes: p.Scopes}
	if r.Engine == nil && len(outputs) > 0 {
		r.Engine = engine.Shared()
	}
	outcomes, errs := compareAll(p.ctx, r, outputs)
	if p.err = p.ctx.Err(); p.err != nil {
		return
	}
	for n, o := range outputs {
		if errs[n] != nil {
			p.notRendered(o, errs[n])
			continue
		}
		for m := range outcomes[n].Differences {
			p.differs(o, &outcomes[n].Differences[m])
		}
	}
}

// compareAll compares outputs side by side.
func compareAll(ctx context.Context, r *render.Renderer, outputs []*render.Output) ([]*render.Outcome, []error) {
	outcomes, errs := make([]*render.Outcome, len(outputs)), make([]error, len(outputs))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(outputs)) {
		wg.Go(func() {
			for n := range next {
				outcomes[n], errs[n] = r.Compare(ctx, outputs[n], render.NewCommitted(r.Tree, outputs[n].Folder))
			}
		})
	}
	for n := range outputs {
		next <- n
	}
	close(next)
	wg.Wait()
	return outcomes, errs
}

// notRendered says why an output cannot be rendered, at the place that is to blame where that is known.
func (p *pass) notRendered(o *render.Output, err error) {
	var problems render.Problems
	if errors.As(err, &problems) {
		for _, problem := range problems {
			found := p.findFile(placeOf(problem.Origin), "%s cannot be rendered: %s", o.Folder, problem.Message)
			if problem.Other != nil {
				found.Related = []finding.Place{placeOf(*problem.Other)}
			}
		}
		return
	}
	at := finding.Place{Path: p.sourceOf(o)}
	var failed *engine.Error
	if errors.As(err, &failed) && failed.Path != "" && p.exists(failed.Path) {
		at = finding.Place{Path: failed.Path, Line: failed.Line, Column: max(failed.Column, min(failed.Line, 1))}
	}
	p.findFile(at, "%s cannot be rendered: %v", o.Folder, err)
}

func placeOf(o render.Origin) finding.Place {
	return finding.Place{Path: o.Path, Line: o.Line, Column: min(o.Line, 1)}
}

func (p *pass) exists(name string) bool {
	under := tree.Under(p.Tree().Files(), path.Dir("/"+name))
	for n := range under {
		if under[n].Path == name {
			return true
		}
	}
	return false
}

// sourceOf is a file of an output's first source.
func (p *pass) sourceOf(o *render.Output) string {
	source := tree.Clean(o.Sources[0].Path)
	if under := tree.Under(p.Tree().Files(), source); !p.exists(source) && len(under) > 0 {
		return under[0].Path
	}
	return source
}

// differs says how a file is not what is rendered.
func (p *pass) differs(o *render.Output, d *render.Difference) {
	file := path.Join(o.Folder, d.Name)
	at := finding.Place{Path: file}
	var found *finding.Finding
	switch d.Kind {
	case render.Missing:
		at = placeOf(d.Origin)
		if !p.exists(at.Path) {
			at = finding.Place{Path: p.sourceOf(o)}
		}
		found = p.findFile(at, "%s renders to %s, which is not there", d.Key, file)
	case render.Changed:
		found = p.findFile(at, "%s is not what %s renders to%s", d.Key, d.Origin, cmp.Or(firstLine(d.Diff), because(d.Why)))
		found.Related = []finding.Place{placeOf(d.Origin)}
	case render.Stale:
		found = p.findFile(at, "nothing renders to %s any more", d.Key)
	case render.Foreign:
		found = p.findFile(at, "nothing renders to it, and Argo CD reads it: %s", d.Why)
	}
	if d.Key != (object.Key{}) {
		found.Key = d.Key
	}
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

// firstLine says where a diff begins.
func firstLine(diff string) string {
	line, _, _ := strings.Cut(diff, "\n")
	if at, ok := strings.CutPrefix(line, "@ "); ok {
		return fmt.Sprintf(": the first difference is at %s", at)
	}
	return ""
}
