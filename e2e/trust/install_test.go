//go:build e2e

package trust_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/holdfast-telemetry/holdfast/e2e/chart"
	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/peer"
	"github.com/holdfast-telemetry/holdfast/e2e/trust"
	trustpolicy "github.com/holdfast-telemetry/holdfast/trust/policy"
)

// What the manifests are called by.
const (
	deploy    = "../../deploy"
	installed = "holdfast-trust"
	asked     = "holdfast-selftest"
)

// installation is the service and the agent as deploy/ installs them, in one cluster.
type installation struct {
	*testing.T
	registry     *trust.Registry
	url          string // of one instance
	certificates string // folder with tls.crt, tls.key and token
	replicas     []*pod
	agent        *pod
	running      *kube.Program // the agent
	good, bad    name.Digest
}

// kubectl runs a command of the documents.
func (i *installation) kubectl(args ...string) {
	i.Helper()
	if out, err := cluster.Kubectl(i.Context(), args...); err != nil {
		i.Fatalf("%v\n%s", err, out)
	}
}

func (i *installation) path(name string) string { return filepath.Join(i.certificates, name) }

func (i *installation) write(name string, text []byte) {
	i.Helper()
	if err := os.WriteFile(i.path(name), text, 0o600); err != nil {
		i.Fatal(err)
	}
}

