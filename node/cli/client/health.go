package client

import (
	"context"
	"net/http"
)

// Health is the server's account of itself. Status is "pass" or "fail".
type Health struct {
	Name    string `json:"name"`
	Message string `json:"message"`
	Status  string `json:"status"`
	Version string `json:"version"`
	Commit  string `json:"commit"`
}

// Health asks whether the server is ready for queries and writes. One that is not answers with an *Error.
func (c *Client) Health(ctx context.Context) (Health, error) {
	var out Health
	err := c.call(ctx, http.MethodGet, "/health", nil, nil, &out)
	return out, err
}

// Ping returns the build and version that the server names in its headers.
func (c *Client) Ping(ctx context.Context) (build, version string, err error) {
	req, err := c.request(ctx, http.MethodGet, "/ping", nil, nil)
	if err != nil {
		return "", "", err
	}
	resp, err := c.send(req)
	if err != nil {
		return "", "", err
	}
	defer closeBody(resp)
	return resp.Header.Get("X-Influxdb-Build"), resp.Header.Get("X-Influxdb-Version"), nil
}
