package recovery

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/holdfast-telemetry/holdfast/guard/snapshot"
)

// state is what a look at the cluster says of a step.
type state int

const (
	done    state = iota // its postcondition holds
	ready                // it may act
	waiting              // for something that comes by itself
	asks                 // a person has to look
)

// observation is a look's result: why says what is missing, or what there is to do.
type observation struct {
	state state
	why   string
}

func wait(format string, args ...any) observation {
	return observation{waiting, fmt.Sprintf(format, args...)}
}
func stop(format string, args ...any) observation {
	return observation{asks, fmt.Sprintf(format, args...)}
}
func act(format string, args ...any) observation {
	return observation{ready, fmt.Sprintf(format, args...)}
}

// look observes a step. It changes nothing.
func (r *Run) look(ctx context.Context, s *Step) (observation, error) {
	switch s.Action {
	case Scale:
		return r.lookScale(ctx, s)
	case PauseSync, ResumeSync:
		return r.lookSync(ctx, s)
	case RetainAll:
		return r.lookRetain(ctx, s)
	case Quiet:
		return r.lookQuiet(ctx, s)
	case Export:
		if _, err := snapshot.Read(ctx, snapshot.Folder(r.exportPath())); err == nil {
			return observation{}, nil
		}
		return act("take a snapshot into %s", r.exportPath()), nil
	case Assess:
		return r.lookAssess(ctx)
	case Namespace:
		return r.lookNamespace(ctx, s)
	case Recreate:
		return r.lookRecreate(ctx, s)
	case AwaitKeys:
		return r.lookSecret(ctx, s)
	case Rebind:
		return r.lookRebind(ctx, s)
	case Restored:
		return r.lookRestored(ctx, s)
	case Apply:
		return r.lookApply(ctx, s)
	case Close:
		return r.lookClose(ctx)
	}
	return observation{}, nil // Confirm: the answer was all
}

func (r *Run) exportPath() string { return filepath.Join(r.Dir, "before") }

func (r *Run) lookScale(ctx context.Context, s *Step) (observation, error) {
	o, err := r.Cluster.find(ctx, *s.Object)
	if err != nil {
		return observation{}, err
	}
	if o == nil && *s.Replicas == 0 {
		return observation{}, nil
	}
	if o == nil {
		return stop("%s is not there: it was when the plan was made", s.Object), nil
	}
	if number(o, "spec", "replicas") != *s.Replicas {
		return act("set its replicas to %d", *s.Replicas), nil
	}
	return r.settled(ctx, o, *s.Replicas)
}

// settled tells whether a workload's controller has done what its spec says: that many pods are there, and ready.
func (r *Run) settled(_ context.Context, o *unstructured.Unstructured, n int64) (observation, error) {
	if number(o, "status", "observedGeneration") < o.GetGeneration() {
		return wait("its controller has not seen it yet"), nil
	}
	if has := number(o, "status", "readyReplicas"); has < n {
		return wait("%d of %d pods are ready", has, n), nil
	}
	if has := number(o, "status", "replicas"); n == 0 && has > 0 {
		return wait("%d pods are still there", has), nil
	}
	return observation{}, nil
}

func (r *Run) lookSync(ctx context.Context, s *Step) (observation, error) {
	o, err := r.Cluster.find(ctx, *s.Object)
	if err != nil {
		return observation{}, err
	}
	if o == nil && s.Action == PauseSync {
		return observation{}, nil
	}
	if o == nil {
		return stop("%s is not there", s.Object), nil
	}
	has, ok, _ := unstructured.NestedMap(o.Object, "spec", "syncPolicy", "automated")
	switch {
	case s.Action == PauseSync && ok:
		return act("take its automated sync"), nil
	case s.Action == ResumeSync && (!ok || !sameJSON(has, s.Automated)):
		return act("give it its automated sync"), nil
	}
	return observation{}, nil
}

func sameJSON(a, b any) bool {
	x, xerr := json.Marshal(a)
	y, yerr := json.Marshal(b)
	return xerr == nil && yerr == nil && string(x) == string(y)
}