// writeCertificate writes a certificate for 127.0.0.1 that is its own authority.
func (i *installation) writeCertificate() {
	i.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	pair := server.TLS.Certificates[0]
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		i.Fatal(err)
	}
	i.write("tls.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}))
	i.write("tls.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

// program runs a command of holdfast-trust as who has a kubeconfig.
func (i *installation) program(kubeconfig string, args ...string) string {
	i.Helper()
	cmd := exec.CommandContext(i.Context(), binary(i), args...)
	cmd.Env = append(cmd.Environ(), "KUBECONFIG="+kubeconfig)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		i.Fatalf("%s: %v\n%s%s", strings.Join(args, " "), err, out, errs.String())
	}
	return string(out)
}

// install installs the service by its chart, with two replicas on one Vault, and then the agent by its manifest.
func install(t *testing.T) *installation {
	t.Helper()
	i := &installation{T: t, registry: trust.StartRegistry(t.Context(), t, trust.RegistryOptions{}), certificates: t.TempDir()}
	deleteAtEnd(t, "namespace", installed, asked)
	i.kubectl("apply", "-f", filepath.Join(abs(t, deploy), "holdfast-trust-sync.yaml"))
	deleteAtEnd(t, "clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding", "-l", "app.kubernetes.io/name in (holdfast-trust,holdfast-trust-sync)")
	i.serve()
	i.follow()
	return i
}

func abs(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// serve installs the service and runs its pods.
func (i *installation) serve() {
	i.Helper()
	vault := trust.StartVault(i.Context(), i)
	i.writeCertificate()
	i.write("token", []byte(vault.Root))
	i.program("", "--data", i.certificates, "ci-credentials", "add", "nobody")
	i.write("ci", []byte(i.program("", "--data", i.certificates, "ci-credentials", "add", "ci")))
	i.kubectl("-n", installed, "create", "secret", "tls", "holdfast-trust-tls", "--cert="+i.path("tls.crt"), "--key="+i.path("tls.key"))
	i.kubectl("-n", installed, "create", "secret", "generic", "vault", "--from-file="+i.path("token"))
	i.kubectl("-n", installed, "create", "secret", "generic", "tokens", "--from-file="+i.path("tokens.json"))
	text, err := chart.Helm(i, "template", installed, filepath.Join(deploy, "helm", "holdfast-trust"), "--namespace", installed, "--kube-version", chart.KubeVersion,
		"--set", "replicaCount=2,vault.existingSecret=vault,tokens.existingSecret=tokens,settings.keys.vault.token-file=/etc/holdfast-trust/vault/token,settings.timing.slack=1s,settings.timing.poll="+poll.String(),
		"--set-string", "settings.keys.vault.address="+vault.URL,
		"--set", "settings.resign.deployed[0].in-cluster=true,settings.resign.repositories[0]="+i.registry.Host+"/app/**,settings.selftest.repository="+i.registry.Host+"/kept",
		"--set-json", fmt.Sprintf(`rules={"rules":[{"name":"all","token":"ci","repositories":["%s/**"]}]}`, i.registry.Host))
	if err != nil {
		i.Fatal(err)
	}
	if _, err := cluster.Apply(i.Context(), text); err != nil {
		i.Fatal(err)
	}
	i.replicas = awaitPods(i.T, installed, "serve", 2)
	for n, p := range i.replicas {
		addrs, err := peer.FreeAddrs(2)
		if err != nil {
			i.Fatal(err)
		}
		p.Addrs = map[string]string{"'" + ":8470" + "'": addrs[0], ":8470": addrs[0], ":8471": addrs[1]}
		i.url = "https://" + addrs[0]
		program := p.start(fmt.Sprintf("serve-%d", n), map[string]string{"--config": p.edit("/etc/holdfast-trust/config/trust.yaml")})
		await(i, program, "a key signed", func(context.Context) error {
			if !strings.Contains(program.Log(), "images/1 active") {
				return fmt.Errorf("it does not")
			}
			return nil
		})
	}
}

// await waits for a program.
func await(t testing.TB, p *kube.Program, what string, ready func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := p.Await(ctx, what, ready); err != nil {
		t.Fatal(err)
	}
}

// follow tells the agent of the service and runs it.
func (i *installation) follow() {
	i.Helper()
	first := i.replicas[0]
	i.write("pins.pem", []byte(i.program(first.kubeconfig, "--config", filepath.Join(first.dir, "trust.yaml"), "keys", "pin")))
	cosign := trust.NewCosign(i.Context(), i)
	i.good, i.bad = i.registry.Push(i.Context(), i, "selftest/good"), i.registry.Push(i.Context(), i, "selftest/bad")
	if err := cosign.Sign(i.Context(), cosign.KeyPair(i.Context(), i), i.bad, ""); err != nil {
		i.Fatal(err)
	}
	i.sign(i.good)
	i.kubectl("-n", installed, "create", "configmap", "holdfast-trust-endpoint", "--from-literal=url="+i.url+"/v1/keys", "--from-file="+i.path("pins.pem"), "--from-file=ca.crt="+i.path("tls.crt"),
		"--from-literal=selftest-good="+i.good.String(), "--from-literal=selftest-bad="+i.bad.String())
	i.agent = awaitPods(i.T, installed, "sync", 1)[0]
	i.Cleanup(func() { // after the agent, which would bring it back
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := controller.DeletePolicy(ctx, trustpolicy.DefaultName); err != nil {
			i.Error(err)
		}
	})
	addrs, err := peer.FreeAddrs(1)
	if err != nil {
		i.Fatal(err)
	}
	i.agent.Addrs = map[string]string{":8472": addrs[0]}
	i.running = i.agent.start("sync", map[string]string{"--poll": poll.String()})
	i.says("OK")
}

// sign has an image signed by the service, as CI does.
func (i *installation) sign(image name.Digest) {
	i.Helper()
	i.program("", "sign", "--url", i.url, "--ca", i.path("tls.crt"), "--token-file", i.path("ci"), image.String())
}

// says waits until the agent's status begins with a word.
func (i *installation) says(word string) {
	i.Helper()
	await(i, i.running, "the status was "+word, func(ctx context.Context) error {
		m, err := cluster.Client().CoreV1().ConfigMaps(installed).Get(ctx, "holdfast-trust-sync", metav1.GetOptions{})
		if err == nil && !strings.HasPrefix(m.Data["status"], word+": ") {
			err = fmt.Errorf("the status is %q", m.Data["status"])
		}
		return err
	})
}

// TestWhatDeployInstallsSignsAndRefuses installs the service by its chart and the agent by its manifest, and runs the pods' programs with
// the pods' arguments, files and rights.
func TestWhatDeployInstallsSignsAndRefuses(t *testing.T) {
	i := install(t)
	namespace := cluster.Namespace(t, nil)
	image, unsigned := i.registry.Push(t.Context(), t, "app/web"), i.registry.Push(t.Context(), t, "app/web")
	i.sign(image)
	within(t, soon, admitted(t, namespace, image.String()))
	if err := refused(t, namespace, unsigned.String(), "no signatures found")(); err != nil {
		t.Error(err)
	}
	t.Run("TheAgentMendsWhatOthersDelete", func(t *testing.T) { checkMended(t, i) })
	t.Run("TheAgentMayDoWhatItMustAndNoMore", func(t *testing.T) { checkAgent(t, i) })
	t.Run("TheServiceMayWriteItsRecordAndNoMore", func(t *testing.T) { checkService(t, i) })
	t.Run("TheServiceSignsAgainWhatTheClusterRuns", func(t *testing.T) { checkResigned(t, i, namespace, image) })
	t.Run("NothingRunsWhereTheSelfTestAsks", func(t *testing.T) { checkDryRunsOnly(t, i) })
}

// checkMended shows that the rights are enough for what the agent does seldom.
func checkMended(t *testing.T, i *installation) {
	before, err := controller.Policy(t.Context(), trustpolicy.DefaultName)
	if err != nil {
		t.Fatal(err)
	}
	if err := controller.DeletePolicy(t.Context(), trustpolicy.DefaultName); err != nil {
		t.Fatal(err)
	}
	await(t, i.running, "the policy was back", func(ctx context.Context) error {
		p, err := controller.Policy(ctx, trustpolicy.DefaultName)
		if err == nil && p.GetUID() == before.GetUID() { // policy-controller keeps it until it has taken it out
			err = fmt.Errorf("the one before is still there")
		}
		return err
	})
	if out, err := cluster.Kubectl(t.Context(), "patch", "clusterimagepolicy", trustpolicy.DefaultName, "--type=merge", "-p", `{"spec":{"mode":"warn","match":[{"group":"apps","version":"v1","resource":"deployments"}]}}`); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	await(t, i.running, "the policy was whole", func(ctx context.Context) error {
		p, err := controller.Policy(ctx, trustpolicy.DefaultName)
		if err != nil {
			return err
		}
		if spec := p.Object["spec"].(map[string]any); spec["mode"] != "enforce" || spec["match"] != nil {
			return fmt.Errorf("the policy is %v", spec)
		}
		return nil
	})
	if err := cluster.Client().CoreV1().ConfigMaps(installed).Delete(t.Context(), "holdfast-trust-sync", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, i.running, "what was accepted was remembered again", func(ctx context.Context) error {
		m, err := cluster.Client().CoreV1().ConfigMaps(installed).Get(ctx, "holdfast-trust-sync", metav1.GetOptions{})
		if err == nil && m.Data["list.json"] == "" {
			err = fmt.Errorf("it is %v", m.Data)
		}
		return err
	})
	i.says("OK")
	events, err := cluster.Client().CoreV1().Events(installed).List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=holdfast-trust-sync,involvedObject.kind=ConfigMap"})
	if err != nil || len(events.Items) == 0 {
		t.Errorf("the agent told %d events, %v", len(events.Items), err)
	}
}

// right is something that an account may or may not do.
type right struct {
	what string
	may  bool
	do   func() error
}

func checkRights(t *testing.T, rights []right) {
	t.Helper()
	for _, r := range rights {
		if err := r.do(); r.may && err != nil {
			t.Errorf("cannot %s: %v", r.what, err)
		} else if !r.may && !apierrors.IsForbidden(err) {
			t.Errorf("may %s: %v", r.what, err)
		}
	}
}

// account returns clients of a pod's service account.
func account(t *testing.T, p *pod) (kubernetes.Interface, dynamic.Interface) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", p.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	dynamic, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client, dynamic
}

func container(image string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "p-"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: image}}}}
}

