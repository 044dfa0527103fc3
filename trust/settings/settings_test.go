package settings_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/rotation"
	"github.com/holdfast-telemetry/holdfast/trust/settings"
)

// everything has every key. Those that exclude each other are in several documents.
const everything = `
data: d
listen: 0.0.0.0:1
sign-listen: 0.0.0.0:2
admin-listen: 0.0.0.0:3
tls: {certificate: c.crt, key: c.key, client-ca: ca.crt}
keys:
  images: pictures
  list: lists
  folder: {path: p, passphrase-file: pass, key-file: kf, credential: cred}
  vault:
    address: https://vault.example:8200
    namespace: team
    ca: vault.crt
    mount: engine
    token-file: tf
    token-env: TE
    kubernetes: {role: r, mount: kube, jwt-file: jwt}
    approle: {mount: ar, role-id-file: rid, secret-id-file: sid}
state: {file: s.json, config-map: {namespace: ns, name: n, kubeconfig: kc}}
timing: {active: 6d, lifetime: 20d, poll: 2m, slack: 10s, resign: 12h, list: 5h}
sources: [sigs.example/third-party]
access: {rules: r.yaml, tokens: t.json}
audit: {folder: a}
registry: {plain: ["10.0.0.1:5000"], ca: reg.crt}
resign:
  every: 30m
  images: [lists]
  repositories: ["reg.example/**"]
  deployed: [{kubeconfig: one, in-cluster: true, path: git}]
selftest: {repository: sigs.example/selftest}
`

// empty names a field that is zero, as a path of keys.
func empty(v reflect.Value, path string) (all []string) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return []string{path}
		}
		return empty(v.Elem(), path)
	case reflect.Struct:
		for i := range v.NumField() {
			key := strings.Split(v.Type().Field(i).Tag.Get("yaml"), ",")[0]
			all = append(all, empty(v.Field(i), strings.TrimPrefix(path+"."+key, "."))...)
		}
		return all
	case reflect.Slice:
		if v.Len() == 0 {
			return []string{path}
		}
		for i := range v.Len() {
			all = append(all, empty(v.Index(i), path)...)
		}
		return all
	}
	if v.IsZero() {
		return []string{path}
	}
	return nil
}

func TestEveryKeyIsRead(t *testing.T) {
	s, err := settings.Parse([]byte(everything))
	if err != nil {
		t.Fatal(err)
	}
	if all := empty(reflect.ValueOf(s), ""); all != nil {
		t.Errorf("not read: %v", all)
	}
	want := rotation.Timing{Active: 6 * 24 * time.Hour, Lifetime: 20 * 24 * time.Hour, Poll: 2 * time.Minute, Slack: 10 * time.Second, Resign: 12 * time.Hour, List: 5 * time.Hour}
	if got := s.Rotation(); got != want {
		t.Errorf("the timing is %+v", got)
	}
}

// keys are the names of all fields of a type.
func keys(of reflect.Type, found map[string]bool) {
	switch of.Kind() {
	case reflect.Pointer, reflect.Slice:
		keys(of.Elem(), found)
	case reflect.Struct:
		for i := range of.NumField() {
			found[of.Field(i).Tag.Get("yaml")] = true
			keys(of.Field(i).Type, found)
		}
	}
}

func TestAMisspeltKeyIsSaidWithItsLineAndTheOneThatWasMeant(t *testing.T) {
	found := map[string]bool{}
	keys(reflect.TypeFor[settings.Settings](), found)
	for key := range found {
		if len(key) < 4 {
			continue // as near to others as to itself
		}
		misspelt := key + "x"
		_, err := settings.Parse([]byte("data: d\n" + misspelt + ": 1\n"))
		if want := fmt.Sprintf("line 2: there is no field %q here: did you mean %s?", misspelt, key); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", misspelt, err)
		}
	}
	if _, err := settings.Parse([]byte("qqqqqqqqqq: 1")); err == nil || strings.Contains(err.Error(), "did you mean") {
		t.Errorf("what is near to nothing: %v", err)
	}
	if _, err := settings.Parse([]byte("timing: {listen: 1h}")); err == nil || !strings.Contains(err.Error(), `there is no field "listen" here`) {
		t.Errorf("a key in the wrong place: %v", err)
	}
}

