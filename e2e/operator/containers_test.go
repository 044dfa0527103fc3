//go:build e2e

package operator_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// resources is what a container requests and may have, as words.
func resources(c *corev1.Container) string {
	word := func(l corev1.ResourceList, name corev1.ResourceName) string {
		if q, ok := l[name]; ok {
			return q.String()
		}
		return "-"
	}
	r := c.Resources
	return fmt.Sprintf("%s %s of %s %s", word(r.Requests, "cpu"), word(r.Requests, "memory"), word(r.Limits, "cpu"), word(r.Limits, "memory"))
}

// has returns a check that a container is as wanted. What it does not find must be found by see.
func has[V comparable](container string, see func(*corev1.Container) V, want V) func(*testing.T, created) {
	return func(t *testing.T, c created) {
		t.Helper()
		found, _ := c.container(container)
		if found == nil {
			t.Fatalf("there is no container %s: %s", container, c.Annotations["sidecar.holdfast.dev/status"])
		}
		if got := see(found); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func image(c *corev1.Container) string { return c.Image }

// variable returns what sees a variable as JSON.
func variable(name string) func(*corev1.Container) string {
	return func(c *corev1.Container) string {
		text, err := json.Marshal(env(c, name))
		if err != nil {
			return err.Error()
		}
		return string(text)
	}
}

// mountedAt sees which volume a container has at a path.
func mountedAt(path string) func(*corev1.Container) string {
	return func(c *corev1.Container) string {
		for _, m := range c.VolumeMounts {
			if m.MountPath == path {
				return m.Name
			}
		}
		return ""
	}
}

func withVolume(name string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
	}
}

const pinned = "registry.example/telegraf@sha256:" + digest

// Each annotation that has a say in the container.
func TestAnnotationsOfTheContainer(t *testing.T) {
	with := func(annotations ...string) []string { return append(annotations, "port", "8080") }
	rows(t, []row{
		{name: "image", annotations: with("image", pinned), look: has("telegraf", image, pinned)},
		{name: "image without one is the flag's", annotations: with(), look: has("telegraf", image, "docker.io/library/telegraf:1.39.1")},
		{name: "image that can change is warned of", annotations: with("image", "telegraf:1.30"), warning: "the image telegraf:1.30 of sidecar telegraf is not pinned by digest",
			look: has("telegraf", image, "telegraf:1.30")},
		// Was: an invalid pod, which the API server refused.
		{name: "image that is empty", annotations: with("image", ""), refusal: `"" is not an image`},

		{name: "requests and limits without any", annotations: with(), look: has("telegraf", resources, "10m 10Mi of 200m 200Mi")},
		{name: "requests-cpu", annotations: with("requests-cpu", "20m"), look: has("telegraf", resources, "20m 10Mi of 200m 200Mi")},
		{name: "requests-memory", annotations: with("requests-memory", "20Mi"), look: has("telegraf", resources, "10m 20Mi of 200m 200Mi")},
		{name: "limits-cpu", annotations: with("limits-cpu", "1"), look: has("telegraf", resources, "10m 10Mi of 1 200Mi")},
		{name: "limits-memory", annotations: with("limits-memory", "1Gi"), look: has("telegraf", resources, "10m 10Mi of 200m 1Gi")},
		// Was: the same, with a line in the operator's log and nothing for the author.
		{name: "limits-cpu that is no quantity is the default", annotations: with("limits-cpu", "much"), warning: `"much" is not a quantity`,
			look: has("telegraf", resources, "10m 10Mi of 200m 200Mi")},
		{name: "limits-cpu that is empty is left out", annotations: with("limits-cpu", ""), look: has("telegraf", resources, "10m 10Mi of - 200Mi")},
		// A request that is left out is the limit, says the API server; without a limit there is none.
		{name: "requests-memory that is empty is left out", annotations: with("requests-memory", ""), look: has("telegraf", resources, "10m 200Mi of 200m 200Mi")},
		{name: "memory without any bound", annotations: with("requests-memory", "", "limits-memory", ""), look: has("telegraf", resources, "10m - of 200m -")},
		{name: "requests-cpu above the limit", annotations: with("requests-cpu", "2"), refusal: "the request of 2 cpu is above the limit of 200m"},

		{name: "env-literal", annotations: with("env-literal-A", "x y"), look: has("telegraf", variable("A"), `{"name":"A","value":"x y"}`)},
		{name: "env-fieldref", annotations: with("env-fieldref-IP", "status.podIP"),
			look: has("telegraf", variable("IP"), `{"name":"IP","valueFrom":{"fieldRef":{"apiVersion":"v1","fieldPath":"status.podIP"}}}`)},
		// Was: the API server refused the pod.
		{name: "env-fieldref with a wrong path", annotations: with("env-fieldref-IP", "status.podip"), refusal: `"status.podip" is not a field that a container can know`},
		{name: "env-configmapkeyref is cut at the first dot", annotations: with("env-configmapkeyref-A", "settings.a.b"),
			look: has("telegraf", variable("A"), `{"name":"A","valueFrom":{"configMapKeyRef":{"name":"settings","key":"a.b"}}}`)},
		// Was: names with dots could not be used.
		{name: "env-configmapkeyref of a name with dots", annotations: with("env-configmapkeyref-A", "my.settings/a.b"),
			look: has("telegraf", variable("A"), `{"name":"A","valueFrom":{"configMapKeyRef":{"name":"my.settings","key":"a.b"}}}`)},
		// Was: the variable was left out, with a line in the operator's log.
		{name: "env-configmapkeyref without a key", annotations: with("env-configmapkeyref-A", "settings"), refusal: `"settings" is not of the form name.key`},
		{name: "env-secretkeyref", annotations: with("env-secretkeyref-A", "token.value"),
			look: has("telegraf", variable("A"), `{"name":"A","valueFrom":{"secretKeyRef":{"name":"token","key":"value"}}}`)},
		{name: "env-secretkeyref without a key", annotations: with("env-secretkeyref-A", "token"), refusal: `"token" is not of the form name.key`},
		{name: "secret-env", annotations: with("secret-env", "tokens"), look: has("telegraf", func(c *corev1.Container) string {
			return c.EnvFrom[0].SecretRef.Name + fmt.Sprint(*c.EnvFrom[0].SecretRef.Optional)
		}, "tokenstrue")},

		{name: "volume-mounts", annotations: with("volume-mounts", `{"data": "/data"}`), change: withVolume("data"), look: has("telegraf", mountedAt("/data"), "data")},
		// Was: the pod was refused.
		{name: "volume-mounts that are no JSON", annotations: with("volume-mounts", `{"data": }`), refusal: "is not a JSON object from volumes to paths"},
		{name: "volume-mounts of a volume that the pod lacks", annotations: with("volume-mounts", `{"data": "/data"}`), refusal: `the pod has no volume "data" to mount at /data`},
		{name: "volume-mounts over the configuration", annotations: with("volume-mounts", `{"data": "/etc/telegraf"}`), change: withVolume("data"),
			refusal: "two volumes would be mounted at /etc/telegraf"},

		// Was: not a key, and nobody was told.
		{name: "env-secretkey is misspelt", annotations: with("env-secretkey-A", "token.value"), warning: "did you mean env-secretkeyref-A?"},
		{name: "env-configmapkey is misspelt", annotations: with("env-configmapkey-A", "m.value"), warning: "did you mean env-configmapkeyref-A?"},

		// Was: there were none of these.
		{name: "image-pull-policy", annotations: with("image-pull-policy", "Never"), look: has("telegraf", func(c *corev1.Container) corev1.PullPolicy { return c.ImagePullPolicy }, corev1.PullNever)},
		{name: "security-context", annotations: with("security-context", `{"runAsUser": 1234}`), look: has("telegraf", func(c *corev1.Container) int64 { return *c.SecurityContext.RunAsUser }, 1234)},
		{name: "security-context that is none", annotations: with("security-context", `{"runAs": 1234}`), refusal: "is not a container's security context"},
		{name: "health-port", annotations: with("health-port", "8888"), conf: []string{`service_address = "http://:8888"`},
			look: has("telegraf", func(c *corev1.Container) int { return c.StartupProbe.HTTPGet.Port.IntValue() }, 8888)},
		{name: "watch-config off", annotations: with("watch-config", "off"), look: has("telegraf", func(c *corev1.Container) string { return strings.Join(c.Command, " ") },
			"telegraf --config-directory /etc/telegraf")},
	})
}

// The resources of Istio's sidecar have keys of their own, and the same rules.
func TestAnnotationsOfIstiosContainer(t *testing.T) {
	in := cluster.Namespace(t, nil)
	for i, r := range []struct{ name, value, want, warning string }{
		{"istio-requests-cpu", "20m", "20m 10Mi of 200m 200Mi", ""},
		{"istio-requests-memory", "20Mi", "10m 20Mi of 200m 200Mi", ""},
		{"istio-limits-cpu", "1", "10m 10Mi of 1 200Mi", ""},
		{"istio-limits-memory", "1Gi", "10m 10Mi of 200m 1Gi", ""},
		{"istio-limits-memory", "", "10m 10Mi of 200m -", ""},
		{"istio-limits-memory", "much", "10m 10Mi of 200m 200Mi", `"much" is not a quantity`},
	} {
		t.Run(r.name+"="+r.value, func(t *testing.T) {
			c := create(t, in, annotated(fmt.Sprintf("istio-%d", i), "port", "8080", r.name, r.value, "sidecar.istio.io/status", "{}"))
			has("telegraf-istio", resources, r.want)(t, c)
			has("telegraf", resources, "10m 10Mi of 200m 200Mi")(t, c)
			if r.warning != "" {
				c.warned(t, r.warning)
			}
			accepted(t, c.Pod)
		})
	}
}

// An annotation's name has 63 characters at most, so a variable of a key of a ConfigMap has 43. The API server says so.
func TestAnnotationEnvConfigmapkeyrefLeaves43CharactersForTheVariable(t *testing.T) {
	in := cluster.Namespace(t, nil)
	long := strings.Repeat("A", validation.LabelValueMaxLength-len("env-configmapkeyref-"))
	if len(long) != 43 {
		t.Fatalf("%d characters are left", len(long))
	}
	create(t, in, annotated("fits", "port", "8080", "env-configmapkeyref-"+long, "m.k")).sidecar(t)
	if _, err := tryCreate(t, in, annotated("too-long", "port", "8080", "env-configmapkeyref-A"+long, "m.k")); err == nil {
		t.Error("the API server took a longer one")
	}
}

// Was: within a group of kinds the order was that of a Go map, so two replicas of one template could differ.
func TestAnnotationsOfVariablesGiveTheSameOrderEachTime(t *testing.T) {
	in := cluster.Namespace(t, nil)
	var first []string
	for range 20 {
		c := create(t, in, annotated("p", "port", "8080", "env-literal-B", "1", "env-literal-A", "1", "env-literal-C", "1", "env-fieldref-Z", "metadata.name",
			"env-secretkeyref-D", "s.k", "env-secretkeyref-C2", "s.k", "env-configmapkeyref-Y", "m.k", "env-configmapkeyref-X", "m.k"), metav1.DryRunAll)
		var names []string
		for _, e := range c.sidecar(t).Env {
			names = append(names, e.Name)
		}
		if first == nil {
			first = names
		}
		if !slices.Equal(names, first) {
			t.Fatalf("%v and %v", first, names)
		}
	}
	if want := "NODENAME PODNAME NAMESPACE Z A B C X Y C2 D"; strings.Join(first, " ") != want {
		t.Errorf("the order is %v, want %s", first, want)
	}
}

// What the variables are for: texts of classes and of inputs that speak of them.
func TestAnnotationsOfVariablesReachTelegraf(t *testing.T) {
	in := cluster.Namespace(t, nil)
	core := cluster.Client().CoreV1()
	for _, err := range []error{
		second(core.Secrets(in).Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "token"}, StringData: map[string]string{"value": "from-secret"}}, metav1.CreateOptions{})),
		second(core.ConfigMaps(in).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"}, Data: map[string]string{"a.b": "from-map"}}, metav1.CreateOptions{})),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	c := create(t, in, annotated("p", "inputs", "[[inputs.mem]]\n  [inputs.mem.tags]\n    l = \"$L\"\n    f = \"$F\"\n    s = \"$S\"\n    m = \"$M\"\n    node = \"$NODENAME\"\n    pod = \"$PODNAME\"\n    ns = \"$NAMESPACE\"\n",
		"env-literal-L", "from-literal", "env-fieldref-F", "metadata.uid", "env-secretkeyref-S", "token.value", "env-configmapkeyref-M", "settings.a.b"))
	out := gathered(t, c, "telegraf")
	for _, tag := range []string{",l=from-literal,", ",f=" + string(c.UID) + ",", ",s=from-secret ", ",m=from-map,", ",node=node-0,", ",pod=p,", ",ns=" + in + ","} {
		if !strings.Contains(out, tag) {
			t.Errorf("Telegraf's points lack %s: %s", tag, out)
		}
	}
}

func second[V any](_ V, err error) error { return err }

// Was: injection was silent about it. The keys of Istio's sidecar alone ask for nothing.
func TestAnnotationsOfIstioAloneAskForNothing(t *testing.T) {
	c := create(t, cluster.Namespace(t, nil), annotated("p", "istio-limits-cpu", "1"))
	if _, ok := c.Labels["sidecar.holdfast.dev/injected"]; ok || len(c.Spec.Containers)+len(c.Spec.InitContainers) != 1 {
		t.Errorf("labels %v, containers %v", c.Labels, c.Spec.Containers)
	}
}
