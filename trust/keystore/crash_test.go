//go:build unix

package keystore

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/key"
)

const otherPhrase = "another horse"

// change is what is interrupted at every step.
type change struct {
	name string
	do   func(ctx context.Context, f *Folder) error
	// versions of the key images, before and after
	before, after []int
}

var changes = []change{
	{"rotate", func(ctx context.Context, f *Folder) error {
		k, err := f.Key("images")
		if err == nil {
			_, err = k.Rotate(ctx)
		}
		return err
	}, []int{1, 2, 3}, []int{1, 2, 3, 4}},
	{"retire", func(ctx context.Context, f *Folder) error {
		k, err := f.Key("images")
		if err == nil {
			err = k.Retire(ctx, 3)
		}
		return err
	}, []int{1, 2, 3}, []int{3}},
	{"rewrap", func(ctx context.Context, f *Folder) error { return f.Rewrap(ctx, Passphrase(otherPhrase)) }, []int{1, 2, 3}, []int{1, 2, 3}},
}

// example returns the files of a folder with two keys, images with three versions and list with one.
func example(t *testing.T) map[string][]byte {
	t.Helper()
	dir, path := withVersions(t, 3)
	other, err := openFolder(t, dir, Passphrase(phrase)).Key("list")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"images.key": read(t, path), "list.key": read(t, other.path)}
}

// holds returns an error unless a folder, as it is after an interruption, holds the keys of before or after, and lets the change be made
// again, and others after it.
func holds(t *testing.T, c change, disk FS, dir string) error {
	ctx := t.Context()
	secrets := []Secret{Passphrase(phrase), Passphrase(otherPhrase)}
	for _, name := range []string{"images", "list"} {
		var found []int
		var all error
		for _, secret := range secrets {
			folder, err := Open(Options{Dir: dir, Secret: secret, Cost: cheap, FS: disk})
			if err != nil {
				return err
			}
			k, err := folder.Key(name)
			if err != nil {
				return err
			}
			listed, err := k.Keys(ctx)
			if err == nil {
				for _, p := range listed {
					found = append(found, p.ID.Version)
				}
				all = nil
				break
			}
			all = errors.Join(all, err)
		}
		if all != nil {
			return all
		}
		if name == "images" && !slices.Equal(found, c.before) && !slices.Equal(found, c.after) || name == "list" && !slices.Equal(found, []int{1}) {
			return fmt.Errorf("the key %s has the versions %v", name, found)
		}
	}
	secret := secrets[0]
	if c.name == "rewrap" {
		// What was begun is ended by doing it again, whether or not it was.
		folder, err := Open(Options{Dir: dir, Secret: secret, Cost: cheap, FS: disk})
		if err == nil {
			err = folder.Rewrap(ctx, secrets[1])
		}
		if err != nil {
			return err
		}
		secret = secrets[1]
	}
	folder, err := Open(Options{Dir: dir, Secret: secret, Cost: cheap, FS: disk})
	if err != nil {
		return err
	}
	if err := c.do(ctx, folder); err != nil {
		return err
	}
	k, err := folder.Key("images")
	if err == nil {
		_, err = k.Rotate(ctx)
	}
	if err == nil {
		err = folder.Check(ctx)
	}
	return err
}

// memory is a disk that can lose what was not made durable.
type memory struct {
	mu      sync.Mutex
	files   map[string]*memoryFile // as they are seen
	durable map[string]*memoryFile // as the folder was when it was last made durable
	// entries of the folder since then, each as it is after one creation, renaming or removal
	pending []map[string]*memoryFile
	steps   int
	stopAt  int // from this step on nothing works any more; 0 for never
	failAt  int // this step fails, and those after it work
}

type memoryFile struct{ text, durable []byte }

var errDisk = errors.New("the disk failed")

func newMemory(files map[string][]byte) *memory {
	m := &memory{files: map[string]*memoryFile{}}
	for name, text := range files {
		m.files[name] = &memoryFile{text, text}
	}
	m.durable = maps.Clone(m.files)
	return m
}

// step counts a step and says whether it works. The caller holds the lock.
func (m *memory) step() error {
	m.steps++
	if m.stopAt > 0 && m.steps >= m.stopAt || m.steps == m.failAt {
		return errDisk
	}
	return nil
}

func (m *memory) entries(change func()) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.step(); err != nil {
		return err
	}
	change()
	m.pending = append(m.pending, maps.Clone(m.files))
	return nil
}

func (m *memory) Mkdir(string) error { return fs.ErrExist }

type memoryInfo struct {
	fs.FileInfo
	mode fs.FileMode
}

func (i memoryInfo) Mode() fs.FileMode { return i.mode }
func (i memoryInfo) IsDir() bool       { return i.mode.IsDir() }
func (i memoryInfo) Sys() any          { return nil }

func (m *memory) Stat(string) (fs.FileInfo, error) { return memoryInfo{mode: fs.ModeDir | 0o700}, nil }

func (m *memory) List(string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.files)), nil
}

