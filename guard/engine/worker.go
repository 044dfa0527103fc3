package engine

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

// marker in the environment makes the program a worker, before its main runs.
const marker = "HOLDFAST_GUARD_RENDER"

// The exit codes of a worker.
const (
	exitMemory = 91
	exitLost   = 92 // who asked is gone
)

func init() {
	if os.Getenv(marker) == "1" {
		os.Exit(work(os.Stdin, os.Stdout))
	}
}

// maxStack bounds the stack of one goroutine of a worker, whose recursions are those of strangers.
const maxStack = 256 << 20

// memory is how many bytes the worker may have, 0 before its first task.
var memory atomic.Int64

// work renders until nobody listens any more.
func work(in io.Reader, out io.Writer) int {
	debug.SetMaxStack(maxStack)
	http.DefaultTransport = refused{}
	http.DefaultClient.Transport = refused{}
	go watchMemory()
	incoming := make(chan []byte)
	go listen(in, incoming)
	repository := &repository{in: incoming, out: out}
	var once sync.Once
	for {
		var t task
		if _, err := repository.receive(&t); err != nil || t.Spec == nil {
			return exitLost
		}
		once.Do(confine) // after the first answer, for which the runtime opens what it needs
		memory.Store(t.Memory)
		debug.SetMemoryLimit(t.Memory * 3 / 4)
		if err := reply(out, repository, &t); err != nil {
			return exitLost
		}
		repository.forget()
		if used() > t.Memory/4 {
			debug.FreeOSMemory()
		}
	}
}

// listen reads all the time, so that the worker ends when its parent does, whatever it is busy with.
func listen(in io.Reader, incoming chan<- []byte) {
	r := bufio.NewReaderSize(in, 1<<16)
	for {
		b := make([]byte, 1<<16)
		n, err := r.Read(b)
		if n > 0 {
			incoming <- b[:n]
		}
		if err != nil {
			os.Exit(exitLost)
		}
	}
}

// refused is the network of a worker.
type refused struct{}

var errNetwork = errors.New("nothing is fetched from the network")

func (refused) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("%s: %w", r.URL.Redacted(), errNetwork)
}

func used() int64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64()) - int64(samples[1].Value.Uint64())
}

// watchMemory ends the worker that takes too much.
func watchMemory() {
	for {
		time.Sleep(5 * time.Millisecond)
		if limit := memory.Load(); limit > 0 && used() > limit {
			os.Exit(exitMemory)
		}
	}
}

// reply renders, and says what came of it.
func reply(out io.Writer, r *repository, t *task) error {
	documents, err := render(r, t.Spec)
	m := message{}
	var data []byte
	if err == nil {
		for _, d := range documents {
			m.Documents = append(m.Documents, part{d.Origin, d.Line, len(d.Data)})
			if data = append(data, d.Data...); int64(len(data)) > t.Output {
				err = &Error{Fault: OfLimit, Path: t.Spec.at(), Message: fmt.Sprintf("what it renders to is larger than %d MiB", t.Output>>20)}
				break
			}
		}
	}
	if err != nil {
		var failed *Error
		if !errors.As(err, &failed) {
			failed = &Error{Path: t.Spec.at(), Message: err.Error()}
		}
		m, data = message{Err: failed}, nil
	}
	return writeFrame(out, m, data)
}

// render renders one source.
func render(r *repository, s *Spec) (documents []Document, err error) {
	defer func() {
		if p := recover(); p != nil {
			var lost *lostError
			if e, ok := p.(error); ok && errors.As(e, &lost) {
				os.Exit(exitLost)
			}
			buf := make([]byte, 1<<12)
			err = &Error{Path: s.at(), Message: fmt.Sprintf("%s fails: %v\n%s", s.Tool, p, buf[:runtime.Stack(buf, false)])}
		}
	}()
	switch s.Tool {
	case Jsonnet:
		return renderJsonnet(r, s)
	case Helm:
		return renderHelm(r, s)
	case Kustomize:
		return renderKustomize(r, s)
	}
	return nil, &Error{Fault: OfReach, Path: s.at(), Message: fmt.Sprintf("nothing renders %q", s.Tool)}
}
