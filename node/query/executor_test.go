package query_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/node/query"
	"github.com/holdfast-telemetry/holdfast/node/query/querytest"
	"github.com/holdfast-telemetry/holdfast/node/store"
	"github.com/influxdata/influxql"
)

// smallServer is two databases: d with the policies autogen (the default) and long, and e.
func smallServer() *querytest.Server {
	add := func(v float64) *querytest.Bucket {
		b := &querytest.Bucket{}
		b.Add(querytest.Point{Measurement: "m", Tags: map[string]string{"host": "a"}, Fields: map[string]any{"v": v}, Time: 1})
		return b
	}
	return &querytest.Server{Policies: map[string]map[string]*querytest.Bucket{
		"d": {"autogen": add(1), "long": add(2)}, "e": {"autogen": add(3)}}}
}

func jsonOf(t *testing.T, e *query.Executor, r query.Request) string {
	t.Helper()
	var out bytes.Buffer
	if err := e.Execute(t.Context(), r, query.NewJSONEncoder(&out, query.EncodeOptions{Epoch: "ns"})); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out.String())
}

func TestStatementsAfterAFailedOneAreNotExecuted(t *testing.T) {
	s := smallServer()
	e := query.NewExecutor(query.Options{Databases: s, Deleter: s})
	got := jsonOf(t, e, query.Request{Query: `SELECT v FROM m; SELECT nofunc(v) FROM m; DELETE FROM m; SELECT v FROM m`, Database: "d"})
	want := `{"results":[{"statement_id":0,"series":[{"name":"m","columns":["time","v"],"values":[[1,1]]}]},` +
		`{"statement_id":1,"error":"undefined function nofunc()"},{"statement_id":2,"error":"not executed"},{"statement_id":3,"error":"not executed"}]}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := jsonOf(t, e, query.Request{Query: `SELECT v FROM m`, Database: "d"}); !strings.Contains(got, "[1,1]") {
		t.Errorf("the DELETE was executed: %s", got)
	}
}

func TestQueriesFindTheirDatabaseAndPolicy(t *testing.T) {
	e := query.NewExecutor(query.Options{Databases: smallServer()})
	for _, c := range []struct{ q, db, rp, want string }{
		{`SELECT v FROM m`, "d", "", "[[1,1]]"},
		{`SELECT v FROM m`, "d", "long", "[[1,2]]"},
		{`SELECT v FROM long.m`, "d", "", "[[1,2]]"},
		{`SELECT v FROM e..m`, "d", "", "[[1,3]]"},
		{`SELECT sum(v) FROM m, long.m, e..m`, "d", "", "[[0,6]]"},
		{`SELECT v FROM e.autogen.m`, "", "", "[[1,3]]"},
		{`SELECT v FROM m`, "", "", `"error":"database name required"`},
		{`SELECT v FROM m`, "x", "", `"error":"database not found: x"`},
		{`SELECT v FROM short.m`, "d", "", `"error":"retention policy not found: short"`},
		{`SHOW TAG VALUES ON e WITH KEY = host`, "d", "", `["host","a"]`},
	} {
		if got := jsonOf(t, e, query.Request{Query: c.q, Database: c.db, Policy: c.rp}); !strings.Contains(got, c.want) {
			t.Errorf("%s on %q.%q: got %s, want %s", c.q, c.db, c.rp, got, c.want)
		}
	}
}

// only lets a request read the named "database.policy" and write nothing.
type only string

func (o only) Authorize(_ context.Context, db, rp string, a query.Access) error {
	if a == query.Read && (db+"."+rp == string(o) || (rp == "" && strings.HasPrefix(string(o), db+"."))) {
		return nil
	}
	return fmt.Errorf("insufficient permissions for %s.%s", db, rp)
}

func TestNothingIsSeenThatMayNotBeRead(t *testing.T) {
	s := smallServer()
	e := query.NewExecutor(query.Options{Databases: s, Deleter: s})
	for _, c := range []struct{ q, want string }{
		{`SHOW DATABASES`, `"values":[["d"]]`},
		{`SELECT v FROM m`, `"error":"insufficient permissions for d.autogen"`},
		{`SELECT v FROM long.m`, "[[1,2]]"},
		{`SELECT x FROM (SELECT v AS x FROM e..m)`, `"error":"insufficient permissions for e.autogen"`},
		{`SHOW MEASUREMENTS ON e`, `"error":"insufficient permissions for e.autogen"`},
		{`SHOW MEASUREMENTS`, `"values":[["m"]]`},
		{`SHOW RETENTION POLICIES ON e`, `"error":"insufficient permissions for e."`},
		{`DELETE FROM m`, `"error":"insufficient permissions for d.autogen"`},
		{`DROP MEASUREMENT m`, `"error":"insufficient permissions for d.autogen"`},
	} {
		got := jsonOf(t, e, query.Request{Query: c.q, Database: "d", Authorizer: only("d.long")})
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: got %s, want %s", c.q, got, c.want)
		}
	}
}

func TestStatementsThatAreNotImplementedSayWhich(t *testing.T) {
	e := query.NewExecutor(query.Options{Databases: smallServer()})
	for q, want := range map[string]string{
		`SHOW USERS`:              "SHOW USERS",
		`SHOW QUERIES`:            "SHOW QUERIES",
		`SHOW CONTINUOUS QUERIES`: "SHOW CONTINUOUS QUERIES",
		`SHOW STATS`:              "SHOW STATS",
		`SHOW DIAGNOSTICS`:        "SHOW DIAGNOSTICS",
		`SHOW SHARDS`:             "SHOW SHARDS",
		`SHOW SUBSCRIPTIONS`:      "SHOW SUBSCRIPTIONS",
		`SHOW GRANTS FOR jdoe`:    "SHOW GRANTS FOR",
		`DROP DATABASE d`:         "DROP DATABASE",
		`DROP SHARD 1`:            "DROP SHARD",
		`CREATE USER jdoe WITH PASSWORD 'secret'`:                  "CREATE USER",
		`CREATE RETENTION POLICY x ON d DURATION 1h REPLICATION 1`: "CREATE RETENTION POLICY",
		`ALTER RETENTION POLICY x ON d DURATION 1h`:                "ALTER RETENTION POLICY",
		`KILL QUERY 5`:                    "KILL QUERY",
		`GRANT ALL TO jdoe`:               "GRANT ALL PRIVILEGES",
		`SELECT v INTO x FROM m`:          "SELECT INTO",
		`EXPLAIN ANALYZE SELECT v FROM m`: "EXPLAIN ANALYZE",
		`SELECT sample(v, 2) FROM m`:      "function sample()",
		`SELECT holt_winters(mean(v), 2, 2) FROM m GROUP BY time(1m)`: "function holt_winters()",
	} {
		got := jsonOf(t, e, query.Request{Query: q, Database: "d"})
		if !strings.Contains(got, `"error":"not implemented: `+want+`"`) {
			t.Errorf("%s: got %s, want %s", q, got, want)
		}
		if strings.Contains(got, "secret") {
			t.Errorf("%s: the answer tells the password", q)
		}
	}
}

func TestTagsAreComparedByTheirValues(t *testing.T) {
	b := &querytest.Bucket{}
	for i, tags := range []map[string]string{{"from": "a", "to": "a"}, {"from": "a", "to": "b"}, {"from": "a"}, {}} {
		b.Add(querytest.Point{Measurement: "m", Tags: tags, Fields: map[string]any{"v": int64(i)}, Time: int64(i)})
	}
	e := query.NewExecutor(query.Options{Databases: one{b}})
	for q, want := range map[string]string{
		`SELECT v FROM m WHERE "from" = "to"`:  "[[0,0],[3,3]]",
		`SELECT v FROM m WHERE "from" != "to"`: "[[1,1],[2,2]]",
	} {
		if got := jsonOf(t, e, query.Request{Query: q, Database: "d"}); !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s", q, got, want)
		}
	}
}

func TestReadOnlyRequestsChangeNothing(t *testing.T) {
	s := smallServer()
	e := query.NewExecutor(query.Options{Databases: s, Deleter: s})
	for _, q := range []string{`DELETE FROM m`, `DROP MEASUREMENT m`, `DROP SERIES FROM m`} {
		got := jsonOf(t, e, query.Request{Query: q, Database: "d", ReadOnly: true})
		if !strings.Contains(got, "needs a POST request") {
			t.Errorf("%s: %s", q, got)
		}
	}
	if got := jsonOf(t, e, query.Request{Query: `SELECT v FROM m`, Database: "d"}); !strings.Contains(got, "[1,1]") {
		t.Errorf("something was deleted: %s", got)
	}
}

func TestCreateDatabaseCallsTheNode(t *testing.T) {
	if got := jsonOf(t, query.NewExecutor(query.Options{Databases: smallServer()}), query.Request{Query: `CREATE DATABASE x`}); got != `{"results":[{"statement_id":0}]}` {
		t.Errorf("without a hook: %s", got)
	}
	var name string
	e := query.NewExecutor(query.Options{Databases: smallServer(), CreateDatabase: func(_ context.Context, s *influxql.CreateDatabaseStatement) error {
		name = s.Name
		return errors.New("no room")
	}})
	if got := jsonOf(t, e, query.Request{Query: `CREATE DATABASE x`}); name != "x" || !strings.Contains(got, `"error":"no room"`) {
		t.Errorf("the hook was called for %q, the answer is %s", name, got)
	}
}

func TestQueriesThatDoNotParseAreATypedError(t *testing.T) {
	e := query.NewExecutor(query.Options{Databases: smallServer()})
	for _, r := range []query.Request{{Query: ``}, {Query: `SELEC`}, {Query: `SELECT v FROM m WHERE v = $x`, Params: []byte(`{`)},
		{Query: `SELECT v FROM m`, Params: []byte(`{} {}`)}, {Query: `SELECT v FROM m`, Params: []byte(`[1]`)}} {
		var out bytes.Buffer
		err := e.Execute(t.Context(), r, query.NewJSONEncoder(&out, query.EncodeOptions{}))
		var perr *query.ParseError
		if !errors.As(err, &perr) || !strings.HasPrefix(err.Error(), "failed to parse query: ") {
			t.Errorf("%+v: error %v", r, err)
		}
		if out.Len() > 0 {
			t.Errorf("%+v: %s was written", r, out.String())
		}
	}
}

// faulty is a reader with a defect.
type faulty struct{ store.Reader }

func (faulty) Series(context.Context, string, store.TimeRange, []store.TagMatcher) ([]*store.Series, error) {
	panic("index out of reach")
}

func TestADefectFailsTheStatementNotTheNode(t *testing.T) {
	var log bytes.Buffer
	e := query.NewExecutor(query.Options{Databases: one{faulty{&endless{}}}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	got := jsonOf(t, e, query.Request{Query: `SELECT v FROM m; SHOW DATABASES`, Database: "d"})
	if !strings.Contains(got, "internal error: the query failed unexpectedly: index out of reach") {
		t.Errorf("got %s", got)
	}
	if !strings.Contains(log.String(), "faulty") {
		t.Errorf("the log has no stack: %s", log.String())
	}
}

// failing is a reader whose scans break off.
type failing struct{ *endless }

var errDisk = errors.New("disk on fire")

func (failing) Scan(context.Context, store.ScanOptions) (store.Cursor, error) {
	return failingCursor{}, nil
}

type failingCursor struct{}

func (failingCursor) Next() (*store.Chunk, error) { return nil, errDisk }
func (failingCursor) Close() error                { return nil }

func TestErrorsOfTheStoreReachTheClient(t *testing.T) {
	e := query.NewExecutor(query.Options{Databases: one{failing{&endless{series: 2}}}})
	for _, q := range []string{`SELECT v FROM m`, `SELECT mean(v) FROM m`, `SELECT last(v) FROM m`, `SELECT mode(v) FROM m`,
		`SELECT max(x) FROM (SELECT v AS x FROM m)`, `SELECT v FROM m, (SELECT v FROM m)`} {
		if got := jsonOf(t, e, query.Request{Query: q, Database: "d"}); !strings.Contains(got, `"error":"reading \"m\": disk on fire"`) {
			t.Errorf("%s: %s", q, got)
		}
	}
}

func TestExplainNamesTheWork(t *testing.T) {
	e := query.NewExecutor(query.Options{Databases: smallServer()})
	got := jsonOf(t, e, query.Request{Query: `EXPLAIN SELECT mean(x) FROM (SELECT mode(v) AS x FROM m GROUP BY time(1m), host)`, Database: "d", Now: now})
	for _, want := range []string{`"QUERY PLAN"`, "FUNCTION mean: a column at a time", "FUNCTION mode: in the order of time", "MEASUREMENT m", "SERIES 1 in 1 groups"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
}
