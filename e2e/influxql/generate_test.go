//go:build e2e

package influxql_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// generator makes queries that make sense for the dataset.
type generator struct{ *rand.Rand }

func (g generator) one(of ...string) string { return of[g.IntN(len(of))] }

// some returns text with probability 1/n.
func (g generator) some(n int, text string) string {
	if g.IntN(n) == 0 {
		return text
	}
	return ""
}

var numeric = map[string][]string{"cpu": {"usage", "idle", "n"}, "tied": {"v", "i"}, "sparse": {"v", "i"}}

var functions = []string{"count", "sum", "mean", "median", "mode", "spread", "stddev", "min", "max", "first", "last"}

func (g generator) call(m string) string {
	f := numeric[m][g.IntN(len(numeric[m]))]
	if g.IntN(8) == 0 {
		return fmt.Sprintf("percentile(%s, %d)", f, g.IntN(101))
	}
	if g.IntN(12) == 0 {
		return fmt.Sprintf("count(distinct(%s))", f)
	}
	return fmt.Sprintf("%s(%s)", functions[g.IntN(len(functions))], f)
}

func (g generator) transform(call string) string {
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

func (g generator) rangeOf() string {
	from, to := g.IntN(3600)-300, 0
	to = from + 60 + g.IntN(3600)
	at := func(s int) string { return fmt.Sprintf("%ds", base.Unix()+int64(s)) }
	return "time >" + g.some(2, "=") + " " + at(from) + " AND time <" + g.some(2, "=") + " " + at(to)
}

func (g generator) where(m string) string {
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
func (g generator) windows() (by, fill string) {
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

// query makes one query.
func (g generator) query() string {
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

func (g generator) raw(m string) string {
	fields := []string{numeric[m][g.IntN(len(numeric[m]))]}
	for range g.IntN(3) {
		f := numeric[m][g.IntN(len(numeric[m]))]
		fields = append(fields, g.one(f, "host", f+" + 1", f+" * "+numeric[m][0], "*"))
	}
	limit := ""
	by := g.some(3, " GROUP BY host")
	if m != "tied" || by != "" {
		limit = g.some(2, fmt.Sprintf(" LIMIT %d", 1+g.IntN(20))) + g.some(4, fmt.Sprintf(" OFFSET %d", g.IntN(20)))
	}
	return "SELECT " + strings.Join(fields, ", ") + " FROM " + m + g.where(m) + by + g.some(4, " fill("+g.one("7", "previous")+")") +
		g.some(4, " ORDER BY time DESC") + limit
}

func (g generator) plain(m string) string {
	calls := []string{g.call(m)}
	for range g.IntN(3) {
		calls = append(calls, g.call(m))
	}
	return "SELECT " + strings.Join(calls, ", ") + " FROM " + m + g.where(m) + " GROUP BY host" + g.some(5, " ORDER BY time DESC")
}

func (g generator) bounded(m string) string {
	w := g.where(m)
	if !strings.Contains(w, "time") {
		if w == "" {
			return " WHERE " + g.rangeOf()
		}
		return w + " AND " + g.rangeOf()
	}
	return w
}

func (g generator) windowed(m string, more bool) string {
	calls := []string{g.call(m)}
	for more && g.IntN(2) == 0 {
		calls = append(calls, g.one(g.call(m), g.call(m)+" / "+g.call(m), g.call(m)+" * 2"))
	}
	by, fill := g.windows()
	return "SELECT " + strings.Join(calls, ", ") + " FROM " + m + g.bounded(m) + " GROUP BY " + by + g.one("", ", host", ", *") + fill +
		g.some(5, " ORDER BY time DESC") + g.some(5, fmt.Sprintf(" LIMIT %d", 1+g.IntN(9)))
}

func (g generator) transformed(m string) string {
	by, fill := g.windows()
	if g.IntN(3) == 0 {
		return "SELECT " + g.transform(numeric[m][g.IntN(len(numeric[m]))]) + " FROM " + m + g.where(m) + " GROUP BY host" +
			g.some(5, " ORDER BY time DESC") + g.some(3, " LIMIT 7")
	}
	return "SELECT " + g.transform(g.call(m)) + " FROM " + m + g.bounded(m) + " GROUP BY " + by + g.one("", ", host") + fill +
		g.some(5, " ORDER BY time DESC")
}

func (g generator) nested(m string) string {
	by, fill := g.windows()
	inner := "SELECT " + g.call(m) + " AS x, " + g.call(m) + " AS y FROM " + m + " GROUP BY " + by + ", host" + fill
	outer := g.one("mean(x)", "max(y)", "sum(x), count(y)", "last(x)", "min(x), max(y)", "percentile(x, 50)", "spread(y)", "stddev(x)")
	tail := g.one(" GROUP BY host", " GROUP BY time(20m), host", " GROUP BY time(10m), host fill(none)")
	return "SELECT " + outer + " FROM (" + inner + ") WHERE " + g.rangeOf() + tail
}
