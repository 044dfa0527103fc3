package api

import (
	"net/http"
	"time"
)

// writeTimeout is how long a client may take to accept a part of an answer.
const writeTimeout = time.Minute

// answer is a ResponseWriter that remembers what was answered and gives up on clients that do not read.
type answer struct {
	http.ResponseWriter
	now    func() time.Time
	status int // 0 until the header is written
	bytes  int64
	until  time.Time // of the write deadline, zero while none is set
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	a.extend()
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}

// extend moves the deadline when a part of it has passed. A writer without deadlines has none to move.
func (a *answer) extend() {
	now := time.Now() // the connection's clock, whatever the node's is
	if a.until.Sub(now) > writeTimeout/2 {
		return
	}
	a.until = now.Add(writeTimeout)
	_ = http.NewResponseController(a.ResponseWriter).SetWriteDeadline(a.until)
}

// Flush sends what was written so far.
func (a *answer) Flush() {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	_ = http.NewResponseController(a.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
