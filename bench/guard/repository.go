package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/holdfast-telemetry/holdfast/bench/guard/corpus"
)

// Branches of the repository: what is merged, and a pull request on it.
const (
	base = "main"
	head = "change"
)

// repository makes the repository, unless one of the same shape is there, and returns the bytes of its files.
func (b *bench) repository(ctx context.Context) (int, error) {
	mark := filepath.Join(b.dir, "shape")
	var bytes int
	if text, err := os.ReadFile(mark); err == nil {
		var was corpus.Shape
		if _, err := fmt.Sscan(string(text), &was.Clusters, &was.Apps, &was.Seed, &bytes); err == nil && was == b.shape {
			return bytes, nil
		}
		return 0, fmt.Errorf("%s holds a repository of another shape: %s", b.dir, text)
	}
	if err := os.MkdirAll(b.work(), 0o755); err != nil {
		return 0, err
	}
	if _, err := b.git(ctx, nil, "init", "-q", "-b", base); err != nil {
		return 0, err
	}
	reader, writer := io.Pipe()
	go func() {
		n, err := b.write(writer)
		bytes = n
		writer.CloseWithError(err)
	}()
	if _, err := b.git(ctx, reader, "fast-import", "--quiet"); err != nil {
		return 0, err
	}
	if _, err := b.git(ctx, nil, "reset", "-q"); err != nil {
		return 0, err
	}
	return bytes, os.WriteFile(mark, fmt.Appendln(nil, b.shape.Clusters, b.shape.Apps, b.shape.Seed, bytes), 0o644)
}

// git runs git in the repository, without anybody's settings.
func (b *bench) git(ctx context.Context, in io.Reader, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = b.work()
	cmd.Stdin = in
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w\n%s", args[0], err, out)
	}
	return string(out), nil
}

// write writes the files to the work tree, and the commits of both branches as git fast-import wants them.
func (b *bench) write(to io.Writer) (bytes int, err error) {
	w := bufio.NewWriterSize(to, 1<<20)
	commit(w, base, "All clusters")
	dirs := make(map[string]bool)
	err = b.shape.Files(func(f corpus.File) error {
		bytes += len(f.Data)
		modify(w, f)
		name := filepath.Join(b.work(), filepath.FromSlash(f.Path))
		if dir := filepath.Dir(name); !dirs[dir] {
			dirs[dir] = true
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
		}
		return os.WriteFile(name, f.Data, 0o644)
	})
	if err != nil {
		return 0, err
	}
	files, err := b.shape.Change()
	if err != nil {
		return 0, err
	}
	commit(w, head, "Change ten files")
	fmt.Fprintf(w, "from refs/heads/%s\n", base)
	for _, f := range files {
		modify(w, f)
	}
	return bytes, w.Flush()
}

// commit begins a commit, always of the same time.
func commit(w io.Writer, branch, message string) {
	fmt.Fprintf(w, "commit refs/heads/%s\ncommitter Bench <bench@example.org> 1700000000 +0000\ndata %d\n%s\n", branch, len(message), message)
}

func modify(w io.Writer, f corpus.File) {
	if f.Data == nil {
		fmt.Fprintf(w, "D %s\n", f.Path)
		return
	}
	fmt.Fprintf(w, "M 100644 inline %s\ndata %d\n%s\n", f.Path, len(f.Data), f.Data)
}
