package peer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// Process is a running peer.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	mu   sync.Mutex
	log  bytes.Buffer // what it wrote so far
}

// stopTime is how long a process may take to end after it was asked to.
const stopTime = 10 * time.Second

// Start runs cmd until the test ends. It returns once a line of the process's output makes ready return true, and fails the
// test when the process ends before that or the context does.
func Start(ctx context.Context, t testing.TB, cmd *exec.Cmd, ready func(line string) bool) *Process {
	t.Helper()
	p := &Process{cmd: cmd, done: make(chan struct{})}
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", cmd.Path, err)
	}
	t.Cleanup(func() { p.stop(t) })
	go func() {
		defer close(p.done)
		err := cmd.Wait()
		_ = w.CloseWithError(errors.Join(io.EOF, err)) // always nil
	}()
	found := make(chan struct{})
	go p.read(r, ready, found)
	select {
	case <-found:
	case <-p.done:
		t.Fatalf("%s ended early:\n%s", cmd.Path, p.Log())
	case <-ctx.Done():
		t.Fatalf("%s was not ready in time:\n%s", cmd.Path, p.Log())
	}
	return p
}

// read keeps the output and looks for the line that says the process is ready.
func (p *Process) read(r io.Reader, ready func(string) bool, found chan struct{}) {
	lines := bufio.NewReader(r)
	for open := true; ; {
		line, err := lines.ReadString('\n')
		p.mu.Lock()
		p.log.WriteString(line)
		p.mu.Unlock()
		if open && line != "" && ready(line) {
			open = false
			close(found)
		}
		if err != nil {
			return
		}
	}
}

// Log returns what the process wrote so far.
func (p *Process) Log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// stop asks the process to end, and makes it end when it does not.
func (p *Process) stop(t testing.TB) {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		_ = p.cmd.Process.Kill() // where there is no interrupt
	}
	select {
	case <-p.done:
	case <-time.After(stopTime):
		_ = p.cmd.Process.Kill() // it may have ended just now
		<-p.done
	}
	if t.Failed() {
		t.Logf("%s wrote:\n%s", p.cmd.Path, tail(p.Log(), 4000))
	}
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}
