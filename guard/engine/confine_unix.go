//go:build unix

package engine

import (
	"os"

	"golang.org/x/sys/unix"
)

// confine has the system refuse what a worker never does: it opens no file and no connection, starts no program, and leaves no core.
func confine() {
	next, err := unix.Dup(int(os.Stdin.Fd()))
	if err != nil {
		return // there is no room for another one already
	}
	_ = unix.Close(next)
	// What is open stays open, and the next one would be the first that is refused. Raising a limit of one's own needs the right to.
	_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(next), Max: uint64(next)})
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}
