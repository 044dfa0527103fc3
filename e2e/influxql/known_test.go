//go:build e2e

package influxql_test

import "regexp"

// knownDifferences are the ways in which our answers differ from InfluxDB 1.8.10's on purpose, by the queries that show
// them. docs/influxql.md has the same list, with reasons.
var knownDifferences = map[string]*regexp.Regexp{}

func knownDifference(q string) string {
	for name, re := range knownDifferences {
		if re.MatchString(q) {
			return name
		}
	}
	return ""
}
