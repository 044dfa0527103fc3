package client

import (
	"context"
	"net/http"
	"net/url"
)

// Org is an organization.
type Org struct {
	Links       map[string]any `json:"links,omitempty"`
	ID          string         `json:"id,omitempty"`
	Name        string         `json:"name"`
	Description string         `json:"description,omitempty"`
	CreatedAt   string         `json:"createdAt,omitempty"`
	UpdatedAt   string         `json:"updatedAt,omitempty"`
}

// Member is a user in an organization. Role is "member" or "owner".
type Member struct {
	Links  map[string]any `json:"links,omitempty"`
	ID     string         `json:"id"`
	Name   string         `json:"name"`
	Role   string         `json:"role,omitempty"`
	Status string         `json:"status,omitempty"`
}

// Role names the list of an organization that a user is in.
type Role string

// The two roles, as they stand in paths.
const (
	Members Role = "members"
	Owners  Role = "owners"
)

// Orgs lists organizations; an empty name or id does not filter.
func (c *Client) Orgs(ctx context.Context, name, id string) ([]Org, error) {
	var out struct {
		Orgs []Org `json:"orgs"`
	}
	err := c.call(ctx, http.MethodGet, "/api/v2/orgs", values("org", name, "orgID", id), nil, &out)
	return out.Orgs, err
}

// Org returns one organization.
func (c *Client) Org(ctx context.Context, id string) (Org, error) {
	var out Org
	err := c.call(ctx, http.MethodGet, orgPath(id), nil, nil, &out)
	return out, err
}

// CreateOrg creates an organization of o's name and description.
func (c *Client) CreateOrg(ctx context.Context, o Org) (Org, error) {
	var out Org
	err := c.call(ctx, http.MethodPost, "/api/v2/orgs", nil, o, &out)
	return out, err
}

// OrgPatch changes what is not empty.
type OrgPatch struct {
	Name        string `json:"name,omitempty"`
	Description string `json:"description,omitempty"`
}

// UpdateOrg changes an organization.
func (c *Client) UpdateOrg(ctx context.Context, id string, p OrgPatch) (Org, error) {
	var out Org
	err := c.call(ctx, http.MethodPatch, orgPath(id), nil, p, &out)
	return out, err
}

// DeleteOrg deletes an organization with all that it holds.
func (c *Client) DeleteOrg(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, orgPath(id), nil, nil, nil)
}

// OrgUsers lists the users of a role.
func (c *Client) OrgUsers(ctx context.Context, org string, role Role) ([]Member, error) {
	var out struct {
		Users []Member `json:"users"`
	}
	err := c.call(ctx, http.MethodGet, orgPath(org)+"/"+string(role), nil, nil, &out)
	return out.Users, err
}

// AddOrgUser gives a user a role.
func (c *Client) AddOrgUser(ctx context.Context, org string, role Role, user string) (Member, error) {
	var out Member
	in := map[string]string{"id": user}
	err := c.call(ctx, http.MethodPost, orgPath(org)+"/"+string(role), nil, in, &out)
	return out, err
}

// RemoveOrgUser takes a role from a user.
func (c *Client) RemoveOrgUser(ctx context.Context, org string, role Role, user string) error {
	return c.call(ctx, http.MethodDelete, orgPath(org)+"/"+string(role)+"/"+url.PathEscape(user), nil, nil, nil)
}

func orgPath(id string) string { return "/api/v2/orgs/" + url.PathEscape(id) }
