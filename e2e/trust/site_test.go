//go:build e2e

package trust_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/peer"
	"github.com/holdfast-telemetry/holdfast/e2e/trust"
)

// site is what the reader of a runbook is in charge of: a service with a certificate, a registry, and a cluster with an agent, by the names
// that these have where nobody changed them.
type site struct {
	*service
	t         *testing.T
	vault     *trust.Vault // nil where the keys are in a folder
	variables map[string]string
	begun     []*kube.Program

	ours   []name.Digest // run, signed by the service
	theirs name.Digest   // of others, runs too
	globs  string        // the images that the policy is for
}

// agentNamespace is where the agent keeps what it accepted, and agentMemory what it is called.
const agentNamespace, agentMemory = "holdfast-trust", "holdfast-trust-sync"

// startSite runs a service, with its keys in Vault or in a folder, has images signed, and runs the agent.
func startSite(t *testing.T, inVault bool) *site {
	t.Helper()
	s := &site{t: t, service: &service{TB: t, bin: binary(t), dir: t.TempDir(), registry: trust.StartRegistry(t.Context(), t, trust.RegistryOptions{}), namespace: cluster.Namespace(t, nil)}}
	store := ""
	if inVault {
		s.vault = trust.StartVault(t.Context(), t)
		s.write("vault-token", s.vault.Root)
		store = fmt.Sprintf("keys: {vault: {address: %q, token-file: %q}}\n", s.vault.URL, s.path("vault-token"))
	}
	addrs, err := peer.FreeAddrs(2)
	if err != nil {
		t.Fatal(err)
	}
	s.url, s.globs = "https://"+addrs[0], s.registry.Host+"/**"
	s.writeCertificate()
	s.write("trust.yaml", fmt.Sprintf("data: data\nlisten: %s\nadmin-listen: %s\ntls: {certificate: ca.crt, key: ca.key}\ntiming: {poll: %v, slack: 1s}\nsources: [%s/signatures/of-others]\n%s",
		addrs[0], addrs[1], poll, s.registry.Host, store))
	s.setVariables()
	s.writeRules("")
	s.program = kube.NewProgram(s.dir, "holdfast-trust", s.bin, "serve", "--config", s.path("trust.yaml"))
	s.run(s.program, "a key signed", func(context.Context) error {
		if !strings.Contains(s.program.Log(), "images/1 active") {
			return fmt.Errorf("it does not")
		}
		return nil
	})
	s.ours = []name.Digest{s.push("app/web"), s.push("app/db")}
	s.theirs = s.push("upstream/redis")
	s.listDeployed(s.ours...)
	s.write("images.yaml", fmt.Sprintf("images:\n- {reference: %q, owner: team-cache, reviewed-by: ann, expires: %s}\n",
		s.registry.Host+"/upstream/redis:latest@"+s.theirs.DigestStr(), time.Now().AddDate(0, 1, 0).Format(time.DateOnly)))
	s.must("resign", "--url", s.url, "--ca", s.path("ca.crt"), "--token-file", s.path("token-recovery"), "--images", s.path("images.yaml"), "--deployed", s.path("deployed"))
	s.write("pin.pem", s.must("keys", "pin"))
	s.startAgent(s.url+"/v1/keys", "pin.pem")
	s.everythingRuns()
	return s
}

