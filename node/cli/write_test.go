package cli

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/cli/client"
	"github.com/holdfast-telemetry/holdfast/node/line"
)

const writeTarget = "/api/v2/write?bucket=b&org=o&precision=ns"

func written(lines string) exchange {
	return exchange{request: "POST " + writeTarget, body: lines, status: 204}
}

func fileOf(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	if _, err := zip.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWriteTakesLinesFromEverywhere(t *testing.T) {
	const a, b = "cpu v=1 1\ncpu v=2 2\n", "mem v=3i 3"
	files := http.NewServeMux()
	files.HandleFunc("/a.lp.gz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, zipped(t, a)) })
	server := httptest.NewServer(files)
	defer server.Close()
	tests := []struct {
		name, stdin string
		args        []string
		steps       []exchange
	}{
		{"the argument", "", []string{b}, []exchange{written(b + "\n")}},
		{"a file by @", "", []string{"@" + fileOf(t, "a.lp", a)}, []exchange{written(a)}},
		{"files, each with a request of its own", "", []string{"-f", fileOf(t, "a.lp", a), "--file", fileOf(t, "b.lp", b)}, []exchange{written(a), written(b + "\n")}},
		{"a compressed file", "", []string{"-f", fileOf(t, "a.lp.gz", zipped(t, a))}, []exchange{written(a)}},
		{"a compressed file of another name", "", []string{"--compression", "gzip", "-f", fileOf(t, "a.bin", zipped(t, a))}, []exchange{written(a)}},
		{"a URL", "", []string{"-u", server.URL + "/a.lp.gz"}, []exchange{written(a)}},
		{"stdin", a, nil, []exchange{written(a)}},
		{"stdin by name, behind a file", a, []string{"-f", fileOf(t, "b.lp", b), "-"}, []exchange{written(b + "\n"), written(a)}},
		{"nothing", "", nil, nil},
		{"a file that looks like CSV and is not", "", []string{"--format", "lp", "-f", fileOf(t, "a.csv", a)}, []exchange{written(a)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := at(t, play(t, tt.steps...))
			s.stdin = tt.stdin
			if got := s.run(t, append([]string{"write", "-b", "b"}, tt.args...)...); got != (outcome{}) {
				t.Errorf("%s", got)
			}
		})
	}
}

func TestWriteNamesTargetAndPrecisionAsGiven(t *testing.T) {
	host := play(t, exchange{request: "POST /api/v2/write?bucket=" + bucketID + "&org=" + orgID + "&precision=s", body: "cpu v=1 1\n", status: 204})
	if got := run(t, host, "write", "--bucket-id", bucketID, "--org-id", orgID, "-p", "s", "cpu v=1 1"); got != (outcome{}) {
		t.Errorf("%s", got)
	}
}

func TestWriteErrorsOfTheCommandLineSendNothing(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.lp")
	for name, tt := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no bucket":        {[]string{"cpu v=1"}, ExitUsage, "--bucket"},
		"precision":        {[]string{"-b", "b", "-p", "h", "cpu v=1"}, ExitUsage, "ns, us, ms or s"},
		"csv":              {[]string{"-b", "b", "-f", "x.csv"}, ExitUsage, "CSV"},
		"csv by its flag":  {[]string{"-b", "b", "--format", "csv"}, ExitUsage, "CSV"},
		"rate":             {[]string{"-b", "b", "--rate-limit", "fast", "cpu v=1"}, ExitUsage, "fast"},
		"missing file":     {[]string{"-b", "b", "-f", missing}, ExitFailed, "missing.lp"},
		"not gzip":         {[]string{"-b", "b", "-f", fileOf(t, "x.gz", "cpu v=1")}, ExitFailed, "x.gz"},
		"two arguments":    {[]string{"-b", "b", "cpu", "v=1"}, ExitUsage, "quote"},
		"compression name": {[]string{"-b", "b", "--compression", "zip", "x"}, ExitUsage, "gzip"},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, play(t), append([]string{"write"}, tt.args...)...)
			if got.code != tt.code || !strings.Contains(got.errors, tt.want) {
				t.Errorf("%s", got)
			}
		})
	}
}

const parseRefusal = `{"code":"invalid","message":"unable to parse 'bad': missing fields"}`

