package line

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// parse parses one body in ns with the default timestamp 42.
func parse(t *testing.T, body string) (*Batch, error) {
	t.Helper()
	b := new(Batch)
	err := new(Parser).Parse(b, []byte(body), Options{Now: 42})
	return b, err
}

// one parses a body that must hold exactly one good point.
func one(t *testing.T, body string) *Point {
	t.Helper()
	b, err := parse(t, body)
	if err != nil {
		t.Fatalf("Parse(%q): %v", body, err)
	}
	if len(b.Points) != 1 {
		t.Fatalf("Parse(%q): %d points, want 1", body, len(b.Points))
	}
	return &b.Points[0]
}

func fieldsOf(p *Point) map[string]any {
	m := make(map[string]any)
	for _, f := range p.Fields {
		switch f.Value.Type {
		case Float:
			m[string(f.Key)] = math.Float64frombits(f.Value.Bits)
		case Integer:
			m[string(f.Key)] = int64(f.Value.Bits)
		case Unsigned:
			m[string(f.Key)] = f.Value.Bits
		case Boolean:
			m[string(f.Key)] = f.Value.Bits != 0
		case String:
			m[string(f.Key)] = string(f.Value.Str)
		}
	}
	return m
}

func canonical(t *testing.T, body string) string {
	t.Helper()
	return string(AppendPoint(nil, one(t, body)))
}

