package client

import (
	"context"
	"net/http"
)

// SetupRequest is what a fresh server is set up with.
type SetupRequest struct {
	Username string `json:"username"`
	Password string `json:"password,omitempty"`
	Token    string `json:"token,omitempty"`
	Org      string `json:"org"`
	Bucket   string `json:"bucket"`
	// RetentionSeconds is the bucket's retention; 0 keeps for ever.
	RetentionSeconds int64 `json:"retentionPeriodSeconds"`
}

// SetupResult is what the setup created. Auth.Token is the operator token in clear.
type SetupResult struct {
	User   User          `json:"user"`
	Bucket Bucket        `json:"bucket"`
	Org    Org           `json:"org"`
	Auth   Authorization `json:"auth"`
}

// SetupAllowed tells whether the server still waits for its setup.
func (c *Client) SetupAllowed(ctx context.Context) (bool, error) {
	var out struct {
		Allowed bool `json:"allowed"`
	}
	err := c.call(ctx, http.MethodGet, "/api/v2/setup", nil, nil, &out)
	return out.Allowed, err
}

// Setup creates the first user, organization, bucket and operator token.
func (c *Client) Setup(ctx context.Context, r SetupRequest) (SetupResult, error) {
	var out SetupResult
	err := c.call(ctx, http.MethodPost, "/api/v2/setup", nil, r, &out)
	return out, err
}
