package render

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// staging is the folder in an output where its files are made. It is gone when a run has ended well, and when the next one begins.
const staging = ".holdfast-render"

// Folder is the folder of an output on the disk. All that is read and written in it goes through one os.Root, which leads nowhere else.
type Folder struct {
	base, rel string
	root      *os.Root // nil where there is no folder yet
	path      string   // for messages
	lock      *os.File
}

// OpenFolder opens a folder below base; it need not be there. Neither it nor a folder between the two may be a link.
func OpenFolder(base, folder string) (*Folder, error) {
	f := &Folder{base: base, rel: tree.Clean(folder)}
	f.path = filepath.Join(base, filepath.FromSlash(f.rel))
	if err := f.open(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("opening the output %s: %w", f.path, err)
	}
	return f, nil
}

func (f *Folder) open() error {
	outer, err := os.OpenRoot(f.base)
	if err != nil {
		return err
	}
	defer func() { _ = outer.Close() }() // it was only read
	at := "."
	for _, step := range strings.Split(f.rel, "/") {
		at = filepath.Join(at, step)
		about, err := outer.Lstat(at)
		switch {
		case err != nil:
			return err
		case about.Mode()&fs.ModeSymlink != 0:
			return fmt.Errorf("%s is a link, and what it leads to is no output: name the folder itself", at)
		case !about.IsDir():
			return fmt.Errorf("%s is no folder", at)
		}
	}
	f.root, err = outer.OpenRoot(at)
	return err
}

// Close closes the folder, and lets others write to it.
func (f *Folder) Close() error {
	var err error
	if f.lock != nil {
		err = f.lock.Close()
	}
	if f.root != nil {
		err = errors.Join(err, f.root.Close())
	}
	return err
}

// Names returns the names of the folder's files and links.
func (f *Folder) Names() ([]string, error) {
	if f.root == nil {
		return nil, nil
	}
	entries, err := fs.ReadDir(f.root.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", f.path, err)
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Read reads a file of the folder. It follows no link.
func (f *Folder) Read(name string) ([]byte, bool, error) {
	if f.root == nil {
		return nil, false, nil
	}
	about, err := f.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, nil
	case err != nil:
		return nil, false, fmt.Errorf("reading %s: %w", filepath.Join(f.path, name), err)
	case about.Mode()&fs.ModeSymlink != 0:
		return nil, true, errNotPlain{"a link"}
	case about.IsDir():
		return nil, false, fmt.Errorf("%s is a folder, and a file is to be there", filepath.Join(f.path, name))
	case !about.Mode().IsRegular():
		return nil, true, errNotPlain{"a device or a pipe"}
	case about.Size() > maxExisting:
		return nil, true, errNotPlain{fmt.Sprintf("a file of %d bytes", about.Size())}
	}
	data, err := f.root.ReadFile(name)
	if err != nil {
		return nil, false, fmt.Errorf("reading %s: %w", filepath.Join(f.path, name), err)
	}
	return data, true, nil
}

// maxExisting is how large a file is that is compared, in bytes.
const maxExisting = 64 << 20

// Same says whether two names are one file.
func (f *Folder) Same(a, b string) bool {
	one, err := f.root.Lstat(a)
	if err != nil {
		return false
	}
	other, err := f.root.Lstat(b)
	return err == nil && os.SameFile(one, other)
}

// Write renders an output into its folder. With prune, files that are stale are removed. Nothing changes when anything of the output cannot
// be rendered, or its files cannot all be made.
func (r *Renderer) Write(ctx context.Context, o *Output, f *Folder, prune bool) (_ *Outcome, err error) {
	fresh := f.root == nil
	if err := f.begin(); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.end(fresh && err != nil)) }()
	c, err := newComparison(o, f)
	if err != nil {
		return nil, err
	}
	s := stage{Folder: f}
	rendered, err := r.Each(ctx, o, func(m *Manifest) error {
		if same, err := c.compare(m); same || err != nil {
			return err
		}
		return s.add(m)
	})
	if err != nil {
		return nil, err
	}
	if err := c.others(); err != nil {
		return nil, err
	}
	outcome := c.outcome(rendered)
	if err := s.publish(ctx, outcome); err != nil {
		return outcome, err
	}
	if prune {
		return outcome, f.prune(outcome)
	}
	return outcome, nil
}

// begin makes the folder and the one for files that are being made, and keeps other runs away.
func (f *Folder) begin() error {
	if f.root == nil {
		if err := f.create(); err != nil {
			return fmt.Errorf("making the output %s: %w", f.path, err)
		}
	}
	var err error
	if f.lock, err = lockFolder(f.root, f.path); err != nil {
		return fmt.Errorf("%s: another run writes to it, or it cannot be locked: %w", f.path, err)
	}
	if err := f.root.RemoveAll(staging); err != nil {
		return fmt.Errorf("removing what an earlier run left in %s: %w", f.path, err)
	}
	return nil
}

// create makes the folder. A link on its way that leads out of base is an error, and one that does not is found when the folder is opened.
func (f *Folder) create() error {
	if err := os.MkdirAll(f.base, 0o755); err != nil {
		return err
	}
	outer, err := os.OpenRoot(f.base)
	if err != nil {
		return err
	}
	defer func() { _ = outer.Close() }() // what was made in it is there
	if err := outer.MkdirAll(filepath.FromSlash(f.rel), 0o755); err != nil {
		return err
	}
	return f.open()
}

// end takes away what was not published. A folder that was made for nothing goes too.
func (f *Folder) end(nothing bool) error {
	err := f.root.RemoveAll(staging)
	if nothing {
		_ = os.Remove(f.path) // only where it is empty
	}
	return err
}

// stage has the files of an output that are ready, beside their names.
type stage struct {
	*Folder
	once  sync.Once
	err   error
	mu    sync.Mutex
	names []string
}

// add writes a file beside its name.
func (s *stage) add(m *Manifest) error {
	s.once.Do(func() { s.err = s.root.Mkdir(staging, 0o755) })
	if s.err != nil {
		return fmt.Errorf("writing to %s: %w", s.path, s.err)
	}
	out, err := s.root.OpenFile(filepath.Join(staging, m.Name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err == nil {
		_, err = out.Write(m.Text)
		err = errors.Join(err, out.Close())
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", filepath.Join(s.path, m.Name), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names = append(s.names, m.Name)
	return nil
}

// publish gives the files their names.
func (s *stage) publish(ctx context.Context, o *Outcome) error {
	slices.Sort(s.names)
	for _, name := range s.names {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%s: %d of %d files were written; run it again: %w", s.path, len(o.Written), len(s.names), err)
		}
		if err := s.root.Rename(filepath.Join(staging, name), name); err != nil {
			return fmt.Errorf("%s: %d of %d files were written; run it again: %w", s.path, len(o.Written), len(s.names), err)
		}
		o.Written = append(o.Written, name)
	}
	return nil
}

// prune removes stale files. Where nothing was rendered it removes none: that is more often a mistake than meant.
func (f *Folder) prune(o *Outcome) error {
	for n := range o.Differences {
		d := &o.Differences[n]
		if d.Kind != Stale {
			continue
		}
		if o.Objects == 0 {
			return fmt.Errorf("%s: nothing was rendered, and nothing is removed: remove the folder yourself, if that is meant", f.path)
		}
		if err := f.root.Remove(d.Name); err != nil {
			return fmt.Errorf("removing %s: %w", filepath.Join(f.path, d.Name), err)
		}
		o.Removed = append(o.Removed, d.Name)
	}
	return nil
}
