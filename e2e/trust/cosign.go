package trust

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/holdfast-telemetry/holdfast/e2e/peer"
)

// Cosign is the cosign command, with a home of its own and without the internet: it asks no transparency log and no update framework.
type Cosign struct{ path, home string }

// KeyPair is a key that cosign made, in a file that it has locked with an empty password.
type KeyPair struct {
	// Private is the path of its private half.
	Private string
	// Public is PEM.
	Public []byte
}

// NewCosign builds cosign if need be.
func NewCosign(ctx context.Context, t testing.TB) *Cosign {
	t.Helper()
	bin, err := peer.Build(ctx, "cosign")
	if err != nil {
		t.Fatal(err)
	}
	return &Cosign{path: peer.Executable(bin, "cosign"), home: t.TempDir()}
}

// Command returns cosign with those arguments, ready to run.
func (c *Cosign) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.path, args...)
	cmd.Dir = c.home
	cmd.Env = []string{"HOME=" + c.home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "COSIGN_PASSWORD="}
	return cmd
}

// Run runs cosign and returns all that it prints. When it fails the error has that too, but not the arguments, which can be a registry's
// login. Variables are NAME=value.
func (c *Cosign) Run(ctx context.Context, variables []string, args ...string) (string, error) {
	cmd := c.Command(ctx, args...)
	cmd.Env = append(cmd.Env, variables...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("cosign %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// KeyPair makes a key, ECDSA on the curve P-256.
func (c *Cosign) KeyPair(ctx context.Context, t testing.TB) KeyPair {
	t.Helper()
	prefix := filepath.Join(t.TempDir(), "cosign")
	if _, err := c.Run(ctx, nil, "generate-key-pair", "--output-key-prefix", prefix); err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile(prefix + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	return KeyPair{Private: prefix + ".key", Public: public}
}

// Sign signs an image in the legacy form, the one that policy-controller takes with a key. The signature is put into a repository, or
// beside the image when that is empty.
func (c *Cosign) Sign(ctx context.Context, key KeyPair, image name.Digest, repository string, flags ...string) error {
	args := append([]string{"sign", "--key", key.Private,
		"--new-bundle-format=false", "--use-signing-config=false", "--tlog-upload=false", "-y"}, flags...)
	_, err := c.Run(ctx, in(repository), append(args, image.String())...)
	return err
}

// Verify returns an error unless an image has a signature, in the legacy form, by the private half of a key. It is looked for in a
// repository, or beside the image when that is empty.
func (c *Cosign) Verify(ctx context.Context, public []byte, image name.Digest, repository string, flags ...string) error {
	dir, err := os.MkdirTemp(c.home, "verify-")
	if err != nil {
		return fmt.Errorf("writing a key for cosign: %w", err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "cosign.pub")
	if err := os.WriteFile(path, public, 0o600); err != nil {
		return fmt.Errorf("writing a key for cosign: %w", err)
	}
	args := append([]string{"verify", "--key", path, "--insecure-ignore-tlog=true", "--new-bundle-format=false"}, flags...)
	_, err = c.Run(ctx, in(repository), append(args, image.String())...)
	return err
}

func in(repository string) []string {
	if repository == "" {
		return nil
	}
	return []string{"COSIGN_REPOSITORY=" + repository}
}
