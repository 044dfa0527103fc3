package class_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/operator/class"
)

// reports collects what a source reports.
type reports struct {
	mu  sync.Mutex
	all []map[class.Key]class.Raw
}

func (r *reports) add(all map[class.Key]class.Raw) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, all)
}

func (r *reports) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.all)
}

func (r *reports) last() map[class.Key]class.Raw {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) == 0 {
		return nil
	}
	return r.all[len(r.all)-1]
}

// runSource runs a source until the test ends.
func runSource(t *testing.T, s class.Source) *reports {
	t.Helper()
	var got reports
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, got.add) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the source ended with %v", err)
		}
	})
	eventually(t, "there is a first report", func() bool { return got.count() > 0 })
	return &got
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func names(all map[class.Key]class.Raw) []string {
	var names []string
	for key := range all {
		names = append(names, key.Name)
	}
	slices.Sort(names)
	return names
}

func TestEachFileOfAFolderIsAClass(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "default"), output("1"))
	write(t, filepath.Join(dir, ".hidden"), "")
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "folder"), 0o700), os.Symlink("nowhere", filepath.Join(dir, "dangling"))); err != nil {
		t.Fatal(err)
	}
	got := runSource(t, class.NewDirectory(dir, quiet())).last()
	if want := []string{"dangling", "default"}; !slices.Equal(names(got), want) {
		t.Fatalf("the classes are %q, want %q", names(got), want)
	}
	if r := got[folder("default")]; r.Err != nil || string(r.Text) != output("1") || r.Source != "file "+filepath.Join(dir, "default") {
		t.Errorf("the class is %+v", r)
	}
	if got[folder("dangling")].Err == nil {
		t.Error("a link that leads nowhere is a class without an error")
	}
}

func TestAChangeOfAMountedSecretIsReadAsOne(t *testing.T) {
	dir := t.TempDir()
	mount := func(version, text string) {
		t.Helper()
		data := filepath.Join(dir, "..."+version)
		if err := os.Mkdir(data, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(data, "default"), text)
		if err := errors.Join(os.Symlink("..."+version, filepath.Join(dir, "..data_tmp")), os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data"))); err != nil {
			t.Fatal(err)
		}
	}
	mount("1", output("1"))
	if err := os.Symlink(filepath.Join("..data", "default"), filepath.Join(dir, "default")); err != nil {
		t.Fatal(err)
	}
	source := class.NewDirectory(dir, quiet())
	source.Batch, source.Period = 20*time.Millisecond, time.Hour
	got := runSource(t, source)
	mount("2", output("2"))
	eventually(t, "the change is reported", func() bool { return string(got.last()[folder("default")].Text) == output("2") })
	if want := []string{"default"}; !slices.Equal(names(got.last()), want) {
		t.Errorf("the classes are %q, want %q", names(got.last()), want)
	}
}

func TestAFolderIsReadPeriodicallyToo(t *testing.T) {
	dir := t.TempDir()
	source := class.NewDirectory(dir, quiet())
	source.Batch, source.Period = time.Hour, 5*time.Millisecond
	got := runSource(t, source)
	write(t, filepath.Join(dir, "default"), output("1"))
	eventually(t, "the file is found", func() bool { return len(got.last()) == 1 })
}

func TestAFolderThatCannotBeReadKeepsItsClasses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "classes")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "default"), output("1"))
	source := class.NewDirectory(dir, quiet())
	source.Batch, source.Period = time.Hour, 5*time.Millisecond
	got := runSource(t, source)
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	// Reads that were under way end; from then on there are no reports.
	time.Sleep(20 * time.Millisecond)
	before := got.count()
	time.Sleep(50 * time.Millisecond)
	if got.count() != before || len(got.last()) != 1 {
		t.Errorf("%d reports without a folder, the last of %q", got.count()-before, names(got.last()))
	}
}

func TestAFolderThatIsNotThereAtTheStartIsAnError(t *testing.T) {
	err := class.NewDirectory(filepath.Join(t.TempDir(), "none"), quiet()).Run(context.Background(), func(map[class.Key]class.Raw) {})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the error is %v", err)
	}
}
