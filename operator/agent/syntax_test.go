package agent_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/operator/agent"
)

func syntax(text string) (agent.Tables, error) {
	return agent.Syntax(agent.File{Name: "a.conf", Text: []byte(text)})
}

func TestSyntaxTellsWhatThereIs(t *testing.T) {
	got, err := syntax(`
[agent] # with a comment
  interval = "10s"
[global_tags]
  dc = "$DC"
[[inputs.cpu]]
[[inputs.cpu]]
[inputs.mem]
[plugins.disk]
[[outputs.influxdb_v2]]
  urls = ["http://x"]
  token = "a # that is no comment"
[[processors.rename]]
  [[processors.rename.replace]]
[[aggregators.basicstats]]
[[secretstores.os]]
[journal]
`)
	if err != nil {
		t.Fatal(err)
	}
	want := agent.Tables{Inputs: []string{"cpu", "disk", "mem"}, Outputs: []string{"influxdb_v2"}, Processors: []string{"rename"},
		Aggregators: []string{"basicstats"}, SecretStores: []string{"os"}, Agent: true, GlobalTags: true, Holdfast: []string{"journal"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("there is %+v, want %+v", got, want)
	}
}

func TestSyntaxAcceptsWhatTheAgentAccepts(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                      "",
		"byte order mark":              "\xef\xbb\xbf[[inputs.cpu]]\n",
		"Windows lines":                "[agent]\r\n  interval = \"1s\"\r\n[[inputs.cpu]]\r\n",
		"comment of odd characters":    "[[inputs.cpu]] # \x7f \"'\n",
		"comment after the last line":  "[[inputs.cpu]]\n# end",
		"comment within an array":      "[[inputs.disk]]\n  mount = [ # first\n    \"/\", # second\n  ]\n",
		"sign of comments in a string": "[[inputs.exec]]\n  commands = ['echo #', \"#\", '''#''']\n",
		"long string":                  "[[processors.starlark]]\n  source = '''\ndef apply(metric):\n  # says \"so\"\n  return metric\n'''\n",
	} {
		if _, err := syntax(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSyntaxSaysWhereAndHowToMend(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"no TOML", "[agent]\n  interval = \n", "a.conf:2: invalid TOML syntax"},
		{"line of a Windows file", "[agent]\r\n\r\n\r\n  interval = 1s\r\n", "a.conf:4: invalid TOML syntax"},
		{"conflict in a Windows file", "[agent]\r\n\r\n  debug = true\r\n  debug = false\r\n", "a.conf:4: key `debug' is in conflict with line 3"},
		{"bare variable", "[[inputs.x]]\n  port = $PORT\n", "a $VARIABLE must stand within quotes"},
		{"misspelt", "[[inputs.cpu]]\n[[output.file]]\n", "a.conf:2: there is no table output; did you mean outputs?"},
		{"swapped", "[agnet]\n", "did you mean agent?"},
		{"old input", "[[prometheus_client]]\n", "if it is an input, write [[inputs.prometheus_client]]"},
		{"option outside", "interval = \"1s\"\n[agent]\n", "a.conf:1: the option interval stands outside of any table"},
		{"first of several", "[a1b2c3d4e5]\n[output]\n", "a.conf:1: "},
		{"agent twice", "[[agent]]\n", "[[agent]] must be written [agent]"},
		{"agent in conflict", "[agent]\n[agent]\n", "in conflict"},
		{"processor alone", "\n[processors.rename]\n", "a.conf:2: [processors.rename] must be written [[processors.rename]]"},
		{"plugin as option", "[inputs]\n  cpu = true\n", "a.conf:2: cpu in [inputs] is not a table; a plugin is written [[inputs.NAME]]"},
		{"number as tag", "[global_tags]\n  rack = 7\n", "a.conf:2: the tag rack in [global_tags] is not text"},
		{"binary", "[agent]\n\x00\x01\x02", "this is not text but application/octet-stream"},
		{"unclosed", "[agent]\n  a = '''", "a.conf:2: the string that begins with three quotes is not closed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := syntax(test.text)
			var refusal *agent.Refusal
			if !errors.As(err, &refusal) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want a refusal with %q", err, test.want)
			}
		})
	}
}

func TestSyntaxRefusesWhatWouldOverflowTheParser(t *testing.T) {
	deep := strings.Repeat("[", agent.MaxText/2)
	for name, text := range map[string]string{
		"arrays":                "a = " + deep,
		"spread over lines":     "a = " + strings.Repeat("[\n", 1000),
		"inline tables":         "a = " + strings.Repeat("{a=", 1000),
		"behind a false string": "a = {b = \"\"\"c\"=" + deep,
		"behind quotes":         "a = ['''', " + deep,
	} {
		if _, err := syntax(text); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := syntax(strings.Repeat(" ", agent.MaxText+1)); err == nil {
		t.Error("a text of more than the greatest size is accepted")
	}
}

func TestVariablesOfATextAreFound(t *testing.T) {
	got := agent.Variables([]byte("# $NOT\n token = \"$TOKEN\"\n url = \"http://${HOST:-x}/$TOKEN\" # $NEITHER\n re = '^a$' \n price = \"$$5 $1\""))
	if want := []string{"TOKEN", "HOST"}; !slices.Equal(got, want) {
		t.Errorf("the variables are %q, want %q", got, want)
	}
}

// FuzzSyntax holds that every text is accepted or refused, and that a refusal names a line of the text.
func FuzzSyntax(f *testing.F) {
	for _, seed := range []string{"", "[agent]\n a = '''x'''", "[[inputs.cpu]]\r\n a = [[1], [2]] # x", "a = {b = \"\"\"c\"\"\"}", "\xef\xbb\xbf[a.\"b\"]", "x = 1979-05-27T00:32:00.999999-07:00", "a = \"\\u00e9\""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		_, err := agent.Syntax(agent.File{Name: "a.conf", Text: text})
		var refusal *agent.Refusal
		switch {
		case err == nil:
		case !errors.As(err, &refusal):
			t.Fatalf("the error %v is not a refusal", err)
		case refusal.Message == "" || refusal.Line < 0 || refusal.Line > strings.Count(string(text), "\n")+strings.Count(string(text), "\r")+1:
			t.Fatalf("the refusal %q is of line %d", refusal.Message, refusal.Line)
		}
	})
}
