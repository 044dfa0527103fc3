package kube

import (
	"context"
	"fmt"
	"os"
)

// Program is a program that runs beside a cluster, such as a controller under test. It works in the cluster's folder and keeps its log
// there, over several starts. Like the cluster's own, it dies with the process that started it.
type Program struct{ process *process }

// Program returns a program that Start starts. Names are unique in a cluster.
func (c *Cluster) Program(name, path string, args ...string) *Program {
	return NewProgram(c.dir, name, path, args...)
}

// NewProgram returns a program that needs no cluster, such as a registry. It works in dir, which must exist, and names are unique there.
func NewProgram(dir, name, path string, args ...string) *Program {
	return &Program{&process{name: name, path: path, args: args, dir: dir}}
}

// Setenv adds variables, written NAME=value, to those of the next start. A program has none of the test's own but PATH.
func (p *Program) Setenv(variables ...string) { p.process.env = append(p.process.env, variables...) }

// Start starts it.
func (p *Program) Start() error { return p.process.start() }

// Stop asks it to end and waits until it has; it is killed when it takes longer than some seconds.
func (p *Program) Stop() { p.process.stop() }

// Kill ends it without asking.
func (p *Program) Kill() {
	p.process.mu.Lock()
	cmd, done := p.process.cmd, p.process.done
	p.process.mu.Unlock()
	if cmd != nil {
		_ = cmd.Process.Kill() // it may have ended just now
		<-done
	}
}

// PID is its process id, 0 when it does not run.
func (p *Program) PID() int {
	p.process.mu.Lock()
	defer p.process.mu.Unlock()
	if p.process.cmd == nil {
		return 0
	}
	return p.process.cmd.Process.Pid
}

// Await polls ready until it returns nil. It fails when the program ends before, or the context does.
func (p *Program) Await(ctx context.Context, what string, ready func(context.Context) error) error {
	return p.process.await(ctx, what, ready)
}

// Log returns all that it wrote.
func (p *Program) Log() string {
	b, err := os.ReadFile(p.process.logPath())
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(b)
}
