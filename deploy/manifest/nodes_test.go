package manifest_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/models"
	_ "github.com/influxdata/telegraf/plugins/inputs/cpu"
	_ "github.com/influxdata/telegraf/plugins/inputs/disk"
	_ "github.com/influxdata/telegraf/plugins/inputs/diskio"
	_ "github.com/influxdata/telegraf/plugins/inputs/kernel"
	_ "github.com/influxdata/telegraf/plugins/inputs/kubernetes"
	_ "github.com/influxdata/telegraf/plugins/inputs/mem"
	_ "github.com/influxdata/telegraf/plugins/inputs/net"
	_ "github.com/influxdata/telegraf/plugins/inputs/processes"
	_ "github.com/influxdata/telegraf/plugins/inputs/swap"
	_ "github.com/influxdata/telegraf/plugins/inputs/system"
	_ "github.com/influxdata/telegraf/plugins/outputs/file"
	_ "github.com/influxdata/telegraf/plugins/serializers/influx"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/holdfast-telemetry/holdfast/deploy/manifest"
	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

const nodes = "holdfast-operator-nodes"

// load loads the nodes' configuration and the example class, as the DaemonSet's Telegraf does, with a kubelet at hostPort.
func load(t *testing.T, hostPort, token string) *config.Config {
	t.Helper()
	text := manifest.Find[*corev1.ConfigMap](read(t, "daemonset.yaml"), nodes).Data["nodes.conf"]
	text = strings.Replace(text, "$HOSTIP:10250", hostPort, 1)
	text = strings.Replace(text, "/var/run/secrets/kubernetes.io/serviceaccount/token", token, 1)
	class := manifest.Find[*corev1.Secret](read(t, "classes.yaml"), "holdfast-operator-classes").StringData["default"]
	c := config.NewConfig()
	for name, text := range map[string]string{"nodes.conf": text, "class.conf": class} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := c.LoadConfig(path); err != nil { // unknown plugins and options are errors
			t.Fatal(err)
		}
	}
	return c
}

func TestNodesConfigurationIsTelegrafs(t *testing.T) {
	t.Setenv("NODENAME", "node-1")
	c := load(t, "127.0.0.1:10250", "token")
	want := []string{"cpu", "disk", "diskio", "kernel", "kubernetes", "mem", "net", "processes", "swap", "system"}
	if got := slices.Sorted(slices.Values(c.InputNames())); !slices.Equal(got, want) {
		t.Errorf("inputs %v, want %v", got, want)
	}
	if got := c.OutputNames(); !slices.Equal(got, []string{"file"}) {
		t.Errorf("outputs %v, want the class's", got)
	}
	if c.Agent.Hostname != "node-1" {
		t.Errorf("hostname %q, want the node's name", c.Agent.Hostname)
	}
}

// recorder notes the names of what an input gathers, and its last error. Inputs that use more of an accumulator panic.
type recorder struct {
	telegraf.Accumulator
	names []string
	err   error
}

func (r *recorder) AddFields(name string, _ map[string]any, _ map[string]string, _ ...time.Time) {
	r.names = append(r.names, name)
}

func (r *recorder) AddError(err error) {
	if err != nil {
		r.err = err
	}
}

// What the kubelet is asked decides which rights the service account needs.
func TestNodesInputAsksTheKubeletForWhatItMayAsk(t *testing.T) {
	var asked []string
	kubelet := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer secret" {
			t.Errorf("%s: authorization %q", r.URL, got)
		}
		asked = append(asked, r.URL.Path)
		answer := map[string]string{
			"/stats/summary": `{"node":{"nodeName":"node-1"},"pods":[{"podRef":{"name":"p","namespace":"shop"},"containers":[{"name":"c"}]}]}`,
			"/pods":          `{"items":[{"metadata":{"name":"p","namespace":"shop"}}]}`,
		}[r.URL.Path]
		if _, err := w.Write([]byte(answer)); err != nil {
			t.Error(err)
		}
	}))
	defer kubelet.Close()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := load(t, strings.TrimPrefix(kubelet.URL, "https://"), token)
	i := slices.IndexFunc(c.Inputs, func(r *models.RunningInput) bool { return r.Config.Name == "kubernetes" })
	if err := c.Inputs[i].Init(); err != nil {
		t.Fatal(err)
	}
	var acc recorder
	if err := c.Inputs[i].Input.Gather(&acc); err != nil {
		t.Fatal(err)
	}
	if acc.err != nil {
		t.Fatal(acc.err)
	}
	if !slices.Contains(acc.names, "kubernetes_node") || !slices.Contains(acc.names, "kubernetes_pod_container") {
		t.Errorf("gathered %v", acc.names)
	}
	if want := []string{"/stats/summary", "/pods"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %v, want %v: check the ClusterRole", asked, want)
	}
	role := manifest.Find[*rbacv1.ClusterRole](read(t, "daemonset.yaml"), nodes)
	want := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"nodes/stats", "nodes/pods"}, Verbs: []string{"get"}}}
	if len(role.Rules) != 1 || !slices.Equal(role.Rules[0].Resources, want[0].Resources) || !slices.Equal(role.Rules[0].Verbs, want[0].Verbs) {
		t.Errorf("rules %+v, want %+v", role.Rules, want)
	}
}

func TestNodesPodsAreAsTightAsHostMetricsAllow(t *testing.T) {
	docs := read(t, "daemonset.yaml")
	pod := manifest.Find[*appsv1.DaemonSet](docs, nodes).Spec.Template
	checkTight(t, pod.Spec)
	if pod.Spec.HostPID || pod.Spec.HostIPC {
		t.Error("the pods use more of the host than its network")
	}
	for _, m := range pod.Spec.Containers[0].VolumeMounts {
		if !m.ReadOnly {
			t.Errorf("%s can be written to", m.MountPath)
		}
	}
	ns := manifest.Find[*corev1.Namespace](docs, "holdfast-nodes")
	if ns == nil || ns.Labels["pod-security.kubernetes.io/enforce"] != "privileged" {
		t.Error("the namespace would refuse the host's folders")
	}
	if _, ok := pod.Labels["class.holdfast.dev/default"]; !ok || pod.Labels["sidecar.holdfast.dev/injected"] != "true" {
		t.Error("nothing asks the operator for the class")
	}
	sources := pod.Spec.Volumes[0].Projected.Sources
	if s := sources[len(sources)-1]; s.Secret == nil || s.Secret.Name != sidecar.ClassesName || sidecar.ClassesIn(pod.Labels) != sidecar.InSecret {
		t.Errorf("the class is read from %+v; labels %v", s, pod.Labels)
	}
}
