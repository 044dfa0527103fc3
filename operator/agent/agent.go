// Package agent answers one question: is this configuration one that the agent in the sidecar accepts?
//
// Syntax, the built-in check, needs nothing but the text: it parses as the agent parses and knows the tables that the agent knows. It
// does not know plugins and their options. Exec asks the agent's own program (`telegraf config check`), which does; Remote asks an Exec
// that runs elsewhere, namely in a container made of the sidecar's image, so that the answer is that of the very agent that will read
// the text. Texts come from people who may write classes and nothing else: an agent that reads them is kept apart from the operator by
// a process of its own, a cleaned environment, a time limit and bounded output.
//
// A checker that answered "no" returns a *Refusal. Every other error means that there is no answer, and nothing can be said of the text.
package agent

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// MaxText is the greatest size of one file, in bytes: a Secret could not carry more.
const MaxText = 1 << 20

// File is a file of the configuration. Its name is a plain file name, without folders.
type File struct {
	Name string `json:"name"`
	Text []byte `json:"text"`
}

// Checker says whether an agent accepts the files as its whole configuration. nil is yes, an *Unjudged is yes but for what only the pod has,
// a *Refusal is no, and anything else is that there is no answer; ErrUnreachable is among those.
type Checker interface {
	Check(ctx context.Context, files []File) error
}

// ErrUnreachable is the error of a checker that is not there at all, so that asking it about another text would be in vain too.
var ErrUnreachable = errors.New("the checker cannot be reached")

// Refusal is the answer "no". Nothing that the text gives as a password or token is in it.
type Refusal struct {
	// File is the name of the file that is refused, if that is known.
	File string
	// Line in it, from 1; 0 if that is not known.
	Line int
	// Message says what is wrong, for the author of the text.
	Message string
}

// Error is "FILE:LINE: MESSAGE", without what is not known.
func (r *Refusal) Error() string {
	switch {
	case r.File != "" && r.Line > 0:
		return fmt.Sprintf("%s:%d: %s", r.File, r.Line, r.Message)
	case r.File != "":
		return r.File + ": " + r.Message
	}
	return r.Message
}

// checkNames keeps a file from being written outside of the folder that is made for it.
func checkNames(files []File) error {
	seen := map[string]bool{}
	for _, f := range files {
		plain := f.Name != "" && f.Name != "." && f.Name != ".." && filepath.Base(f.Name) == f.Name && !strings.ContainsAny(f.Name, "/\\\x00")
		switch {
		case !plain || len(f.Name) > 255:
			return fmt.Errorf("%q is not a plain file name", f.Name)
		case seen[f.Name]:
			return fmt.Errorf("there are two files %q", f.Name)
		case len(f.Text) > MaxText:
			return &Refusal{File: f.Name, Message: fmt.Sprintf("the text has %d bytes; at most %d are allowed", len(f.Text), MaxText)}
		}
		seen[f.Name] = true
	}
	return nil
}
