package querytest

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Generator makes queries that make sense for the Dataset.
type Generator struct{ *rand.Rand }

func (g Generator) one(of ...string) string { return of[g.IntN(len(of))] }

// some returns text with probability 1/n.
func (g Generator) some(n int, text string) string {
	if g.IntN(n) == 0 {
		return text
	}
	return ""
}

var numeric = map[string][]string{"cpu": {"usage", "idle", "n"}, "tied": {"v", "i"}, "sparse": {"v", "i"}}

var functions = []string{"count", "sum", "mean", "median", "mode", "spread", "stddev", "min", "max", "first", "last"}

func (g Generator) call(m string) string {
	f := numeric[m][g.IntN(len(numeric[m]))]
	if g.IntN(8) == 0 {
		// Below 50 some intervals have no such rank, which InfluxDB takes for the end of its results.
		return fmt.Sprintf("percentile(%s, %d)", f, 50+g.IntN(51))
	}
	if g.IntN(12) == 0 {
		return fmt.Sprintf("count(distinct(%s))", f)
	}
	name := functions[g.IntN(len(functions))]
	if m == "tied" && name == "mode" {
		name = "mean" // of equally frequent values at equal times, any may be the mode
	}
	return fmt.Sprintf("%s(%s)", name, f)
}

func (g Generator) transform(call string) string {
	switch g.IntN(7) {
	case 0:
		return "derivative(" + call + ", 1m)"
	case 1:
		return "non_negative_derivative(" + call + ")"
	case 2:
		return "difference(" + call + ")"
	case 3:
		return "non_negative_difference(" + call + ")"
	case 4:
		return fmt.Sprintf("moving_average(%s, %d)", call, 2+g.IntN(4))
	case 5:
		return "cumulative_sum(" + call + ")"
	}
	return "elapsed(" + call + ", 1s)"
}

func (g Generator) rangeOf() string {
	from, to := g.IntN(3600)-300, 0
	to = from + 60 + g.IntN(3600)
	at := func(s int) string { return fmt.Sprintf("%ds", Base.Unix()+int64(s)) }
	return "time >" + g.some(2, "=") + " " + at(from) + " AND time <" + g.some(2, "=") + " " + at(to)
}

func (g Generator) where(m string) string {
	var out []string
	if g.IntN(3) > 0 {
		out = append(out, g.rangeOf())
	}
	switch g.IntN(6) {
	case 0:
		out = append(out, "host = '"+g.one("a", "b", "c", "z")+"'")
	case 1:
		out = append(out, "host =~ /"+g.one("a", "[ab]", "^(b|c)$", ".*")+"/")
	case 2:
		f := numeric[m][g.IntN(len(numeric[m]))]
		out = append(out, fmt.Sprintf("(%s %s %d%s)", f, g.one(">", "<", ">=", "!="), g.IntN(60), g.some(2, ".5")))
	case 3:
		f := numeric[m][g.IntN(len(numeric[m]))]
		out = append(out, fmt.Sprintf("(host = 'a' OR %s > %d)", f, g.IntN(60)))
	}
	if len(out) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(out, " AND ")
}

// windows is a GROUP BY time() and its fill().
func (g Generator) windows() (by, fill string) {
	by = "time(" + g.one("30s", "1m", "90s", "5m", "7m", "20m") + g.some(4, ", "+g.one("10s", "-20s", "2m")) + ")"
	switch g.IntN(6) {
	case 0:
		fill = " fill(none)"
	case 1:
		fill = " fill(previous)"
	case 2:
		fill = " fill(linear)"
	case 3:
		fill = fmt.Sprintf(" fill(%d)", g.IntN(9)-3)
	}
	return by, fill
}

// Query makes one query.
func (g Generator) Query() string {
	m := g.one("cpu", "cpu", "tied", "sparse")
	switch g.IntN(7) {
	case 0:
		return g.raw(m)
	case 1:
		return g.plain(m)
	case 2:
		return g.nested(m)
	case 3:
		return g.transformed(m)
	}
	return g.windowed(m, true)
}

