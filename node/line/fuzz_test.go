package line

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/influxdata/line-protocol/v2/lineprotocol"
)

var seeds = []string{
	"m f=1 5\n",
	"cpu,host=a,region=b user=1i,system=2.5,idle=3u,on=t,name=\"x y\" 1451606400000000000\n",
	"m,b=2,a=1 f=1,f=2\nm,a=1,b=2 f=3",
	`m\,x\ y,t\=\ a=b\,c f\ g=1e5,s="a\"\\\n" -5`,
	"m f=\"two\nlines\"\r\n# comment\n\n m f=1\r",
	"m\\\\,t=a f=1\nm,t=a\\ f=1\n",
	"m f=\"open\nm g=1",
	"m\\\nx f=1",
	"m,time=1 f=1\nm,a=1,a=2 f=1\nm,a= f=1",
	"m f=1 5 6\nm f=1 5x\nm f=9223372036854775808i\nm f=1e400\nm f=NaN",
	"m f=1,g=2 5\nm f=1,h=2,g=3 6\nm g=1\nm f=1,g=2,h=3 7",
	"m f=0.1234567890123456789,g=9007199254740993,h=-0,i=.5,j=1.,k=00000000000000000000000001i",
	"m f=1 9223372036854775806\nm f=1 -9223372036854775807",
	"m \tf=1 \t5\nm f=1,\tg=2",
}

// FuzzParse checks what must hold for any bytes: what was parsed means the same after encoding and parsing, nothing outside
// the body counts, and what the parser remembers from other bodies changes nothing.
func FuzzParse(f *testing.F) {
	for i, s := range seeds {
		f.Add([]byte(s), []byte(seeds[(i+1)%len(seeds)]))
	}
	f.Fuzz(func(t *testing.T, before, body []byte) {
		cold, b := new(Parser), new(Batch)
		err := cold.Parse(b, slices.Clip(bytes.Clone(body)), Options{Now: 42})
		checkErrors(t, body, err)
		checkPoints(t, b)

		warm, again := new(Parser), new(Batch)
		_ = warm.Parse(again, before, Options{})
		for range 2 {
			again.Reset()
			followed := append(bytes.Clone(body), "\"\n5 \\,=1"...)
			werr := warm.Parse(again, followed[:len(body)], Options{Now: 42})
			if diff := difference(b, again); diff != "" || fmt.Sprint(err) != fmt.Sprint(werr) {
				t.Fatalf("a warm parser reads it otherwise: %s; %v, %v", diff, err, werr)
			}
		}

		encoded := AppendBatch(nil, b)
		checkReads(t, b, encoded, "its text")
		for i := range b.Points {
			b.Points[i].Text = nil
		}
		checkReads(t, b, AppendBatch(nil, b), "its values")
	})
}

func checkErrors(t *testing.T, body []byte, err error) {
	var bad *Error
	if err != nil && !errors.As(err, &bad) {
		t.Fatalf("error of type %T", err)
	}
	if bad == nil {
		return
	}
	lines := bytes.Count(body, newline) + 1
	last := 0
	for _, e := range bad.Lines {
		if e.Line <= last || e.Line > lines || e.Text == "" || len(e.Text) > MaxExcerpt || e.Reason == "" {
			t.Fatalf("bad line %+v behind line %d of %d", e, last, lines)
		}
		last = e.Line
	}
}

func checkPoints(t *testing.T, b *Batch) {
	for i := range b.Points {
		p := &b.Points[i]
		measurement, tags := SplitSeries(p.Series)
		if key := AppendSeriesKey(nil, measurement, tags); !bytes.Equal(key, p.Series) {
			t.Fatalf("series %q is not canonical, it should be %q", p.Series, key)
		}
		if b.repeated(p.Fields) || len(p.Fields) == 0 {
			t.Fatalf("fields of %q: %q", p.Series, p.Text)
		}
		if p.Time < MinTime || p.Time > MaxTime {
			t.Fatalf("time %d", p.Time)
		}
	}
}

func checkReads(t *testing.T, b *Batch, encoded []byte, from string) {
	read := new(Batch)
	if err := new(Parser).Parse(read, encoded, Options{}); err != nil {
		t.Fatalf("encoded from %s it is not readable: %v", from, err)
	}
	if diff := difference(b, read); diff != "" {
		t.Fatalf("encoded from %s as %q it means something else: %s", from, encoded, diff)
	}
	if again := AppendBatch(nil, read); !bytes.Equal(again, encoded) {
		t.Fatalf("encoding is not stable: %q, then %q", encoded, again)
	}
}

