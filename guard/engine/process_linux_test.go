package engine_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/guard/engine"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
	"github.com/holdfast-telemetry/holdfast/guard/tree/treetest"
)

func TestACancelledRenderingEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	files, s := one(endless)
	e := engine.New(engine.Options{Timeout: 10 * time.Minute})
	defer func() { _ = e.Close() }()
	before := workers(os.Getpid())
	done := make(chan error)
	go func() { _, err := e.Render(ctx, treetest.Folder(t, files), s); done <- err }()
	another(t, os.Getpid(), before)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
}

// workers are those of a process, which are found in /proc.
func workers(parent int) (pids []int) {
	found, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range found {
		text, _ := os.ReadFile(path)
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		command, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		if len(fields) > 1 && fields[1] == strconv.Itoa(parent) && strings.HasPrefix(string(command), "holdfast-guard-render") {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// another waits for a worker of a process that was not there before.
func another(t *testing.T, parent int, before []int) int {
	t.Helper()
	for range 3000 {
		for _, pid := range workers(parent) {
			if !slices.Contains(before, pid) {
				return pid
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("there is no worker")
	return 0
}

func TestAWorkerThatIsKilledIsSaidToBe(t *testing.T) {
	files, s := one(endless)
	e := engine.New(engine.Options{Timeout: 10 * time.Minute})
	defer func() { _ = e.Close() }()
	before := workers(os.Getpid())
	done := make(chan error)
	go func() { _, err := e.Render(t.Context(), treetest.Folder(t, files), s); done <- err }()
	if err := syscall.Kill(another(t, os.Getpid(), before), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if got := failure(t, <-done); got.Fault != engine.OfLimit || !strings.Contains(got.Message, "killed") {
		t.Errorf("it says %v", got)
	}
	files, s = one("{a: 1}")
	if _, err := e.Render(t.Context(), treetest.Folder(t, files), s); err != nil {
		t.Error(err)
	}
}

// TestMain renders without an end where the environment says so.
func TestMain(m *testing.M) {
	if dir := os.Getenv("HOLDFAST_TEST_ENDLESS"); dir != "" {
		folder, err := tree.Folder(dir)
		if err == nil {
			_, err = engine.Shared().Render(context.Background(), folder, &engine.Spec{Tool: engine.Jsonnet, Jsonnet: engine.JsonnetOptions{File: "a.jsonnet"}})
		}
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestAWorkerEndsWithItsParent(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.jsonnet"), []byte(endless), 0o600); err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), "HOLDFAST_TEST_ENDLESS="+dir)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	worker := another(t, parent.Process.Pid, nil)
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = bufio.NewScanner(out).Scan()
	_ = parent.Wait()
	for range 3000 {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", worker))
		if err != nil || len(text) == 0 { // gone, or nobody waits for it
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("the worker %d runs on", worker)
}
