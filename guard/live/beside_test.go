package live

import (
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
)

// byHand adds an Application that lives and that git does not have.
func (s *State) byHand(t *testing.T, text string) *plan.LiveObject {
	t.Helper()
	i := inventoryOf(t, map[string]string{"a.yaml": text})
	return s.lives(i.Applications[0].Key(), object.Key{}, i.Applications[0].Object)
}

func TestAnApplicationThatWasAppliedByHandIsNotRemovedAndReadsWhatGitChanges(t *testing.T) {
	base := with(tree(), "env/extra/all.yaml", strings.ReplaceAll(config("one", "")+config("two", ""), "app01", "extra"))
	head := with(base, "env/extra/all.yaml", strings.ReplaceAll(config("one", ""), "app01", "extra"))
	for name, test := range map[string]struct {
		text string
		want map[string]string
	}{
		"it reads this repository": {application("extra", "env/extra", "extra", ""), map[string]string{
			"ConfigMap two": "deleted: its Application does not have it any more, and prunes (by git alone: untouched)",
		}},
		"it reads another":          {strings.Replace(application("extra", "env/extra", "extra", ""), "infra.git", "other.git", 1), map[string]string{}},
		"it reads a folder of that": {application("extra", "deploy", "extra", ""), map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			s := synced(t, base, settings{})
			s.byHand(t, test.text)
			for _, c := range []string{"one", "two"} {
				s.lives(object.Key{Kind: "ConfigMap", Namespace: "extra", Name: c}, app("extra"), &object.Object{})
			}
			got, _ := between(t, base, head, s)
			for what, want := range test.want {
				if got[what] != want {
					t.Errorf("%s: %q, want %q", what, got[what], want)
				}
			}
			if len(got) != len(test.want) {
				t.Errorf("there is %v", got)
			}
		})
	}
}

func TestAnApplicationOfAnotherArgoCDIsTakenFromGit(t *testing.T) {
	base := with(tree(), "other/root.yaml", application("other", "other/env", "other", ""))
	base["other/env/all.yaml"] = strings.ReplaceAll(config("one", "")+config("two", ""), "app01", "other")
	head := with(base, "other/env/all.yaml", strings.ReplaceAll(config("one", ""), "app01", "other"))
	s := synced(t, tree(), settings{})
	got, p := between(t, base, head, s)
	if got["ConfigMap two"] != "deleted: its Application does not have it any more, and prunes" || len(got) != 1 {
		t.Errorf("there is %v", got)
	}
	if source := p.Changes[0].Effects[0].Source; source != plan.FromGit {
		t.Errorf("it is from %s", source)
	}
	if !strings.Contains(strings.Join(p.Unknown, "\n"), "argocd/other is in git and does not live") {
		t.Errorf("not known: %q", p.Unknown)
	}
}

func TestAnApplicationThatHasNotBeenMadeYetHasNothingToLose(t *testing.T) {
	base := tree()
	s := synced(t, base, settings{})
	s.remove(t, "Application app01")
	for _, o := range []string{"StatefulSet db", "ConfigMap config", "ConfigMap more"} {
		s.remove(t, o)
	}
	got, p := between(t, base, with(base, path01, config("config", "")+config("more", "")), s)
	if got["StatefulSet db"] != "untouched: it does not live: there is nothing to lose (by git alone: deleted)" {
		t.Errorf("there is %v", got)
	}
	if len(p.Unknown) > 0 {
		t.Errorf("not known: %q", p.Unknown)
	}
}

func TestASetThatLivesAndIsNotInGitGeneratesFromWhatGitChanges(t *testing.T) {
	const text = `apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {name: apps, namespace: argocd}
spec:
  generators: [{git: {repoURL: "https://example.org/infra.git", directories: [{path: "sets/*"}]}}]
  template:
    metadata: {name: 'set-{{path.basename}}'}
    spec:
      project: default
      source: {repoURL: "https://example.org/infra.git", targetRevision: main, path: '{{path}}'}
      destination: {server: "https://kubernetes.default.svc", namespace: '{{path.basename}}'}
      syncPolicy: {automated: {prune: true}}
`
	base := tree()
	for _, name := range []string{"one", "two"} {
		base["sets/"+name+"/all.yaml"] = strings.ReplaceAll(config(name, ""), "app01", name)
	}
	i := inventoryOf(t, with(base, "set.yaml", text))
	for name, test := range map[string]struct {
		edit func(*State)
		want string
	}{
		"it reads this repository": {func(*State) {}, "deleted"},
		"it reads another": {func(s *State) {
			spec := s.find(t, "ApplicationSet apps").Body["spec"].(map[string]any)
			spec["generators"] = []any{map[string]any{"git": map[string]any{"repoURL": "https://example.org/other.git"}}}
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := synced(t, base, settings{})
			s.lives(i.Sets[0].Object.Key, object.Key{}, i.Sets[0].Object)
			for _, a := range i.Applications {
				if a.Set == "" {
					continue
				}
				body := map[string]any{"metadata": map[string]any{"name": a.Metadata.Name, "finalizers": []any{argo.Finalizer}}, "spec": map[string]any{
					"source":      map[string]any{"repoURL": "https://example.org/infra.git", "path": a.Spec.Source.Path},
					"destination": map[string]any{"server": argo.Server, "namespace": a.Spec.Destination.Namespace},
					"syncPolicy":  map[string]any{"automated": map[string]any{"prune": true}},
				}}
				o := s.lives(a.Key(), object.Key{}, &object.Object{Body: body})
				o.Set, o.Owners = "apps", []string{s.find(t, "ApplicationSet apps").UID}
				for key := range a.Standing() {
					s.lives(key, a.Key(), &object.Object{})
				}
			}
			test.edit(s)
			got, _ := between(t, base, with(base, "sets/two/all.yaml", ""), s)
			for _, what := range []string{"Application set-two itself", "ConfigMap two"} {
				if !strings.HasPrefix(got[what], test.want) || (got[what] == "") != (test.want == "") {
					t.Errorf("%s: %q, want %q; there is %v", what, got[what], test.want, got)
				}
			}
			if got["ConfigMap one"] != "" || got["Application set-one itself"] != "" {
				t.Errorf("there is %v", got)
			}
		})
	}
}
