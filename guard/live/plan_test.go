package live

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
	"github.com/holdfast-telemetry/holdfast/guard/tree/treetest"
)

const (
	rootFile = "root.yaml"
	appFile  = "env/argocd/apps.yaml"
	path01   = "env/app01/all.yaml"
)

// application is an Application of the tests.
func application(name, path, namespace, more string) string {
	return fmt.Sprintf(`apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: %s, namespace: argocd, finalizers: [resources-finalizer.argocd.argoproj.io]}
spec:
  project: default
  source: {repoURL: "https://example.org/infra.git", targetRevision: main, path: %s}
  destination: {server: "https://kubernetes.default.svc", namespace: %s}
  syncPolicy: {automated: {prune: true%s}}
`, name, path, namespace, more)
}

// set is a StatefulSet, claim a claim and config a ConfigMap, with sync options.
func set(name, options string) string {
	return fmt.Sprintf("apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: %s, namespace: app01, annotations: {argocd.argoproj.io/sync-options: %q}}\n"+
		"spec: {replicas: 2, volumeClaimTemplates: [{metadata: {name: data}}]}\n---\n", name, options)
}

func config(name, options string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: app01, annotations: {argocd.argoproj.io/sync-options: %q}}\n---\n", name, options)
}

const namespaceOf01 = "apiVersion: v1\nkind: Namespace\nmetadata: {name: app01}\n---\n"

// tree is a repository: a root, and app01 with a StatefulSet and a ConfigMap.
func tree() map[string]string {
	return map[string]string{
		rootFile: application("root", "env/argocd", "argocd", ""), appFile: application("app01", "env/app01", "app01", ""),
		path01: set("db", "") + config("config", "") + config("more", ""),
	}
}

func with(files map[string]string, path, text string) map[string]string {
	files = maps.Clone(files)
	if files[path] = text; text == "" {
		delete(files, path)
	}
	return files
}

