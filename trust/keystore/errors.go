package keystore

import (
	"errors"
	"fmt"
	"io/fs"
)

// ErrSecret is for a passphrase or key that does not open a file.
var ErrSecret = errors.New("the passphrase or key does not open it")

// ErrReplaced is for a file that was removed, or replaced by one that cannot have followed it, while the store was open.
var ErrReplaced = errors.New("it is not the successor of the file that this process has used; " +
	"if an older copy was put back on purpose, no version of it may sign again whose number was used since: start the service anew and rotate")

// DamagedError is for a file that is not what was written.
type DamagedError struct {
	Path   string
	Reason string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("%s is damaged: %s; nothing was changed, put back a copy of it", e.Path, e.Reason)
}

// PermissionError is for a folder or file that others may read or write, or that is none.
type PermissionError struct {
	Path   string
	Mode   fs.FileMode // its permission bits
	Reason string      // what is wrong, and how to mend it
}

func (e *PermissionError) Error() string {
	return fmt.Sprintf("%s (mode %04o) cannot be used: %s", e.Path, e.Mode, e.Reason)
}

// private says whether a file or folder is this account's, and for no one else as far as the bits of deny tell.
func private(path string, info fs.FileInfo, deny fs.FileMode) error {
	mode := info.Mode().Perm()
	if modes && mode&deny != 0 {
		return &PermissionError{path, mode, fmt.Sprintf("it is open to other accounts; chmod %04o mends that, but who read it until now may have it", mode&^deny)}
	}
	if uid, self, ok := owner(info); ok && uid != self {
		return &PermissionError{path, mode, fmt.Sprintf("it belongs to the account with uid %d and this is the one with uid %d", uid, self)}
	}
	return nil
}

// at names the file in an error about its content.
func at(path string, err error) error {
	var damaged *DamagedError
	if errors.As(err, &damaged) {
		damaged.Path = path
		return err
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
