package replicate

import (
	"context"
	"time"
)

// Class says what an answer means for the lines that were sent.
type Class uint8

// The classes of answers.
const (
	// Accepted: every line is at the remote.
	Accepted Class = iota
	// Unreachable: no answer, or one of a server in trouble; the same request may work later.
	Unreachable
	// Busy: the remote asks to wait, for RetryAfter where it says how long.
	Busy
	// Denied: the remote does not let this replication in, whatever the lines are.
	Denied
	// Unacceptable: some of the lines are refused for good.
	Unacceptable
	// TooLarge: the request has too many bytes.
	TooLarge
)

// Answer is what came of a request.
type Answer struct {
	Class Class
	// Code is the HTTP status, 0 when there was no answer.
	Code int
	// Message says in words what happened; empty when accepted. It holds no secret.
	Message string
	// RetryAfter is how long the remote asked to wait; negative when it did not say.
	RetryAfter time.Duration
	// Timeout tells that there was no answer in time.
	Timeout bool
	// Size is the length of the body as sent, Bytes how much of it was handed to the network.
	Size, Bytes int
	// Body is the beginning of the remote's answer, for texts that name lines.
	Body []byte
}

// Target is what a replication sends to. The HTTP write API is one; an output plugin can be another. It is used by one
// goroutine, except for Close.
type Target interface {
	// Send delivers lines of canonical line protocol. ctx ends the request when it takes too long.
	Send(ctx context.Context, lines []byte) Answer
	// Probe asks whether lines would be let in, without sending any.
	Probe(ctx context.Context) Answer
	// Close gives up what the target holds.
	Close() error
}
