package client

import (
	"context"
	"net/http"
	"net/url"
)

// User is a user of the server.
type User struct {
	Links  map[string]any `json:"links,omitempty"`
	ID     string         `json:"id,omitempty"`
	Name   string         `json:"name,omitempty"`
	Status string         `json:"status,omitempty"`
}

// Users lists users; an empty name or id does not filter.
func (c *Client) Users(ctx context.Context, name, id string) ([]User, error) {
	var out struct {
		Users []User `json:"users"`
	}
	err := c.call(ctx, http.MethodGet, "/api/v2/users", values("name", name, "id", id), nil, &out)
	return out.Users, err
}

// User returns one user.
func (c *Client) User(ctx context.Context, id string) (User, error) {
	var out User
	err := c.call(ctx, http.MethodGet, userPath(id), nil, nil, &out)
	return out, err
}

// CreateUser creates a user without a password.
func (c *Client) CreateUser(ctx context.Context, u User) (User, error) {
	var out User
	err := c.call(ctx, http.MethodPost, "/api/v2/users", nil, u, &out)
	return out, err
}

// UpdateUser changes what is not empty in u.
func (c *Client) UpdateUser(ctx context.Context, id string, u User) (User, error) {
	var out User
	err := c.call(ctx, http.MethodPatch, userPath(id), nil, u, &out)
	return out, err
}

// DeleteUser deletes a user.
func (c *Client) DeleteUser(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, userPath(id), nil, nil, nil)
}

// SetUserPassword sets a user's password.
func (c *Client) SetUserPassword(ctx context.Context, id, password string) error {
	return c.call(ctx, http.MethodPost, userPath(id)+"/password", nil, passwordBody(password), nil)
}

func userPath(id string) string { return "/api/v2/users/" + url.PathEscape(id) }

func passwordBody(password string) any { return map[string]string{"password": password} }
