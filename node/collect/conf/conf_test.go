package conf

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/influxdata/toml"
)

func lookup(pairs ...string) Lookup {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func parse(t *testing.T, text string, env Lookup) []*Table {
	t.Helper()
	tables, err := Parse("a.conf", []byte(text), ParseOptions{Env: env})
	if err != nil {
		t.Fatal(err)
	}
	return tables
}

func TestEachTableIsSplitOffWithItsSubTablesAtItsLines(t *testing.T) {
	tables := parse(t, "\ufeff"+`# [commented.out]
[agent]
  interval = "10s" # [[inputs.fake]]
[[inputs.ping]]
  urls = [
    "a # not a comment", # a comment
    "[[inputs.fake]]",
  ]
  note = """
[[inputs.fake]]
"""
[[inputs."exec"]]
  commands = ['echo "[x]"']
[[inputs.ping]]
  urls = ["second"]
[inputs.ping.tags]
  of = "second"
[node]
  listen = "x"
[[remote]]
  name = "one"
[[remote]]
  name = "two"
`, nil)
	var got []string
	for _, tb := range tables {
		got = append(got, tb.Name())
	}
	want := "agent inputs.ping inputs.exec inputs.ping node remote remote"
	if strings.Join(got, " ") != want {
		t.Fatalf("tables are %v, want %s", got, want)
	}
	for i, line := range []int{2, 4, 12, 14, 18, 20, 22} {
		if tables[i].Line != line {
			t.Errorf("%s is at line %d, want %d", tables[i].Name(), tables[i].Line, line)
		}
	}
	second := string(tables[3].Text())
	if !strings.Contains(second, `"second"`) || !strings.Contains(second, "of =") || strings.Contains(second, "echo") {
		t.Errorf("the second ping's text is %q", second)
	}
	if at := strings.Count(second[:strings.Index(second, "of =")], "\n") + 1; at != 17 || tables[3].LineOf("of") != 17 {
		t.Errorf("the sub-table's key moved to line %d", at)
	}
	for _, tb := range tables {
		if _, err := toml.Parse(tb.Text()); err != nil {
			t.Errorf("%s alone is not TOML: %v", tb.Name(), err)
		}
	}
}

func TestMistakesInTheTextAreFound(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"open string", "[a]\nx = \"open\n", "a.conf:3: invalid TOML syntax, here or just before"},
		{"key before tables", "x = 1\n[a]\n", `a.conf:1: "x" stands before the first table`},
		{"text after header", "[a] x\n", "a.conf:1: only a comment can follow a [table] on its line"},
		{"not text", "\x00\x01", "a.conf: this is not a TOML text"},
		{"repeated key", "[a]\nx = 1\nx = 2\n", "a.conf:3: "},
		{"unset bare reference", "[a]\nx = ${NOPE}\n", "a.conf:2: environment variable ${NOPE} is not set"},
		{"required reference", "[a]\n\nx = \"${NOPE:?set it to the site's name}\"\n", "a.conf:3: required variable NOPE is missing a value: set it to the site's name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("a.conf", []byte(c.text), ParseOptions{})
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s…", err, c.want)
			}
		})
	}
}

type options struct {
	S     string            `toml:"s"`
	N     int               `toml:"n"`
	F     float64           `toml:"f"`
	B     bool              `toml:"b"`
	D     Duration          `toml:"d"`
	Z     Size              `toml:"z"`
	List  []string          `toml:"list"`
	Names map[string]string `toml:"names"`
	NS    []int             `toml:"ns"`
}

