//go:build e2e

package trust_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-telemetry/holdfast/e2e/trust"
)

// restart runs the service again with more in its configuration.
func (s *service) restart(more string) {
	s.Helper()
	s.program.Stop()
	text, err := os.ReadFile(s.path("trust.yaml"))
	if err != nil {
		s.Fatal(err)
	}
	s.write("trust.yaml", string(text)+more)
	s.run(s.program, "it listened", func(context.Context) error {
		if _, err := httpGet(s.TB.(*testing.T), s.url+"/v1/keys"); err != nil {
			return err
		}
		return nil
	})
}

// verified says whether images are signed by a key, each of them.
func (s *service) verified(key string, images ...string) error {
	cmd := exec.CommandContext(s.Context(), s.bin, append([]string{"verify", "--keys", s.url + "/v1/keys", "--pin", s.path("pin.pem")}, images...)...)
	raw, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("verify: %w: %s", err, raw)
	}
	out := string(raw)
	if strings.Count(out, "by "+key) != len(images) {
		return fmt.Errorf("verify prints %s", out)
	}
	return nil
}

// What runs in a cluster, what a CronJob of it will run, and what the reviewed list names are signed by the next key by themselves, and so
// are the images that the cluster is tested with. What runs there and was never signed is not.
func TestWhatAClusterRunsIsSignedByTheNextKeyByItself(t *testing.T) {
	s := startService(t, "")
	cosign := trust.NewCosign(t.Context(), t)
	running, nightly, theirs, never := s.push("app/web"), s.push("app/nightly"), s.push("upstream/redis"), s.push("app/never")
	s.sign(running.String(), nightly.String())
	within(t, soon, admitted(t, s.namespace, running.String()))
	pod := corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "c", Image: running.String()}}}
	if _, err := cluster.Client().CoreV1().Pods(s.namespace).Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: pod}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	job := *pod.DeepCopy()
	job.Containers[0].Image = nightly.String()
	if _, err := cluster.Client().BatchV1().CronJobs(s.namespace).Create(t.Context(), &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Name: "nightly"},
		Spec: batchv1.CronJobSpec{Schedule: "0 3 * * *", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: job}}}}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// It runs in a namespace that policy-controller does not look at.
	unseen := cluster.Namespace(t, map[string]string{trust.ExcludeLabel: "true"})
	pod.Containers[0].Image = never.String()
	if _, err := cluster.Client().CoreV1().Pods(unseen).Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "never"}, Spec: pod}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.write("images.yaml", fmt.Sprintf("images:\n- {reference: %q, owner: o, reviewed-by: r, expires: %s}\n", theirs, time.Now().AddDate(0, 2, 0).Format(time.DateOnly)))
	s.restart(fmt.Sprintf("resign: {images: [images.yaml], repositories: [%q], deployed: [{kubeconfig: %q}]}\nselftest: {repository: %s/selftest}\n", s.registry.Host+"/app/**", cluster.Kubeconfig(), s.registry.Host))
	s.must("keys", "rotate")
	good := strings.Fields(s.must("selftest", "images", s.registry.Host+"/selftest"))[0]
	within(t, time.Minute, func() error {
		return s.verified("images/2", running.String(), nightly.String(), theirs.String(), good)
	})
	// The old key ends, and everything goes on.
	s.must("keys", "revoke", "images/1")
	key, err := httpGet(t, s.url+"/v1/keys/images/2.pem")
	if err != nil {
		t.Fatal(err)
	}
	if err := cosign.Verify(t.Context(), key, running, ""); err != nil {
		t.Errorf("cosign: %v", err)
	}
	within(t, soon, refused(t, s.namespace, never.String(), "no signatures found"))
	for _, image := range []string{running.String(), nightly.String(), theirs.String()} {
		within(t, soon, admitted(t, s.namespace, image))
	}
	out := s.must("selftest", "--repository", s.registry.Host+"/selftest", "--namespace", s.namespace, "--kubeconfig", cluster.Kubeconfig())
	if !strings.HasPrefix(out, "ok: "+good) {
		t.Errorf("the self-test prints %s", out)
	}
	s.inventoried(map[string]string{running.Name(): "admitted", nightly.Name(): "admitted", never.Name(): "refused"})
}

// inventoried looks at what the service says of what the cluster runs.
func (s *service) inventoried(want map[string]string) {
	s.Helper()
	config, err := os.ReadFile(s.path("trust.yaml"))
	if err != nil {
		s.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(config), "admin-listen: ")
	admin, _, _ := strings.Cut(rest, "\n")
	raw, err := httpGet(s.TB.(*testing.T), "http://"+admin+"/v1/resign")
	if err != nil {
		s.Fatal(err)
	}
	var page struct {
		Deployed struct {
			Images []struct{ Image, Verdict, First string }
		}
	}
	if err := json.Unmarshal(raw, &page); err != nil {
		s.Fatal(err)
	}
	for _, i := range page.Deployed.Images {
		if want[i.Image] == i.Verdict {
			delete(want, i.Image)
		}
	}
	if len(want) > 0 {
		s.Errorf("the service does not say %v, but %s", want, raw)
	}
}
