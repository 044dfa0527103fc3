package settings

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/collect/conf"
)

func decodeText(t *testing.T, text string) (Settings, error) {
	t.Helper()
	env := map[string]string{"CENTRAL_TOKEN": "s3cr3t-token", "QUEUE": "1048576", "BACKFILL": "true"}
	tables, err := conf.Parse("holdfast.toml", []byte(text), conf.ParseOptions{Env: func(k string) (string, bool) { v, ok := env[k]; return v, ok }})
	if err != nil {
		t.Fatal(err)
	}
	return Decode(tables)
}

func TestTablesOfSeveralFilesAreMergedKeyByKey(t *testing.T) {
	var tables []*conf.Table
	for _, text := range []string{
		"[node]\nlisten = \"127.0.0.1:1\"\ndata = \"a\"\n[[inputs.cpu]]\n[inputs.cpu.tags]\nnode = \"not ours\"\n",
		"[node]\ndata = \"b\"\n[agent]\ninterval = \"1s\"\n",
	} {
		parsed, err := conf.Parse("x.conf", []byte(text), conf.ParseOptions{})
		if err != nil {
			t.Fatal(err)
		}
		tables = append(tables, parsed...)
	}
	s, err := Decode(tables)
	if err != nil {
		t.Fatal(err)
	}
	if s.Node.Listen != "127.0.0.1:1" || s.Node.Data != "b" {
		t.Errorf("merged to %+v", s.Node)
	}
}

func TestValuesAreTyped(t *testing.T) {
	s, err := decodeText(t, `
[node]
  listen = "127.0.0.1:9999"
[journal]
  sync = "interval"
  sync_interval = "200ms"
  max_bytes = "64MiB"
  max_age = "7d"
[[remote]]
  name = "central"
  url = "https://central.example"
  token = "$CENTRAL_TOKEN"
[[replication]]
  name = "up"
  remote = "central"
  remote_bucket = "all"
  max_queue_bytes = "${QUEUE}"
  backfill = "${BACKFILL}"
`)
	if err != nil {
		t.Fatal(err)
	}
	if s.Node.Listen != "127.0.0.1:9999" || time.Duration(s.Journal.SyncInterval) != 200*time.Millisecond || s.Journal.MaxBytes != 64<<20 || time.Duration(s.Journal.MaxAge) != 7*24*time.Hour {
		t.Errorf("decoded %+v %+v", s.Node, s.Journal)
	}
	r := s.Replications[0]
	if r.MaxQueueBytes != 1048576 || !r.Backfill || r.Line != 13 {
		t.Errorf("decoded %+v", r)
	}
	if s.Remotes[0].Token.Reveal() != "s3cr3t-token" {
		t.Error("the token was not read from the environment")
	}
	if text := fmt.Sprintf("%v %+v %#v", s, s.Remotes, s.Remotes[0]); strings.Contains(text, "s3cr3t") {
		t.Errorf("the token can be printed: %s", text)
	}
}

func TestMistakesNameFileLineAndRemedy(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", "[node]\nlisten = \"127.0.0.1:1\"\nlisen = \"x\"\n", `holdfast.toml:3: node has no option "lisen"; did you mean "listen"?`},
		{"wrong type", "[journal]\n\nmax_bytes = [1]\n", `holdfast.toml:3: journal.max_bytes: `},
		{"bad size", "[journal]\nmax_bytes = \"lots\"\n", `holdfast.toml:2: journal.max_bytes: "lots" is not a size`},
		{"bad word", "[journal]\nsync = \"never\"\n", `holdfast.toml:2: journal.sync must be always or interval, not "never"`},
		{"interval without need", "[journal]\nsync_interval = \"1s\"\n", `holdfast.toml:2: journal.sync_interval needs`},
		{"negative", "[store]\nmemtable_bytes = -1\n", `holdfast.toml:2: store.memtable_bytes must not be negative`},
		{"half of a pair", "[node]\ntls_cert = \"a.pem\"\n", `holdfast.toml:2: node.tls_cert and node.tls_key go together`},
		{"bad address", "[node]\nlisten = \"8086\"\n", `holdfast.toml:2: node.listen must be host:port`},
		{"remote without name", "[[remote]]\nurl = \"http://a\"\n", `holdfast.toml:1: a remote needs a name`},
		{"bad url", "[[remote]]\nname = \"a\"\nurl = \"a:b\"\n", `holdfast.toml:3: remote.url of "a" must be`},
		{"unknown remote", "[[remote]]\nname = \"a\"\nurl = \"http://a\"\n[[replication]]\nname = \"r\"\nremote = \"b\"\nremote_bucket = \"c\"\n", `holdfast.toml:4: replication "r": there is no [[remote]] called "b"; there are a`},
		{"two remotes", "[[remote]]\nname = \"a\"\nurl = \"http://a\"\n[[remote]]\nname = \"a\"\nurl = \"http://a\"\n", `holdfast.toml:4: there are two remotes called "a"; the other is at holdfast.toml:1`},
		{"replication without bucket", "[[replication]]\nname = \"r\"\nremote = \"b\"\n", `holdfast.toml:1: replication "r" needs remote_bucket`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := decodeText(t, c.text)
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s…", err, c.want)
			}
		})
	}
}

func TestDifferingNamesWhatNeedsARestart(t *testing.T) {
	a := Settings{Node: Node{Listen: "127.0.0.1:1", LogLevel: "info"}, Journal: Journal{MaxBytes: 1}}
	b := a
	b.Node.Listen, b.Journal.MaxBytes, b.Query.Timeout = "127.0.0.1:2", 2, 3
	b.Remotes = []Remote{{Name: "central"}}
	if got, want := a.Differing(b), []string{"node.listen", "journal.max_bytes", "query.timeout"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := a.Differing(a); len(got) != 0 {
		t.Errorf("a configuration differs from itself in %v", got)
	}
}
