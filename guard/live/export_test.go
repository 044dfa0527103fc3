package live

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
)

const settingsText = "apiVersion: v1\ndata: {a: b}\nkind: ConfigMap\nmetadata: {name: argocd-cm}\n---\n"

// exported is an Application as an export has it.
func exported(name, parent, path, resources string) string {
	text := strings.Replace(application(name, path, "app01", ""), ", namespace: argocd", "", 1)
	if parent != "" {
		id := fmt.Sprintf("%s:argoproj.io/Application:argocd/%s", parent, name)
		text = strings.Replace(text, "metadata: {", "metadata: {annotations: {argocd.argoproj.io/tracking-id: '"+id+"'}, ", 1)
	}
	return text + "status: {resources: [" + resources + "]}\n---\n"
}

func resource1(group, kind, name, more string) string {
	return fmt.Sprintf("{group: %q, version: v1, kind: %s, namespace: app01, name: %s, status: Synced%s},", group, kind, name, more)
}

// export1 has the root and app01 of tree.
func export1(more string) string {
	return settingsText + exported("root", "", "env/argocd", "{group: argoproj.io, kind: Application, namespace: argocd, name: app01, status: Synced}") +
		exported("app01", "root", "env/app01", resource1("apps", "StatefulSet", "db", more)+resource1("", "ConfigMap", "config", "")+resource1("", "ConfigMap", "more", ""))
}

