package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	// stopTime is how long a process may take to end after it was asked to; then it is killed. The API server would wait a minute
	// for its watches to end. Nothing is lost when it does not: etcd has all that it answered for.
	stopTime = 5 * time.Second
	// pollTime lies between two looks at something that becomes ready.
	pollTime = 50 * time.Millisecond
	// tailSize is how much of a log an error or Logs shows, in bytes.
	tailSize = 4000
)

// process is one program of a cluster. It can be started again after it has ended, with the same arguments and the same log.
type process struct {
	name string   // of the program and of its log
	path string   // of its binary
	args []string // without the program's name
	env  []string // NAME=value, beside what environ returns
	dir  string   // is its working folder, its home, and where its log is

	mu   sync.Mutex
	cmd  *exec.Cmd     // nil unless it runs
	done chan struct{} // closed when cmd has ended; nil before the first start
}

func (p *process) logPath() string { return filepath.Join(p.dir, p.name+".log") }

// environ has nothing of the test's own that could change how a program behaves: etcd, for one, takes every flag from it too.
func environ(home string) []string {
	return []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
}

func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		return fmt.Errorf("%s runs already", p.name)
	}
	log, err := os.OpenFile(p.logPath(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", p.name, err)
	}
	defer func() { _ = log.Close() }() // the process has its own
	cmd := exec.Command(p.path, p.args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.dir, append(environ(p.dir), p.env...), log, log
	if err := startTied(cmd); err != nil {
		return fmt.Errorf("starting %s: %w", p.name, err)
	}
	done := make(chan struct{})
	p.cmd, p.done = cmd, done
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		p.mu.Lock()
		defer p.mu.Unlock()
		p.cmd = nil
		close(done)
	}()
	return nil
}

// stop asks the process to end, kills it when it does not, and returns when it has ended. A process that does not run is left
// alone.
func (p *process) stop() {
	p.mu.Lock()
	cmd, done := p.cmd, p.done
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		_ = cmd.Process.Kill() // where there is no such signal
	}
	select {
	case <-done:
	case <-time.After(stopTime):
		_ = cmd.Process.Kill() // it may have ended just now
		<-done
	}
}

// await polls ready until it returns nil. It fails with the last error of ready and the end of the process's log when the
// process ends or the context does.
func (p *process) await(ctx context.Context, what string, ready func(context.Context) error) error {
	p.mu.Lock()
	done := p.done
	p.mu.Unlock()
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
			continue
		case <-done:
			return fmt.Errorf("%s ended before %s: %w\n%s", p.name, what, err, p.tail())
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w: %w\n%s", what, ctx.Err(), err, p.tail())
		}
	}
}

// tail returns the end of the process's log, or why there is none.
func (p *process) tail() string {
	b, err := os.ReadFile(p.logPath())
	if err != nil {
		return err.Error()
	}
	if len(b) > tailSize { // from the start of a line on
		_, b, _ = bytes.Cut(b[len(b)-tailSize:], []byte("\n"))
	}
	return fmt.Sprintf("end of the log of %s:\n%s", p.name, b)
}
