package plan_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
	"github.com/holdfast-telemetry/holdfast/guard/tree/treetest"
)

// files are texts by their paths.
type files map[string]string

// and returns the files with others; an empty text takes one away.
func (f files) and(more files) files {
	all := maps.Clone(f)
	maps.Copy(all, more)
	maps.DeleteFunc(all, func(_, text string) bool { return text == "" })
	return all
}

func inventoryOf(t *testing.T, f files) *inventory.Inventory {
	t.Helper()
	folder := treetest.Folder(t, f)
	i, err := inventory.Load(t.Context(), folder, inventory.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// app is an Application in the article's shape.
type app struct {
	name, path, namespace, project string
	options                        string // of the sync
	automated                      string
	finalizers                     string
	annotations                    string
}

func (a app) String() string {
	or := func(s, other string) string {
		if s == "" {
			return other
		}
		return s
	}
	return fmt.Sprintf(`apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: %s
  namespace: argocd
  finalizers: %s
  annotations: %s
spec:
  project: %s
  source: {repoURL: "https://example.org/infra.git", targetRevision: main, path: %s}
  destination: {server: "https://kubernetes.default.svc", namespace: %s}
  syncPolicy:
    automated: %s
    syncOptions: [CreateNamespace=true%s]
`, a.name, or(a.finalizers, "[resources-finalizer.argocd.argoproj.io]"), or(a.annotations, "{}"), or(a.project, "app01-cluster01"), a.path, or(a.namespace, "app01"),
		or(a.automated, "{prune: true, selfHeal: true}"), a.options)
}

// project permits namespaces.
func project(name string, namespaces ...string) string {
	var destinations []string
	for _, n := range namespaces {
		destinations = append(destinations, fmt.Sprintf("{server: '*', namespace: %q}", n))
	}
	return fmt.Sprintf("apiVersion: argoproj.io/v1alpha1\nkind: AppProject\nmetadata: {name: %s, namespace: argocd}\nspec:\n  sourceRepos: ['*']\n  clusterResourceWhitelist: [{group: '*', kind: '*'}]\n  destinations: [%s]\n", name, strings.Join(destinations, ", "))
}

// objects are the four kinds of an app, the StatefulSet and the claim with an annotation.
func objects(name, options string) string { return objectsIn(name, name, options, "") }

func objectsIn(name, namespace, stateful, config string) string {
	annotated := func(options string) string {
		if options == "" {
			return ""
		}
		return fmt.Sprintf(", annotations: {argocd.argoproj.io/sync-options: %q}", options)
	}
	return fmt.Sprintf(`apiVersion: apps/v1
kind: StatefulSet
metadata: {name: %[1]s-db, namespace: %[2]s%[3]s}
spec: {replicas: 2, volumeClaimTemplates: [{metadata: {name: data}}]}
---
apiVersion: v1
kind: Service
metadata: {name: %[1]s-db, namespace: %[2]s}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: %[1]s-config, namespace: %[2]s%[4]s}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: %[1]s-shared, namespace: %[2]s%[3]s}
`, name, namespace, annotated(stateful), annotated(config))
}

const (
	rootFile    = "root.yaml"
	appFile     = "env/cluster01/argocd/yml/apps.yaml"
	projectFile = "env/cluster01/argocd/yml/a-project.yaml"
	path01      = "env/cluster01/app01/yml"
	path02      = "env/cluster01/app02/yml"
)

var app01 = app{name: "app01-cluster01", path: path01}

// base is the setting of all cases: a root, app01 and its objects, and app02's objects that nobody reads yet.
func base() files {
	return files{
		rootFile:              app{name: "root", path: "env/cluster01/argocd/yml", namespace: "argocd", project: "default", finalizers: "[]"}.String(),
		projectFile:           project("app01-cluster01", "app01", "app02"),
		appFile:               app01.String(),
		path01 + "/all.yaml":  objects("app01", ""),
		path02 + "/all.yaml":  objectsIn("app02", "app01", "", ""),
		path02 + "2/all.yaml": objects("app02", ""),
	}
}

// fates are the fates of app01's objects by their kinds.
func fates(t *testing.T, before, after files) (map[string]plan.Fate, *plan.Plan) {
	t.Helper()
	p := plan.Between(inventoryOf(t, before), inventoryOf(t, after), plan.Options{})
	got := map[string]plan.Fate{"StatefulSet": plan.Untouched, "Service": plan.Untouched, "ConfigMap": plan.Untouched, "PersistentVolumeClaim": plan.Untouched}
	for _, c := range p.Changes {
		for _, e := range c.Effects {
			switch {
			case e.Implied:
				got["claims"] = e.Fate
			case e.Key.Kind == "Namespace" || e.Key.Namespace == "app01" && strings.HasPrefix(e.Key.Name, "app01"):
				got[e.Key.Kind] = max(got[e.Key.Kind], e.Fate)
			}
		}
	}
	return got, p
}

// all is one fate for all four.
func all(f plan.Fate) map[string]plan.Fate {
	return map[string]plan.Fate{"StatefulSet": f, "Service": f, "ConfigMap": f, "PersistentVolumeClaim": f}
}

func with(m map[string]plan.Fate, kind string, f plan.Fate) map[string]plan.Fate {
	m = maps.Clone(m)
	m[kind] = f
	return m
}

// TestWhatArgoCDDidIsWhatThePlanSays has the cases that a real Argo CD 3.2.6 was seen to decide, by the numbers in docs/guard/argocd.md.
func TestWhatArgoCDDidIsWhatThePlanSays(t *testing.T) {
	wrong := app{name: "app01-cluster01", path: path02}                            // app02's, under app01's name
	wrong2 := app{name: "app01-cluster01", path: path02 + "2", namespace: "app02"} // and into its own namespace
	namespace := func(options string) string {
		return fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: app01, annotations: {argocd.argoproj.io/sync-options: %q}}\n", options)
	}
	protected := base().and(files{path01 + "/all.yaml": objectsIn("app01", "app01", "Prune=false", "")})
	confirmed := base().and(files{path01 + "/all.yaml": strings.Replace(objects("app01", ""), "app01-db, namespace: app01}", "app01-db, namespace: app01, annotations: {argocd.argoproj.io/sync-options: Prune=confirm}}", 1)})
	own := app{name: "app02-cluster01", path: path02 + "2", namespace: "app02"}
	lives := base().and(files{"env/cluster01/argocd/yml/b.yaml": own.String()})
	set := func(elements string, preserve bool) files {
		return setWith(fmt.Sprintf("preserveResourcesOnDeletion: %v", preserve), elements)
	}
	narrow := project("app01-cluster01", "app02")
	config := strings.Split(objects("app01", ""), "---\n")[2]
	config2 := strings.Replace(config, "app01-config", "other", 1)
	annotated := func(annotation string) files {
		return base().and(files{path01 + "/all.yaml": strings.ReplaceAll(objects("app01", ""), "namespace: app01}", "namespace: app01, annotations: {"+annotation+"}}")})
	}
	deletion := base().and(files{path01 + "/all.yaml": objectsIn("app01", "app01", "Delete=confirm", "")})
	extraneous := annotated("argocd.argoproj.io/compare-options: IgnoreExtraneous")
	forced := base().and(files{path01 + "/all.yaml": strings.Replace(objects("app01", ""), "app01}", "app01, annotations: {argocd.argoproj.io/sync-options: 'Replace=true,Force=true'}}", 1)})
	only := func(f files) files {
		return f.and(files{appFile: app{name: app01.name, path: path01, options: ", ApplyOutOfSyncOnly=true"}.String()})
	}
	for _, c := range []struct {
		name         string
		before, head files
		want         map[string]plan.Fate
	}{
		{"1 second document with app01's name", base(), base().and(files{appFile: app01.String() + "---\n" + wrong.String()}), all(plan.Deleted)},
		{"1 in a second file", base(), base().and(files{"env/cluster01/argocd/yml/z.yaml": wrong.String()}), all(plan.Deleted)},
		{"2 into another namespace", base(), base().and(files{appFile: app01.String() + "---\n" + wrong2.String()}), all(plan.Deleted)},
		{"3 with a second project", base(), base().and(files{appFile: app01.String() + "---\n" + wrong2.String(), projectFile: base()[projectFile] + "---\n" + narrow}), all(plan.AtRisk)},
		{"4 the project does not permit it", base().and(files{projectFile: project("app01-cluster01", "app01")}), base().and(files{projectFile: project("app01-cluster01", "app01"), appFile: app01.String() + "---\n" + wrong2.String()}), all(plan.Kept)},
		{"5 Prune=false was live", protected, protected.and(files{appFile: app01.String() + "---\n" + wrong.String()}), with(with(all(plan.Deleted), "StatefulSet", plan.Kept), "PersistentVolumeClaim", plan.Kept)},
		{"6 FailOnSharedResource", base(), base().and(files{appFile: app01.String() + "---\n" + app{name: wrong.name, path: wrong.path, options: ", FailOnSharedResource=true"}.String()}), all(plan.Deleted)},
		{"7 the Namespace goes", protected.and(files{path01 + "/ns.yaml": namespace("")}), protected.and(files{path01 + "/ns.yaml": namespace(""), appFile: app01.String() + "---\n" + wrong.String()}), with(with(all(plan.Deleted), "Namespace", plan.Deleted), "claims", plan.Deleted)},
		{"8 nothing at the new path", base(), base().and(files{appFile: app{name: "app01-cluster01", path: "env/cluster01/empty/yml"}.String(), "env/cluster01/empty/yml/readme.md": "x"}), all(plan.Kept)},
		{"9 Prune=confirm was live", confirmed, confirmed.and(files{appFile: app01.String() + "---\n" + wrong.String()}), all(plan.Held)},
		{"11 the Namespace stays", base().and(files{path01 + "/ns.yaml": namespace("Prune=false")}), base().and(files{path01 + "/ns.yaml": namespace("Prune=false"), appFile: app01.String() + "---\n" + wrong2.String()}), with(all(plan.Deleted), "Namespace", plan.Kept)},
		{"12 the Application leaves git", base().and(files{path01 + "/all.yaml": objectsIn("app01", "app01", "Prune=false", "Delete=false")}), base().and(files{path01 + "/all.yaml": objectsIn("app01", "app01", "Prune=false", "Delete=false"), appFile: ""}), with(all(plan.Deleted), "ConfigMap", plan.Orphaned)},
		{"13 the Application has another name", base(), base().and(files{appFile: app{name: "app01-cluster1", path: path01}.String()}), all(plan.Recreated)},
		{"14 all but one object leave", base(), base().and(files{path01 + "/all.yaml": strings.Split(objects("app01", ""), "---\n")[2]}), with(all(plan.Deleted), "ConfigMap", plan.Untouched)},
		{"15 the file has another ending", base(), base().and(files{path01 + "/all.yaml": "", path01 + "/all.bak": objects("app01", "")}), all(plan.Kept)},
		{"16 no finalizer", base().and(files{appFile: app{name: app01.name, path: path01, finalizers: "[]"}.String()}), base().and(files{appFile: ""}), all(plan.Orphaned)},
		{"17 the Application is protected", base().and(files{appFile: app{name: app01.name, path: path01, annotations: "{argocd.argoproj.io/sync-options: Prune=false}"}.String()}), base().and(files{appFile: ""}), all(plan.Untouched)},
		{"18 no automated pruning", base().and(files{appFile: app{name: app01.name, path: path01, automated: "{selfHeal: true}"}.String()}), base().and(files{appFile: app01.String() + "---\n" + app{name: app01.name, path: path02, automated: "{selfHeal: true}"}.String()}), all(plan.Kept)},
		{"19 the wrong document first", base(), base().and(files{appFile: wrong.String() + "---\n" + app01.String()}), all(plan.Untouched)},
		{"20 nothing there, and allowEmpty", base(), base().and(files{"empty/README.md": "x", appFile: app{name: app01.name, path: "empty", automated: "{prune: true, allowEmpty: true}"}.String()}), all(plan.Deleted)},
		{"20 there is no such folder", base(), base().and(files{appFile: app{name: "app01-cluster01", path: "nothing", automated: "{prune: true, allowEmpty: true}"}.String()}), all(plan.Kept)},
		{"21 a document does not parse", base(), base().and(files{path01 + "/all.yaml": objects("app01", "") + "---\napiVersion: v1\nkind: A\nmetadata:\n name: a\n  b: c\n"}), all(plan.Untouched)},
		{"22 app02 lives", lives, lives.and(files{appFile: app01.String() + "---\n" + wrong2.String()}), all(plan.Deleted)},
		{"23 app02 lives, FailOnSharedResource", lives, lives.and(files{appFile: app01.String() + "---\n" + app{name: wrong2.name, path: wrong2.path, namespace: "app02", options: ", FailOnSharedResource=true"}.String()}), all(plan.Kept)},
		{"24 the project is narrowed with it", base(), base().and(files{appFile: "", projectFile: narrow}), all(plan.AtRisk)},
		{"25 the project was narrowed before", base().and(files{projectFile: narrow}), base().and(files{appFile: "", projectFile: narrow}), all(plan.Orphaned)},
		{"26 an element leaves a set", base().and(set("{app: app01}, {app: app02}", false)), base().and(set("{app: app02}", false)), all(plan.Deleted)},
		{"27 the set preserves", base().and(set("{app: app01}, {app: app02}", true)), base().and(set("{app: app02}", true)), all(plan.Orphaned)},
		{"a02 Delete=confirm was live", deletion, deletion.and(files{appFile: ""}), all(plan.Held)},
		{"a14 automation is switched off with it", base(), base().and(files{appFile: app{name: app01.name, path: path01, automated: "{enabled: false, prune: true}"}.String(), path01 + "/all.yaml": config}), with(all(plan.AtRisk), "ConfigMap", plan.Untouched)},
		{"a17 the project goes with the Application", base(), base().and(files{appFile: "", projectFile: project("other", "app02")}), all(plan.AtRisk)},
		{"d14 IgnoreExtraneous, and nothing else changes", extraneous, extraneous.and(files{path01 + "/all.yaml": strings.Split(extraneous[path01+"/all.yaml"], "---\n")[2]}), with(all(plan.Kept), "ConfigMap", plan.Untouched)},
		{"d15 IgnoreExtraneous, and another object changes", extraneous, extraneous.and(files{path01 + "/all.yaml": strings.Replace(config, "metadata", "data: {a: b}\nmetadata", 1)}), with(all(plan.Deleted), "ConfigMap", plan.Untouched)},
		{"e03 another object of what is replaced by force changes", forced, forced.and(files{path01 + "/all.yaml": forced[path01+"/all.yaml"] + "---\n" + config2}), with(all(plan.Untouched), "StatefulSet", plan.Recreated)},
		{"e03 and only what differs is applied", only(forced), only(forced).and(files{path01 + "/all.yaml": forced[path01+"/all.yaml"] + "---\n" + config2}), all(plan.Untouched)},
		{"e04 an Application without finalizer is renamed", base().and(files{appFile: app{name: app01.name, path: path01, finalizers: "[]"}.String()}), base().and(files{appFile: app{name: "other", path: path01, finalizers: "[]"}.String()}), all(plan.Kept)},
		{"e06 the folder moves, and one file stays", base().and(files{path01 + "/b.yaml": config2}), base().and(files{path01 + "/all.yaml": "", path01 + "/b.yaml": config2, "new/all.yaml": objects("app01", ""), appFile: app{name: app01.name, path: "new"}.String()}), all(plan.AtRisk)},
		{"e07 the folder moves whole", base(), base().and(files{path01 + "/all.yaml": "", "new/all.yaml": objects("app01", ""), appFile: app{name: app01.name, path: "new"}.String()}), all(plan.Untouched)},
		{"e12 what a set made is written out", base().and(set("{app: app01}, {app: app02}", false)), base().and(set("{app: app02}", false)).and(files{"env/cluster01/argocd/yml/b.yaml": app01.String()}), all(plan.Recreated)},
		{"e13 the set goes too", base().and(set("{app: app01}", false)), base(), all(plan.Recreated)},
		{"the set goes, and its Application is written out with less", base().and(set("{app: app01}", false)), base().and(files{path01 + "/all.yaml": config}), with(all(plan.Deleted), "ConfigMap", plan.Recreated)},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, p := fates(t, c.before, c.head)
			if !maps.Equal(got, c.want) {
				t.Errorf("the plan says %v, want %v\n%+v", got, c.want, p.Changes)
			}
		})
	}
}

