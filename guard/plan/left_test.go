package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
)

// found returns the findings of a change by their rules.
func found(t *testing.T, before, after files) map[string][]finding.Finding {
	t.Helper()
	base, head := inventoryOf(t, before), inventoryOf(t, after)
	byRule := make(map[string][]finding.Finding)
	for _, f := range plan.Findings(plan.Between(base, head, plan.Options{}), base, head, plan.Thresholds{}) {
		byRule[f.Rule] = append(byRule[f.Rule], f)
	}
	return byRule
}

func says(findings []finding.Finding, severity finding.Severity, text string) bool {
	for _, f := range findings {
		if f.Severity == severity && strings.Contains(f.Message, text) {
			return true
		}
	}
	return false
}

// judged fails unless one of the severity among the findings of a rule says so; "" is that there are none.
func judged(t *testing.T, got []finding.Finding, severity finding.Severity, want string) {
	t.Helper()
	switch {
	case want == "" && len(got) > 0:
		t.Errorf("findings are %+v", got)
	case want != "" && !says(got, severity, want):
		t.Errorf("no %s says %q: %+v", severity, want, got)
	}
}

// setOf is a set of app01 and others, which may keep what it does not generate any more.
func setOf(policy string, elements ...string) files {
	return setWith("applicationsSync: "+policy, elements...)
}

// setWith is a set with a sync policy of its own.
func setWith(policy string, elements ...string) files {
	return files{appFile: fmt.Sprintf(`apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {name: apps, namespace: argocd}
spec:
  generators: [{list: {elements: [%s]}}]
  syncPolicy: {%s}
  template:
    metadata: {name: '{{app}}-cluster01'}
    spec:
      project: app01-cluster01
      source: {repoURL: "https://example.org/infra.git", path: 'env/cluster01/{{app}}/yml'}
      destination: {server: "https://kubernetes.default.svc", namespace: '{{app}}'}
      syncPolicy: {automated: {prune: true, selfHeal: true}}
`, strings.Join(elements, ", "), policy)}
}

// unnamedSet is a set that Argo CD cannot generate from.
func unnamedSet() files {
	set := setOf("sync", app01Element)
	set[appFile] = strings.Replace(set[appFile], "name: '{{app}}-cluster01'", "name: ''", 1)
	return set
}

const app01Element, app02Element = "{app: app01}", "{app: app02}"

func automated(how string) files {
	return files{appFile: app{name: app01.name, path: path01, automated: how}.String()}
}

func TestWhatIsLeftBehindIsAnErrorWhereItHoldsState(t *testing.T) {
	config := files{path01 + "/all.yaml": strings.Split(objects("app01", ""), "---\n")[2]}
	none := files{path01 + "/all.yaml": ""}
	stateless := files{path01 + "/all.yaml": strings.Replace(objects("app01", ""), "app01-config", "other", 1)}
	denies := files{projectFile: strings.Replace(project("app01-cluster01", "app01", "app02"), "['*']", "[]", 1)}
	extraneous := files{path01 + "/all.yaml": strings.ReplaceAll(objects("app01", ""), "namespace: app01}", "namespace: app01, annotations: {argocd.argoproj.io/compare-options: IgnoreExtraneous}}")}
	protected := base().and(automated("{selfHeal: true}")).and(files{path01 + "/all.yaml": objectsIn("app01", "app01", "Prune=false", "")})
	manualRoot := base().and(files{rootFile: strings.Replace(base()[rootFile], "prune: true, ", "", 1)})
	for _, c := range []struct {
		name         string
		before, head files
		waits        string // empty where nothing may be said
	}{
		{"pruning is off", base().and(automated("{selfHeal: true}")), base().and(automated("{selfHeal: true}")).and(config), "automated.prune is off"},
		{"nothing is automated", base().and(automated("null")), base().and(automated("null")).and(config), "automated sync is off"},
		{"automation is disabled", base().and(automated("{enabled: false, prune: true}")), base().and(automated("{enabled: false, prune: true}")).and(config), "automated sync is off"},
		{"it is to be ignored", base().and(extraneous), base().and(files{path01 + "/all.yaml": strings.Split(extraneous[path01+"/all.yaml"], "---\n")[2]}), "nothing else of its Application changes"},
		{"nothing is left", base(), base().and(files{path01 + "/all.yaml": "", path01 + "/readme.md": "x"}), "nothing would be left"},
		{"there is no folder any more", base(), base().and(none), "there is no folder"},
		{"the project denies", base().and(denies), base().and(denies).and(config), "does not permit the repository"},
		{"the set only creates", base().and(setOf("create-only", app01Element, app02Element)), base().and(setOf("create-only", app02Element)), "create-only"},
		{"the root does not prune", manualRoot, manualRoot.and(files{appFile: ""}), "automated.prune is off"},
		{"it is protected", protected, protected.and(config), ""},
		{"it holds no state", base().and(automated("null")), base().and(automated("null")).and(stateless), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			judged(t, found(t, c.before, c.head)["HG113"], finding.Error, c.waits)
		})
	}
}

