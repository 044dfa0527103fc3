package node

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAStartThatFailsSaysWhatToChange(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const listen, data = "as listen under [node] or as --listen", "as data under [node] or as --data"
	for _, c := range []struct{ name, settings, want, not string }{
		{"a port that is taken", `listen = "` + taken.Addr().String() + `"`, listen, data},
		{"a certificate that is not there", "listen = \"127.0.0.1:0\"\ntls_cert = \"x.pem\"\ntls_key = \"x.key\"", "tls_cert and tls_key under [node]", listen},
		{"a data folder that cannot be made", fmt.Sprintf("data = %q", filepath.Join(file, "data")), data, listen},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := "[node]\n" + c.settings + "\n"
			if !strings.Contains(text, "data =") {
				text += fmt.Sprintf("data = %q\n", filepath.Join(dir, "data"))
			}
			config := filepath.Join(t.TempDir(), "holdfast.toml")
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			err := Run(t.Context(), RunOptions{Config: []string{config}, Quiet: true})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), c.not) {
				t.Errorf("error %v, want one with %q and without %q", err, c.want, c.not)
			}
		})
	}
}
