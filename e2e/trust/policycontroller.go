package trust

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/peer"
)

const (
	// PolicyNamespace is where policy-controller's manifests put it.
	PolicyNamespace = "cosign-system"
	// ImageWebhook and PolicyWebhook are the admission webhooks that refuse pods and policies.
	ImageWebhook, PolicyWebhook = "policy.sigstore.dev", "validating.clusterimagepolicy.sigstore.dev"
	// ExcludeLabel on a namespace, with any value, has its pods admitted unseen.
	ExcludeLabel = "policy.sigstore.dev/exclude"
)

// policies are ClusterImagePolicies.
var policies = schema.GroupVersionResource{Group: "policy.sigstore.dev", Version: "v1beta1", Resource: "clusterimagepolicies"}

// Where policy-controller listens for the API server and for probes, whatever its flag --secure-port says.
const webhookPort, probePort = 8443, 8080

// PolicyController is a policy-controller 0.15.1 that looks at the pods of every namespace but those with ExcludeLabel and those that
// deploy/policy-controller/values.yaml exempts by their names, and refuses images that no policy matches.
type PolicyController struct {
	*kube.Program
	cluster *kube.Cluster
	client  dynamic.Interface
}

// StartPolicyController applies policy-controller's own manifests to a cluster, as changed by adapt, and runs it with the rights of its
// service account. It returns when pods and policies are looked at. There is no network of pods: the Service leads to the loopback.
func StartPolicyController(ctx context.Context, c *kube.Cluster) (*PolicyController, error) {
	bin, err := peer.Build(ctx, "policycontroller")
	if err != nil {
		return nil, err
	}
	if err := applyManifests(ctx, c); err != nil {
		return nil, err
	}
	kubeconfig, err := c.ServiceAccountKubeconfig(ctx, filepath.Dir(c.Kubeconfig()), PolicyNamespace, "webhook")
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(c.Config())
	if err != nil {
		return nil, err
	}
	addrs, err := peer.FreeAddrs(2)
	if err != nil {
		return nil, err
	}
	p := &PolicyController{cluster: c, client: client}
	p.Program = c.Program("policy-controller", peer.Executable(bin, "policycontroller"), "--disable-tuf")
	p.Setenv("KUBECONFIG="+kubeconfig, "SYSTEM_NAMESPACE="+PolicyNamespace, "CONFIG_LOGGING_NAME=config-logging", "METRICS_DOMAIN=sigstore.dev/policy",
		"WEBHOOK_NAME=webhook", "KUBERNETES_MIN_VERSION=1.21.0", "METRICS_PROMETHEUS_PORT="+port(addrs[0]), "PROFILING_PORT="+port(addrs[1]))
	return p, p.Run(ctx)
}

func port(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

// Run starts a policy-controller that was stopped or killed, and returns when pods and policies are looked at.
func (p *PolicyController) Run(ctx context.Context) error {
	if err := awaitPorts(ctx, webhookPort, probePort); err != nil {
		return err
	}
	// One that was killed keeps its leases for up to a minute, and nobody writes the status of policies until then.
	if err := p.cluster.Client().CoordinationV1().Leases(PolicyNamespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		return fmt.Errorf("deleting the leases of the policy-controller before: %w", err)
	}
	return run(ctx, p.Program, "pods and policies were looked at", func(ctx context.Context) error {
		if err := p.ApplyPolicy(ctx, emptyPolicy, true); !Denied(err, PolicyWebhook) {
			return fmt.Errorf("a policy without authorities was not refused: %w", err)
		}
		if err := p.Admit(ctx, "default", "127.0.0.1:1/none@sha256:"+strings.Repeat("0", 64)); !Denied(err, ImageWebhook) {
			return fmt.Errorf("an image without a policy was not refused: %w", err)
		}
		return nil
	})
}

// awaitPorts waits until nobody listens at some ports: another run of these tests may have its policy-controller there.
func awaitPorts(ctx context.Context, ports ...int) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	for _, port := range ports {
		for {
			l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
			if err == nil {
				if err := l.Close(); err != nil {
					return err
				}
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("policy-controller always listens at port %d, and something else does: end that first: %w", port, err)
			case <-time.After(time.Second):
			}
		}
	}
	return nil
}

// emptyPolicy is one that the policy webhook must refuse.
const emptyPolicy = `
apiVersion: policy.sigstore.dev/v1beta1
kind: ClusterImagePolicy
metadata: {name: empty}
spec: {images: [{glob: "127.0.0.1:1/none"}]}
`

// service leads to the loopback: the API server takes an ExternalName for the host to ask, at the port of the webhook configuration.
const service = `
apiVersion: v1
kind: Service
metadata: {name: webhook, namespace: ` + PolicyNamespace + `}
spec: {type: ExternalName, externalName: 127.0.0.1}
`