// read reads a file in a folder of its own.
func read(t *testing.T, text string) (*settings.Settings, string, error) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "trust.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := settings.Read(file, "")
	return s, dir, err
}

func TestWhatContradictsItselfIsSaid(t *testing.T) {
	for text, want := range map[string]string{
		"keys: {images: A/B}":                                      "keys.images:",
		"keys: {list: \"\\n\"}":                                    "keys.list:",
		"keys: {images: k, list: k}":                               "keys.images and keys.list are both k",
		"tls: {certificate: c}":                                    "tls needs both certificate and key",
		"tls: {key: c}":                                            "tls needs both certificate and key",
		"tls: {client-ca: c}":                                      "tls.client-ca needs tls.certificate and tls.key",
		"keys: {folder: {credential: a, passphrase-file: b}}":      "keys.folder: one of",
		"keys: {vault: {address: a}}":                              "keys.vault: one of",
		"keys: {vault: {address: a, token-env: b, token-file: c}}": "keys.vault: one of",
		"state: {config-map: {name: n}}":                           "state: a file, or a config-map with its namespace and name",
		"state: {file: f, config-map: {name: n, namespace: m}}":    "state: a file, or a config-map",
		"sources: [sigs.example]":                                  "sources:",
		"timing: {active: 30m}":                                    "active is 30m0s: at least 1h0m0s is wanted",
		"timing: {active: 20d}":                                    "lifetime is 504h0m0s: at least",
		"timing: {poll: 3h}":                                       "list is 6h0m0s: at least",
		"timing: {lifetime: 100d, active: 20d}":                    "clusters accept no key that counts for longer",
		"timing: {active: 1h, lifetime: 60d}":                      "the list would have",
		"timing: {poll: -1m}":                                      "poll is -1m0s: it must be above 0",
		"timing: now":                                              `trust.yaml:1: there is "now", and a table of fields is wanted`,
		"data: [a]":                                                "trust.yaml:1: there is a list, and a text is wanted",
		"data: d\nsources: {a: b}":                                 "trust.yaml:2: there is a table, and a list is wanted",
		"resign: {deployed: [{in-cluster: perhaps}]}":              `trust.yaml:1: there is "perhaps", and true or false is wanted`,
		"data: [":                  "trust.yaml:1: this is no YAML: ",
		"timing: {active: 1 week}": `trust.yaml:1: "1 week" is no time`,
		"timing: {active: 99999d}": `"99999d" is no time`,
		"timing: {active: [1h]}":   "is no time",
		"listen: [a]":              "trust.yaml:1: there is a list",
		"listen: a\nlisten: b":     "already defined at line 1",
		"a: b: c":                  "mapping values are not allowed",
		"data: a\n---\ndata: b":    "there is a second document",
		"data: " + strings.Repeat("x", settings.MaxSize): "there are more than 1048576 bytes",
		"resign: {}":                                    "resign has neither images nor deployed",
		"resign: {images: [a]}":                         "resign.images needs sources",
		"resign: {deployed: [{path: a}]}":               "resign.deployed needs resign.repositories",
		"resign: {deployed: [{}], repositories: [a/b]}": "resign.deployed, entry 1: one of",
		"resign: {deployed: [{path: a, in-cluster: true}], repositories: [a/b]}": "resign.deployed, entry 1: one of",
		"resign: {deployed: [{path: a}], repositories: [\"a***\"]}":              "resign.repositories:",
		"resign: {every: 30s, deployed: [{path: a}], repositories: [a/b]}":       "resign.every is 30s: from 1m",
		"resign: {every: 2d, deployed: [{path: a}], repositories: [a/b]}":        "resign.every is 48h0m0s: from 1m to timing.resign, which is 24h0m0s",
		"selftest: {repository: \"reg.example/UP\"}":                             "selftest.repository:",
	} {
		if _, _, err := read(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v", text, err)
		}
	}
	if _, err := settings.Read(filepath.Join(t.TempDir(), "none.yaml"), ""); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("a file that is not there: %v", err)
	}
}

// All that is wrong is said at once.
func TestEverythingThatIsWrongIsSaid(t *testing.T) {
	_, _, err := read(t, "tls: {key: k}\nsources: [x]\ntiming: {active: 30m}\n")
	for _, want := range []string{"trust.yaml: ", "tls needs", "sources:", "active is"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not in %v", want, err)
		}
	}
}

