// Package keystore is the key store of one machine: a folder with one encrypted file for each named key. FORMAT.md describes the file.
//
// # What it promises
//
// A private half is on the disk only encrypted, under a passphrase or under a key of 32 bytes, and in memory only as a private key that
// signs. No method returns, prints or logs one.
//
// A change writes a new file beside the old one, makes it durable and renames it over the old one. Whenever a process or the machine
// stops, the folder holds the file of before or the one of after. A change that returns an error has left the old file, except where
// the error is that of making the renaming durable: then it may be either.
//
// Several goroutines and processes may use one folder: changes wait for each other by a lock on the file `lock` in it, and every call
// reads the file again when another process changed it.
//
// A file that is truncated, altered in any byte, or cannot be opened with the secret is refused whole, with a [DamagedError] or
// [ErrSecret], and never written over. So are a folder and files that others may read or write ([PermissionError]).
//
// A store that is open notices when its file is removed or replaced by an older one ([ErrReplaced]): going on would use a version's
// name for another key.
//
// # What it does not do
//
// It does not protect the secret: whoever has it and the files has the keys, and so has root, or a debugger of this account, while the
// store is in use. Retire drops private halves from the file. Copies that were made before still hold them, and so may blocks of the
// disk that are not yet written over; they open with the secret of their time, also after Rewrap. Destroy old backups, too.
//
// The lock is flock's, or LockFileEx's on Windows: put no folder on a network file system whose locks do not reach other machines. On Windows
// it does not look at who may read the files: give the folder an access list for the account of the service alone.
package keystore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/key"
)

const (
	suffix   = ".key"
	lockName = "lock"
	newEnd   = ".new" // after the name of the file that it will replace
)

// Options of a folder. Dir and Secret are needed.
type Options struct {
	// Dir is the folder, made when it is not there. The folder above it must be.
	Dir string
	// Secret opens the files, and closes those that are written.
	Secret Secret
	// Cost of deriving a key from a passphrase, for files that are written; DefaultCost without it.
	Cost Cost
	// FS is the disk; the system's without it.
	FS FS
	// Now is the clock; time.Now without it.
	Now func() time.Time
}

// Folder is an open folder of keys.
type Folder struct {
	dir  string
	cost Cost
	fs   FS
	now  func() time.Time

	changing chan struct{} // held by who changes files, before the lock between processes

	mu     sync.Mutex
	secret Secret
	keys   map[string]*Key
}

