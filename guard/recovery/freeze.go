package recovery

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	trackingID = "argocd.argoproj.io/tracking-id"
	instance   = "app.kubernetes.io/instance" // of label tracking
	partOf     = "app.kubernetes.io/name"
)

func split(key string) (namespace, name string) {
	namespace, name, _ = strings.Cut(key, "/")
	return namespace, name
}

// isFrozen tells whether a workload is one of those that stop first, and its rank among them.
func (b *builder) isFrozen(kind, namespace, name string, labels map[string]string) (rank int, ok bool) {
	for i, c := range argoCD {
		if kind == c.kind && (name == c.component || labels[partOf] == c.component) {
			return i, true
		}
	}
	for i, t := range b.Policy.Freeze {
		if kind == t.Kind && anyGlob([]string{t.Name}, name) && (t.Namespace == "" || anyGlob([]string{t.Namespace}, namespace)) {
			return len(argoCD) + i, true
		}
	}
	return 0, false
}

// freeze stops what is live and would work against the recovery.
func (b *builder) freeze(ctx context.Context) error {
	type ranked struct {
		rank int
		o    unstructured.Unstructured
	}
	var all []ranked
	for _, kind := range []string{"StatefulSet", "Deployment"} {
		objects, err := b.cluster.list(ctx, "apps/v1", kind, "")
		if err != nil {
			return err
		}
		for _, o := range objects {
			if rank, ok := b.isFrozen(kind, o.GetNamespace(), o.GetName(), o.GetLabels()); ok {
				all = append(all, ranked{rank, o})
			}
		}
	}
	slices.SortStableFunc(all, func(x, y ranked) int {
		return cmp.Or(cmp.Compare(x.rank, y.rank), cmp.Compare(x.o.GetNamespace(), y.o.GetNamespace()), cmp.Compare(x.o.GetName(), y.o.GetName()))
	})
	live, err := b.cluster.list(ctx, "argoproj.io/v1alpha1", kindSet, "")
	if err != nil {
		return err
	}
	b.generate(live)
	for _, x := range all {
		r, was, none, phase := refOf(&x.o), b.was(&x.o), int64(0), 10
		if len(b.generators) > 0 && isGenerator(r.Name, x.o.GetLabels()) {
			phase = 13
		}
		s := b.add(0, Step{ID: "freeze/" + id(Scale, r), Action: Scale, Object: &r, Replicas: &none, Exactly: true, Was: &was, Timeout: "2m",
			Before: "none", After: "it has no pods, and its annotation " + annotationWas + " says how many it had", Abort: "pods stay after 2m: delete them by hand, or stop their nodes",
			Until: fmt.Sprintf("p%d/thaw/%s", phase, id(Scale, r))})
		b.frozen = append(b.frozen, *s)
	}
	return b.pause(ctx, live)
}

// was is how many replicas a workload had before anybody stopped it.
func (b *builder) was(o *unstructured.Unstructured) int64 {
	if n, err := strconv.ParseInt(o.GetAnnotations()[annotationWas], 10, 32); err == nil && n > 0 {
		return n
	}
	if n, ok, _ := unstructured.NestedInt64(o.Object, "spec", "replicas"); ok && n > 0 {
		return n
	}
	if b.Snapshot != nil {
		for _, s := range b.Snapshot.Objects[o.GetKind()] {
			if n := number(s, "spec", "replicas"); n > 0 && s.GetNamespace() == o.GetNamespace() && s.GetName() == o.GetName() {
				return n
			}
		}
	}
	return 1
}

// number reads one of an object that JSON may have made a float of.
func number(o *unstructured.Unstructured, path ...string) int64 {
	v, _, _ := unstructured.NestedFieldNoCopy(o.Object, path...)
	switch n := v.(type) {
	case int64:
		return n
	case float64:
		return int64(n)
	case int:
		return int64(n)
	}
	return 0
}

// pause takes automated sync from the Applications of the plan's namespaces, and from those that manage them or the sets that they are of.
func (b *builder) pause(ctx context.Context, sets []unstructured.Unstructured) error {
	apps, err := b.cluster.list(ctx, "argoproj.io/v1alpha1", kindApplication, "")
	if err != nil {
		return err
	}
	concerned := map[string]bool{}
	for _, a := range apps {
		ns, _, _ := unstructured.NestedString(a.Object, "spec", "destination", "namespace")
		if slices.Contains(b.plan.Namespaces, ns) {
			concerned[a.GetName()] = true
		}
	}
	for range apps { // a parent's parent, and so on
		for _, a := range apps {
			if !concerned[a.GetName()] {
				continue
			}
			concerned[parentOf(&a)] = true
			if set := setOf(&a, sets); set != nil {
				concerned[parentOf(set)] = true
			}
		}
	}
	// A parent would give its children back what was taken from them: parents are first to stop, and last to start.
	slices.SortStableFunc(apps, func(x, y unstructured.Unstructured) int { return cmp.Compare(depth(&x, apps), depth(&y, apps)) })
	for _, a := range apps {
		automated, ok := b.automated(&a)
		if !concerned[a.GetName()] || !ok {
			continue
		}
		r := refOf(&a)
		s := b.add(0, Step{ID: id(PauseSync, r), Action: PauseSync, Object: &r, Automated: automated, Before: "none",
			After: "it has no automated sync, and its annotation " + annotationAutomated + " says what it had", Until: "p13/" + id(ResumeSync, r)})
		b.paused = append(b.paused, *s)
	}
	return nil
}

