package cli

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"sync"

	"golang.org/x/term"

	"github.com/holdfast-telemetry/holdfast/guard/render"
)

// report says what came of all outputs, and returns the exit code as an error.
func (r *rendering) report(outputs []*render.Output, results []result) error {
	code, objects, written, removed := ExitDone, 0, 0, 0
	for n, o := range outputs {
		result := results[n]
		if result.Outcome != nil {
			differs := r.outcome(o, result.Outcome)
			if differs && r.check {
				code = max(code, ExitFailed)
			}
			objects += result.Objects
			written += len(result.Written)
			removed += len(result.Removed)
		}
		if result.err != nil {
			r.failed(o, result.err)
			code = max(code, codeOf(result.err))
		}
	}
	switch {
	case code == ExitDone && r.check:
		r.printf("%s, all as rendering gives them\n", count(objects, "file"))
	case code == ExitDone && !r.dryRun:
		r.printf("%s: %s written, %d removed, the others were as they are\n", count(objects, "object"), count(written, "file"), removed)
	}
	if code != ExitDone {
		return &exitError{code, nil}
	}
	return nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func codeOf(err error) int {
	var coded *exitError
	if errors.As(err, &coded) {
		return coded.code
	}
	if errors.Is(err, render.ErrUnused) {
		return ExitUsage
	}
	return ExitFailed
}

// failed says why an output was not rendered.
func (r *rendering) failed(o *render.Output, err error) {
	where := o.Folder
	if where == "" {
		where = "."
	}
	for line := range strings.Lines(fmt.Sprintf("%s: %v\n", where, err)) {
		_, _ = fmt.Fprintf(r.Err, "%s\n", plainText(line))
	}
}

// outcome says how an output differs, and whether it does.
func (r *rendering) outcome(o *render.Output, out *render.Outcome) bool {
	for _, w := range out.Warnings {
		_, _ = fmt.Fprintf(r.Err, "warning: %s\n", plainText(w.String()))
	}
	removed := make(map[string]bool)
	for _, name := range out.Removed {
		removed[name] = true
	}
	for n := range out.Differences {
		d := &out.Differences[n]
		file := plainText(path.Join(o.Folder, d.Name))
		switch {
		case removed[d.Name]:
			r.printf("removed %s\n", file)
		case d.Kind == render.Stale && r.dryRun && r.prune:
			r.printf("to remove %s\n", file)
		case d.Kind == render.Stale:
			r.printf("stale %s: nothing renders to it; render --prune-output removes it\n", file)
		case d.Kind == render.Foreign:
			r.printf("foreign %s: %s; render leaves it alone\n", file, plainText(d.Why))
		case r.check || r.dryRun:
			r.difference(file, d)
		}
	}
	return len(out.Differences) > 0
}

// difference says how a file differs from what is rendered.
func (r *rendering) difference(file string, d *render.Difference) {
	r.printf("%s %s: rendered from %s", d.Kind, file, plainText(d.Origin.String()))
	if d.Why != "" {
		r.printf("; %s", plainText(d.Why))
	}
	r.printf("\n")
	for line := range strings.Lines(d.Diff) {
		r.printf("    %s\n", plainText(line))
	}
}

// plainText takes out what would move a terminal, and ends of lines.
func plainText(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, strings.TrimSuffix(s, "\n"))
}

// progress says on a terminal how far it is.
type progress struct {
	to       *os.File // nil where nobody looks
	mu       sync.Mutex
	all, now int
}

func (r *rendering) progress(all int) *progress {
	p := &progress{all: all}
	if f, ok := r.Err.(*os.File); ok && term.IsTerminal(int(f.Fd())) && r.Getenv("TERM") != "dumb" {
		p.to = f
	}
	return p
}

func (p *progress) begin(folder string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.to != nil {
		_, _ = fmt.Fprintf(p.to, "\r\x1b[Krendering %d of %d: %s", p.now+1, p.all, plainText(folder))
	}
}

func (p *progress) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now++
}

func (p *progress) clear() {
	if p.to != nil {
		_, _ = fmt.Fprint(p.to, "\r\x1b[K")
	}
}
