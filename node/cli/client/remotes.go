package client

import (
	"context"
	"net/http"
	"net/url"
)

// Remote is a connection to another server, which replications send to.
type Remote struct {
	ID               string `json:"id"`
	Name             string `json:"name"`
	OrgID            string `json:"orgID"`
	Description      string `json:"description,omitempty"`
	RemoteURL        string `json:"remoteURL"`
	RemoteOrgID      string `json:"remoteOrgID,omitempty"`
	AllowInsecureTLS bool   `json:"allowInsecureTLS"`
}

// RemoteCreate is a new remote. RemoteOrgID is empty for a 1.x server.
type RemoteCreate struct {
	Name             string `json:"name"`
	Description      string `json:"description,omitempty"`
	OrgID            string `json:"orgID"`
	RemoteURL        string `json:"remoteURL"`
	RemoteAPIToken   string `json:"remoteAPIToken"`
	RemoteOrgID      string `json:"remoteOrgID,omitempty"`
	AllowInsecureTLS bool   `json:"allowInsecureTLS"`
}

// RemotePatch changes what is set.
type RemotePatch struct {
	Name             string `json:"name,omitempty"`
	Description      string `json:"description,omitempty"`
	RemoteURL        string `json:"remoteURL,omitempty"`
	RemoteAPIToken   string `json:"remoteAPIToken,omitempty"`
	RemoteOrgID      string `json:"remoteOrgID,omitempty"`
	AllowInsecureTLS *bool  `json:"allowInsecureTLS,omitempty"`
}

// Remotes lists an organization's remotes; an empty name or address does not filter.
func (c *Client) Remotes(ctx context.Context, orgID, name, remoteURL string) ([]Remote, error) {
	var out struct {
		Remotes []Remote `json:"remotes"`
	}
	query := values("orgID", orgID, "name", name, "remoteURL", remoteURL)
	err := c.call(ctx, http.MethodGet, "/api/v2/remotes", query, nil, &out)
	return out.Remotes, err
}

// Remote returns one remote.
func (c *Client) Remote(ctx context.Context, id string) (Remote, error) {
	var out Remote
	err := c.call(ctx, http.MethodGet, remotePath(id), nil, nil, &out)
	return out, err
}

// CreateRemote creates a remote. The server does not try the connection.
func (c *Client) CreateRemote(ctx context.Context, r RemoteCreate) (Remote, error) {
	var out Remote
	err := c.call(ctx, http.MethodPost, "/api/v2/remotes", nil, r, &out)
	return out, err
}

// UpdateRemote changes a remote.
func (c *Client) UpdateRemote(ctx context.Context, id string, p RemotePatch) (Remote, error) {
	var out Remote
	err := c.call(ctx, http.MethodPatch, remotePath(id), nil, p, &out)
	return out, err
}

// DeleteRemote deletes a remote that no replication uses.
func (c *Client) DeleteRemote(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, remotePath(id), nil, nil, nil)
}

func remotePath(id string) string { return "/api/v2/remotes/" + url.PathEscape(id) }
