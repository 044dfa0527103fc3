package conf

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// told waits for a change.
func told(t *testing.T, changes <-chan struct{}) {
	t.Helper()
	select {
	case <-changes:
	case <-time.After(20 * time.Second):
		t.Fatal("the change was not told")
	}
}

func TestWatchTellsOfEveryKindOfChange(t *testing.T) {
	for name, o := range map[string]WatchOptions{
		"notify": {Notify: true, Interval: time.Hour, Quiet: 20 * time.Millisecond},
		"poll":   {Interval: 5 * time.Millisecond, Quiet: 20 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			dir, other := t.TempDir(), t.TempDir()
			file := filepath.Join(other, "telegraf.conf")
			write := func(path, text string) {
				t.Helper()
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write(file, "[agent]\n")
			sources := Sources{Files: []string{file, "https://example.invalid/x"}, Directories: []string{dir}}
			changes, err := Watch(t.Context(), func() Sources { return sources }, o)
			if err != nil {
				t.Fatal(err)
			}
			write(file, "[agent]\n  interval = \"1s\"\n")
			told(t, changes)
			write(file+".new", "[agent]\n  interval = \"2s\"\n") // as editors do
			if err := os.Rename(file+".new", file); err != nil {
				t.Fatal(err)
			}
			told(t, changes)
			write(filepath.Join(dir, "a.conf"), "[[inputs.mem]]\n")
			told(t, changes)
			if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(dir, "a.conf"), filepath.Join(dir, "sub", "a.conf")); err != nil {
				t.Fatal(err)
			}
			told(t, changes)
			write(filepath.Join(dir, "sub", "a.conf"), "[[inputs.cpu]]\n")
			told(t, changes)
			if err := os.RemoveAll(filepath.Join(dir, "sub")); err != nil {
				t.Fatal(err)
			}
			told(t, changes)
			write(filepath.Join(dir, "notes.txt"), "no configuration")
			write(file, "[agent]\n  interval = \"3s\"\n")
			told(t, changes)
			select {
			case <-changes:
				t.Error("a change of a file that is no configuration was told")
			default:
			}
		})
	}
}

func TestWatchWaitsUntilAFileIsWhole(t *testing.T) {
	file := filepath.Join(t.TempDir(), "telegraf.conf")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	sources := Sources{Files: []string{file}}
	changes, err := Watch(t.Context(), func() Sources { return sources }, WatchOptions{Interval: time.Millisecond, Quiet: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, err := f.WriteString("# one more line\n"); err != nil {
			t.Fatal(err)
		}
		select {
		case <-changes:
			t.Fatal("a file that still grows was told")
		case <-time.After(20 * time.Millisecond):
		}
	}
	told(t, changes)
}
