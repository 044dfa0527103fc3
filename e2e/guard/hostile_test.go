//go:build e2e

package guard_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var tiny = []set{{name: "etcd", replicas: 2, templates: []string{"data"}}}

// disks is what the volumes and claims of an environment are, in words that only change when something of them does.
func (e *environment) disks() string {
	e.Helper()
	var b strings.Builder
	l, err := cluster.Client().CoreV1().PersistentVolumes().List(e.Context(), metav1.ListOptions{LabelSelector: "environment=" + e.ns})
	if err != nil {
		e.Fatal(err)
	}
	for _, v := range l.Items {
		fmt.Fprintln(&b, v.Name, v.UID, v.ResourceVersion, v.Status.Phase)
	}
	c, err := cluster.Client().CoreV1().PersistentVolumeClaims(e.ns).List(e.Context(), metav1.ListOptions{})
	if err != nil {
		e.Fatal(err)
	}
	for _, x := range c.Items {
		fmt.Fprintln(&b, x.Name, x.UID, x.ResourceVersion, x.Status.Phase)
	}
	return b.String()
}

// stops wants an apply that asks, and leaves volumes and claims as they are.
func (e *environment) stops(about ...string) {
	e.Helper()
	before := e.disks()
	out := e.recover(4)
	for _, what := range about {
		if !strings.Contains(out, what) {
			e.Errorf("it does not speak of %q:\n%s", what, out)
		}
	}
	if after := e.disks(); after != before {
		e.Errorf("volumes or claims are not as before:\n%s\nand were\n%s", after, before)
	}
}

// steal makes the namespace again, and in it a claim on another volume.
func (e *environment) steal(claim, volume string) {
	e.Helper()
	e.makeVolume(volume, claim, "")
	e.apply(fmt.Sprintf(`
{apiVersion: v1, kind: Namespace, metadata: {name: %s}}
---
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {namespace: %[1]s, name: %s}, spec: {storageClassName: disks, volumeName: %s, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}
`, e.ns, claim, volume))
	e.kubectl("-n", e.ns, "wait", "--for=jsonpath={.status.phase}=Bound", "pvc/"+claim, "--timeout=2m")
}

// settle waits until the volume controller has seen a volume.
func (e *environment) settle(volume string) {
	e.Helper()
	e.kubectl("wait", "--for=jsonpath={.status.phase}=Released", "pv/"+volume, "--timeout=2m")
}

func (e *environment) answerAll(but string) {
	for _, a := range [][2]string{{"secret/" + e.ns + "/from-outside", "later"}, {"git/mended", "mended"}, {"sync/argocd/" + e.ns, "sync"}} {
		if a[0] != but {
			e.answer(a[0], a[1])
		}
	}
}

func TestWhatIsNotClearIsAskedAndNothingIsTouched(t *testing.T) {
	e := live(t, "hostile", tiny)
	e.lose()
	e.steal("data-etcd-0", "pv-hostile-stranger")
	e.makeVolume("pv-hostile-history", "data-etcd-1", "8c6f0a5e-0000-4000-8000-000000000001")
	e.settle("pv-hostile-history")
	e.makeVolume("pv-hostile-mystery", "scratch", "8c6f0a5e-0000-4000-8000-000000000002")
	e.settle("pv-hostile-mystery")
	e.plan(4)
	e.answerAll("")
	e.stops("claim/hostile/data-etcd-0", "is Bound with the volume pv-hostile-stranger",
		"claim/hostile/data-etcd-1", "2 volumes were claimed under this name", "disk-of-pv-hostile-history",
		"claim/hostile/scratch", "no set and no claim of the manifests has this claim")
	// A person says which, and it still is not done while the name is taken.
	e.answer("claim/hostile/data-etcd-0", "pv-hostile-data-etcd-0")
	e.answer("claim/hostile/data-etcd-1", "pv-hostile-data-etcd-1")
	e.answer("claim/hostile/scratch", "leave")
	e.stops("hostile/data-etcd-0: the claim is Bound with the volume pv-hostile-stranger, and not with pv-hostile-data-etcd-0")
	e.kubectl("-n", e.ns, "delete", "pvc", "data-etcd-0")
	e.recover(0)
	e.secret()
	e.whole()
	for _, name := range []string{"pv-hostile-stranger", "pv-hostile-history", "pv-hostile-mystery"} {
		if v := e.volumes()[name]; v.Status.Phase != corev1.VolumeReleased || v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain {
			t.Errorf("volume %s is %s and %s", name, v.Status.Phase, v.Spec.PersistentVolumeReclaimPolicy)
		}
	}
}

func TestAClaimTakenAfterThePlanWasMadeStopsIt(t *testing.T) {
	e := live(t, "taken", tiny)
	e.lose()
	e.plan(4)
	e.answerAll("")
	e.steal("data-etcd-1", "pv-taken-stranger")
	e.stops("taken/data-etcd-1: the claim is Bound with the volume pv-taken-stranger")
	if out := e.kubectl("-n", e.ns, "get", "statefulsets,deployments", "-o", "name"); out != "" {
		t.Errorf("workloads were made: %s", out)
	}
}

func TestADiskThatIsAnotherStopsIt(t *testing.T) {
	e := live(t, "swapped", tiny)
	e.lose()
	e.plan(4)
	e.answerAll("")
	was := e.volumes()["pv-swapped-data-etcd-0"]
	e.kubectl("delete", "pv", was.Name)
	// The object of that name is another disk's now.
	e.apply(fmt.Sprintf(`{apiVersion: v1, kind: PersistentVolume, metadata: {name: %s, labels: {environment: swapped}}, spec: {capacity: {storage: 10Gi}, accessModes: [ReadWriteOnce],
  persistentVolumeReclaimPolicy: Retain, storageClassName: disks, claimRef: {apiVersion: v1, kind: PersistentVolumeClaim, namespace: swapped, name: data-etcd-0, uid: %s}, csi: {driver: disks.example.com, volumeHandle: other}}}`,
		was.Name, was.Spec.ClaimRef.UID))
	e.settle(was.Name)
	e.stops("is the disk csi:disks.example.com/other, and was csi:disks.example.com/disk-of-pv-swapped-data-etcd-0")
}

func TestAPlanIsForOneClusterAndOneSetOfManifests(t *testing.T) {
	e := live(t, "other", tiny)
	e.lose()
	e.plan(4)
	b, err := os.ReadFile(e.path("plan.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	e.answerAll("")
	if err := os.WriteFile(e.path("manifests/v1.ConfigMap.yaml"), []byte("{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {a: changed}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := e.disks()
	if out := e.recover(1); !strings.Contains(out, "are not those that the plan was made from") {
		t.Errorf("it goes on with other manifests: %s", out)
	}
	system, err := cluster.Client().CoreV1().Namespaces().Get(t.Context(), "kube-system", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	other := strings.ReplaceAll(string(b), string(system.UID), "8c6f0a5e-0000-4000-8000-000000000003")
	if err := os.WriteFile(e.path("plan.yaml"), []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := e.recover(1); !strings.Contains(out, "the plan is for another cluster") {
		t.Errorf("it goes on in another cluster: %s", out)
	}
	if e.disks() != before {
		t.Error("volumes or claims have changed")
	}
}
