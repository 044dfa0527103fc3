package recovery

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/holdfast-telemetry/holdfast/guard/snapshot"
)

// Inputs are what a plan is made from.
type Inputs struct {
	Manifests *Manifests
	Snapshot  *snapshot.Snapshot // or nil
	Policy    *Policy            // or nil
}

// phases are those of every plan, by their numbers.
var phases = []Phase{
	{Name: "freeze", Gate: "what puts objects back or deletes them has stopped", Never: "revert in Git first: with Argo CD running, claims come back empty"},
	{Name: "preserve", Gate: "every volume is Retain, nothing changes any more, and an inventory is stored", Never: "delete anything"},
	{Name: "assess", Gate: "each volume is as the plan says, and each question about volumes has an answer", Never: "guess between two volumes"},
	{Name: "namespaces and base", Gate: "namespaces are Active, definitions are established", Never: "create a set or a deployment"},
	{Name: "rebind", Gate: "each claim is Bound to the volume of the plan, and the volume has the claim's UID", Never: "remove a whole claimRef"},
	{Name: "coordination state", Gate: "quorum, and the expected number of keys", Never: "mix retained and restored members"},
	{Name: "log and bus", Gate: "the cluster's id is as before, and every partition has a leader", Never: "start brokers side by side, or elect unclean leaders"},
	{Name: "accept writes", Gate: "errors and the age of the queue stay bounded", Never: "open the gate fully: clients have buffered"},
	{Name: "storage", Gate: "the replay's lag falls", Never: "serve queries from what is half replayed"},
	{Name: "restore probes", Gate: "everything is ready under its probes"},
	{Name: "reconcile", Gate: "controllers run, and no Application syncs by itself", Never: "enable all at once"},
	{Name: "reads", Gate: "latency is normal"},
	{Name: "background", Gate: "the backlog is drained", Never: "run all missed tasks at once"},
	{Name: "close", Gate: "every claim is bound as the plan says, and somebody has signed it off", Never: "clean up early: the old disks stay for a retention period"},
}

func phaseName(n int) string { return fmt.Sprintf("phase %d", n) }

// builder makes one plan.
type builder struct {
	Inputs
	cluster    *Cluster
	plan       *Plan
	assessment assessment
	claims     map[string][]string // of each workload: those that are bound to volumes of the plan
	frozen     []Step
	paused     []Step
	generators map[Ref]*unstructured.Unstructured // ApplicationSets
	rules      map[string]Rule                    // of each workload
	hpas       map[string]int64
	err        error
}

// Build makes a plan. It changes nothing.
func Build(ctx context.Context, c *Cluster, in Inputs) (*Plan, error) {
	if in.Policy == nil {
		in.Policy = &Policy{}
	}
	if err := in.Policy.complete(); err != nil {
		return nil, err
	}
	b := &builder{Inputs: in, cluster: c, claims: map[string][]string{}, rules: map[string]Rule{}, hpas: map[string]int64{}}
	b.plan = &Plan{APIVersion: APIVersion, Kind: KindPlan, Cluster: c.UID, Manifests: Input{in.Manifests.Source, in.Manifests.Digest}, Questions: []Question{}, Volumes: []Volume{}}
	if s := in.Snapshot; s != nil {
		if s.Cluster != c.UID {
			return nil, fmt.Errorf("the snapshot %s is of another cluster: its kube-system has the UID %s, and this one's has %s", s.Path, s.Cluster, c.UID)
		}
		b.plan.Snapshot = &Input{Source: s.Path, Digest: digest([]byte(strings.Join(slices.Sorted(maps.Values(s.Digests)), "\n")))}
	}
	for i, p := range phases {
		p.Number, p.Steps = i, []Step{}
		b.plan.Phases = append(b.plan.Phases, p)
	}
	if err := b.build(ctx); err != nil {
		return nil, fmt.Errorf("building a recovery plan: %w", err)
	}
	return b.plan, b.plan.check()
}

func (b *builder) build(ctx context.Context) error {
	b.scope()
	for _, part := range []func(context.Context) error{b.freeze, b.preserve, b.assess, b.base, b.secrets} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	b.rebind()
	b.workloads()
	b.reconcile()
	b.close()
	b.plan.Notes = append(b.plan.Notes, b.Manifests.Skipped...)
	slices.Sort(b.plan.Notes)
	return b.err
}

// scope finds the namespaces of the manifests, without that of Argo CD itself.
func (b *builder) scope() {
	all := map[string]bool{}
	for _, m := range b.Manifests.objects {
		switch {
		case m.GetKind() == "Namespace" && m.GroupVersionKind().Group == "":
			all[m.GetName()] = true
		case m.GetNamespace() != "" && m.GroupVersionKind().Group != "argoproj.io":
			all[m.GetNamespace()] = true
		}
	}
	b.plan.Namespaces = slices.Sorted(maps.Keys(all))
	b.assessment.namespaces = b.plan.Namespaces
}

