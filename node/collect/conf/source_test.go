package conf

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func files(tables []*Table) string {
	var names []string
	for _, tb := range tables {
		names = append(names, filepath.Base(tb.File))
	}
	return strings.Join(names, " ")
}

func TestDirectoriesAreWalkedAfterTheFilesInLexicalOrder(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "b.conf"), "[b]\n")
	write(t, filepath.Join(dir, "a", "deep", "z.conf"), "[z]\n")
	write(t, filepath.Join(dir, "holdfast.toml"), "[node]\n")
	write(t, filepath.Join(dir, "notes.txt"), "not TOML")
	write(t, filepath.Join(dir, "other.toml"), "[other]\n")
	write(t, filepath.Join(dir, "..2024_11_23", "b.conf"), "[twice]\n")
	first := write(t, filepath.Join(t.TempDir(), "first.conf"), "[first]\n")
	tables, _, err := Read(context.Background(), Sources{Files: []string{first}, Directories: []string{dir}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := files(tables), "first.conf z.conf b.conf holdfast.toml"; got != want {
		t.Errorf("read %s, want %s", got, want)
	}
	if _, _, err := Read(context.Background(), Sources{Directories: []string{filepath.Join(dir, "none")}}); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("a missing directory: %v", err)
	}
}

func TestAReferenceToAVariableThatIsNotSetIsTold(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "b.toml"), `[[remote]]
  name = "central" # not $THIS
  url = "http://$HOST:8086"
  token = "$CENTRAL_TOKEN"
[[inputs.exec]]
  commands = ["echo $$HOME", # nor "$THIS"
    "awk '{print $1}'", "run ${SITE} ${PIER:-1}"]
`)
	_, warnings, err := Read(context.Background(), Sources{Files: []string{file}, Parse: ParseOptions{Env: lookup("HOST", "h")}})
	if err != nil {
		t.Fatal(err)
	}
	const rest = ", which is not set: it is taken as it is written ($$ stands for a $ that is meant)"
	want := file + ":4: remote.token names the variable CENTRAL_TOKEN" + rest + "\n" + file + ":6: inputs.exec.commands names the variable SITE" + rest
	if got := strings.Join(warnings, "\n"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestTheTokenGoesToNamedHostsOnly(t *testing.T) {
	var seen string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Get("Authorization")
		_, _ = w.Write([]byte("[a]\n"))
	}))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	for _, c := range []struct {
		hosts []string
		want  string
	}{{nil, ""}, {[]string{"other.example"}, ""}, {[]string{host}, "Token s3cr3t"}} {
		_, _, err := Read(context.Background(), Sources{Files: []string{server.URL + "/x"}, Fetch: Fetch{Token: "s3cr3t", TokenHosts: c.hosts}})
		if err != nil || seen != c.want {
			t.Errorf("for hosts %v the server saw %q, %v", c.hosts, seen, err)
		}
	}
}

func TestARedirectionToAnotherHostIsNotFollowed(t *testing.T) {
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("the other host was asked")
		_, _ = w.Write([]byte("[evil]\n"))
	}))
	defer target.Close()
	server := httptest.NewServer(http.RedirectHandler(target.URL, http.StatusFound))
	defer server.Close()
	_, _, err := Read(context.Background(), Sources{Files: []string{server.URL}, Fetch: Fetch{Attempts: 1, Token: "s3cr3t", TokenHosts: []string{strings.TrimPrefix(server.URL, "http://")}}})
	if err == nil || !strings.Contains(err.Error(), "redirects to another host") {
		t.Error(err)
	}
}

func TestErrorsOfAURLHideItsCredentials(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	host := strings.TrimPrefix(server.URL, "http://")
	name := "http://user:s3cr3t@" + host + "/a.conf?token=s3cr3t"
	fetch := Fetch{Attempts: 2, Wait: time.Millisecond}
	_, _, notFound := Read(context.Background(), Sources{Files: []string{name}, Fetch: fetch})
	server.Close()
	_, _, refused := Read(context.Background(), Sources{Files: []string{name}, Fetch: fetch})
	_, _, bad := Read(context.Background(), Sources{Files: []string{"http://user:s3cr3t@[::1/%zz"}, Fetch: fetch})
	for _, err := range []error{notFound, refused, bad} {
		if err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("got %v", err)
		}
	}
	if !strings.Contains(notFound.Error(), "404") || !strings.Contains(notFound.Error(), host+"/a.conf") {
		t.Error(notFound)
	}
}

func TestTheLastGoodTextServesAStartWithoutNetwork(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("[kept]\n")) }))
	s := Sources{Files: []string{server.URL + "/a.conf"}, Fetch: Fetch{Attempts: 1, CacheDir: t.TempDir()}}
	if _, warnings, err := Read(context.Background(), s); err != nil || len(warnings) != 0 {
		t.Fatal(warnings, err)
	}
	server.Close()
	tables, warnings, err := Read(context.Background(), s)
	if err != nil || len(tables) != 1 || tables[0].Name() != "kept" {
		t.Fatal(tables, err)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "the copy kept") {
		t.Errorf("warnings are %v", warnings)
	}
	if _, _, err := Read(context.Background(), Sources{Files: []string{server.URL + "/b.conf"}, Fetch: s.Fetch}); err == nil {
		t.Error("another URL was answered from the cache")
	}
}

func TestDefaultPlacesAreHoldfastsAndTelegrafs(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no HOME; its places are under %ProgramFiles%, which a test must not write to")
	}
	home := t.TempDir()
	own := write(t, filepath.Join(home, ".holdfast", "holdfast.toml"), "")
	tele := write(t, filepath.Join(home, ".telegraf", "telegraf.conf"), "")
	got, dirs := DefaultSources(lookup("HOME", home))
	if strings.Join(got, " ") != own+" "+tele || len(dirs) != 0 {
		t.Errorf("found %v %v", got, dirs)
	}
	got, _ = DefaultSources(lookup("HOME", home, "HOLDFAST_CONFIG_PATH", "http://x/y", "TELEGRAF_CONFIG_PATH", "/t.conf"))
	if strings.Join(got, " ") != "http://x/y /t.conf" {
		t.Errorf("found %v", got)
	}
}
