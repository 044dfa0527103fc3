package client

import (
	"context"
	"net/http"
	"net/url"
)

// DBRP maps a v1 database and retention policy to a bucket.
type DBRP struct {
	ID              string `json:"id"`
	OrgID           string `json:"orgID"`
	BucketID        string `json:"bucketID"`
	Database        string `json:"database"`
	RetentionPolicy string `json:"retention_policy"`
	Default         bool   `json:"default"`
	// Virtual mappings follow from the buckets' names and cannot be changed.
	Virtual bool `json:"virtual,omitempty"`
}

// DBRPCreate is a new mapping.
type DBRPCreate struct {
	OrgID           string `json:"orgID"`
	BucketID        string `json:"bucketID"`
	Database        string `json:"database"`
	RetentionPolicy string `json:"retention_policy"`
	Default         bool   `json:"default,omitempty"`
}

// DBRPPatch changes what is set.
type DBRPPatch struct {
	RetentionPolicy string `json:"retention_policy,omitempty"`
	Default         bool   `json:"default,omitempty"`
}

// OrgRef names an organization by one of the two.
type OrgRef struct{ Name, ID string }

// DBRPFilter selects mappings; what is empty does not filter.
type DBRPFilter struct {
	Org              OrgRef
	ID, BucketID     string
	Database, Policy string
	DefaultOnly      bool
}

// DBRPs lists mappings, the virtual ones included.
func (c *Client) DBRPs(ctx context.Context, f DBRPFilter) ([]DBRP, error) {
	var out struct {
		Content []DBRP `json:"content"`
	}
	query := values("org", f.Org.Name, "orgID", f.Org.ID, "id", f.ID, "bucketID", f.BucketID, "db", f.Database, "rp", f.Policy)
	if f.DefaultOnly {
		query.Set("default", "true")
	}
	err := c.call(ctx, http.MethodGet, "/api/v2/dbrps", query, nil, &out)
	return out.Content, err
}

// CreateDBRP creates a mapping.
func (c *Client) CreateDBRP(ctx context.Context, d DBRPCreate) (DBRP, error) {
	var out DBRP
	err := c.call(ctx, http.MethodPost, "/api/v2/dbrps", nil, d, &out)
	return out, err
}

// DBRP returns one mapping.
func (c *Client) DBRP(ctx context.Context, org OrgRef, id string) (DBRP, error) {
	return c.oneDBRP(ctx, http.MethodGet, org, id, nil)
}

// UpdateDBRP changes a mapping.
func (c *Client) UpdateDBRP(ctx context.Context, org OrgRef, id string, p DBRPPatch) (DBRP, error) {
	return c.oneDBRP(ctx, http.MethodPatch, org, id, p)
}

// oneDBRP reads the answer's wrapped form, which only the create does not have.
func (c *Client) oneDBRP(ctx context.Context, method string, org OrgRef, id string, in any) (DBRP, error) {
	var out struct {
		Content DBRP `json:"content"`
	}
	err := c.call(ctx, method, dbrpPath(id), values("org", org.Name, "orgID", org.ID), in, &out)
	return out.Content, err
}

// DeleteDBRP deletes a mapping; the bucket stays.
func (c *Client) DeleteDBRP(ctx context.Context, org OrgRef, id string) error {
	return c.call(ctx, http.MethodDelete, dbrpPath(id), values("org", org.Name, "orgID", org.ID), nil, nil)
}

func dbrpPath(id string) string { return "/api/v2/dbrps/" + url.PathEscape(id) }
