//go:build unix

package audit

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// acquire takes the lock that says who appends. The system gives it back when the process ends, however that happens.
func acquire(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			text := make([]byte, 20)
			n, _ := f.ReadAt(text, 0) // the number is for people; without it the message is shorter
			err = fmt.Errorf("%w%s: stop it, or give this one a folder of its own", ErrLocked, holder(string(text[:n])))
		}
		return nil, errors.Join(err, f.Close())
	}
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0) // as above; a full disk is no reason not to start
	}
	return f, nil
}

func holder(text string) string {
	pid, _, _ := strings.Cut(text, "\n")
	if _, err := strconv.Atoi(pid); err != nil {
		return ""
	}
	return " (process " + pid + ")"
}

// syncDir makes the creation of the folder's entries durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
