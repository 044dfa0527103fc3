package store

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

func TestTagKeysAreThoseOfTheSeriesInTheRange(t *testing.T) {
	_, b := openTest(t, t.TempDir(), newClock(day(1)), BucketOptions{})
	old, late := day(1).UnixNano(), day(20).UnixNano() // in partitions of their own
	write(t, b, fmt.Sprintf("cpu,host=a,zone=x f=1 %d\ncpu,host=b f=1 %d\nmem,rack=1 f=1 %d\ncpu,late=1 f=1 %d", old, old, old, late))
	check := func(when string) {
		t.Helper()
		for _, c := range []struct {
			measurement string
			tr          TimeRange
			want        string
		}{
			{"cpu", allTime, "host late zone"},
			{"cpu", TimeRange{old, old}, "host zone"},
			{"cpu", TimeRange{late, late}, "late"},
			{"mem", allTime, "rack"},
			{"none", allTime, ""},
		} {
			got, err := b.TagKeys(t.Context(), c.measurement, c.tr)
			must(t, err)
			if strings.Join(got, " ") != c.want {
				t.Errorf("%s: keys of %s in %v: %q, want %q", when, c.measurement, c.tr, got, c.want)
			}
		}
	}
	check("in memory")
	must(t, b.Flush(context.Background()))
	check("in blocks")
}
