package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

const helloSource = `package main

import "fmt"

func main() { fmt.Println("hello") }
`

// programs are static programs for the two platforms, as -binary takes them, built once.
var programs []string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "image-*")
	if err == nil {
		programs, err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

func build(dir string) ([]string, error) {
	src := filepath.Join(dir, "hello.go")
	if err := os.WriteFile(src, []byte(helloSource), 0o600); err != nil {
		return nil, err
	}
	var flags []string
	for _, arch := range []string{"amd64", "arm64"} {
		bin := filepath.Join(dir, "hello-"+arch)
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", bin, src)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("building a program: %w\n%s", err, out)
		}
		flags = append(flags, "-binary=linux/"+arch+"="+bin)
	}
	return flags, nil
}

// assemble runs the command and returns the layout and what was printed.
func assemble(t *testing.T, args ...string) (dir, printed string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "layout")
	all := slices.Concat([]string{"-name=hello", "-version=1.2.3", "-output=" + dir, "-ca-certificates=testdata/ca.crt"}, programs, args)
	var out bytes.Buffer
	if err := run(context.Background(), all, &out); err != nil {
		t.Fatal(err)
	}
	return dir, strings.TrimSpace(out.String())
}

// index reads the index in a layout, which has one.
func index(t *testing.T, dir string) (v1.ImageIndex, v1.Descriptor) {
	t.Helper()
	root, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := root.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Manifests) != 1 {
		t.Fatalf("the layout has %d entries, want the index alone", len(m.Manifests))
	}
	idx, err := root.ImageIndex(m.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return idx, m.Manifests[0]
}

