package class

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/holdfast-telemetry/holdfast/operator/agent"
)

// Directory is a folder of classes: each file is one, of the file's name. Files whose names begin with a dot are passed over, among them
// the links by which Kubernetes replaces all files of a mounted Secret at once, and so are folders.
type Directory struct {
	Dir string
	// Batch is how long changes are waited for to come together.
	Batch time.Duration
	// Period is how often the folder is read even without a notice of a change: some file systems give none.
	Period time.Duration
	Logger *slog.Logger
}

// NewDirectory returns a source that batches changes for 500 ms and reads the folder every 30 s.
func NewDirectory(dir string, logger *slog.Logger) *Directory {
	return &Directory{Dir: dir, Batch: 500 * time.Millisecond, Period: 30 * time.Second, Logger: logger}
}

// Kinds is KindDirectory.
func (d *Directory) Kinds() []Kind { return []Kind{KindDirectory} }

// Run reports the folder's classes until ctx ends. It fails when the folder cannot be read at the start; when that happens later, what
// was there before stays.
func (d *Directory) Run(ctx context.Context, report func(map[Key]Raw)) error {
	changes := newBatch(d.Batch)
	// Watching comes before reading: what changes in between is then not missed.
	stop, again := d.watch(changes)
	defer stop()
	all, err := d.read()
	if err != nil {
		return fmt.Errorf("read the folder of classes: %w", err)
	}
	report(all)
	period := time.NewTicker(d.Period)
	defer period.Stop()
	for failing := false; changes.wait(ctx, period.C); failing = err != nil {
		again()
		if all, err = d.read(); err == nil {
			report(all)
		} else if !failing {
			d.Logger.Error("the folder of classes cannot be read; the classes stay as they were", "dir", d.Dir, "error", err)
		}
	}
	return nil
}

// watch notes the folder's changes until stop. again watches what is now in the folder's place. Where there are no notices to be had,
// reading every Period must do.
func (d *Directory) watch(changes *batch) (stop, again func()) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		d.Logger.Warn("changes of the folder of classes are not announced; it is read periodically", "dir", d.Dir, "period", d.Period, "error", err)
		return func() {}, func() {}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for events, lost := watcher.Events, watcher.Errors; events != nil; changes.changed() {
			select {
			case _, open := <-events:
				if !open {
					events = nil
				}
			case <-lost: // notices were lost, or the watcher ends
			}
		}
	}()
	stop = func() {
		_ = watcher.Close()
		<-ended
	}
	again = func() { _ = watcher.Add(d.Dir) } // without a watch the folder is still read
	again()
	return stop, again
}

func (d *Directory) read() (map[Key]Raw, error) {
	files, err := os.ReadDir(d.Dir)
	if err != nil {
		return nil, err
	}
	classes := map[Key]Raw{}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), ".") {
			continue
		}
		path := filepath.Join(d.Dir, f.Name())
		// Links are followed here: Kubernetes mounts each file as one.
		info, err := os.Stat(path)
		if err == nil && info.IsDir() {
			continue
		}
		raw := Raw{Source: "file " + path, Err: err}
		if err == nil {
			raw.Text, raw.Err = readText(path, info)
		}
		classes[Key{Kind: KindDirectory, Name: f.Name()}] = raw
	}
	return classes, nil
}

// readText reads a regular file: anything else, such as a pipe, could be waited for without end.
func readText(path string, info os.FileInfo) ([]byte, error) {
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, agent.MaxText+1))
	if err != nil {
		return nil, err
	}
	if len(text) > agent.MaxText {
		return nil, fmt.Errorf("%s has more than %d bytes", path, agent.MaxText)
	}
	return text, nil
}