// automated is what an Application's automated sync is, was when it was paused, or is in the manifests.
func (b *builder) automated(a *unstructured.Unstructured) (map[string]any, bool) {
	if m := b.Manifests.find(refOf(a)); m != nil {
		if v, ok, _ := unstructured.NestedMap(m.Object, "spec", "syncPolicy", "automated"); ok {
			return v, true
		}
	}
	if v, ok, _ := unstructured.NestedMap(a.Object, "spec", "syncPolicy", "automated"); ok {
		return v, true
	}
	var v map[string]any
	if json.Unmarshal([]byte(a.GetAnnotations()[annotationAutomated]), &v) == nil && v != nil {
		return v, true
	}
	return nil, false
}

// parentOf is the Application that manages an Application or a set: by Argo CD's tracking annotation, "name:group/kind:namespace/name", or by
// its label where it tracks by that. "" is none.
func parentOf(a *unstructured.Unstructured) string {
	parent, _, ok := strings.Cut(a.GetAnnotations()[trackingID], ":")
	if !ok {
		parent = a.GetLabels()[instance]
	}
	if parent == a.GetName() && a.GetKind() == kindApplication {
		return ""
	}
	return parent[strings.LastIndexByte(parent, '_')+1:]
}

func depth(a *unstructured.Unstructured, all []unstructured.Unstructured) int {
	d := 0
	for name := parentOf(a); name != "" && d <= len(all); d++ {
		i := slices.IndexFunc(all, func(x unstructured.Unstructured) bool { return x.GetName() == name })
		if i < 0 {
			return d + 1
		}
		name = parentOf(&all[i])
	}
	return d
}

// reconcile lets controllers run again, with all Applications waiting for a person.
func (b *builder) reconcile() {
	gitops := slices.ContainsFunc(b.Manifests.objects, func(m Manifest) bool { return m.GroupVersionKind().Group == "argoproj.io" })
	if len(b.frozen) == 0 && len(b.paused) == 0 && !gitops {
		return
	}
	q := b.ask(Question{ID: "git/mended", Ask: "Has the change that did this been reverted in what Argo CD reads?", Before: "p10/confirm/git",
		Facts:   []string{"Argo CD runs after this: with the change still in Git it prunes again as soon as an Application syncs"},
		Choices: []Choice{{"mended", "it is reverted, and protections (Prune=false, Delete=false) are added"}}})
	confirm := b.add(10, Step{ID: "confirm/git", Action: Confirm, Question: q, Before: "a person has looked", After: "Git is as it was before", Decides: "a person, by the answer to " + q})
	// The word is wanted before anything of this phase.
	steps := b.plan.Phases[10].Steps
	copy(steps[1:], steps[:len(steps)-1])
	steps[0] = *confirm
	b.applications()
	for _, f := range b.frozen {
		if strings.HasPrefix(f.Until, "p10/") {
			b.add(10, thaw(f))
		}
	}
}

// thaw is the step that undoes one of freeze.
func thaw(f Step) Step {
	return Step{ID: strings.Replace(f.ID, "p0/freeze/", "thaw/", 1), Action: Scale, Object: f.Object, Replicas: f.Was, Exactly: true, Before: "Git is as it was before",
		After: fmt.Sprintf("it has %d pods, and they are ready", *f.Was)}
}

// applications applies those of the manifests, without automated sync.
func (b *builder) applications() {
	for _, m := range b.Manifests.objects {
		if m.GroupVersionKind().GroupKind() != argoKind(kindApplication) {
			continue
		}
		s := b.applied(m)
		s.Suspended = true
		s.After = "it is as in the manifest, without automated sync"
		s.Until = "p13/" + id(ResumeSync, *s.Object)
		automated, ok := b.automated(m.Unstructured)
		b.add(10, s)
		if ok && !slices.ContainsFunc(b.paused, func(p Step) bool { return p.Object.key() == s.Object.key() }) {
			b.paused = append(b.paused, Step{Object: s.Object, Automated: automated})
		}
	}
}

// resume gives Applications their sync back, children first, prune last.
func (b *builder) resume() {
	for _, p := range slices.Backward(b.paused) {
		key := p.Object.Namespace + "/" + p.Object.Name
		q := b.ask(Question{ID: "sync/" + key, Ask: "Has somebody read the diff of Application " + key + ", and does it prune nothing?", Before: "p13/" + id(ResumeSync, *p.Object),
			Choices: []Choice{{"sync", "it may sync by itself, without pruning"}, {"sync-and-prune", "it may sync as it did before"}, {answerLeave, "a person syncs it"}}})
		careful := cloneMap(p.Automated)
		delete(careful, "prune")
		b.add(13, Step{ID: id(ResumeSync, *p.Object), Action: ResumeSync, Object: p.Object, Automated: careful, Question: q, When: []string{"sync", "sync-and-prune"},
			Before: "a person has read the diff", After: "it syncs by itself, without pruning", Decides: "a person, by the answer to " + q, Until: "p13/prune/" + id(ResumeSync, *p.Object)})
	}
	for _, p := range slices.Backward(b.paused) {
		if p.Automated["prune"] != true {
			continue
		}
		b.add(13, Step{ID: "prune/" + id(ResumeSync, *p.Object), Action: ResumeSync, Object: p.Object, Automated: p.Automated,
			Question: "sync/" + p.Object.Namespace + "/" + p.Object.Name, When: []string{"sync-and-prune"},
			Before: "everything syncs without pruning", After: "it syncs as it did before", Decides: "a person"})
	}
}

func cloneMap(m map[string]any) map[string]any {
	c := map[string]any{}
	for k, v := range m {
		c[k] = v
	}
	return c
}
