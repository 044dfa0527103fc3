package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// minPassword is the least length of a password, in bytes.
const minPassword = 8

var errShortPassword = fmt.Errorf("password is too short: it needs at least %d characters", minPassword)

// prompter asks a person, or reads the answers from lines of a file or pipe. Questions go to stderr, so that output stays clean.
type prompter struct {
	in  *bufio.Reader
	out io.Writer
	// terminal is the file to switch the echo off on; nil when nobody is there.
	terminal *os.File
}

func (a *app) prompt() *prompter {
	if a.asker != nil {
		return a.asker
	}
	p := &prompter{in: bufio.NewReader(a.In), out: a.Err}
	if f, ok := a.In.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.terminal = f
	}
	a.asker = p
	return p
}

// text asks until there is an answer; an empty line takes the default if there is one.
func (p *prompter) text(ctx context.Context, question, byDefault string) (string, error) {
	for {
		if byDefault != "" {
			p.say("? %s (%s): ", question, byDefault)
		} else {
			p.say("? %s: ", question)
		}
		answer, err := p.await(ctx, p.line)
		if err != nil {
			return "", fmt.Errorf("no answer to %q: %w", question, err)
		}
		if answer = orElse(strings.TrimSpace(answer), byDefault); answer != "" {
			return answer, nil
		}
	}
}

// confirm is false unless the answer begins with y.
func (p *prompter) confirm(ctx context.Context, question string) (bool, error) {
	p.say("? %s (y/n): ", question)
	answer, err := p.await(ctx, p.line)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(answer)), "y"), nil
}

// secret asks without showing what is typed.
func (p *prompter) secret(ctx context.Context, question string) (string, error) {
	p.say("? %s: ", question)
	read := p.line
	if p.terminal != nil {
		fd := int(p.terminal.Fd())
		state, err := term.GetState(fd)
		if err != nil {
			return "", fmt.Errorf("reading a password: %w", err)
		}
		defer func() { _ = term.Restore(fd, state) }() // also when the context ended while the echo was off
		read = func() (string, error) {
			typed, err := term.ReadPassword(fd)
			return string(typed), err
		}
	}
	answer, err := p.await(ctx, read)
	p.say("\n")
	if err != nil {
		return "", fmt.Errorf("no answer to %q: %w", question, err)
	}
	return answer, nil
}

// newPassword asks for a password, twice when a person types it.
func (p *prompter) newPassword(ctx context.Context, question string) (string, error) {
	for {
		first, err := p.secret(ctx, question)
		if err != nil {
			return "", err
		}
		if len(first) < minPassword {
			if p.terminal == nil {
				return "", errShortPassword
			}
			p.say("X %v\n", errShortPassword)
			continue
		}
		if p.terminal == nil {
			return first, nil
		}
		second, err := p.secret(ctx, question+" again")
		if err != nil {
			return "", err
		}
		if first == second {
			return first, nil
		}
		p.say("X Passwords do not match\n")
	}
}

// line reads one line, without its end. The last line needs none.
func (p *prompter) line() (string, error) {
	s, err := p.in.ReadString('\n')
	if err != nil && s == "" {
		return "", err
	}
	return strings.TrimRight(s, "\r\n"), nil
}

// await reads until the context ends. A read from a terminal cannot be called off: it is left behind, and the program ends.
func (p *prompter) await(ctx context.Context, read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		s, err := read()
		got <- answer{s, err}
	}()
	select {
	case a := <-got:
		return a.text, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (p *prompter) say(format string, args ...any) {
	_, _ = fmt.Fprintf(p.out, format, args...) // a question nobody can see will have no answer either
}
