package query_test

import (
	"bufio"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/query"
	"github.com/holdfast-telemetry/holdfast/node/query/querytest"
)

// now is long after all data of the dataset.
var now = time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC)

func datasetExecutor(chunkRows int) *query.Executor {
	b := &querytest.Bucket{ChunkRows: chunkRows}
	b.Add(querytest.Dataset()...)
	s := querytest.NewServer("d", b)
	return query.NewExecutor(query.Options{Databases: s, Deleter: s})
}

func ask(t testing.TB, e *query.Executor, q string) querytest.Answer {
	t.Helper()
	a, err := querytest.Ask(t.Context(), e, query.Request{Query: q, Database: "d", Now: now})
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return a
}

// recorded reads what InfluxDB answered. e2e/influxql writes the file.
func recorded(t testing.TB) []querytest.Recorded {
	f, err := os.Open(filepath.Join("testdata", "influxdb-1.8.10.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // it was only read
	var out []querytest.Recorded
	for lines := bufio.NewScanner(f); lines.Scan(); {
		r, err := querytest.DecodeRecorded(lines.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

func TestAnswersAreThoseRecordedFromInfluxDB(t *testing.T) {
	all := recorded(t)
	if len(all) < 400 {
		t.Fatalf("only %d answers are recorded", len(all))
	}
	for _, rows := range []int{1, 7, 1000} {
		t.Run(strconv.Itoa(rows)+" rows in a chunk", func(t *testing.T) {
			e := datasetExecutor(rows)
			for _, r := range all {
				if d := querytest.Difference(r.Answer, ask(t, e, r.Query)); d != "" {
					t.Errorf("%s\n  %s", r.Query, d)
				}
			}
		})
	}
}

func TestAnswersDoNotDependOnChunks(t *testing.T) {
	small, large := datasetExecutor(3), datasetExecutor(10000)
	g := querytest.Generator{Rand: rand.New(rand.NewPCG(3, 4))}
	for range 300 {
		q := g.Query()
		if d := querytest.Difference(ask(t, large, q), ask(t, small, q)); d != "" {
			t.Errorf("%s\n  %s", q, d)
		}
	}
}

// What a client sees must be JSON that Go reads, whatever the data.
func FuzzAnyQueryIsAnsweredInJSON(f *testing.F) {
	for _, r := range recorded(f) {
		f.Add(r.Query)
	}
	e := query.NewExecutor(query.Options{
		Databases: fuzzServer(),
		Limits:    query.Limits{Timeout: time.Second, MaxBuckets: 1000, MaxBytes: 8 << 20, MaxPoints: 100000, MaxSeries: 1000},
	})
	f.Fuzz(func(t *testing.T, q string) {
		a := ask(t, e, q)
		if _, err := json.Marshal(a); err != nil {
			t.Fatal(err)
		}
		for _, r := range a.Results {
			if len(r.Error) >= 14 && r.Error[:14] == "internal error" {
				t.Fatalf("%q: %s", q, r.Error)
			}
		}
	})
}

func fuzzServer() *querytest.Server {
	b := &querytest.Bucket{ChunkRows: 13}
	for _, p := range querytest.Dataset() {
		if p.Time%7 == 0 || p.Measurement != "cpu" {
			b.Add(p)
		}
	}
	return querytest.NewServer("d", b)
}