func TestWhatAnotherApplicationTakesIsNotLeftBehind(t *testing.T) {
	manual := base().and(automated("null"))
	other := app{name: "other", path: "other", namespace: "app01"}
	parts := strings.Split(objects("app01", ""), "---\n")
	head := manual.and(files{path01 + "/all.yaml": strings.Join(parts[1:], "---\n"), "other/db.yaml": parts[0], "env/cluster01/argocd/yml/z.yaml": other.String()})
	if got := found(t, manual, head)["HG113"]; len(got) > 0 {
		t.Errorf("findings are %+v", got)
	}
}

func TestWhatHoldsNoStateIsStillSaidToBeLeftBehind(t *testing.T) {
	manual := base().and(automated("null"))
	_, p := fates(t, manual, manual.and(files{path01 + "/all.yaml": strings.Replace(objects("app01", ""), "app01-config", "other", 1)}))
	for i := range p.Changes {
		if text := plan.Losses(&p.Changes[i]); strings.Contains(text, "leaves behind 1 object (ConfigMap app01/app01-config), kept only while automated sync is off") {
			return
		}
	}
	t.Errorf("nothing says so: %+v", p.Changes)
}

func TestPruningThatBeginsIsAFinding(t *testing.T) {
	unnamed := unnamedSet()
	denies := files{projectFile: strings.Replace(project("app01-cluster01", "app01", "app02"), "['*']", "[]", 1)}
	for _, c := range []struct {
		name         string
		before, head files
		severity     finding.Severity
		says         string // empty where nothing may be said
	}{
		{"pruning goes on", base().and(automated("{selfHeal: true}")), base(), finding.Error, "automated.prune was off"},
		{"automation comes", base().and(automated("null")), base(), finding.Error, "automated sync was off"},
		{"automation comes, without pruning", base().and(automated("null")), base().and(automated("{selfHeal: true}")), 0, ""},
		{"the project permits", base().and(denies), base(), finding.Error, "does not permit the repository"},
		{"a set does not only create any more", base().and(setOf("create-only", app02Element)), base().and(setOf("sync", app02Element)), finding.Error, "create-only"},
		{"a set can generate again", base().and(unnamed), base().and(setOf("sync", app02Element)), finding.Error, "could not generate"},
		{"an empty folder gets objects", base().and(files{path01 + "/all.yaml": ""}), base(), finding.Warning, "had no objects before"},
		{"it pruned all the time", base(), base().and(files{path01 + "/more.yaml": objects("app01", "")}), 0, ""},
		{"the Application is new", base().and(files{appFile: ""}), base(), 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			judged(t, found(t, c.before, c.head)["HG114"], c.severity, c.says)
		})
	}
}

func TestASetThatCannotGenerateAnyMoreIsAFinding(t *testing.T) {
	if got := found(t, base().and(setOf("sync", app01Element)), base().and(unnamedSet()))["HG112"]; !says(got, finding.Error, "generates nothing any more") {
		t.Errorf("findings are %+v", got)
	}
}
