package store

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

func TestSeriesAreSelectedByTags(t *testing.T) {
	_, b := openTest(t, t.TempDir(), newClock(day(1)), BucketOptions{})
	write(t, b, "cpu,host=a,zone=x f=1 1\ncpu,host=b f=1 1\ncpu,host=c,zone=y f=1 1\ncpu f=1 1\ncpus,host=a f=1 1")
	must(t, b.Flush(context.Background()))
	write(t, b, "cpu,host=d,zone=x f=1 1")
	re := func(op MatchOp, key, expr string) TagMatcher {
		return TagMatcher{Key: key, Op: op, Regexp: regexp.MustCompile(expr)}
	}
	for _, tc := range []struct {
		match []TagMatcher
		want  string
	}{
		{nil, "cpu cpu,host=a,zone=x cpu,host=b cpu,host=c,zone=y cpu,host=d,zone=x"},
		{[]TagMatcher{{Key: "zone", Value: "x"}}, "cpu,host=a,zone=x cpu,host=d,zone=x"},
		{[]TagMatcher{{Key: "zone", Op: MatchNotEqual, Value: "x"}}, "cpu cpu,host=b cpu,host=c,zone=y"},
		{[]TagMatcher{{Key: "zone", Value: ""}}, "cpu cpu,host=b"},
		{[]TagMatcher{{Key: "zone", Op: MatchNotEqual, Value: ""}}, "cpu,host=a,zone=x cpu,host=c,zone=y cpu,host=d,zone=x"},
		{[]TagMatcher{{Key: "none", Value: ""}}, "cpu cpu,host=a,zone=x cpu,host=b cpu,host=c,zone=y cpu,host=d,zone=x"},
		{[]TagMatcher{{Key: "none", Value: "x"}}, ""},
		{[]TagMatcher{re(MatchRegex, "host", "^[ab]$")}, "cpu,host=a,zone=x cpu,host=b"},
		{[]TagMatcher{re(MatchRegex, "host", "^[ab]?$")}, "cpu cpu,host=a,zone=x cpu,host=b"},
		{[]TagMatcher{re(MatchNotRegex, "host", "^[ab]$")}, "cpu cpu,host=c,zone=y cpu,host=d,zone=x"},
		{[]TagMatcher{re(MatchNotRegex, "host", "^[ab]?$")}, "cpu,host=c,zone=y cpu,host=d,zone=x"},
		{[]TagMatcher{{Key: "zone", Value: "x"}, re(MatchRegex, "host", "d")}, "cpu,host=d,zone=x"},
		{[]TagMatcher{{Key: "host", Op: MatchNotEqual, Value: "a"}, {Key: "host", Op: MatchNotEqual, Value: "b"}}, "cpu cpu,host=c,zone=y cpu,host=d,zone=x"},
	} {
		got, err := b.Series(context.Background(), "cpu", allTime, tc.match)
		must(t, err)
		var keys []string
		for _, s := range got {
			keys = append(keys, s.Key)
		}
		if strings.Join(keys, " ") != tc.want {
			t.Errorf("%v: series %q, want %q", tc.match, keys, tc.want)
		}
	}
}

func TestReadersSeeOnlyWhatTheRetentionCovers(t *testing.T) {
	c := newClock(day(10))
	dir := t.TempDir()
	_, b := openTest(t, dir, c, BucketOptions{Retention: 48 * time.Hour})
	first, second := day(8).Add(time.Hour).UnixNano(), day(9).Add(time.Hour).UnixNano()
	write(t, b, fmt.Sprintf("old f=1 %d\nnew f=1 %d\nboth f=1 %d\nboth f=2 %d", first, second, first, second))
	must(t, b.Flush(context.Background()))

	c.set(time.Unix(0, first).Add(48 * time.Hour))
	if n := len(dump(t, b, allTime, false)); n != 4 {
		t.Errorf("at the end of its retention %d values are read, want 4", n)
	}
	c.set(time.Unix(0, first).Add(48*time.Hour + 1))
	want := []string{fmt.Sprintf("both f=2 %d", second), fmt.Sprintf("new f=1 %d", second)}
	compareDumps(t, "one ns later", dump(t, b, allTime, false), want)

	must(t, b.DropExpired())
	if n := len(b.partitions); n != 2 {
		t.Errorf("%d partitions are left while one is only partly over, want 2", n)
	}
	c.set(day(11).Add(time.Hour))
	must(t, b.DropExpired())
	if files, err := filepath.Glob(filepath.Join(dir, "*", "20260308*", "*")); err != nil || len(files) > 0 || len(b.partitions) != 1 {
		t.Errorf("expired partition: %d partitions, files %v, %v", len(b.partitions), files, err)
	}
	compareDumps(t, "after the drop", dump(t, b, allTime, false), want)
	if _, ok := b.index.byKey["old"]; ok {
		t.Error("the series that has no points any more is still in the index")
	}
}

