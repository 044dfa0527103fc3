//go:build e2e

package operator_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The generated file, case by case. telegraf-operator pasted texts together; here Telegraf gets a file of each class, one of the raw
// inputs and one that a TOML writer wrote, and joins them itself. So what counts is what Telegraf then gathers.

// point finds a measurement in what Telegraf printed as JSON and returns its tags.
func point(t *testing.T, out, measurement string) map[string]string {
	t.Helper()
	for line := range strings.Lines(out) {
		var p struct {
			Name string            `json:"name"`
			Tags map[string]string `json:"tags"`
		}
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if p.Name == measurement {
			return p.Tags
		}
	}
	t.Fatalf("Telegraf gathered no %s: %q", measurement, out)
	return nil
}

// toStdout is an output whose lines point reads.
const toStdout = "[[outputs.file]]\n  files = [\"stdout\"]\n  data_format = \"json\"\n"

// tagged fails unless Telegraf tags what it gathers so.
func tagged(t *testing.T, c created, want map[string]string) {
	t.Helper()
	got := point(t, gathered(t, c, "telegraf"), "mem")
	for name, value := range want {
		if got[name] != value {
			t.Errorf("tag %s is %q, want %q; all %q", name, got[name], value, got)
		}
	}
}

const memory = "[[inputs.mem]]\n  fieldinclude = [\"free\"]\n"

func TestGeneratedFileHasWhatTheReferenceShows(t *testing.T) {
	setClass(t, "ci", toStdout+"[global_tags]\n  env = \"ci\"\n")
	c := create(t, cluster.Namespace(t, nil), annotated("p", "class", "ci", "port", "8080", "interval", "15s", "internal", "true",
		"global-tag-literal-team", "a", "inputs", memory))
	files := accepted(t, c.Pod)
	want := `# Generated from the annotations of this pod by holdfast-operator.

[[inputs.prometheus]]
urls = ["http://127.0.0.1:8080/metrics"]
interval = "15s"

[[inputs.internal]]

[[outputs.discard]]
namedrop = ["*"]

[global_tags]
team = "a"
`
	if files["telegraf.conf"] != want {
		t.Errorf("the file is\n%s", files["telegraf.conf"])
	}
	tagged(t, c, map[string]string{"env": "ci", "team": "a"})
}

// Was: a sidecar without an input, which ends at once and is started again for ever.
func TestGeneratedFileWithNothingToGather(t *testing.T) {
	in := cluster.Namespace(t, nil)
	create(t, in, annotated("nothing", "class", "app")).bare(t, "there is nothing to collect")
	accepted(t, create(t, in, annotated("class-has-inputs", "class", "node")).Pod)
}

// Was: two inputs for the same URL, since the generated one could not be turned off (issue 118).
func TestGeneratedFileBesideAHandWrittenPrometheusInput(t *testing.T) {
	c := create(t, cluster.Namespace(t, nil), annotated("p", "port", "8080", "holdfast.dev/scrape", "false",
		"inputs", "[[inputs.prometheus]]\n  urls = [\"http://127.0.0.1:8080/metrics\"]\n"))
	files := accepted(t, c.Pod)
	if all := strings.Join([]string{files["telegraf.conf"], files["inputs.conf"]}, ""); strings.Count(all, "[[inputs.prometheus]]") != 1 {
		t.Errorf("the files are\n%s", all)
	}
}

