package recovery

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
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

// looks observe the steps of each action. Those of others are done when their question is answered.
var looks map[Action]func(*Run, context.Context, *Step) (observation, error)

func init() { // some look at other steps
	looks = map[Action]func(*Run, context.Context, *Step) (observation, error){
		Scale: (*Run).lookScale, PauseSync: (*Run).lookSync, ResumeSync: (*Run).lookSync, RetainAll: (*Run).lookRetain, Quiet: (*Run).lookQuiet,
		Export: (*Run).lookExport, Assess: (*Run).lookAssess, Namespace: (*Run).lookNamespace, Recreate: (*Run).lookRecreate,
		AwaitKeys: (*Run).lookSecret, Rebind: (*Run).lookRebind, Restored: (*Run).lookRestored, Apply: (*Run).lookApply, Close: (*Run).lookClose,
	}
}

// look observes a step. It changes nothing.
func (r *Run) look(ctx context.Context, s *Step) (observation, error) {
	if look, ok := looks[s.Action]; ok {
		return look(r, ctx, s)
	}
	return observation{}, nil
}

// live looks at an object as the cluster has it. Without it the observation is absent.
func (r *Run) live(ctx context.Context, of Ref, absent observation, look func(*unstructured.Unstructured) (observation, error)) (observation, error) {
	o, err := r.Cluster.find(ctx, of)
	if err != nil || o == nil {
		return absent, err
	}
	return look(o)
}

func (r *Run) lookExport(ctx context.Context, _ *Step) (observation, error) {
	if _, err := snapshot.Read(ctx, snapshot.Folder(r.exportPath())); err == nil {
		return observation{}, nil
	}
	return act("take a snapshot into %s", r.exportPath()), nil
}

func (r *Run) exportPath() string { return filepath.Join(r.Dir, "before") }

func (r *Run) lookScale(ctx context.Context, s *Step) (observation, error) {
	absent := observation{}
	if *s.Replicas > 0 {
		absent = stop("%s is not there: it was when the plan was made", s.Object)
	}
	return r.live(ctx, *s.Object, absent, func(o *unstructured.Unstructured) (observation, error) {
		if number(o, "spec", "replicas") != *s.Replicas {
			return act("set its replicas to %d", *s.Replicas), nil
		}
		return settled(o, *s.Replicas), nil
	})
}

// settled tells whether a workload's controller has done what its spec says: that many pods are there, and ready.
func settled(o *unstructured.Unstructured, n int64) observation {
	if number(o, "status", "observedGeneration") < o.GetGeneration() {
		return wait("its controller has not seen it yet")
	}
	if has := number(o, "status", "readyReplicas"); has < n {
		return wait("%d of %d pods are ready", has, n)
	}
	if has := number(o, "status", "replicas"); n == 0 && has > 0 {
		return wait("%d pods are still there", has)
	}
	return observation{}
}

func (r *Run) lookSync(ctx context.Context, s *Step) (observation, error) {
	absent := observation{}
	if s.Action == ResumeSync {
		absent = stop("%s is not there", s.Object)
	}
	return r.live(ctx, *s.Object, absent, func(o *unstructured.Unstructured) (observation, error) {
		has, ok, _ := unstructured.NestedMap(o.Object, "spec", "syncPolicy", "automated")
		switch {
		case s.Action == PauseSync && ok:
			return act("take its automated sync"), nil
		case s.Action == ResumeSync && (!ok || !sameJSON(has, s.Automated)):
			return act("give it its automated sync"), nil
		}
		return observation{}, nil
	})
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
func (r *Run) lookAssess(ctx context.Context, _ *Step) (observation, error) {
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
	return r.live(ctx, *s.Object, act("make it"), func(o *unstructured.Unstructured) (observation, error) {
		switch {
		case o.GetDeletionTimestamp() != nil:
			return wait("it is being deleted: %s", conditions(o)), nil
		case s.Digest == "":
			return observation{}, nil
		}
		return r.compare(ctx, s, o)
	})
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
	absent := stop("%s is not there, and is not in the manifests: make it, with the keys %v", s.Object, s.Keys)
	return r.live(ctx, *s.Object, absent, func(o *unstructured.Unstructured) (observation, error) {
		data, _, _ := unstructured.NestedMap(o.Object, "data")
		for _, k := range s.Keys {
			if _, ok := data[k]; !ok {
				return stop("%s has no key %q, which it had", s.Object, k), nil
			}
		}
		return observation{}, nil
	})
}

func (r *Run) lookRestored(ctx context.Context, s *Step) (observation, error) {
	for _, key := range s.Claims {
		absent := stop("the claim %s is not there: somebody has to restore it", key)
		o, err := r.live(ctx, claimRef(split(key)), absent, func(o *unstructured.Unstructured) (observation, error) {
			if phase, _, _ := unstructured.NestedString(o.Object, "status", "phase"); phase != string(corev1.ClaimBound) {
				return wait("the claim %s is %s", key, phase), nil
			}
			return observation{}, nil
		})
		if err != nil || o.state != done {
			return o, err
		}
	}
	return observation{}, nil
}

// bound looks whether claims are bound to their volumes. Those that nothing is to be done for are.
func (r *Run) bound(ctx context.Context, keys []string) (observation, error) {
	for _, key := range keys {
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

func (r *Run) lookClose(ctx context.Context, _ *Step) (observation, error) {
	return r.bound(ctx, r.keys())
}

// passing tells whether an error may be another one when the same is asked again.
func passing(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsTooManyRequests(err) ||
		apierrors.IsServiceUnavailable(err) || apierrors.IsInternalError(err) || apierrors.IsAlreadyExists(err) || meta.IsNoMatchError(err) || unreachable(err)
}
