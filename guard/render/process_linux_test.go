package render

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-telemetry/holdfast/guard/engine"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// asked has the test's own binary render a folder's a.yaml into its out, in the condition that is named.
const asked = "HOLDFAST_RENDER_TEST"

func TestMain(m *testing.M) {
	condition, dir, found := strings.Cut(os.Getenv(asked), " ")
	if !found {
		os.Exit(m.Run())
	}
	if err := conditions[condition](dir); err != nil {
		fmt.Println("cannot make the condition:", err)
		os.Exit(3)
	}
	folder, err := tree.Folder(dir)
	if err != nil {
		fmt.Println(err)
		os.Exit(3)
	}
	r := &repository{dir, &Renderer{Tree: folder, Engine: engine.Shared()}}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := r.to(ctx, "out", true, Source{Path: "a.yaml"}); err != nil {
		fmt.Println(err)
		list, _ := os.ReadDir(filepath.Join(dir, "out")) // a disk of its own is seen from here only
		for _, e := range list {
			text, _ := os.ReadFile(filepath.Join(dir, "out", e.Name()))
			fmt.Printf("there is %s: %s", e.Name(), text)
		}
		os.Exit(1)
	}
	os.Exit(0)
}

// conditions are what a run has to do with.
var conditions = map[string]func(dir string) error{
	"none": func(string) error { return nil },
	// A small disk is mounted over the output, in a namespace of its own; what was there goes on to it.
	"full": func(dir string) error {
		out := filepath.Join(dir, "out")
		old, err := os.ReadFile(filepath.Join(out, "v1.Service-a.s1.yaml"))
		if err != nil {
			return err
		}
		if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		if err := unix.Mount("none", out, "tmpfs", 0, "size=64k"); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(out, "v1.Service-a.s1.yaml"), old, 0o644)
	},
	// Root may write everywhere, so somebody else runs it.
	"read-only": func(string) error {
		if os.Getuid() != 0 {
			return nil
		}
		return syscall.Setuid(65534)
	},
}

// run starts the test's binary in a condition.
func run(t *testing.T, condition, dir string, flags uintptr) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), asked+"="+condition+" "+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	if flags != 0 && os.Getuid() != 0 { // whoever is not root is root in a user namespace
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, &out
}

func services(n int) string {
	var b strings.Builder
	for n := range n {
		b.WriteString(service("a", fmt.Sprintf("s%d", n)) + "---\n")
	}
	return b.String()
}

// TestARunThatIsKilledLeavesATreeThatTheNextMends kills runs at more and more files: while they are made, and while they get their names.
func TestARunThatIsKilledLeavesATreeThatTheNextMends(t *testing.T) {
	const objects = 1200
	r := newRepository(t, map[string]string{"a.yaml": services(objects), "out/README.md": "# out\n"})
	out := filepath.Join(r.dir, "out")
	killed := 0
	for round := range 4 {
		if err := os.WriteFile(filepath.Join(out, "v1.Service-a.old.yaml"), []byte(service("a", "old")), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd, said := run(t, "none", r.dir, 0)
		watched := out // where files get their names, and before that where they are made
		if round%2 == 0 {
			watched = filepath.Join(out, staging)
		}
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		err := killAt(cmd, watched, 2+round*objects/6, done)
		if err != nil && cmd.ProcessState.ExitCode() >= 0 {
			t.Fatalf("%v: %s", err, said)
		}
		if err != nil {
			killed++
		}
		for name, text := range files(t, out) { // whatever has its name is whole
			if strings.HasPrefix(name, "v1.Service-a.s") && text != service("a", strings.TrimSuffix(strings.TrimPrefix(name, "v1.Service-a."), ".yaml")) {
				t.Fatalf("round %d: %s is %q", round, name, text)
			}
		}
		if _, err := r.to(t.Context(), "out", true, Source{Path: "a.yaml"}); err != nil {
			t.Fatalf("round %d: the next run: %v", round, err)
		}
		got := files(t, out)
		if len(got) != objects+1 || got["README.md"] != "# out\n" || len(r.compare(t, "out", Source{Path: "a.yaml"}).Differences) > 0 {
			t.Fatalf("round %d: there are %d files after the next run", round, len(got))
		}
		for name := range got { // the next round begins anew
			if name != "README.md" {
				if err := os.Remove(filepath.Join(out, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if killed == 0 {
		t.Error("no run was killed before it ended")
	}
}

// killAt kills a run when a folder has a number of entries, and returns how it ended.
func killAt(cmd *exec.Cmd, folder string, entries int, done <-chan error) error {
	often := time.NewTicker(time.Millisecond)
	defer often.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-often.C:
		}
		if list, err := os.ReadDir(folder); err == nil && len(list) >= entries {
			_ = cmd.Process.Kill() // it may have ended
			return <-done
		}
	}
}

func TestAFullDiskChangesNothing(t *testing.T) {
	r := newRepository(t, map[string]string{"a.yaml": services(200), "out/v1.Service-a.s1.yaml": "old\n"})
	cmd, said := run(t, "full", r.dir, syscall.CLONE_NEWNS)
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(said.String(), "no space left on device") {
		t.Errorf("%v: %s", err, said)
	}
	if _, there, _ := strings.Cut(said.String(), "\n"); there != "there is v1.Service-a.s1.yaml: old\n" {
		t.Errorf("afterwards %s", there)
	}
}

func TestAFolderThatCannotBeWrittenToIsAnErrorThatNamesIt(t *testing.T) {
	r := newRepository(t, map[string]string{"a.yaml": services(3), "out/v1.Service-a.s1.yaml": "old\n"})
	out := filepath.Join(r.dir, "out")
	for dir := r.dir; strings.HasPrefix(dir, os.TempDir()) && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil { // the other user has to see it
			t.Fatal(err)
		}
	}
	if err := os.Chmod(out, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(out, 0o755) })
	cmd, said := run(t, "read-only", r.dir, 0)
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(said.String(), "permission denied") || !strings.Contains(said.String(), out) {
		t.Errorf("%v: %s", err, said)
	}
	if got := files(t, out); len(got) != 1 || got["v1.Service-a.s1.yaml"] != "old\n" {
		t.Errorf("there is %v", got)
	}
}

// TestManyRunsAtOnceLeaveAWholeOutput starts processes side by side: some are refused, and what is there in the end is right.
func TestManyRunsAtOnceLeaveAWholeOutput(t *testing.T) {
	r := newRepository(t, map[string]string{"a.yaml": services(500)})
	type started struct {
		cmd  *exec.Cmd
		said *bytes.Buffer
	}
	var all []started
	for range 5 {
		cmd, said := run(t, "none", r.dir, 0)
		all = append(all, started{cmd, said})
	}
	well := 0
	for _, s := range all {
		err := s.cmd.Wait()
		switch {
		case err == nil:
			well++
		case !strings.Contains(s.said.String(), "another run writes to it"):
			t.Errorf("%v: %s", err, s.said)
		}
	}
	if d := r.compare(t, "out", Source{Path: "a.yaml"}); well == 0 || len(d.Differences) > 0 || len(files(t, filepath.Join(r.dir, "out"))) != 500 {
		t.Errorf("%d runs ended well, and %d files differ", well, len(d.Differences))
	}
}
