package trust

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/crypto/bcrypt"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/peer"
)

// RegistryOptions are what a registry can be made to do differently.
type RegistryOptions struct {
	// User and Password are asked for at every request, reading too. Without a User nobody is asked.
	User, Password string
}

// Registry is a registry whose contents can be deleted. It answers to no referrers API.
type Registry struct {
	*kube.Program
	// Host is host:port, the start of every reference to it.
	Host string
	auth authn.Authenticator
}

const registryConfig = `version: 0.1
log:
  level: info
storage:
  filesystem:
    rootdirectory: %[1]q
  delete:
    enabled: true
  cache:
    blobdescriptor: inmemory
http:
  addr: %[2]q
`

const registryLogin = `auth:
  htpasswd:
    realm: test
    path: %q
`

// StartRegistry runs an empty registry until the test ends.
func StartRegistry(ctx context.Context, t testing.TB, o RegistryOptions) *Registry {
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Fatalf("the registry of the tests is missing; run make registry, or install the Debian package docker-registry: %v", err)
	}
	addrs, err := peer.FreeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf(registryConfig, filepath.Join(dir, "registry"), addrs[0])
	r := &Registry{Host: addrs[0], auth: authn.Anonymous}
	if o.User != "" {
		r.auth = &authn.Basic{Username: o.User, Password: o.Password}
		passwords := filepath.Join(dir, "htpasswd")
		text += fmt.Sprintf(registryLogin, passwords)
		if err := writeLogin(passwords, o.User, o.Password); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Program = kube.NewProgram(dir, "docker-registry", program, "serve", config)
	started(t, r.Program, func() error { return r.Run(ctx) })
	return r
}

func writeLogin(path, user, password string) error {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		return fmt.Errorf("making the registry's login: %w", err)
	}
	return os.WriteFile(path, fmt.Appendf(nil, "%s:%s\n", user, hash), 0o600)
}

// Run starts a registry that was stopped, at the same address and with the same contents, and returns when it answers.
func (r *Registry) Run(ctx context.Context) error {
	return run(ctx, r.Program, "the registry answered", func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Host+"/v2/", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusUnauthorized {
			return fmt.Errorf("/v2/ answers %s", resp.Status)
		}
		return nil
	})
}

// Options are for calls of the package remote, with the registry's login.
func (r *Registry) Options(ctx context.Context) []remote.Option {
	return []remote.Option{remote.WithContext(ctx), remote.WithAuth(r.auth)}
}

// Push makes an image that is like no other, pushes it to a repository, under the tag latest, and returns its digest.
func (r *Registry) Push(ctx context.Context, t testing.TB, repository string) name.Digest {
	t.Helper()
	digest, err := r.TryPush(ctx, repository)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// TryPush is Push for goroutines of a test.
func (r *Registry) TryPush(ctx context.Context, repository string) (name.Digest, error) {
	image, err := random.Image(64, 1)
	if err != nil {
		return name.Digest{}, err
	}
	tag, err := name.NewTag(r.Host + "/" + repository + ":latest")
	if err != nil {
		return name.Digest{}, err
	}
	if err := remote.Write(tag, image, r.Options(ctx)...); err != nil {
		return name.Digest{}, err
	}
	digest, err := image.Digest()
	return tag.Digest(digest.String()), err
}
