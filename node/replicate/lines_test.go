package replicate

import (
	"testing"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

func TestLinesEndWhereLineProtocolEndsThem(t *testing.T) {
	bodies := map[string]int{
		"m a=1 1\nm a=2 2\n":                        2,
		"m a=1 1\nm a=2 2":                          2,
		"m a=\"x\ny\" 1\nm a=2 2\n":                 2,
		"m a=\"x\\\"\ny\" 1\nm a=2 2\n":             2,
		"m a=\"x\\\\\" 1\nm a=2 2\n":                2,
		"m,t=\" a=\"x\ny\" 1\nm a=2 2\n":            2,
		"m,t=a\\ \" a=\"x\ny\" 1\nm a=2 2\n":        2,
		"m,t=a\\\\ b=1 a\"=\"\n\",b=2 3\nm a=2 2\n": 2,
		"m a=1,\"b=\"c\nd\",e=\"\" 1\n":             1,
		"":                                          0,
	}
	for body, want := range bodies {
		if got := lineEnds(nil, []byte(body)); len(got) != want {
			t.Errorf("%q has %d lines, want %d", body, len(got), want)
		}
	}
}

// Canonical text is cut into as many lines as it has points, each of which reads back as its point.
func FuzzLinesOfCanonicalText(f *testing.F) {
	for _, seed := range []string{"m a=1 1\nm,t=\\ \" a=\"x\ny\",\"b=\"c\" 2\nm a=t 3", "m\\,,a\\=b=c\\ d f\\ 1=\"\\\\\",g=1i 5\nn a=\"\\\"\" 1"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var p line.Parser
		var batch line.Batch
		_ = p.Parse(&batch, body, line.Options{}) // the points of the good lines are there
		text := line.AppendBatch(nil, &batch)
		ends := lineEnds(nil, text)
		if len(ends) != len(batch.Points) {
			t.Fatalf("%q has %d points and is cut into %d lines", text, len(batch.Points), len(ends))
		}
		at := 0
		for i, end := range ends {
			if want := line.AppendPoint(nil, &batch.Points[i]); string(text[at:end]) != string(want) {
				t.Fatalf("line %d is %q, want %q", i, text[at:end], want)
			}
			if ns, ok := lineTime(text[at:end]); !ok || ns != batch.Points[i].Time {
				t.Fatalf("time of %q is %d, %v", text[at:end], ns, ok)
			}
			at = end
		}
	})
}

func FuzzVerdictNamesOnlyLinesThatThereAre(f *testing.F) {
	f.Add([]byte(`{"error":"partial write of line protocol occurred","data":[{"line_number":2,"error_message":"x"}]}`))
	f.Add([]byte(`{"message":"unable to parse 'm a=1 1': x"}`))
	f.Add([]byte(`partial write: points beyond retention policy dropped=1`))
	f.Add([]byte(`partial write: field type conflict: input field "a" on measurement "m" is type float, already exists as type integer dropped=2`))
	lines := [][]byte{[]byte("m a=1 1"), []byte("m a=2 2"), []byte("m a=3i 3")}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, r := range judge(Answer{Body: body}, lines).refused {
			if r.index < 0 || r.index >= len(lines) {
				t.Fatalf("%q names line %d", body, r.index)
			}
		}
	})
}
