package recovery

import (
	"context"
	"fmt"
	"os/exec"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

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
		if o, err := r.bound(ctx, s.Claims); err != nil || o.state != done {
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
		if o := settled(live, *s.Replicas); o.state != done {
			return o, nil
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
