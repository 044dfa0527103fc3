package tree

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// revision is a tree in a git repository.
type revision struct {
	repository string
	name       string // for messages
	tree       string // git's name of the tree, or of the commit that has it
	files      []File
	linked     map[string]string

	submodules []File

	mu     sync.Mutex // of the process, which answers one question after the other
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	cancel context.CancelFunc
}

// git runs the git program in a repository and returns what it prints.
func git(ctx context.Context, repository string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", repository}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("git %s in %s: %w: %s", args[0], repository, err, strings.TrimSpace(errs.String()))
	}
	return out.Bytes(), nil
}

// ErrNoRepository is in the error about a folder that is in none.
var ErrNoRepository = errors.New("is in no git repository")

// isRepository says why git does not read a repository: there is none, or it is another account's.
func isRepository(ctx context.Context, folder string) error {
	_, err := git(ctx, folder, "rev-parse", "--git-dir")
	if err != nil && strings.Contains(err.Error(), "not a git repository") {
		return fmt.Errorf("%s %w", folder, ErrNoRepository)
	}
	return err
}

// Commit returns the full name of the commit that a revision means.
func Commit(ctx context.Context, repository, name string) (string, error) {
	if err := isRepository(ctx, repository); err != nil {
		return "", err
	}
	out, err := git(ctx, repository, "rev-parse", "--verify", "--end-of-options", name+"^{commit}")
	if err != nil {
		return "", fmt.Errorf("finding the revision %s (a shallow clone may lack it: fetch it first): %w", name, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// MergeBase returns the newest commit that two revisions share.
func MergeBase(ctx context.Context, repository, a, b string) (string, error) {
	if err := isRepository(ctx, repository); err != nil {
		return "", err
	}
	out, err := git(ctx, repository, "merge-base", "--end-of-options", a, b)
	if err != nil {
		return "", fmt.Errorf("finding where %s and %s part (a shallow clone may lack it: fetch more of it): %w", a, b, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Revision opens a revision of a repository: a branch, a tag, a commit, or what else git understands.
func Revision(ctx context.Context, repository, name string) (Tree, error) {
	commit, err := Commit(ctx, repository, name)
	if err != nil {
		return nil, err
	}
	return open(ctx, &revision{repository: repository, name: "the revision " + name, tree: commit})
}

// open lists a tree, and starts what gives its contents.
func open(ctx context.Context, t *revision) (Tree, error) {
	out, err := git(ctx, t.repository, "ls-tree", "-r", "-z", "--full-tree", t.tree)
	if err != nil {
		return nil, err
	}
	links, err := t.list(out)
	if err != nil {
		return nil, err
	}
	if err := t.start(ctx); err != nil {
		return nil, err
	}
	if err := t.resolve(links); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// list reads git's list of files, and returns those that are links.
func (t *revision) list(out []byte) (linked []File, err error) {
	for entry := range strings.SplitSeq(string(out), "\x00") {
		if entry == "" {
			continue
		}
		about, path, found := strings.Cut(entry, "\t")
		fields := strings.Fields(about) // mode, type, hash
		if !found || len(fields) != 3 {
			return nil, fmt.Errorf("git ls-tree printed %q, which is not understood", entry)
		}
		if fields[1] == "commit" {
			t.submodules = append(t.submodules, File{Path: path, Hash: fields[2], Target: path})
		}
		if fields[1] != "blob" {
			continue
		}
		f := File{Path: path, Hash: fields[2], Target: path}
		if fields[0] == "120000" {
			linked = append(linked, f)
		}
		t.files = append(t.files, f)
	}
	sortFiles(t.files)
	return linked, nil
}

func (t *revision) resolve(linked []File) error {
	targets := make(map[string]string, len(linked))
	for _, f := range linked {
		target, err := t.Read(f)
		if err != nil {
			return err
		}
		targets[f.Path] = string(target)
	}
	t.files, t.linked = links(t.files, targets)
	return nil
}

// start starts the process that gives contents.
func (t *revision) start(ctx context.Context) error {
	ctx, t.cancel = context.WithCancel(ctx)
	t.cmd = exec.CommandContext(ctx, "git", "-C", t.repository, "cat-file", "--batch")
	in, err := t.cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := t.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	t.in, t.out = in, bufio.NewReaderSize(out, 1<<16)
	if err := t.cmd.Start(); err != nil {
		return fmt.Errorf("starting git: %w", err)
	}
	return nil
}

// LinkedFolders implements Linked.
func (t *revision) LinkedFolders() map[string]string { return t.linked }

func (t *revision) Name() string  { return t.name }
func (t *revision) Files() []File { return t.files }

// Read asks for a content by its hash.
func (t *revision) Read(f File) ([]byte, error) {
	if f.Escapes {
		return nil, fmt.Errorf("%s leads out of the repository in %s", f.Path, t.Name())
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	content, err := t.ask(f.Hash)
	if err != nil {
		return nil, fmt.Errorf("reading %s in %s: %w", f.Path, t.Name(), err)
	}
	return content, nil
}

func (t *revision) ask(hash string) ([]byte, error) {
	if _, err := io.WriteString(t.in, hash+"\n"); err != nil {
		return nil, err
	}
	header, err := t.out.ReadString('\n')
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(header) // hash, type, size
	if len(fields) != 3 {
		return nil, fmt.Errorf("git says %q", strings.TrimSpace(header))
	}
	size, err := strconv.Atoi(fields[2])
	if err != nil {
		return nil, err
	}
	content := make([]byte, size+1)
	if _, err := io.ReadFull(t.out, content); err != nil {
		return nil, err
	}
	return content[:size], nil
}

// Close ends git.
func (t *revision) Close() error {
	_ = t.in.Close() // it ends when nobody asks any more
	_ = t.cmd.Wait()
	t.cancel()
	return nil
}

// Root returns the folder of a repository's work tree, or of the repository itself where it has none. Links in it are followed.
func Root(ctx context.Context, repository string) (string, error) {
	out, err := git(ctx, repository, "rev-parse", "--show-toplevel")
	if err != nil {
		if out, err = git(ctx, repository, "rev-parse", "--absolute-git-dir"); err != nil {
			return "", err
		}
	}
	return filepath.EvalSymlinks(filepath.FromSlash(strings.TrimSpace(string(out))))
}