// unretained are the volumes that would go with their claims.
func (r *Run) unretained(ctx context.Context, only string) (names []string, err error) {
	all, err := r.Cluster.list(ctx, "v1", "PersistentVolume", "")
	for _, o := range all {
		policy, _, _ := unstructured.NestedString(o.Object, "spec", "persistentVolumeReclaimPolicy")
		if policy != "Retain" && (only == "" || only == o.GetName()) {
			names = append(names, o.GetName())
		}
	}
	return names, err
}

func (r *Run) lookRetain(ctx context.Context, s *Step) (observation, error) {
	names, err := r.unretained(ctx, s.Volume)
	if err != nil || len(names) == 0 {
		return observation{}, err
	}
	return act("set %s to Retain", strings.Join(names, ", ")), nil
}

// pulse is what changes when somebody makes or deletes claims, sets or namespaces.
func (r *Run) pulse(ctx context.Context) (string, error) {
	var all []string
	for _, k := range []Ref{{APIVersion: "v1", Kind: "PersistentVolumeClaim"}, {APIVersion: "apps/v1", Kind: "StatefulSet"}, {APIVersion: "v1", Kind: "Namespace"}} {
		objects, err := r.Cluster.list(ctx, k.APIVersion, k.Kind, "")
		if err != nil {
			return "", err
		}
		for _, o := range objects {
			if slices.Contains(r.Plan.Namespaces, orElse(o.GetNamespace(), o.GetName())) {
				all = append(all, fmt.Sprint(o.GetUID(), o.GetDeletionTimestamp() != nil))
			}
		}
	}
	return strings.Join(all, " "), nil
}

func (r *Run) lookQuiet(ctx context.Context, s *Step) (observation, error) {
	now := r.now()
	pulse, err := r.pulse(ctx)
	if err != nil {
		return observation{}, err
	}
	if r.quietSince.IsZero() || pulse != r.lastPulse {
		r.quietSince, r.lastPulse = now, pulse
	}
	if left := s.quietFor() - now.Sub(r.quietSince); left > 0 {
		return wait("nothing has changed for %v of %s", now.Sub(r.quietSince).Round(1e9), s.For), nil
	}
	return observation{}, nil
}

// lookAssess looks at all volumes at once, so that a person hears of everything before anything is made.
func (r *Run) lookAssess(ctx context.Context) (observation, error) {
	var whys []string
	for _, s := range r.rebinds {
		if r.moot(s) {
			continue
		}
		o, err := r.lookRebind(ctx, s)
		if err != nil {
			return observation{}, err
		}
		if o.state == asks && !r.willRecreate(s) {
			whys = append(whys, s.Claim.key()+": "+o.why)
		}
	}
	if len(whys) > 0 {
		return stop("%s", strings.Join(whys, "\n")), nil
	}
	return observation{}, nil
}

// willRecreate tells whether the volume of a claim is made by another step of the plan.
func (r *Run) willRecreate(rebind *Step) (will bool) {
	v := r.choice(rebind)
	r.Plan.Steps(func(_ *Phase, s *Step) bool {
		will = s.Action == Recreate && v != nil && s.Volume == v.Volume && !r.moot(s)
		return !will
	})
	return will
}

func (r *Run) lookNamespace(ctx context.Context, s *Step) (observation, error) {
	o, err := r.Cluster.find(ctx, *s.Object)
	if err != nil {
		return observation{}, err
	}
	if o == nil {
		return act("make it"), nil
	}
	if o.GetDeletionTimestamp() != nil {
		return wait("it is being deleted: %s", conditions(o)), nil
	}
	if s.Digest == "" {
		return observation{}, nil
	}
	return r.compare(ctx, s, o)
}

// conditions are those of an object that say something.
func conditions(o *unstructured.Unstructured) string {
	all, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	var said []string
	for _, c := range all {
		if m, ok := c.(map[string]any); ok && m["status"] == "True" {
			said = append(said, fmt.Sprintf("%v: %v", m["type"], m["message"]))
		}
	}
	return strings.Join(said, "; ")
}

