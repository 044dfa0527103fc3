package query_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/line"
	"github.com/holdfast-telemetry/holdfast/node/query"
	"github.com/holdfast-telemetry/holdfast/node/store"
)

// floats is a series of one float column.
func floats(name string, tags []store.Tag, times []int64, values ...float64) *query.Series {
	return &query.Series{Name: name, Tags: tags, Columns: []string{"time", "v"}, Times: times, Rows: len(times),
		Values: []query.Column{{Column: store.Column{Type: line.Float, Floats: values}}}}
}

// encode writes one statement's result.
func encode(t *testing.T, e query.Encoder, err error, all ...*query.Series) {
	t.Helper()
	steps := []func() error{func() error { return e.Begin(0) }}
	for _, s := range all {
		steps = append(steps, func() error { return e.Series(s) })
	}
	steps = append(steps, func() error { return e.End(nil, err) }, e.Close)
	for _, step := range steps {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestJSONHasTheShapeOfInfluxDB(t *testing.T) {
	a := []store.Tag{{Key: "host", Value: "a"}}
	for _, c := range []struct {
		name string
		o    query.EncodeOptions
		err  error
		in   []*query.Series
		want string
	}{
		{"nothing", query.EncodeOptions{}, nil, nil, `{"results":[{"statement_id":0}]}`},
		{"an error", query.EncodeOptions{}, errors.New(`no "x"`), nil, `{"results":[{"statement_id":0,"error":"no \"x\""}]}`},
		{"times as text", query.EncodeOptions{}, nil, []*query.Series{floats("m", nil, []int64{0, 1500000000}, 1, 0.5)},
			`{"results":[{"statement_id":0,"series":[{"name":"m","columns":["time","v"],"values":[["1970-01-01T00:00:00Z",1],["1970-01-01T00:00:01.5Z",0.5]]}]}]}`},
		{"times as integers", query.EncodeOptions{Epoch: "ms"}, nil, []*query.Series{floats("m", a, []int64{1500000000}, 1)},
			`{"results":[{"statement_id":0,"series":[{"name":"m","tags":{"host":"a"},"columns":["time","v"],"values":[[1500,1]]}]}]}`},
		{"a series that goes on", query.EncodeOptions{Epoch: "s"}, nil, []*query.Series{floats("m", a, []int64{0}, 1), floats("m", a, []int64{1e9}, 2)},
			`{"results":[{"statement_id":0,"series":[{"name":"m","tags":{"host":"a"},"columns":["time","v"],"values":[[0,1],[1,2]]}]}]}`},
		{"numbers that JSON has not", query.EncodeOptions{Epoch: "s"}, nil, []*query.Series{floats("m", nil, []int64{0, 0, 0}, math.NaN(), math.Inf(1), 1e21)},
			`{"results":[{"statement_id":0,"series":[{"name":"m","columns":["time","v"],"values":[[0,null],[0,null],[0,1e+21]]}]}]}`},
		{"an error after rows", query.EncodeOptions{Epoch: "s"}, errors.New("cut"), []*query.Series{floats("m", nil, []int64{0}, 1)},
			`{"results":[{"statement_id":0,"series":[{"name":"m","columns":["time","v"],"values":[[0,1]]}],"error":"cut"}]}`},
		{"a series without rows", query.EncodeOptions{}, nil, []*query.Series{{Name: "databases", Columns: []string{"name"}}},
			`{"results":[{"statement_id":0,"series":[{"name":"databases","columns":["name"]}]}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			encode(t, query.NewJSONEncoder(&out, c.o), c.err, c.in...)
			if got := out.String(); got != c.want+"\n" {
				t.Errorf("got  %s want %s", got, c.want)
			}
		})
	}
}

func TestChunksSayWhetherMoreFollows(t *testing.T) {
	a, b := []store.Tag{{Key: "h", Value: "a"}}, []store.Tag{{Key: "h", Value: "b"}}
	var out bytes.Buffer
	flushed := 0
	e := query.NewJSONEncoder(&out, query.EncodeOptions{Epoch: "s", Chunked: true, ChunkSize: 2, Flush: func() { flushed++ }})
	encode(t, e, nil, floats("m", a, []int64{0, 1e9, 2e9}, 1, 2, 3), floats("m", a, []int64{3e9}, 4), floats("m", b, []int64{0}, 5))
	want := []string{
		`{"results":[{"statement_id":0,"series":[{"name":"m","tags":{"h":"a"},"columns":["time","v"],"values":[[0,1],[1,2]],"partial":true}],"partial":true}]}`,
		`{"results":[{"statement_id":0,"series":[{"name":"m","tags":{"h":"a"},"columns":["time","v"],"values":[[2,3],[3,4]]}],"partial":true}]}`,
		`{"results":[{"statement_id":0,"series":[{"name":"m","tags":{"h":"b"},"columns":["time","v"],"values":[[0,5]]}]}]}`,
	}
	if got := strings.TrimSpace(out.String()); got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	if flushed != len(want) {
		t.Errorf("flushed %d times for %d chunks", flushed, len(want))
	}
}

func TestAFailureAfterAChunkIsAChunkOfItsOwn(t *testing.T) {
	var out bytes.Buffer
	e := query.NewJSONEncoder(&out, query.EncodeOptions{Epoch: "s", Chunked: true, ChunkSize: 2})
	encode(t, e, errors.New("cut"), floats("m", nil, []int64{0}, 1))
	want := `{"results":[{"statement_id":0,"series":[{"name":"m","columns":["time","v"],"values":[[0,1]]}],"partial":true}]}` + "\n" +
		`{"results":[{"statement_id":0,"error":"cut"}]}` + "\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestJSONStringsAreWhatGoReads(t *testing.T) {
	for _, s := range []string{"", `"\/`, "a\nb\tc\rd", "\x00\x1f\x7f", "ünï\u2028çødé 🐙", "<&>", "bad \xff\xc3 utf8"} {
		in := floats(s, []store.Tag{{Key: "k" + s, Value: s}}, nil)
		var out bytes.Buffer
		encode(t, query.NewJSONEncoder(&out, query.EncodeOptions{}), nil, in)
		var got struct {
			Results []struct {
				Series []struct {
					Name string
					Tags map[string]string
				}
			}
		}
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatalf("%q: %v in %s", s, err, out.Bytes())
		}
		want := strings.ToValidUTF8(strings.ReplaceAll(s, "\xff\xc3", "\ufffd\ufffd"), "\ufffd")
		if g := got.Results[0].Series[0]; g.Name != want || g.Tags["k"+want] != want {
			t.Errorf("%q became %q", s, g.Name)
		}
	}
}

func TestCSVHasAHeaderForEachRunOfColumns(t *testing.T) {
	a := []store.Tag{{Key: "h", Value: "a b"}, {Key: "k", Value: ""}, {Key: "z", Value: "1"}}
	other := floats("n", nil, []int64{5}, math.NaN())
	other.Columns = []string{"time", "w"}
	var out bytes.Buffer
	encode(t, query.NewCSVEncoder(&out, query.EncodeOptions{}), errors.New("cut"), floats("m", a, []int64{1, 2}, 1e21, 2.5), other)
	want := "name,tags,time,v\n" + `m,"h=a\ b,z=1",1,1000000000000000000000` + "\n" + `m,"h=a\ b,z=1",2,2.5` + "\n\nname,tags,time,w\nn,,5,\n\nerror\ncut\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestTimesAreWrittenInTheQuerysZone(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	s := floats("m", nil, []int64{time.Date(2026, 7, 1, 10, 0, 0, 0, time.UTC).UnixNano()}, 1)
	s.Location = berlin
	var out bytes.Buffer
	encode(t, query.NewJSONEncoder(&out, query.EncodeOptions{}), nil, s)
	if !strings.Contains(out.String(), `"2026-07-01T12:00:00+02:00"`) {
		t.Errorf("got %s", out.String())
	}
}
