//go:build e2e

package operator_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-telemetry/holdfast/e2e/operator"
)

// TestFlagsForThoseWhoWantItDurableAndStrict has an operator that denies pods whose sidecar cannot be made, and makes holdfast the usual agent.
func TestFlagsForThoseWhoWantItDurableAndStrict(t *testing.T) {
	c := ownCluster(t, 0)
	install(t, c, operator.Options{Args: []string{"--on-invalid=deny", "--sidecar-agent=holdfast", "--holdfast-image=registry.example/holdfast@sha256:" + digest}})
	in := c.Namespace(t, nil)
	pods := c.Client().CoreV1().Pods(in)
	_, err := pods.Create(t.Context(), annotated("wrong", "port", "http"), metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `no sidecar telegraf: telegraf.influxdata.com/port: "http" is not a port`) {
		t.Errorf("a pod whose sidecar cannot be made: %v", err)
	}
	if _, err := pods.Get(t.Context(), "wrong", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the pod that was denied is there: %v", err)
	}
	pod := annotated("right", "port", "8080", "holdfast.dev/buffer-volume", "journal")
	pod.Spec.Volumes = []corev1.Volume{{Name: "journal", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "journal"}}}}
	made, err := pods.Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sidecar := created{Pod: made}.sidecar(t)
	if sidecar.Command[0] != "/holdfast" || sidecar.Image != "registry.example/holdfast@sha256:"+digest {
		t.Errorf("the sidecar is %s of %s", sidecar.Command, sidecar.Image)
	}
	if got := mountedAt("/var/lib/holdfast")(sidecar); got != "journal" {
		t.Errorf("the journal is on the volume %q", got)
	}
	for _, v := range made.Spec.Volumes {
		if v.EmptyDir != nil {
			t.Errorf("the volume %s is added beside the claim", v.Name)
		}
	}
}

// A class is its author's, and pods of others must not be refused for it.
func TestAClassCannotMakeTheServerRefusePods(t *testing.T) {
	in := cluster.Namespace(t, nil)
	for name, env := range map[string]string{
		"field":   "{name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodename}}}",
		"divisor": `{name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: "2"}}}`,
	} {
		apply(t, classResource("TelegrafClass", in, name, out("x"), ", sidecar: {env: ["+env+"]}"))
		eventually(t, 20*time.Second, func() error {
			c, err := tryCreate(t, in, annotated("wait", "class", name, "port", "8080"), metav1.DryRunAll)
			if err == nil && strings.Contains(c.Annotations["sidecar.holdfast.dev/status"], "UnknownClass") {
				err = errors.New("the class is not there yet")
			}
			return err
		})
		create(t, in, annotated("p-"+name, "class", name, "port", "8080")).bare(t, "the variable ")
	}
}

// A private authority is mounted into the pods: the checker has no such file.
func TestClassOfAFileThatOnlyPodsHaveIsUsed(t *testing.T) {
	in := cluster.Namespace(t, nil)
	text := "[[outputs.influxdb_v2]]\n  urls = [\"https://influxdb.example\"]\n  tls_ca = \"/etc/ssl/corp/ca.pem\"\n"
	apply(t, classResource("TelegrafClass", in, "private", text, ""))
	awaitCondition(t, in, "private", "True", "PartlyChecked", "/etc/ssl/corp/ca.pem is only in the pod")
	apply(t, classResource("TelegrafClass", in, "mistaken", text+"  tokn = \"x\"\n", ""))
	awaitCondition(t, in, "mistaken", "False", "RefusedByAgent", "tokn")
	create(t, in, annotated("p", "class", "private", "port", "8080")).sidecar(t)
	delivered(t, in, "private", "/etc/ssl/corp/ca.pem")
}
