package query

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/store"
	"github.com/influxdata/influxql"
)

func TestWindowsHoldTheirTimes(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var zones []*time.Location
	for _, name := range []string{"UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kolkata", "Australia/Lord_Howe"} {
		loc, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		zones = append(zones, loc, nil)
	}
	for range 20000 {
		w := windows{every: 1 + r.Int64N(int64(40*24*time.Hour)), loc: zones[r.IntN(len(zones))]}
		if w.loc == nil {
			w.offset = r.Int64N(w.every)
		}
		at := r.Int64N(4e18) - 2e18
		start, end := w.at(at)
		if start > at || end <= at {
			t.Fatalf("%+v: %d is not in [%d, %d)", w, at, start, end)
		}
		if w.loc == nil && end-start != w.every {
			t.Fatalf("%+v: the window of %d is %d long", w, at, end-start)
		}
		if s, _ := w.at(start); s != start {
			t.Fatalf("%+v: the window of its own start %d begins at %d", w, start, s)
		}
	}
}

func TestWindowsFollowTheClockOfTheirPlace(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	w := windows{every: int64(24 * time.Hour), loc: berlin}
	// Clocks went from 02:00 to 03:00 on 29 March 2026, and back on 25 October.
	for _, day := range []struct{ month, day, hours int }{{3, 28, 24}, {3, 29, 23}, {3, 30, 24}, {10, 25, 25}, {10, 26, 24}} {
		noon := time.Date(2026, time.Month(day.month), day.day, 12, 0, 0, 0, berlin)
		start, end := w.at(noon.UnixNano())
		midnight := time.Date(2026, time.Month(day.month), day.day, 0, 0, 0, 0, berlin)
		if start != midnight.UnixNano() || end-start != int64(day.hours)*int64(time.Hour) {
			t.Errorf("%s: window %s of %s", noon, time.Unix(0, start).In(berlin), time.Duration(end-start))
		}
	}
}

func TestSplitCoversAllRowsOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	for range 2000 {
		n := 1 + r.IntN(300)
		times := make([]int64, n)
		at := r.Int64N(1e6)
		for i := range times {
			at += r.Int64N(50)
			times[i] = at
		}
		if r.IntN(2) == 0 {
			for i, j := 0, n-1; i < j; i, j = i+1, j-1 {
				times[i], times[j] = times[j], times[i]
			}
		}
		w := windows{every: 1 + r.Int64N(2000)}
		next := 0
		for _, run := range w.split(nil, times) {
			if run.lo != next || run.hi <= run.lo {
				t.Fatalf("run %+v after row %d", run, next)
			}
			for _, x := range times[run.lo:run.hi] {
				if s, _ := w.at(x); s != run.start {
					t.Fatalf("%d is in the run of %d, but its window begins at %d", x, run.start, s)
				}
			}
			next = run.hi
		}
		if next != n {
			t.Fatalf("%d rows of %d", next, n)
		}
	}
}

func TestWindowSetsNumberEachWindowOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	w := windows{every: 10}
	s := newWindowSet(&w)
	seen := map[int64]int32{}
	for i := range 5000 {
		start := r.Int64N(500) * 10
		if i > 2500 {
			start = (r.Int64N(4000000) - 2000000) * 10 // beyond the table
		}
		n := s.index(start)
		if was, ok := seen[start]; ok && was != n {
			t.Fatalf("window %d was %d and is %d", start, was, n)
		}
		seen[start] = n
		if s.starts[n] != start {
			t.Fatalf("window %d is called %d, which is %d", start, n, s.starts[n])
		}
	}
	if len(s.starts) != len(seen) {
		t.Errorf("%d windows for %d", len(s.starts), len(seen))
	}
	order := s.order(true)
	for i := 1; i < len(order); i++ {
		if s.starts[order[i]] >= s.starts[order[i-1]] {
			t.Fatal("not descending")
		}
	}
}

func TestConditionsOnTagsBecomeAlternatives(t *testing.T) {
	for _, c := range []struct {
		cond string
		want []string
	}{
		{`a = 'x'`, []string{"a=x"}},
		{`a = 'x' AND b != 'y'`, []string{"a=x b!=y"}},
		{`a = 'x' OR b = 'y'`, []string{"a=x", "b=y"}},
		{`(a = 'x' OR b = 'y') AND c = 'z'`, []string{"a=x c=z", "b=y c=z"}},
		{`(a = 'x' OR a = 'y') AND (b = '1' OR b = '2')`, []string{"a=x b=1", "a=x b=2", "a=y b=1", "a=y b=2"}},
	} {
		all, err := disjunction(influxql.MustParseExpr(c.cond))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, and := range all {
			text := ""
			for i, m := range and {
				if i > 0 {
					text += " "
				}
				text += m.Key + map[store.MatchOp]string{store.MatchEqual: "=", store.MatchNotEqual: "!="}[m.Op] + m.Value
			}
			got = append(got, text)
		}
		if len(got) != len(c.want) {
			t.Fatalf("%s: got %q", c.cond, got)
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: got %q, want %q", c.cond, got, c.want)
			}
		}
	}
	for _, cond := range []string{`v > 5`, `a > 'x'`, `5 = 5`} {
		if _, err := disjunction(influxql.MustParseExpr(cond)); err == nil {
			t.Errorf("%s: no error", cond)
		}
	}
}