func TestWriteNamesTheLinesThatCannotBeParsed(t *testing.T) {
	path := fileOf(t, "in.lp", "cpu v=1 1\n\nbad\ncpu s=\"two\nlines\" 2\ncpu v=x 3\n")
	host := play(t, exchange{request: "POST " + writeTarget, body: "cpu v=1 1\n\nbad\ncpu s=\"two\nlines\" 2\ncpu v=x 3\n", status: 400, answer: parseRefusal})
	got := run(t, host, "write", "-b", "b", "-f", path)
	golden(t, "write-bad-lines", strings.ReplaceAll(got.String(), path, "in.lp"), host)
}

func TestWriteLeavesOutBadLinesWhenItMay(t *testing.T) {
	const text = "cpu v=1 1\nbad\ncpu s=\"two\nlines\" 2\ncpu v=x 3\n"
	path, rejected := fileOf(t, "in.lp", text), filepath.Join(t.TempDir(), "rejected")
	host := play(t, exchange{request: "POST " + writeTarget, body: text, status: 400, answer: parseRefusal}, written("cpu v=1 1\ncpu s=\"two\nlines\" 2\n"))
	got := run(t, host, "write", "-b", "b", "-f", path, "--skipRowOnError", "--errors-file", rejected)
	golden(t, "write-skip", strings.ReplaceAll(got.String(), path, "in.lp"), host)
	if left, err := os.ReadFile(rejected); err != nil || string(left) != "bad\ncpu v=x 3\n" {
		t.Errorf("errors file: %q, %v", left, err)
	}
}

func TestWriteOfOnlyBadLinesSendsNothingMore(t *testing.T) {
	host := play(t, exchange{request: "POST " + writeTarget, body: "bad\n", status: 400, answer: parseRefusal})
	if got := run(t, host, "write", "-b", "b", "--skipRowOnError", "bad"); got.code != ExitFailed || !strings.Contains(got.errors, "1 lines") {
		t.Errorf("%s", got)
	}
}

func TestWriteTellsWhatIsStoredWhenTheServerRefuses(t *testing.T) {
	for name, x := range map[string]exchange{
		"partial":    {status: 422, answer: `{"code":"unprocessable entity","message":"failure writing points to database: partial write: field type conflict dropped=1"}`},
		"unknown":    {status: 404, answer: `{"code":"not found","message":"bucket \"b\" not found"}`},
		"too-large":  {status: 413, answer: `{"code":"invalid","message":"the body is too large"}`},
		"other-rule": {status: 400, answer: `{"code":"invalid","message":"a rule that this program does not know"}`},
	} {
		t.Run(name, func(t *testing.T) {
			x.request, x.body = "POST "+writeTarget, "cpu v=1 1\n"
			host := play(t, x)
			golden(t, "write-refused-"+name, run(t, host, "write", "-b", "b", "cpu v=1 1").String(), host)
		})
	}
}

func TestPartialWriteIsAWarningWhenBadRowsMayBeLeftOut(t *testing.T) {
	a, b := fileOf(t, "a.lp", "cpu v=1 1\n"), fileOf(t, "b.lp", "cpu v=2 2\n")
	refusal := written("cpu v=1 1\n")
	refusal.status, refusal.answer = 422, `{"code":"unprocessable entity","message":"partial write: field type conflict dropped=1"}`
	host := play(t, refusal, written("cpu v=2 2\n"))
	got := run(t, host, "write", "-b", "b", "-f", a, "-f", b, "--skipRowOnError")
	if got.code != ExitFailed || !strings.Contains(got.errors, "field type conflict") || !strings.Contains(got.errors, "1 batches") {
		t.Errorf("%s", got)
	}
}

func TestWriteWaitsForABusyServerAndTriesNothingElseAgain(t *testing.T) {
	var waited []time.Duration
	steps := []exchange{
		{status: 503, header: http.Header{"Retry-After": {"7"}}}, {status: 429, header: http.Header{"Retry-After": {"4000"}}}, {status: 503}, {status: 204},
	}
	for i := range steps {
		steps[i].request, steps[i].body = "POST "+writeTarget, "cpu v=1 1\n"
	}
	w := testWriter(t, play(t, steps...))
	w.wait = func(_ context.Context, d time.Duration) error { waited = append(waited, d); return nil }
	if err := w.write(context.Background(), &lineBatch{source: "x", line: 1, lines: 1, text: []byte("cpu v=1 1\n")}); err != nil {
		t.Fatal(err)
	}
	if want := []time.Duration{7 * time.Second, time.Minute, 4 * time.Second}; !slices.Equal(waited, want) {
		t.Errorf("waited %v, want %v", waited, want)
	}
}

