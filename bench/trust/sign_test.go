// Package trust_test measures signing: the service of holdfast-trust beside the cosign command, with the same registry, as many images,
// and in turn. BenchmarkSigning prints a table. Everything is on the loopback and bounded by its count.
package trust_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/peer"
	"github.com/holdfast-telemetry/holdfast/e2e/trust"
)

var (
	binary = flag.String("program", "../../bin/holdfast-trust", "the built holdfast-trust")
	images = flag.Int("images", 50, "images that each signs in a round; at most 50, which one request names")
	rounds = flag.Int("rounds", 5, "rounds, of which the median is told")
)

// bench is one run.
type bench struct {
	*testing.B
	registry *trust.Registry
	cosign   *trust.Cosign
	key      trust.KeyPair
	vault    *trust.Vault
	services map[string]*service // by where their keys are
}

// service is a running holdfast-trust.
type service struct {
	dir, url, token string
	process         *kube.Program
	store           *kube.Program // Vault, or nil
}

// way is one way to have images signed. It returns the CPU time of the programs that it ran to their end.
type way struct {
	name string
	// processes run all the time, and their CPU time is the way's too.
	processes []*kube.Program
	sign      func(context.Context, []name.Digest) (time.Duration, error)
}

// figures are those of one way in one round.
type figures struct {
	wall                  time.Duration
	cpu, store, registers time.Duration // of the signing programs, of Vault, of the registry
}

func BenchmarkSigning(b *testing.B) {
	log.SetFlags(log.Ltime)
	s := &bench{B: b, registry: trust.StartRegistry(b.Context(), b, trust.RegistryOptions{}), cosign: trust.NewCosign(b.Context(), b), vault: trust.StartVault(b.Context(), b), services: map[string]*service{}}
	s.key = s.cosign.KeyPair(b.Context(), b)
	s.serve("folder", "", nil)
	s.serve("vault", fmt.Sprintf("keys: {vault: {address: %q, token-file: vault-token}}\n", s.vault.URL), s.vault.Program)
	if err := s.vault.Set(b.Context(), "transit/keys/cosign", map[string]any{"type": "ecdsa-p256"}); err != nil {
		b.Fatal(err)
	}
	ways := s.ways()
	all := make([][]figures, len(ways))
	for b.Loop() {
		for round := range *rounds {
			for n := range ways {
				w := (n + round) % len(ways) // none is always first
				f := s.measure(ways[w])
				all[w] = append(all[w], f)
				log.Printf("round %d, %s: %.1f s", round+1, ways[w].name, f.wall.Seconds())
			}
		}
	}
	s.table(os.Stdout, ways, all)
}

// serve runs a service until the benchmark ends, and returns when a key signs.
func (s *bench) serve(store, keys string, program *kube.Program) {
	s.Helper()
	addrs, err := peer.FreeAddrs(2)
	if err != nil {
		s.Fatal(err)
	}
	v := &service{dir: s.TempDir(), url: "http://" + addrs[0], store: program}
	for file, text := range map[string]string{
		"trust.yaml":  fmt.Sprintf("data: .\nlisten: %s\nadmin-listen: %s\ntiming: {poll: 1s, slack: 1s}\n%s", addrs[0], addrs[1], keys),
		"rules.yaml":  fmt.Sprintf("rules:\n- {name: all, token: ci, repositories: [\"%s/**\"]}\n", s.registry.Host),
		"vault-token": s.vault.Root,
	} {
		if err := os.WriteFile(filepath.Join(v.dir, file), []byte(text), 0o600); err != nil {
			s.Fatal(err)
		}
	}
	out, err := exec.CommandContext(s.Context(), s.program(), "--config", filepath.Join(v.dir, "trust.yaml"), "ci-credentials", "add", "ci").Output()
	if err != nil {
		s.Fatal(err)
	}
	v.token = strings.TrimSpace(string(out))
	v.process = kube.NewProgram(v.dir, "holdfast-trust", s.program(), "serve", "--config", filepath.Join(v.dir, "trust.yaml"))
	if err := v.process.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(v.process.Stop)
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	if err := v.process.Await(ctx, "a key signed", func(context.Context) error {
		if !strings.Contains(v.process.Log(), "images/1 active") {
			return fmt.Errorf("it does not: %s", v.process.Log())
		}
		return nil
	}); err != nil {
		s.Fatal(err)
	}
	s.services[store] = v
}

func (s *bench) program() string {
	path, err := filepath.Abs(*binary)
	if err != nil {
		s.Fatal(err)
	}
	return path
}

