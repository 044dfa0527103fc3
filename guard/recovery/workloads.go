package recovery

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// phaseOf is the phase in which a class starts.
var phaseOf = map[Class]int{Coordination: 5, Quorum: 6, Log: 6, Writer: 7, Storage: 8, Reader: 11, Scheduled: 12}

// workload is one of the manifests, with what is done about it.
type workload struct {
	Manifest
	ref      Ref
	rule     Rule
	replicas int64
	scaled   bool // by an autoscaler
	probes   bool // are off at first
	claims   []string
}

// workloads adds the steps of everything that runs.
func (b *builder) workloads() {
	var all []workload
	for _, m := range b.Manifests.objects {
		if isWorkload(m) {
			all = append(all, b.workload(m))
		}
	}
	for _, class := range Classes {
		for _, w := range b.order(class, all) {
			b.start(class, w)
		}
	}
	for _, w := range all {
		if w.probes {
			b.restoreProbes(w)
		}
	}
	// Autoscalers and budgets come after the probes that they count on.
	slices.SortStableFunc(b.plan.Phases[9].Steps, func(x, y Step) int {
		return cmp.Compare(strings.Count(x.ID, "p9/probes/"), strings.Count(y.ID, "p9/probes/")) * -1
	})
	for _, w := range all {
		if w.rule.Class == Writer && !w.scaled && w.replicas != b.surge(w) {
			n := w.replicas
			s := b.applied(w.Manifest)
			s.ID, s.Replicas, s.Exactly = "settle/"+s.ID, &n, true
			s.After = fmt.Sprintf("it has %d replicas again", n)
			b.add(12, s)
		}
	}
}

func (b *builder) workload(m Manifest) workload {
	w := workload{Manifest: m, ref: refOf(m.Unstructured), replicas: 1}
	w.rule = b.Policy.rule(m.GetKind(), m.GetNamespace(), m.GetName(), m.GetLabels())
	if _, ok, _ := unstructured.NestedFieldNoCopy(m.Object, "spec", "replicas"); ok {
		w.replicas = number(m.Unstructured, "spec", "replicas")
	} else if least, ok := b.hpas[w.ref.String()]; ok {
		w.replicas = least
	}
	_, w.scaled = b.hpas[w.ref.String()]
	w.claims = append(w.claims, b.claims[w.ref.String()]...)
	if spec, err := podSpec(m.Unstructured); err == nil { // one that is not has stopped the plan before
		for _, v := range spec.Volumes {
			if v.PersistentVolumeClaim != nil {
				if key := m.GetNamespace() + "/" + v.PersistentVolumeClaim.ClaimName; len(b.assessment.volumes[key]) > 0 {
					w.claims = append(w.claims, key)
				}
			}
		}
	}
	w.probes = w.probesOff()
	return w
}

// probesOff tells whether the probes must not count at first. With auto they do not where pods wait for each other's readiness, and
// readiness for the pods.
func (w *workload) probesOff() bool {
	switch w.rule.Probes {
	case "off":
		return hasProbes(w.Unstructured)
	case "auto":
		policy, _, _ := unstructured.NestedString(w.Object, "spec", "podManagementPolicy")
		return policy != "Parallel" && w.replicas > 1 && hasProbes(w.Unstructured)
	}
	return false
}

// order sorts the workloads of a class. Storage goes by partition groups: one of each group before the second of any.
func (b *builder) order(class Class, all []workload) (of []workload) {
	for _, w := range all {
		if w.rule.Class == class {
			of = append(of, w)
		}
	}
	if class != Storage {
		return of
	}
	nth, seen := map[string]int{}, map[string]int{}
	for _, w := range of {
		group := w.GetLabels()[b.Policy.GroupLabel]
		if group == "" {
			group = "name " + w.ref.String()
		}
		nth[w.ref.String()] = seen[group]
		seen[group]++
	}
	slices.SortStableFunc(of, func(x, y workload) int { return cmp.Compare(nth[x.ref.String()], nth[y.ref.String()]) })
	return of
}

