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
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"`
	// Attempted tells whether LatestResponseCode (0: no answer) and LatestErrorMessage mean anything yet.
	Attempted          bool   `json:"attempted"`
	LatestResponseCode int    `json:"latestResponseCode"`
	LatestErrorMessage string `json:"latestErrorMessage"`
	// QueueBytes are kept for this replication, RemainingBytes those of them that were not sent.
	QueueBytes     int64     `json:"queueBytes"`
	RemainingBytes int64     `json:"remainingBytes"`
	LagSeconds     float64   `json:"lagSeconds"`
	OldestUnsent   time.Time `json:"oldestUnsent,omitzero"`
	// ETASeconds is negative when it is not known.
	ETASeconds    float64          `json:"etaSeconds"`
	PointsSent    int64            `json:"pointsSent"`
	BytesSent     int64            `json:"bytesSent"`
	PointsDropped map[string]int64 `json:"pointsDropped,omitempty"` // by reason
	OpenGaps      int              `json:"openGaps"`
	DeadLetters   int              `json:"deadLetters"`
	NextTry       time.Time        `json:"nextTry,omitzero"`
	LastSuccess   time.Time        `json:"lastSuccess,omitzero"`
}

// NamedStatus is the status of one replication.
type NamedStatus struct {
	ID     string            `json:"id"`
	Name   string            `json:"name"`
	Paused bool              `json:"paused"`
	Status ReplicationStatus `json:"status"`
}

// DeadLetter is a line that a remote refused for good.
type DeadLetter struct {
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	Code   int       `json:"code"` // HTTP status of the refusal
	Reason string    `json:"reason"`
	Line   string    `json:"line"`
}

const ownReplications = "/api/holdfast/v1/replications/"

// ReplicationStatuses returns the status of every replication that may be read.
func (c *Client) ReplicationStatuses(ctx context.Context) ([]NamedStatus, error) {
	var out struct {
		Replications []struct {
			ID     string `json:"id"`
			Name   string `json:"name"`
			Paused bool   `json:"paused"`
			ReplicationStatus
		} `json:"replications"`
	}
	if err := c.call(ctx, http.MethodGet, "/api/holdfast/v1/status", nil, nil, &out); err != nil {
		return nil, err
	}
	statuses := make([]NamedStatus, 0, len(out.Replications))
	for _, r := range out.Replications {
		statuses = append(statuses, NamedStatus{ID: r.ID, Name: r.Name, Paused: r.Paused, Status: r.ReplicationStatus})
	}
	return statuses, nil
}

// ReplicationStatus returns the status of one replication.
func (c *Client) ReplicationStatus(ctx context.Context, id string) (NamedStatus, error) {
	var out NamedStatus
	err := c.call(ctx, http.MethodGet, ownReplications+url.PathEscape(id), nil, nil, &out)
	return out, err
}

// PauseReplication stops a replication from sending; what is accepted meanwhile is kept for it.
func (c *Client) PauseReplication(ctx context.Context, id string) (Replication, error) {
	return c.pause(ctx, id, "pause")
}

// ResumeReplication makes a paused replication send again.
func (c *Client) ResumeReplication(ctx context.Context, id string) (Replication, error) {
	return c.pause(ctx, id, "resume")
}

func (c *Client) pause(ctx context.Context, id, verb string) (Replication, error) {
	var out Replication
	err := c.call(ctx, http.MethodPost, ownReplications+url.PathEscape(id)+"/"+verb, nil, nil, &out)
	return out, err
}

// DeadLetters lists the lines that the remote refused for good, the oldest first, and tells how many there are in all.
func (c *Client) DeadLetters(ctx context.Context, id string, offset, limit int) (letters []DeadLetter, total int, err error) {
	var out struct {
		Total       int          `json:"total"`
		DeadLetters []DeadLetter `json:"deadLetters"`
	}
	query := url.Values{"limit": {strconv.Itoa(limit)}, "offset": {strconv.Itoa(offset)}}
	err = c.call(ctx, http.MethodGet, ownReplications+url.PathEscape(id)+"/dead-letters", query, nil, &out)
	return out.DeadLetters, out.Total, err
}

// RetryDeadLetters queues dead letters to be sent once more, all of them when no IDs are given, and returns how many it queued.
func (c *Client) RetryDeadLetters(ctx context.Context, id string, letters []string) (int, error) {
	in := struct {
		IDs []string `json:"ids,omitempty"`
	}{letters}
	var out struct {
		Retried int `json:"retried"`
	}
	err := c.call(ctx, http.MethodPost, ownReplications+url.PathEscape(id)+"/dead-letters/retry", nil, in, &out)
	return out.Retried, err
}