var dryRun = metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}

func checkAgent(t *testing.T, i *installation) {
	ctx := t.Context()
	client, objects := account(t, i.agent)
	policies := objects.Resource(trustpolicy.Resource)
	core := client.CoreV1()
	other := &unstructured.Unstructured{Object: map[string]any{"apiVersion": trustpolicy.Resource.GroupVersion().String(), "kind": "ClusterImagePolicy", "metadata": map[string]any{"name": "other"},
		"spec": map[string]any{"images": []any{map[string]any{"glob": "x/**"}}, "authorities": []any{map[string]any{"name": "a", "static": map[string]any{"action": "pass"}}}}}}
	apply := metav1.ApplyOptions{FieldManager: "holdfast-trust"}
	checkRights(t, []right{
		{"read its policy", true, func() error { _, err := policies.Get(ctx, "holdfast", metav1.GetOptions{}); return err }},
		{"delete its policy", false, func() error { return policies.Delete(ctx, "holdfast", metav1.DeleteOptions{}) }},
		{"list policies", false, func() error { _, err := policies.List(ctx, metav1.ListOptions{}); return err }},
		{"apply another policy", false, func() error { _, err := policies.Apply(ctx, "other", other, apply); return err }},
		{"make another policy", false, func() error { _, err := policies.Create(ctx, other, metav1.CreateOptions{}); return err }},
		{"read the Secrets of its namespace", false, func() error { _, err := core.Secrets(installed).Get(ctx, "vault", metav1.GetOptions{}); return err }},
		{"list Secrets", false, func() error { _, err := core.Secrets("").List(ctx, metav1.ListOptions{}); return err }},
		{"read what it pins", false, func() error {
			_, err := core.ConfigMaps(installed).Get(ctx, "holdfast-trust-endpoint", metav1.GetOptions{})
			return err
		}},
		{"change what it pins", false, func() error {
			_, err := core.ConfigMaps(installed).Patch(ctx, "holdfast-trust-endpoint", types.MergePatchType, []byte(`{}`), metav1.PatchOptions{})
			return err
		}},
		{"change the record of the service", false, func() error {
			_, err := core.ConfigMaps(installed).Apply(ctx, applycorev1.ConfigMap("holdfast-trust-state", installed), apply)
			return err
		}},
		{"make ConfigMaps", false, func() error {
			_, err := core.ConfigMaps(installed).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "other"}}, metav1.CreateOptions{})
			return err
		}},
		{"delete what it remembers", false, func() error {
			return core.ConfigMaps(installed).Delete(ctx, "holdfast-trust-sync", metav1.DeleteOptions{})
		}},
		{"list pods", false, func() error { _, err := core.Pods("").List(ctx, metav1.ListOptions{}); return err }},
		{"run pods in its namespace", false, func() error { _, err := core.Pods(installed).Create(ctx, container("i"), dryRun); return err }},
		{"run pods elsewhere", false, func() error { _, err := core.Pods("default").Create(ctx, container("i"), dryRun); return err }},
		{"run pods, for real, in the namespace of the self-test", false, func() error {
			_, err := core.Pods(asked).Create(ctx, container(i.good.String()), metav1.CreateOptions{})
			return err
		}},
		{"label namespaces", false, func() error {
			_, err := core.Namespaces().Patch(ctx, asked, types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{})
			return err
		}},
	})
}

