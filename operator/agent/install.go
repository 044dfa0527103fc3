package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Install copies the running program into a folder, under its own name, and returns the path of the copy. It is for a volume that the
// container with the agent's image has too: the checker runs beside the agent without an image made of both. The copy is there whole or
// not at all.
func Install(dir string) (string, error) {
	from, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the running program: %w", err)
	}
	to := filepath.Join(dir, filepath.Base(from))
	if err := copyProgram(from, to); err != nil {
		return "", fmt.Errorf("copy the program to %s: %w", to, err)
	}
	return to, nil
}

func copyProgram(from, to string) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	dst, err := os.CreateTemp(filepath.Dir(to), ".install-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(dst.Name())
		}
	}()
	if _, err := io.Copy(dst, src); err != nil {
		return errors.Join(err, dst.Close())
	}
	if err := errors.Join(dst.Chmod(0o755), dst.Sync(), dst.Close()); err != nil {
		return err
	}
	return os.Rename(dst.Name(), to)
}
