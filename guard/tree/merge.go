package tree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// ConflictError says that a merge cannot be made without someone who decides.
type ConflictError struct {
	Base, Head string
	Files      []string
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s and %s conflict in %s: what their merge would be is not known", e.Base, e.Head, strings.Join(e.Files, ", "))
}

// ErrOldGit is a git that cannot merge without a work tree.
var ErrOldGit = errors.New("planning a merge needs git 2.38 or newer (git merge-tree --write-tree)")

// Merge opens what merging head into base makes, without touching a branch or a work tree. A *ConflictError says that nobody knows that yet.
func Merge(ctx context.Context, repository, base, head string) (Tree, error) {
	ours, err := Commit(ctx, repository, base)
	if err != nil {
		return nil, err
	}
	theirs, err := Commit(ctx, repository, head)
	if err != nil {
		return nil, err
	}
	parted, err := MergeBase(ctx, repository, ours, theirs)
	if err != nil {
		return nil, err
	}
	if parted == ours { // the merge is head itself
		return Revision(ctx, repository, head)
	}
	merged, err := merge(ctx, repository, ours, theirs)
	var conflict *ConflictError
	if errors.As(err, &conflict) {
		conflict.Base, conflict.Head = base, head
	}
	if err != nil {
		return nil, err
	}
	return open(ctx, &revision{repository: repository, name: "the merge of " + head + " into " + base, tree: merged})
}

// usage is how git ends when it does not know an option.
const usage = 129

// merge returns the tree of a merge of two commits, which git writes into the repository, where nothing refers to it.
func merge(ctx context.Context, repository, ours, theirs string) (string, error) {
	args := []string{"-C", repository, "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", ours, theirs}
	cmd := exec.CommandContext(ctx, "git", args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	merged, files, _ := strings.Cut(out.String(), "\x00")
	var exit *exec.ExitError
	switch {
	case err == nil && objectName(merged):
		return merged, nil
	case errors.As(err, &exit) && exit.ExitCode() == 1 && objectName(merged):
		return "", &ConflictError{Files: strings.FieldsFunc(files, func(r rune) bool { return r == 0 })}
	case errors.As(err, &exit) && exit.ExitCode() == usage:
		return "", ErrOldGit
	}
	return "", fmt.Errorf("git merge-tree in %s: %w: %s", repository, err, strings.TrimSpace(errs.String()))
}

// objectName says whether a text is the full name of an object of git.
func objectName(text string) bool {
	return (len(text) == 40 || len(text) == 64) && strings.Trim(text, "0123456789abcdef") == ""
}
