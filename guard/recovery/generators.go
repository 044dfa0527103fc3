package recovery

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The kinds of Argo CD that sync, and that make what syncs.
const (
	kindApplication = "Application"
	kindSet         = "ApplicationSet"
)

// generator is the controller of ApplicationSets. It gives each Application that it makes the sync of the set's template as soon as it runs,
// whatever was answered for it: with any set about it starts last of all.
const generator = "argocd-applicationset-controller"

func argoKind(kind string) schema.GroupKind {
	return schema.GroupKind{Group: "argoproj.io", Kind: kind}
}

func isGenerator(name string, labels map[string]string) bool {
	return name == generator || labels[partOf] == generator
}

// generate notes the ApplicationSets, those of the manifests and those that live.
func (b *builder) generate(live []unstructured.Unstructured) {
	b.generators = map[Ref]*unstructured.Unstructured{}
	for i := range live {
		b.generators[refOf(&live[i])] = &live[i]
	}
	for _, m := range b.Manifests.objects {
		if m.GroupVersionKind().GroupKind() == argoKind(kindSet) {
			b.generators[refOf(m.Unstructured)] = m.Unstructured
		}
	}
}

// setOf is the set that made an Application; nil for none.
func setOf(a *unstructured.Unstructured, sets []unstructured.Unstructured) *unstructured.Unstructured {
	for _, o := range a.GetOwnerReferences() {
		i := slices.IndexFunc(sets, func(s unstructured.Unstructured) bool { return s.GetUID() == o.UID })
		if i >= 0 && o.Kind == kindSet {
			return &sets[i]
		}
	}
	return nil
}

// generating applies the sets of the manifests and starts their controller, when everything else has been given its sync back.
func (b *builder) generating() {
	var steps []Step
	for _, m := range b.Manifests.objects {
		if m.GroupVersionKind().GroupKind() == argoKind(kindSet) {
			steps = append(steps, b.applied(m))
		}
	}
	for _, f := range b.frozen {
		if f.Until == "p13/"+thaw(f).ID {
			steps = append(steps, thaw(f))
		}
	}
	if len(steps) == 0 {
		return
	}
	q := b.ask(Question{ID: "sets/run", Before: "p13/" + steps[0].ID, Facts: b.templates(),
		Ask: "May the ApplicationSets make their Applications again? Each gets the sync of its template at once, whatever was answered for it.",
		Choices: []Choice{
			{"run", "their Applications may sync as the templates say"},
			{answerLeave, "a person applies them, and starts their controller"},
		}})
	for _, s := range steps {
		s.Question, s.When, s.Decides = q, []string{"run"}, "a person, by the answer to "+q
		s.Before = "Applications that no set makes sync as they were answered for"
		b.add(13, s)
	}
}

// templates says what each set gives its Applications.
func (b *builder) templates() (facts []string) {
	for r, set := range b.generators {
		said := "its Applications sync by hand"
		if automated, ok, _ := unstructured.NestedMap(set.Object, "spec", "template", "spec", "syncPolicy", "automated"); ok {
			said = "its Applications sync by themselves"
			if automated["prune"] == true {
				said += ", and prune"
			}
		}
		if patch, _, _ := unstructured.NestedString(set.Object, "spec", "templatePatch"); patch != "" {
			said += "; its templatePatch may say otherwise"
		}
		facts = append(facts, fmt.Sprintf("ApplicationSet %s/%s: %s", r.Namespace, r.Name, said))
	}
	slices.Sort(facts)
	return facts
}
