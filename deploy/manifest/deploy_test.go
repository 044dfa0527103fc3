package manifest_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/cel-go/cel"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"github.com/holdfast-telemetry/holdfast/deploy/manifest"
)

const operatorName = "holdfast-operator"

// read reads a manifest of deploy/.
func read(t *testing.T, file string) []manifest.Document {
	t.Helper()
	text, err := os.ReadFile("../" + file)
	if err != nil {
		t.Fatal(err)
	}
	docs, err := manifest.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return docs
}

func TestManifestsDecodeStrictly(t *testing.T) {
	for file, want := range map[string]int{"holdfast-operator.yaml": 14, "classes.yaml": 1, "daemonset.yaml": 6} {
		if docs := read(t, file); len(docs) != want {
			t.Errorf("%s has %d documents, want %d", file, len(docs), want)
		}
	}
}

func TestUnknownAndDoubleFieldsAreErrors(t *testing.T) {
	for _, text := range []string{
		"apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {port: []}\n",
		"apiVersion: v1\nkind: Service\nmetadata: {name: a, name: b}\n",
		"apiVersion: apps/v1\nkind: Service\nmetadata: {name: a}\n",
	} {
		if _, err := manifest.Parse([]byte(text)); err == nil {
			t.Errorf("no error for\n%s", text)
		}
	}
}

// rules are all rules that the operator's service account is given.
func rules(t *testing.T, docs []manifest.Document) []rbacv1.PolicyRule {
	t.Helper()
	var all []rbacv1.PolicyRule
	for _, d := range docs {
		switch r := d.Object.(type) {
		case *rbacv1.ClusterRole:
			all = append(all, r.Rules...)
		case *rbacv1.Role:
			all = append(all, r.Rules...)
		}
	}
	if len(all) == 0 {
		t.Fatal("there are no rules")
	}
	return all
}

func TestOperatorTouchesSecretsByNameOnly(t *testing.T) {
	docs := read(t, "holdfast-operator.yaml")
	for _, r := range rules(t, docs) {
		if slices.Contains(r.Resources, "secrets") && len(r.ResourceNames) == 0 {
			t.Errorf("a rule for every Secret: %+v", r)
		}
	}
	cluster := manifest.Find[*rbacv1.ClusterRole](docs, operatorName)
	for _, r := range cluster.Rules {
		if slices.Contains(r.Resources, "secrets") && !slices.Equal(r.ResourceNames, []string{"holdfast-classes"}) {
			t.Errorf("in all namespaces: %v, want holdfast-classes alone", r.ResourceNames)
		}
	}
}

func TestOperatorCannotChangeWhatPodsRun(t *testing.T) {
	for _, r := range rules(t, read(t, "holdfast-operator.yaml")) {
		for _, resource := range r.Resources {
			writes := slices.ContainsFunc(r.Verbs, func(v string) bool { return !slices.Contains([]string{"get", "list", "watch"}, v) })
			switch {
			case strings.Contains(resource, "*") || slices.Contains(r.Verbs, "*") || slices.Contains(r.APIGroups, "*"):
				t.Errorf("a rule with a star: %+v", r)
			case resource == "pods" && writes, resource == "pods/exec", resource == "pods/ephemeralcontainers", resource == "pods/eviction":
				t.Errorf("too much: %+v", r)
			case resource == "pods/status" && !slices.Equal(r.Verbs, []string{"patch"}):
				t.Errorf("too much: %+v", r)
			case slices.Contains([]string{"roles", "clusterroles", "rolebindings", "clusterrolebindings", "serviceaccounts/token"}, resource):
				t.Errorf("a way to more rights: %+v", r)
			case resource == "mutatingwebhookconfigurations" && !slices.Equal(r.ResourceNames, []string{operatorName}):
				t.Errorf("other people's webhooks: %+v", r)
			}
		}
	}
}

// kubectl apply takes back what the applied file says and the cluster does not. So an upgrade is safe for what the file does not have.
func TestUpgradeLeavesWhatTheOperatorKeeps(t *testing.T) {
	docs := read(t, "holdfast-operator.yaml")
	var kept []string
	for _, d := range docs {
		s, ok := d.Object.(*corev1.Secret)
		if !ok {
			continue
		}
		kept = append(kept, s.Name)
		if len(s.Data)+len(s.StringData) > 0 {
			t.Errorf("the manifest has data of Secret %s", s.Name)
		}
		live, next := s.DeepCopy(), s.DeepCopy()
		live.Data = map[string][]byte{"key": []byte("value")}
		next.Labels["app.kubernetes.io/version"] = "9.9.9"
		if got := upgrade(t, s, next, live); string(got.Data["key"]) != "value" || got.Labels["app.kubernetes.io/version"] != "9.9.9" {
			t.Errorf("Secret %s after an upgrade: %+v", s.Name, got)
		}
	}
	if want := []string{"holdfast-operator-last-good", "holdfast-operator-tls"}; !slices.Equal(slices.Sorted(slices.Values(kept)), want) {
		t.Errorf("Secrets %v, want %v: the classes are the user's", kept, want)
	}
}

