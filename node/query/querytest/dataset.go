package querytest

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Base is where most of the data begins. It is in the midst of a shard, so that an hour of data does not cross one.
var Base = time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)

// Dataset is data with most of what answers can depend on: pauses, missing values, all types, types that change, equal times,
// changes of the clock, names that need quotes, times before 1970. It is the same at each call.
func Dataset() []Point {
	r := rand.New(rand.NewPCG(7, 9))
	var out []Point
	out = append(out, cpu(r)...)
	out = append(out, tied(r)...)
	out = append(out, sparse(r)...)
	out = append(out, daily(r)...)
	out = append(out, mixed(r)...)
	out = append(out, odd()...)
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func point(m string, t time.Time, fields map[string]any, tags ...string) Point {
	p := Point{Measurement: m, Fields: fields, Time: t.UnixNano(), Tags: map[string]string{}}
	for i := 0; i+1 < len(tags); i += 2 {
		p.Tags[tags[i]] = tags[i+1]
	}
	return p
}

// cpu is three series over an hour, never two points at one time. Fields are missing at random, and one series pauses.
func cpu(r *rand.Rand) []Point {
	var out []Point
	series := [][]string{{"host", "a", "region", "east"}, {"host", "b", "region", "west"}, {"host", "c"}}
	for i, tags := range series {
		t := Base.Add(time.Duration(i) * 1300 * time.Millisecond)
		for k := range 360 {
			t := t.Add(time.Duration(k) * 10 * time.Second)
			if i == 1 && k > 100 && k < 160 {
				continue
			}
			f := map[string]any{"usage": float64(r.IntN(10000)) / 100, "n": int64(r.IntN(50)) - 10}
			if r.IntN(3) > 0 {
				f["idle"] = r.NormFloat64() * 10
			}
			if r.IntN(4) == 0 {
				f["up"] = r.IntN(2) == 0
			}
			if r.IntN(5) == 0 {
				f["note"] = []string{"ok", "warn", "say \"hi\"", "x,y=z"}[r.IntN(4)]
			}
			if i == 2 && k%2 == 0 {
				delete(f, "usage")
			}
			out = append(out, point("cpu", t, f, tags...))
		}
	}
	return out
}

// tied is four series with all points at the same times.
func tied(r *rand.Rand) []Point {
	var out []Point
	for k := range 120 {
		t := Base.Add(time.Duration(k) * 30 * time.Second)
		for _, h := range []string{"a", "b", "c", "d"} {
			out = append(out, point("tied", t, map[string]any{"v": float64(r.IntN(1000)) / 8, "i": int64(r.IntN(20))}, "host", h))
		}
	}
	return out
}

// sparse is two series with long pauses, for fill().
func sparse(r *rand.Rand) []Point {
	var out []Point
	for k := range 60 {
		t := Base.Add(time.Duration(k) * time.Minute)
		for _, h := range []string{"a", "b"} {
			if r.IntN(4) != 0 {
				continue
			}
			f := map[string]any{"v": float64(r.IntN(100)), "i": int64(r.IntN(100)), "s": "t" + strconv.Itoa(r.IntN(3)), "b": r.IntN(2) == 0}
			delete(f, []string{"v", "i", "s", "b", ""}[r.IntN(5)])
			out = append(out, point("sparse", t, f, "host", h))
		}
	}
	return out
}

// daily goes over a change of the clock in Europe and in America.
func daily(r *rand.Rand) []Point {
	var out []Point
	t := time.Date(2026, 3, 5, 0, 30, 0, 0, time.UTC)
	for range 30 * 8 {
		out = append(out, point("daily", t, map[string]any{"v": float64(r.IntN(1000)) / 10}, "site", "x"))
		t = t.Add(3 * time.Hour)
	}
	return out
}

// mixed has a field that is an integer in one shard and a float in the next, and one that is text in the next.
func mixed(r *rand.Rand) []Point {
	var out []Point
	for k := range 20 {
		t := time.Date(2026, 3, 4, 0, k, 0, 0, time.UTC)
		out = append(out, point("mixed", t, map[string]any{"v": int64(k), "w": int64(k), "only1": 1.5}, "host", "a"))
		t = time.Date(2026, 3, 12, 0, k, 0, 0, time.UTC)
		out = append(out, point("mixed", t, map[string]any{"v": float64(k) + r.Float64(), "w": fmt.Sprint(k), "only2": true}, "host", "b"))
	}
	return out
}

// odd is names that need quotes, times within one nanosecond of each other, times before 1970, and single points.
func odd() []Point {
	out := []Point{
		point("we ird,m", Base, map[string]any{"a b": 1.5, "c,d": int64(2), "time2": true}, "tag key", "va lue", "x=y", "1,2"),
		point("we ird,m", Base.Add(time.Second), map[string]any{"a b": 2.5}, "tag key", "va lue"),
		point("single", Base, map[string]any{"v": 42.0, "i": int64(math63)}),
		point("old", time.Date(1969, 12, 31, 23, 58, 30, 0, time.UTC), map[string]any{"v": 1.0}, "host", "a"),
		point("old", time.Date(1969, 12, 31, 23, 59, 30, 0, time.UTC), map[string]any{"v": 2.0}, "host", "a"),
		point("old", time.Date(1970, 1, 1, 0, 0, 30, 0, time.UTC), map[string]any{"v": 3.0}, "host", "a"),
		point("events", Base, map[string]any{"text": "start"}, "kind", "boot"),
		point("events", Base.Add(90*time.Second), map[string]any{"text": "stop"}, "kind", "boot"),
		point("events", Base.Add(95*time.Second), map[string]any{"ok": true}),
	}
	for i := range 12 {
		t := Base.Add(time.Duration(i*i) * time.Nanosecond)
		out = append(out, point("ns", t, map[string]any{"v": float64(i) * 1e15, "i": int64(i) << 40}, "k", strconv.Itoa(i%2)))
	}
	return out
}

const math63 = 1<<63 - 1

var (
	escapeName = strings.NewReplacer(",", `\,`, " ", `\ `, "=", `\=`)
	escapeText = strings.NewReplacer(`"`, `\"`, `\`, `\\`)
)

// LineProtocol writes points as lines.
func LineProtocol(points []Point) string {
	var b strings.Builder
	for _, p := range points {
		b.WriteString(SeriesKey(p.Measurement, p.Tags))
		sep := " "
		for k, v := range p.Fields {
			b.WriteString(sep + escapeName.Replace(k) + "=")
			sep = ","
			switch v := v.(type) {
			case string:
				b.WriteString(`"` + escapeText.Replace(v) + `"`)
			case int64:
				fmt.Fprintf(&b, "%di", v)
			default:
				fmt.Fprint(&b, v)
			}
		}
		fmt.Fprintf(&b, " %d\n", p.Time)
	}
	return b.String()
}
