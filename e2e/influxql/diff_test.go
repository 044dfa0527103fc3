//go:build e2e

// Package influxql_test compares our answers to InfluxQL with those of InfluxDB 1.8.10, over the same data.
package influxql_test

import (
	"bufio"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/e2e/peer"
	"github.com/holdfast-telemetry/holdfast/node/query"
	"github.com/holdfast-telemetry/holdfast/node/query/querytest"
)

var update = flag.Bool("update", false, "record InfluxDB's answers for the tests of node/query")

// oracle is a server that has the dataset in database d.
type oracle struct{ url string }

func startOracle(t testing.TB) *oracle {
	db := peer.StartInfluxDB(t.Context(), t, "")
	o := &oracle{db.URL}
	if _, err := o.do(http.MethodPost, "/query?q=CREATE+DATABASE+d", "", ""); err != nil {
		t.Fatal(err)
	}
	if text, err := o.do(http.MethodPost, "/write?db=d", querytest.LineProtocol(querytest.Dataset()), ""); err != nil || len(text) > 0 {
		t.Fatalf("writing the dataset: %v %s", err, text)
	}
	return o
}

func (o *oracle) do(method, path, body, accept string) ([]byte, error) {
	req, err := http.NewRequest(method, o.url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// text returns the server's response to a query.
func (o *oracle) text(q, accept string, more url.Values) ([]byte, error) {
	v := url.Values{"db": {"d"}, "q": {q}}
	for k := range more {
		v[k] = more[k]
	}
	return o.do(http.MethodPost, "/query?"+v.Encode(), "", accept)
}

// ask returns the server's answer to a query.
func (o *oracle) ask(q string) (querytest.Answer, error) {
	text, err := o.text(q, "", nil)
	if err != nil {
		return querytest.Answer{}, err
	}
	a, err := querytest.Decode(text)
	if err != nil {
		return a, fmt.Errorf("decoding %s: %w", text, err)
	}
	a.Error = strings.TrimPrefix(a.Error, "error parsing query: ")
	return a, nil
}

// newMemoryExecutor is our side over the tests' own store, which is simple enough to be right.
func newMemoryExecutor(testing.TB) *query.Executor {
	b := &querytest.Bucket{ChunkRows: 100}
	b.Add(querytest.Dataset()...)
	s := querytest.NewServer("d", b)
	return query.NewExecutor(query.Options{Databases: s, Deleter: s})
}

// onBoth runs a test with our executor over each of the two stores, and an InfluxDB of its own.
func onBoth(t *testing.T, test func(t *testing.T, theirs *oracle, ours *query.Executor)) {
	for name, ours := range map[string]func(testing.TB) *query.Executor{"memory": newMemoryExecutor, "store": newStoreExecutor} {
		t.Run(name, func(t *testing.T) { test(t, startOracle(t), ours(t)) })
	}
}

// generated is how many queries are made up in each run. INFLUXQL_SEED makes others than the usual ones.
const generated = 600

func queries(t testing.TB) []string {
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("INFLUXQL_SEED"), "1"), 10, 64)
	if err != nil {
		t.Fatalf("INFLUXQL_SEED: %v", err)
	}
	out := append([]string{}, picked...)
	g := querytest.Generator{Rand: rand.New(rand.NewPCG(seed, 2))}
	for range generated {
		out = append(out, g.Query())
	}
	return out
}

func TestAnswersAreThoseOfInfluxDB(t *testing.T) { onBoth(t, testAnswers) }

func testAnswers(t *testing.T, theirs *oracle, ours *query.Executor) {
	all := queries(t)
	met := map[string]int{}
	same := 0
	var recorded []querytest.Recorded
	for i, q := range all {
		a, err := theirs.ask(q)
		if err != nil {
			t.Errorf("%s\n  theirs: %v", q, err)
			continue
		}
		b, err := querytest.Ask(t.Context(), ours, query.Request{Query: q, Database: "d", Now: time.Now()})
		if err != nil {
			t.Errorf("%s\n  ours: %v", q, err)
			continue
		}
		d := querytest.Difference(a, b)
		known := knownDifference(q)
		switch {
		case d == "" && known == "":
			same++
			if i < len(picked) {
				recorded = append(recorded, querytest.Recorded{Query: q, Answer: a})
			}
		case d == "":
			met[known] += 0
		case known != "":
			met[known]++
		default:
			t.Errorf("%s\n  %s", q, d)
		}
	}
	for name := range knownDifferences {
		if met[name] == 0 {
			t.Errorf("no query shows the known difference %q", name)
		}
	}
	t.Logf("%d queries, %d answered the same, %d known differences", len(all), same, len(met))
	if *update {
		record(t, recorded)
	}
}

func TestKnownDifferencesAreDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "influxql.md"))
	if err != nil {
		t.Fatal(err)
	}
	for name := range knownDifferences {
		if !strings.Contains(string(text), "\n| "+name+" |") {
			t.Errorf("docs/influxql.md has no row %q", name)
		}
	}
}

// maxRecorded is the size of the largest answer that is worth keeping.
const maxRecorded = 1500

// record keeps what InfluxDB answered, so that the tests of node/query need no InfluxDB.
func record(t *testing.T, all []querytest.Recorded) {
	f, err := os.Create(filepath.Join("..", "..", "node", "query", "testdata", "influxdb-1.8.10.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	for _, r := range all {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) <= maxRecorded && !strings.Contains(r.Query, "now()") {
			fmt.Fprintf(w, "%s\n", text)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
