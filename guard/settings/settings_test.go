package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/object"
)

const whole = `
conventions:
- path: clusters/(cluster)/(app)
  application: (cluster).(app)
  project: (cluster)
  namespace: (app)
instance: clusters/(cluster)
repositories: [https://git.example.org/infrastructure.git]
clusters: {cluster01: "https://c1.example.org"}
ignore: ["test/**"]
scopes: {example.org/Zone: cluster}
stateful: [example.org/Database]
argocd-version: 3.4
kube-version: "1.33"
api-versions: [example.org/v1]
tracking: label
max-manifests: 20MiB
quorum: [etcd]
backup-labels: [velero.io/schedule]
rules:
  HG052: {off: every app prunes by design}
  HG014: {severity: error}
waivers-file: waivers.yaml
waivers:
- rule: HG040
  object: apps/StatefulSet cache/*
  reason: caches
  expires: 2027-01-01
allow-unanalysed: ["chart-*"]
render:
- source: apps/(app).jsonnet
  output: env/(app)/yml
  tla-str: {app: (app)}
  keep: [by-hand.yaml]
`

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestSettingsAreReadWithTheirWaivers(t *testing.T) {
	file := write(t, Name, whole)
	more := "waivers:\n- rules: [HG060, HG101]\n  object: PersistentVolume*\n  by: ada\n  reason: scratch\n  expires: 2027-01-01\n"
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "waivers.yaml"), []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Read(file, false)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Config()
	if err != nil {
		t.Fatal(err)
	}
	if c.Version != [2]int{3, 4} || !c.LabelTracking || c.MaxManifests != 20<<20 || c.Off["HG052"] == "" || len(c.Conventions) != 1 || c.Instance == "" {
		t.Errorf("%+v", c)
	}
	if w := s.OwnWaivers(); len(w) != 2 || w[0].Place.String() != "guard.yaml:25" || w[1].Place.String() != "waivers.yaml:2" {
		t.Errorf("waivers are %+v", w)
	}
	if a := s.Approvals(); len(a) != 1 || a[0].By != "ada" || strings.Join(a[0].Rules, " ") != "HG101" || a[0].Place.String() != "waivers.yaml:2" || strings.Join(s.OwnWaivers()[1].Rules, " ") != "HG060" {
		t.Errorf("approvals are %+v", a)
	}
	if o, err := s.Inventory(); err != nil || o.KubeVersion != "1.33" || len(o.APIVersions) != 1 {
		t.Errorf("of the inventory: %+v, %v", o, err)
	}
	if !s.Allows("chart-redis") || s.Allows("redis") {
		t.Error("allow-unanalysed is not as written")
	}
	o, err := s.Inventory()
	if err != nil {
		t.Fatal(err)
	}
	if !o.Ignore("test/a/b.yaml") || !o.Ignore("guard.yaml") || o.Ignore("env/a.yaml") || o.Scopes[object.Kind{Group: "example.org", Kind: "Zone"}] || !o.Keep[object.Kind{Group: "example.org", Kind: "Database"}] {
		t.Errorf("%+v", o)
	}
}

func TestWhatIsWrongInSettingsIsSaid(t *testing.T) {
	for text, words := range map[string]string{
		"cluster: {}":                                                                     "did you mean clusters",
		"rules: {HG052: {of: x y}}":                                                       "did you mean off",
		"waivers: [{rule: HG040, reson: x}]":                                              "did you mean reason",
		"rules: {HG52: {off: not here}}":                                                  "no rule \"HG52\": HG052",
		"rules: {HG052: {off: no}}":                                                       "the reason why",
		"rules: {HG052: {}}":                                                              "off or severity",
		"rules: {HG052: {severity: fatal}}":                                               "no severity",
		"tracking: labels":                                                                "are the methods",
		"kube-version: new":                                                               "1.34 and 1.34.2 are versions",
		"argocd-version: three":                                                           "3.2 is one",
		"max-manifests: much":                                                             "no size",
		"conventions: [{path: 'env/(app'}]":                                               "bracket",
		"conventions: [{path: a, application: (app)}]":                                    "does not have",
		"ignore: ['[a']":                                                                  "no pattern",
		"waivers: [{rule: HG040, reason: x, expires: 2027-01-01}]":                        "names no object",
		"waivers: [{rule: HG040, path: a, expires: 2027-01-01}]":                          "no reason",
		"waivers: [{rule: HG040, path: a, reason: x}]":                                    "no expires",
		"waivers: [{rule: HG049, path: a, reason: x, expires: 2027-01-01}]":               "no rule HG049",
		"waivers: [{rule: HG101, path: a, by: x, reason: x, expires: 2027-01-01}]":        "neither an object nor an application",
		"waivers: [{rule: HG101, application: a, reason: x, expires: 2027-01-01}]":        "does not say who approves",
		"waivers: [{rule: HG199, application: a, by: x, reason: x, expires: 2027-01-01}]": "no rule HG199",
		"max-deleted: -1":                                                                 "number of objects",
		"max-deleted-percent: 101":                                                        "between 0 and 100",
		"waivers-file: w.yaml":                                                            "not read here",
		"a: b\n---\nc: d":                                                                 "a",
		"{}\n---\n{}":                                                                     "second document",
		strings.Repeat("#", MaxSize) + "\n":                                               "more than",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%.60q gives %v, want %q", text, err, words)
		}
	}
	if s, err := Parse([]byte("scopes: {a/B: galaxy}")); err != nil {
		t.Error(err)
	} else if _, err := s.Inventory(); err == nil {
		t.Error("an unknown scope is accepted")
	}
	if _, err := Read(filepath.Join(t.TempDir(), Name), false); err == nil {
		t.Error("settings that are asked for and missing are accepted")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(strings.Replace(whole, "waivers-file: waivers.yaml\n", "", 1)))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, err := Parse(text); err == nil {
			if _, err := s.Config(); err != nil {
				t.Fatal("settings that were checked have no config: ", err)
			}
			if Weakened(s, s) != nil {
				t.Fatal("settings weaken themselves")
			}
			Weakened(new(Settings), s)
			for _, a := range s.Approvals() {
				if a.By == "" {
					t.Fatal("nobody approves")
				}
			}
		}
	})
}

func TestAValueOfAnotherKindIsNamedWithItsLineAndField(t *testing.T) {
	for text, want := range map[string]string{
		"tracking: label\nmax-deleted: many\n":     "line 2: max-deleted: `many` is not a whole number",
		"ignore: test/**\n":                        "line 1: ignore: `test/**` is not a list",
		"clusters: [a]\n":                          "line 1: clusters: this is not a mapping of fields to values",
		"render:\n- source: a\n  recurse: maybe\n": "line 3: recurse: `maybe` is not true or false",
		"clustres: {}\n":                           `line 1: there is no field "clustres" here: did you mean clusters?`,
	} {
		if _, err := Parse([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q gives %v", text, err)
		}
	}
}