// Open opens a folder, and makes it if it is not there. It does not try the secret; Check does.
func Open(o Options) (*Folder, error) {
	if o.Dir == "" || o.Secret.read == nil {
		return nil, errors.New("the key store needs a folder and a secret: a passphrase or a file with a key of 32 bytes")
	}
	if o.Cost == (Cost{}) {
		o.Cost = DefaultCost
	}
	if err := o.Cost.check(); err != nil {
		return nil, err
	}
	if o.FS == nil {
		o.FS = osFS{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	f := &Folder{dir: filepath.Clean(o.Dir), cost: o.Cost, fs: o.FS, now: o.Now, secret: o.Secret,
		changing: make(chan struct{}, 1), keys: map[string]*Key{}}
	err := f.fs.Mkdir(f.dir)
	if err == nil {
		err = f.fs.SyncDir(filepath.Dir(f.dir))
	} else if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("making the folder of the key store: %w", err)
	}
	return f, f.checkDir()
}

// Key returns the store of one named key, the same at each call. Its file is made by the first Rotate.
func (f *Folder) Key(name string) (*Key, error) {
	if err := key.CheckName(name); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	k, ok := f.keys[name]
	if !ok {
		k = &Key{folder: f, name: name, path: filepath.Join(f.dir, name+suffix), seen: map[int][]byte{}}
		f.keys[name] = k
	}
	return k, nil
}

// Names returns the names of the keys that have a file, sorted.
func (f *Folder) Names() ([]string, error) {
	files, err := f.fs.List(f.dir)
	if err != nil {
		return nil, fmt.Errorf("listing the key store: %w", err)
	}
	var names []string
	for _, file := range files {
		if name, ok := strings.CutSuffix(file, suffix); ok && key.CheckName(name) == nil {
			names = append(names, name)
		}
	}
	return names, nil
}

// Check opens every file with the secret and verifies it to the last byte. Its error joins those of all files.
func (f *Folder) Check(ctx context.Context) error {
	names, err := f.Names()
	if err != nil {
		return err
	}
	var all []error
	for _, name := range names {
		k, err := f.Key(name)
		if err == nil {
			_, err = k.Keys(ctx)
		}
		all = append(all, err)
	}
	return errors.Join(all...)
}

// Rewrap closes every file with another secret, under new data keys, and uses that one from then on. When it returns an error or is
// killed, some files may have the new secret already: call it again with the same two. Processes that were opened with the old secret
// are refused their files (ErrSecret) until they are opened again, except where their secret is a file that has changed too.
func (f *Folder) Rewrap(ctx context.Context, secret Secret) error {
	if secret.read == nil {
		return errors.New("there is no new secret")
	}
	unlock, err := f.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	names, err := f.Names()
	if err != nil {
		return err
	}
	old := f.present()
	for i, name := range names {
		err := ctx.Err()
		if err == nil {
			err = f.rewrap(name, old, secret)
		}
		if err != nil {
			return fmt.Errorf("%d of %d files have the new secret; to go on, do it again with the same old and new one: %w", i, len(names), err)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.secret = secret
	return nil
}

func (f *Folder) rewrap(name string, old, secret Secret) error {
	path := filepath.Join(f.dir, name+suffix)
	text, err := f.read(path)
	if err != nil {
		return err
	}
	parsed, err := parse(text, name)
	if err != nil {
		return at(path, err)
	}
	next, err := secret.read()
	if err != nil {
		return err
	}
	defer clear(next)
	if parsed.wrap.kind == secret.kind {
		if _, err = parsed.open(next); err == nil || !errors.Is(err, ErrSecret) {
			return at(path, err)
		}
	}
	held, err := old.open(parsed)
	if err != nil {
		return at(path, err)
	}
	return f.write(path, name, held, secret, next)
}

// write replaces the file of a key. The caller holds the lock.
func (f *Folder) write(path, name string, h *held, secret Secret, material []byte) error {
	text, err := seal(name, h, secret.kind, f.cost, material)
	if err != nil {
		return err
	}
	// What is about to replace the only copy of the keys must open again.
	parsed, err := parse(text, name)
	if err == nil {
		_, err = parsed.open(material)
	}
	if err != nil {
		return fmt.Errorf("the new file does not open: %w", err)
	}
	return f.replace(path, text)
}

// replace puts a durable file in the place of another.
func (f *Folder) replace(path string, text []byte) (err error) {
	beside := path + newEnd
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing the key store: %w", err)
		}
	}()
	if err := f.fs.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) { // left by a process that was killed
		return err
	}
	if err := create(f.fs, beside, text); err != nil {
		_ = f.fs.Remove(beside) // the first error counts
		return err
	}
	if err := f.fs.Rename(beside, path); err != nil {
		_ = f.fs.Remove(beside)
		return err
	}
	return f.fs.SyncDir(f.dir)
}

// read returns a file of keys, which must be for this account only.
func (f *Folder) read(path string) ([]byte, error) {
	if err := f.checkDir(); err != nil {
		return nil, err
	}
	text, info, err := f.fs.Read(path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("reading the key store: %w", err)
	}
	if err := private(path, info, 0o077); err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, &DamagedError{Path: path, Reason: fmt.Sprintf("it is longer than %d bytes", maxFile)}
	}
	return text, nil
}

func (f *Folder) checkDir() error {
	info, err := f.fs.Stat(f.dir)
	if err != nil {
		// Without fs.ErrNotExist in it, which from a read means a key without versions.
		return fmt.Errorf("the folder of the key store: %v", err)
	}
	if !info.IsDir() {
		return &PermissionError{Path: f.dir, Reason: "it is not a folder"}
	}
	return private(f.dir, info, 0o077)
}

// lock keeps other goroutines and processes from changing files until the function it returns is called.
func (f *Folder) lock(ctx context.Context) (unlock func(), err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("locking the key store %s: %w", f.dir, err)
		}
	}()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case f.changing <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	err = f.checkDir()
	var release func()
	if err == nil {
		release, err = f.fs.Lock(ctx, filepath.Join(f.dir, lockName))
	}
	if err != nil {
		<-f.changing
		return nil, err
	}
	return func() {
		release()
		<-f.changing
	}, nil
}

func (f *Folder) present() Secret {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.secret
}
