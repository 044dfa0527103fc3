package recovery

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Answers that are no volume's name.
const (
	answerLeave    = "leave"
	answerEmpty    = "empty"
	answerRestored = "restored"
)

// wanted is a claim that the manifests want.
type wanted struct {
	key   string // namespace/name
	owner string // for people
	set   *appsv1.StatefulSet
	claim Claim // without volumes
}

// found is a volume that belongs to a claim.
type found struct {
	pv   *corev1.PersistentVolume
	gone bool // its object is only in the snapshot
}

// assessment maps volumes to claims to sets.
type assessment struct {
	namespaces []string
	wanted     map[string]wanted
	known      map[string]string // owners of claims that only the snapshot knows
	volumes    map[string][]found
	claims     map[string]*corev1.PersistentVolumeClaim // that are live
	unclaimed  []*corev1.PersistentVolume
}

// wants notes the claims of the sets and the claims of their own that there are among objects.
func (a *assessment) wants(objects []Manifest) error {
	a.wanted = map[string]wanted{}
	for _, m := range objects {
		var err error
		switch m.GroupVersionKind().GroupKind().String() {
		case "StatefulSet.apps":
			err = a.wantsSet(m.Unstructured)
		case "PersistentVolumeClaim":
			err = a.wantsClaim(m.Unstructured)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", m.Origin, err)
		}
	}
	return nil
}

func (a *assessment) wantsClaim(o *unstructured.Unstructured) error {
	c, err := typed[corev1.PersistentVolumeClaim](o)
	if err != nil {
		return err
	}
	request := c.Spec.Resources.Requests[corev1.ResourceStorage]
	return a.want(wanted{owner: refOf(o).String(), claim: Claim{
		Namespace: c.Namespace, Name: c.Name, Labels: c.Labels, Annotations: withoutBinding(c.Annotations), Request: request.String(),
	}})
}

func (a *assessment) want(w wanted) error {
	w.key = w.claim.key()
	if other, ok := a.wanted[w.key]; ok {
		return fmt.Errorf("the claim %s is wanted by %s and by %s: no plan can tell whose disk it is", w.key, other.owner, w.owner)
	}
	a.wanted[w.key] = w
	return nil
}

func (a *assessment) wantsSet(o *unstructured.Unstructured) error {
	set, err := typed[appsv1.StatefulSet](o)
	if err != nil {
		return err
	}
	for _, name := range claimNames(set, replicasOf(set)) {
		if err := a.want(a.claimOfSet(set, name.template, name.claim)); err != nil {
			return err
		}
	}
	return nil
}