func applyManifests(ctx context.Context, c *kube.Cluster) error {
	source, err := peer.Source(ctx, "policycontroller", "github.com/sigstore/policy-controller")
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(source, "config", "*.yaml"))
	if err != nil {
		return err
	}
	var documents []string
	for _, file := range files {
		switch filepath.Base(file) {
		case "webhook.yaml", "400-webhook-service.yaml", "kustomization.yaml": // the Deployment, the Service, and no manifest
			continue
		}
		more, err := adapted(file)
		if err != nil {
			return fmt.Errorf("reading policy-controller's manifest %s: %w", file, err)
		}
		documents = append(documents, more...)
	}
	_, err = c.Apply(ctx, strings.Join(append(documents, service), "\n---\n"))
	return err
}

// adapted returns the documents of a manifest, changed by adapt.
func adapted(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var documents []string
	for decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096); ; {
		var o unstructured.Unstructured
		if err := decoder.Decode(&o.Object); errors.Is(err, io.EOF) {
			return documents, nil
		} else if err != nil {
			return nil, err
		}
		if len(o.Object) == 0 {
			continue
		}
		if err := adapt(&o); err != nil {
			return nil, err
		}
		text, err := yaml.Marshal(o.Object)
		if err != nil {
			return nil, err
		}
		documents = append(documents, string(text))
	}
}

// adapt has the webhooks asked at the port where policy-controller listens, and makes its looking at pods the rule, and not the exception.
func adapt(o *unstructured.Unstructured) error {
	switch o.GetKind() {
	case "Namespace":
		o.SetLabels(map[string]string{ExcludeLabel: "true"})
	case "CustomResourceDefinition":
		if _, found, _ := unstructured.NestedMap(o.Object, "spec", "conversion", "webhook"); found {
			return unstructured.SetNestedField(o.Object, int64(webhookPort), "spec", "conversion", "webhook", "clientConfig", "service", "port")
		}
	case "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration":
		hooks, _, err := unstructured.NestedSlice(o.Object, "webhooks")
		if err != nil {
			return err
		}
		for _, hook := range hooks {
			if err := adaptHook(hook.(map[string]any)); err != nil {
				return err
			}
		}
		return unstructured.SetNestedSlice(o.Object, hooks, "webhooks")
	}
	return nil
}

func adaptHook(hook map[string]any) error {
	if hook["name"] == ImageWebhook {
		hook["namespaceSelector"] = map[string]any{"matchExpressions": []any{
			map[string]any{"key": ExcludeLabel, "operator": "DoesNotExist"},
			map[string]any{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": []any{PolicyNamespace, "holdfast-trust", "kube-system"}},
		}}
	}
	return unstructured.SetNestedField(hook, int64(webhookPort), "clientConfig", "service", "port")
}

// ApplyPolicy applies a ClusterImagePolicy server-side, or only asks whether that would do.
func (p *PolicyController) ApplyPolicy(ctx context.Context, manifest string, dry bool) error {
	var o unstructured.Unstructured
	if err := yaml.Unmarshal([]byte(manifest), &o.Object); err != nil {
		return fmt.Errorf("reading a policy: %w", err)
	}
	options := metav1.ApplyOptions{FieldManager: "e2e-trust", Force: true}
	if dry {
		options.DryRun = []string{metav1.DryRunAll}
	}
	_, err := p.client.Resource(policies).Apply(ctx, o.GetName(), &o, options)
	return err
}

// Policy returns a policy as the API server has it. That fails while policy-controller is down, which converts what is stored as v1alpha1.
func (p *PolicyController) Policy(ctx context.Context, name string) (*unstructured.Unstructured, error) {
	return p.client.Resource(policies).Get(ctx, name, metav1.GetOptions{})
}

// AwaitPolicy returns when policy-controller says that it has compiled a policy as it is now.
func (p *PolicyController) AwaitPolicy(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return p.Await(ctx, "the policy "+name+" was ready", func(ctx context.Context) error {
		o, err := p.Policy(ctx, name)
		if err != nil {
			return err
		}
		seen, _, _ := unstructured.NestedInt64(o.Object, "status", "observedGeneration")
		conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
		ready := slices.ContainsFunc(conditions, func(c any) bool {
			m, ok := c.(map[string]any)
			return ok && m["type"] == "Ready" && m["status"] == "True"
		})
		if !ready || seen != o.GetGeneration() {
			return fmt.Errorf("generation %d, status %v", o.GetGeneration(), o.Object["status"])
		}
		return nil
	})
}

// DeletePolicy deletes a policy.
func (p *PolicyController) DeletePolicy(ctx context.Context, name string) error {
	return p.client.Resource(policies).Delete(ctx, name, metav1.DeleteOptions{})
}

// Admit asks, by a dry run, whether a pod with an image would be admitted, and returns the API server's error when it would not.
func (p *PolicyController) Admit(ctx context.Context, namespace, image string) error {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "admit-"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: image}}},
	}
	_, err := p.cluster.Client().CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}

// Denied says whether an error is the refusal of an admission webhook, and not one of another's nor a failure to ask it.
func Denied(err error, webhook string) bool {
	return err != nil && strings.Contains(err.Error(), fmt.Sprintf("admission webhook %q denied the request", webhook))
}