func TestWriteGivesUpOnAServerThatStaysBusy(t *testing.T) {
	tries := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { tries++; w.WriteHeader(503) }))
	defer server.Close()
	w := testWriter(t, server.URL)
	err := w.write(context.Background(), &lineBatch{source: "x", line: 1, lines: 1, text: []byte("cpu v=1 1\n")})
	if err == nil || tries != busyTries {
		t.Errorf("%d tries, %v; want %d and an error", tries, err, busyTries)
	}
}

func TestRateLimitWaitsForWhatWasSent(t *testing.T) {
	var waited time.Duration
	w := testWriter(t, play(t, exchange{request: "POST " + writeTarget, body: "cpu v=1 1\n", status: 204}))
	w.rate = 5
	w.wait = func(_ context.Context, d time.Duration) error { waited = d; return nil }
	if err := w.write(context.Background(), &lineBatch{source: "x", line: 1, lines: 1, text: []byte("cpu v=1 1\n")}); err != nil {
		t.Fatal(err)
	}
	if waited != 2*time.Second {
		t.Errorf("waited %v for 10 bytes at 5 B/s, want 2s", waited)
	}
}

func testWriter(t *testing.T, host string) *lineWriter {
	t.Helper()
	c, err := client.New(client.Options{Host: host, Token: "tok"})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(0, 0)
	return &lineWriter{
		client: c, target: client.WriteTarget{Org: "o", Bucket: "b", Precision: "ns"}, precision: line.Nanosecond, warn: io.Discard,
		progress: newProgress(io.Discard, 0), wait: func(context.Context, time.Duration) error { return nil }, now: func() time.Time { return at },
	}
}

