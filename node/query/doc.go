// Package query answers InfluxQL over the store: it parses with github.com/influxdata/influxql, plans, and executes over
// columns of a chunk at a time.
//
// It promises the answers of InfluxDB 1.8.10 except where docs/influxql.md lists a difference, results that stream
// statement by statement and series by series into an Encoder, and bounds: a query that would read too much, hold too much
// or take too long ends with a LimitError while the process lives. It does not speak HTTP, keep users, or write points:
// what it needs of the rest of the node are the interfaces Databases, Deleter and Authorizer.
//
// How a SELECT runs. prepare checks the statement, resolves its sources and types, and makes one plan for each level of
// nesting. A plan splits the series of its sources into groups (the GROUP BY tags of the whole query), reads each group in
// batches of rows (in time order across series only where a function asks for it), hands the batches to the plan's
// functions, and joins what those return by time into frames. A subquery's frames are the batches of the level above.
package query
