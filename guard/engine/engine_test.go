package engine_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/engine"
	"github.com/holdfast-telemetry/holdfast/guard/tree/treetest"
)

// render renders files, with an engine of its own where the options are not the usual ones.
func render(t *testing.T, files map[string]string, s *engine.Spec, o engine.Options) (*engine.Result, error) {
	t.Helper()
	e := engine.Shared()
	if o != (engine.Options{}) {
		e = engine.New(o)
		t.Cleanup(func() { _ = e.Close() })
	}
	return e.Render(t.Context(), treetest.Folder(t, files), s)
}

// failure is the error that a source must give.
func failure(t *testing.T, err error) *engine.Error {
	t.Helper()
	var failed *engine.Error
	if !errors.As(err, &failed) {
		t.Fatalf("it ends with %v, and not with an error of the source", err)
	}
	return failed
}

func text(r *engine.Result) string {
	var b strings.Builder
	for _, d := range r.Documents {
		b.WriteString("# " + d.Origin + "\n")
		b.Write(bytes.TrimSuffix(d.Data, []byte("\n")))
		b.WriteString("\n---\n")
	}
	return b.String()
}
