//go:build e2e

package influxql_test

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/query"
	"github.com/holdfast-telemetry/holdfast/node/query/querytest"
)

// formatted are queries whose results have no order that is left open.
var formatted = []string{
	`SELECT usage, n, up, note FROM cpu WHERE host = 'a' LIMIT 7`,
	`SELECT usage FROM cpu GROUP BY host LIMIT 5`,
	`SELECT usage FROM cpu GROUP BY host, region LIMIT 5; SELECT sum(n) FROM cpu; SELECT * FROM nowhere`,
	`SELECT * FROM "we ird,m" GROUP BY *`,
	`SELECT v, i FROM ns`,
	`SELECT mean(v) FROM daily WHERE time >= '2026-03-28' AND time < '2026-03-31' GROUP BY time(12h) tz('Europe/Berlin')`,
	`SELECT v FROM old`,
	`SELECT * FROM nowhere`,
	`SHOW DATABASES`,
	`SHOW MEASUREMENTS`,
	`SHOW TAG VALUES WITH KEY = host`,
	`SHOW FIELD KEYS FROM cpu, tied`,
	`SHOW FIELD KEYS`,
}

func TestFormatsAreThoseOfInfluxDB(t *testing.T) { onBoth(t, testFormats) }

func testFormats(t *testing.T, theirs *oracle, ours *query.Executor) {
	formats := []struct {
		accept string
		o      query.EncodeOptions
	}{
		{"application/json", query.EncodeOptions{}},
		{"application/json", query.EncodeOptions{Pretty: true}},
		{"application/json", query.EncodeOptions{Chunked: true, ChunkSize: 3}},
		{"application/json", query.EncodeOptions{Chunked: true, ChunkSize: 7}},
		{"application/json", query.EncodeOptions{Chunked: true}},
		{"application/csv", query.EncodeOptions{}},
		{"text/csv", query.EncodeOptions{Epoch: "s"}},
	}
	for _, epoch := range []string{"ns", "u", "ms", "s", "m", "h"} {
		formats = append(formats, struct {
			accept string
			o      query.EncodeOptions
		}{"application/json", query.EncodeOptions{Epoch: epoch}})
	}
	for _, f := range formats {
		v := url.Values{}
		if f.o.Epoch != "" {
			v.Set("epoch", f.o.Epoch)
		}
		if f.o.Pretty {
			v.Set("pretty", "true")
		}
		if f.o.Chunked {
			v.Set("chunked", "true")
			if f.o.ChunkSize > 0 {
				v.Set("chunk_size", fmt.Sprint(f.o.ChunkSize))
			}
		}
		for _, q := range formatted {
			if f.o.Chunked && strings.HasPrefix(q, "SHOW") {
				continue // InfluxDB does not cut these, nor does it say that another series follows
			}
			want, err := theirs.text(q, f.accept, v)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			enc := query.NewJSONEncoder(&got, f.o)
			if strings.Contains(f.accept, "csv") {
				enc = query.NewCSVEncoder(&got, f.o)
			}
			if err := ours.Execute(t.Context(), query.Request{Query: q, Database: "d", Now: time.Now()}, enc); err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("%s as %s %+v\n theirs %s\n ours   %s", q, f.accept, f.o, want, got.Bytes())
			}
		}
	}
}

func TestParametersAreThoseOfInfluxDB(t *testing.T) { onBoth(t, testParameters) }

func testParameters(t *testing.T, theirs *oracle, ours *query.Executor) {
	for _, c := range []struct{ q, params string }{
		{`SELECT usage FROM cpu WHERE host = $h AND usage > $u LIMIT 3`, `{"h":"a","u":50}`},
		{`SELECT usage FROM cpu WHERE usage > $u LIMIT 3`, `{"u":99.25}`},
		{`SELECT count(usage) FROM cpu WHERE host =~ $h`, `{"h":{"regex":"a|b"}}`},
		{`SELECT count(usage) FROM cpu WHERE $t = host`, `{"t":"it's"}`},
		{`SELECT count($f) FROM cpu`, `{"f":{"identifier":"usage"}}`},
		{`SELECT mean(usage) FROM cpu WHERE time >= '2026-03-03T12:00:00Z' AND time < '2026-03-03T12:10:00Z' GROUP BY time($d)`, `{"d":{"duration":"5m"}}`},
		{`SELECT count(usage) FROM cpu WHERE host = $missing`, `{}`},
		{`SELECT up FROM cpu WHERE up = $b LIMIT 2`, `{"b":true}`},
		{`SELECT usage FROM cpu LIMIT $n`, `{"n":2}`},
	} {
		text, err := theirs.text(c.q, "", url.Values{"params": {c.params}})
		if err != nil {
			t.Fatal(err)
		}
		a, err := querytest.Decode(text)
		if err != nil {
			t.Fatal(err)
		}
		a.Error = strings.TrimPrefix(a.Error, "error parsing query: ")
		b, err := querytest.Ask(t.Context(), ours, query.Request{Query: c.q, Database: "d", Params: []byte(c.params)})
		if err != nil {
			t.Fatal(err)
		}
		if d := querytest.Difference(a, b); d != "" {
			t.Errorf("%s with %s: %s", c.q, c.params, d)
		}
	}
}

// Each step deletes more of the same data, on both sides.
func TestDeletionsAreThoseOfInfluxDB(t *testing.T) { onBoth(t, testDeletions) }

func testDeletions(t *testing.T, theirs *oracle, ours *query.Executor) {
	for _, q := range []string{
		`DELETE FROM cpu WHERE host = 'a' AND time < '2026-03-03T12:10:00Z'`,
		`DELETE FROM cpu WHERE time >= '2026-03-03T12:55:00Z'`,
		`DELETE FROM /^t/ WHERE host =~ /[ab]/`,
		`DELETE FROM sparse WHERE host != 'a'`,
		`DELETE WHERE host = 'c'`,
		`DROP SERIES FROM tied WHERE host = 'd'`,
		`DROP MEASUREMENT daily`,
		`DROP MEASUREMENT nowhere`,
		`DELETE FROM nowhere`,
		`DROP SERIES FROM cpu WHERE time > 5`,
		`DELETE FROM ns WHERE time = 1772539200000000004`,
		`DELETE FROM mixed`,
		`DELETE FROM d.autogen.cpu`,
		`DELETE`,
	} {
		a, err := theirs.ask(q)
		if err != nil {
			t.Fatal(err)
		}
		b, err := querytest.Ask(t.Context(), ours, query.Request{Query: q, Database: "d"})
		if err != nil {
			t.Fatal(err)
		}
		if d := querytest.Difference(a, b); d != "" {
			t.Errorf("%s: %s", q, d)
		}
		for _, check := range []string{`SELECT count(*) FROM /.*/ GROUP BY *`, `SHOW SERIES`, `SHOW MEASUREMENTS`} {
			a, err := theirs.ask(check)
			if err != nil {
				t.Fatal(err)
			}
			b, err := querytest.Ask(t.Context(), ours, query.Request{Query: check, Database: "d"})
			if err != nil {
				t.Fatal(err)
			}
			if d := querytest.Difference(a, b); d != "" {
				t.Errorf("after %s: %s: %s", q, check, d)
			}
		}
	}
}
