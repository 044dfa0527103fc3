//go:build e2e

package operator_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/holdfast-telemetry/holdfast/deploy/manifest"
	"github.com/holdfast-telemetry/holdfast/e2e/chart"
)

const (
	deploy = "../../deploy"
	folder = deploy + "/helm/holdfast-operator"
)

var update = flag.Bool("update", false, "write the manifests of deploy/ again")

// helm runs the real Helm.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return chart.Helm(t, args...)
}

// render renders the chart and reads the result strictly.
func render(t *testing.T, args ...string) ([]manifest.Document, error) {
	t.Helper()
	return chart.Render(t, folder, "holdfast-operator", "holdfast-operator", args...)
}

// plain are the manifests for those who do without Helm.
var plain = []struct {
	file   string
	header string
	args   []string
	// wanted says which of the rendered documents belong to the file.
	wanted func(source string) bool
}{
	{
		file: "holdfast-operator.yaml",
		header: `The operator, for kubectl apply -f. See docs/operator/install.md.
The classes are not here, so that applying this again, after an upgrade, cannot change them: see classes.yaml.`,
		args:   []string{"--include-crds", "--set", "plain=true,classes.create=false"},
		wanted: func(string) bool { return true },
	},
	{
		file:   "classes.yaml",
		header: `An example of the classes. Change it, and keep your own copy: it holds credentials.`,
		args:   []string{"--set", "plain=true"},
		wanted: func(source string) bool { return strings.HasSuffix(source, "/templates/classes.yaml") },
	},
	{
		file: "daemonset.yaml",
		header: `Telegraf on every node, for the metrics of nodes, pods and containers. It sends where the class "default" says, and needs the
operator of holdfast-operator.yaml, which delivers the class. Kubernetes 1.33 or later; on an older one render the chart instead.`,
		args:   []string{"--set", "plain=true,daemonset.enabled=true,daemonset.namespace=holdfast-nodes,daemonset.createNamespace=true"},
		wanted: func(source string) bool { return strings.Contains(source, "/templates/nodes/") },
	},
}

func TestManifestsAreWhatTheChartRenders(t *testing.T) {
	for _, p := range plain {
		t.Run(p.file, func(t *testing.T) {
			docs, err := render(t, p.args...)
			if err != nil {
				t.Fatal(err)
			}
			docs = slices.DeleteFunc(docs, func(d manifest.Document) bool { return !p.wanted(d.Source) })
			want := chart.Join("holdfast-operator", p.header, docs)
			path := filepath.Join(deploy, p.file)
			if *update {
				if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != want {
				t.Errorf("deploy/%s is not what the chart renders: run make manifest and look at the difference", p.file)
			}
		})
	}
}

func TestChartIsCleanToHelmLint(t *testing.T) {
	out, err := helm(t, "lint", folder, "--strict")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out, "[WARNING]") || strings.Contains(out, "[ERROR]") {
		t.Error(out)
	}
}

// Every value is turned once: what comes out are objects that the API's types can hold, without a field too many.
func TestEveryVariantOfTheChartDecodesStrictly(t *testing.T) {
	for _, args := range variants {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			docs, err := render(t, args...)
			if err != nil {
				t.Fatal(err)
			}
			if len(docs) == 0 {
				t.Error("nothing was rendered")
			}
		})
	}
}

var variants = [][]string{
	nil,
	{"--set", "replicaCount=1,image.digest=sha256:" + strings.Repeat("0", 64)},
	{"--set", "checker.enabled=false,leaderElection=false,podDisruptionBudget.enabled=false,networkPolicy.enabled=true"},
	{"--set", "certManager.enabled=true,metrics.serviceMonitor.enabled=true,metrics.serviceMonitor.labels.team=a"},
	{"--set", "certManager.enabled=true,certManager.issuerRef.name=corp,certManager.issuerRef.kind=ClusterIssuer"},
	{"--set", "injectionMode=opt-in,excludeNamespaces={a,b},webhook.failurePolicy=Fail,webhook.onInvalid=deny,recheck.mode=evict"},
	{"--set", "delivery.namespaces={a,b},daemonset.enabled=true,daemonset.namespace=nodes,daemonset.createNamespace=true"},
	{"--set", "delivery.object=ConfigMap,delivery.namespaces={a},daemonset.enabled=true,daemonset.namespace=nodes"},
	{"--set", "daemonset.enabled=true,daemonset.hostNetwork=false,daemonset.kubelet.nodesProxy=always,daemonset.kubelet.labelInclude={app}"},
	{"--set", "istio.enabled=true,istio.image=a/b:1,istio.watchConfig=poll,istio.resources.limits.memory=1Gi"},
	{"--set", "classes.existingSecret=mine,classes.referencedSecrets={tokens}"},
	{"--set", "classes.directory=/classes", "--set-json", `extraVolumes=[{"name":"c","secret":{"secretName":"x"}}]`,
		"--set-json", `extraVolumeMounts=[{"name":"c","mountPath":"/classes"}]`},
	{"--set", "serviceAccount.create=false,serviceAccount.name=mine,serviceAccount.annotations.a=b"},
	{"--set", "priorityClassName=system-cluster-critical,podLabels.a=b,podAnnotations.a=b,extraArgs={--log-level=debug}"},
	{"--set-json", `tolerations=[{"operator":"Exists"}]`, "--set-json", `imagePullSecrets=[{"name":"pull"}]`,
		"--set-json", `extraEnv=[{"name":"HTTPS_PROXY","value":"http://proxy"}]`},
	{"-f", "testdata/telegraf-operator-values.yaml"},
}

