package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// fixable is a small repository that is right: two apps, a project for both, and an app of apps.
func fixable() repository {
	r := repository{}
	r.application("bootstrap", "root", "root", "argocd", "argocd", "in-cluster", "")
	for _, app := range []string{"app01", "app02"} {
		r.application("argocd", app, app, app, app, "in-cluster", "")
		r.namespace(app, app)
		r.database(app, app, app, app+"-db", "")
		r.object(app, "v1", "ConfigMap", app, app, "c", "", "data:\n  a: b\n")
		r.object(app, "storage.k8s.io/v1", "StorageClass", "", "", app, "", "provisioner: disks.example.org\nreclaimPolicy: Delete\n")
	}
	return r
}

// defects are what trees are made wrong by.
var defects = map[string]func(repository, *rand.Rand){
	"an Application twice, with another folder": func(r repository, by *rand.Rand) {
		text := r["argocd/argoproj.io.v1alpha1.Application-argocd.app01.yaml"]
		r[oneOf(by, "argocd", "elsewhere", "bootstrap")+"/"+name(by)] = strings.Replace(text, "path: app01", "path: app02", 1)
	},
	"a project twice": func(r repository, by *rand.Rand) {
		text := r["argocd/argoproj.io.v1alpha1.AppProject-argocd.app01.yaml"]
		r["argocd/"+name(by)] = strings.Replace(text, "namespace: 'app01'", "namespace: 'other'", 1)
	},
	"an object twice": func(r repository, by *rand.Rand) {
		for range 1 + by.IntN(2) {
			r["app01/"+name(by)] = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\n" + oneOf(by, "", "  namespace: app01\n") + "data:\n  a: " + name(by) + "\n"
		}
	},
	"an object under two groups": func(r repository, by *rand.Rand) {
		for _, version := range []string{"extensions/v1beta1", "networking.k8s.io/v1"} {
			r["app01/"+name(by)] = "apiVersion: " + version + "\nkind: Ingress\nmetadata:\n  name: i\n  namespace: app01\n"
		}
	},
	"two versions in one file": func(r repository, by *rand.Rand) {
		text := "kind: HorizontalPodAutoscaler\nmetadata:\n  name: h\n  namespace: app01\n"
		r["app01/"+name(by)] = "apiVersion: autoscaling/v2\n" + text + "spec: {a: 1}\n---\napiVersion: autoscaling/v1\n" + text + "spec: {a: 2}\n"
	},
	"no protection": func(r repository, by *rand.Rand) {
		for _, p := range r.paths() {
			if by.IntN(2) == 0 {
				r[p] = strings.Replace(r[p], kept, "", 1)
			}
		}
	},
	"other names": func(r repository, by *rand.Rand) {
		for _, p := range r.paths() {
			if by.IntN(3) == 0 {
				r[filepath.Dir(p)+"/"+name(by)], r[p] = r[p], ""
			}
		}
	},
	"one file of many objects": func(r repository, by *rand.Rand) {
		folder, text := oneOf(by, "app01", "app02", "argocd"), ""
		for _, p := range r.paths() {
			if strings.HasPrefix(p, folder+"/") && by.IntN(2) == 0 {
				text, r[p] = text+"---\n"+r[p], ""
			}
		}
		r[folder+"/"+name(by)] = text
	},
	"what is replaced by force": func(r repository, by *rand.Rand) {
		for _, p := range r.paths() {
			if strings.Contains(p, "StatefulSet-") {
				r[p] = strings.Replace(r[p], "Prune=false,Delete=false", oneOf(by, "Replace=true,Force=true", "Force=true"), 1)
			}
		}
	},
	"an overlay of a file": func(r repository, by *rand.Rand) {
		file := name(by)
		r["app02/"+file] = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata:\n  name: p\n  namespace: app02\n"
		r["overlay/kustomization.yaml"] = "resources: [../app02/" + file + "]\nnamePrefix: o-\n"
		r.application("argocd", "overlay", "overlay", "overlay", "app02", "in-cluster", "")
	},
	"a link to a file": func(r repository, by *rand.Rand) {
		file := name(by)
		r["app02/"+file] = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: linked\n"
		r["linked/v1.ConfigMap-linked.linked.yaml"] = "-> ../app02/" + file
		r.application("argocd", "linked", "linked", "linked", "linked", "in-cluster", "")
	},
	"a set that reads files": func(r repository, by *rand.Rand) {
		file := name(by)
		r["app02/"+file] = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: of-a-set\n  namespace: app02\n"
		r.object("argocd", "argoproj.io/v1alpha1", "ApplicationSet", "argocd", "", "files", confirmed, "spec:\n  goTemplate: true\n  generators:\n"+
			"  - git:\n      repoURL: "+origin+"\n      revision: main\n      files:\n      - path: app02/"+file+"\n  template:\n    metadata:\n"+
			"      name: 'made-{{ .metadata.name }}'\n    spec:\n      project: app02\n      destination:\n        name: in-cluster\n        namespace: app02\n"+
			"      source:\n        repoURL: "+origin+"\n        targetRevision: main\n        path: app01\n")
	},
}