// start adds the steps that start one workload.
func (b *builder) start(class Class, w workload) {
	phase := phaseOf[class]
	if _, ok := b.isFrozen(w.ref.Kind, w.ref.Namespace, w.ref.Name, w.GetLabels()); ok {
		phase = 10 // it is a controller, and was deleted too
		b.add(phase, b.running(w, w.replicas))
		return
	}
	switch {
	case w.ref.Kind == "CronJob":
		s := b.applied(w.Manifest)
		s.ID, s.Suspended, s.After = "suspended/"+s.ID, true, "it is there, suspended"
		b.add(3, s)
		s = b.applied(w.Manifest)
		s.Before, s.Decides = "everything that it works on is back", "the program; what it missed is a person's decision"
		b.add(phase, s)
	case w.ref.Kind == "Job", w.ref.Kind == "Pod", w.ref.Kind == "DaemonSet":
		b.add(phase, b.running(w, 1))
	case w.replicas > 1 && (w.rule.Start == "one-at-a-time"):
		for n := int64(1); n <= w.replicas; n++ {
			b.grow(phase, w, n)
		}
	case class == Writer && b.surge(w) > 1:
		b.grow(phase, w, max(1, w.replicas/2))
		s := b.grow(phase, w, b.surge(w))
		if !w.scaled {
			s.Until = "p12/settle/" + b.applied(w.Manifest).ID
		}
	default:
		b.add(phase, b.running(w, w.replicas))
	}
}

func (b *builder) grow(phase int, w workload, n int64) *Step {
	s := b.running(w, n)
	s.ID += fmt.Sprintf("/%d", n)
	return b.add(phase, s)
}

// surge is how many a writer gets against the herd of clients that have buffered.
func (b *builder) surge(w workload) int64 {
	return int64(math.Ceil(float64(w.replicas) * b.Policy.Surge))
}

// running is the step that brings a workload to so many replicas.
func (b *builder) running(w workload, n int64) Step {
	s := b.applied(w.Manifest)
	s.Replicas, s.WithoutProbes, s.Claims, s.Timeout = &n, w.probes, w.claims, w.rule.Timeout
	if slices.Contains([]string{"DaemonSet", "Job", "Pod"}, w.ref.Kind) {
		s.Replicas = nil
	}
	s.Check = expand(w.rule.Check, w.ref, n)
	s.Before = "its namespace is Active"
	if len(w.claims) > 0 {
		s.Before = "each of its claims is Bound to the volume of the plan"
	}
	s.After = fmt.Sprintf("%d pods are ready", n)
	if w.probes {
		s.After += ", without probes"
	}
	if len(s.Check) > 0 {
		s.After += ", and the check ends well"
	}
	return s
}

func expand(check []string, r Ref, n int64) []string {
	var all []string
	for _, arg := range check {
		all = append(all, strings.NewReplacer("{namespace}", r.Namespace, "{name}", r.Name, "{replicas}", fmt.Sprint(n), "{pod}", fmt.Sprintf("%s-%d", r.Name, n-1)).Replace(arg))
	}
	return all
}

func (b *builder) restoreProbes(w workload) {
	n := w.replicas
	s := b.applied(w.Manifest)
	s.ID, s.Replicas, s.Check, s.Claims, s.Timeout = "probes/"+s.ID, &n, expand(w.rule.Check, w.ref, n), w.claims, w.rule.Timeout
	s.Before, s.After = "storage is there", "its pods have their probes, one after the other, and are ready"
	b.add(9, s)
}

func (b *builder) close() {
	b.resume()
	b.generating()
	b.add(13, Step{ID: "inventory", Action: Close, Before: "everything else is done", After: "each claim is bound to the volume of the plan; the disks that were left alone are named",
		Abort: "a claim is bound to another volume", Decides: "a person signs it off"})
}

var probes = []string{"livenessProbe", "readinessProbe", "startupProbe"}

// containers calls f with each container of a pod template.
func containers(o *unstructured.Unstructured, f func(map[string]any)) {
	for _, field := range []string{"containers", "initContainers"} {
		all, _, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", "template", "spec", field)
		list, _ := all.([]any)
		for _, c := range list {
			if m, ok := c.(map[string]any); ok {
				f(m)
			}
		}
	}
}

func hasProbes(o *unstructured.Unstructured) (has bool) {
	containers(o, func(c map[string]any) {
		for _, p := range probes {
			has = has || c[p] != nil
		}
	})
	return has
}

func stripProbes(o *unstructured.Unstructured) {
	containers(o, func(c map[string]any) {
		for _, p := range probes {
			delete(c, p)
		}
	})
}
