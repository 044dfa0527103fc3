package node

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Whoever copies an example of the page, whole or with its neighbours, has a configuration that a node starts with.
func TestExamplesOfTheConfigurationPageAreAccepted(t *testing.T) {
	page, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("CENTRAL_TOKEN", "t")
	t.Setenv("INFLUX_TOKEN", "t")
	dir := t.TempDir()
	examples := strings.Split(string(page), "```toml\n")[1:]
	if len(examples) < 3 {
		t.Fatalf("%d examples", len(examples))
	}
	var files []string
	for i, example := range examples {
		text, _, ended := strings.Cut(example, "```")
		file := filepath.Join(dir, strconv.Itoa(i)+".toml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil || !ended {
			t.Fatal(err, ended)
		}
		if err := Run(t.Context(), RunOptions{Check: true, Config: []string{file}}); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
		files = append(files, file)
	}
	if err := Run(t.Context(), RunOptions{Check: true, Config: files}); err != nil {
		t.Errorf("all together: %v", err)
	}
}

func TestCheckTellsWhetherANodeWouldStart(t *testing.T) {
	t.Chdir(t.TempDir())
	const output = "[[outputs.influxdb_v2]]\n  urls = [\"http://h:8086\"]\n  token = \"t\"\n  organization = \"o\"\n  bucket = \"b\"\n"
	for _, test := range []struct{ name, text, want string }{
		{"good", "[[inputs.mem]]\n" + output, ""},
		{"no input", output, ""},
		{"not TOML", "[[inputs.mem]\n", "conf:1"},
		{"no such plugin", "[[inputs.memm]]\n", "did you mean inputs.mem?"},
		{"no such option", "[[inputs.mem]]\n  every = 1\n", "every"},
		{"an input that cannot be set up", "[[inputs.exec]]\n  commands = [\"true\"]\n  data_format = \"none\"\n", "conf:3: inputs.exec.data_format"},
		{"an output without an address that can be", strings.Replace(output, "http://h:8086", "ftp://h", 1), "only http:// and https://"},
		{"a replication of no remote", "[[replication]]\n  name = \"r\"\n  remote = \"nowhere\"\n  remote_bucket = \"b\"\n", "nowhere"},
		{"a replication with too small a queue", "[[remote]]\n  name = \"m\"\n  url = \"http://h:8086\"\n  token = \"t\"\n  org = \"o\"\n[[replication]]\n  name = \"r\"\n  remote = \"m\"\n  remote_bucket = \"b\"\n  max_queue_bytes = 1\n", "maxQueueSize"},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "a.conf")
			if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			err := Run(t.Context(), RunOptions{Check: true, Config: []string{file}})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
	if entries, err := os.ReadDir("."); err != nil || len(entries) > 0 {
		t.Errorf("checking left %v, %v", entries, err)
	}
}
