package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

func TestRefusedPointsAreNamedInInfluxWords(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) int64 { return now.Add(d).UnixNano() }
	long := strings.Repeat("x", MaxStringBytes+1)
	bound := "dropped because it violates a Retention Policy Lower Bound at 2026-03-03T12:00:00Z"
	for _, tc := range []struct {
		name, before, body string
		want               string // of the error, "" when everything is admitted
		kept               []string
	}{
		{name: "all admitted", body: fmt.Sprintf("m f=1,s=\"a\" %d", at(0)), kept: []string{fmt.Sprintf("m f=1,s=\"a\" %d", at(0))}},
		{
			name: "type conflict with what is stored", before: fmt.Sprintf("m f=1 %d", at(0)), body: fmt.Sprintf("m f=2i %d\nm f=3 %d", at(1), at(2)),
			want: `partial write: field type conflict: input field "f" on measurement "m" is type integer, already exists as type float dropped=1`,
			kept: []string{fmt.Sprintf("m f=3 %d", at(2))},
		},
		{
			name: "type conflict within the write", body: fmt.Sprintf("m f=true %d\nm,a=b f=\"x\" %d\nm f=1u %d", at(0), at(1), at(2)),
			want: `partial write: field type conflict: input field "f" on measurement "m" is type string, already exists as type boolean dropped=2`,
			kept: []string{fmt.Sprintf("m f=true %d", at(0))},
		},
		{
			name: "another type in another partition", before: fmt.Sprintf("m f=1 %d", at(0)), body: fmt.Sprintf("m f=2i %d", at(-30*time.Hour)),
			kept: []string{fmt.Sprintf("m f=2i %d", at(-30*time.Hour))},
		},
		{
			name: "older than the retention", body: fmt.Sprintf("m,h=a f=1 %d\nm,h=b f=1 %d\nm,h=c f=1 %d\nm f=1 %d", at(-8*24*time.Hour), at(-9*24*time.Hour), at(-7*24*time.Hour-1), at(-7*24*time.Hour)),
			want: "partial write: dropped 3 points outside retention policy of duration 168h0m0s - oldest point m,h=b at 2026-03-01T12:00:00Z " + bound +
				", newest point m,h=c at 2026-03-03T11:59:59.999999999Z " + bound + " dropped=3",
			kept: []string{fmt.Sprintf("m f=1 %d", at(-7*24*time.Hour))},
		},
		{
			name: "field named time is taken out", body: fmt.Sprintf("m time=1i,f=1 %d", at(0)),
			want: `partial write: invalid field name: input field "time" on measurement "m" is invalid dropped=0`,
			kept: []string{fmt.Sprintf("m f=1 %d", at(0))},
		},
		{
			name: "nothing but a field named time", body: fmt.Sprintf("m time=1i %d", at(0)),
			want: `partial write: invalid field name: input field "time" on measurement "m" is invalid dropped=1`,
		},
		{
			name: "string too long", body: fmt.Sprintf("m s=\"%s\",f=1 %d\nm s=\"%s\" %d", long, at(0), long[1:], at(1)),
			want: `partial write: input field "s" on measurement "m" is too long, 1048577 > 1048576 dropped=1`,
			kept: []string{fmt.Sprintf("m s=\"%s\" %d", long[1:], at(1))},
		},
		{
			name: "several reasons: the first that is not the retention's", before: fmt.Sprintf("m f=1 %d", at(0)),
			body: fmt.Sprintf("m f=1 %d\nm time=1 %d\nm f=1i %d\nm g=1 %d", at(-8*24*time.Hour), at(0), at(1), at(2)),
			want: `partial write: invalid field name: input field "time" on measurement "m" is invalid dropped=3`,
			kept: []string{fmt.Sprintf("m g=1 %d", at(2))},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, b := openTest(t, t.TempDir(), newClock(now), BucketOptions{Retention: 7 * 24 * time.Hour})
			if tc.before != "" {
				write(t, b, tc.before)
			}
			batch := parse(t, tc.body)
			got := ""
			if partial := b.Admit(batch, now); partial != nil {
				got = partial.Error()
			}
			if got != tc.want {
				t.Errorf("answer\n%s\nwant\n%s", got, tc.want)
			}
			kept := strings.Split(strings.TrimSuffix(string(line.AppendBatch(nil, batch)), "\n"), "\n")
			if !slices.Equal(kept, tc.kept) && (len(tc.kept) > 0 || kept[0] != "") {
				t.Errorf("kept %q, want %q", kept, tc.kept)
			}
		})
	}
}

func TestFieldTypesOutliveARestart(t *testing.T) {
	dir, c := t.TempDir(), newClock(day(1))
	s, b := openTest(t, dir, c, BucketOptions{})
	write(t, b, fmt.Sprintf("m f=1 %d", day(1).UnixNano()))
	if err := b.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, b = openTest(t, dir, c, BucketOptions{})
	if partial := b.Admit(parse(t, fmt.Sprintf("m f=1i %d", day(1).UnixNano())), c.now()); partial == nil || partial.Dropped != 1 {
		t.Errorf("a point of another type was admitted: %v", partial)
	}
}

func TestMeasurementThatWasDroppedCanComeBackWithOtherTypes(t *testing.T) {
	dir, c := t.TempDir(), newClock(day(1))
	_, b := openTest(t, dir, c, BucketOptions{})
	write(t, b, fmt.Sprintf("m f=1 %d\nn f=1 %d", day(1).UnixNano(), day(1).UnixNano()))
	must(t, b.Flush(context.Background()))
	b.ApplyDelete(b.Applied()+1, Delete{Range: allTime, Measurement: OfMeasurement("m")})
	write(t, b, fmt.Sprintf("m f=2i %d", day(1).UnixNano()+1))
	want := []string{fmt.Sprintf("m f=2i %d", day(1).UnixNano()+1), fmt.Sprintf("n f=1 %d", day(1).UnixNano())}
	compareDumps(t, "before the merge", dump(t, b, allTime, false), want)
	must(t, b.Flush(context.Background()))
	compareDumps(t, "after the flush", dump(t, b, allTime, false), want)
	must(t, b.Compact(context.Background()))
	compareDumps(t, "after the merge", dump(t, b, allTime, false), want)
	if n := len(b.tombstones); n != 0 {
		t.Errorf("%d tombstones are left after the merge that applied them", n)
	}
}

func TestSeriesBeyondTheCapAreRefused(t *testing.T) {
	s, err := Open(Options{Dir: t.TempDir(), Manual: true, MaxSeries: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { must(t, s.Close()) }()
	b, err := s.Bucket(testBucket, BucketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	batch := parse(t, "m,h=a f=1 1\nm,h=b f=1 1\nm,h=c f=1 1\nm,h=d f=1 1\nm,h=a f=1 2")
	partial := b.Admit(batch, time.Now())
	if partial == nil || partial.Error() != "partial write: max-series-per-database limit exceeded: (2) dropped=2" {
		t.Errorf("answer %v", partial)
	}
	if len(batch.Points) != 3 {
		t.Errorf("%d points are left, want 3", len(batch.Points))
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
