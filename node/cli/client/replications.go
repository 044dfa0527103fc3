package client

import (
	"context"
	"net/http"
	"net/url"
)

// Replication sends the points of a local bucket to a bucket of a remote.
type Replication struct {
	ID                       string `json:"id"`
	Name                     string `json:"name"`
	Description              string `json:"description,omitempty"`
	OrgID                    string `json:"orgID"`
	RemoteID                 string `json:"remoteID"`
	LocalBucketID            string `json:"localBucketID"`
	RemoteBucketID           string `json:"remoteBucketID,omitempty"`
	RemoteBucketName         string `json:"remoteBucketName,omitempty"` // servers write RemoteBucketName
	MaxQueueSizeBytes        int64  `json:"maxQueueSizeBytes"`
	CurrentQueueSizeBytes    int64  `json:"currentQueueSizeBytes"`
	RemainingBytesToBeSynced int64  `json:"remainingBytesToBeSynced"`
	LatestResponseCode       int32  `json:"latestResponseCode,omitempty"`
	LatestErrorMessage       string `json:"latestErrorMessage,omitempty"`
	DropNonRetryableData     bool   `json:"dropNonRetryableData"`
	MaxAgeSeconds            int64  `json:"maxAgeSeconds,omitempty"`
}

// ReplicationCreate is a new replication. One of RemoteBucketID and RemoteBucketName is set.
type ReplicationCreate struct {
	Name                 string `json:"name"`
	Description          string `json:"description,omitempty"`
	OrgID                string `json:"orgID"`
	RemoteID             string `json:"remoteID"`
	LocalBucketID        string `json:"localBucketID"`
	RemoteBucketID       string `json:"remoteBucketID,omitempty"`
	RemoteBucketName     string `json:"remoteBucketName,omitempty"`
	MaxQueueSizeBytes    int64  `json:"maxQueueSizeBytes"`
	DropNonRetryableData *bool  `json:"dropNonRetryableData,omitempty"`
	MaxAgeSeconds        int64  `json:"maxAgeSeconds"`
}

// ReplicationPatch changes what is set.
type ReplicationPatch struct {
	Name                 string `json:"name,omitempty"`
	Description          string `json:"description,omitempty"`
	RemoteID             string `json:"remoteID,omitempty"`
	RemoteBucketID       string `json:"remoteBucketID,omitempty"`
	RemoteBucketName     string `json:"remoteBucketName,omitempty"`
	MaxQueueSizeBytes    int64  `json:"maxQueueSizeBytes,omitempty"`
	DropNonRetryableData *bool  `json:"dropNonRetryableData,omitempty"`
	MaxAgeSeconds        int64  `json:"maxAgeSeconds,omitempty"`
}

// ReplicationFilter selects replications of one organization; what else is empty does not filter.
type ReplicationFilter struct{ OrgID, Name, RemoteID, LocalBucketID string }

// Replications lists replications.
func (c *Client) Replications(ctx context.Context, f ReplicationFilter) ([]Replication, error) {
	var out struct {
		Replications []Replication `json:"replications"`
	}
	query := values("orgID", f.OrgID, "name", f.Name, "remoteID", f.RemoteID, "localBucketID", f.LocalBucketID)
	err := c.call(ctx, http.MethodGet, "/api/v2/replications", query, nil, &out)
	return out.Replications, err
}

// Replication returns one replication.
func (c *Client) Replication(ctx context.Context, id string) (Replication, error) {
	var out Replication
	err := c.call(ctx, http.MethodGet, replicationPath(id), nil, nil, &out)
	return out, err
}

// CreateReplication creates a replication. The server first tries the remote with an empty write.
func (c *Client) CreateReplication(ctx context.Context, r ReplicationCreate) (Replication, error) {
	var out Replication
	err := c.call(ctx, http.MethodPost, "/api/v2/replications", nil, r, &out)
	return out, err
}

// UpdateReplication changes a replication.
func (c *Client) UpdateReplication(ctx context.Context, id string, p ReplicationPatch) (Replication, error) {
	var out Replication
	err := c.call(ctx, http.MethodPatch, replicationPath(id), nil, p, &out)
	return out, err
}

// DeleteReplication deletes a replication; what it has not sent is not sent.
func (c *Client) DeleteReplication(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, replicationPath(id), nil, nil, nil)
}

func replicationPath(id string) string { return "/api/v2/replications/" + url.PathEscape(id) }