func TestBadLinesAreNamedWithTheirReason(t *testing.T) {
	const long = MaxKeyLength
	for _, c := range []struct{ line, reason string }{
		{",", "missing measurement"},
		{",t=a f=1", "missing measurement"},
		{"m", "missing fields"},
		{"m,t=a", "missing fields"},
		{`m\ f=1`, "missing fields"},
		{`m\`, "missing fields"},
		{"m\tf=1", "missing fields"},
		{"m ", "invalid field format"},
		{"m,t=a   ", "invalid field format"},
		{"m f", "invalid field format"},
		{"m f =1", "invalid field format"},
		{"m f=1,", "invalid field format"},
		{"m f=1,g", "invalid field format"},
		{"m f=1,,g=2", "invalid field format"},
		{"m f=1, g=2", "invalid field format"},
		{"m f=1,\tg=2", "invalid field format"},
		{"m ,f=1", "invalid field format"},
		{`m "a b"=1`, "invalid field format"},
		{`m f\=1`, "invalid field format"},
		{`m,t="a b" f=1`, "invalid field format"},
		{"m =1", "missing field key"},
		{"m f=1,=2", "missing field key"},
		{"m f=", "missing field value"},
		{"m f= ", "missing field value"},
		{"m f= 5", "missing field value"},
		{"m f=,g=1", "missing field value"},

		{"m,", "missing tag key"},
		{"m, f=1", "missing tag key"},
		{"m,=a f=1", "missing tag key"},
		{"m,t=a, f=1", "missing tag key"},
		{"m,t=a,,u=1 f=1", "missing tag key"},
		{"m,t", "missing tag value"},
		{"m,t f=1", "missing tag value"},
		{"m,t= f=1", "missing tag value"},
		{"m,t=", "missing tag value"},
		{"m,t=,u=b f=1", "missing tag value"},
		{`m,t\=1 f=1`, "missing tag value"},
		{"m,t,u=1 f=1", "missing tag value"},
		{"m,t=a=b f=1", "invalid tag format"},
		{"m,t==a f=1", "invalid tag format"},
		{`m,t=a\ f=1`, "invalid tag format"},
		{`m,t=a\\ f=1`, "invalid tag format"},
		{`m,t=a\,u=b f=1`, "invalid tag format"},
		{"m,t=a,t=b f=1", "duplicate tags"},
		{"m,t=a,t=a f=1", "duplicate tags"},
		{"m,t=a,u=b,t=c f=1", "duplicate tags"},
		{`m,a\ b=1,c=2,a\ b=3 f=1`, "duplicate tags"},
		{"m,time=x f=1", `cannot use reserved tag key "time"`},
		{"m,_field=x f=1", `cannot use reserved tag key "_field"`},
		{"m,a=1,_measurement=x f=1", `cannot use reserved tag key "_measurement"`},
		{"m,\x00=x f=1", `cannot use reserved tag key "\x00"`},
		{"m,\xff=x f=1", `cannot use reserved tag key "\xff"`},

		{"m f=+1", "invalid boolean"},
		{"m f=Inf", "invalid boolean"},
		{"m f=+Inf", "invalid boolean"},
		{"m f=infinity", "invalid boolean"},
		{"m f=e5", "invalid boolean"},
		{"m f=i", "invalid boolean"},
		{"m f=u", "invalid boolean"},
		{"m f==1", "invalid boolean"},
		{"m f=tRUE", "invalid boolean"},
		{"m f=tru", "invalid boolean"},
		{"m f=truex", "invalid boolean"},
		{"m f=yes", "invalid boolean"},
		{"m f='x'", "invalid boolean"},
		{`m f=x"y"`, "invalid boolean"},
		{"m f=t\tx", "invalid boolean"},
		{"m f=NaN", "invalid number"},
		{"m f=nan", "invalid number"},
		{"m f=-nan", "invalid number"},
		{"m f=-Inf", "invalid number"},
		{"m f=-", "invalid number"},
		{"m f=.", "invalid number"},
		{"m f=-.", "invalid number"},
		{"m f=--1", "invalid number"},
		{"m f=1-1", "invalid number"},
		{"m f=0x10", "invalid number"},
		{"m f=1_000", "invalid number"},
		{"m f=1.2.3", "invalid number"},
		{"m f=1=2", "invalid number"},
		{`m f=1"x"`, "invalid number"},
		{"m f=1\t5", "invalid number"},
		{"m f=1.0i", "invalid number"},
		{"m f=1e3i", "invalid number"},
		{"m f=-i", "invalid number"},
		{"m f=1ii", "invalid number"},
		{"m f=1i5", "invalid number"},
		{"m f=1iu", "invalid number"},
		{"m f=-1u", "invalid number"},
		{"m f=1.0u", "invalid number"},
		{"m f=-u", "invalid number"},
		{"m f=1e", "invalid float"},
		{"m f=1e+", "invalid float"},
		{"m f=.e5", "invalid float"},
		{"m f=1e5e5", "invalid float"},
		{"m f=1e5.5", "invalid float"},
		{"m f=1e400", "invalid float"},
		{"m f=-1e400", "invalid float"},
		{"m f=9223372036854775808i", "unable to parse integer 9223372036854775808: value out of range"},
		{"m f=-9223372036854775809i", "unable to parse integer -9223372036854775809: value out of range"},
		{"m f=18446744073709551616u", "unable to parse unsigned 18446744073709551616: value out of range"},

		{`m f="x`, "unbalanced quotes"},
		{`m f="`, "unbalanced quotes"},
		{`m f="a\`, "unbalanced quotes"},
		{`m f="a\"`, "unbalanced quotes"},
		{`m f="a\\\"`, "unbalanced quotes"},
		{`m f=1,g="a`, "unbalanced quotes"},
		{`m f="x"y`, "invalid field format"},
		{`m f="x""y"`, "invalid field format"},
		{`m f="x"i`, "invalid field format"},

		{"m f=1 x", "bad timestamp"},
		{"m f=1 5x", "bad timestamp"},
		{"m f=1 1.5", "bad timestamp"},
		{"m f=1 1e5", "bad timestamp"},
		{"m f=1 +5", "bad timestamp"},
		{"m f=1 -", "bad timestamp"},
		{"m f=1 --5", "bad timestamp"},
		{"m f=1 5\t", "bad timestamp"},
		{"m f=1 5,g=1", "bad timestamp"},
		{"m f=1 5\r\r", "bad timestamp"},
		{`m f=1 \`, "bad timestamp"},
		{"m f=1 5 6", "point is invalid"},
		{"m f=1 5 \t", "point is invalid"},
		{"m f=1 5 # c", "point is invalid"},
		{"m f=t 5 5", "point is invalid"},
		{"m f=1 9223372036854775807", "time outside range -9223372036854775806 - 9223372036854775806"},
		{"m f=1 -9223372036854775807", "time outside range -9223372036854775806 - 9223372036854775806"},
		{"m f=1 99999999999999999999", "time outside range -9223372036854775806 - 9223372036854775806"},

		{"m,t=" + strings.Repeat("v", long-len("m,t=")+1) + " f=1", "max key length exceeded: 65536 > 65535"},
		{"m,t=" + strings.Repeat("v", long-len("m,t=")) + " f=1", "max key length exceeded: 65540 > 65535"},
		{"m " + strings.Repeat("f", long-len("m")-4+1) + "=1", "max key length exceeded: 65536 > 65535"},
	} {
		b, err := parse(t, c.line)
		if len(b.Points) != 0 {
			t.Errorf("Parse(%.80q) made a point", c.line)
		}
		text := strings.TrimSuffix(c.line, "\r")
		if len(text) > MaxExcerpt {
			text = text[:MaxExcerpt-3] + "..."
		}
		want := "unable to parse '" + text + "': " + c.reason
		if err == nil || err.Error() != want {
			t.Errorf("Parse(%.80q):\n got %.200v\nwant %.200v", c.line, err, want)
		}
		// The same line among good ones, with what a warm parser knows about them.
		p, b := new(Parser), new(Batch)
		body := "m f=1 1\nm,t=a f=1,g=2 2\n\n" + c.line
		for range 2 {
			b.Reset()
			err = p.Parse(b, []byte(body), Options{})
			var e *Error
			if !errors.As(err, &e) || len(e.Lines) != 1 || e.Lines[0].Line != 4 || e.Lines[0].Reason != c.reason {
				t.Errorf("Parse(%.80q) behind good lines: %.200v", c.line, err)
			}
			if len(b.Points) != 2 {
				t.Errorf("Parse(%.80q): %d of 2 good points", c.line, len(b.Points))
			}
		}
	}
}

func TestGoodLinesHaveTheirCanonicalForm(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		// What is canonical stays as it is.
		{"m f=1 5", "m f=1 5\n"},
		{"m,a=1,b=2 f=1.0,g=-1i,h=007u,i=T,j=\"x y\" -5", "m,a=1,b=2 f=1.0,g=-1i,h=007u,i=T,j=\"x y\" -5\n"},
		{`m\,x,t\ a\=b=c\=\,d f\,\ \==1e5 5`, `m\,x,t\ a\=b=c\=\,d f\,\ \==1e5 5` + "\n"},
		{"_m,time\\=x=1 time=1 5", "_m,time\\=x=1 time=1 5\n"},
		{"m f=\"a\nb, = #\" 5", "m f=\"a\nb, = #\" 5\n"},
		{"m f=\"a\r\nb\" 5", "m f=\"a\r\nb\" 5\n"},
		// Blanks.
		{"  \t\x00m f=1 5", "m f=1 5\n"},
		{"m   f=1   5   ", "m f=1 5\n"},
		{"m \t\x00f=1 \t5", "m f=1 5\n"},
		{"m f=1 \t", "m f=1 42\n"},
		{"m f=1", "m f=1 42\n"},
		{"m f=1 ", "m f=1 42\n"},
		{"# c\n\n  # d \"\n \t\n\r\nm f=1 5\n\n", "m f=1 5\n"},
		// Carriage returns before the newline, and at the end of the body.
		{"m f=1\r\n", "m f=1 42\n"},
		{"m f=1i\r", "m f=1i 42\n"},
		{"m f=t\r\n", "m f=t 42\n"},
		{"m f=\"x\"\r\n", "m f=\"x\" 42\n"},
		{"m f=\"x\ny\"\r\n", "m f=\"x\ny\" 42\n"},
		{"m f=1 5\r\n", "m f=1 5\n"},
		{"m f=1 5 \r\n", "m f=1 5\n"},
		{"m\r,t=a\r f\r=1 5\r\n", "m\r,t=a\r f\r=1 5\n"},
		// Order of tags is by the bytes of the unescaped key.
		{"m,b=2,a=1 f=1 5", "m,a=1,b=2 f=1 5\n"},
		{`m,a\,b=1,a!=1,a=3 f=1 5`, `m,a=3,a!=1,a\,b=1 f=1 5` + "\n"},
		{`m,ab=1,a\ b=2,a=3 f=1 5`, `m,a=3,a\ b=2,ab=1 f=1 5` + "\n"},
		// The last value of a repeated field counts.
		{"m f=1,f=2 5", "m f=2 5\n"},
		{"m f=1,g=\"a,f=3\",f=2i 5", "m f=2i,g=\"a,f=3\" 5\n"},
		{`m a\ b=1,g=2.50,a\ b=3.0 5`, `m a\ b=3.0,g=2.50 5` + "\n"},
		// A backslash directly before a separator escapes it, even behind another backslash.
		{`m\\,t=a f=1 5`, `m\\,t=a f=1 5` + "\n"},
		{`m\=x f=1 5`, `m\=x f=1 5` + "\n"},
		{`m=x f=1 5`, `m=x f=1 5` + "\n"},
		{`\ m f=1 5`, `\ m f=1 5` + "\n"},
		{`m#,t="a" "f"=1 5`, `m#,t="a" "f"=1 5` + "\n"},
		{"m f=1 00000000000000000000000000000005", "m f=1 5\n"},
		{"m f=1 -0", "m f=1 0\n"},
		{"m f=1 9223372036854775806", "m f=1 9223372036854775806\n"},
		{"m f=1 -9223372036854775806", "m f=1 -9223372036854775806\n"},
	} {
		if got := canonical(t, c.line); got != c.want {
			t.Errorf("Parse(%q) = %q, want %q", c.line, got, c.want)
		}
	}
}

func TestFieldValues(t *testing.T) {
	for text, want := range map[string]any{
		"1": 1.0, "-1.5": -1.5, ".5": .5, "-.5": -.5, "1.": 1.0, "1e5": 1e5, "1E-3": 1e-3, "1e+3": 1e3, "1.e5": 1e5,
		"-0": math.Copysign(0, -1), "00.5": 0.5, "0.1": 0.1, "123456.789": 123456.789, "9007199254740993": 9007199254740992.0,
		"1e-400": 0.0, "1.7976931348623157e308": math.MaxFloat64, "4.9e-324": math.SmallestNonzeroFloat64,
		"0.1234567890123456789": 0.1234567890123456789, "179769313486231570000000000000000000000": 1.7976931348623157e38,
		"9999999999999999.5": 9999999999999999.5, "0.000000000000000001": 1e-18,
		"1i": int64(1), "-1i": int64(-1), "007i": int64(7), "-00i": int64(0),
		"9223372036854775807i": int64(math.MaxInt64), "-9223372036854775808i": int64(math.MinInt64),
		"00000000000000000000000000001i": int64(1),
		"0u":                             uint64(0), "1u": uint64(1), "18446744073709551615u": uint64(math.MaxUint64),
		"t": true, "T": true, "true": true, "True": true, "TRUE": true,
		"f": false, "F": false, "false": false, "False": false, "FALSE": false,
		`""`: "", `"a b,c=d#"`: "a b,c=d#", `"a\"b"`: `a"b`, `"a\\"`: `a\`, `"\\\""`: `\"`, `"a\nb\x"`: `a\nb\x`,
		"\"a\nb\"": "a\nb", "\"a\\\nb\"": "a\\\nb",
	} {
		for _, line := range []string{"m f=" + text, "m f=" + text + " 5", "m f=" + text + ",g=1 5"} {
			got := fieldsOf(one(t, line))["f"]
			if got != want || fmt.Sprint(got) != fmt.Sprint(want) { // -0 == 0, but they do not print alike
				t.Errorf("Parse(%q) = %v (%T), want %v (%T)", line, got, got, want, want)
			}
		}
	}
}

func TestNamesAreUnescaped(t *testing.T) {
	for _, c := range []struct {
		series, measurement string
		tags                []Tag
	}{
		{`m`, `m`, nil},
		{`m\,x\ y\=z\\q`, `m,x y\=z\\q`, nil},
		{`m\\,t=a`, `m\,t=a`, nil},
		{`m=x,t=a`, `m=x`, []Tag{{`t`, `a`}}},
		{`m,\ \=\,\x=a\ \=\\b\,,z="q"`, `m`, []Tag{{` =,\x`, `a =\\b,`}, {`z`, `"q"`}}},
		{`m,a\\=b=c`, `m`, []Tag{{`a\=b`, `c`}}},
	} {
		p := one(t, c.series+" f=1 5")
		if string(p.Series) != c.series {
			t.Errorf("%q is not canonical: %q", c.series, p.Series)
		}
		measurement, tags := SplitSeries(p.Series)
		if measurement != c.measurement || !slices.Equal(tags, c.tags) {
			t.Errorf("SplitSeries(%q) = %q, %q, want %q, %q", c.series, measurement, tags, c.measurement, c.tags)
		}
		if got := AppendSeriesKey(nil, measurement, tags); string(got) != c.series {
			t.Errorf("AppendSeriesKey(%q, %q) = %q, want %q", measurement, tags, got, c.series)
		}
	}
	if got := one(t, `m f\,\ \=\\g=1 5`).Fields[0].Key; string(got) != `f, =\\g` {
		t.Errorf("field key %q", got)
	}
}

func TestTimestampsAreInThePrecision(t *testing.T) {
	const now = 1700000000_123456789
	for _, c := range []struct {
		precision Precision
		text      string
		want      int64
		reason    string
	}{
		{Nanosecond, "5", 5, ""},
		{0, "5", 5, ""},
		{Microsecond, "5", 5000, ""},
		{Millisecond, "-5", -5e6, ""},
		{Second, "9223372036", 9223372036e9, ""},
		{Second, "9223372037", 0, errTimeRange},
		{Second, "-9223372037", 0, errTimeRange},
		{Minute, "153722867", 153722867 * 60e9, ""},
		{Minute, "153722868", 0, errTimeRange},
		{Hour, "2562047", 2562047 * 3600e9, ""},
		{Hour, "2562048", 0, errTimeRange},
		{Nanosecond, "", now, ""},
		{Microsecond, "", 1700000000_123456000, ""},
		{Millisecond, "", 1700000000_123000000, ""},
		{Second, "", 1700000000_000000000, ""},
		{Minute, "", 1699999980_000000000, ""},
	} {
		b := new(Batch)
		err := new(Parser).Parse(b, []byte("m f=1 "+c.text+"\nm f=2 "+c.text), Options{Precision: c.precision, Now: now})
		var bad *Error
		if errors.As(err, &bad) {
			if bad.Lines[0].Reason != c.reason {
				t.Errorf("%q at %d: %v, want %q", c.text, c.precision, err, c.reason)
			}
			continue
		}
		if c.reason != "" || b.Points[0].Time != c.want || b.Points[1].Time != c.want {
			t.Errorf("%q at %d: %d, %d, want %d %s", c.text, c.precision, b.Points[0].Time, b.Points[1].Time, c.want, c.reason)
		}
	}
}

func TestMissingTimestampsBeforeTheEpochAreRoundedDown(t *testing.T) {
	b := new(Batch)
	if err := new(Parser).Parse(b, []byte("m f=1"), Options{Precision: Second, Now: -1}); err != nil || b.Points[0].Time != -1e9 {
		t.Errorf("time %d, %v", b.Points[0].Time, err)
	}
}

func TestLongValuesDoNotCountAsKeyLength(t *testing.T) {
	long := strings.Repeat("x, =", MaxKeyLength)
	p := one(t, `m,t=a f="`+long+`",g=1,h="`+long+`" 5`)
	if got := fieldsOf(p); got["f"] != long || got["g"] != 1.0 || got["h"] != long {
		t.Errorf("%d fields", len(got))
	}
}

func TestPointsMayHaveThousandsOfFields(t *testing.T) {
	const n = 3 * keptNames
	var body []byte
	for range 2 {
		body = append(body, "m "...)
		for i := range n {
			body = fmt.Appendf(body, "f%d=%di,", i, i)
		}
		body = append(body, "g=1\n"...)
	}
	b, err := parse(t, string(body))
	if err != nil || len(b.Points) != 2 {
		t.Fatalf("%d points, %v", len(b.Points), err)
	}
	for _, p := range b.Points {
		if got := fieldsOf(&p); len(got) != n+1 || got[fmt.Sprintf("f%d", n-1)] != int64(n-1) {
			t.Errorf("%d fields", len(got))
		}
	}
}

func TestTypesHaveTheNamesOfErrorTexts(t *testing.T) {
	for typ, want := range map[Type]string{0: "", Float: "float", Integer: "integer", Unsigned: "unsigned", Boolean: "boolean", String: "string", 6: ""} {
		if typ.String() != want {
			t.Errorf("Type(%d) is %q, want %q", typ, typ, want)
		}
	}
}
