package node

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/node/collect/conf"
	"github.com/holdfast-telemetry/holdfast/node/settings"
)

func TestTheConfigurationShownHoldsNoSecret(t *testing.T) {
	const text = `
[[remote]]
name = "r"
url = "http://user:secret1@host:8086/p?token=secret2"
token = "secret3"
org = "o"
proxy = "http://user:secret4@proxy:1"
[[remote]]
name = "old"
url = "http://host:8086"
username = "u"
password = "secret5"
`
	tables, err := conf.Parse("test", []byte(text), conf.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := settings.Decode(tables)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal((&Node{settings: s}).shown())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "secret1") || strings.Contains(string(b), "secret2") || strings.Contains(string(b), "secret3") ||
		strings.Contains(string(b), "secret4") || strings.Contains(string(b), "secret5") {
		t.Errorf("a secret is shown: %s", b)
	}
	if !strings.Contains(string(b), "http://host:8086/p") {
		t.Errorf("the address is not shown: %s", b)
	}
	if s.Remotes[0].URL != "http://user:secret1@host:8086/p?token=secret2" {
		t.Errorf("the node's own settings were changed: %s", s.Remotes[0].URL)
	}
}