func TestWhatIsNotSetHasADefault(t *testing.T) {
	for name, text := range map[string]string{"an empty file": "", "a comment": "# nothing\n", "a mapping without keys": "{}"} {
		s, dir, err := read(t, text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		data := filepath.Join(dir, "holdfast-trust")
		got := []string{s.Data, s.Listen, s.SignListen, s.AdminListen, s.Keys.Images, s.Keys.List, s.Keys.Folder.Path, s.Keys.Folder.KeyFile, s.State.File, s.Access.Rules, s.Access.Tokens, s.Audit.Folder}
		want := []string{data, "127.0.0.1:8470", "", "127.0.0.1:8471", "images", "keylist", filepath.Join(data, "keys"), filepath.Join(data, "key"), filepath.Join(data, "state.json"),
			filepath.Join(data, "rules.yaml"), filepath.Join(data, "tokens.json"), filepath.Join(data, "audit")}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q", name, got)
		}
		if got := s.Rotation(); got != rotation.DefaultTiming() || s.Resign != nil {
			t.Errorf("%s: %+v, %v", name, got, s.Resign)
		}
	}
	s, err := settings.Read("", "elsewhere")
	if err != nil || s.Data != "elsewhere" || s.State.File != filepath.Join("elsewhere", "state.json") {
		t.Errorf("without a file: %+v, %v", s, err)
	}
}

func TestDefaultsFollowFromWhatIsSet(t *testing.T) {
	s, _, err := read(t, "keys: {vault: {address: \"https://v\", token-env: T}}\nstate: {config-map: {namespace: n, name: m}}\nresign: {deployed: [{in-cluster: true}], repositories: [reg.example/a]}")
	if err != nil || s.Keys.Vault.Mount != "transit" || s.State.File != "" || time.Duration(s.Resign.Every) != time.Hour {
		t.Errorf("%+v, %v", s, err)
	}
	s, _, err = read(t, "timing: {resign: 20m}\nresign: {deployed: [{in-cluster: true}], repositories: [reg.example/a]}")
	if err != nil || time.Duration(s.Resign.Every) != 20*time.Minute {
		t.Errorf("with a shorter timing.resign: %+v, %v", s, err)
	}
	// A secret that is named is the only one.
	s, _, err = read(t, "keys: {folder: {passphrase-file: p}}")
	if err != nil || s.Keys.Folder.KeyFile != "" {
		t.Errorf("with a passphrase: %+v, %v", s, err)
	}
}

func TestPathsAreThoseOfTheFilesFolder(t *testing.T) {
	text := strings.NewReplacer("passphrase-file: pass, key-file: kf, credential: cred", "passphrase-file: pass", "    token-env: TE\n", "", "    kubernetes: {role: r, mount: kube, jwt-file: jwt}\n", "",
		"    approle: {mount: ar, role-id-file: rid, secret-id-file: sid}\n", "", "state: {file: s.json, config-map: {namespace: ns, name: n, kubeconfig: kc}}", "state: {config-map: {namespace: ns, name: n, kubeconfig: kc}}",
		"[{kubeconfig: one, in-cluster: true, path: git}]", "[{kubeconfig: one}, {path: /abs/git}]").Replace(everything)
	s, dir, err := read(t, text)
	if err != nil {
		t.Fatal(err)
	}
	for want, got := range map[string]string{"d": s.Data, "c.crt": s.TLS.Certificate, "c.key": s.TLS.Key, "ca.crt": s.TLS.ClientCA, "p": s.Keys.Folder.Path, "pass": s.Keys.Folder.PassphraseFile,
		"vault.crt": s.Keys.Vault.CA, "tf": s.Keys.Vault.TokenFile, "kc": s.State.ConfigMap.Kubeconfig, "r.yaml": s.Access.Rules, "t.json": s.Access.Tokens, "a": s.Audit.Folder, "reg.crt": s.Registry.CA,
		"lists": s.Resign.Images[0], "one": s.Resign.Deployed[0].Kubeconfig} {
		if got != filepath.Join(dir, want) {
			t.Errorf("%s is %s", want, got)
		}
	}
	if got := s.Resign.Deployed[1].Path; got != "/abs/git" {
		t.Errorf("an absolute path is %s", got)
	}
}