func (a *assessment) claimOfSet(set *appsv1.StatefulSet, t *corev1.PersistentVolumeClaim, name string) wanted {
	labels := maps.Clone(t.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	if set.Spec.Selector != nil {
		maps.Copy(labels, set.Spec.Selector.MatchLabels)
	}
	request := t.Spec.Resources.Requests[corev1.ResourceStorage]
	return wanted{owner: "StatefulSet " + set.Namespace + "/" + set.Name, set: set, claim: Claim{
		Namespace: set.Namespace, Name: name, Labels: labels, Annotations: withoutBinding(t.Annotations), Request: request.String(),
	}}
}

func withoutBinding(annotations map[string]string) map[string]string {
	kept := maps.Clone(annotations)
	maps.DeleteFunc(kept, func(k, _ string) bool {
		return strings.HasPrefix(k, "pv.kubernetes.io/") || strings.HasPrefix(k, "volume.kubernetes.io/") || strings.HasPrefix(k, "volume.beta.kubernetes.io/")
	})
	return kept
}

func replicasOf(set *appsv1.StatefulSet) int {
	if set.Spec.Replicas == nil {
		return 1
	}
	return int(*set.Spec.Replicas)
}

type claimName struct {
	template *corev1.PersistentVolumeClaim
	claim    string
}

// claimNames are the claims of the first n pods of a set.
func claimNames(set *appsv1.StatefulSet, n int) (all []claimName) {
	start := 0
	if set.Spec.Ordinals != nil {
		start = int(set.Spec.Ordinals.Start)
	}
	for i := range set.Spec.VolumeClaimTemplates {
		t := &set.Spec.VolumeClaimTemplates[i]
		for ordinal := start; ordinal < start+n; ordinal++ {
			all = append(all, claimName{t, fmt.Sprintf("%s-%s-%d", t.Name, set.Name, ordinal)})
		}
	}
	return all
}

// beyond finds the set that a claim was of whose ordinal the manifests no longer have, so that its disk keeps its claim.
func (a *assessment) beyond(key string, sets []*appsv1.StatefulSet) (w wanted, several bool) {
	namespace, name, _ := strings.Cut(key, "/")
	base, ordinal := name[:max(strings.LastIndexByte(name, '-'), 0)], name[strings.LastIndexByte(name, '-')+1:]
	if ordinal == "" || strings.Trim(ordinal, "0123456789") != "" {
		return w, false
	}
	for _, set := range sets {
		for i := range set.Spec.VolumeClaimTemplates {
			t := &set.Spec.VolumeClaimTemplates[i]
			if set.Namespace == namespace && t.Name+"-"+set.Name == base {
				several = w.owner != ""
				w = a.claimOfSet(set, t, name)
				w.key = key
			}
		}
	}
	return w, several
}

// verdict is what is done about one claim.
type verdict struct {
	claim    Claim
	owner    string
	question *Question
	volumes  []found
}

// judge decides about the volumes of one claim. What the facts do not decide becomes a question.
func (a *assessment) judge(key string, sets []*appsv1.StatefulSet) verdict {
	namespace, name, _ := strings.Cut(key, "/")
	v := verdict{volumes: a.volumes[key]}
	var doubts []string
	w, ok := a.wanted[key]
	if !ok {
		var several bool
		if w, several = a.beyond(key, sets); several {
			doubts = append(doubts, "two sets could have made a claim of this name")
		}
	}
	v.owner, v.claim = w.owner, w.claim
	if v.owner == "" {
		v.claim = Claim{Namespace: namespace, Name: name}
		doubts = append(doubts, "no set and no claim of the manifests has this claim"+a.inSnapshot(key))
	}
	if len(v.volumes) > 1 {
		doubts = append(doubts, fmt.Sprintf("%d volumes were claimed under this name", len(v.volumes)))
	}
	doubts = append(doubts, a.taken(key, v.volumes)...)
	for _, f := range v.volumes {
		doubts = append(doubts, f.doubts()...)
		v.claim.Volumes = append(v.claim.Volumes, candidate(f.pv))
	}
	v.claim.fit()
	if len(doubts) > 0 {
		v.question = v.ask(doubts)
	}
	return v
}

func (a *assessment) inSnapshot(key string) string {
	if owner, ok := a.known[key]; ok {
		return "; in the snapshot it is of " + owner
	}
	return ", nor has the snapshot"
}

// taken says why a live claim of that name is in the way.
func (a *assessment) taken(key string, volumes []found) []string {
	c := a.claims[key]
	if c == nil || len(volumes) == 1 && c.Spec.VolumeName == volumes[0].pv.Name {
		return nil
	}
	if c.Spec.VolumeName == "" {
		return []string{fmt.Sprintf("there is a claim of this name already, %s and without a volume: it would get an empty one", c.Status.Phase)}
	}
	return []string{fmt.Sprintf("the claim of this name is %s with the volume %s", c.Status.Phase, c.Spec.VolumeName)}
}

func (f found) doubts() (all []string) {
	if f.gone {
		all = append(all, fmt.Sprintf("the object of volume %s is gone; the snapshot says that its policy was %s and its disk %s: is the disk still there?",
			f.pv.Name, f.pv.Spec.PersistentVolumeReclaimPolicy, handle(f.pv)))
	}
	if f.pv.DeletionTimestamp != nil {
		all = append(all, fmt.Sprintf("volume %s is being deleted, and cannot be bound", f.pv.Name))
	}
	if f.pv.Status.Phase == corev1.VolumeFailed {
		all = append(all, fmt.Sprintf("volume %s has failed: %s", f.pv.Name, f.pv.Status.Message))
	}
	return all
}

// fit asks for no more than the smallest volume has, and for all of it when nothing else is known.
func (c *Claim) fit() {
	want, err := resource.ParseQuantity(c.Request)
	for _, v := range c.Volumes {
		if has, herr := resource.ParseQuantity(v.Capacity); err != nil || want.IsZero() || herr == nil && want.Cmp(has) > 0 {
			c.Request = ""
		}
	}
}

// ask makes the question about a claim. The facts are those that a person compares: nothing in them changes by itself.
func (v *verdict) ask(doubts []string) *Question {
	q := &Question{ID: "claim/" + v.claim.key(), Ask: "Which volume is the claim " + v.claim.key() + " to be bound to?", Facts: doubts, Before: phaseName(2)}
	for _, f := range v.volumes {
		q.Facts = append(q.Facts, f.fact())
		means := "bind it to this volume; a claim of that name that is there must be removed by a person first, after a look at its volume"
		if f.gone {
			means = "the disk is there: make the volume's object again, and bind it"
		}
		q.Choices = append(q.Choices, Choice{Answer: f.pv.Name, Means: means})
	}
	q.Choices = append(q.Choices, Choice{Answer: answerLeave, Means: "leave volumes and claim as they are; a set that wants this claim and finds none makes an empty one"})
	return q
}

func (f found) fact() string {
	uid := "no claim's UID"
	if f.pv.Spec.ClaimRef != nil && f.pv.Spec.ClaimRef.UID != "" {
		uid = "claim UID " + string(f.pv.Spec.ClaimRef.UID)
	}
	return fmt.Sprintf("volume %s: disk %s, %s, class %q, made %s, %s, %s", f.pv.Name, handle(f.pv), capacity(f.pv), f.pv.Spec.StorageClassName,
		f.pv.CreationTimestamp.UTC().Format(time.RFC3339), f.state(), uid)
}

func (f found) state() string {
	if f.gone {
		return "Gone"
	}
	return string(f.pv.Status.Phase)
}

// row is what the plan says of a volume.
func (v *verdict) row(f found) Volume {
	r := Volume{Name: f.pv.Name, Handle: handle(f.pv), State: f.state(), Claim: v.claim.key(), Owner: v.owner, Use: "rebind"}
	switch {
	case v.question != nil:
		r.Use, r.Why = "ask", v.question.ID
	case f.gone:
		r.Use = "recreate"
	}
	return r
}

// claimed sorts volumes by the claims that they belong to.
func (a *assessment) claimed(live, old []*corev1.PersistentVolume) {
	a.volumes = map[string][]found{}
	byName := map[string]*corev1.PersistentVolume{}
	handles := map[string]bool{}
	for _, pv := range live {
		byName[pv.Name] = pv
		handles[handle(pv)] = true
	}
	was := map[string]*corev1.PersistentVolume{}
	for _, pv := range old {
		was[pv.Name] = pv
		if byName[pv.Name] == nil && !handles[handle(pv)] {
			a.belongs(claimOf(pv), found{pv, true})
		}
	}
	for _, pv := range live {
		key := claimOf(pv)
		if before := was[pv.Name]; key == "" && before != nil && handle(before) == handle(pv) {
			key = claimOf(before)
		}
		if key == "" {
			a.unclaimed = append(a.unclaimed, pv)
			continue
		}
		a.belongs(key, found{pv, false})
	}
	for _, fs := range a.volumes {
		slices.SortFunc(fs, func(x, y found) int { return cmp.Compare(x.pv.Name, y.pv.Name) })
	}
}

func (a *assessment) belongs(key string, f found) {
	namespace, _, _ := strings.Cut(key, "/")
	if slices.Contains(a.namespaces, namespace) {
		a.volumes[key] = append(a.volumes[key], f)
	}
}