func TestNothingChangesWhereNothingChanged(t *testing.T) {
	if p := plan.Between(inventoryOf(t, base()), inventoryOf(t, base()), plan.Options{}); len(p.Changes) != 0 {
		t.Errorf("%+v", p.Changes)
	}
}

// TestTwoDefinitionsOfAnApplicationAreNewsOnlyWhereTheChangeMadeThem has two files that no Application reads define one Application, with
// different folders.
func TestTwoDefinitionsOfAnApplicationAreNewsOnlyWhereTheChangeMadeThem(t *testing.T) {
	right, wrong := app01.String(), app{name: app01.name, path: path02}.String()
	two := base().and(files{rootFile: "", "apps/a.yaml": wrong, "apps/b.yaml": right, appFile: ""})
	for name, c := range map[string]struct {
		change files
		lost   bool
	}{
		"nothing changes":               {nil, false},
		"both are edited":               {files{"apps/a.yaml": "# a\n" + wrong, "apps/b.yaml": "# b\n" + right}, false},
		"the first goes":                {files{"apps/a.yaml": ""}, false},
		"the last goes":                 {files{"apps/b.yaml": ""}, true},
		"the first becomes the last":    {files{"apps/a.yaml": "", "apps/c.yaml": wrong}, true},
		"the two change their places":   {files{"apps/a.yaml": right, "apps/b.yaml": wrong}, true},
		"a third comes after them":      {files{"apps/c.yaml": wrong}, true},
		"the last one reads from afar":  {files{"apps/b.yaml": app{name: app01.name, path: path02 + "2"}.String()}, true},
		"the first one reads elsewhere": {files{"apps/a.yaml": app{name: app01.name, path: path02 + "2"}.String()}, true},
	} {
		t.Run(name, func(t *testing.T) {
			_, p := fates(t, two, two.and(c.change))
			lost := false
			for _, change := range p.Changes {
				for _, e := range change.Effects {
					lost = lost || e.Fate.Lost()
				}
			}
			if lost != c.lost {
				t.Errorf("that objects are lost is %v: %+v", lost, p.Changes)
			}
			if c.change == nil && len(p.Changes) > 0 {
				t.Errorf("changes are %+v", p.Changes)
			}
		})
	}
}