func checkService(t *testing.T, i *installation) {
	ctx := t.Context()
	client, objects := account(t, i.replicas[0])
	maps := client.CoreV1().ConfigMaps(installed)
	record, err := maps.Get(ctx, "holdfast-trust-state", metav1.GetOptions{})
	if err != nil || len(record.BinaryData["record"]) == 0 {
		t.Fatalf("the record is %v, %v", record, err)
	}
	checkRights(t, []right{
		{"delete its record", false, func() error { return maps.Delete(ctx, "holdfast-trust-state", metav1.DeleteOptions{}) }},
		{"make ConfigMaps", false, func() error {
			_, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "other"}}, metav1.CreateOptions{})
			return err
		}},
		{"read its configuration through the API", false, func() error { _, err := maps.Get(ctx, "holdfast-trust-config", metav1.GetOptions{}); return err }},
		{"change what the agent remembers", false, func() error {
			_, err := maps.Patch(ctx, "holdfast-trust-sync", types.MergePatchType, []byte(`{}`), metav1.PatchOptions{})
			return err
		}},
		{"read Secrets", false, func() error {
			_, err := client.CoreV1().Secrets(installed).Get(ctx, "vault", metav1.GetOptions{})
			return err
		}},
		{"list Secrets", false, func() error { _, err := client.CoreV1().Secrets("").List(ctx, metav1.ListOptions{}); return err }},
		{"list what runs", true, func() error { _, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{}); return err }},
		{"list ConfigMaps", false, func() error { _, err := client.CoreV1().ConfigMaps("").List(ctx, metav1.ListOptions{}); return err }},
		{"delete pods", false, func() error { return client.CoreV1().Pods("default").Delete(ctx, "p", metav1.DeleteOptions{}) }},
		{"read policies", false, func() error {
			_, err := objects.Resource(trustpolicy.Resource).Get(ctx, "holdfast", metav1.GetOptions{})
			return err
		}},
	})
}

