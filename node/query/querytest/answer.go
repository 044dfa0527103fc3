package querytest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/node/query"
)

// Answer is a decoded response of /query.
type Answer struct {
	Results []Result `json:"results,omitempty"`
	Error   string   `json:"error,omitempty"`
}

// Result is the answer to one statement.
type Result struct {
	ID      int      `json:"statement_id"`
	Series  []Series `json:"series,omitempty"`
	Error   string   `json:"error,omitempty"`
	Partial bool     `json:"partial,omitempty"`
}

// Series is rows of a result.
type Series struct {
	Name    string            `json:"name,omitempty"`
	Tags    map[string]string `json:"tags,omitempty"`
	Columns []string          `json:"columns,omitempty"`
	Values  [][]any           `json:"values,omitempty"`
	Partial bool              `json:"partial,omitempty"`
}

// Recorded is an answer that was once given.
type Recorded struct {
	Query  string `json:"query"`
	Answer Answer `json:"answer"`
}

// Decode reads an answer.
func Decode(text []byte) (Answer, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var a Answer
	err := d.Decode(&a)
	return a, err
}

// goTypes are names of Go types in InfluxDB's error texts.
var goTypes = regexp.MustCompile(`(iterator type: ).*`)

func errorText(s string) string { return goTypes.ReplaceAllString(s, "${1}X") }

// difference tells where two answers differ, "" when they do not.
func Difference(theirs, ours Answer) string {
	if errorText(theirs.Error) != errorText(ours.Error) {
		return fmt.Sprintf("error: theirs %q, ours %q", theirs.Error, ours.Error)
	}
	if len(theirs.Results) != len(ours.Results) {
		return fmt.Sprintf("results: theirs %d, ours %d", len(theirs.Results), len(ours.Results))
	}
	for i := range theirs.Results {
		a, b := theirs.Results[i], ours.Results[i]
		if errorText(a.Error) != errorText(b.Error) {
			return fmt.Sprintf("result %d: error: theirs %q, ours %q", i, a.Error, b.Error)
		}
		if a.Error != "" {
			continue
		}
		if d := differentSeries(a.Series, b.Series); d != "" {
			return fmt.Sprintf("result %d: %s", i, d)
		}
	}
	return ""
}

func differentSeries(a, b []Series) string {
	if len(a) != len(b) {
		return fmt.Sprintf("series: theirs %d %s, ours %d %s", len(a), names(a), len(b), names(b))
	}
	for i := range a {
		s, t := a[i], b[i]
		where := fmt.Sprintf("series %d (%s %v)", i, s.Name, s.Tags)
		if s.Name != t.Name || fmt.Sprint(s.Tags) != fmt.Sprint(t.Tags) {
			return fmt.Sprintf("%s: ours is %s %v", where, t.Name, t.Tags)
		}
		if !slices.Equal(s.Columns, t.Columns) {
			return fmt.Sprintf("%s: columns: theirs %v, ours %v", where, s.Columns, t.Columns)
		}
		if len(s.Values) != len(t.Values) {
			return fmt.Sprintf("%s: rows: theirs %d, ours %d\n theirs %s\n ours   %s", where, len(s.Values), len(t.Values), head(s.Values), head(t.Values))
		}
		sortTies(s.Values)
		sortTies(t.Values)
		for r := range s.Values {
			if !sameRow(s.Values[r], t.Values[r]) {
				return fmt.Sprintf("%s: row %d: theirs %v, ours %v", where, r, s.Values[r], t.Values[r])
			}
		}
	}
	return ""
}

func names(s []Series) string {
	var out []string
	for i := range s {
		out = append(out, fmt.Sprint(s[i].Name, s[i].Tags))
	}
	if len(out) > 6 {
		out = append(out[:6], "…")
	}
	return strings.Join(out, " ")
}

func head(rows [][]any) string {
	if len(rows) > 8 {
		return fmt.Sprint(rows[:4], "…", rows[len(rows)-4:])
	}
	return fmt.Sprint(rows)
}

// sortTies gives rows of one time an order: neither side promises one.
func sortTies(rows [][]any) {
	for i := 0; i < len(rows); {
		j := i + 1
		for j < len(rows) && len(rows[i]) > 0 && rows[j][0] == rows[i][0] {
			j++
		}
		slices.SortFunc(rows[i:j], func(a, b []any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		i = j
	}
}

func sameRow(a, b []any) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !sameValue(a[i], b[i]) {
			return false
		}
	}
	return true
}

// sameValue compares integers exactly and floats within a billionth.
func sameValue(a, b any) bool {
	x, okx := a.(json.Number)
	y, oky := b.(json.Number)
	if !okx || !oky {
		return a == b
	}
	if x == y {
		return true
	}
	if _, err := x.Int64(); err == nil {
		if _, err := y.Int64(); err == nil {
			return false
		}
	}
	f, err1 := x.Float64()
	g, err2 := y.Float64()
	if err1 != nil || err2 != nil {
		return false
	}
	return math.Abs(f-g) <= 1e-9*math.Max(math.Max(math.Abs(f), math.Abs(g)), 1e-3)
}

// Ask returns an executor's answer. A query that does not parse is an answer with an error.
func Ask(ctx context.Context, e *query.Executor, r query.Request) (Answer, error) {
	var out bytes.Buffer
	err := e.Execute(ctx, r, query.NewJSONEncoder(&out, query.EncodeOptions{}))
	var perr *query.ParseError
	if errors.As(err, &perr) {
		return Answer{Error: perr.Err.Error()}, nil
	}
	if err != nil {
		return Answer{}, err
	}
	return Decode(out.Bytes())
}

// DecodeRecorded reads a recorded answer.
func DecodeRecorded(text []byte) (Recorded, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var r Recorded
	err := d.Decode(&r)
	return r, err
}
