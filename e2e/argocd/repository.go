//go:build e2e

package argocd

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Files are the texts of a tree, by path.
type Files map[string]string

// Repository is a bare git repository.
type Repository struct {
	// Dir is its folder, and URL what an Application calls it.
	Dir, URL string
}

// NewRepository makes an empty repository.
func NewRepository(ctx context.Context, dir string) (*Repository, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("making a repository: %w", err)
	}
	r := &Repository{Dir: dir, URL: "file://" + filepath.ToSlash(dir)}
	if _, err := r.git(ctx, "", "init", "--quiet", "--bare", "--initial-branch=main", dir); err != nil {
		return nil, err
	}
	return r, nil
}

// Commit makes the tree the next commit of a branch, which it makes if need be, and returns the commit's name. Branches can be committed to
// at once, each by one.
func (r *Repository) Commit(ctx context.Context, branch, message string, files Files) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "feature done\ncommit refs/heads/%s\ncommitter test <test@example.org> now\ndata %d\n%s\n", branch, len(message), message)
	if _, err := r.git(ctx, "", "--git-dir", r.Dir, "rev-parse", "--verify", "--quiet", "refs/heads/"+branch); err == nil {
		fmt.Fprintf(&b, "from refs/heads/%s^0\n", branch)
	}
	b.WriteString("deleteall\n")
	for _, path := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&b, "M 100644 inline %q\ndata %d\n%s\n", path, len(files[path]), files[path])
	}
	b.WriteString("done\n")
	if _, err := r.git(ctx, b.String(), "--git-dir", r.Dir, "fast-import", "--quiet", "--date-format=now"); err != nil {
		return "", err
	}
	return r.git(ctx, "", "--git-dir", r.Dir, "rev-parse", "refs/heads/"+branch)
}

// git runs git with an input and returns what it prints.
func (r *Repository) git(ctx context.Context, input string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C")
	cmd.Stdin = strings.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return strings.TrimSpace(stdout.String()), nil
}