func readExport(t *testing.T, text string) *State {
	t.Helper()
	s, err := ReadExport(strings.NewReader(text), "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAnExportSaysWhatApplicationsOwnAndNotWhatProtectsIt(t *testing.T) {
	base := tree()
	protected := with(base, path01, set("db", "Prune=false")+config("config", "")+config("more", ""))
	noSet := with(base, path01, config("config", "")+config("more", ""))
	leaves := with(base, appFile, "apiVersion: argoproj.io/v1alpha1\nkind: AppProject\nmetadata: {name: other, namespace: argocd}\n")
	for name, test := range map[string]struct {
		export     string
		base, head map[string]string
		want       map[string]string
	}{
		"it is as git has it":     {export1(""), base, noSet, map[string]string{"StatefulSet db": "deleted: its Application does not have it any more, and prunes"}},
		"the protection is git's": {export1(""), protected, noSet, map[string]string{"StatefulSet db": "kept: Prune=false was live before"}},
		"the object has not been made": {
			strings.Replace(export1(""), resource1("apps", "StatefulSet", "db", ""), resource1("apps", "StatefulSet", "db", ", health: {status: Missing}"), 1), base, noSet,
			map[string]string{"StatefulSet db": "untouched: the status of its Application does not name it: it is not known to live (by git alone: deleted)"},
		},
		"its deletion has to be confirmed": {export1(", requiresDeletionConfirmation: true"), base, leaves, map[string]string{
			"StatefulSet db": "held: its Application app01 is deleted, and deletes what it owns, once a person approves it (by git alone: deleted)",
		}},
		"the Application is protected": {
			strings.Replace(export1(""), "tracking-id: 'root:", "sync-options: Prune=false, argocd.argoproj.io/tracking-id: 'root:", 1), base, leaves,
			map[string]string{
				"Application app01": "kept: the live object still has Prune=false, which git does not (by git alone: deleted)",
				"StatefulSet db":    "untouched: its Application, as it lives, keeps it (by git alone: deleted)",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, p := between(t, test.base, test.head, readExport(t, test.export))
			for what, want := range test.want {
				if got[what] != want {
					t.Errorf("%s: %q, want %q", what, got[what], want)
				}
			}
			if len(p.Unknown) < 2 || !slices.ContainsFunc(p.Unknown, func(text string) bool { return strings.HasPrefix(text, "an export has no objects") }) {
				t.Errorf("not known: %q", p.Unknown)
			}
			for _, c := range p.Changes {
				for _, e := range c.Effects {
					if want := map[bool]string{true: plan.FromLive, false: plan.FromStatus}[e.Key.Kind == "Application"]; e.Source != want {
						t.Errorf("%s is from %s, want %s", e.Key, e.Source, want)
					}
				}
			}
		})
	}
}

func TestOfTheSecretsOfAnExportOnlyNamesAndServersOfClustersAreKept(t *testing.T) {
	encode := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	const password = "swordfish"
	secret := func(name, labels, data string) string {
		return fmt.Sprintf("apiVersion: v1\nkind: Secret\ndata: {%s}\nmetadata: {name: %s, labels: {%s}}\n---\n", data, name, labels)
	}
	data := fmt.Sprintf("name: %s, server: %s, config: %s", encode("far"), encode("https://far.example.org/"), encode(password))
	text := settingsText + secret("cluster-far", "argocd.argoproj.io/secret-type: cluster", data) + secret("argocd-secret", "a: b", "admin.password: "+encode(password)) +
		exported("root", "", "env/argocd", "")
	s := readExport(t, text)
	if len(s.Names()) != 1 || s.Names()["far"] != "https://far.example.org" {
		t.Errorf("the clusters are %v", s.Names())
	}
	for _, hidden := range []string{password, encode(password), encode("admin")} {
		if strings.Contains(fmt.Sprintf("%+v %+v", s, s.Objects(argo.Server)[0]), hidden) {
			t.Errorf("the state has %q", hidden)
		}
	}
	for _, broken := range []string{"{", "\t" + password, "data: &a *" + password, "kind: Secret\nkind: Secret"} {
		text := settingsText + "data: {password: " + password + "}\n" + broken + "\n---\n"
		if _, err := ReadExport(strings.NewReader(text), ""); err == nil || strings.Contains(err.Error(), password) {
			t.Errorf("%q: %v", broken, err)
		}
	}
}

func TestAnExportThatIsNotWholeIsAnError(t *testing.T) {
	whole := export1("")
	long := strings.Repeat("x", MaxDocument)
	for name, test := range map[string]struct{ text, want string }{
		"nothing":            {"", "no ConfigMap argocd-cm"},
		"cut":                {whole[:len(whole)-20], "ends in the middle"},
		"cut in a separator": {whole[:len(whole)-2], "ends in the middle"},
		"no settings":        {strings.TrimPrefix(whole, settingsText), "no ConfigMap argocd-cm"},
		"a kubeconfig":       {"apiVersion: v1\nkind: Config\ncurrent-context: a\nusers: []\n", "--kubeconfig"},
		"a list":             {settingsText + "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}]\n---\n", "line 6"},
		"no object":          {settingsText + "hello\n---\n", "line 6"},
		"empty":              {settingsText + "---\n", "line 6: 0 objects"},
		"binary":             {settingsText + "\x00\x01\n---\n", "line 6"},
		"twice":              {whole + exported("root", "", "a", ""), "is there twice"},
		"a key twice":        {settingsText + "apiVersion: v1\nkind: ConfigMap\nkind: Secret\nmetadata: {name: a}\n---\n", "a key is there twice"},
		"a long object":      {settingsText + "a: " + long + "\n---\n", "more than 8388608 bytes"},
		"a long line":        {long + long, "more than 8388608 bytes"},
		"a status of texts":  {settingsText + strings.Replace(exported("a", "", "a", ""), "resources: []", "resources: hello", 1), "the status of the Application a"},
		"a method":           {strings.Replace(settingsText, "a: b", "application.resourceTrackingMethod: magic", 1), `"magic"`},
		"exclusions":         {strings.Replace(settingsText, "a: b", "resource.exclusions: '{'", 1), "resource.exclusions"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := ReadExport(strings.NewReader(test.text), "")
			if err == nil || s != nil || !strings.Contains(err.Error(), test.want) || len(err.Error()) > 400 {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

func TestAnExportOfManyApplicationsIsReadInOneGo(t *testing.T) {
	var text bytes.Buffer
	text.WriteString(settingsText)
	const many = 1000
	for n := range many {
		text.WriteString(exported(fmt.Sprintf("app-%d", n), "root", "env/app", resource1("apps", "StatefulSet", fmt.Sprintf("db-%d", n), "")))
	}
	begin := time.Now()
	s := readExport(t, text.String())
	if got := len(s.Objects(argo.Server)); got != 2*many {
		t.Errorf("there are %d objects, want %d", got, 2*many)
	}
	t.Logf("%d bytes in %v", text.Cap(), time.Since(begin))
}

func TestAMarkerForFilesDoesNotHideAnObject(t *testing.T) {
	text := settingsText + strings.Replace(exported("root", "", "env/argocd", ""), "metadata: {", "metadata: {annotations: {a: '"+object.SkipMarker+"'}, ", 1)
	if s := readExport(t, text); len(s.Objects(argo.Server)) != 1 {
		t.Errorf("the objects are %v", s.Objects(argo.Server))
	}
}

func FuzzReadExport(f *testing.F) {
	f.Add([]byte(export1("")))
	f.Add([]byte(export1(", requiresDeletionConfirmation: true, hook: true")))
	f.Add([]byte(settingsText + "apiVersion: v1\nkind: Secret\ndata: {name: YQ==, server: YQ==}\n" +
		"metadata: {name: s, labels: {argocd.argoproj.io/secret-type: cluster}}\n---\n"))
	f.Add([]byte(strings.ReplaceAll(export1(""), "\n", "\r\n")))
	f.Add([]byte("---\n---\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ReadExport(bytes.NewReader(data), "")
		if err != nil {
			if s != nil {
				t.Error("there is an error and a state")
			}
			return
		}
		for _, cluster := range s.Clusters() {
			seen := make(map[object.Key]bool)
			for _, o := range s.Objects(cluster) {
				if o.Key.Kind == "Secret" && o.Body != nil || seen[o.Key] {
					t.Errorf("%s is there again, or has a body", o.Key)
				}
				seen[o.Key] = true
			}
		}
		trimmed := bytes.TrimRight(data, "\r\n\t ")
		if !bytes.HasSuffix(trimmed, []byte("---")) {
			t.Errorf("%q is taken for whole", data)
		}
	})
}
