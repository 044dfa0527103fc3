package profile

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func file(t *testing.T) File {
	t.Helper()
	return File{Path: filepath.Join(t.TempDir(), "sub", "configs")}
}

func create(t *testing.T, f File, p Profile) {
	t.Helper()
	if _, err := f.Create(p); err != nil {
		t.Fatal(err)
	}
}

func TestFileIsTheFormatOfTheInfluxCommand(t *testing.T) {
	f := file(t)
	create(t, f, Profile{Name: "default", Host: "http://localhost:8086", Token: `a"b\c==`, Org: "my org", Active: true})
	create(t, f, Profile{Name: "edge.one", Host: "https://x", Cookie: "dXNlcg==", Active: true})
	got, err := os.ReadFile(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	want := `[default]
  url = "http://localhost:8086"
  token = "a\"b\\c=="
  org = "my org"
  previous = true

["edge.one"]
  url = "https://x"
  token = ""
  org = ""
  active = true
  cookie = "dXNlcg=="
`
	if string(got) != want {
		t.Errorf("file:\n%s\nwant:\n%s", got, want)
	}
}

func TestFileWrittenByTheInfluxCommandIsReadAndKept(t *testing.T) {
	f := File{Path: filepath.Join(t.TempDir(), "configs")}
	written := "[default]\n  url = \"http://a:8086\"\n  token = \"t1\"\n  org = \"o\"\n  active = true\n  future = \"kept\"\n# \n# [us-west]\n#   url = \"https://example\"\n"
	if err := os.WriteFile(f.Path, []byte(written), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := f.Update(Profile{Name: "default", Org: "p"})
	if err != nil {
		t.Fatal(err)
	}
	if p.Host != "http://a:8086" || p.Token != "t1" || p.Org != "p" || !p.Active {
		t.Errorf("profile = %+v", p)
	}
	text, _ := os.ReadFile(f.Path)
	if !strings.Contains(string(text), `future = "kept"`) {
		t.Errorf("a key that another program wrote was lost:\n%s", text)
	}
}

func TestFileIsReadableByItsOwnerOnly(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("file modes do not say who may read on Windows")
	}
	f := file(t)
	create(t, f, Profile{Name: "a", Host: "http://a"})
	info, err := os.Stat(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, want 0600", info.Mode().Perm())
	}
}

func TestActiveProfileFallsBackToTheFirstAndThenToDefault(t *testing.T) {
	f := file(t)
	if p, err := f.Active(); err != nil || p.Name != "default" || p.Host != Default.Host {
		t.Errorf("without a file: %+v, %v", p, err)
	}
	create(t, f, Profile{Name: "b", Host: "http://b"})
	create(t, f, Profile{Name: "a", Host: "http://a"})
	if p, err := f.Active(); err != nil || p.Name != "a" {
		t.Errorf("none marked: %+v, %v", p, err)
	}
}

func TestActivateDashReturnsToTheProfileBefore(t *testing.T) {
	f := file(t)
	create(t, f, Profile{Name: "a", Host: "http://a", Active: true})
	create(t, f, Profile{Name: "b", Host: "http://b"})
	for _, step := range []struct{ name, want string }{{"b", "b"}, {"-", "a"}, {"-", "b"}} {
		if _, err := f.Activate(step.name); err != nil {
			t.Fatal(err)
		}
		if p, _ := f.Active(); p.Name != step.want {
			t.Errorf("after Activate(%q) %q is active, want %q", step.name, p.Name, step.want)
		}
	}
}

func TestDeleteOfTheActiveProfileActivatesTheOneBefore(t *testing.T) {
	f := file(t)
	for _, name := range []string{"a", "b", "c"} {
		create(t, f, Profile{Name: name, Host: "http://" + name, Active: true})
	}
	if _, err := f.Delete("c"); err != nil {
		t.Fatal(err)
	}
	if p, _ := f.Active(); p.Name != "b" || !p.Active {
		t.Errorf("active = %+v, want b", p)
	}
}

func TestUpdateTradesTokenForCookie(t *testing.T) {
	f := file(t)
	create(t, f, Profile{Name: "a", Host: "http://a", Token: "t"})
	if p, err := f.Update(Profile{Name: "a", Cookie: "Yzpk"}); err != nil || p.Token != "" || p.Cookie != "Yzpk" {
		t.Errorf("cookie: %+v, %v", p, err)
	}
	if p, err := f.Update(Profile{Name: "a", Token: "t2"}); err != nil || p.Token != "t2" || p.Cookie != "" {
		t.Errorf("token: %+v, %v", p, err)
	}
}

func TestErrorsOfProfiles(t *testing.T) {
	f := file(t)
	create(t, f, Profile{Name: "a", Host: "http://a"})
	if _, err := f.Create(Profile{Name: "a"}); !errors.Is(err, ErrExists) {
		t.Errorf("second create: %v", err)
	}
	if _, err := f.Create(Profile{Name: "list"}); err == nil {
		t.Error("a reserved name was taken")
	}
	if _, err := f.Get("x"); !errors.Is(err, ErrNotFound) {
		t.Errorf("get: %v", err)
	}
	if _, err := f.Activate("-"); !errors.Is(err, ErrNotFound) {
		t.Errorf("activate previous: %v", err)
	}
	if err := os.WriteFile(f.Path, []byte("not = [toml"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.List(); err == nil || !strings.Contains(err.Error(), f.Path) {
		t.Errorf("broken file: %v", err)
	}
	broken, _ := os.ReadFile(f.Path)
	if _, err := f.Create(Profile{Name: "b"}); err == nil {
		t.Error("a create over a broken file succeeded")
	}
	if after, _ := os.ReadFile(f.Path); string(after) != string(broken) {
		t.Error("a broken file was overwritten")
	}
}

func TestNamesAndValuesOfAnyTextSurvive(t *testing.T) {
	f := file(t)
	odd := Profile{Name: "übung \"1\"\t", Host: "http://x", Token: "\x01\\\n'\"", Org: "ø"}
	create(t, f, odd)
	got, err := f.Get(odd.Name)
	if err != nil {
		t.Fatal(err)
	}
	if got.Token != odd.Token || got.Org != odd.Org {
		t.Errorf("got %+v, want %+v", got, odd)
	}
}
