package peer

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestCommandsAreCalledLikeTheirPathOrTheirImport(t *testing.T) {
	file := filepath.Join(t.TempDir(), "peers.go")
	text := "//go:build peers\n\npackage peers\n\nimport (\n\tetcd \"go.etcd.io/etcd/server/v3\"\n\t_ \"k8s.io/kubernetes/cmd/kubectl\"\n)\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := commands(file)
	if err != nil {
		t.Fatal(err)
	}
	want := []command{{pkg: "go.etcd.io/etcd/server/v3", name: "etcd"}, {pkg: "k8s.io/kubernetes/cmd/kubectl", name: "kubectl"}}
	if !slices.Equal(got, want) {
		t.Errorf("commands %v, want %v", got, want)
	}
}

func TestEveryPeerNamesItsCommands(t *testing.T) {
	names, err := Names()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if _, err := commands(filepath.Join("..", "peers", name, "peers.go")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !slices.Contains(names, "kubernetes") {
		t.Errorf("peers %v, want kubernetes among them", names)
	}
}

func TestFreeAddrsCanBeListenedAt(t *testing.T) {
	addrs, err := FreeAddrs(5)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		l, err := net.Listen("tcp", a)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // so that one that comes twice fails
	}
}
