package plan_test

import (
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
)

const nobody = ", ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: nobody, uid: 11111111-1111-1111-1111-111111111111}]"

// edited is app01's definition with a text in the place of another.
func edited(from, to string) files {
	return files{appFile: strings.Replace(app01.String(), from, to, 1)}
}

// more is app01's definition with lines after it.
func more(definition files, lines string) files {
	return files{appFile: definition[appFile] + lines}
}

func TestAnotherRevisionIsARePointing(t *testing.T) {
	gitSet := func(revision string) files {
		set := setOf("sync")
		set[appFile] = strings.Replace(set[appFile], "[{list: {elements: []}}]", "[{git: {repoURL: 'https://example.org/infra.git', revision: "+revision+", directories: [{path: 'env/cluster01/app*'}]}}]", 1)
		set[appFile] = strings.ReplaceAll(set[appFile], "{{app}}", "{{path.basename}}")
		return set
	}
	hydrator := "  sourceHydrator: {drySource: {repoURL: 'https://example.org/infra.git', path: dry, targetRevision: main}, syncSource: {targetBranch: main, path: " + path01 + "}}\n"
	for _, c := range []struct {
		name         string
		before, head files
		says         string // empty where nothing may be said
	}{
		{"of an Application", base(), base().and(edited("main", "v1.0")), "revision: main -> v1.0"},
		{"of the root", base(), base().and(files{rootFile: strings.Replace(base()[rootFile], "main", "v1.0", 1)}), "revision: main -> v1.0"},
		{"of what a set generates", base().and(setOf("sync", app01Element)), base().and(files{appFile: strings.Replace(setOf("sync", app01Element)[appFile], "path: 'env", "targetRevision: v1.0, path: 'env", 1)}), "revision: HEAD -> v1.0"},
		{"of a generator", base().and(gitSet("main")), base().and(gitSet("v0.1")), "looks for what it generates in the revision v0.1 instead of main"},
		{"of a source that is hydrated now", base(), base().and(more(edited("", ""), hydrator)), "revision: main -> main (hydrated)"},
		{"HEAD written out", base().and(edited("targetRevision: main, ", "")), base().and(edited("main", "HEAD")), ""},
		{"of a chart that is elsewhere", base().and(edited("path: "+path01, "chart: db")), base().and(files{appFile: strings.Replace(edited("path: "+path01, "chart: db")[appFile], "main", "1.2", 1)}), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			judged(t, found(t, c.before, c.head)["HG102"], finding.Error, c.says)
		})
	}
	if got, _ := fates(t, base(), base().and(edited("main", "v1.0"))); got["StatefulSet"] != plan.Unknown {
		t.Errorf("the StatefulSet is %s", got["StatefulSet"])
	}
}

func TestAnOperationInGitIsDoneAtOnce(t *testing.T) {
	manual, config := automated("null"), files{path01 + "/all.yaml": strings.Split(objects("app01", ""), "---\n")[2]}
	elsewhere := "operation: {sync: {prune: true, source: {repoURL: 'https://example.org/infra.git', path: " + path02 + "2}}}\n"
	for _, c := range []struct {
		name         string
		before, head files
		want         map[string]plan.Fate
		finding      bool
	}{
		{"it prunes", base().and(manual), base().and(more(manual, "operation: {sync: {prune: true}}\n")).and(config), with(all(plan.Deleted), "ConfigMap", plan.Untouched), true},
		{"it does not prune", base().and(manual), base().and(more(manual, "operation: {sync: {}}\n")).and(config), with(all(plan.Kept), "ConfigMap", plan.Untouched), true},
		{"it has a source", base(), base().and(more(edited("", ""), elsewhere)), all(plan.Recreated), true},
		{"it was there", base().and(more(manual, "operation: {sync: {prune: true}}\n")), base().and(more(manual, "operation: {sync: {prune: true}}\n")), all(plan.Untouched), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, _ := fates(t, c.before, c.head); len(got) != len(c.want) || got["StatefulSet"] != c.want["StatefulSet"] || got["ConfigMap"] != c.want["ConfigMap"] {
				t.Errorf("the plan says %v, want %v", got, c.want)
			}
			if got := found(t, c.before, c.head)["HG115"]; says(got, finding.Error, "has an operation in git") != c.finding {
				t.Errorf("findings are %+v", got)
			}
		})
	}
}