func (m *memory) Read(path string, _ int) ([]byte, fs.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	file, ok := m.files[filepath.Base(path)]
	if !ok {
		return nil, nil, fs.ErrNotExist
	}
	return bytes.Clone(file.text), memoryInfo{mode: 0o600}, nil
}

func (m *memory) Create(path string) (File, error) {
	file := &memoryFile{}
	exists := false
	err := m.entries(func() {
		if _, exists = m.files[filepath.Base(path)]; !exists {
			m.files[filepath.Base(path)] = file
		}
	})
	if exists {
		return nil, fs.ErrExist
	}
	return &memoryHandle{m, file}, err
}

func (m *memory) Remove(path string) error {
	m.mu.Lock()
	_, ok := m.files[filepath.Base(path)]
	m.mu.Unlock()
	if !ok {
		return fs.ErrNotExist
	}
	return m.entries(func() { delete(m.files, filepath.Base(path)) })
}

func (m *memory) Rename(path, newPath string) error {
	return m.entries(func() {
		m.files[filepath.Base(newPath)] = m.files[filepath.Base(path)]
		delete(m.files, filepath.Base(path))
	})
}

func (m *memory) SyncDir(string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.step(); err != nil {
		return err
	}
	m.durable, m.pending = maps.Clone(m.files), nil
	return nil
}

func (m *memory) Lock(context.Context, string) (func(), error) { return func() {}, nil }

type memoryHandle struct {
	m    *memory
	file *memoryFile
}

func (h *memoryHandle) Write(p []byte) (int, error) {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	if err := h.m.step(); err != nil {
		h.file.text = append(h.file.text, p[:len(p)/2]...) // as a full disk does
		return len(p) / 2, err
	}
	h.file.text = append(h.file.text, p...)
	return len(p), nil
}

func (h *memoryHandle) Sync() error {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	if err := h.m.step(); err != nil {
		return err
	}
	h.file.durable = bytes.Clone(h.file.text)
	return nil
}

func (h *memoryHandle) Close() error { return nil }

// afterPowerCut returns the disks that a cut of power can leave: with any number of the folder's changes since it was made durable, and
// with the text of files that were not made durable whole, half, or missing.
func (m *memory) afterPowerCut() []*memory {
	var all []*memory
	for _, entries := range append([]map[string]*memoryFile{m.durable}, m.pending...) {
		for part := range 3 {
			files := map[string][]byte{}
			for name, file := range entries {
				text := file.durable
				if extra := len(file.text) - len(text); extra > 0 {
					text = file.text[:len(text)+extra*part/2]
				}
				files[name] = bytes.Clone(text)
			}
			all = append(all, newMemory(files))
		}
	}
	return all
}

func TestACutOfPowerAtAnyStepLeavesTheOldOrTheNewFile(t *testing.T) {
	files := example(t)
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			for step := 1; ; step++ {
				disk := newMemory(files)
				disk.stopAt = step
				folder, err := Open(Options{Dir: "keys", Secret: Passphrase(phrase), Cost: cheap, FS: disk})
				if err != nil {
					t.Fatal(err)
				}
				err = c.do(t.Context(), folder)
				for i, left := range disk.afterPowerCut() {
					if err := holds(t, c, left, "keys"); err != nil {
						t.Fatalf("cut at step %d, outcome %d: %v", step, i, err)
					}
				}
				if err == nil { // it needs no more steps
					if len(disk.pending) > 0 {
						t.Error("it returned before the folder was durable")
					}
					if step < 5 {
						t.Errorf("it took %d steps", step)
					}
					return
				}
			}
		})
	}
}

func TestAStepThatFailsLeavesTheOldFileOrAWholeNewOne(t *testing.T) {
	files := example(t)
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			for step := 1; ; step++ {
				disk := newMemory(files)
				disk.failAt = step
				folder, err := Open(Options{Dir: "keys", Secret: Passphrase(phrase), Cost: cheap, FS: disk})
				if err != nil {
					t.Fatal(err)
				}
				err = c.do(t.Context(), folder)
				if disk.steps < step {
					return
				}
				if !errors.Is(err, errDisk) {
					t.Fatalf("with step %d failed: %v", step, err)
				}
				if names, _ := disk.List(""); slices.ContainsFunc(names, func(name string) bool { return strings.HasSuffix(name, newEnd) }) {
					t.Errorf("with step %d failed these are left: %v", step, names)
				}
				// The same process goes on.
				if c.name != "rewrap" {
					if k, err := folder.Key("images"); err != nil {
						t.Fatal(err)
					} else if _, err := k.Rotate(t.Context()); err != nil {
						t.Errorf("after step %d failed: %v", step, err)
					}
					continue
				}
				if err := holds(t, c, disk, "keys"); err != nil {
					t.Fatalf("with step %d failed: %v", step, err)
				}
			}
		})
	}
}

// killing is the disk of a child process that kills itself at a step.
type killing struct {
	osFS
	steps, at int
}

