package engine_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/guard/engine"
	"github.com/holdfast-telemetry/holdfast/guard/tree/treetest"
)

// endless is a jsonnet that does not end, and takes no memory.
const endless = "local f(n) = if n == 0 then 0 else std.length(std.filter(function(i) f(n - 1) < 0, std.range(1, 1000))); {a: f(9)}"

func one(text string) (map[string]string, *engine.Spec) {
	return map[string]string{"a/a.jsonnet": text}, &engine.Spec{Tool: engine.Jsonnet, Path: "a", Jsonnet: engine.JsonnetOptions{File: "a/a.jsonnet"}}
}

func TestHostileJsonnetIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		text, message string
		fault         engine.Fault
		o             engine.Options
	}{
		"a recursion":         {"local f(x) = f(x + 1) + 1; {a: f(0)}", "stack", engine.OfSource, engine.Options{}},
		"a loop":              {endless, "longer than", engine.OfLimit, engine.Options{Timeout: 300 * time.Millisecond}},
		"an object in itself": {"{a: {b: $}}", "stack", engine.OfSource, engine.Options{}},
		"an import of itself": {"import 'a.jsonnet'", "", engine.OfSource, engine.Options{}},
		"a memory bomb": {"local d(x, n) = if n == 0 then x else d(x + x, n - 1) tailstrict; " +
			"{a: std.length(std.join('', d(['0123456789'], 40)))}", "of memory", engine.OfLimit, engine.Options{Memory: 128 << 20, Timeout: 5 * time.Minute}},
		"a text of gigabytes":  {"{a: std.repeat('0123456789', 2000000000)}", "of memory", engine.OfLimit, engine.Options{Memory: 128 << 20, Timeout: 5 * time.Minute}},
		"an array of billions": {"std.makeArray(2000000000, function(i) {a: i})", "of memory", engine.OfLimit, engine.Options{Memory: 128 << 20, Timeout: 5 * time.Minute}},
		"a large output":       {"{a: std.repeat('0123456789', 20000)}", "larger than", engine.OfLimit, engine.Options{Output: 1 << 16}},
	} {
		t.Run(name, func(t *testing.T) {
			files, s := one(c.text)
			_, err := render(t, files, s, c.o)
			if got := failure(t, err); got.Fault != c.fault || !strings.Contains(got.Message, c.message) || got.Path != "a/a.jsonnet" {
				t.Errorf("it says %d, %v", got.Fault, got)
			}
		})
	}
}

func TestAnEngineRendersOnAfterASourceThatWasStopped(t *testing.T) {
	e := engine.New(engine.Options{Workers: 1, Timeout: 4 * time.Second})
	defer func() { _ = e.Close() }()
	files, s := one(endless)
	_, err := e.Render(t.Context(), treetest.Folder(t, files), s)
	if failure(t, err).Fault != engine.OfLimit {
		t.Fatal(err)
	}
	files, s = one("{a: 1}")
	if _, err := e.Render(t.Context(), treetest.Folder(t, files), s); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	files, s = one("{a: 2}")
	if _, err := e.Render(t.Context(), treetest.Folder(t, files), s); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("a closed engine says %v", err)
	}
}