func TestSameInputsGiveTheSameDigest(t *testing.T) {
	first, printed := assemble(t)
	time.Sleep(1100 * time.Millisecond) // a time taken from the clock would differ now
	second, again := assemble(t)
	if printed != again {
		t.Errorf("first %s, then %s", printed, again)
	}
	a, err := os.ReadFile(filepath.Join(first, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(second, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Errorf("index.json differs:\n%s\n%s", a, b)
	}
}

// A change of what is in the layer, or of the order in which it is written, shows here, so that nobody is surprised by a new digest.
func TestTheLayerOfKnownBytesIsKnown(t *testing.T) {
	s := Spec{
		Name: "hello", Version: "1.2.3", Created: time.Unix(1700000000, 0).UTC(), Certificates: []byte("certificates"),
		Programs: []Program{{Platform: v1.Platform{OS: "linux", Architecture: "amd64"}, Bytes: []byte("program")}},
	}
	l, err := s.layer(s.Programs[0])
	if err != nil {
		t.Fatal(err)
	}
	got, err := l.DiffID()
	if err != nil {
		t.Fatal(err)
	}
	const want = "sha256:ad80ac1e31b18f40a8b8ab22321ca0175abe140afe17c1c0a17197ec88f4d592"
	if got.String() != want {
		t.Errorf("the layer's bytes are %s, want %s", got, want)
	}
}

func TestEveryInputChangesTheDigest(t *testing.T) {
	_, base := assemble(t)
	for _, args := range [][]string{
		{"-version=1.2.4"}, {"-revision=abc"}, {"-description=Says hello."}, {"-created=1"}, {"-ca-certificates=none"}, {"-name=hallo"},
	} {
		if _, got := assemble(t, args...); strings.TrimPrefix(got, "hallo") == strings.TrimPrefix(base, "hello") {
			t.Errorf("%v: still %s", args, got)
		}
	}
}

func TestIndexIsValidAndNamesItsPlatforms(t *testing.T) {
	dir, printed := assemble(t, "-revision=abc", "-created=2026-01-02T03:04:05Z")
	idx, d := index(t, dir)
	if err := validate.Index(idx); err != nil {
		t.Fatal(err)
	}
	if want := "hello@" + d.Digest.String(); printed != want {
		t.Errorf("printed %q, want %q", printed, want)
	}
	if got := d.Annotations["org.opencontainers.image.ref.name"]; got != "1.2.3" {
		t.Errorf("the layout's reference is %q", got)
	}
	m, err := idx.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if m.MediaType != types.OCIImageIndex {
		t.Errorf("media type %s", m.MediaType)
	}
	for k, want := range map[string]string{
		"org.opencontainers.image.revision": "abc",
		"org.opencontainers.image.created":  "2026-01-02T03:04:05Z",
		"org.opencontainers.image.version":  "1.2.3",
		"org.opencontainers.image.licenses": "Apache-2.0",
	} {
		if m.Annotations[k] != want {
			t.Errorf("annotation %s is %q, want %q", k, m.Annotations[k], want)
		}
	}
	var platforms []string
	for _, d := range m.Manifests {
		platforms = append(platforms, d.Platform.String())
	}
	if want := []string{"linux/amd64", "linux/arm64"}; !slices.Equal(platforms, want) {
		t.Errorf("platforms %v, want %v", platforms, want)
	}
}

func TestImageRunsAsNobodyAndHasWhatAStaticProgramNeeds(t *testing.T) {
	dir, _ := assemble(t)
	idx, _ := index(t, dir)
	img, err := imageFor(idx, v1.Platform{OS: "linux", Architecture: "arm64"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if c.OS != "linux" || c.Architecture != "arm64" {
		t.Errorf("the configuration is for %s/%s", c.OS, c.Architecture)
	}
	if c.Config.User != "65532:65532" {
		t.Errorf("user %q; Kubernetes needs numbers for runAsNonRoot", c.Config.User)
	}
	if want := []string{"/usr/local/bin/hello"}; !slices.Equal(c.Config.Entrypoint, want) {
		t.Errorf("entrypoint %v, want %v", c.Config.Entrypoint, want)
	}
	if c.Config.Labels["org.opencontainers.image.title"] != "hello" {
		t.Errorf("labels %v", c.Config.Labels)
	}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	if len(layers) != 1 {
		t.Fatalf("%d layers, want one", len(layers))
	}
	want := []string{
		"drwxr-xr-x etc/", "-rw-r--r-- etc/group", "-rw-r--r-- etc/passwd", "drwxr-xr-x etc/ssl/", "drwxr-xr-x etc/ssl/certs/",
		"-rw-r--r-- etc/ssl/certs/ca-certificates.crt", "dtrwxrwxrwx tmp/", "drwxr-xr-x usr/", "drwxr-xr-x usr/local/",
		"drwxr-xr-x usr/local/bin/", "-rwxr-xr-x usr/local/bin/hello",
	}
	if got := entries(t, layers[0]); !slices.Equal(got, want) {
		t.Errorf("the layer has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// entries lists a layer and checks that nothing in it belongs to anybody but root, or is younger than the image.
func entries(t *testing.T, l v1.Layer) []string {
	t.Helper()
	r, err := l.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	var list []string
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || !h.ModTime.Equal(time.Unix(0, 0)) {
			t.Errorf("%s belongs to %d:%d and is of %s", h.Name, h.Uid, h.Gid, h.ModTime)
		}
		list = append(list, h.FileInfo().Mode().String()+" "+h.Name)
	}
}

func TestPushedImageComesBackTheSame(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	ref := strings.TrimPrefix(server.URL, "http://") + "/team/hello:1.2.3"
	dir, printed := assemble(t, "-push="+ref)
	_, d := index(t, dir)
	if want := strings.TrimSuffix(ref, ":1.2.3") + "@" + d.Digest.String(); printed != want {
		t.Errorf("printed %q, want %q", printed, want)
	}
	for _, by := range []string{ref, printed} { // by tag, and as a manifest pins it
		parsed, err := name.ParseReference(by)
		if err != nil {
			t.Fatal(err)
		}
		pulled, err := remote.Index(parsed)
		if err != nil {
			t.Fatalf("%s: %v", by, err)
		}
		if err := validate.Index(pulled); err != nil {
			t.Errorf("%s: %v", by, err)
		}
		if got, err := pulled.Digest(); err != nil || got != d.Digest {
			t.Errorf("%s: digest %v, %v; want %s", by, got, err, d.Digest)
		}
	}
}

func TestTarHoldsTheImageOfOnePlatform(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hello.tar")
	assemble(t, "-tar="+path, "-tar-platform=linux/arm64")
	tag, err := name.NewTag("hello:1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	img, err := tarball.ImageFromPath(path, &tag)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := img.ConfigFile(); err != nil || c.Architecture != "arm64" {
		t.Errorf("architecture %v, %v", c, err)
	}
	if err := validate.Image(img); err != nil {
		t.Error(err)
	}
}

func TestProgramInTheImageIsTheOneGiven(t *testing.T) {
	dir, _ := assemble(t)
	idx, _ := index(t, dir)
	for _, p := range programs {
		platform, file, _ := strings.Cut(strings.TrimPrefix(p, "-binary="), "=")
		parsed, err := v1.ParsePlatform(platform)
		if err != nil {
			t.Fatal(err)
		}
		img, err := imageFor(idx, *parsed)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := fileIn(t, img, "usr/local/bin/hello"); !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, want the program's %d", platform, len(got), len(want))
		}
	}
}

func fileIn(t *testing.T, img v1.Image, path string) []byte {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	r, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err != nil {
			t.Fatalf("looking for %s: %v", path, err)
		}
		if h.Name != path {
			continue
		}
		b, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

func TestWrongInputsAreRefused(t *testing.T) {
	_, amd64, _ := strings.Cut(programs[0], "linux/amd64=")
	dir := t.TempDir()
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, "key.pem")
	if err := os.WriteFile(key, []byte("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	common := []string{"-name=hello", "-version=1", "-output=" + filepath.Join(dir, "out"), "-ca-certificates=none"}
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"program of another architecture", []string{"-binary=linux/arm64=" + amd64}, "not for linux/arm64"},
		{"script", []string{"-binary=linux/amd64=" + script}, "not a Linux program"},
		{"other system", []string{"-binary=windows/amd64=" + amd64}, "not for windows/amd64"},
		{"platform twice", []string{"-binary=linux/amd64=" + amd64, "-binary=linux/amd64=" + amd64}, "given twice"},
		{"no program", nil, "-binary is missing"},
		{"private key among the certificates", []string{"-binary=linux/amd64=" + amd64, "-ca-certificates=" + key}, "EC PRIVATE KEY"},
		{"no certificates in the file", []string{"-binary=linux/amd64=" + amd64, "-ca-certificates=" + script}, "no certificates"},
		{"folder with other things", []string{"-binary=linux/amd64=" + amd64, "-output=" + dir}, "left alone"},
		{"time", []string{"-binary=linux/amd64=" + amd64, "-created=yesterday"}, "RFC 3339"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := run(context.Background(), slices.Concat(common, c.args), io.Discard)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestDynamicProgramIsRefused(t *testing.T) {
	self, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Skip("no /bin/sh here")
	}
	err = checkStatic(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}, self)
	if err == nil {
		t.Skip("this system's shell is static")
	}
	if !strings.Contains(err.Error(), "CGO_ENABLED=0") {
		t.Errorf("got %v", err)
	}
}