// add puts a step at the end of a phase, with what every step has.
func (b *builder) add(phase int, s Step) *Step {
	if s.Timeout == "" {
		s.Timeout = b.Policy.Timeout
	}
	if s.Decides == "" {
		s.Decides = "the program"
	}
	if s.Abort == "" {
		s.Abort = "it is not so after " + s.Timeout + ": stop and look"
	}
	s.ID = fmt.Sprintf("p%d/%s", phase, s.ID)
	p := &b.plan.Phases[phase]
	p.Steps = append(p.Steps, s)
	return &p.Steps[len(p.Steps)-1]
}

func (b *builder) ask(q Question) string {
	if b.plan.Question(q.ID) == nil {
		b.plan.Questions = append(b.plan.Questions, q)
	}
	return q.ID
}

func id(action Action, r Ref) string {
	return strings.ToLower(string(action)+"/"+r.Kind) + "/" + strings.TrimPrefix(r.Namespace+"/"+r.Name, "/")
}

func (b *builder) preserve(ctx context.Context) error {
	volumes, err := b.cluster.list(ctx, "v1", "PersistentVolume", "")
	if err != nil {
		return err
	}
	for i := range volumes {
		if policy, _, _ := unstructured.NestedString(volumes[i].Object, "spec", "persistentVolumeReclaimPolicy"); policy != "Retain" {
			b.add(1, Step{ID: "retain/" + volumes[i].GetName(), Action: RetainAll, Volume: volumes[i].GetName(),
				Before: "the volume is there", After: "its reclaim policy is Retain", Abort: "the API server refuses the patch: the disk may go with the volume"})
		}
	}
	b.add(1, Step{ID: "retain-rest", Action: RetainAll, Before: "none", After: "every volume of the cluster is Retain", Abort: "a volume is not Retain"})
	b.add(1, Step{ID: "quiet", Action: Quiet, For: b.Policy.Quiet, Before: "controllers have stopped",
		After: "no claim, set or namespace of the plan has changed for " + b.Policy.Quiet, Abort: "something still deletes or makes objects: find it, and freeze it"})
	b.add(1, Step{ID: "export", Action: Export, Before: "every volume is Retain", After: "a snapshot is beside the plan", Abort: "it cannot be written"})
	return nil
}

func (b *builder) assess(ctx context.Context) error {
	a := &b.assessment
	if err := a.wants(b.Manifests.objects); err != nil {
		return err
	}
	live, err := list[corev1.PersistentVolume](ctx, b.cluster, "v1", "PersistentVolume")
	if err != nil {
		return err
	}
	claims, err := list[corev1.PersistentVolumeClaim](ctx, b.cluster, "v1", "PersistentVolumeClaim")
	if err != nil {
		return err
	}
	a.claims = map[string]*corev1.PersistentVolumeClaim{}
	for _, c := range claims {
		a.claims[c.Namespace+"/"+c.Name] = c
	}
	old, err := b.remembered()
	if err != nil {
		return err
	}
	a.claimed(live, old)
	b.judge()
	b.add(2, Step{ID: "volumes", Action: Assess, Before: "every question about volumes has an answer",
		After: "each volume is there, is the disk of the plan, and no other claim has it", Abort: "a volume is not as the plan says: make a new plan"})
	return nil
}

// remembered reads the snapshot: its volumes, and the owners of claims that the manifests may not know.
func (b *builder) remembered() (old []*corev1.PersistentVolume, err error) {
	b.assessment.known = map[string]string{}
	if b.Snapshot == nil {
		return nil, nil
	}
	for _, o := range b.Snapshot.Objects["PersistentVolume"] {
		pv, err := typed[corev1.PersistentVolume](o)
		if err != nil {
			return nil, err
		}
		old = append(old, pv)
	}
	for _, o := range b.Snapshot.Objects["StatefulSet"] {
		set, err := typed[appsv1.StatefulSet](o)
		if err != nil {
			return nil, err
		}
		for _, n := range claimNames(set, replicasOf(set)) {
			b.assessment.known[set.Namespace+"/"+n.claim] = refOf(o).String()
		}
	}
	return old, nil
}