func TestScanIsASnapshot(t *testing.T) {
	c := newClock(day(1))
	_, b := openTest(t, t.TempDir(), c, BucketOptions{ShardDuration: 24 * time.Hour})
	at := day(1).UnixNano()
	var want []string
	for i := range 3 {
		var text strings.Builder
		for j := range 1500 {
			n := i*1500 + j
			fmt.Fprintf(&text, "m,h=a f=%d %d\n", n, at+int64(n))
			want = append(want, fmt.Sprintf("m,h=a f=%d %d", n, at+int64(n)))
		}
		write(t, b, text.String())
		if i < 2 {
			must(t, b.Flush(context.Background()))
		}
	}
	series, err := b.Series(context.Background(), "m", allTime, nil)
	must(t, err)
	cursor, err := b.Scan(context.Background(), ScanOptions{Series: series, Fields: []string{"f"}, Range: allTime})
	must(t, err)
	first, err := cursor.Next()
	must(t, err)
	got := appendChunk(nil, first, "f")

	write(t, b, fmt.Sprintf("m,h=a f=-1 %d\nm,h=a f=-2 %d\nm,h=a f=-3 %d", at, at+4400, at+9000))
	b.ApplyDelete(b.Applied()+1, Delete{Range: TimeRange{at + 3000, at + 3500}})
	must(t, b.Flush(context.Background()))
	must(t, b.Compact(context.Background()))
	b.ApplyDelete(b.Applied()+1, Delete{Range: allTime})
	must(t, b.Flush(context.Background()))
	must(t, b.Compact(context.Background()))
	if n := len(dump(t, b, allTime, false)); n != 0 {
		t.Errorf("%d values are read after everything was deleted", n)
	}
	for {
		chunk, err := cursor.Next()
		if err != nil {
			break
		}
		got = appendChunk(got, chunk, "f")
	}
	must(t, cursor.Close())
	if !slices.Equal(got, want) {
		t.Errorf("the scan gave %d rows, want the %d there were when it began", len(got), len(want))
	}
	if files, err := filepath.Glob(filepath.Join(b.dir, "*", "*")); err != nil || len(files) > 0 {
		t.Errorf("files are left when nobody reads them: %v, %v", files, err)
	}
}

func appendChunk(dst []string, c *Chunk, field string) []string {
	for i, at := range c.Times {
		dst = append(dst, fmt.Sprintf("%s %s=%s %d", c.Series.Key, field, line.AppendValue(nil, c.Columns[0].value(i)), at))
	}
	return dst
}

