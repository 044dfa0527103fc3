package engine

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Between this process and a worker go frames: the length of a header and of the data behind it, each in 4 bytes, the larger first; the
// header in JSON; and the data. The worker gets a task, asks questions of which each gets an answer, and gives a result; then the next task.

// task is what a worker is to do.
type task struct {
	Spec   *Spec `json:"spec"`
	Memory int64 `json:"memory"`
	Output int64 `json:"output"`
}

// operation is what is asked about a path.
type operation string

const (
	statOf operation = "stat" // what it is
	listOf operation = "list" // what the folder has
	readOf operation = "read" // what the file has
)

// message is what a worker says: a question, or, where Op is empty, the result.
type message struct {
	Op   operation `json:"op,omitempty"`
	Path string    `json:"path,omitempty"`
	// Documents are the origins and places and lengths of what the data has, one after the other.
	Documents []part `json:"documents,omitempty"`
	Err       *Error `json:"err,omitempty"`
}

type part struct {
	Origin string `json:"origin"`
	Line   int    `json:"line,omitempty"`
	Length int    `json:"length"`
}

// kind is what is at a path.
type kind string

const (
	missing kind = "missing"
	file    kind = "file"
	folder  kind = "folder"
	outside kind = "outside" // the path leads out of the tree
	link    kind = "link"    // a link there leads out of the tree
	behind  kind = "behind"  // it is behind a link to a folder; of a folder that is listed, such a link is in it
)

// answer is what this process says. The data is the content of a file.
type answer struct {
	Kind    kind    `json:"kind"`
	Target  string  `json:"target,omitempty"` // of a link to a file
	Entries []entry `json:"entries,omitempty"`
	// Err is why the tree could not be read; the worker gives up.
	Err string `json:"err,omitempty"`
}

// entry is one of a folder.
type entry struct {
	Name   string `json:"name"`
	Folder bool   `json:"folder,omitempty"`
}

// maxHeader bounds a header: a list of a large folder, or of many documents.
const maxHeader = 32 << 20

var errFrame = errors.New("what came is no frame")

func writeFrame(w io.Writer, header any, data []byte) error {
	text, err := json.Marshal(header)
	if err != nil {
		return err
	}
	if len(text) > maxHeader || int64(len(data)) > 1<<32-1 {
		return fmt.Errorf("%w: it is too long", errFrame)
	}
	frame := make([]byte, 0, 8+len(text)+len(data))
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(text)))
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(data)))
	_, err = w.Write(append(append(frame, text...), data...))
	return err
}

// readFrame reads a frame whose data has at most a number of bytes. It takes memory for what comes, and not for what is announced.
func readFrame(r io.Reader, header any, most int64) ([]byte, error) {
	var lengths [8]byte
	if _, err := io.ReadFull(r, lengths[:]); err != nil {
		return nil, err
	}
	text, data := int64(binary.BigEndian.Uint32(lengths[:])), int64(binary.BigEndian.Uint32(lengths[4:]))
	if text > maxHeader || data > most {
		return nil, fmt.Errorf("%w: it has %d and %d bytes, and %d and %d are allowed", errFrame, text, data, maxHeader, most)
	}
	all, err := readFull(r, text)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(all, header); err != nil {
		return nil, fmt.Errorf("%w: %w", errFrame, err)
	}
	return readFull(r, data)
}

func readFull(r io.Reader, n int64) ([]byte, error) {
	if n <= 1<<16 {
		all := make([]byte, n)
		_, err := io.ReadFull(r, all)
		return all, unexpected(err)
	}
	all, err := io.ReadAll(io.LimitReader(r, n))
	if err == nil && int64(len(all)) < n {
		err = io.ErrUnexpectedEOF
	}
	return all, err
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