func TestRatesAreRead(t *testing.T) {
	for text, want := range map[string]float64{"": 0, "17kBs": 17 * 1024, "5 MB / 5 min": 5 * 1048576 / 300.0, "5.5B/2sec": 2.75, "1MB1m": 1048576 / 60.0} {
		if got, err := parseRate(text); err != nil || got != want {
			t.Errorf("parseRate(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"5", "MB/s", "0B/s", "5GB/s", "5B/0s", ".B/s"} {
		if got, err := parseRate(text); err == nil {
			t.Errorf("parseRate(%q) = %v, want an error", text, got)
		}
	}
}

// batchesOf returns the batches that an input of the text is cut into, as "line+lines:text".
func batchesOf(t *testing.T, r io.Reader, limits batchLimits) ([]string, error) {
	t.Helper()
	in := &inputs{list: []input{{"in", r}}}
	var got []string
	err := in.batches(context.Background(), limits, func(b *lineBatch) error {
		got = append(got, fmt.Sprintf("%d+%d:%s", b.line, b.lines, b.text))
		return nil
	})
	return got, err
}

// slowReader hands out n bytes at a time.
type slowReader struct {
	text string
	n    int
}

func (r *slowReader) Read(p []byte) (int, error) {
	if r.text == "" {
		return 0, io.EOF
	}
	n := copy(p, r.text[:min(r.n, len(r.text))])
	r.text = r.text[n:]
	return n, nil
}

func TestBatchesEndAtLineEndsWhateverTheReadsAre(t *testing.T) {
	tests := []struct {
		name, text string
		limit      int
		want       []string
	}{
		{"by size", "a v=1\nb v=2\nc v=3\n", 12, []string{"1+2:a v=1\nb v=2\n", "3+1:c v=3\n"}},
		{"a long line alone", "a v=1\nbbbbbbbbbbbbbb v=2\nc v=3", 7, []string{"1+1:a v=1\n", "2+1:bbbbbbbbbbbbbb v=2\n", "3+1:c v=3\n"}},
		{"a line end inside a string", "a s=\"x\ny\"\nb v=2\n", 10, []string{"1+2:a s=\"x\ny\"\n", "3+1:b v=2\n"}},
		{"an escaped quote in a string", "a s=\"x\\\"\ny\"\nb v=2\n", 10, []string{"1+2:a s=\"x\\\"\ny\"\n", "3+1:b v=2\n"}},
		{"a quote in a name opens nothing", "a\",t=\"q v=1\nb v=2\n", 12, []string{"1+1:a\",t=\"q v=1\n", "2+1:b v=2\n"}},
		{"a quote in a comment opens nothing", "# it=\" \nb v=2\n", 9, []string{"1+1:# it=\" \n", "2+1:b v=2\n"}},
		{"a quote without fields opens nothing", "a\"=\"\nb v=2\n", 6, []string{"1+1:a\"=\"\n", "2+1:b v=2\n"}},
		{"an open string to the end", "a s=\"x\nb v=2\n", 100, []string{"1+2:a s=\"x\nb v=2\n"}},
		{"nothing", "", 10, nil},
		{"blank lines", "\n\na v=1\n", 100, []string{"1+3:\n\na v=1\n"}},
	}
	for _, tt := range tests {
		for _, n := range []int{1, 3, 1000} {
			t.Run(fmt.Sprintf("%s, %d bytes a read", tt.name, n), func(t *testing.T) {
				got, err := batchesOf(t, &slowReader{tt.text, n}, batchLimits{bytes: tt.limit, interval: time.Hour, line: 1000})
				if err != nil || strings.Join(got, "") != strings.Join(tt.want, "") || n == 1000 && !slices.Equal(got, tt.want) {
					t.Errorf("got %q, %v\nwant %q", got, err, tt.want)
				}
			})
		}
	}
}

func TestLineThatNeverEndsIsRefused(t *testing.T) {
	_, err := batchesOf(t, strings.NewReader("a v=1\na s=\""+strings.Repeat("x\n", 200_000)), batchLimits{bytes: 1000, interval: time.Hour, line: 100_000})
	if err == nil || !strings.Contains(err.Error(), "in:2:") {
		t.Errorf("error = %v, want one that names in:2", err)
	}
}

func TestErrorOfTheInputNamesItsPlace(t *testing.T) {
	broken := io.MultiReader(strings.NewReader("a v=1\nb v=2\n"), errorReader{})
	_, err := batchesOf(t, broken, batchLimits{bytes: 1000, interval: time.Hour, line: 1000})
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "after line 2") {
		t.Errorf("error = %v", err)
	}
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestLinesThatTrickleInAreSentAfterTheInterval(t *testing.T) {
	r, w := io.Pipe()
	defer func() { _ = r.Close() }()
	sent := make(chan string)
	done := make(chan error)
	in := &inputs{list: []input{{"pipe", r}}}
	go func() {
		done <- in.batches(context.Background(), batchLimits{bytes: 1000, interval: time.Millisecond, line: 1000}, func(b *lineBatch) error {
			sent <- string(b.text)
			return nil
		})
	}()
	for _, text := range []string{"a v=1\n", "b v=2\n"} {
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		if got := <-sent; got != text { // the input has not ended
			t.Errorf("sent %q, want %q", got, text)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestBatchesEndWithTheContext(t *testing.T) {
	r, _ := io.Pipe()
	defer func() { _ = r.Close() }()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	in := &inputs{list: []input{{"pipe", r}}}
	if err := in.batches(ctx, batchLimits{bytes: 1, interval: time.Hour, line: 1}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
}

func TestDryRunPrintsTheLinesAndNamesTheBadOnes(t *testing.T) {
	path := fileOf(t, "in.lp", "cpu v=1 1\nbad\ncpu v=2 2\n")
	got := run(t, "http://127.0.0.1:1", "write", "dryrun", "-f", path)
	golden(t, "write-dryrun", strings.ReplaceAll(got.String(), path, "in.lp"), "http://127.0.0.1:1")
}

func TestProgressTellsRateAndTimeLeft(t *testing.T) {
	at := time.Unix(100, 0)
	var shown bytes.Buffer
	p := &progress{out: &shown, now: func() time.Time { return at }, total: 10_000_000, begin: at}
	p.add(1_000_000, 10)
	if shown.Len() > 0 {
		t.Errorf("shown in the first second: %q", shown.String())
	}
	at = at.Add(2 * time.Second)
	p.add(1_000_000, 10)
	if want := "20 lines, 2.0 MB, 1.0 MB/s, 20 %, 8s left"; !strings.HasSuffix(shown.String(), want) {
		t.Errorf("shown %q, want %q", shown.String(), want)
	}
	p.finish()
	if !strings.HasSuffix(shown.String(), "\r\x1b[K") {
		t.Errorf("the line stays: %q", shown.String())
	}
}