func oneOf(by *rand.Rand, of ...string) string { return of[by.IntN(len(of))] }

// name is one of a file, which sorts before or after those that are there.
func name(by *rand.Rand) string {
	return fmt.Sprintf("%c%d.yaml", 'a'+rune(by.IntN(26)), by.IntN(1000))
}

func (r repository) paths() []string {
	maps.DeleteFunc(r, func(_, text string) bool { return text == "" })
	return slices.Sorted(maps.Keys(r))
}

// onDisk writes a repository into a folder; texts that begin with "-> " are links.
func (r repository) onDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, p := range r.paths() {
		file := filepath.Join(dir, filepath.FromSlash(p))
		err := os.MkdirAll(filepath.Dir(file), 0o755)
		if target, link := strings.CutPrefix(r[p], "-> "); err == nil && link {
			err = os.Symlink(target, file)
		} else if err == nil {
			err = os.WriteFile(file, []byte(r[p]), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// applied says of each Application what it applies: all definitions of each object in their order, without what check --fix writes into them.
func applied(t *testing.T, i *inventory.Inventory) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	say := func(who string, o inventory.Origin, source int) {
		body, err := i.Body(o)
		if err != nil {
			t.Fatal(err)
		}
		all[who] = append(all[who], fmt.Sprint(source, unmended(t, body)))
	}
	for _, a := range i.Applications {
		say(a.Key().String(), a.Origin, 0)
		all[a.Key().String()] = append(all[a.Key().String()], fmt.Sprint(a.Spec.AllSources(), a.Broken, len(a.Unanalysed)))
		for _, target := range a.Targets {
			say(a.Key().String()+" "+i.Scopes.Normalise(target.Key.Canonical(), "").String(), target.Origin, target.Source)
		}
	}
	for _, p := range i.Projects {
		say("project "+p.Metadata.Name, p.Origin, 0)
	}
	for _, s := range i.Sets {
		say("set "+s.Metadata.Name, s.Origin, 0)
	}
	return all
}

// unmended is an object without the fields that check --fix writes.
func unmended(t *testing.T, body map[string]any) string {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	var o map[string]any
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	delete(o, "reclaimPolicy")
	withoutOptions(o["spec"])
	if meta, ok := o["metadata"].(map[string]any); ok {
		delete(meta, "annotations")
	}
	text, _ = json.Marshal(o)
	return string(text)
}

func loaded(t *testing.T, dir string) *inventory.Inventory {
	t.Helper()
	folder, err := tree.Folder(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = folder.Close() })
	i, err := inventory.Load(t.Context(), folder, inventory.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// fixed runs check --fix on a copy of a folder, and returns the folder that it made and how many changes it says that it made.
func fixed(t *testing.T, dir string) (string, int) {
	t.Helper()
	after := filepath.Join(t.TempDir(), "after")
	if out, err := exec.Command("cp", "-a", dir, after).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	code, out, errs := command(t, "check", "--fix", "-o", "json", after)
	var r struct{ Fixed []string }
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("it ends with %d: %v: %s", code, err, errs)
	}
	return after, len(r.Fixed)
}

// TestWhatIsFixedDeletesNothingAndChangesNoDefinitionThatCounts holds for trees that several of the defects make wrong: going from the tree to
// what check --fix makes of it deletes nothing, and each Application applies the same objects in the same order, but for the mended fields.
func TestWhatIsFixedDeletesNothingAndChangesNoDefinitionThatCounts(t *testing.T) {
	names := slices.Sorted(maps.Keys(defects))
	mended := 0
	for seed := range uint64(60) {
		by := rand.New(rand.NewPCG(seed, 1))
		r := fixable()
		chosen := []string{names[int(seed)%len(names)]}
		for range by.IntN(4) {
			chosen = append(chosen, names[by.IntN(len(names))])
		}
		for _, defect := range chosen {
			defects[defect](r, by)
		}
		dir := r.onDisk(t)
		after, n := fixed(t, dir)
		mended += n
		was, is := loaded(t, dir), loaded(t, after)
		if lost := lostIn(plan.Between(was, is, plan.Options{})); len(lost) > 0 {
			t.Errorf("seed %d, %q: the fix does this: %q", seed, chosen, lost)
		}
		if a, b := applied(t, was), applied(t, is); !maps.EqualFunc(a, b, slices.Equal) {
			for _, who := range slices.Sorted(maps.Keys(a)) {
				if !slices.Equal(a[who], b[who]) {
					t.Errorf("seed %d, %q: %s was\n%q\nand is\n%q", seed, chosen, who, a[who], b[who])
				}
			}
		}
	}
	if mended < 100 {
		t.Errorf("only %d defects were mended in all", mended)
	}
}

// lostIn lists what a plan has beside updates, and hooks that run again.
func lostIn(p *plan.Plan) []string {
	var lost []string
	for _, c := range p.Changes {
		if c.Added || c.Fate != plan.Untouched || len(c.Repointed)+len(c.Created) > 0 {
			lost = append(lost, fmt.Sprintf("%s: %s %v %v", c.Application, c.Fate, c.Repointed, c.Created))
		}
		for _, e := range c.Effects {
			if !e.Hook {
				lost = append(lost, fmt.Sprintf("%s: %s is %s: %s", c.Application, e.Key, e.Fate, e.Why))
			}
		}
	}
	return lost
}

// TestAFileIsNotMovedWhereTheOrderOfFilesDecides has the two trees in which a new name made the other definition the one that counts.
func TestAFileIsNotMovedWhereTheOrderOfFilesDecides(t *testing.T) {
	for what, c := range map[string]struct{ own, other string }{
		"an Application": {"argocd/argoproj.io.v1alpha1.Application-argocd.app01.yaml", "argocd/aaa.yaml"},
		"an object":      {"app01/v1.ConfigMap-app01.c.yaml", "app01/aa.yaml"},
	} {
		t.Run(what, func(t *testing.T) {
			r := fixable()
			r[c.other] = strings.NewReplacer("path: app01", "path: app02", "a: b", "a: c").Replace(r[c.own])
			r[filepath.Dir(c.own)+"/app01.yaml"], r[c.own] = r[c.own], ""
			dir := r.onDisk(t)
			after, _ := fixed(t, dir)
			for _, p := range []string{c.other, filepath.Dir(c.own) + "/app01.yaml"} {
				if _, err := os.Stat(filepath.Join(after, p)); err != nil {
					t.Errorf("%s was moved: %v", p, err)
				}
			}
		})
	}
}

// withoutOptions takes the options of a sync out of an Application, and out of what a set makes.
func withoutOptions(spec any) {
	m, _ := spec.(map[string]any)
	if template, ok := m["template"].(map[string]any); ok {
		withoutOptions(template["spec"])
	}
	policy, _ := m["syncPolicy"].(map[string]any)
	if delete(policy, "syncOptions"); len(policy) == 0 {
		delete(m, "syncPolicy")
	}
}