func TestEnvironmentFillsValuesWithTheirTypes(t *testing.T) {
	env := lookup("N", "7", "F", "1.5", "B", "true", "S", `quote" and \ and $N`, "EMPTY", "", "D", "90s", "Z", "64KiB",
		"LIST", `["x", "y"]`, "EVIL", "1\nextra = 2", "EVIL2", "1 # ]")
	for _, c := range []struct {
		text string
		want options
	}{
		{`s = "$S"`, options{S: `quote" and \ and $N`}},
		{`s = $S`, options{S: `quote" and \ and $N`}},
		{`s = "a${N}b$$N ${UNSET} ${1}"`, options{S: "a7b$N ${UNSET} ${1}"}},
		{`s = "${UNSET:-d}${EMPTY:-e}${EMPTY-f}${N:+g}${UNSET:-${N}}"`, options{S: "deg7"}},
		{`n = ${N}`, options{N: 7}},
		{`n = $N # why`, options{N: 7}},
		{`n = "${N}"`, options{N: 7}},
		{`n = '$N'`, options{N: 7}},
		{`n = "${UNSET:-9}"`, options{N: 9}},
		{`n = ${UNSET:-9}`, options{N: 9}},
		{"f = \"$F\"\nb = \"$B\"", options{F: 1.5, B: true}},
		{"d = \"$D\"\nz = \"$Z\"", options{D: 90e9, Z: 65536}},
		{"d = $D\nz = $Z", options{D: 90e9, Z: 65536}},
		{"d = 3\nz = 5", options{D: 3e9, Z: 5}},
		{`list = ${LIST}`, options{List: []string{"x", "y"}}},
		{`list = ["$N", "${S}"]`, options{List: []string{"7", `quote" and \ and $N`}}},
		{"ns = [\n  \"$N\",\n  \"$N\",\n]", options{NS: []int{7, 7}}},
		{`s = ${EVIL}`, options{S: "1\nextra = 2"}},
		{`s = ${EVIL2}`, options{S: "1 # ]"}},
		{`s = '''$N'''`, options{S: "7"}},
		{"[t.names]\nk = \"$N\"", options{Names: map[string]string{"k": "7"}}},
	} {
		var got options
		tables := parse(t, "[t]\n"+c.text+"\n", env)
		if err := tables[0].Decode(&got); err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if !equal(got, c.want) {
			t.Errorf("%s\ngot  %+v\nwant %+v", c.text, got, c.want)
		}
	}
}

func equal(a, b options) bool {
	join := func(o options) string {
		return strings.Join(o.List, "|") + o.Names["k"]
	}
	sum := func(o options) (n int) {
		for _, v := range o.NS {
			n += v
		}
		return n
	}
	return a.S == b.S && a.N == b.N && a.F == b.F && a.B == b.B && a.D == b.D && a.Z == b.Z && join(a) == join(b) && sum(a) == sum(b)
}

func TestATextualEnvironmentMayAddKeys(t *testing.T) {
	text := []byte("[t]\n# ${COMMENTED:?must not matter}\ns = \"a\"\n${MORE}\n")
	tables, err := Parse("a.conf", text, ParseOptions{Env: lookup("MORE", "n = 3\nb = true"), TextualEnv: true})
	if err != nil {
		t.Fatal(err)
	}
	var got options
	if err := tables[0].Decode(&got); err != nil || got.N != 3 || !got.B || got.S != "a" {
		t.Errorf("decoded %+v, %v", got, err)
	}
}

func TestAWrongTypeStaysAnErrorAfterConversion(t *testing.T) {
	tables := parse(t, "[t]\nn = \"${WORD}\"\n", lookup("WORD", "many"))
	err := tables[0].Decode(&options{})
	if err == nil || err.Error() != "a.conf:2: t.n: cannot unmarshal TOML string into int" {
		t.Error(err)
	}
	unknown := new(UnknownKeyError)
	err = parse(t, "[t]\nliist = []\n", nil)[0].Decode(&options{})
	if !errors.As(err, &unknown) || unknown.Nearest != "list" || err.Error() != `a.conf:2: t has no option "liist"; did you mean "list"?` {
		t.Error(err)
	}
}

func TestBareNumbersOfDurationsBecomeSeconds(t *testing.T) {
	tables := parse(t, "[t]\ninterval = 300 # s\nother = 300\njitter = \"1s\"\n", nil)
	tables[0].NumbersToDurations("interval", "jitter")
	if got := string(tables[0].Text()); got != "[t]\ninterval = \"300s\"\nother = 300\njitter = \"1s\"\n\n" {
		t.Errorf("%q", got)
	}
}

// FuzzParse: splitting never panics, and what is a TOML text stays one when it is split.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"[a]\nx = 1\n", "[[inputs.ping]]\nurls = [\"$A\", '${B:-\"}\"}']\n[inputs.ping.tags]\n", "[a.\"b.c\"]\nx = \"\"\"\n[d]\n\"\"\"\n", "[a]\nx = ${A}\ny = {z = 1}\n",
		"[[", "[a]\n'", "[a]\nx = \"\\", "[a]\n$\n", "[]\n",
	} {
		f.Add([]byte(s))
	}
	env := lookup("A", "1", "B", "x\"\n[y]\n")
	f.Fuzz(func(t *testing.T, text []byte) {
		tables, err := Parse("f", text, ParseOptions{Env: env})
		if err != nil {
			return
		}
		for _, tb := range tables {
			if _, err := tb.tree(); err != nil {
				t.Errorf("%s of %q alone: %v", tb.Name(), text, err)
			}
			if want := bytes.Count(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), []byte("\n")) + 1; bytes.Count(tb.Text(), []byte("\n")) != want {
				t.Errorf("%s of %q has other lines: %q", tb.Name(), text, tb.Text())
			}
			tb.LineOf("x")
			tb.NumbersToDurations("x")
			tb.ConvertReferences(2)
		}
	})
}