// judge goes through the claims, and asks what it cannot tell.
func (b *builder) judge() {
	a := &b.assessment
	sets := b.sets()
	for _, key := range slices.Sorted(maps.Keys(a.volumes)) {
		v := a.judge(key, sets)
		for _, f := range v.volumes {
			b.plan.Volumes = append(b.plan.Volumes, v.row(f))
		}
		s := Step{ID: "rebind/" + key, Action: Rebind, Claim: &v.claim, Parallel: "claims",
			Before: "the volume is the plan's disk and nobody else's, and no claim of that name is bound elsewhere",
			After:  "the claim is Bound to the volume, the volume has the claim's UID, and the claim has the volume's capacity",
			Abort:  "the claim is taken or lost, or the volume is another disk: nothing is changed then"}
		if v.question != nil {
			s.Question = b.ask(*v.question)
			s.Decides = "a person, by the answer to " + s.Question
			for _, f := range v.volumes {
				s.When = append(s.When, f.pv.Name)
				if f.gone {
					b.recreate(f, v.question.ID)
				}
			}
		}
		b.add(4, s)
	}
}

// recreate makes the object of a disk again, which a person has said is there.
func (b *builder) recreate(f found, question string) {
	spec, err := recreated(f.pv)
	if err != nil {
		b.err = err
		return
	}
	b.add(4, Step{ID: "recreate/" + f.pv.Name, Action: Recreate, Volume: f.pv.Name, Spec: spec, Question: question, When: []string{f.pv.Name},
		Before: "there is no volume of that name", After: "the volume is there with the disk of the snapshot, reserved for its claim", Decides: "a person, by the answer to " + question})
}

func (b *builder) sets() (all []*appsv1.StatefulSet) {
	for _, m := range b.Manifests.objects {
		if m.GetKind() == "StatefulSet" {
			if set, err := typed[appsv1.StatefulSet](m.Unstructured); err == nil { // Build has failed before for one that is not
				all = append(all, set)
			}
		}
	}
	return all
}

// rebind asks about the claims that no volume is for, and tells each set which claims it has to wait for.
func (b *builder) rebind() {
	a := &b.assessment
	missing := map[string][]string{}
	for _, key := range slices.Sorted(maps.Keys(a.wanted)) {
		w := a.wanted[key]
		if len(a.volumes[key]) > 0 {
			if w.set != nil {
				b.claims[w.owner] = append(b.claims[w.owner], key)
			}
			continue
		}
		missing[w.owner] = append(missing[w.owner], key)
	}
	for _, owner := range slices.Sorted(maps.Keys(missing)) {
		b.missing(owner, missing[owner])
	}
}

func (b *builder) missing(owner string, keys []string) {
	w := b.assessment.wanted[keys[0]]
	_, name, _ := strings.Cut(owner, " ")
	q := Question{ID: "missing/" + name, Before: phaseName(2), Ask: "There is no volume for claims of " + owner + ". Where does their data come from?",
		Choices: []Choice{
			{answerRestored, "a person restores claims and data by other means (a backup); the plan waits until they are Bound"},
			{answerEmpty, "they have no data that is missed: they get empty volumes"},
		}}
	for _, k := range keys {
		q.Facts = append(q.Facts, "no volume was claimed by "+k)
	}
	if has := len(b.claims[owner]); has > 0 {
		q.Facts = append(q.Facts, fmt.Sprintf("%d other claims of it have their volumes: members that keep their disks and members that start from a backup must not be mixed in one quorum", has))
	}
	b.ask(q)
	b.add(4, Step{ID: "restored/" + name, Action: Restored, Claims: keys, Question: q.ID, When: []string{answerRestored}, Timeout: "24h",
		Before: "a person restores them", After: "the claims are Bound", Decides: "a person, by the answer to " + q.ID})
	if w.set != nil {
		return
	}
	m := b.Manifests.find(claimRef(w.claim.Namespace, w.claim.Name))
	s := b.applied(*m)
	s.Question, s.When, s.Decides = q.ID, []string{answerEmpty}, "a person, by the answer to "+q.ID
	b.add(4, s)
}

// list reads all objects of a kind as its type.
func list[T any](ctx context.Context, c *Cluster, apiVersion, kind string) ([]*T, error) {
	objects, err := c.list(ctx, apiVersion, kind, "")
	if err != nil {
		return nil, err
	}
	all := make([]*T, 0, len(objects))
	for i := range objects {
		v, err := typed[T](&objects[i])
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

func recreated(pv *corev1.PersistentVolume) (map[string]any, error) {
	o, err := untyped(pv)
	if err != nil {
		return nil, err
	}
	spec, _, _ := unstructured.NestedMap(o, "spec")
	spec["persistentVolumeReclaimPolicy"] = "Retain"
	if ref, ok := spec["claimRef"].(map[string]any); ok {
		delete(ref, "uid")
		delete(ref, "resourceVersion")
	}
	return spec, nil
}
