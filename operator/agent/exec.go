package agent

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Exec is a Checker that runs the agent's program: `PATH config check --strict-env-handling --config FILE …`, which reads as a start
// does. Initializing plugins is work that the text
// chooses, so the program gets a private folder that is removed afterwards, no environment but what is said here, a process group that
// is killed at the time limit, and no more memory for its output than maxOutput.
type Exec struct {
	// Path of the program, or its name to be looked for in PATH.
	Path string
	// Args stand before the files; those of the check without them.
	Args []string
	// Timeout of one check, however often the program is run for it; 20 s without it.
	Timeout time.Duration
	// Variables are set during the check. Others that a text speaks of are not, for only the pod's sidecar has them.
	Variables map[string]string
}

// NewExec returns a checker that sets the variables which every sidecar has, to values that could be real.
func NewExec(path string) *Exec {
	return &Exec{Path: path, Timeout: 20 * time.Second, Variables: map[string]string{
		"NODENAME": "node", "HOSTNAME": "pod", "NAMESPACE": "namespace", "PODNAME": "pod",
	}}
}

// maxOutput bounds what is kept of each of the program's two outputs, in bytes: the first half and the last.
const maxOutput = 64 << 10

// Check runs the program on the files.
func (e *Exec) Check(ctx context.Context, files []File) error {
	if err := checkNames(files); err != nil {
		return err
	}
	path, err := exec.LookPath(e.Path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	dir, err := os.MkdirTemp("", "config-check-")
	if err != nil {
		return fmt.Errorf("check a configuration: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, cancel := context.WithTimeout(ctx, e.timeout())
	defer cancel()
	var others standIns
	for try := files; ; {
		out, err := e.once(ctx, path, dir, try)
		if out == nil {
			return cmp.Or(err, others.unjudged())
		}
		message := out.reason()
		next, ok, err := others.take(message, dir, try)
		if err != nil {
			return fmt.Errorf("check a configuration: %w", err)
		}
		if ok {
			try = next
			continue
		}
		if name := unsetIn(message, e.unset(files)); name != "" {
			return &Unjudged{"the agent could not judge all of it: the variable " + name + " is only in the pod"}
		}
		if others.path != "" && strings.Contains(message, others.path) {
			return others.unjudged() // it is no certificate that is read there
		}
		return e.refusal(message, dir, files)
	}
}

// strict is how a start of the agent treats variables: they stand for values, not for parts of the file. Its check does not, unless told.
const strict = "--strict-env-handling"

// once runs the program on texts. It returns what the program wrote when that is a refusal, and nil when it accepts them or has no answer.
func (e *Exec) once(ctx context.Context, path, dir string, files []File) (*outputs, error) {
	var named []string
	for _, f := range files {
		file := filepath.Join(dir, f.Name)
		if err := os.WriteFile(file, f.Text, 0o600); err != nil {
			return nil, fmt.Errorf("check a configuration: %w", err)
		}
		named = append(named, "--config", file)
	}
	args := e.Args
	if args == nil {
		args = []string{"config", "check", strict}
	}
	out, exit := e.run(ctx, path, dir, slices.Concat(args, named))
	if exit != nil && e.Args == nil && out.unknownFlag() {
		out, exit = e.run(ctx, path, dir, slices.Concat([]string{"config", "check"}, named)) // a release before 1.37, or another agent
	}
	if exit == nil && !out.sample() {
		return nil, nil
	}
	if exit == nil {
		return nil, fmt.Errorf("%s is too old to check configurations: it has no `config check`", filepath.Base(path))
	}
	var code *exec.ExitError
	if !errors.As(exit, &code) {
		return nil, fmt.Errorf("check a configuration: %w", exit)
	}
	if code.ExitCode() < 0 || out.noMemory() { // ended by a signal or for want of memory: that says nothing of the text
		return nil, fmt.Errorf("check a configuration: %s: %w", filepath.Base(path), exit)
	}
	return out, nil
}

func (e *Exec) timeout() time.Duration {
	if e.Timeout <= 0 {
		return 20 * time.Second
	}
	return e.Timeout
}

// run runs the program until it ends or the context does.
func (e *Exec) run(ctx context.Context, path, dir string, args []string) (*outputs, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	if filepath.Base(path) == "holdfast" {
		cmd.Args[0] = "telegraf" // the name by which it checks as Telegraf does
	}
	cmd.Dir, cmd.Env = dir, e.environment(dir)
	var out outputs
	cmd.Stdout, cmd.Stderr = &out.stdout, &out.stderr
	ownGroup(cmd)
	// What the program left behind may hold its outputs open; they are not waited for.
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	killGroup(cmd)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &out, fmt.Errorf("%s gave no answer within %s", filepath.Base(path), e.timeout())
	case ctx.Err() != nil:
		return &out, ctx.Err()
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return &out, fmt.Errorf("%w: %w", ErrUnreachable, err)
	case errors.Is(err, exec.ErrWaitDelay):
		return &out, nil
	}
	return &out, err
}

// environment is PATH, HOME and the variables. The program's temporary files land in the folder that is removed.
func (e *Exec) environment(dir string) []string {
	env := []string{"TMPDIR=" + dir}
	for _, name := range []string{"PATH", "HOME"} {
		if value, set := os.LookupEnv(name); set {
			env = append(env, name+"="+value)
		}
	}
	for name, value := range e.Variables {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env
}

// outputs is what the program wrote.
type outputs struct{ stdout, stderr bounded }

// sample is whether the program printed a sample configuration instead of checking: releases without `config check` take it for `config`.
func (o *outputs) sample() bool {
	return bytes.Contains(o.stdout.Bytes(), []byte("# Telegraf Configuration"))
}

func (o *outputs) noMemory() bool {
	log := o.stderr.Bytes()
	return bytes.Contains(log, []byte("fatal error: ")) && (bytes.Contains(log, []byte("out of memory")) || bytes.Contains(log, []byte("cannot allocate memory")))
}

// bounded keeps the first and the last part of what is written to it.
type bounded struct {
	head, tail []byte
	cut        bool
}

func (b *bounded) Write(p []byte) (int, error) {
	n := len(p)
	room := min(maxOutput/2-len(b.head), n)
	b.head = append(b.head, p[:room]...)
	b.tail = append(b.tail, p[room:]...)
	if extra := len(b.tail) - maxOutput/2; extra > 0 {
		b.tail, b.cut = append(b.tail[:0], b.tail[extra:]...), true
	}
	return n, nil
}

// Bytes is what was kept; a line stands for what was not.
func (b *bounded) Bytes() []byte {
	if b.cut {
		return slices.Concat(b.head, []byte("\n…\n"), b.tail)
	}
	return slices.Concat(b.head, b.tail)
}

// reason is what the program says of its refusal.
func (o *outputs) reason() string {
	return cmp.Or(usefulLine(string(o.stderr.Bytes())), usefulLine(string(o.stdout.Bytes())), "the agent refuses the configuration without saying why")
}

// unknownFlag is whether the program does not know the flag strict.
func (o *outputs) unknownFlag() bool {
	log := o.stderr.Bytes()
	return bytes.Contains(log, []byte(strict[2:])) && (bytes.Contains(log, []byte("flag provided but not defined")) || bytes.Contains(log, []byte("unknown flag")))
}

// refusal is a refusal of the files for a reason.
func (e *Exec) refusal(message, dir string, files []File) *Refusal {
	message = strings.ReplaceAll(message, dir+string(filepath.Separator), "")
	message = redact(message, files)
	r := &Refusal{Message: message}
	if len(files) == 1 {
		r.File = files[0].Name
		r.Message = strings.TrimPrefix(r.Message, "loading config file "+r.File+" failed: ")
	}
	if unset := e.unset(files); len(unset) > 0 {
		r.Message += fmt.Sprintf(" (variables that were not set at the check: %s)", strings.Join(unset, ", "))
	}
	return r
}

// unset are the variables that the files speak of and that the check does not set, at most 10 of them.
func (e *Exec) unset(files []File) []string {
	var unset []string
	for _, f := range files {
		for _, name := range Variables(f.Text) {
			if _, set := e.Variables[name]; !set && name != "HOME" && name != "PATH" && !slices.Contains(unset, name) {
				unset = append(unset, name)
			}
		}
	}
	if len(unset) > 10 {
		unset = append(unset[:10], "…")
	}
	return unset
}
