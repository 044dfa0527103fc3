//go:build e2e

package trust_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/peer"
	"github.com/holdfast-telemetry/holdfast/e2e/trust"
)

// service is a running holdfast-trust with a registry, and an agent of it in the cluster.
type service struct {
	testing.TB
	bin, dir  string
	url       string
	registry  *trust.Registry
	namespace string // where pods are asked for
	env       []string
	policy    string // the agent's
	program   *kube.Program
	agent     *kube.Program
}

// poll is how often the agent asks.
const poll = 2 * time.Second

// binary is the built program.
func binary(t testing.TB) string {
	t.Helper()
	path := os.Getenv("HOLDFAST_TRUST_BIN")
	if path == "" {
		path = filepath.Join("..", "..", "bin", "holdfast-trust")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the program is not built; run make build: %v", err)
	}
	return path
}

// startService runs a service with those keys, a part of its configuration, and the agent, and returns when the cluster has the policy. What is
// different about the service is changed before it starts.
func startService(t *testing.T, keys string, changes ...func(*service)) *service {
	t.Helper()
	s := &service{TB: t, bin: binary(t), dir: t.TempDir(), registry: trust.StartRegistry(t.Context(), t, trust.RegistryOptions{}), namespace: cluster.Namespace(t, nil)}
	for _, change := range changes {
		change(s)
	}
	addrs, err := peer.FreeAddrs(3)
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + addrs[0]
	s.write("trust.yaml", fmt.Sprintf("data: data\nlisten: %s\nadmin-listen: %s\ntiming: {poll: %v, slack: 1s}\nsources: [%s/signatures/of-others]\n%s", addrs[0], addrs[1], poll, s.registry.Host, keys))
	if err := os.Mkdir(s.path("data"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.write("data/rules.yaml", fmt.Sprintf("rules:\n- {name: all, token: ci, repositories: [\"%s/**\"]}\n", s.registry.Host))
	s.write("token", s.must("ci-credentials", "add", "ci"))
	s.program = kube.NewProgram(s.dir, "holdfast-trust", s.bin, "serve", "--config", s.path("trust.yaml"))
	s.program.Setenv(s.env...)
	s.run(s.program, "a key signed", func(context.Context) error {
		if !strings.Contains(s.program.Log(), "images/1 active") {
			return fmt.Errorf("it does not")
		}
		return nil
	})
	s.write("pin.pem", s.must("keys", "pin"))
	own := cluster.Namespace(t, map[string]string{trust.ExcludeLabel: "true"})
	s.policy = "trust-" + own
	s.agent = kube.NewProgram(s.dir, "holdfast-trust-sync", binary(t), "sync", "--kubeconfig", cluster.Kubeconfig(), "--keys", s.url+"/v1/keys", "--plain", "--pin", s.path("pin.pem"),
		"--namespace", own, "--policy", s.policy, "--images", s.registry.Host+"/**", "--poll", poll.String(), "--metrics", addrs[2])
	t.Cleanup(func() {
		s.agent.Stop() // it would bring the policy back
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := controller.DeletePolicy(ctx, s.policy); err != nil {
			t.Error(err)
		}
	})
	s.run(s.agent, "the policy was in force", func(ctx context.Context) error {
		m, err := cluster.Client().CoreV1().ConfigMaps(own).Get(ctx, "holdfast-trust-sync", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if status := m.Data["status"]; !strings.HasPrefix(status, "OK") {
			return fmt.Errorf("the status is %q", status)
		}
		return nil
	})
	return s
}

func (s *service) path(name string) string { return filepath.Join(s.dir, name) }

func (s *service) write(name, text string) {
	s.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
}

func (s *service) read(name string) string {
	s.Helper()
	text, err := os.ReadFile(s.path(name))
	if err != nil {
		s.Fatal(err)
	}
	return string(text)
}

// run starts a program until the test ends.
func (s *service) run(p *kube.Program, what string, ready func(context.Context) error) {
	s.Helper()
	s.Cleanup(func() {
		p.Stop()
		if s.Failed() {
			log := p.Log()
			s.Logf("end of its log:\n%s", log[max(0, len(log)-3000):])
		}
	})
	if err := p.Start(); err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	if err := p.Await(ctx, what, ready); err != nil {
		s.Fatal(err)
	}
}

// must runs a command of the program, which must succeed.
func (s *service) must(args ...string) string {
	s.Helper()
	cmd := exec.CommandContext(s.Context(), s.bin, append([]string{"--config", s.path("trust.yaml"), "--log-level", "error"}, args...)...)
	cmd.Env = append(os.Environ(), s.env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		s.Fatalf("%s: %v\n%s%s", strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.String()
}

func (s *service) sign(flags ...string) {
	s.Helper()
	s.must(append([]string{"sign", "--url", s.url, "--token-file", s.path("token")}, flags...)...)
}

// push makes an image in the registry.
func (s *service) push(repository string) name.Digest {
	s.Helper()
	return s.registry.Push(s.Context(), s, repository)
}

// soon is how long a change of the keys may take to be in force: what the agent waits at most, and 5 seconds.
const soon = poll + 5*time.Second

// keys is the configuration of a kind of key store.
func keys(t *testing.T, store string) string {
	t.Helper()
	if store == "folder" {
		return ""
	}
	v := trust.StartVault(t.Context(), t)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(v.Root), 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("keys: {vault: {address: %q, token-file: %q}}\n", v.URL, token)
}

func TestWhatTheServiceSignsRunsAndNothingElse(t *testing.T) {
	for _, store := range []string{"folder", "vault"} {
		t.Run(store, func(t *testing.T) {
			s := startService(t, keys(t, store))
			cosign := trust.NewCosign(t.Context(), t)
			signed, unsigned, foreign, theirs := s.push("app/web"), s.push("app/web"), s.push("app/web"), s.push("upstream/redis")
			other := cosign.KeyPair(t.Context(), t)
			if err := cosign.Sign(t.Context(), other, foreign, ""); err != nil {
				t.Fatal(err)
			}
			s.sign(signed.String())
			s.sign("--third-party", theirs.String())
			t.Logf("admitted %v after it was signed", within(t, soon, admitted(t, s.namespace, signed.String())))
			within(t, soon, admitted(t, s.namespace, theirs.String()))
			for image, words := range map[string]string{unsigned.String(): "no signatures found", foreign.String(): "no matching signatures"} {
				if err := refused(t, s.namespace, image, words)(); err != nil {
					t.Error(err)
				}
			}
			// cosign, which knows nothing of us, verifies what we wrote.
			key, err := httpGet(t, s.url+"/v1/keys/images/1.pem")
			if err != nil {
				t.Fatal(err)
			}
			if err := cosign.Verify(t.Context(), key, signed, ""); err != nil {
				t.Errorf("cosign: %v", err)
			}
			if err := cosign.Verify(t.Context(), key, theirs, s.registry.Host+"/signatures/of-others"); err != nil {
				t.Errorf("cosign, with the signature in our repository: %v", err)
			}
			if err := cosign.Verify(t.Context(), key, foreign, ""); err == nil {
				t.Error("cosign takes the other key's signature for ours")
			}
			// An old signature does not come back: its key is gone.
			s.must("keys", "revoke", "images/1")
			t.Logf("refused %v after its key was revoked", within(t, soon, refused(t, s.namespace, signed.String(), "no matching signatures")))
			s.sign("--force", signed.String())
			t.Logf("admitted again after %v", within(t, soon, admitted(t, s.namespace, signed.String())))
			within(t, soon, refused(t, s.namespace, theirs.String(), ""))
		})
	}
}

func httpGet(t *testing.T, url string) ([]byte, error) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}
