package line

import (
	"fmt"
	"math"
	"math/rand"
	"slices"
	"strings"
	"testing"
)

func floatValue(f float64) Value { return Value{Type: Float, Bits: math.Float64bits(f)} }

func TestAddedPointsAreEncodedFromTheirValues(t *testing.T) {
	b := new(Batch)
	series := AppendSeriesKey(nil, "m x", []Tag{{"b", "2"}, {"a", "1"}})
	fields := []Field{
		{[]byte("f"), floatValue(0.1)},
		{[]byte("g h"), Value{Type: Integer, Bits: uint64(1<<64 - 7)}},
		{[]byte("i"), Value{Type: Unsigned, Bits: math.MaxUint64}},
		{[]byte("j"), Value{Type: Boolean, Bits: 1}},
		{[]byte("k"), Value{Type: String, Str: []byte("a\"\\\n")}},
		{[]byte("l"), floatValue(1e21)},
		{[]byte("n"), floatValue(123456789)},
		{[]byte("o"), floatValue(1e-7)},
		{[]byte("f"), floatValue(-3)},
		{[]byte("nan"), floatValue(math.NaN())},
		{[]byte("inf"), floatValue(math.Inf(-1))},
		{[]byte("none"), Value{}},
		{[]byte(`slash\`), floatValue(1)},
		{[]byte("\ttab"), floatValue(1)},
		{[]byte(""), floatValue(1)},
		{[]byte("new\nline"), floatValue(1)},
	}
	if !b.Add(series, fields, -5) {
		t.Fatal("Add refused the point")
	}
	for i := range fields { // the batch has copies
		for j := range fields[i].Key {
			fields[i].Key[j] = 'X'
		}
	}
	clear(series)
	const want = `m\ x,a=1,b=2 f=-3,g\ h=-7i,i=18446744073709551615u,j=true,k="a\"\\` + "\n" + `",l=1e+21,n=123456789,o=1e-07,new\nline=1 -5` + "\n"
	if got := string(AppendBatch(nil, b)); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestAddRefusesWhatCannotBeWritten(t *testing.T) {
	b := new(Batch)
	f := []Field{{[]byte("f"), floatValue(1)}}
	for what, added := range map[string]bool{
		"no series":    b.Add(nil, f, 0),
		"no field":     b.Add([]byte("m"), nil, 0),
		"NaN only":     b.Add([]byte("m"), []Field{{[]byte("f"), floatValue(math.NaN())}}, 0),
		"time too low": b.Add([]byte("m"), f, math.MinInt64+1),
		"time too big": b.Add([]byte("m"), f, math.MaxInt64),
	} {
		if added {
			t.Errorf("%s: was added", what)
		}
	}
	if len(b.Points) != 0 || !b.Add([]byte("m"), f, MinTime) || !b.Add([]byte("m"), f, MaxTime) {
		t.Errorf("%d points", len(b.Points))
	}
	if min, max := b.TimeBounds(); min != MinTime || max != MaxTime {
		t.Errorf("TimeBounds() = %d, %d", min, max)
	}
}

func TestSeriesKeysAreMadeOfWhatCanBeWritten(t *testing.T) {
	for _, c := range []struct {
		measurement string
		tags        []Tag
		want        string
	}{
		{"m", nil, "m"},
		{"m", []Tag{{"b", "2"}, {"a", "1"}, {"b", "3"}}, "m,a=1,b=3"},
		{"m", []Tag{{"b", "2"}, {"b", ""}}, "m,b=2"},
		{"a b,c=d", []Tag{{"a b,c=d", "a b,c=d"}}, `a\ b\,c=d,a\ b\,c\=d=a\ b\,c\=d`},
		{"m", []Tag{{"", "v"}, {"a", ""}, {`b\`, "v"}, {"c", `v\`}, {"time", "v"}, {"_field", "v"}, {"_measurement", "v"}, {"\x00", "v"}, {"\xff", "v"}}, "m"},
		{"new\nline", []Tag{{"new\nline", "new\nline"}}, `new\nline,new\nline=new\nline`},
		{"m", []Tag{{"\n", "1"}, {"A", "2"}}, `m,A=2,\n=1`},
		{"m", []Tag{{"\n", "1"}, {`\n`, "2"}}, `m,\n=2`},
		{"", nil, ""},
		{"#m", nil, ""},
		{"\tm", nil, ""},
		{"\x00", nil, ""},
		{`m\`, nil, ""},
		{strings.Repeat("m", MaxKeyLength+1), nil, ""},
		{strings.Repeat("m", MaxKeyLength), nil, strings.Repeat("m", MaxKeyLength)},
	} {
		given := slices.Clone(c.tags)
		if got := AppendSeriesKey([]byte(">"), c.measurement, c.tags); string(got) != ">"+c.want {
			t.Errorf("AppendSeriesKey(%.50q, %q) = %.100q, want %.100q", c.measurement, c.tags, got, ">"+c.want)
		}
		if !slices.Equal(given, c.tags) {
			t.Errorf("AppendSeriesKey changed its tags: %q", c.tags)
		}
	}
}

func TestFilterKeepsOrder(t *testing.T) {
	b, err := parse(t, "m f=2 2\nm f=0 0\nm f=1 1\nm f=3 3\n")
	if err != nil {
		t.Fatal(err)
	}
	if min, max := b.TimeBounds(); min != 0 || max != 3 {
		t.Errorf("TimeBounds() = %d, %d", min, max)
	}
	var seen []int
	b.Filter(func(i int, p *Point) bool {
		seen = append(seen, i)
		return p.Time%2 == 1
	})
	if got := string(AppendBatch(nil, b)); got != "m f=1 1\nm f=3 3\n" || !slices.Equal(seen, []int{0, 1, 2, 3}) {
		t.Errorf("kept %q, saw %v", got, seen)
	}
	b.Filter(func(int, *Point) bool { return false })
	if min, max := b.TimeBounds(); len(b.Points) != 0 || min != 0 || max != 0 {
		t.Errorf("%d points in %d..%d", len(b.Points), min, max)
	}
}

func TestAChangedPointIsEncodedAnew(t *testing.T) {
	p := one(t, `m time=1,a\ b=1.50,s="x\y" 5`)
	p.Fields = p.Fields[1:]
	p.Text = nil
	if got := string(AppendPoint(nil, p)); got != `m a\ b=1.5,s="x\\y" 5`+"\n" {
		t.Errorf("got %q", got)
	}
	p.Fields = nil
	if got := string(AppendPoint([]byte("x"), p)); got != "x" {
		t.Errorf("a point without fields became %q", got)
	}
}

func TestKnownSeriesAreParsedAndEncodedWithoutAllocation(t *testing.T) {
	var body []byte
	body = append(body, cpuLines(100, 500, longFloat)...)
	body = append(body, cpuLines(100, 500, integer)...)
	body = append(body, cpuLines(100, 500, text)...)
	for i := range 500 { // tags out of order, other fields for the same series each time, escapes, a time of the server's
		body = fmt.Appendf(body, "disk\\ io,path=/a\\ b%d,host=h f\\ %d=1i,name=\"x\\\"y\",on=T,n%d=1e5,u=%du\n", i%50, i%3, i%2, i)
	}
	p, b := new(Parser), new(Batch)
	var out []byte
	work := func() {
		b.Reset()
		if err := p.Parse(b, body, Options{Now: 1}); err != nil {
			t.Fatal(err)
		}
		out = AppendBatch(out[:0], b)
	}
	for range 3 {
		work()
	}
	if n := testing.AllocsPerRun(10, work); n != 0 {
		t.Errorf("%v allocations for %d points, want 0", n, len(b.Points))
	}
}

func TestSeriesCacheStaysWithinItsBound(t *testing.T) {
	p, b := &Parser{CacheBytes: 64 << 10}, new(Batch)
	long := strings.Repeat("x", 2000)
	for round := range 20 {
		var body, want []byte
		for i := range 500 {
			body = fmt.Appendf(body, "m,z=%d,a=%d f=%d %d\n", round, i, i, i)
			want = fmt.Appendf(want, "m,a=%d,z=%d f=%d %d\n", i, round, i, i)
		}
		body = fmt.Appendf(body, "m,z=%s,a=%d f=1 1\n", long, round)
		want = fmt.Appendf(want, "m,a=%d,z=%s f=1 1\n", round, long)
		b.Reset()
		if err := p.Parse(b, body, Options{}); err != nil {
			t.Fatal(err)
		}
		if got := AppendBatch(nil, b); string(got) != string(want) {
			t.Fatalf("round %d: canonical form is wrong", round)
		}
		if p.series.size > p.CacheBytes || len(p.series.entries) != len(p.series.index) {
			t.Fatalf("round %d: %d bytes in %d entries, %d indexed", round, p.series.size, len(p.series.entries), len(p.series.index))
		}
	}
}

func TestSchemasStayWithinTheirBounds(t *testing.T) {
	p, b := new(Parser), new(Batch)
	for i := range 3 * maxSchemas {
		b.Reset()
		name := fmt.Sprintf("f%d", i)
		if err := p.Parse(b, []byte("m "+name+"=1i,g=2 5"), Options{}); err != nil {
			t.Fatal(err)
		}
		if got := fieldsOf(&b.Points[0]); len(got) != 2 || got[name] != int64(1) || got["g"] != 2.0 {
			t.Fatalf("fields %v", got)
		}
	}
	var wide []byte
	wide = append(wide, "m "...)
	for i := range 2 * maxSchemaFields {
		wide = fmt.Appendf(wide, "f%d=%d,", i, i)
	}
	wide = append(wide, "f7=1"...)
	b.Reset()
	if err := p.Parse(b, wide, Options{}); err != nil || len(b.Points[0].Fields) != 2*maxSchemaFields {
		t.Fatalf("%v: %d fields", err, len(b.Points[0].Fields))
	}
	if got := fieldsOf(&b.Points[0])["f7"]; got != 1.0 {
		t.Errorf("the last value of a repeated key among many does not count: %v", got)
	}
	if len(p.schemas.byKey) > maxSchemas || p.schemas.bytes > maxSchemaBytes {
		t.Errorf("%d schemas of %d bytes", len(p.schemas.byKey), p.schemas.bytes)
	}
}

func TestSizeCountsWhatResetKeeps(t *testing.T) {
	b := new(Batch)
	if b.Size() != 0 {
		t.Errorf("an empty batch holds %d bytes", b.Size())
	}
	body := cpuLines(10, 100, text)
	if err := new(Parser).Parse(b, body, Options{}); err != nil {
		t.Fatal(err)
	}
	before := b.Size()
	b.Reset()
	if min := 100*88 + 1000*64; b.Size() != before || before < min/2 || before > 8*min {
		t.Errorf("%d bytes, %d after Reset; 100 points and 1000 fields take about %d", before, b.Size(), min)
	}
}

// Slices of a batch stay as they are while the batch grows: arenas are left behind, not moved.
func TestPointsStayIntactWhileTheBatchGrows(t *testing.T) {
	p, b := new(Parser), new(Batch)
	var want []byte
	for i := range 300 {
		body := fmt.Appendf(nil, "m,b=%d,a=1 f=%d,s=\"a\\\"%d\",f=%d %d", i, i, i, i+1, i)
		if err := p.Parse(b, body, Options{}); err != nil {
			t.Fatal(err)
		}
		want = fmt.Appendf(want, "m,a=1,b=%d f=%d,s=\"a\\\"%d\" %d\n", i, i+1, i, i)
		b.Add([]byte("n"), []Field{{[]byte("k"), floatValue(float64(i))}}, int64(i))
		want = fmt.Appendf(want, "n k=%d %d\n", i, i)
	}
	if got := AppendBatch(nil, b); string(got) != string(want) {
		t.Errorf("got %.300q\nwant %.300q", got, want)
	}
	for i := 0; i < len(b.Points); i += 2 {
		if got := fieldsOf(&b.Points[i]); got["f"] != float64(i/2+1) || got["s"] != fmt.Sprintf(`a"%d`, i/2) {
			t.Fatalf("point %d: %v", i, got)
		}
	}
}

// randomName makes names of bytes that mean something to line protocol.
func randomName(rng *rand.Rand) string {
	const alphabet = "ab=, \\\"#\n\r\t\x00\x7f\xff€i1.-"
	s := make([]byte, rng.Intn(6))
	for i := range s {
		s[i] = alphabet[rng.Intn(len(alphabet))]
	}
	return string(s)
}

func randomValue(rng *rand.Rand) Value {
	switch t := Type(1 + rng.Intn(5)); t {
	case Float:
		return Value{Type: t, Bits: rng.Uint64()} // all kinds, NaN as well
	case Boolean:
		return Value{Type: t, Bits: uint64(rng.Intn(2))}
	case String:
		return Value{Type: t, Str: []byte(randomName(rng) + randomName(rng))}
	default:
		return Value{Type: t, Bits: rng.Uint64() >> rng.Intn(64)}
	}
}

func TestRandomPointsSurviveEncodingAndParsing(t *testing.T) {
	const seed = 1
	rng := rand.New(rand.NewSource(seed))
	p, added, parsed := new(Parser), new(Batch), new(Batch)
	points := 0
	for range 2000 {
		added.Reset()
		parsed.Reset()
		for range 5 {
			var tags []Tag
			for range rng.Intn(4) {
				tags = append(tags, Tag{randomName(rng), randomName(rng)})
			}
			var fields []Field
			for range rng.Intn(20) {
				fields = append(fields, Field{[]byte(randomName(rng)), randomValue(rng)})
			}
			added.Add(AppendSeriesKey(nil, randomName(rng), tags), fields, int64(rng.Uint64()))
		}
		body := AppendBatch(nil, added)
		if err := p.Parse(parsed, body, Options{}); err != nil {
			t.Fatalf("seed %d: %v in %q", seed, err, body)
		}
		points += len(parsed.Points)
		if diff := difference(added, parsed); diff != "" {
			t.Fatalf("seed %d: %s in %q", seed, diff, body)
		}
	}
	if points < 1000 {
		t.Errorf("only %d points were tried", points)
	}
}

// difference tells what two batches differ in, apart from Text and Line; "" when they are equal.
func difference(a, b *Batch) string {
	if len(a.Points) != len(b.Points) {
		return fmt.Sprintf("%d and %d points", len(a.Points), len(b.Points))
	}
	for i := range a.Points {
		p, q := &a.Points[i], &b.Points[i]
		if string(p.Series) != string(q.Series) || p.Time != q.Time || len(p.Fields) != len(q.Fields) {
			return fmt.Sprintf("point %d: %q at %d with %d fields and %q at %d with %d", i, p.Series, p.Time, len(p.Fields), q.Series, q.Time, len(q.Fields))
		}
		for j := range p.Fields {
			f, g := p.Fields[j], q.Fields[j]
			if string(f.Key) != string(g.Key) || f.Value.Type != g.Value.Type || f.Value.Bits != g.Value.Bits || string(f.Value.Str) != string(g.Value.Str) {
				return fmt.Sprintf("point %d, field %d: %q=%+v and %q=%+v", i, j, f.Key, f.Value, g.Key, g.Value)
			}
		}
	}
	return ""
}
