//go:build e2e

package operator_test

import (
	"strings"
	"testing"
)

// Each annotation that has a say in the generated file, with what telegraf-operator made of it where that was another thing.
func TestAnnotationsOfTheFile(t *testing.T) {
	rows(t, []row{
		{name: "class names the class", annotations: []string{"class", "audit", "port", "8080"}, look: func(t *testing.T, c created) {
			if !strings.Contains(accepted(t, c.Pod)["class-00-audit.conf"], `files = ["stderr"]`) || classLabel(c.Pod, "audit") == "" {
				t.Errorf("the pod has not the class audit; labels %v", c.Labels)
			}
		}},
		{name: "without class it is the default class", annotations: []string{"port", "8080"}, look: func(t *testing.T, c created) {
			if _, ok := accepted(t, c.Pod)["class-00-default.conf"]; !ok {
				t.Error("the class default is not among the files")
			}
		}},
		// Was: the file ../x beside the folder of classes was read, and went into the pod.
		{name: "class ../x leads nowhere", annotations: []string{"class", "../x", "port", "8080"}, refusal: `class "../x" is not a name`},
		{name: "class with a slash", annotations: []string{"class", "a/b", "port", "8080"}, refusal: `class "a/b" is not a name`},
		{name: "class that is a hidden file", annotations: []string{"class", ".app", "port", "8080"}, refusal: `class ".app" is not a name`},
		{name: "class that is empty", annotations: []string{"class", "", "port", "8080"}, refusal: "a class's name is missing"},

		{name: "port", annotations: []string{"port", "8080"}, conf: []string{`urls = ["http://127.0.0.1:8080/metrics"]`}},
		{name: "port with blanks around it", annotations: []string{"port", " 8080 "}, conf: []string{`urls = ["http://127.0.0.1:8080/metrics"]`}},
		{name: "port 0", annotations: []string{"port", "0"}, refusal: `"0" is not a port: a number from 1 to 65535`},
		{name: "port 65536", annotations: []string{"port", "65536"}, refusal: `"65536" is not a port`},
		{name: "port by a name", annotations: []string{"port", "http"}, refusal: `"http" is not a port`},

		// Was: the URL http://127.0.0.1: 9090/metrics.
		{name: "ports with blanks between them", annotations: []string{"ports", "8080, 9090"},
			conf: []string{`urls = ["http://127.0.0.1:8080/metrics", "http://127.0.0.1:9090/metrics"]`}},
		// Was: sorted as text, 10000 before 9090.
		{name: "ports and port each once and in the order of numbers", annotations: []string{"ports", "10000,9090,9090", "port", "9090"},
			conf: []string{`urls = ["http://127.0.0.1:9090/metrics", "http://127.0.0.1:10000/metrics"]`}},
		{name: "ports with one that is none", annotations: []string{"ports", "8080,x"}, refusal: `"x" is not a port`},

		{name: "path", annotations: []string{"port", "8080", "path", "/v1/m?a=b"}, conf: []string{`http://127.0.0.1:8080/v1/m?a=b`}},
		// Was: http://127.0.0.1:8080metrics.
		{name: "path without a slash", annotations: []string{"port", "8080", "path", "metrics"}, conf: []string{`"http://127.0.0.1:8080/metrics"`},
			warning: "has no leading slash"},
		// Was: pasted, so that a path could add lines to the file.
		{name: "path with a quote", annotations: []string{"port", "8080", "path", "/m\"]\n[[outputs.file]]\n#"}, refusal: "is not a path"},
		{name: "path without a port", annotations: []string{"path", "/m", "internal", "true"}, warning: "path: is not heeded without a port"},

		{name: "scheme", annotations: []string{"port", "8080", "scheme", "https"}, conf: []string{`"https://127.0.0.1:8080/metrics"`}},
		// Was: passed on.
		{name: "scheme ftp", annotations: []string{"port", "8080", "scheme", "ftp"}, refusal: `"ftp" is neither http nor https`},

		{name: "interval", annotations: []string{"port", "8080", "interval", "15s"}, conf: []string{"[[inputs.prometheus]]\nurls = [\"http://127.0.0.1:8080/metrics\"]\ninterval = \"15s\""}, lacks: "[agent]"},
		// Was: ignored (issue 50).
		{name: "interval without a port", annotations: []string{"inputs", "[[inputs.mem]]\n", "interval", "15s"}, conf: []string{"[agent]\ninterval = \"15s\""}},
		{name: "interval that is none", annotations: []string{"port", "8080", "interval", "5 parsecs"}, refusal: `"5 parsecs" is not a duration`},

		{name: "metric-version", annotations: []string{"port", "8080", "metric-version", "2"}, conf: []string{"metric_version = 2"}},
		// Was: 7 passed; a word took the sidecar away without a word.
		{name: "metric-version 7", annotations: []string{"port", "8080", "metric-version", "7"}, refusal: `"7" is neither 1 nor 2`},
		{name: "metric-version that is no number", annotations: []string{"port", "8080", "metric-version", "two"}, refusal: `"two" is neither 1 nor 2`},

		{name: "namepass as TOML has lists", annotations: []string{"port", "8080", "namepass", `["go_*", 'x']`}, conf: []string{`namepass = ["go_*", "x"]`}},
		{name: "namepass as words", annotations: []string{"port", "8080", "namepass", "go_*, http_*"}, conf: []string{`namepass = ["go_*", "http_*"]`}},
		// Was: pasted as the right-hand side, with whatever followed.
		{name: "namepass with lines of its own", annotations: []string{"port", "8080", "namepass", "[\"a\"]\n[[outputs.file]]"}, refusal: "is not a list such as"},

		{name: "internal", annotations: []string{"internal", "true"}, conf: []string{"[[inputs.internal]]"}},
		{name: "internal false", annotations: []string{"internal", "false", "port", "8080"}, lacks: "inputs.internal"},
		// Was: silently the operator's default.
		{name: "internal with another word", annotations: []string{"internal", "yes", "port", "8080"}, lacks: "inputs.internal",
			warning: `"yes" is neither "true" nor "false"; the operator's default is used`},

		{name: "inputs", annotations: []string{"inputs", "[[inputs.redis]]\n  servers = [\"tcp://localhost:6379\"]\n"}, look: func(t *testing.T, c created) {
			if got := accepted(t, c.Pod)["inputs.conf"]; got != "[[inputs.redis]]\n  servers = [\"tcp://localhost:6379\"]\n" {
				t.Errorf("inputs.conf is %q", got)
			}
		}},
		{name: "inputs that are no TOML", annotations: []string{"inputs", "[[inputs.redis]\n"}, refusal: "the annotation inputs:1: "},
		{name: "inputs with outputs and agent and tags", annotations: []string{
			"inputs", "[agent]\n  interval = \"30s\"\n[[inputs.mem]]\n[[outputs.file]]\n  files = [\"stderr\"]\n[global_tags]\n  a = \"b\"\n"}},

		{name: "global-tag-literal", annotations: []string{"port", "8080", "global-tag-literal-team", "a"}, conf: []string{"[global_tags]\nteam = \"a\""}},
	})
}

// The default of internal is a flag's.
func TestAnnotationInternalIsTheFlagsWhereAPodDoesNotSay(t *testing.T) {
	const manifest = `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "annotations": {"telegraf.influxdata.com/port": "8080"}},
		"spec": {"containers": [{"name": "app", "image": "app"}]}}`
	for args, want := range map[string]bool{"": false, "--enable-default-internal-plugin": true} {
		if out := preview(t, manifest, strings.Fields(args)...); strings.Contains(out, "[[inputs.internal]]") != want {
			t.Errorf("with %q: %s", args, out)
		}
	}
}
