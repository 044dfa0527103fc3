package replicate

import (
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/journal"
)

// State is what a replication is doing.
type State string

// The states of a replication.
const (
	// Starting is before its files are open.
	Starting State = "starting"
	// Idle is in step with the journal.
	Idle State = "idle"
	// Sending has work and nothing in its way.
	Sending State = "sending"
	// Waiting is between tries after a failure of the link or of the remote.
	Waiting State = "waiting"
	// Gated waits for as long as the remote's Retry-After said.
	Gated State = "gated"
	// Refused is a remote that answers but does not let this replication in: address, token, organisation or bucket are
	// wrong. It is probed slowly, and at once when the configuration changes.
	Refused State = "refused"
	// Paused was asked for.
	Paused State = "paused"
	// Failed cannot use its own files; the reason is in the status, it is tried again, and nothing is deleted.
	Failed State = "failed"
	// Stopped is after Close or Remove.
	Stopped State = "stopped"
)

// Reasons under which points are counted as dropped.
const (
	DroppedRefused    = "refused"    // the remote refuses the line and DropNonRetryable is set
	DroppedEvicted    = "evicted"    // a dead letter that the bound of the file pushed out
	DroppedPurged     = "purged"     // a dead letter that was purged by command
	DroppedUnfillable = "unfillable" // a gap that no store can fill
)

// Refusal is the last line that the remote refused for good.
type Refusal struct {
	At     time.Time `json:"at"`
	Code   int       `json:"code"`
	Reason string    `json:"reason"`
	Line   string    `json:"line"` // at most 256 bytes of it
}

// Status is a replication at one moment.
type Status struct {
	ID    id.ID
	Name  string
	State State
	// Reason says why the state is Waiting, Gated, Refused or Failed.
	Reason string

	// LatestResponseCode is the last HTTP status, 0 for no answer or no attempt yet (then Attempted is false).
	LatestResponseCode int
	// LatestErrorMessage is the text of the last failure, "" after a success.
	LatestErrorMessage string
	Attempted          bool

	// QueueBytes are the journal bytes behind the position, RemainingBytes those of them that were not sent yet.
	QueueBytes, RemainingBytes int64
	// QueueLimit is MaxQueueBytes of the configuration.
	QueueLimit int64
	// Position is the durable position, LastPosition the newest of the journal.
	Position, LastPosition journal.Position
	// Lag is how long the oldest unsent record has been waiting, 0 when none is.
	Lag time.Duration
	// OldestUnsent is when that record was accepted, the zero time when none waits.
	OldestUnsent time.Time
	// ETA is how long the backlog will last at the rate of the last minute; negative when that cannot be said.
	ETA time.Duration

	Counts
	NextTry     time.Time // zero when no try is planned
	LastSuccess time.Time
	LastRefusal *Refusal

	// OpenGaps are gaps and backfills that are not filled yet, GapPoints the points known to be missing in them.
	OpenGaps    int
	GapPoints   int64
	DeadLetters int
	// Damage tells what was found damaged in the replication's files, and where it was set aside.
	Damage string
}

// Counts are what a replication has done since it was created. They survive restarts, up to the last few before a crash.
type Counts struct {
	PointsRead       int64            `json:"pointsRead"`       // points taken from the journal for the first time
	BytesRead        int64            `json:"bytesRead"`        // their bytes as line protocol
	PointsSent       int64            `json:"pointsSent"`       // points in requests that the remote answered with success
	PointsFilled     int64            `json:"pointsFilled"`     // those of them that came from the store
	BytesSent        int64            `json:"bytesSent"`        // body bytes, as sent, of those requests
	BytesTried       int64            `json:"bytesTried"`       // body bytes of all requests
	BytesDropped     int64            `json:"bytesDropped"`     // line protocol bytes of dropped points
	Requests         int64            `json:"requests"`         // all requests with a body
	Retries          int64            `json:"retries"`          // requests after a failed one
	ConnectionErrors int64            `json:"connectionErrors"` // requests without an answer, timeouts included
	Probes           int64            `json:"probes"`
	DeletesSkipped   int64            `json:"deletesSkipped"`
	Errors           map[string]int64 `json:"errors,omitempty"`  // failed requests by code, "0" for a timeout
	Dropped          map[string]int64 `json:"dropped,omitempty"` // points by reason
}

// clone returns a copy that shares nothing.
func (c Counts) clone() Counts {
	c.Errors, c.Dropped = cloneCounts(c.Errors), cloneCounts(c.Dropped)
	return c
}

func cloneCounts(m map[string]int64) map[string]int64 {
	out := make(map[string]int64, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}
