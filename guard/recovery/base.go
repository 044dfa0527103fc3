package recovery

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

func untyped(v any) (map[string]any, error) {
	return runtime.DefaultUnstructuredConverter.ToUnstructured(v)
}

// place is where in the plan the manifests of a kind belong that are no workloads.
type place struct{ phase, rank int }

// places are those of built-in kinds. Kinds of operators are applied when these run again.
var places = map[string]place{
	"CustomResourceDefinition.apiextensions.k8s.io": {3, 0},
	"Namespace":                                    {3, 1},
	"PriorityClass.scheduling.k8s.io":              {3, 2},
	"RuntimeClass.node.k8s.io":                     {3, 2},
	"StorageClass.storage.k8s.io":                  {3, 2},
	"ServiceAccount":                               {3, 3},
	"ClusterRole.rbac.authorization.k8s.io":        {3, 4},
	"Role.rbac.authorization.k8s.io":               {3, 4},
	"ClusterRoleBinding.rbac.authorization.k8s.io": {3, 5},
	"RoleBinding.rbac.authorization.k8s.io":        {3, 5},
	"LimitRange":                                   {3, 6},
	"ResourceQuota":                                {3, 6},
	"ConfigMap":                                    {3, 7},
	"Secret":                                       {3, 7},
	"Service":                                      {3, 9},
	"NetworkPolicy.networking.k8s.io":              {3, 10},
	"IngressClass.networking.k8s.io":               {3, 10},
	"Ingress.networking.k8s.io":                    {3, 11},
	"PodDisruptionBudget.policy":                   {9, 1},
	"HorizontalPodAutoscaler.autoscaling":          {9, 2},
	// What refuses pods while the service behind it is not there yet.
	"APIService.apiregistration.k8s.io":                             {10, 1},
	"ValidatingWebhookConfiguration.admissionregistration.k8s.io":   {10, 2},
	"MutatingWebhookConfiguration.admissionregistration.k8s.io":     {10, 2},
	"ValidatingAdmissionPolicy.admissionregistration.k8s.io":        {10, 2},
	"ValidatingAdmissionPolicyBinding.admissionregistration.k8s.io": {10, 3},
	"AppProject.argoproj.io":                                        {10, 5},
}

const (
	rankHeadless = 8
	rankCustom   = 4
)

func placeOf(m Manifest) place {
	p, ok := places[m.GroupVersionKind().GroupKind().String()]
	if !ok {
		return place{10, rankCustom}
	}
	if ip, _, _ := unstructured.NestedString(m.Object, "spec", "clusterIP"); m.GetKind() == "Service" && ip == "None" {
		p.rank = rankHeadless
	}
	return p
}

var workloadKinds = []string{"StatefulSet.apps", "Deployment.apps", "DaemonSet.apps", "ReplicaSet.apps", "Pod", "CronJob.batch", "Job.batch"}

func isWorkload(m Manifest) bool {
	return slices.Contains(workloadKinds, m.GroupVersionKind().GroupKind().String())
}

// applied is the step that applies a manifest as it is.
func (b *builder) applied(m Manifest) Step {
	r := refOf(m.Unstructured)
	return Step{ID: id(Apply, r), Action: Apply, Object: &r, Digest: m.Digest, Before: "its namespace is Active", After: "it is as in the manifest"}
}

// base adds what is no workload, and no claim, at its place.
func (b *builder) base(context.Context) error {
	b.namespaces()
	type placed struct {
		place
		Manifest
	}
	var all []placed
	for _, m := range b.Manifests.objects {
		switch k := m.GroupVersionKind().GroupKind().String(); {
		case k == "Namespace" || k == "PersistentVolumeClaim" || isWorkload(m) || k == "Application.argoproj.io" || k == "ApplicationSet.argoproj.io":
		case k == "PersistentVolume":
			b.plan.Notes = append(b.plan.Notes, m.Origin+": a volume's manifest is not applied: it could take the reclaim policy or the claim from the one that is there")
		default:
			all = append(all, placed{placeOf(m), m})
		}
		if m.GetKind() == "HorizontalPodAutoscaler" {
			b.autoscaled(m)
		}
	}
	slices.SortStableFunc(all, func(x, y placed) int { return cmp.Or(cmp.Compare(x.phase, y.phase), cmp.Compare(x.rank, y.rank)) })
	for _, p := range all {
		b.add(p.phase, b.applied(p.Manifest))
	}
	return nil
}

