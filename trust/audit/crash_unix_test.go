//go:build unix

package audit

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// childFolder names the variable that makes this program the process that is killed, or whose disk is full.
const (
	childFolder = "AUDIT_TEST_FOLDER"
	childMode   = "AUDIT_TEST_MODE"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		if err := child(dir, os.Getenv(childMode)); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(dir, mode string) error {
	l, report, err := Open(dir)
	if err != nil {
		return err
	}
	if report.Damage != nil {
		return report.Damage
	}
	l.SegmentBytes = 20_000
	if mode == "full" {
		return full(l)
	}
	var group sync.WaitGroup
	var out sync.Mutex
	for range 8 {
		group.Go(func() {
			for i := 0; ; i++ {
				head, err := l.Append(entry(i))
				out.Lock()
				if err != nil {
					fmt.Println("error", err)
				} else {
					fmt.Println("head", head)
				}
				out.Unlock()
			}
		})
	}
	group.Wait()
	return nil
}

// full appends until the system refuses to make the file longer, in the middle of a line, and again once it does not any more.
func full(l *Log) error {
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	whole := limit.Cur
	limit.Cur = 5000
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	failures := 0
	for i := 0; failures < 3; i++ {
		head, err := l.Append(entry(i))
		if err == nil {
			fmt.Println("head", head)
			continue
		}
		if !errors.Is(err, syscall.EFBIG) {
			return err
		}
		failures++
	}
	limit.Cur = whole
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	head, err := l.Append(entry(0))
	if err != nil {
		return err
	}
	fmt.Println("head", head)
	return l.Close()
}

// started starts this program as another process.
func started(t *testing.T, dir, mode string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childFolder+"="+dir, childMode+"="+mode)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

// acknowledged reads a head that the other process has from an Append.
func acknowledged(t *testing.T, text string) Head {
	t.Helper()
	text, ok := strings.CutPrefix(text, "head ")
	head, err := ParseHead(text)
	if !ok || err != nil {
		t.Fatalf("the process says %q", text)
	}
	return head
}

func TestEveryEntryThatWasAcknowledgedIsThereAfterAKill(t *testing.T) {
	dir := t.TempDir()
	var heads []Head
	for round := range 8 {
		cmd, out := started(t, dir, "kill")
		for range 30 + 17*round {
			if !out.Scan() {
				t.Fatalf("the process ended: %v", out.Err())
			}
			heads = append(heads, acknowledged(t, out.Text()))
		}
		time.Sleep(time.Duration(round) * 3 * time.Millisecond) // a kill at another place of the commit each time
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for out.Scan() { // what it said before it died
			if strings.HasPrefix(out.Text(), "head ") && len(out.Text()) == len(strings.TrimRight(out.Text(), " ")) {
				if head, err := ParseHead(strings.TrimPrefix(out.Text(), "head ")); err == nil {
					heads = append(heads, head)
				}
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the process ended before the kill")
		}
		l, report, err := Open(dir)
		if err != nil || report.Damage != nil {
			t.Fatalf("round %d: the log is opened as %+v, %v", round, report, err)
		}
		heads = append(heads, appended(t, l, round))
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(dir, heads...); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	t.Logf("%d acknowledged entries are there after 8 kills", len(heads))
}

func TestNothingIsTornWhenTheDiskIsFullAndThenIsNot(t *testing.T) {
	dir := t.TempDir()
	cmd, out := started(t, dir, "full")
	var heads []Head
	for out.Scan() {
		heads = append(heads, acknowledged(t, out.Text()))
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	result, err := Verify(dir, heads...)
	if err != nil || result.Entries != uint64(len(heads)) || len(heads) < 3 {
		t.Errorf("%d entries were acknowledged, and the log verifies as %+v, %v", len(heads), result, err)
	}
	if result.Segments != 1 {
		t.Errorf("the log has %d segments: something was cut", result.Segments)
	}
}

func TestAnotherProcessCannotAppendEither(t *testing.T) {
	dir := t.TempDir()
	opened(t, dir)
	cmd, out := started(t, dir, "kill")
	if !out.Scan() || !strings.Contains(out.Text(), ErrLocked.Error()) {
		t.Errorf("the other process says %q", out.Text())
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the other process succeeded")
	}
}
