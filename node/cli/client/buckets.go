package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
)

// Bucket is a bucket of an organization.
type Bucket struct {
	Links          map[string]any  `json:"links,omitempty"`
	ID             string          `json:"id,omitempty"`
	Type           string          `json:"type,omitempty"`
	Name           string          `json:"name"`
	Description    string          `json:"description,omitempty"`
	OrgID          string          `json:"orgID,omitempty"`
	RP             string          `json:"rp,omitempty"`
	SchemaType     string          `json:"schemaType,omitempty"`
	CreatedAt      string          `json:"createdAt,omitempty"`
	UpdatedAt      string          `json:"updatedAt,omitempty"`
	RetentionRules []RetentionRule `json:"retentionRules"`
	Labels         json.RawMessage `json:"labels,omitempty"`
}

// RetentionRule says how long points are kept.
type RetentionRule struct {
	// Type is "expire".
	Type string `json:"type,omitempty"`
	// EverySeconds is the retention; 0 keeps for ever.
	EverySeconds int64 `json:"everySeconds"`
	// ShardGroupDurationSeconds is the time one partition spans; 0 lets the server choose.
	ShardGroupDurationSeconds int64 `json:"shardGroupDurationSeconds,omitempty"`
}

// BucketFilter selects buckets; what is empty or 0 is left to the server.
type BucketFilter struct {
	ID, Name, Org, OrgID string
	Limit, Offset        int
}

// Buckets lists one page of buckets.
func (c *Client) Buckets(ctx context.Context, f BucketFilter) ([]Bucket, error) {
	var out struct {
		Buckets []Bucket `json:"buckets"`
	}
	query := values("id", f.ID, "name", f.Name, "org", f.Org, "orgID", f.OrgID,
		"limit", number(f.Limit), "offset", number(f.Offset))
	err := c.call(ctx, http.MethodGet, "/api/v2/buckets", query, nil, &out)
	return out.Buckets, err
}

// CreateBucket creates b in the organization that it names by OrgID.
func (c *Client) CreateBucket(ctx context.Context, b Bucket) (Bucket, error) {
	if b.RetentionRules == nil {
		b.RetentionRules = []RetentionRule{} // the API wants a list
	}
	var out Bucket
	err := c.call(ctx, http.MethodPost, "/api/v2/buckets", nil, b, &out)
	return out, err
}

// BucketPatch changes what is set.
type BucketPatch struct {
	Name           string               `json:"name,omitempty"`
	Description    string               `json:"description,omitempty"`
	RetentionRules []RetentionRulePatch `json:"retentionRules,omitempty"`
}

// RetentionRulePatch changes what is not nil of a bucket's one rule.
type RetentionRulePatch struct {
	Type                      string `json:"type,omitempty"`
	EverySeconds              *int64 `json:"everySeconds,omitempty"`
	ShardGroupDurationSeconds *int64 `json:"shardGroupDurationSeconds,omitempty"`
}

// UpdateBucket changes a bucket.
func (c *Client) UpdateBucket(ctx context.Context, id string, p BucketPatch) (Bucket, error) {
	var out Bucket
	err := c.call(ctx, http.MethodPatch, "/api/v2/buckets/"+url.PathEscape(id), nil, p, &out)
	return out, err
}

// DeleteBucket deletes a bucket and its points.
func (c *Client) DeleteBucket(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/api/v2/buckets/"+url.PathEscape(id), nil, nil, nil)
}

// number returns "" for 0, which values leaves out.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