func (g Generator) raw(m string) string {
	fields := []string{numeric[m][g.IntN(len(numeric[m]))]}
	for range g.IntN(3) {
		f := numeric[m][g.IntN(len(numeric[m]))]
		fields = append(fields, g.one(f, "host", f+" + 1", f+" * "+numeric[m][0], "*"))
	}
	limit := ""
	by := g.some(3, " GROUP BY host")
	fill := g.some(5, " fill(7)")
	if m == "cpu" || by != "" { // elsewhere LIMIT and fill(previous) depend on the order of rows of one time
		fill = g.some(4, " fill("+g.one("7", "previous")+")")
		limit = g.some(2, fmt.Sprintf(" LIMIT %d%s", 1+g.IntN(20), g.some(2, fmt.Sprintf(" OFFSET %d", g.IntN(20)))))
	}
	return "SELECT " + strings.Join(fields, ", ") + " FROM " + m + g.where(m) + by + fill +
		g.some(4, " ORDER BY time DESC") + limit
}

func (g Generator) plain(m string) string {
	calls := []string{g.call(m)}
	for range g.IntN(3) {
		calls = append(calls, g.call(m))
	}
	return "SELECT " + strings.Join(calls, ", ") + " FROM " + m + g.where(m) + " GROUP BY host" + g.some(5, " ORDER BY time DESC")
}

func (g Generator) bounded(m string) string {
	w := g.where(m)
	if !strings.Contains(w, "time") {
		if w == "" {
			return " WHERE " + g.rangeOf()
		}
		return w + " AND " + g.rangeOf()
	}
	return w
}

func (g Generator) windowed(m string, more bool) string {
	calls := []string{g.call(m)}
	for more && g.IntN(2) == 0 {
		calls = append(calls, g.one(g.call(m), g.call(m)+" / "+g.call(m), g.call(m)+" * 2"))
	}
	by, fill := g.windows()
	return "SELECT " + strings.Join(calls, ", ") + " FROM " + m + g.bounded(m) + " GROUP BY " + by + g.one("", ", host", ", *") + fill +
		g.some(5, " ORDER BY time DESC") + g.some(5, fmt.Sprintf(" LIMIT %d", 1+g.IntN(9)))
}

func (g Generator) transformed(m string) string {
	by, fill := g.windows()
	if g.IntN(3) == 0 {
		return "SELECT " + g.transform(numeric[m][g.IntN(len(numeric[m]))]) + " FROM " + m + g.where(m) + " GROUP BY host" +
			g.some(5, " ORDER BY time DESC") + g.some(3, " LIMIT 7")
	}
	return "SELECT " + g.transform(g.call(m)) + " FROM " + m + g.bounded(m) + " GROUP BY " + by + g.one("", ", host") + fill +
		g.some(5, " ORDER BY time DESC")
}

func (g Generator) nested(m string) string {
	_, fill := g.windows()
	by := "time(" + g.one("30s", "1m", "5m", "20m") + ")"
	inner := "SELECT " + g.call(m) + " AS x, " + g.call(m) + " AS y FROM " + m + " GROUP BY " + by + ", host" + fill
	outer := g.one("mean(x)", "max(y)", "sum(x), count(y)", "last(x)", "min(x), max(y)", "percentile(x, 50)", "spread(y)", "stddev(x)")
	tail := g.one(" GROUP BY host", " GROUP BY time(20m), host", " GROUP BY time(10m), host fill(none)")
	from := Base.Unix() + int64(g.IntN(4)-1)*1200
	within := fmt.Sprintf("time >= %ds AND time < %ds", from, from+1200+int64(g.IntN(1200)))
	return "SELECT " + outer + " FROM (" + inner + ") WHERE " + within + tail
}