// TestASyncRunsHooksAgain has what no limit counts: hooks are deleted and made again by every sync.
func TestASyncRunsHooksAgain(t *testing.T) {
	hook := func(policy string) string {
		return "---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: app01-migrate, namespace: app01, annotations: {argocd.argoproj.io/hook: PreSync" + policy + "}}\n"
	}
	succeeded := ", argocd.argoproj.io/hook-delete-policy: HookSucceeded"
	objects := base()[path01+"/all.yaml"]
	changed := strings.Replace(objects, "replicas: 2", "replicas: 3", 1)
	for _, c := range []struct {
		name, before, after string
		head                files
		want                plan.Fate
	}{
		{"with every sync", objects + hook(""), changed + hook(""), nil, plan.Recreated},
		{"not without one", objects + hook(""), objects + hook(", a: b"), nil, plan.Untouched},
		{"not one that has gone", objects + hook(succeeded), changed + hook(succeeded), nil, plan.Untouched},
		{"and for the last time where it is to go then", objects + hook(""), changed + hook(succeeded), nil, plan.Deleted},
		{"and leaves those that leave git", objects + hook(""), changed, nil, plan.Untouched},
		{"but a cascade takes them", objects + hook(""), objects + hook(""), files{appFile: ""}, plan.Deleted},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, head := base().and(files{path01 + "/all.yaml": c.before}), base().and(files{path01 + "/all.yaml": c.after}).and(c.head)
			got, p := fates(t, before, head)
			if got["Job"] != c.want {
				t.Errorf("the hook is %s, want %s", got["Job"], c.want)
			}
			if c.want == plan.Untouched || c.head != nil {
				return
			}
			for _, f := range plan.Findings(p, inventoryOf(t, before), inventoryOf(t, head), plan.Thresholds{Objects: 1, Percent: 1}) {
				t.Errorf("finding %s: %s", f.Rule, f.Message)
			}
		})
	}
}

