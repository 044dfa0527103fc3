package conf

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// WatchOptions say how files are watched.
type WatchOptions struct {
	// Notify has the system tell of changes; without it the files are read at every Interval.
	Notify bool
	// Interval is the time between two looks; 0 means 1 s, or 30 s with Notify, where looks find what the system does not tell of.
	Interval time.Duration
	// Quiet is how long the files must stay the same before a change is told; 0 means 200 ms.
	Quiet time.Duration
}

// Watch tells when the files of the sources change, appear or go, once they have stayed the same for a moment. URLs are not watched.
// sources is asked at every look. The channel holds at most one change that nobody took yet; it is closed when ctx has ended.
func Watch(ctx context.Context, sources func() Sources, o WatchOptions) (<-chan struct{}, error) {
	if o.Interval == 0 {
		o.Interval = time.Second
		if o.Notify {
			o.Interval = 30 * time.Second
		}
	}
	w := &watch{sources: sources, o: o, changed: make(chan struct{}, 1)}
	w.known = w.sum()
	if o.Notify {
		system, err := fsnotify.NewWatcher()
		if err != nil {
			return nil, fmt.Errorf("watching the configuration: %w; polling it needs nothing of the system", err)
		}
		w.system, w.events = system, system.Events
		w.follow()
	}
	go w.run(ctx)
	return w.changed, nil
}

type watch struct {
	sources func() Sources
	o       WatchOptions
	changed chan struct{}
	known   [sha256.Size]byte // what was told last
	system  *fsnotify.Watcher // nil without Notify
	events  <-chan fsnotify.Event
}

func (w *watch) run(ctx context.Context) {
	defer close(w.changed)
	if w.system != nil {
		defer func() { _ = w.system.Close() }()
	}
	tick := time.NewTicker(w.o.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-w.events:
		}
		if w.system != nil {
			w.follow() // there may be a new folder
		}
		if w.sum() == w.known || !w.settle(ctx) {
			continue
		}
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}
}

// settle waits until the files stay the same, and reports whether they differ then from what was told last.
func (w *watch) settle(ctx context.Context) bool {
	before := w.sum()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(orDefault(w.o.Quiet, 200*time.Millisecond)):
		}
		now := w.sum()
		if now == before {
			differs := now != w.known
			w.known = now
			return differs
		}
		before = now
	}
}

// sum is the digest of the names and contents of all files.
func (w *watch) sum() (digest [sha256.Size]byte) {
	h := sha256.New()
	files, _ := w.sources().paths()
	for _, path := range files {
		text, err := os.ReadFile(path)
		_, _ = fmt.Fprintf(h, "%q %t %d ", path, err == nil, len(text)) // a hash does not fail
		_, _ = h.Write(text)
	}
	return [sha256.Size]byte(h.Sum(digest[:0]))
}

// follow has the system watch the folders of all files, which is where an editor or a mounted volume puts a new file in the place of
// the old. A folder that cannot be watched is left to the looks.
func (w *watch) follow() {
	_, dirs := w.sources().paths()
	for _, dir := range w.system.WatchList() {
		if !slices.Contains(dirs, dir) {
			_ = w.system.Remove(dir)
		}
	}
	for _, dir := range dirs {
		_ = w.system.Add(dir)
	}
}

// paths returns the files that Read would read but URLs, and the folders in which they, or new ones, appear.
func (s Sources) paths() (files, dirs []string) {
	for _, name := range s.Files {
		if !urlPattern.MatchString(name) {
			files = append(files, name)
			dirs = append(dirs, filepath.Dir(name))
		}
	}
	for _, dir := range s.Directories {
		found, _ := walk(dir) // what cannot be read now may be later
		files = append(files, found...)
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
	}
	slices.Sort(dirs)
	return files, slices.Compact(dirs)
}