func (r *Run) lookSecret(ctx context.Context, s *Step) (observation, error) {
	o, err := r.Cluster.find(ctx, *s.Object)
	if err != nil {
		return observation{}, err
	}
	if o == nil {
		return stop("%s is not there, and is not in the manifests: make it, with the keys %v", s.Object, s.Keys), nil
	}
	data, _, _ := unstructured.NestedMap(o.Object, "data")
	for _, k := range s.Keys {
		if _, ok := data[k]; !ok {
			return stop("%s has no key %q, which it had", s.Object, k), nil
		}
	}
	return observation{}, nil
}

func (r *Run) lookRestored(ctx context.Context, s *Step) (observation, error) {
	for _, key := range s.Claims {
		namespace, name := split(key)
		o, err := r.Cluster.find(ctx, claimRef(namespace, name))
		if err != nil {
			return observation{}, err
		}
		if o == nil {
			return stop("the claim %s is not there: somebody has to restore it", key), nil
		}
		if phase, _, _ := unstructured.NestedString(o.Object, "status", "phase"); phase != string(corev1.ClaimBound) {
			return wait("the claim %s is %s", key, phase), nil
		}
	}
	return observation{}, nil
}

// prepared is a manifest as a step applies it.
func (r *Run) prepared(s *Step) (*unstructured.Unstructured, error) {
	m := r.Manifests.find(*s.Object)
	if m == nil {
		return nil, fmt.Errorf("the manifests have no %s, which step %s applies: they are not those of the plan", s.Object, s.ID)
	}
	if s.Digest != "" && m.Digest != s.Digest {
		return nil, fmt.Errorf("%s: %s is not as it was when the plan was made", m.Origin, s.Object)
	}
	o := m.DeepCopy()
	if s.Replicas != nil {
		_ = unstructured.SetNestedField(o.Object, *s.Replicas, "spec", "replicas") // a workload has a spec
	}
	if s.WithoutProbes {
		stripProbes(o)
	}
	if s.Suspended && s.Object.Kind == "CronJob" {
		_ = unstructured.SetNestedField(o.Object, true, "spec", "suspend")
	}
	if s.Suspended && s.Object.Kind == "Application" {
		unstructured.RemoveNestedField(o.Object, "spec", "syncPolicy", "automated")
	}
	return o, nil
}

func (r *Run) lookApply(ctx context.Context, s *Step) (observation, error) {
	live, err := r.Cluster.find(ctx, *s.Object)
	if err != nil {
		return observation{}, err
	}
	if live != nil && live.GetDeletionTimestamp() != nil {
		return wait("one of that name is being deleted"), nil
	}
	if live == nil || s.Replicas != nil && number(live, "spec", "replicas") < *s.Replicas {
		if o, err := r.lookClaims(ctx, s); err != nil || o.state != done {
			return o, err
		}
	}
	if live == nil {
		return act("make it"), nil
	}
	if o, err := r.lookSpec(ctx, s, live); err != nil || o.state != done {
		return o, err
	}
	return r.lookReady(ctx, s, live)
}

// lookClaims is what no workload starts without.
func (r *Run) lookClaims(ctx context.Context, s *Step) (observation, error) {
	for _, key := range s.Claims {
		rebind := r.rebinds[key]
		if rebind == nil || r.moot(rebind) {
			continue
		}
		o, err := r.lookRebind(ctx, rebind)
		if err != nil {
			return o, err
		}
		if o.state != done {
			return stop("its claim %s is not bound to its volume: %s", key, o.why), nil
		}
	}
	return observation{}, nil
}