// checkResigned shows that the rights of the chart are enough for what is signed again: by the next key, without anybody asking.
func checkResigned(t *testing.T, i *installation, namespace string, image name.Digest) {
	p := container(image.String())
	if _, err := cluster.Client().CoreV1().Pods(namespace).Create(t.Context(), p, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	first := i.replicas[0]
	i.program(first.kubeconfig, "--config", filepath.Join(first.dir, "trust.yaml"), "keys", "rotate")
	within(t, time.Minute, func() error {
		cmd := exec.CommandContext(t.Context(), binary(t), "verify", "--keys", i.url+"/v1/keys", "--pin", i.path("pins.pem"), "--ca", i.path("tls.crt"), image.String(), i.registry.Host+"/kept@"+keptDigest(t))
		out, err := cmd.CombinedOutput()
		if err != nil || strings.Count(string(out), "by images/2") != 2 {
			return fmt.Errorf("verify: %v: %s", err, out)
		}
		return nil
	})
}

// keptDigest is that of the image of the self-test that a listed key signs.
func keptDigest(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), binary(t), "selftest", "images", "reg.example/kept").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, digest, _ := strings.Cut(strings.Fields(string(out))[0], "@")
	return digest
}

// checkDryRunsOnly asks as an administrator, who may do all.
func checkDryRunsOnly(t *testing.T, i *installation) {
	pods := cluster.Client().CoreV1().Pods(asked)
	p := container(i.good.String())
	yes, no, user := true, false, int64(65534)
	p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{RunAsNonRoot: &yes, RunAsUser: &user, AllowPrivilegeEscalation: &no,
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
	if _, err := pods.Create(t.Context(), p, dryRun); err != nil {
		t.Errorf("a dry run: %v", err)
	}
	if _, err := pods.Create(t.Context(), p, metav1.CreateOptions{}); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "self-test") {
		t.Errorf("for real: %v", err)
	}
}

// values are those of the values for sigstore's chart that a test can compare.
type values struct {
	Webhook struct {
		FailurePolicy     admissionregistrationv1.FailurePolicyType `json:"failurePolicy"`
		NamespaceSelector metav1.LabelSelector                      `json:"namespaceSelector"`
		ConfigData        map[string]string                         `json:"configData"`
		ExtraArgs         map[string]string                         `json:"extraArgs"`
	} `json:"webhook"`
}

func TestPolicyControllerRunsWithTheValuesThatWeGive(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(deploy, "policy-controller", "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var v values
	if err := yaml.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	hooks, err := cluster.Client().AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), trust.ImageWebhook, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	has := map[string]bool{}
	for _, e := range hooks.Webhooks[0].NamespaceSelector.MatchExpressions {
		has[asJSON(t, e)] = true
	}
	for _, e := range v.Webhook.NamespaceSelector.MatchExpressions {
		if !has[asJSON(t, e)] {
			t.Errorf("the selector %v is not that of the tests: %v", e, has)
		}
	}
	if len(v.Webhook.NamespaceSelector.MatchExpressions) < 2 || *hooks.Webhooks[0].FailurePolicy != v.Webhook.FailurePolicy {
		t.Errorf("the failure policy is %s and %s", *hooks.Webhooks[0].FailurePolicy, v.Webhook.FailurePolicy)
	}
	if v.Webhook.ExtraArgs["disable-tuf"] != "true" {
		t.Errorf("the flags are %v; the tests run without the update framework", v.Webhook.ExtraArgs)
	}
	// By policy-controller's own defaults, or as the values have them, the configuration is the same.
	config, err := cluster.Client().CoreV1().ConfigMaps(trust.PolicyNamespace).Get(t.Context(), "config-policy-controller", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for key, fallback := range map[string]string{"no-match-policy": "deny", "fail-on-empty-authorities": "true"} {
		live, ok := config.Data[key]
		if !ok {
			live = fallback
		}
		if v.Webhook.ConfigData[key] != live {
			t.Errorf("%s is %q in the values, and the tests run with %q", key, v.Webhook.ConfigData[key], live)
		}
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
