package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// ReplicationStatus is how a replication fares. Only Holdfast nodes know it.
type ReplicationStatus struct {
	ID            string `json:"id"`
	OrgID         string `json:"orgID"`
	Name          string `json:"name"`
	LocalBucketID string `json:"localBucketID"`
	Paused        bool   `json:"paused"`
	State         string `json:"state"`
	Reason        string `json:"reason,omitempty"`
	// LatestResponseCode is nil before the first attempt, and 0 when no answer came.
	LatestResponseCode *int   `json:"latestResponseCode"`
	LatestErrorMessage string `json:"latestErrorMessage"`
	// QueueBytes are kept for this replication, RemainingBytes those of them that were not sent, QueueLimit is their bound.
	QueueBytes     int64     `json:"queueBytes"`
	RemainingBytes int64     `json:"remainingBytes"`
	QueueLimit     int64     `json:"queueLimit"`
	Position       uint64    `json:"position"`
	LastPosition   uint64    `json:"lastPosition"`
	LagSeconds     float64   `json:"lagSeconds"`
	OldestUnsent   time.Time `json:"oldestUnsent,omitzero"`
	// ETASeconds is how long the backlog will last, nil when that is not known.
	ETASeconds  *float64  `json:"etaSeconds"`
	NextTry     time.Time `json:"nextTry,omitzero"`
	LastSuccess time.Time `json:"lastSuccess,omitzero"`
	OpenGaps    int       `json:"openGaps"`
	// GapPoints are the points known to be missing in the open gaps.
	GapPoints    int64  `json:"gapPoints"`
	DeadLetters  int    `json:"deadLetters"`
	Damage       string `json:"damage,omitempty"`
	PointsSent   int64  `json:"pointsSent"`
	PointsFilled int64  `json:"pointsFilled"`
	BytesSent    int64  `json:"bytesSent"`
	Requests     int64  `json:"requests"`
	Retries      int64  `json:"retries"`
	// Errors counts failed requests by status, Dropped points by reason.
	Errors  map[string]int64 `json:"errors,omitempty"`
	Dropped map[string]int64 `json:"dropped,omitempty"`
}

// DeadLetter is a line that a remote refused for good.
type DeadLetter struct {
	ID     int64     `json:"id"`
	At     time.Time `json:"at"`
	Code   int       `json:"code"` // HTTP status of the refusal
	Reason string    `json:"reason"`
	Line   string    `json:"line"`
}

// Gap is a span of time whose points were not sent with the others and are sent from the store.
type Gap struct {
	ID     int       `json:"id"`
	Reason string    `json:"reason"`
	Found  time.Time `json:"found"`
	// Points is the number of points missing, -1 when it is unknown.
	Points int64 `json:"points"`
	// MinTime and MaxTime bound their timestamps, in ns since the epoch, both inclusive.
	MinTime int64     `json:"minTime"`
	MaxTime int64     `json:"maxTime"`
	State   string    `json:"state"`
	Sent    int64     `json:"sent"` // points sent so far
	Closed  time.Time `json:"closed,omitzero"`
}

const holdfastPath = "/api/holdfast/v1"

func ownReplication(id, below string) string {
	return holdfastPath + "/replications/" + url.PathEscape(id) + below
}

// ReplicationStatuses returns the status of every replication that may be read.
func (c *Client) ReplicationStatuses(ctx context.Context) ([]ReplicationStatus, error) {
	var out struct {
		Replications []ReplicationStatus `json:"replications"`
	}
	err := c.call(ctx, http.MethodGet, holdfastPath+"/status", nil, nil, &out)
	return out.Replications, err
}

// ReplicationStatus returns the status of one replication.
func (c *Client) ReplicationStatus(ctx context.Context, id string) (ReplicationStatus, error) {
	var out ReplicationStatus
	err := c.call(ctx, http.MethodGet, ownReplication(id, ""), nil, nil, &out)
	return out, err
}

// PauseReplication stops a replication from sending; what is accepted meanwhile is kept for it.
func (c *Client) PauseReplication(ctx context.Context, id string) (ReplicationStatus, error) {
	var out ReplicationStatus
	err := c.call(ctx, http.MethodPost, ownReplication(id, "/pause"), nil, nil, &out)
	return out, err
}

// ResumeReplication makes a paused replication send again.
func (c *Client) ResumeReplication(ctx context.Context, id string) (ReplicationStatus, error) {
	var out ReplicationStatus
	err := c.call(ctx, http.MethodPost, ownReplication(id, "/resume"), nil, nil, &out)
	return out, err
}

// DeadLetters lists the lines that the remote refused for good, the oldest first, and tells how many there are in all.
func (c *Client) DeadLetters(ctx context.Context, id string, offset, limit int) (letters []DeadLetter, total int, err error) {
	var out struct {
		Total       int          `json:"total"`
		DeadLetters []DeadLetter `json:"deadLetters"`
	}
	query := url.Values{"limit": {strconv.Itoa(limit)}, "offset": {strconv.Itoa(offset)}}
	err = c.call(ctx, http.MethodGet, ownReplication(id, "/dead-letters"), query, nil, &out)
	return out.DeadLetters, out.Total, err
}

// letterIDs names dead letters; none means all.
type letterIDs struct {
	IDs []int64 `json:"ids,omitempty"`
}

// RetryDeadLetters has dead letters sent once more, all of them when no IDs are given. It returns before they are sent.
func (c *Client) RetryDeadLetters(ctx context.Context, id string, letters []int64) error {
	return c.call(ctx, http.MethodPost, ownReplication(id, "/dead-letters/retry"), nil, letterIDs{letters}, nil)
}

// PurgeDeadLetters deletes dead letters, all of them when no IDs are given, and returns how many it deleted.
func (c *Client) PurgeDeadLetters(ctx context.Context, id string, letters []int64) (int, error) {
	var out struct {
		Purged int `json:"purged"`
	}
	err := c.call(ctx, http.MethodPost, ownReplication(id, "/dead-letters/purge"), nil, letterIDs{letters}, &out)
	return out.Purged, err
}

// Gaps lists a replication's gaps.
func (c *Client) Gaps(ctx context.Context, id string) ([]Gap, error) {
	var out struct {
		Gaps []Gap `json:"gaps"`
	}
	err := c.call(ctx, http.MethodGet, ownReplication(id, "/gaps"), nil, nil, &out)
	return out.Gaps, err
}

// FillGap has a gap's points sent from the store.
func (c *Client) FillGap(ctx context.Context, id string, gap int) error {
	return c.call(ctx, http.MethodPost, ownReplication(id, "/fill"), nil, map[string]int{"gap": gap}, nil)
}

// Resync has all points from start to stop, both RFC 3339 and inclusive, sent once more.
func (c *Client) Resync(ctx context.Context, id, start, stop string) error {
	return c.call(ctx, http.MethodPost, ownReplication(id, "/resync"), nil, map[string]string{"start": start, "stop": stop}, nil)
}