// lookSpec compares a workload with its manifest. What has come further than this step is left alone: more replicas, probes that are
// back, a CronJob that runs again.
func (r *Run) lookSpec(ctx context.Context, s *Step, live *unstructured.Unstructured) (observation, error) {
	if s.Object.Kind == "Job" || s.Suspended {
		return observation{}, nil
	}
	n := number(live, "spec", "replicas")
	if s.Replicas != nil && (n < *s.Replicas || s.Exactly && n != *s.Replicas) {
		return act("bring it to %d replicas", *s.Replicas), nil
	}
	if s.WithoutProbes {
		return observation{}, nil
	}
	further := *s
	if s.Replicas != nil && !s.Exactly {
		further.Replicas = &n
	}
	return r.compare(ctx, &further, live)
}

// compare asks the API server what an object would be after the manifest was applied.
func (r *Run) compare(ctx context.Context, s *Step, live *unstructured.Unstructured) (observation, error) {
	o, err := r.prepared(s)
	if err != nil {
		return observation{}, err
	}
	would, err := r.Cluster.dry().apply(ctx, o)
	if err != nil {
		return observation{}, fmt.Errorf("asking what %s would be: %w", s.Object, err)
	}
	if !reflect.DeepEqual(bare(would), bare(live)) {
		return act("apply the manifest"), nil
	}
	return observation{}, nil
}

func bare(o *unstructured.Unstructured) map[string]any {
	c := o.DeepCopy()
	clean(c)
	return c.Object
}

// lookReady tells whether what was applied does its work.
func (r *Run) lookReady(ctx context.Context, s *Step, live *unstructured.Unstructured) (observation, error) {
	switch s.Object.Kind {
	case "CustomResourceDefinition":
		if !strings.Contains(conditions(live), "Established") {
			return wait("it is not established"), nil
		}
	case "StatefulSet", "Deployment", "ReplicaSet":
		o, err := r.settled(ctx, live, *s.Replicas)
		if err != nil || o.state != done {
			return o, err
		}
		if why := rolling(live); why != "" && !s.WithoutProbes {
			return wait("%s", why), nil
		}
	case "DaemonSet":
		if want, has := number(live, "status", "desiredNumberScheduled"), number(live, "status", "numberReady"); has < want || number(live, "status", "observedGeneration") < live.GetGeneration() {
			return wait("%d of %d pods are ready", has, want), nil
		}
	}
	return r.lookCheck(ctx, s)
}

// rolling says what a workload's update still has to do. Where pods are replaced by hand there is nothing to wait for.
func rolling(o *unstructured.Unstructured) string {
	kind, _, _ := unstructured.NestedString(o.Object, "spec", "updateStrategy", "type")
	if kind == "OnDelete" || number(o, "spec", "updateStrategy", "rollingUpdate", "partition") > 0 || o.GetKind() == "ReplicaSet" {
		return ""
	}
	if want, has := number(o, "spec", "replicas"), number(o, "status", "updatedReplicas"); has < want {
		return fmt.Sprintf("%d of %d pods are of the newest template", has, want)
	}
	return ""
}

// lookCheck runs the check of the policy. It is a person's program, and knows what quorum is.
func (r *Run) lookCheck(ctx context.Context, s *Step) (observation, error) {
	if len(s.Check) == 0 || r.unchecked {
		return observation{}, nil
	}
	cmd := exec.CommandContext(ctx, s.Check[0], s.Check[1:]...)
	cmd.Env = r.Environ
	out, err := cmd.CombinedOutput()
	if err != nil {
		said := strings.TrimSpace(string(out))
		return wait("the check %s says no: %v: %s", strings.Join(s.Check, " "), err, said[:min(len(said), 500)]), nil
	}
	return observation{}, nil
}

func (r *Run) lookClose(ctx context.Context) (observation, error) {
	for _, key := range r.keys() {
		s := r.rebinds[key]
		if r.moot(s) {
			continue
		}
		o, err := r.lookRebind(ctx, s)
		if err != nil {
			return o, err
		}
		if o.state != done {
			return stop("claim %s: %s", key, o.why), nil
		}
	}
	return observation{}, nil
}

// passing tells whether an error may be another one when the same is asked again.
func passing(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsTooManyRequests(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsInternalError(err) || apierrors.IsAlreadyExists(err) || meta.IsNoMatchError(err) || unreachable(err)
}