// ways are what is compared. The first of each store is what the others of it are compared with.
func (s *bench) ways() []way {
	folder, vault := s.services["folder"], s.services["vault"]
	return []way{
		{"cosign sign --key file", nil, s.byCosign(s.key.Private)},
		{"one holdfast-trust sign for each image, folder", folder.programs(), s.byCommand(folder, 1)},
		{"one request for each image, folder", folder.programs(), byRequest(folder, 1)},
		{"one request for each image, 8 at a time, folder", folder.programs(), byRequest(folder, 8)},
		{"one holdfast-trust sign for all images, folder", folder.programs(), s.byCommand(folder, *images)},
		{"cosign sign --key hashivault://", []*kube.Program{s.vault.Program}, s.byCosign("hashivault://cosign")},
		{"one holdfast-trust sign for each image, Vault", vault.programs(), s.byCommand(vault, 1)},
		{"one request for each image, Vault", vault.programs(), byRequest(vault, 1)},
		{"one request for each image, 8 at a time, Vault", vault.programs(), byRequest(vault, 8)},
		{"one holdfast-trust sign for all images, Vault", vault.programs(), s.byCommand(vault, *images)},
	}
}

func (v *service) programs() []*kube.Program {
	if v.store == nil {
		return []*kube.Program{v.process}
	}
	return []*kube.Program{v.store, v.process}
}

// byCosign runs the cosign command for each image, as CI does. The command is run here, and not by the peer's Sign, for its CPU time.
func (s *bench) byCosign(key string) func(context.Context, []name.Digest) (time.Duration, error) {
	return func(ctx context.Context, all []name.Digest) (cpu time.Duration, err error) {
		for _, image := range all {
			cmd := s.cosign.Command(ctx, "sign", "--key", key, "--new-bundle-format=false", "--use-signing-config=false", "--tlog-upload=false", "-y", image.String())
			cmd.Env = append(cmd.Env, "VAULT_ADDR="+s.vault.URL, "VAULT_TOKEN="+s.vault.Root)
			spent, err := run(cmd)
			if err != nil {
				return 0, err
			}
			cpu += spent
		}
		return cpu, nil
	}
}

// byCommand runs the command of holdfast-trust, for so many images each.
func (s *bench) byCommand(v *service, each int) func(context.Context, []name.Digest) (time.Duration, error) {
	return func(ctx context.Context, all []name.Digest) (cpu time.Duration, err error) {
		for part := range slices.Chunk(all, each) {
			args := []string{"sign", "--url", v.url}
			for _, image := range part {
				args = append(args, image.String())
			}
			cmd := exec.CommandContext(ctx, s.program(), args...)
			cmd.Env = append(os.Environ(), "HOLDFAST_TRUST_TOKEN="+v.token)
			spent, err := run(cmd)
			if err != nil {
				return 0, err
			}
			cpu += spent
		}
		return cpu, nil
	}
}

func run(cmd *exec.Cmd) (time.Duration, error) {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, out)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

// byRequest asks as curl in a pipeline does, so many at a time. The benchmark's own CPU time is not counted.
func byRequest(v *service, parallel int) func(context.Context, []name.Digest) (time.Duration, error) {
	return func(ctx context.Context, all []name.Digest) (time.Duration, error) {
		errs := make([]error, len(all))
		var wait sync.WaitGroup
		slots := make(chan struct{}, parallel)
		for i, image := range all {
			slots <- struct{}{}
			wait.Go(func() {
				errs[i] = v.ask(ctx, image)
				<-slots
			})
		}
		wait.Wait()
		for _, err := range errs {
			if err != nil {
				return 0, err
			}
		}
		return 0, nil
	}
}

func (v *service) ask(ctx context.Context, image name.Digest) error {
	body, err := json.Marshal(map[string]any{"images": []string{image.String()}})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.url+"/v1/sign", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+v.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !bytes.Contains(answer, []byte(`"written":true`)) {
		return fmt.Errorf("the service answers %s: %s", resp.Status, answer)
	}
	return nil
}

// measure has a way sign images that nobody has signed.
func (s *bench) measure(w way) (f figures) {
	s.Helper()
	var all []name.Digest
	for range *images {
		all = append(all, s.registry.Push(s.Context(), s, "app/web"))
	}
	before := make([]time.Duration, len(w.processes))
	for i, p := range w.processes {
		before[i] = cpu(p.PID())
	}
	registry, begin := cpu(s.registry.PID()), time.Now()
	spent, err := w.sign(s.Context(), all)
	if err != nil {
		s.Fatalf("%s: %v", w.name, err)
	}
	f.wall, f.cpu, f.registers = time.Since(begin), spent, cpu(s.registry.PID())-registry
	for i, p := range w.processes {
		d := cpu(p.PID()) - before[i]
		if p == s.vault.Program {
			f.store += d
		} else {
			f.cpu += d
		}
	}
	return f
}