func (k *killing) step() {
	if k.steps++; k.steps == k.at {
		kill()
	}
}

func kill() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

func (k *killing) Remove(path string) error {
	k.step()
	return k.osFS.Remove(path)
}

func (k *killing) Rename(path, newPath string) error {
	k.step()
	return k.osFS.Rename(path, newPath)
}

func (k *killing) SyncDir(dir string) error {
	k.step()
	return k.osFS.SyncDir(dir)
}

func (k *killing) Create(path string) (File, error) {
	k.step()
	file, err := k.osFS.Create(path)
	return killingFile{file, k}, err
}

type killingFile struct {
	File
	k *killing
}

func (f killingFile) Write(p []byte) (int, error) {
	if f.k.steps+1 == f.k.at {
		_, _ = f.File.Write(p[:len(p)/2])
	}
	f.k.step()
	return f.File.Write(p)
}

func (f killingFile) Sync() error {
	f.k.step()
	return f.File.Sync()
}

const (
	childDir    = "HOLDFAST_TEST_KEYSTORE_DIR"
	childChange = "HOLDFAST_TEST_KEYSTORE_CHANGE"
	childStep   = "HOLDFAST_TEST_KEYSTORE_STEP"
)

// TestMain makes the test's program the child process that is killed, too.
func TestMain(m *testing.M) {
	dir := os.Getenv(childDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := child(dir, os.Getenv(childChange), os.Getenv(childStep)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child(dir, name, step string) error {
	at, err := strconv.Atoi(step)
	if err != nil {
		return err
	}
	folder, err := Open(Options{Dir: dir, Secret: Passphrase(phrase), Cost: cheap, FS: &killing{at: at}})
	if err != nil {
		return err
	}
	ctx := context.Background()
	for _, c := range changes {
		if c.name == name {
			return c.do(ctx, folder)
		}
	}
	// Rotate and retire for ever, saying each version that was made.
	k, err := folder.Key("images")
	for err == nil {
		var made key.Public
		if made, err = k.Rotate(ctx); err == nil {
			fmt.Println(made.ID.Version)
			if made.ID.Version%3 == 0 {
				err = k.Retire(ctx, made.ID.Version-1)
			}
		}
	}
	return err
}

func command(t *testing.T, dir, change string, step int) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir, childChange+"="+change, childStep+"="+strconv.Itoa(step))
	return cmd
}

func TestAProcessKilledAtAnyStepLeavesTheOldOrTheNewFile(t *testing.T) {
	files := example(t)
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			for step := 1; ; step++ {
				dir := t.TempDir()
				if err := os.Chmod(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				for name, text := range files {
					write(t, filepath.Join(dir, name), text)
				}
				out, err := command(t, dir, c.name, step).CombinedOutput()
				var exited *exec.ExitError
				killed := errors.As(err, &exited) && exited.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
				if err != nil && !killed {
					t.Fatalf("step %d: %v: %s", step, err, out)
				}
				if err := holds(t, c, osFS{}, dir); err != nil {
					t.Fatalf("killed at step %d: %v", step, err)
				}
				if beside, err := filepath.Glob(filepath.Join(dir, "*"+newEnd)); err != nil || len(beside) > 0 {
					t.Errorf("killed at step %d, and the change made again, there are %v, %v", step, beside, err)
				}
				if !killed {
					if step < 6 {
						t.Errorf("it took %d steps", step)
					}
					return
				}
			}
		})
	}
}

func TestAProcessKilledAtAnyMomentLosesNoVersionThatItReturned(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	k := openKey(t, dir, Passphrase(phrase))
	last := 0
	for round := range 15 {
		cmd := command(t, dir, "for ever", 0)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for lines, dying := bufio.NewScanner(out), false; lines.Scan(); {
			if last, err = strconv.Atoi(lines.Text()); err != nil {
				t.Fatal(err)
			}
			if !dying {
				dying = true
				time.AfterFunc(rand.N(30*time.Millisecond), func() { _ = cmd.Process.Kill() })
			}
		}
		_ = cmd.Wait() // it was killed
		listed, err := k.Keys(t.Context())
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if newest := listed[len(listed)-1].ID.Version; newest < last || newest > last+1 || last == 0 {
			t.Fatalf("round %d: version %d was returned, and the newest is %d", round, last, newest)
		}
		if made, err := k.Rotate(t.Context()); err != nil || made.ID.Version <= last { // the lock is free
			t.Fatalf("round %d: %v, %v", round, made.ID, err)
		}
	}
}

func TestProcessesThatRotateAtOnceLoseNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	k := openKey(t, dir, Passphrase(phrase))
	if _, err := k.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	const processes = 6
	var all sync.WaitGroup
	for range processes {
		cmd := command(t, dir, "rotate", 0)
		all.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	all.Wait()
	if listed, err := k.Keys(t.Context()); err != nil || len(listed) != 1+processes {
		t.Errorf("%d processes made the versions %v, %v", processes, listed, err)
	}
}
