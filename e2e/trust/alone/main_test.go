//go:build e2e

// The tests in this folder are those of the service by itself: with registries, Vault and an API server, and without policy-controller, of which
// only one can run on a machine.
package alone_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/peer"
	"github.com/holdfast-telemetry/holdfast/e2e/trust"
	"github.com/holdfast-telemetry/holdfast/e2e/trust/watch"
)

func TestMain(m *testing.M) {
	// The tests wait for keys to change most of the time, and can do so together.
	if err := flag.Set("test.parallel", "8"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	if err := errors.Join(stopCluster(), watch.RemoveFaulty()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(status)
}

// patience bounds each wait. A machine that is busy with other tests takes long.
const patience = 2 * time.Minute

// pause lies between two requests of what goes on beside a test.
const pause = 100 * time.Millisecond

// service is a service with a registry, not started yet.
type service struct {
	testing.TB
	bin, dir   string
	url, admin string
	token      string
	registry   *trust.Registry
	program    *kube.Program
}

// newService makes the folder of a service whose configuration has these parts too. The token of CI may have all images of the registry signed.
func newService(t testing.TB, bin string, registry *trust.Registry, config string) *service {
	t.Helper()
	s := &service{TB: t, bin: bin, dir: t.TempDir(), registry: registry}
	addrs, err := peer.FreeAddrs(2)
	if err != nil {
		t.Fatal(err)
	}
	s.url, s.admin = "http://"+addrs[0], "http://"+addrs[1]
	s.write("trust.yaml", fmt.Sprintf("data: data\nlisten: %s\nadmin-listen: %s\ntiming: {poll: 1s, slack: 1s}\n%s", addrs[0], addrs[1], config))
	if err := os.Mkdir(s.path("data"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.write("data/rules.yaml", fmt.Sprintf("rules:\n- {name: all, token: ci, repositories: [\"%s/**\"]}\n", registry.Host))
	s.token = s.must("ci-credentials", "add", "ci")
	s.program = kube.NewProgram(s.dir, "holdfast-trust", s.bin, "serve", "--config", s.path("trust.yaml"))
	t.Cleanup(func() {
		s.program.Stop()
		if t.Failed() {
			log := s.program.Log()
			t.Logf("end of its log:\n%s", log[max(0, len(log)-6000):])
		}
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

// start starts the service.
func (s *service) start() {
	s.Helper()
	if err := s.program.Start(); err != nil {
		s.Fatal(err)
	}
}

// ready waits until the service says that a key signs.
func (s *service) ready() {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	err := s.program.Await(ctx, "a key signed", func(ctx context.Context) error {
		resp, err := http.Get(s.admin + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("/readyz answers %s", resp.Status)
		}
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
}

// run runs a command of the program.
func (s *service) run(args ...string) (string, error) {
	cmd := exec.CommandContext(s.Context(), s.bin, append([]string{"--config", s.path("trust.yaml"), "--log-level", "error"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w\n%s%s", strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.String(), nil
}

// must runs a command of the program, which must succeed.
func (s *service) must(args ...string) string {
	s.Helper()
	out, err := s.run(args...)
	if err != nil {
		s.Fatal(err)
	}
	return out
}

// within polls check until it returns nil.
func within(t testing.TB, d time.Duration, what string, check func() error) {
	t.Helper()
	for end := time.Now().Add(d); ; time.Sleep(50 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s: %v", d, what, err)
		}
	}
}
