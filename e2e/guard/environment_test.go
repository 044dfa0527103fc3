//go:build e2e

package guard_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
)

// patience bounds every wait for something that comes by itself.
const patience = 3 * time.Minute

// gitops makes what stands for Argo CD: its controllers, in name, and its Applications' definition.
func gitops(ctx context.Context) error {
	_, err := cluster.Apply(ctx, `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: applications.argoproj.io}
spec:
  group: argoproj.io
  scope: Namespaced
  names: {kind: Application, plural: applications, singular: application, listKind: ApplicationList}
  versions:
  - {name: v1alpha1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: argocd}}
---
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: disks}, provisioner: kubernetes.io/no-provisioner, reclaimPolicy: Retain}
---
{apiVersion: storage.k8s.io/v1, kind: CSIDriver, metadata: {name: disks.example.com}, spec: {attachRequired: false}}
---
`+controller("StatefulSet", "argocd-application-controller")+"---\n"+controller("Deployment", "argocd-applicationset-controller"))
	if err != nil {
		return err
	}
	_, err = cluster.Kubectl(ctx, "wait", "--for=condition=Established", "crd/applications.argoproj.io", "--timeout=2m")
	return err
}

func controller(kind, name string) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: %s
metadata: {namespace: argocd, name: %s}
spec:
  replicas: 1
  %s
  selector: {matchLabels: {app: %[2]s}}
  template: {metadata: {labels: {app: %[2]s}}, spec: {containers: [{name: c, image: argocd}]}}
`, kind, name, map[string]string{"StatefulSet": "serviceName: argocd"}[kind])
}

// set is a StatefulSet of an environment.
type set struct {
	name      string
	replicas  int
	templates []string
	group     string // partition group
	parallel  bool
}

// environment is what one test loses and brings back.
type environment struct {
	*testing.T
	ns   string
	sets []set
	dir  string // of files
}

func (e *environment) path(name string) string { return filepath.Join(e.dir, name) }

// claims are the names of all claims.
func (e *environment) claims() (all []string) {
	for _, s := range e.sets {
		for _, t := range s.templates {
			for i := range s.replicas {
				all = append(all, fmt.Sprintf("%s-%s-%d", t, s.name, i))
			}
		}
	}
	return all
}

func (e *environment) volume(claim string) string { return "pv-" + e.ns + "-" + claim }

// manifests are the files of the environment's last good revision.
func (e *environment) manifests() map[string]string {
	all := map[string]string{
		"v1.Namespace-" + e.ns + ".yaml": fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %s, labels: {team: storage}}}\n", e.ns),
		"v1.ConfigMap.yaml":              "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {a: b}}\n",
		"v1.Service.etcd.yaml":           "{apiVersion: v1, kind: Service, metadata: {name: etcd}, spec: {clusterIP: None, publishNotReadyAddresses: true, selector: {app: etcd}, ports: [{port: 2379}]}}\n",
		"pdb.yaml":                       "{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: kafka}, spec: {maxUnavailable: 1, selector: {matchLabels: {app: kafka}}}}\n",
		"gateway.yaml":                   stateless("gateway-write", 2, ""),
		"queryd.yaml":                    stateless("queryd", 2, "envFrom: [{secretRef: {name: from-outside}}]"),
		"cron.yaml": `apiVersion: batch/v1
kind: CronJob
metadata: {name: report}
spec: {schedule: "0 0 1 1 *", jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: report}]}}}}}
`,
	}
	for _, s := range e.sets {
		all["apps.v1.StatefulSet."+s.name+".yaml"] = s.manifest()
	}
	return all
}

func stateless(name string, replicas int, more string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %s}
spec:
  replicas: %d
  selector: {matchLabels: {app: %[1]s}}
  template: {metadata: {labels: {app: %[1]s}}, spec: {containers: [{name: c, image: app, readinessProbe: {tcpSocket: {port: 80}}, %[3]s}]}}
`, name, replicas, more)
}