// autoscaled notes the least number of pods of a workload that an autoscaler scales.
func (b *builder) autoscaled(m Manifest) {
	kind, _, _ := unstructured.NestedString(m.Object, "spec", "scaleTargetRef", "kind")
	name, _, _ := unstructured.NestedString(m.Object, "spec", "scaleTargetRef", "name")
	least, ok, _ := unstructured.NestedInt64(m.Object, "spec", "minReplicas")
	if f, isFloat, _ := unstructured.NestedFloat64(m.Object, "spec", "minReplicas"); !ok && isFloat {
		least = int64(f)
	}
	b.hpas[kind+" "+m.GetNamespace()+"/"+name] = max(least, 1)
}

func (b *builder) namespaces() {
	for _, ns := range b.plan.Namespaces {
		r := Ref{APIVersion: "v1", Kind: "Namespace", Name: ns}
		s := Step{ID: id(Namespace, r), Action: Namespace, Object: &r, Before: "one that is being deleted is gone", After: "it is Active",
			Abort: "it stays Terminating: its conditions say which finalizer holds it"}
		if m := b.Manifests.find(r); m != nil {
			s.Digest = m.Digest
		}
		b.add(3, s)
	}
}

// secrets finds the Secrets that workloads need and that the manifests do not have.
func (b *builder) secrets(ctx context.Context) error {
	needed := map[string][]string{}
	for _, m := range b.Manifests.objects {
		if !isWorkload(m) {
			continue
		}
		spec, err := podSpec(m.Unstructured)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Origin, err)
		}
		for _, name := range secretsOf(spec) {
			key := m.GetNamespace() + "/" + name
			needed[key] = append(needed[key], refOf(m.Unstructured).String())
		}
	}
	for _, key := range slices.Sorted(maps.Keys(needed)) {
		if err := b.secret(ctx, key, needed[key]); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) secret(ctx context.Context, key string, users []string) error {
	r := Ref{APIVersion: "v1", Kind: "Secret"}
	r.Namespace, r.Name = split(key)
	if b.Manifests.find(r) != nil {
		return nil
	}
	s := Step{ID: id(AwaitKeys, r), Action: AwaitKeys, Object: &r, Before: "somebody makes it: it is not in the manifests", After: "it is there, with its keys", Decides: "a person"}
	if b.Snapshot != nil {
		if known := b.Snapshot.Secret(r.Namespace, r.Name); known != nil {
			s.Keys = known.Keys
		}
	}
	live, err := b.cluster.find(ctx, r)
	if err != nil {
		return err
	}
	if live == nil {
		q := Question{ID: "secret/" + key, Before: "p3/" + s.ID, Ask: "The Secret " + key + " is not in the manifests and not in the cluster. Is it there now?",
			Choices: []Choice{{"made", "it is made, with all its keys; the plan looks"}, {"later", "something makes it later: do not wait for it"}}}
		q.Facts = append(q.Facts, fmt.Sprintf("used by %v", slices.Compact(users)))
		if len(s.Keys) > 0 {
			q.Facts = append(q.Facts, fmt.Sprintf("its keys were %v", s.Keys))
		}
		s.Question, s.When = b.ask(q), []string{"made"}
	}
	b.add(3, s)
	return nil
}

// podSpec is that of a workload.
func podSpec(o *unstructured.Unstructured) (*corev1.PodSpec, error) {
	path := []string{"spec", "template", "spec"}
	switch o.GetKind() {
	case "Pod":
		path = path[:1]
	case "CronJob":
		path = append([]string{"spec", "jobTemplate"}, path...)
	}
	m, _, err := unstructured.NestedMap(o.Object, path...)
	if err != nil {
		return nil, err
	}
	var spec corev1.PodSpec
	return &spec, runtime.DefaultUnstructuredConverter.FromUnstructured(m, &spec)
}

// secretsOf are the names of those that a pod does not start without.
func secretsOf(spec *corev1.PodSpec) []string {
	names := map[string]bool{}
	need := func(name string, optional *bool) {
		if name != "" && (optional == nil || !*optional) {
			names[name] = true
		}
	}
	for _, v := range spec.Volumes {
		if v.Secret != nil {
			need(v.Secret.SecretName, v.Secret.Optional)
		}
		if v.Projected != nil {
			for _, s := range v.Projected.Sources {
				if s.Secret != nil {
					need(s.Secret.Name, s.Secret.Optional)
				}
			}
		}
	}
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		for _, e := range c.EnvFrom {
			if e.SecretRef != nil {
				need(e.SecretRef.Name, e.SecretRef.Optional)
			}
		}
		for _, e := range c.Env {
			if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
				need(e.ValueFrom.SecretKeyRef.Name, e.ValueFrom.SecretKeyRef.Optional)
			}
		}
	}
	for _, s := range spec.ImagePullSecrets {
		need(s.Name, nil)
	}
	return slices.Sorted(maps.Keys(names))
}