// Readers run against writes, deletes, flushes, merges and retention; each must see every point that was there all the time.
func TestReadersRunBesideWritersAndMerges(t *testing.T) {
	c := newClock(day(5))
	_, b := openTest(t, t.TempDir(), c, BucketOptions{ShardDuration: 24 * time.Hour, Retention: 3 * 24 * time.Hour})
	var fixed strings.Builder
	var want []string
	for i := range 3000 {
		fmt.Fprintf(&fixed, "fixed,h=a f=%d,s=\"%d\" %d\n", i, i, day(4).UnixNano()+int64(i))
		want = append(want, fmt.Sprintf("fixed,h=a f=%d %d", i, day(4).UnixNano()+int64(i)))
	}
	write(t, b, fixed.String())
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	run := func(f func(i int) error) {
		work.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if err := f(i); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	run(func(int) error { return b.Flush(ctx) })
	run(func(int) error { return b.Compact(ctx) })
	run(func(int) error { return b.DropExpired() })
	run(func(int) error { _, err := b.Verify(ctx); return err })
	for range 2 {
		run(func(i int) error {
			got := dumpScan(t, b, ScanOptions{Series: []*Series{newSeries("fixed,h=a")}, Fields: []string{"f"}, Range: allTime, Descending: i%2 == 0})
			if i%2 == 0 {
				slices.Reverse(got)
			}
			if !slices.Equal(got, want) {
				return fmt.Errorf("a reader saw %d rows, want %d", len(got), len(want))
			}
			return nil
		})
	}
	for i := range 150 {
		at := day(4).UnixNano() + int64(i)*1e6
		if i%10 == 0 {
			at = day(2).UnixNano() + int64(i)
		}
		write(t, b, fmt.Sprintf("moving,h=%d f=%d,s=\"x\" %d\nfixed,h=b g=%di %d", i%7, i, at, i, at))
		if i%20 == 19 {
			b.ApplyDelete(b.Applied()+1, Delete{Range: allTime, Measurement: OfMeasurement("moving")})
		}
	}
	stop()
	work.Wait()
	if d := b.Damages(); len(d) > 0 {
		t.Errorf("damage was reported: %v", d[0].Error())
	}
}

func TestLinesGiveEveryPointOnce(t *testing.T) {
	w := "m,h=a f=1.5,i=3i,s=\"a \\\"b\\\"\" 1\nm,h=b u=7u,b=true 1\nn f=2 5\nm\\ x,a\\,b=c\\=d f\\ g=1 9\n"
	_, b := openTest(t, t.TempDir(), newClock(day(1)), BucketOptions{ShardDuration: 5})
	write(t, b, w)
	must(t, b.Flush(context.Background()))
	write(t, b, "m,h=a f=2.5 1\nm,h=a f=3 12")
	var got []string
	for batch, err := range b.Lines(context.Background(), TimeRange{1, 11}) {
		must(t, err)
		got = append(got, strings.Split(strings.TrimSpace(string(line.AppendBatch(nil, batch))), "\n")...)
	}
	want := []string{
		"m,h=a f=2.5,i=3i,s=\"a \\\"b\\\"\" 1", "m,h=b b=true,u=7u 1",
		"m\\ x,a\\,b=c\\=d f\\ g=1 9", "n f=2 5",
	}
	if !slices.Equal(got, want) {
		t.Errorf("lines\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestLinesComeInBoundedBatches(t *testing.T) {
	_, b := openTest(t, t.TempDir(), newClock(day(1)), BucketOptions{})
	var text strings.Builder
	for i := range 3*linesBatch + 5 {
		fmt.Fprintf(&text, "m f=%d %d\n", i, i)
	}
	write(t, b, text.String())
	n, batches := 0, 0
	for batch, err := range b.Lines(context.Background(), allTime) {
		must(t, err)
		if len(batch.Points) > linesBatch {
			t.Errorf("a batch has %d points", len(batch.Points))
		}
		n += len(batch.Points)
		batches++
	}
	if n != 3*linesBatch+5 || batches != 4 {
		t.Errorf("%d points in %d batches", n, batches)
	}
}

func TestPredicateOfADeleteRequest(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"", `{"min":0,"max":0}`},
		{`_measurement="m"`, `{"min":0,"max":0,"measurement":{"op":"=","value":"m"}}`},
		{` _measurement = "m" AND host = 'a b' and "zone x"!="\"q\\"`, `{"min":0,"max":0,"measurement":{"op":"=","value":"m"},"tags":[{"key":"host","op":"=","value":"a b"},{"key":"zone x","op":"!=","value":"\"q\\"}]}`},
		{`host=a-1.b`, `{"min":0,"max":0,"tags":[{"key":"host","op":"=","value":"a-1.b"}]}`},
		{`_measurement=~/m/`, "bad delete predicate at byte 12: regular expressions are not supported"},
		{`a="b" OR c="d"`, "bad delete predicate at byte 6: only AND may join comparisons"},
		{`a="b`, "bad delete predicate at byte 2: a quote is not closed"},
		{`a>"b"`, `bad delete predicate at byte 1: expected = or != after "a"`},
		{`a=`, "bad delete predicate at byte 2: expected a value"},
		{`="x"`, "bad delete predicate at byte 0: expected the name of a tag"},
		{`_field="x"`, ErrFieldPredicate.Error()},
	} {
		m, tags, err := ParsePredicate(tc.in)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			text, err := Delete{Measurement: m, Tags: tags}.MarshalJSON()
			must(t, err)
			got = string(text)
			var back Delete
			must(t, back.UnmarshalJSON(text))
		}
		if got != tc.want {
			t.Errorf("%s:\n%s\nwant\n%s", tc.in, got, tc.want)
		}
	}
}