// TestAConfirmationHoldsWhatComesAfterIt has objects of three waves that leave git; those of later waves go first.
func TestAConfirmationHoldsWhatComesAfterIt(t *testing.T) {
	object := func(wave int, options string) string {
		return fmt.Sprintf("---\napiVersion: v1\nkind: Secret\nmetadata: {name: app01-%d, namespace: app01, annotations: {argocd.argoproj.io/sync-wave: '%d', argocd.argoproj.io/sync-options: '%s'}}\n", wave, wave, options)
	}
	for _, c := range []struct {
		options [3]string // of the waves -1, 0 and 5
		want    [3]plan.Fate
	}{
		{[3]string{"Prune=confirm", "", ""}, [3]plan.Fate{plan.Held, plan.Deleted, plan.Deleted}},
		{[3]string{"", "Prune=confirm", ""}, [3]plan.Fate{plan.Held, plan.Held, plan.Deleted}},
		{[3]string{"", "", "Prune=confirm"}, [3]plan.Fate{plan.Held, plan.Held, plan.Held}},
		{[3]string{"Prune=confirm", "PruneLast=true", ""}, [3]plan.Fate{plan.Held, plan.Held, plan.Deleted}},
		{[3]string{"Prune=confirm", "Prune=false", "Prune=confirm"}, [3]plan.Fate{plan.Held, plan.Kept, plan.Held}},
	} {
		all := base()[path01+"/all.yaml"]
		before := all + object(-1, c.options[0]) + object(0, c.options[1]) + object(5, c.options[2])
		p := plan.Between(inventoryOf(t, base().and(files{path01 + "/all.yaml": before})), inventoryOf(t, base()), plan.Options{})
		got := make(map[string]plan.Fate)
		for _, change := range p.Changes {
			for _, e := range change.Effects {
				got[e.Key.Name] = e.Fate
			}
		}
		for n, wave := range []string{"app01--1", "app01-0", "app01-5"} {
			if got[wave] != c.want[n] {
				t.Errorf("%q: %s is %s, want %s", c.options, wave, got[wave], c.want[n])
			}
		}
	}
}

// TestWhatIsNotKnownIsSaidAlsoWhereItLeaves has an Application whose chart is elsewhere: what goes with it is not known.
func TestWhatIsNotKnownIsSaidAlsoWhereItLeaves(t *testing.T) {
	remote := strings.Replace(app01.String(), "path: "+path01, "chart: db", 1)
	for name, head := range map[string]files{
		"it stays":  base().and(files{appFile: strings.Replace(remote, "main", "1.2.4", 1)}),
		"it goes":   base().and(files{appFile: ""}),
		"it is now": base(),
	} {
		before, after := inventoryOf(t, base().and(files{appFile: remote})), inventoryOf(t, head)
		p := plan.Between(before, after, plan.Options{})
		if len(p.Unanalysed) != 1 {
			t.Errorf("%s: not known is %q", name, p.Unanalysed)
		}
		found := false
		for _, f := range plan.Findings(p, before, after, plan.Thresholds{}) {
			found = found || f.Rule == "HG110" && f.Application == "app01-cluster01"
		}
		if !found {
			t.Errorf("%s: no finding says that something is not known", name)
		}
	}
}