// upgrade merges as kubectl apply and Helm do: what changed from old to next, into what is live.
func upgrade[T runtime.Object](t *testing.T, old, next, live T) T {
	t.Helper()
	meta, err := strategicpatch.NewPatchMetaFromStruct(old)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := strategicpatch.CreateThreeWayMergePatch(asJSON(t, old), asJSON(t, next), asJSON(t, live), meta, true)
	if err != nil {
		t.Fatal(err)
	}
	merged, err := strategicpatch.StrategicMergePatchUsingLookupPatchMeta(asJSON(t, live), patch, meta)
	if err != nil {
		t.Fatal(err)
	}
	var got T
	if err := json.Unmarshal(merged, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestUpgradeLeavesTheCABundle(t *testing.T) {
	webhook := manifest.Find[*admissionregistrationv1.MutatingWebhookConfiguration](read(t, "holdfast-operator.yaml"), operatorName)
	if len(webhook.Webhooks[0].ClientConfig.CABundle) > 0 {
		t.Fatal("the manifest has a bundle")
	}
	live := webhook.DeepCopy()
	live.Webhooks[0].ClientConfig.CABundle = []byte("bundle")
	next := webhook.DeepCopy()
	next.Webhooks[0].TimeoutSeconds = new(int32(7))

	got := upgrade(t, webhook, next, live)
	if len(got.Webhooks) != 1 || string(got.Webhooks[0].ClientConfig.CABundle) != "bundle" || *got.Webhooks[0].TimeoutSeconds != 7 {
		t.Errorf("after the upgrade: %+v", got)
	}
}

func asJSON(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOnlyAnnotatedPodsReachTheWebhook(t *testing.T) {
	w := manifest.Find[*admissionregistrationv1.MutatingWebhookConfiguration](read(t, "holdfast-operator.yaml"), operatorName).Webhooks[0]
	env, err := cel.NewEnv(cel.Variable("object", cel.DynType))
	if err != nil {
		t.Fatal(err)
	}
	ast, issues := env.Compile(w.MatchConditions[0].Expression)
	if issues.Err() != nil {
		t.Fatal(issues.Err())
	}
	program, err := env.Program(ast)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		annotations map[string]any
		want        bool
	}{
		{nil, false},
		{map[string]any{}, false},
		{map[string]any{"prometheus.io/scrape": "true"}, false},
		{map[string]any{"telegraf.influxdata.com/class": "app"}, true},
		{map[string]any{"holdfast.dev/port": "8080"}, true},
		{map[string]any{"metrics.holdfast.dev/port": "8080"}, true},
		{map[string]any{"holdfast.development/port": "8080", "xholdfast.dev/a": ""}, false},
	} {
		metadata := map[string]any{"name": "p"}
		if c.annotations != nil {
			metadata["annotations"] = c.annotations
		}
		got, _, err := program.Eval(map[string]any{"object": map[string]any{"metadata": metadata}})
		if err != nil {
			t.Errorf("%v: %v", c.annotations, err)
		} else if got.Value() != c.want {
			t.Errorf("%v: %v, want %v", c.annotations, got.Value(), c.want)
		}
	}
}

func TestWebhookAsksForPodCreationOutsideSystemNamespaces(t *testing.T) {
	w := manifest.Find[*admissionregistrationv1.MutatingWebhookConfiguration](read(t, "holdfast-operator.yaml"), operatorName).Webhooks[0]
	r := w.Rules[0]
	if len(w.Rules) != 1 || !slices.Equal(r.Resources, []string{"pods"}) || len(r.Operations) != 1 || r.Operations[0] != admissionregistrationv1.Create {
		t.Errorf("rules %+v", w.Rules)
	}
	if *w.FailurePolicy != admissionregistrationv1.Ignore || *w.SideEffects != admissionregistrationv1.SideEffectClassNone {
		t.Errorf("failurePolicy %s, sideEffects %s", *w.FailurePolicy, *w.SideEffects)
	}
	selector, err := metav1.LabelSelectorAsSelector(w.NamespaceSelector)
	if err != nil {
		t.Fatal(err)
	}
	for namespace, want := range map[string]bool{"shop": true, "kube-system": false, operatorName: false} {
		if got := selector.Matches(labels.Set{corev1.LabelMetadataName: namespace}); got != want {
			t.Errorf("%s: %v", namespace, got)
		}
	}
	if selector.Matches(labels.Set{corev1.LabelMetadataName: "shop", "holdfast.dev/injection": "disabled"}) {
		t.Error("a namespace that opted out is asked for")
	}
}

func TestOperatorsPodsMeetPodSecurityRestricted(t *testing.T) {
	docs := read(t, "holdfast-operator.yaml")
	ns := manifest.Find[*corev1.Namespace](docs, operatorName)
	if ns.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
		t.Errorf("the namespace's labels are %v", ns.Labels)
	}
	pod := manifest.Find[*appsv1.Deployment](docs, operatorName).Spec.Template.Spec
	checkTight(t, pod)
	if pod.HostNetwork || pod.HostPID || pod.HostIPC {
		t.Error("the pod uses a namespace of the host")
	}
	for _, v := range pod.Volumes {
		if v.EmptyDir == nil && v.Projected == nil && v.Secret == nil && v.ConfigMap == nil {
			t.Errorf("volume %s is of a kind that restricted refuses", v.Name)
		}
	}
}

// checkTight checks what Pod Security "restricted" wants of a pod's and its containers' security contexts, and a read-only root.
func checkTight(t *testing.T, pod corev1.PodSpec) {
	t.Helper()
	sc := pod.SecurityContext
	if sc == nil || sc.RunAsNonRoot == nil || !*sc.RunAsNonRoot || sc.RunAsUser == nil || *sc.RunAsUser == 0 || sc.SeccompProfile == nil {
		t.Errorf("the pod's security context is %+v", sc)
	}
	for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
		sc := c.SecurityContext
		if sc == nil || sc.AllowPrivilegeEscalation == nil || *sc.AllowPrivilegeEscalation || sc.Capabilities == nil ||
			!slices.Equal(sc.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(sc.Capabilities.Add) > 0 ||
			sc.ReadOnlyRootFilesystem == nil || !*sc.ReadOnlyRootFilesystem {
			t.Errorf("%s: security context %+v", c.Name, sc)
		}
		if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() || !c.Resources.Limits.Cpu().IsZero() {
			t.Errorf("%s: resources %+v", c.Name, c.Resources)
		}
		if strings.HasSuffix(c.Image, ":latest") || !strings.ContainsAny(c.Image, ":@") {
			t.Errorf("%s: image %s is not pinned", c.Name, c.Image)
		}
	}
}

func TestCheckerHasNoToken(t *testing.T) {
	pod := manifest.Find[*appsv1.Deployment](read(t, "holdfast-operator.yaml"), operatorName).Spec.Template.Spec
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		t.Error("a token is mounted in every container")
	}
	for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
		has := slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == "token" })
		if want := c.Name == "operator"; has != want {
			t.Errorf("%s has the token: %v", c.Name, has)
		}
	}
}