func inventoryOf(t *testing.T, files map[string]string) *inventory.Inventory {
	t.Helper()
	i, err := inventory.Load(t.Context(), treetest.Folder(t, files), inventory.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// synced is a State in which everything lives as a tree has it. Its root was applied by hand.
func synced(t *testing.T, files map[string]string, of settings) *State {
	t.Helper()
	of.namespace, of.label = "argocd", argo.InstanceLabel
	s := &State{settings: of, clusters: make(map[string]*contents), names: make(map[string]string)}
	c := s.cluster(argo.Server)
	c.all = true
	i := inventoryOf(t, files)
	for _, a := range i.Applications {
		if len(a.Parents) == 0 {
			s.lives(a.Key(), object.Key{}, a.Object)
		}
		for key, target := range a.Standing() {
			s.lives(key, a.Key(), target.Object)
		}
	}
	return s
}

// lives adds an object that belongs to an Application.
func (s *State) lives(key, application object.Key, o *object.Object) *plan.LiveObject {
	lives := &plan.LiveObject{Object: *o, Seen: true, UID: "uid of " + key.String()}
	lives.Key, lives.Line = key, 0
	lives.Annotations, lives.Labels = maps.Clone(o.Annotations), maps.Clone(o.Labels)
	if lives.Annotations == nil {
		lives.Annotations = make(map[string]string)
	}
	lives.Body = body(o.Body)
	s.belongs(lives, application)
	c := s.clusters[argo.Server]
	c.objects = append(c.objects, lives)
	return lives
}

// body copies a body.
func body(of map[string]any) map[string]any {
	if of == nil {
		return nil
	}
	kept, err := decoded(maps.Clone(of), nil)
	if err != nil {
		panic(err)
	}
	return kept
}

// belongs writes tracking data, and reads it.
func (s *State) belongs(o *plan.LiveObject, application object.Key) {
	if application.Name != "" {
		o.Annotations[argo.TrackingID] = fmt.Sprintf("%s:%s/%s:%s/%s", application.Name, o.Group, o.Key.Kind, o.Namespace, o.Name)
		o.Labels = map[string]string{argo.InstanceLabel: application.Name}
	}
	o.Application, o.Copied = s.settings.owner(o.Key, o.Annotations, o.Labels)
}

// find returns an object by "Kind name".
func (s *State) find(t *testing.T, text string) *plan.LiveObject {
	t.Helper()
	kind, name, _ := strings.Cut(text, " ")
	for _, o := range s.clusters[argo.Server].objects {
		if o.Key.Kind == kind && o.Name == name {
			return o
		}
	}
	t.Fatalf("there is no %s", text)
	return nil
}

// add adds an object of the namespace app01 that no Application owns.
func (s *State) add(group, kind, name string, owners ...*plan.LiveObject) *plan.LiveObject {
	o := s.lives(object.Key{Group: group, Kind: kind, Namespace: "app01", Name: name}, object.Key{}, &object.Object{})
	for _, owner := range owners {
		o.Owners = append(o.Owners, owner.UID)
	}
	return o
}

func app(name string) object.Key {
	return object.Key{Group: object.ArgoGroup, Kind: "Application", Namespace: "argocd", Name: name}
}

// between plans with what lives, and returns what becomes of objects, each as "Kind name", with the words that say why, and the notes.
func between(t *testing.T, base, head map[string]string, s *State) (fates map[string]string, p *plan.Plan) {
	t.Helper()
	s.sort()
	p = plan.Between(inventoryOf(t, base), inventoryOf(t, head), plan.Options{Live: s})
	fates = make(map[string]string)
	for _, c := range p.Changes {
		if c.Fate != plan.Untouched {
			fates["Application "+c.Application.Name+" itself"] = c.Fate.String()
		}
		for _, e := range c.Effects {
			fates[e.Key.Kind+" "+e.Key.Name] = fmt.Sprintf("%s: %s", e.Fate, e.Why)
		}
	}
	return fates, p
}

func notes(p *plan.Plan) string {
	var all []string
	for _, c := range p.Changes {
		all = append(all, c.Notes...)
	}
	return strings.Join(all, "\n")
}

// TestWhatLivesDecides has changes of git and of what lives beside git, and what becomes of objects: words that each fate begins with, and
// ends with. An object that is not named must not be told of.
func TestWhatLivesDecides(t *testing.T) {
	base := tree()
	manual := with(base, rootFile, strings.Replace(base[rootFile], "automated: {prune: true}", "automated: {prune: true, selfHeal: false}", 1))
	leaves := with(base, appFile, "apiVersion: argoproj.io/v1alpha1\nkind: AppProject\nmetadata: {name: other, namespace: argocd}\n")
	noSet := with(base, path01, config("config", "")+config("more", ""))
	protected := with(base, path01, set("db", "Prune=false")+config("config", "")+config("more", ""))
	spaced := with(base, path01, base[path01]+namespaceOf01)
	reworded := with(base, path01, set("db", "Delete=false")+config("config", "")+config("more", ""))
	unsynced := with(base, rootFile, strings.Replace(base[rootFile], "automated: {prune: true}", "automated: null", 1))
	for name, test := range map[string]struct {
		base, head map[string]string
		by         settings
		edit       func(*testing.T, *State)
		want       map[string][2]string
		notes      string
	}{
		"as git has it": {base: base, head: noSet, want: map[string][2]string{"StatefulSet db": {"deleted", "and prunes"}}},
		"the live object is still protected": {base: base, head: noSet, edit: func(t *testing.T, s *State) {
			s.find(t, "StatefulSet db").Annotations[argo.SyncOptions] = "Prune=false"
		}, want: map[string][2]string{"StatefulSet db": {"kept: the live object still has Prune=false, which git does not", "(by git alone: deleted)"}}},
		"both have the protection": {base: protected, head: noSet, want: map[string][2]string{"StatefulSet db": {"kept: the live object has Prune=false", "Prune=false"}}},
		"the protection of git has not come to the live object": {base: protected, head: noSet, edit: func(t *testing.T, s *State) {
			s.find(t, "StatefulSet db").Annotations[argo.SyncOptions] = ""
		}, want: map[string][2]string{"StatefulSet db": {"deleted", "the protection that git has is not on the live object (by git alone: kept)"}}},
		"the object does not live": {base: base, head: noSet, edit: func(t *testing.T, s *State) {
			s.remove(t, "StatefulSet db")
		}, want: map[string][2]string{"StatefulSet db": {"untouched: it does not live", "(by git alone: deleted)"}}},
		"another Application has stolen the object": {base: base, head: noSet, by: settings{byLabel: true}, edit: func(t *testing.T, s *State) {
			s.belongs(s.find(t, "StatefulSet db"), app("thief"))
		}, want: map[string][2]string{"StatefulSet db": {"untouched: the live object belongs to thief", "(by git alone: deleted)"}}},
		"the object lost its tracking data": {base: base, head: noSet, edit: func(t *testing.T, s *State) {
			o := s.find(t, "StatefulSet db")
			delete(o.Annotations, argo.TrackingID)
			s.belongs(o, object.Key{})
		}, want: map[string][2]string{"StatefulSet db": {"untouched: the live object has no tracking data", "(by git alone: deleted)"}}},
		"an object made by hand carries the label": {base: base, head: noSet, by: settings{byLabel: true}, edit: func(_ *testing.T, s *State) {
			s.belongs(s.add("", "Secret", "byhand"), app("app01"))
		}, want: map[string][2]string{"StatefulSet db": {"deleted", "prunes"}, "Secret byhand": {"deleted", "(by git alone: untouched)"}}},
		"a copy of the tracking data is not pruned": {base: base, head: noSet, edit: func(t *testing.T, s *State) {
			s.copies(t, "StatefulSet db", s.add("", "Secret", "copy"))
		}, want: map[string][2]string{"StatefulSet db": {"deleted", "prunes"}}},
		"a copy of the tracking data goes with the Application": {base: base, head: leaves, edit: func(t *testing.T, s *State) {
			s.copies(t, "StatefulSet db", s.add("", "Secret", "copy"))
		}, want: map[string][2]string{
			"StatefulSet db": {"deleted", "what it owns"}, "ConfigMap config": {"deleted", "what it owns"}, "ConfigMap more": {"deleted", "what it owns"},
			"Secret copy": {"deleted", "(by git alone: untouched)"}, "Application app01 itself": {"deleted", ""}, "Application app01": {"deleted", ""},
		}},
		"an object that belongs to another does not go by itself": {base: base, head: noSet, edit: func(t *testing.T, s *State) {
			s.find(t, "StatefulSet db").Owners = []string{"an operator"}
		}, want: map[string][2]string{"StatefulSet db": {"untouched: it belongs to another object", "(by git alone: deleted)"}}},
		"an object that lost its tracking data gets it again before its Application goes, or does not": {base: base, head: leaves, edit: func(t *testing.T, s *State) {
			o := s.find(t, "ConfigMap more")
			delete(o.Annotations, argo.TrackingID)
			s.belongs(o, object.Key{})
		}, want: map[string][2]string{
			"StatefulSet db": {"deleted", "what it owns"}, "ConfigMap config": {"deleted", "what it owns"}, "ConfigMap more": {"at risk", "(by git alone: deleted)"},
			"Application app01 itself": {"deleted", ""}, "Application app01": {"deleted", ""},
		}},
		"the protection that an object lost comes again before its Application goes, or does not": {
			base: with(base, path01, set("db", "Delete=false")+config("config", "")+config("more", "")),
			head: with(leaves, path01, set("db", "Delete=false")+config("config", "")+config("more", "")), edit: func(t *testing.T, s *State) {
				s.find(t, "StatefulSet db").Annotations[argo.SyncOptions] = ""
			}, want: map[string][2]string{
				"StatefulSet db": {"at risk", "(by git alone: orphaned)"}, "ConfigMap config": {"deleted", "what it owns"}, "ConfigMap more": {"deleted", "what it owns"},
				"Application app01 itself": {"deleted", ""}, "Application app01": {"deleted", ""},
			}},
		"the finalizer was taken off by hand": {base: base, head: leaves, edit: func(t *testing.T, s *State) {
			delete(s.find(t, "Application app01").Body["metadata"].(map[string]any), "finalizers")
		}, want: map[string][2]string{
			"StatefulSet db": {"orphaned", "(by git alone: deleted)"}, "ConfigMap config": {"orphaned", "(by git alone: deleted)"},
			"ConfigMap more":           {"orphaned", "(by git alone: deleted)"},
			"Application app01 itself": {"deleted", ""}, "Application app01": {"deleted", ""},
		}, notes: "the live Application is not as the base has it: finalizers"},
		"the Application was edited by hand, and nobody applies it": {base: unsynced, head: with(noSet, rootFile, unsynced[rootFile]), edit: func(t *testing.T, s *State) {
			s.find(t, "Application app01").Body["spec"].(map[string]any)["syncPolicy"] = map[string]any{}
		}, want: map[string][2]string{"StatefulSet db": {"kept: automated sync is off", "(by git alone: deleted)"}}, notes: "not as the base has it: syncPolicy"},
		"the Application was edited by hand, and its parent applies it": {base: manual, head: with(noSet, rootFile, manual[rootFile]), edit: func(t *testing.T, s *State) {
			s.find(t, "Application app01").Body["spec"].(map[string]any)["syncPolicy"] = map[string]any{}
		}, want: map[string][2]string{"StatefulSet db": {"deleted", "prunes"}}},
		"the Application leaves git, and no Application owns the live one": {base: base, head: leaves, edit: func(t *testing.T, s *State) {
			o := s.find(t, "Application app01")
			delete(o.Annotations, argo.TrackingID)
			s.belongs(o, object.Key{})
		}, want: map[string][2]string{
			"Application app01": {"untouched: the live object has no tracking data", ""}, "Application app01 itself": {"kept", ""},
			"StatefulSet db": {"untouched: its Application, as it lives", ""}, "ConfigMap config": {"untouched", ""}, "ConfigMap more": {"untouched", ""},
		}},
		"what is left over from before is not told of": {base: base, head: reworded, edit: func(_ *testing.T, s *State) {
			o := s.add("", "ConfigMap", "old")
			o.Annotations[argo.SyncOptions] = "Prune=false"
			s.belongs(o, app("app01"))
		}, want: map[string][2]string{}},
		"with a namespace goes what nobody owns": {base: spaced, head: base, edit: func(_ *testing.T, s *State) {
			s.add("", "Secret", "byhand")
			s.add("", "ConfigMap", "byhand")
			s.add("", "ConfigMap", "kube-root-ca.crt")
			s.add("", "Pod", "db-0", s.add("apps", "StatefulSet", "other"))
			s.bound("data-db-0", "pv-0", "Retain")
			s.bound("data-db-7", "pv-7", "Delete")
		}, want: map[string][2]string{
			"Namespace app01": {"deleted", "prunes"}, "StatefulSet db": {"recreated", ""}, "ConfigMap config": {"recreated", ""}, "ConfigMap more": {"recreated", ""},
			"StatefulSet other":               {"deleted: its namespace app01 is deleted, and no Application owns it", ""},
			"PersistentVolumeClaim data-db-0": {"deleted", "its volume pv-0 stays (Retain)"},
			"PersistentVolumeClaim data-db-7": {"deleted", "its volume pv-7 goes with it, and what is on it (Delete)"},
		}, notes: "with the namespace app01 go 2 more objects, which no Application owns"},
		"what an operator made goes with what it made it for": {base: base, head: noSet, edit: func(t *testing.T, s *State) {
			pods := s.add("example.org", "PodSet", "pods", s.find(t, "StatefulSet db"))
			s.add("", "PersistentVolumeClaim", "disk", pods)
			s.add("", "PersistentVolumeClaim", "held", pods, s.find(t, "ConfigMap config"))
		}, want: map[string][2]string{
			"StatefulSet db": {"deleted", "prunes"}, "PersistentVolumeClaim disk": {"deleted: it belongs to apps/StatefulSet app01/db, which goes", ""},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := synced(t, test.base, test.by)
			if test.edit != nil {
				test.edit(t, s)
			}
			got, p := between(t, test.base, test.head, s)
			for what, want := range test.want {
				if !strings.HasPrefix(got[what], want[0]) || !strings.HasSuffix(got[what], want[1]) {
					t.Errorf("%s: %q, want %q … %q", what, got[what], want[0], want[1])
				}
			}
			for what, is := range got {
				if _, ok := test.want[what]; !ok {
					t.Errorf("%s: %q, want nothing", what, is)
				}
			}
			if !strings.Contains(notes(p), test.notes) {
				t.Errorf("the notes are %q, want %q", notes(p), test.notes)
			}
			for _, c := range p.Changes {
				for _, e := range c.Effects {
					if e.Source != plan.FromLive {
						t.Errorf("%s is from %q", e.Key, e.Source)
					}
				}
			}
		})
	}
}

// remove takes an object away.
func (s *State) remove(t *testing.T, text string) {
	gone := s.find(t, text)
	c := s.clusters[argo.Server]
	c.objects = slices.DeleteFunc(c.objects, func(o *plan.LiveObject) bool { return o == gone })
}

// copies has an object carry the tracking data of another.
func (s *State) copies(t *testing.T, from string, to *plan.LiveObject) {
	to.Annotations[argo.TrackingID] = s.find(t, from).Annotations[argo.TrackingID]
	s.belongs(to, object.Key{})
}

// bound adds a claim that is bound to a volume.
func (s *State) bound(claim, volume, reclaim string) {
	s.add("", "PersistentVolumeClaim", claim).Body = map[string]any{"spec": map[string]any{"volumeName": volume}}
	pv := s.add("", "PersistentVolume", volume)
	pv.Namespace, pv.Body = "", map[string]any{"spec": map[string]any{"persistentVolumeReclaimPolicy": reclaim}}
}
