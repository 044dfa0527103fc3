package engine

import (
	"fmt"
	"io"
)

// repository is the tree as a worker sees it: what it was told about a path stays until the next task.
type repository struct {
	in    <-chan []byte
	rest  []byte
	out   io.Writer
	known map[question]known
}

type known struct {
	answer
	data []byte
}

// lostError is what a worker ends with when nobody answers.
type lostError struct{ err error }

func (e *lostError) Error() string { return fmt.Sprintf("nobody answers: %v", e.err) }

// Read reads what came.
func (r *repository) Read(b []byte) (int, error) {
	if len(r.rest) == 0 {
		r.rest = <-r.in
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *repository) receive(header any) ([]byte, error) { return readFrame(r, header, MaxFile) }

func (r *repository) forget() { r.known = nil }

// ask asks about a path.
func (r *repository) ask(op operation, path string) known {
	q := question{op, path}
	if k, ok := r.known[q]; ok {
		return k
	}
	if err := writeFrame(r.out, message{Op: op, Path: path}, nil); err != nil {
		panic(&lostError{err})
	}
	var k known
	var err error
	if k.data, err = r.receive(&k.answer); err != nil {
		panic(&lostError{err})
	}
	if r.known == nil {
		r.known = make(map[question]known)
	}
	r.known[q] = k
	return k
}

func (r *repository) stat(path string) kind { return r.ask(statOf, path).Kind }
func (r *repository) list(path string) ([]entry, kind) {
	k := r.ask(listOf, path)
	return k.Entries, k.Kind
}
func (r *repository) read(path string) ([]byte, kind) {
	k := r.ask(readOf, path)
	return k.data, k.Kind
}

// target is where a link leads to, empty of what is none.
func (r *repository) target(path string) string { return r.ask(statOf, path).Target }

// refuse says why a path that is asked for is not given.
func refuse(is kind, path string) *Error {
	switch is {
	case outside:
		return &Error{Fault: OfReach, Path: path, Message: "it is not in the repository: what a source needs must be inside"}
	case link:
		return &Error{Path: path, Message: "it is a link out of the repository, with which Argo CD does not render"}
	case behind:
		return &Error{Fault: OfReach, Path: path, Message: "there is a link to a folder on the way, which is not followed: name the folder itself"}
	case folder:
		return &Error{Path: path, Message: "it is a folder, and a file is wanted"}
	}
	return &Error{Path: path, Message: "there is no such file"}
}