func TestEverythingPointsAtTheOperatorsPods(t *testing.T) {
	docs := read(t, "holdfast-operator.yaml")
	template := manifest.Find[*appsv1.Deployment](docs, operatorName).Spec.Template
	pod := labels.Set(template.Labels)
	service := manifest.Find[*corev1.Service](docs, operatorName)
	if !labels.SelectorFromSet(service.Spec.Selector).Matches(pod) {
		t.Error("the Service does not select the pods")
	}
	for selector, s := range map[string]*metav1.LabelSelector{
		"Deployment":          manifest.Find[*appsv1.Deployment](docs, operatorName).Spec.Selector,
		"PodDisruptionBudget": manifest.Find[*policyv1.PodDisruptionBudget](docs, operatorName).Spec.Selector,
		"spread":              template.Spec.TopologySpreadConstraints[0].LabelSelector,
		"anti-affinity":       template.Spec.Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution[0].PodAffinityTerm.LabelSelector,
	} {
		compiled, err := metav1.LabelSelectorAsSelector(s)
		if err != nil {
			t.Fatal(err)
		}
		if !compiled.Matches(pod) {
			t.Errorf("%s does not select the pods", selector)
		}
	}
	container := template.Spec.Containers[0]
	port := func(name intstr.IntOrString) string {
		for _, p := range container.Ports {
			if p.Name == name.StrVal {
				return fmt.Sprint(":", p.ContainerPort)
			}
		}
		return ""
	}
	for flag, name := range map[string]intstr.IntOrString{
		"--webhook-addr": service.Spec.Ports[0].TargetPort,
		"--metrics-addr": service.Spec.Ports[1].TargetPort,
		"--probe-addr":   container.ReadinessProbe.HTTPGet.Port,
	} {
		if want := flag + "=" + port(name); !slices.Contains(container.Args, want) {
			t.Errorf("no %s among the arguments", want)
		}
	}
	ref := manifest.Find[*admissionregistrationv1.MutatingWebhookConfiguration](docs, operatorName).Webhooks[0].ClientConfig.Service
	if ref.Name != service.Name || ref.Namespace != service.Namespace || *ref.Port != service.Spec.Ports[0].Port || *ref.Path != "/mutate-v1-pod" {
		t.Errorf("the webhook is at %+v", ref)
	}
}

func TestEveryMountHasItsVolume(t *testing.T) {
	for _, file := range []string{"holdfast-operator.yaml", "daemonset.yaml"} {
		for _, d := range read(t, file) {
			var pod corev1.PodSpec
			switch o := d.Object.(type) {
			case *appsv1.Deployment:
				pod = o.Spec.Template.Spec
			case *appsv1.DaemonSet:
				pod = o.Spec.Template.Spec
			default:
				continue
			}
			used := map[string]bool{}
			for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
				for _, m := range c.VolumeMounts {
					used[m.Name] = true
				}
			}
			for _, v := range pod.Volumes {
				if !used[v.Name] {
					t.Errorf("%s: volume %s is mounted nowhere", file, v.Name)
				}
				delete(used, v.Name)
			}
			if len(used) > 0 {
				t.Errorf("%s: no volumes for %v", file, used)
			}
		}
	}
}