func TestClaimsOfReplicasThatGoAreLostWhereTheSetDeletesThem(t *testing.T) {
	scaled := func(replicas, policy string) files {
		text := "{replicas: " + replicas + ", persistentVolumeClaimRetentionPolicy: {whenScaled: " + policy + "}, volumeClaim"
		return base().and(files{path01 + "/all.yaml": strings.Replace(objects("app01", ""), "{replicas: 2, volumeClaim", text, 1)})
	}
	lost := func(before, head files) (claims []string) {
		_, p := fates(t, before, head)
		for _, c := range p.Changes {
			for _, e := range c.Effects {
				if e.Implied && e.Stateful && e.Fate == plan.Deleted {
					claims = append(claims, e.Key.Name)
				}
			}
		}
		return claims
	}
	if got := strings.Join(lost(scaled("3", "Delete"), scaled("1", "Delete")), " "); got != "data-app01-db-1 data-app01-db-2" {
		t.Errorf("lost are %q", got)
	}
	if got := lost(scaled("3", "Retain"), scaled("1", "Retain")); len(got) > 0 {
		t.Errorf("lost are %q", got)
	}
	if got := lost(scaled("1", "Delete"), scaled("3", "Delete")); len(got) > 0 {
		t.Errorf("lost are %q", got)
	}
	if got := found(t, scaled("3", "Delete"), scaled("1", "Delete"))["HG101"]; !says(got, finding.Error, "data-app01-db-2") {
		t.Errorf("findings are %+v", got)
	}
}

func TestAnOwnerInGitIsAnError(t *testing.T) {
	claim := base().and(files{path01 + "/all.yaml": strings.Replace(objects("app01", ""), "app01-shared, namespace: app01", "app01-shared, namespace: app01"+nobody, 1)})
	owned := base().and(edited("  finalizers:", "  "+strings.TrimPrefix(nobody, ", ")+"\n  finalizers:"))
	root := base().and(files{rootFile: strings.Replace(base()[rootFile], "  finalizers:", "  "+strings.TrimPrefix(nobody, ", ")+"\n  finalizers:", 1)})
	for _, c := range []struct {
		name string
		head files
		says string
		want map[string]plan.Fate
	}{
		{"of a claim", claim, "PersistentVolumeClaim app01/app01-shared gets an owner", with(all(plan.Untouched), "PersistentVolumeClaim", plan.Recreated)},
		{"of an Application", owned, "Application argocd/app01-cluster01 gets an owner", all(plan.Recreated)},
		{"of an Application that nobody defines", root, "Application argocd/root gets an owner", all(plan.Untouched)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := found(t, base(), c.head)["HG116"]; !says(got, finding.Error, c.says) {
				t.Errorf("findings are %+v", got)
			}
			if got, _ := fates(t, base(), c.head); got["PersistentVolumeClaim"] != c.want["PersistentVolumeClaim"] || got["StatefulSet"] != c.want["StatefulSet"] {
				t.Errorf("the plan says %v, want %v", got, c.want)
			}
			if got := found(t, c.head, c.head)["HG116"]; len(got) > 0 {
				t.Errorf("of what was there before: %+v", got)
			}
		})
	}
}

func TestAProtectionThatIsIgnoredDoesNotCount(t *testing.T) {
	for ignored, counts := range map[string]bool{
		"jsonPointers: [/metadata/annotations]":                                    false,
		"jsonPointers: [/metadata/annotations/argocd.argoproj.io~1sync-options]":   false,
		"jqPathExpressions: ['.metadata.annotations']":                             false,
		"managedFieldsManagers: [someone]":                                         false,
		"managedFieldsManagers: [kube-controller-manager]":                         true,
		"jsonPointers: [/spec/replicas, /metadata/annotations/example.org~1other]": true,
	} {
		line := "  ignoreDifferences: [{group: apps, kind: StatefulSet, " + ignored + "}]\n"
		before := base().and(more(edited("", ""), line)).and(files{path01 + "/all.yaml": objectsIn("app01", "app01", "Prune=false", "")})
		got, _ := fates(t, before, before.and(files{path01 + "/all.yaml": strings.Split(objects("app01", ""), "---\n")[2]}))
		want := plan.Deleted
		if counts {
			want = plan.Kept
		}
		if got["StatefulSet"] != want || got["PersistentVolumeClaim"] != plan.Kept {
			t.Errorf("with %s the plan says %v", ignored, got)
		}
	}
}

func TestADirectiveOfAPatchIsNotAnalysed(t *testing.T) {
	patched := setOf("sync", app01Element)
	patched[appFile] = strings.Replace(patched[appFile], "  template:", "  templatePatch: 'spec: {source: {directory: {$patch: delete}}}'\n  template:", 1)
	before := inventoryOf(t, base().and(setOf("sync", app01Element)))
	p := plan.Between(before, inventoryOf(t, base().and(patched)), plan.Options{})
	if len(p.Unanalysed) != 1 || !strings.Contains(p.Unanalysed[0], "$patch") {
		t.Errorf("not analysed is %q", p.Unanalysed)
	}
}