// FuzzLines checks that a line means the same on its own as between others.
func FuzzLines(f *testing.F) {
	for i, s := range seeds {
		f.Add([]byte(s), []byte(seeds[(i+1)%len(seeds)]))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		if bytes.IndexByte(first, '"') >= 0 || bytes.HasSuffix(first, []byte(`\`)) {
			return // may reach into the next line
		}
		apart := new(Batch)
		err1 := new(Parser).Parse(apart, first, Options{})
		err2 := new(Parser).Parse(apart, second, Options{})
		together := new(Batch)
		err := new(Parser).Parse(together, slices.Concat(first, newline, second), Options{})
		if diff := difference(apart, together); diff != "" {
			t.Fatalf("together they mean something else: %s", diff)
		}
		if (err != nil) != (err1 != nil || err2 != nil) {
			t.Fatalf("apart: %v, %v; together: %v", err1, err2, err)
		}
	})
}

// FuzzAgainstLineprotocol compares with the reference decoder of InfluxDB's authors. Bodies for which the rules differ are
// left out: FORMAT.md lists the differences.
func FuzzAgainstLineprotocol(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !sameRules(body) {
			return
		}
		ours, theirs := new(Batch), new(Batch)
		err := new(Parser).Parse(ours, body, Options{Now: 42})
		theirErr := decode(theirs, body)
		if err == nil && theirErr == nil {
			if diff := difference(ours, theirs); diff != "" {
				t.Fatalf("ours and theirs: %s", diff)
			}
			return
		}
		if err == nil {
			t.Fatalf("only the decoder refuses it: %v", theirErr)
		}
		if theirErr == nil && !stricter(err) {
			t.Fatalf("only we refuse it: %v", err)
		}
	})
}

// sameRules tells whether body is free of what the two read differently by intent.
func sameRules(body []byte) bool {
	if !utf8.Valid(body) {
		return false
	}
	for i, c := range body {
		if c < ' ' && c != '\n' || c == 0x7f || c == '_' && i > 0 && body[i-1]-'0' <= 9 {
			return false
		}
	}
	for _, s := range []string{`\n`, `\r`, `\t`, "0x", "0X"} {
		if bytes.Contains(body, []byte(s)) {
			return false
		}
	}
	return true
}

// stricter tells whether all bad lines are bad for reasons that the decoder does not know.
func stricter(err error) bool {
	var bad *Error
	if !errors.As(err, &bad) {
		return false
	}
	for _, e := range bad.Lines {
		switch {
		case e.Reason == errTagTwice, e.Reason == errTimeRange,
			strings.HasPrefix(e.Reason, errReserved), strings.HasPrefix(e.Reason, errKeyLength):
		default:
			return false
		}
	}
	return true
}

// decode fills b with what the reference decoder reads, in our canonical form.
func decode(b *Batch, body []byte) error {
	d := lineprotocol.NewDecoderWithBytes(body)
	for d.Next() {
		name, err := d.Measurement()
		if err != nil {
			return err
		}
		measurement := string(name)
		var tags []Tag
		for {
			key, value, err := d.NextTag()
			if err != nil {
				return err
			}
			if key == nil {
				break
			}
			tags = append(tags, Tag{string(key), string(value)})
		}
		var fields []Field
		for {
			key, value, err := d.NextField()
			if err != nil {
				return err
			}
			if key == nil {
				break
			}
			fields = append(fields, Field{bytes.Clone(key), decoded(value)})
		}
		at, err := d.Time(lineprotocol.Nanosecond, time.Unix(0, 42))
		if err != nil {
			return err
		}
		b.Add(AppendSeriesKey(nil, measurement, tags), fields, at.UnixNano())
	}
	return d.Err()
}

func decoded(v lineprotocol.Value) Value {
	switch v.Kind() {
	case lineprotocol.Float:
		return floatValue(v.FloatV())
	case lineprotocol.Int:
		return Value{Type: Integer, Bits: uint64(v.IntV())}
	case lineprotocol.Uint:
		return Value{Type: Unsigned, Bits: v.UintV()}
	case lineprotocol.Bool:
		if v.BoolV() {
			return Value{Type: Boolean, Bits: 1}
		}
		return Value{Type: Boolean}
	default:
		return Value{Type: String, Str: []byte(v.StringV())}
	}
}