// Each way in which a class and the annotations can give tags.
func TestGeneratedFileAndTags(t *testing.T) {
	for _, r := range []struct {
		name, class string
		annotations []string
		want        map[string]string
	}{
		{"class without tags", toStdout, []string{"global-tag-literal-team", "a"}, map[string]string{"team": "a"}},
		{"class with tags", toStdout + "[global_tags]\n  env = \"ci\"\n", []string{"global-tag-literal-team", "a"}, map[string]string{"team": "a", "env": "ci"}},
		{"several tags", toStdout, []string{"global-tag-literal-b", "2", "global-tag-literal-a", "1", "global-tag-literal-c", "3"}, map[string]string{"a": "1", "b": "2", "c": "3"}},
		// These four were no sidecar, and nobody was told why.
		{"class with CRLF", strings.ReplaceAll(toStdout+"[global_tags]\n  env = \"ci\"\n", "\n", "\r\n"), []string{"global-tag-literal-team", "a"}, map[string]string{"team": "a", "env": "ci"}},
		{"class with a comment after the header", toStdout + "[global_tags] # of all \n  env = \"ci\"\n", []string{"global-tag-literal-team", "a"}, map[string]string{"team": "a", "env": "ci"}},
		{"same tag in class and annotation", toStdout + "[global_tags]\n  env = \"ci\"\n  team = \"b\"\n", []string{"global-tag-literal-env", "pod"}, map[string]string{"env": "pod", "team": "b"}},
		{"tag with a dot in its name", toStdout, []string{"global-tag-literal-app.kubernetes.io", "a.b"}, map[string]string{"app.kubernetes.io": "a.b"}},
		{"bell and quotes and a backslash in a value", toStdout, []string{"global-tag-literal-a", "bell\a \"quoted\" back\\slash"}, map[string]string{"a": "bell\a \"quoted\" back\\slash"}},
		// Was: the tags were pasted after the comment, outside of any table, where Telegraf does not read them.
		{"class with a comment that ends in the header", toStdout + "# see [global_tags]\n[agent]\n  quiet = true\n", []string{"global-tag-literal-team", "a"}, map[string]string{"team": "a"}},
		// The kubelet gives the value; Telegraf reads it as it is.
		{"tag from an annotation with a quote", toStdout, []string{"holdfast.dev/global-tag-annotation-a", "note", "note", `say "x = $PATH"`}, map[string]string{"a": `say "x = $PATH"`}},
	} {
		t.Run(r.name, func(t *testing.T) {
			class := "tags-" + strings.ReplaceAll(r.name, " ", "-")
			setClass(t, class, r.class)
			pod := annotated("p", append(r.annotations, "class", class, "inputs", memory)...)
			if text, ok := pod.Annotations["telegraf.influxdata.com/note"]; ok {
				delete(pod.Annotations, "telegraf.influxdata.com/note")
				pod.Annotations["note"] = text
			}
			c := create(t, cluster.Namespace(t, nil), pod)
			accepted(t, c.Pod)
			tagged(t, c, r.want)
		})
	}
}

// Was: no sidecar. Telegraf joins the tables; of two options of a name, that of the pod wins.
func TestGeneratedFileWithAgentInClassAndInputs(t *testing.T) {
	setClass(t, "agent", "[agent]\n  interval = \"30s\"\n  hostname = \"of-class\"\n"+toStdout)
	c := create(t, cluster.Namespace(t, nil), annotated("p", "class", "agent", "inputs", "[agent]\n  hostname = \"of-pod\"\n"+memory))
	accepted(t, c.Pod)
	tagged(t, c, map[string]string{"host": "of-pod"})
}

// Was: accepted, and Telegraf then refused to start in each pod.
func TestGeneratedFileOfAClassWithAnUnknownPlugin(t *testing.T) {
	text := "[[outputs.influxdbv2]]\n"
	putClass(t, "unknown-plugin", &text)
	t.Cleanup(func() { putClass(t, "unknown-plugin", nil) })
	in := cluster.Namespace(t, nil)
	eventually(t, 30*time.Second, func() error {
		c := create(t, in, annotated("p", "class", "unknown-plugin", "port", "8080"), metav1.DryRunAll)
		if status := c.Annotations["sidecar.holdfast.dev/status"]; !strings.Contains(status, "influxdbv2") {
			return fmt.Errorf("status %q", status)
		}
		return nil
	})
	create(t, in, annotated("p", "class", "unknown-plugin", "port", "8080")).bare(t, "undefined but requested output: influxdbv2")
}

func TestGeneratedFileIsTheSameEachTime(t *testing.T) {
	in := cluster.Namespace(t, nil)
	var first string
	for range 20 {
		c := create(t, in, annotated("p", "port", "8080", "global-tag-literal-b", "2", "global-tag-literal-a", "1", "global-tag-literal-c", "3"), metav1.DryRunAll)
		if first == "" {
			first = c.conf("telegraf")
		}
		if conf := c.conf("telegraf"); conf != first {
			t.Fatalf("%s\nand\n%s", first, conf)
		}
	}
}
