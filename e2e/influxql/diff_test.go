//go:build e2e

// Package influxql_test compares our answers to InfluxQL with those of InfluxDB 1.8.10, over the same data.
package influxql_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/e2e/peer"
	"github.com/holdfast-telemetry/holdfast/node/query"
	"github.com/holdfast-telemetry/holdfast/node/query/querytest"
)

// oracle is a server that has the dataset in database d.
type oracle struct{ url string }

func startOracle(t testing.TB) *oracle {
	db := peer.StartInfluxDB(t.Context(), t, "")
	o := &oracle{db.URL}
	if _, err := o.do(http.MethodPost, "/query?q=CREATE+DATABASE+d", ""); err != nil {
		t.Fatal(err)
	}
	if text, err := o.do(http.MethodPost, "/write?db=d", lineProtocol(dataset())); err != nil || len(text) > 0 {
		t.Fatalf("writing the dataset: %v %s", err, text)
	}
	return o
}

func (o *oracle) do(method, path, body string) ([]byte, error) {
	req, err := http.NewRequest(method, o.url+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// ask returns the server's answer to a query.
func (o *oracle) ask(q string, more url.Values) (answer, []byte, error) {
	v := url.Values{"db": {"d"}, "q": {q}}
	for k := range more {
		v[k] = more[k]
	}
	text, err := o.do(http.MethodPost, "/query?"+v.Encode(), "")
	if err != nil {
		return answer{}, nil, err
	}
	a, err := decode(text)
	if err != nil {
		return a, text, fmt.Errorf("decoding %s: %w", text, err)
	}
	a.Error = strings.TrimPrefix(a.Error, "error parsing query: ")
	return a, text, nil
}

// holdfast answers with our executor over the same data in memory.
type holdfast struct{ *query.Executor }

func newHoldfast() holdfast {
	b := &querytest.Bucket{ChunkRows: 100}
	b.Add(dataset()...)
	return holdfast{query.NewExecutor(query.Options{Databases: querytest.NewServer("d", b)})}
}

func (h holdfast) ask(ctx context.Context, q string) (answer, error) {
	var out bytes.Buffer
	err := h.Execute(ctx, query.Request{Query: q, Database: "d", Now: time.Now()}, query.NewJSONEncoder(&out, query.EncodeOptions{}))
	var perr *query.ParseError
	if errors.As(err, &perr) {
		return answer{Error: perr.Err.Error()}, nil
	}
	if err != nil {
		return answer{}, err
	}
	return decode(out.Bytes())
}

// generated is how many queries are made up in each run.
const generated = 600

func TestAnswersAreThoseOfInfluxDB(t *testing.T) {
	theirs, ours := startOracle(t), newHoldfast()
	queries := picked
	g := generator{rand.New(rand.NewPCG(1, 2))}
	for range generated {
		queries = append(queries, g.query())
	}
	met := map[string]int{}
	same := 0
	for _, q := range queries {
		a, _, err := theirs.ask(q, nil)
		if err != nil {
			t.Errorf("%s\n  theirs: %v", q, err)
			continue
		}
		b, err := ours.ask(t.Context(), q)
		if err != nil {
			t.Errorf("%s\n  ours: %v", q, err)
			continue
		}
		d := difference(a, b)
		known := knownDifference(q)
		switch {
		case d == "" && known == "":
			same++
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
	t.Logf("%d queries, %d answered the same, %v known differences", len(queries), same, met)
}