func TestMistypedValueIsRefused(t *testing.T) {
	for set, want := range map[string]string{
		"replicaCounts=3":                                     "replicaCounts",
		"sidecar.imge=x":                                      "imge",
		"recheck.mode=evcit":                                  "recheck",
		"delivery.object=configmap":                           "delivery",
		"image.digest=latest":                                 "digest",
		"webhook.timeoutSeconds=31":                           "timeoutSeconds",
		"daemonset.kubelet.nodeProxy=no":                      "nodeProxy",
		"recheck.interval=5":                                  "interval",
		"image.repository=quay.io/influxdb/telegraf-operator": "image.repository",
	} {
		_, err := render(t, "--set", set)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error that names %s", set, err, want)
		}
	}
}

func TestValuesOfTheOldChartMeanTheSame(t *testing.T) {
	docs, err := render(t, "-f", "testdata/telegraf-operator-values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	args := operatorArgs(t, docs)
	for _, want := range []string{
		"--telegraf-image=docker.io/library/telegraf:1.22", "--telegraf-default-class=infra", "--classes-secret=telegraf-operator-classes",
		"--telegraf-watch-config=notify", "--telegraf-limits-memory=300Mi", "--telegraf-requests-cpu=20m", "--cert-dir=/certs",
		"--enable-default-internal-plugin=true", "--require-annotations-for-secret=true",
	} {
		if !slices.Contains(args, want) {
			t.Errorf("%s is missing in %v", want, args)
		}
	}
}

// Was: no manifest gave the operator anyone to ask about classes of the agent holdfast, and they were accepted on their syntax.
func TestEachAgentWithAnImageIsAskedAboutItsClasses(t *testing.T) {
	const image = "registry.example/holdfast:1"
	for set, want := range map[string]bool{"sidecar.holdfastImage=" + image: true, "sidecar.holdfastImage=": false, "checker.enabled=false,sidecar.holdfastImage=" + image: false} {
		docs, err := render(t, "--set", set)
		if err != nil {
			t.Fatal(err)
		}
		d := manifest.Find[*appsv1.Deployment](docs, "holdfast-operator")
		i := slices.IndexFunc(d.Spec.Template.Spec.Containers, func(c corev1.Container) bool { return c.Name == "holdfast-checker" })
		asks := slices.Contains(operatorArgs(t, docs), "--holdfast-checker=unix:/checker/holdfast.sock")
		if asks != want || (i >= 0) != want {
			t.Errorf("%s: the operator asks: %v, there is a checker: %v", set, asks, i >= 0)
			continue
		}
		if !want {
			continue
		}
		c := d.Spec.Template.Spec.Containers[i]
		if c.Image != image || !slices.Equal(c.Args, []string{"checker", "--socket", "/checker/holdfast.sock", "--agent", "holdfast"}) {
			t.Errorf("the checker is %s with %q", c.Image, c.Args)
		}
	}
}

func TestEvictionRightComesWithEvictionOnly(t *testing.T) {
	for mode, want := range map[string]bool{"off": false, "report": false, "evict": true} {
		docs, err := render(t, "--set", "recheck.mode="+mode)
		if err != nil {
			t.Fatal(err)
		}
		if got := grants(clusterRole(t, docs), "pods/eviction"); got != want {
			t.Errorf("recheck.mode=%s: may evict: %v", mode, got)
		}
	}
}

// What is delivered decides on the rights: with ConfigMaps, none on Secrets outside the operator's namespace.
func TestListedNamespacesReplaceTheClusterWideRight(t *testing.T) {
	for object, resource := range map[string]string{"Secret": "secrets", "ConfigMap": "configmaps"} {
		docs, err := render(t, "--set", "delivery.namespaces={a,b},delivery.object="+object)
		if err != nil {
			t.Fatal(err)
		}
		if role := clusterRole(t, docs); grants(role, "secrets") || grants(role, "configmaps") {
			t.Errorf("%s: the ClusterRole still has a rule for Secrets or ConfigMaps", object)
		}
		var in []string
		for _, d := range docs {
			if r, ok := d.Object.(*rbacv1.Role); ok && strings.HasSuffix(r.Name, "-delivery") {
				in = append(in, r.Namespace)
				if len(r.Rules) != 1 || !byName(r.Rules[0], resource) {
					t.Errorf("%s: rules in %s: %+v", object, r.Namespace, r.Rules)
				}
			}
		}
		if !slices.Equal(in, []string{"a", "b"}) {
			t.Errorf("%s: roles in %v", object, in)
		}
	}
}

func TestDeliveryInConfigMapsNeedsNoRightOnSecretsOfOtherNamespaces(t *testing.T) {
	docs, err := render(t, "--set", "delivery.object=ConfigMap,daemonset.enabled=true,daemonset.namespace=nodes")
	if err != nil {
		t.Fatal(err)
	}
	role := clusterRole(t, docs)
	if grants(role, "secrets") || !slices.ContainsFunc(role.Rules, func(r rbacv1.PolicyRule) bool { return byName(r, "configmaps") }) {
		t.Errorf("rules %+v", role.Rules)
	}
	for _, d := range docs {
		if r, ok := d.Object.(*rbacv1.Role); ok && r.Namespace != "holdfast-operator" {
			t.Errorf("a Role in %s: %+v", r.Namespace, r.Rules)
		}
	}
	if args := operatorArgs(t, docs); !slices.Contains(args, "--delivery-object=ConfigMap") {
		t.Errorf("arguments %v", args)
	}
	pod := manifest.Find[*appsv1.DaemonSet](docs, "holdfast-operator-nodes").Spec.Template
	sources := pod.Spec.Volumes[0].Projected.Sources
	if s := sources[len(sources)-1]; s.Secret != nil || s.ConfigMap == nil || s.ConfigMap.Name != "holdfast-classes" || pod.Labels["sidecar.holdfast.dev/classes-in"] != "ConfigMap" {
		t.Errorf("the nodes' pods read %+v; labels %v", s, pod.Labels)
	}
}

// A release from before the value was there has it nowhere, and an upgrade with --reuse-values takes the release's values for all.
func TestWithoutAWordTextsAreDeliveredInSecrets(t *testing.T) {
	docs, err := render(t, "--set", "delivery.object=null")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(clusterRole(t, docs).Rules, func(r rbacv1.PolicyRule) bool { return byName(r, "secrets") }) || !slices.Contains(operatorArgs(t, docs), "--delivery-object=Secret") {
		t.Error("texts are not delivered in Secrets")
	}
}

// byName says whether a rule grants what delivery needs of one object by name, and nothing else.
func byName(r rbacv1.PolicyRule, resource string) bool {
	return slices.Equal(r.Resources, []string{resource}) && slices.Equal(r.ResourceNames, []string{"holdfast-classes"}) &&
		slices.Equal(r.Verbs, []string{"get", "list", "watch", "create", "patch", "update", "delete"})
}

func clusterRole(t *testing.T, docs []manifest.Document) *rbacv1.ClusterRole {
	t.Helper()
	r := manifest.Find[*rbacv1.ClusterRole](docs, "holdfast-operator")
	if r == nil {
		t.Fatal("there is no ClusterRole")
	}
	return r
}

func grants(r *rbacv1.ClusterRole, resource string) bool {
	return slices.ContainsFunc(r.Rules, func(p rbacv1.PolicyRule) bool { return slices.Contains(p.Resources, resource) })
}

func operatorArgs(t *testing.T, docs []manifest.Document) []string {
	t.Helper()
	d := manifest.Find[*appsv1.Deployment](docs, "holdfast-operator")
	if d == nil {
		t.Fatal("there is no Deployment")
	}
	return d.Spec.Template.Spec.Containers[0].Args
}