// writeCertificate makes a certificate for the loopback that is its own authority.
func (s *site) writeCertificate() {
	s.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pair := server.TLS.Certificates[0]
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		s.Fatal(err)
	}
	s.write("ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})))
	s.write("ca.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
}

// setVariables sets those that the README names, and puts the two commands where the shell finds them.
func (s *site) setVariables() {
	s.Helper()
	for _, dir := range []string{"data", "bin"} {
		if err := os.Mkdir(s.path(dir), 0o700); err != nil {
			s.Fatal(err)
		}
	}
	for command, path := range map[string]string{"holdfast-trust": s.bin, "kubectl": cluster.KubectlCommand(s.Context()).Path} {
		if err := os.Symlink(path, s.path("bin/"+command)); err != nil {
			s.Fatal(err)
		}
	}
	s.variables = map[string]string{"CONFIG": s.path("trust.yaml"), "DATA": s.path("data"), "URL": s.url, "IMAGES": s.path("images.yaml"), "DEPLOYED": s.path("deployed"),
		"KUBECONFIG": cluster.Kubeconfig(), "SSL_CERT_FILE": s.path("ca.crt")}
	first := s.reader(readRunbook(s, readme))
	block := first.in("Before anything has happened")[0]
	s.variables["HOLDFAST_TRUST_TOKEN"] = secret.FindString(first.follow(block.section))
	s.write("token-recovery", s.variables["HOLDFAST_TRUST_TOKEN"])
	prepared[block.where] = true
	for _, v := range variablesOf(s, readme) {
		if s.variables[v] == "" {
			s.Errorf("the README has its reader set %s, and nobody knows to what", v)
		}
	}
	s.write("token", s.must("ci-credentials", "add", "ci"))
}

// writeRules writes who may have what signed: the rule of the README, which is for one more registry, too, and one for CI.
func (s *site) writeRules(another string) {
	s.Helper()
	rules := strings.ReplaceAll(yamlIn(s, readme), `"reg.example/**"`, fmt.Sprintf("%q, %q", s.registry.Host+"/**", another+"/**"))
	rules = strings.ReplaceAll(rules, `, "/**"`, "")
	s.write("data/rules.yaml", rules+fmt.Sprintf("- {name: ci, token: ci, repositories: [%q]}\n", s.registry.Host+"/app/**"))
}

// reader follows a runbook at this site.
func (s *site) reader(book *runbook) *reader { return &reader{site: s, runbook: book} }

func (s *site) listDeployed(images ...name.Digest) {
	s.Helper()
	var lines strings.Builder
	for _, i := range images {
		fmt.Fprintln(&lines, i)
	}
	s.write("deployed", lines.String())
}

// startAgent runs the agent, in the place of one that runs, and returns when its policy is in force.
func (s *site) startAgent(url string, pins ...string) {
	s.Helper()
	s.startAgentWith(url, "OK", pins...)
}

// startAgentWith does that where its first poll is to end with another word.
func (s *site) startAgentWith(url, word string, pins ...string) {
	s.Helper()
	if s.agent == nil {
		s.makeAgentNamespace()
	} else {
		s.agent.Stop()
	}
	files := make([]string, len(pins))
	for i, pin := range pins {
		files[i] = s.path(pin)
	}
	name := fmt.Sprintf("holdfast-trust-sync-%d", len(s.begun))
	s.agent = kube.NewProgram(s.dir, name, s.bin, "sync", "--kubeconfig", cluster.Kubeconfig(), "--keys", url, "--ca", s.path("ca.crt"), "--pin", strings.Join(files, ","),
		"--images", s.globs, "--poll", poll.String(), "--metrics", "")
	s.begun = append(s.begun, s.agent)
	s.run(s.agent, "a poll ended with "+word, func(context.Context) error { return s.status(word)() })
}

func (s *site) makeAgentNamespace() {
	s.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: agentNamespace, Labels: map[string]string{trust.ExcludeLabel: "true"}}}
	within(s.t, time.Minute, func() error { // another test may have deleted it just now
		there, err := cluster.Client().CoreV1().Namespaces().Get(s.Context(), ns.Name, metav1.GetOptions{})
		if err == nil && there.DeletionTimestamp == nil {
			return nil
		}
		_, err = cluster.Client().CoreV1().Namespaces().Create(s.Context(), ns, metav1.CreateOptions{})
		return err
	})
	s.Cleanup(func() {
		s.agent.Stop() // it would bring back what is deleted
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := controller.DeletePolicy(ctx, "holdfast"); err != nil {
			s.Error(err)
		}
		if err := cluster.Client().CoreV1().ConfigMaps(agentNamespace).Delete(ctx, agentMemory, metav1.DeleteOptions{}); err != nil {
			s.Error(err)
		}
	})
}

// status is what a check wants when the agent's last poll must have ended with a word.
func (s *site) status(word string) func() error {
	return func() error {
		m, err := cluster.Client().CoreV1().ConfigMaps(agentNamespace).Get(s.Context(), agentMemory, metav1.GetOptions{})
		if err == nil && !strings.HasPrefix(m.Data["status"], word+": ") {
			err = fmt.Errorf("the status is %q, and not %s", m.Data["status"], word)
		}
		return err
	}
}

// everythingRuns fails unless what should run is admitted soon.
func (s *site) everythingRuns() {
	s.Helper()
	for _, image := range append(s.ours, s.theirs) {
		within(s.t, soon, admitted(s.t, s.namespace, image.String()))
	}
}

// refuses fails unless an image is refused soon.
func (s *site) refuses(image name.Digest) {
	s.Helper()
	within(s.t, soon, refused(s.t, s.namespace, image.String(), ""))
}

// signAs has an image signed by a token, as CI does.
func (s *site) signAs(token string, image name.Digest) {
	s.Helper()
	s.must("sign", "--url", s.url, "--ca", s.path("ca.crt"), "--token-file", s.path(token), image.String())
}

// attempt runs a command of the program, and returns what it prints.
func (s *site) attempt(args ...string) (string, error) {
	out, err := exec.CommandContext(s.Context(), s.bin, append([]string{"--config", s.path("trust.yaml")}, args...)...).CombinedOutput()
	return string(out), err
}

// create makes a pod in the namespace, and not only a dry run.
func (s *site) create(pod string, image name.Digest) error {
	_, err := cluster.Client().CoreV1().Pods(s.namespace).Create(s.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: pod},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: image.String()}}}}, metav1.CreateOptions{})
	return err
}
