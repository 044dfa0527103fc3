package engine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// process is a worker as this process sees it.
type process struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	errs   *tail
	killed atomic.Bool
	ended  sync.Once
	waited error
}

// start starts a worker.
func start() (*process, error) {
	self := "/proc/self/exe" // is the same program even where its file was replaced
	if runtime.GOOS != "linux" {
		var err error
		if self, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("finding the program that renders: %w", err)
		}
	}
	p := &process{cmd: exec.Command(self), errs: new(tail)}
	p.cmd.Args[0] = "holdfast-guard-render"
	p.cmd.Env = []string{marker + "=1", "GOMAXPROCS=2", "PATH="}
	p.cmd.Dir = os.TempDir()
	p.cmd.Stderr = p.errs
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReaderSize(out, 1<<16)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the worker that renders: %w", err)
	}
	return p, nil
}

// kill ends the worker at once.
func (p *process) kill() {
	p.killed.Store(true)
	_ = p.cmd.Process.Kill() // it may have ended
}

// end ends the worker, and says how it ended.
func (p *process) end() error {
	p.ended.Do(func() {
		_ = p.in.Close()
		p.kill()
		p.waited = p.cmd.Wait()
	})
	return p.waited
}

// run has the worker render, and answers what it asks. After an error that is no *Error of the source the worker is of no use.
func (p *process) run(ctx context.Context, f *files, s *Spec, o Options) (*Result, error) {
	var late atomic.Bool
	timer := time.AfterFunc(o.Timeout, func() { late.Store(true); p.kill() })
	defer timer.Stop()
	defer context.AfterFunc(ctx, p.kill)()
	result, err := p.converse(f, s, o)
	var failed *Error
	switch {
	case err == nil:
		return result, nil
	case ctx.Err() != nil:
		return nil, errors.Join(ctx.Err(), errDead)
	case late.Load():
		message := fmt.Sprintf("rendering takes longer than %v: look for a recursion or a loop that does not end", o.Timeout)
		return nil, errors.Join(&Error{Fault: OfLimit, Path: s.at(), Message: message}, errDead)
	case errors.As(err, &failed):
		return nil, err
	}
	return nil, errors.Join(p.death(s, o, err), errDead)
}

// errDead says that the worker is of no use any more.
var errDead = errors.New("the worker ended")

// at is the path that an error is about, where nothing better is known.
func (s *Spec) at() string {
	if s.Tool == Jsonnet {
		return s.Jsonnet.File
	}
	return s.Path
}

// converse sends the task and reads until there is a result.
func (p *process) converse(f *files, s *Spec, o Options) (*Result, error) {
	if err := writeFrame(p.in, task{Spec: s, Memory: o.Memory, Output: o.Output}, nil); err != nil {
		return nil, err
	}
	for {
		var m message
		data, err := readFrame(p.out, &m, o.Output)
		if err != nil {
			return nil, err
		}
		if m.Op == "" {
			result, err := m.result(data)
			if err == nil {
				result.Files = f.read()
			}
			return result, err
		}
		a, content, err := f.answer(question{m.Op, m.Path})
		if err != nil {
			return nil, errors.Join(err, errDead) // it waits for an answer that does not come
		}
		if err := writeFrame(p.in, a, content); err != nil {
			return nil, err
		}
	}
}

func (m *message) result(data []byte) (*Result, error) {
	if m.Err != nil {
		return nil, m.Err
	}
	r := new(Result)
	for _, d := range m.Documents {
		if d.Length < 0 || d.Length > len(data) {
			return nil, errFrame
		}
		r.Documents = append(r.Documents, Document{Data: data[:d.Length:d.Length], Origin: d.Origin, Line: d.Line})
		data = data[d.Length:]
	}
	return r, nil
}

// death says why a worker ended in the middle.
func (p *process) death(s *Spec, o Options, err error) error {
	if errors.Is(err, errFrame) {
		return &Error{Fault: OfLimit, Path: s.at(), Message: fmt.Sprintf("what it renders to is larger than %d MiB, or is no answer: %v", o.Output>>20, err)}
	}
	_ = p.in.Close()
	time.AfterFunc(time.Second, p.kill) // it ends by itself
	waited := p.cmd.Wait()
	p.ended.Do(func() { p.waited = waited })
	says := p.errs.String()
	var exit *exec.ExitError
	if errors.As(waited, &exit) && exit.ExitCode() == exitMemory || strings.Contains(says, "out of memory") || strings.Contains(says, "cannot allocate") {
		return &Error{Fault: OfLimit, Path: s.at(), Message: fmt.Sprintf("rendering takes more than %d MiB of memory", o.Memory>>20)}
	}
	if strings.Contains(says, "stack exceeds") {
		return &Error{Fault: OfLimit, Path: s.at(), Message: "rendering nests too deep: look for a recursion that does not end"}
	}
	first, _, _ := strings.Cut(strings.TrimSpace(says), "\n")
	return &Error{Fault: OfLimit, Path: s.at(), Message: fmt.Sprintf("the worker that renders it ended (%v) %s", waited, first)}
}

// tail keeps the beginning of what a worker complains about.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b[:min(len(b), 1<<12-len(t.text))]...)
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
