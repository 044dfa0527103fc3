//go:build e2e

package influxql_test

import "regexp"

// knownDifferences are the ways in which our answers differ from InfluxDB 1.8.10's on purpose, by the queries that show
// them. docs/influxql.md has the same list, with reasons.
var knownDifferences = map[string]*regexp.Regexp{
	"OFFSET without LIMIT":                           regexp.MustCompile(`^SELECT usage FROM .* OFFSET 340$`),
	"percentile without a rank":                      regexp.MustCompile(`percentile\(idle, 20\)`),
	"subquery interval before the range":             regexp.MustCompile(`time\(7m\)\) WHERE .* GROUP BY host$`),
	"mode of equally frequent values":                regexp.MustCompile(`^SELECT mode\(i\) FROM tied`),
	"last of several series at one time":             regexp.MustCompile(`^SELECT last\(v\) FROM tied WHERE`),
	"consecutive values of several series":           regexp.MustCompile(`^SELECT difference\(v\) FROM tied LIMIT`),
	"integral of several series":                     regexp.MustCompile(`^SELECT integral\(.*(GROUP BY host|, host)$`),
	"integral of integers by intervals":              regexp.MustCompile(`^SELECT integral\(n\) .* GROUP BY time`),
	"GROUP BY time with a date as offset":            regexp.MustCompile(`time\(10m, '2026`),
	"intervals with an offset over a clock's change": regexp.MustCompile(`time\(1d, 3h\) tz`),
	"LIMIT in a subquery":                            regexp.MustCompile(`\(SELECT n FROM cpu LIMIT 5\)`),
	"top with LIMIT":                                 regexp.MustCompile(`^SELECT top\(n, 40\)`),
	"SHOW MEASUREMENTS of an unknown database":       regexp.MustCompile(`^SHOW MEASUREMENTS ON nodb`),
}

func knownDifference(q string) string {
	for name, re := range knownDifferences {
		if re.MatchString(q) {
			return name
		}
	}
	return ""
}