func (s set) manifest() string {
	policy := "OrderedReady"
	if s.parallel {
		policy = "Parallel"
	}
	labels := ""
	if s.group != "" {
		labels = ", labels: {guard.holdfast.dev/partition-group: " + s.group + "}"
	}
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: apps/v1
kind: StatefulSet
metadata: {name: %s%s}
spec:
  replicas: %d
  serviceName: %[1]s
  podManagementPolicy: %[4]s
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      containers: [{name: c, image: app, readinessProbe: {tcpSocket: {port: 80}}, livenessProbe: {tcpSocket: {port: 80}}}]
  volumeClaimTemplates:
`, s.name, labels, s.replicas, policy)
	for _, t := range s.templates {
		fmt.Fprintf(&b, "  - {metadata: {name: %s}, spec: {storageClassName: disks, accessModes: [ReadWriteOnce], resources: {requests: {storage: 5Gi}}}}\n", t)
	}
	return b.String()
}

// live makes the environment: volumes by hand, each for its claim, and everything of the manifests; and waits until it runs.
func live(t *testing.T, ns string, sets []set) *environment {
	t.Helper()
	e := &environment{T: t, ns: ns, sets: sets, dir: t.TempDir()}
	for _, c := range e.claims() {
		e.makeVolume(e.volume(c), c, "")
	}
	t.Cleanup(e.clear)
	if err := os.MkdirAll(e.path("manifests"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range e.manifests() {
		if err := os.WriteFile(e.path("manifests/"+name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	policy := "quiet: 1s\nfreeze: []\n"
	if err := os.WriteFile(e.path("policy.yaml"), []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	e.kubectl("create", "namespace", ns)
	e.secret()
	e.kubectl("-n", ns, "apply", "-f", e.path("manifests"))
	e.apply(fmt.Sprintf(`{apiVersion: argoproj.io/v1alpha1, kind: Application, metadata: {namespace: argocd, name: %s}, spec: {destination: {namespace: %[1]s}, syncPolicy: {automated: {prune: true, selfHeal: true}}}}`, ns))
	e.running()
	return e
}

func (e *environment) secret() {
	e.Helper()
	e.kubectl("-n", e.ns, "create", "secret", "generic", "from-outside", "--from-literal=password=x")
}

func (e *environment) apply(documents string) {
	e.Helper()
	if _, err := cluster.Apply(e.Context(), documents); err != nil {
		e.Fatal(err)
	}
}

func (e *environment) kubectl(args ...string) string {
	e.Helper()
	out, err := cluster.Kubectl(e.Context(), args...)
	if err != nil {
		e.Fatal(err)
	}
	return out
}

// makeVolume makes a volume that only one claim can take, or one that a claim of that UID had.
func (e *environment) makeVolume(name, claim, uid string) {
	e.Helper()
	_, err := cluster.Client().CoreV1().PersistentVolumes().Create(e.Context(), &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"environment": e.ns, "claim": claim}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:    corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("10Gi")},
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			StorageClassName: "disks", ClaimRef: &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: e.ns, Name: claim, UID: types.UID(uid)},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "disks.example.com", VolumeHandle: "disk-of-" + name}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		e.Fatal(err)
	}
}

// await waits until the condition returns nil.
func (e *environment) await(what string, condition func(context.Context) error) {
	e.Helper()
	kube.Eventually(e.T, patience, what, condition)
}

func (e *environment) running() {
	e.Helper()
	e.await("every set of "+e.ns+" runs", func(ctx context.Context) error {
		l, err := cluster.Client().AppsV1().StatefulSets(e.ns).List(ctx, metav1.ListOptions{})
		if err != nil || len(l.Items) != len(e.sets) {
			return fmt.Errorf("%d sets: %w", len(l.Items), err)
		}
		for _, s := range l.Items {
			if s.Status.ReadyReplicas != *s.Spec.Replicas {
				return fmt.Errorf("%s has %d pods ready", s.Name, s.Status.ReadyReplicas)
			}
		}
		return nil
	})
}

// lose deletes everything but the volumes, as the incident did.
func (e *environment) lose() {
	e.Helper()
	e.kubectl("delete", "namespace", e.ns, "--wait=false")
	e.await("namespace "+e.ns+" is gone and its volumes are Released", func(ctx context.Context) error {
		if _, err := cluster.Client().CoreV1().Namespaces().Get(ctx, e.ns, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the namespace is there: %w", err)
		}
		for _, v := range e.volumes() {
			if v.Status.Phase != corev1.VolumeReleased {
				return fmt.Errorf("volume %s is %s", v.Name, v.Status.Phase)
			}
		}
		return nil
	})
}

// volumes are those of the environment, by name.
func (e *environment) volumes() map[string]corev1.PersistentVolume {
	e.Helper()
	l, err := cluster.Client().CoreV1().PersistentVolumes().List(e.Context(), metav1.ListOptions{LabelSelector: "environment=" + e.ns})
	if err != nil {
		e.Fatal(err)
	}
	all := map[string]corev1.PersistentVolume{}
	for _, v := range l.Items {
		all[v.Name] = v
	}
	return all
}

// clear takes the volumes of a test away: no other test may see them.
func (e *environment) clear() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the test's is over
	defer cancel()
	for _, args := range [][]string{
		{"delete", "namespace", e.ns, "--wait=false", "--ignore-not-found"},
		{"delete", "pv", "-l", "environment=" + e.ns, "--wait=false"},
		{"-n", "argocd", "delete", "applications.argoproj.io", e.ns, "--ignore-not-found"},
	} {
		if _, err := cluster.Kubectl(ctx, args...); err != nil {
			e.Log(err)
		}
	}
}

// guardCommand is the built program.
func guardCommand(ctx context.Context, args ...string) *exec.Cmd {
	path, err := filepath.Abs(filepath.Join("..", "..", "bin", "holdfast-guard"))
	if err != nil {
		panic(err)
	}
	return exec.CommandContext(ctx, path, args...)
}

// guard runs the built program and wants that exit code. It returns what it prints.
func (e *environment) guard(code int, args ...string) string {
	e.Helper()
	ctx, cancel := context.WithTimeout(e.Context(), 10*time.Minute)
	defer cancel()
	out, err := guardCommand(ctx, args...).CombinedOutput()
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		e.Fatal(err)
	}
	if got != code {
		e.Fatalf("holdfast-guard %s ended with %d, want %d:\n%s", strings.Join(args, " "), got, code, out)
	}
	return string(out)
}

// plan makes a plan and wants that exit code.
func (e *environment) plan(code int, more ...string) string {
	e.Helper()
	return e.guard(code, append([]string{"recover", "plan", "--kubeconfig", cluster.Kubeconfig(), "--manifests", e.path("manifests"), "--namespace", e.ns,
		"--policy", e.path("policy.yaml"), "--output", e.path("plan.yaml")}, more...)...)
}

func (e *environment) recover(code int, more ...string) string {
	e.Helper()
	return e.guard(code, append([]string{"recover", "apply", "--yes", "--kubeconfig", cluster.Kubeconfig(), e.path("plan.yaml")}, more...)...)
}

// answer writes an answer into the plan, as a person would.
func (e *environment) answer(question, answer string) {
	e.Helper()
	b, err := os.ReadFile(e.path("plan.yaml"))
	if err != nil {
		e.Fatal(err)
	}
	lines := strings.Split(string(b), "\n")
	for i, line := range lines {
		if strings.TrimSpace(strings.TrimPrefix(line, "-")) != "id: "+question {
			continue
		}
		for j := i; j > 0; j-- { // answer is the first key of a question
			if k, _, _ := strings.Cut(lines[j], ":"); strings.TrimSpace(strings.TrimPrefix(k, "-")) == "answer" {
				lines[j] = k + ": " + answer
				if err := os.WriteFile(e.path("plan.yaml"), []byte(strings.Join(lines, "\n")), 0o600); err != nil {
					e.Fatal(err)
				}
				return
			}
		}
	}
	e.Fatalf("the plan has no question %s", question)
}

// whole fails unless each claim is bound to its own volume, by name, by disk and by UID.
func (e *environment) whole() {
	e.Helper()
	volumes := e.volumes()
	for _, name := range e.claims() {
		c, err := cluster.Client().CoreV1().PersistentVolumeClaims(e.ns).Get(e.Context(), name, metav1.GetOptions{})
		if err != nil {
			e.Error(err)
			continue
		}
		v := volumes[e.volume(name)]
		if c.Status.Phase != corev1.ClaimBound || c.Spec.VolumeName != v.Name || v.Status.Phase != corev1.VolumeBound || v.Spec.ClaimRef.UID != c.UID {
			e.Errorf("claim %s is %s with %s, and that volume is %s", name, c.Status.Phase, c.Spec.VolumeName, v.Status.Phase)
		}
		if v.Labels["claim"] != name || v.Spec.CSI.VolumeHandle != "disk-of-"+e.volume(name) || v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain {
			e.Errorf("claim %s has the disk %s of %s", name, v.Spec.CSI.VolumeHandle, v.Labels["claim"])
		}
	}
	if l, err := cluster.Client().CoreV1().PersistentVolumeClaims(e.ns).List(e.Context(), metav1.ListOptions{}); err != nil || len(l.Items) != len(e.claims()) {
		e.Errorf("there are %d claims, want %d: %v", len(l.Items), len(e.claims()), err)
	}
}
