package client

import (
	"context"
	"net/http"
	"net/url"
)

// Authorization is an API token, or a v1 credential, and what it permits.
type Authorization struct {
	Links map[string]any `json:"links,omitempty"`
	ID    string         `json:"id,omitempty"`
	// Token is in clear only in the answer to a create; of a v1 credential it is the user name.
	Token       string       `json:"token,omitempty"`
	Status      string       `json:"status,omitempty"`
	Description string       `json:"description,omitempty"`
	OrgID       string       `json:"orgID,omitempty"`
	Org         string       `json:"org,omitempty"`
	UserID      string       `json:"userID,omitempty"`
	User        string       `json:"user,omitempty"`
	Permissions []Permission `json:"permissions"`
	CreatedAt   string       `json:"createdAt,omitempty"`
	UpdatedAt   string       `json:"updatedAt,omitempty"`
}

// Permission allows an action ("read" or "write") on a resource.
type Permission struct {
	Action   string   `json:"action"`
	Resource Resource `json:"resource"`
}

// Resource is one resource, or without an ID all of its type in the organization, or without either all there are.
type Resource struct {
	Type  string `json:"type"`
	ID    string `json:"id,omitempty"`
	Name  string `json:"name,omitempty"`
	OrgID string `json:"orgID,omitempty"`
	Org   string `json:"org,omitempty"`
}

// String returns the permission as the `influx` command prints it: action:orgs/ORG/type/ID.
func (p Permission) String() string {
	s := p.Action + ":"
	if p.Resource.OrgID != "" {
		s += "orgs/" + p.Resource.OrgID
	}
	s += "/" + p.Resource.Type
	if p.Resource.ID != "" {
		s += "/" + p.Resource.ID
	}
	return s
}

// AuthorizationFilter selects authorizations; what is empty does not filter. Token and ID apply to v1 credentials only.
type AuthorizationFilter struct {
	Org, OrgID, User, UserID string
	Token, ID                string
}

// authorizationStore is one of the two resources of authorizations: API tokens, and v1 credentials.
type authorizationStore struct {
	c    *Client
	path string
}

// Authorizations returns the resource of API tokens.
func (c *Client) Authorizations() Authorizations {
	return &authorizationStore{c, "/api/v2/authorizations"}
}

// V1Authorizations returns the resource of v1 credentials: user names and passwords for /write and /query.
func (c *Client) V1Authorizations() V1Authorizations {
	return &authorizationStore{c, "/private/legacy/authorizations"}
}

// Authorizations is what can be done with authorizations of either resource.
type Authorizations interface {
	List(ctx context.Context, f AuthorizationFilter) ([]Authorization, error)
	Get(ctx context.Context, id string) (Authorization, error)
	Create(ctx context.Context, a Authorization) (Authorization, error)
	// SetStatus sets "active" or "inactive".
	SetStatus(ctx context.Context, id, status string) (Authorization, error)
	Delete(ctx context.Context, id string) error
}

// V1Authorizations are authorizations with a password.
type V1Authorizations interface {
	Authorizations
	SetPassword(ctx context.Context, id, password string) error
}

func (s *authorizationStore) List(ctx context.Context, f AuthorizationFilter) ([]Authorization, error) {
	var out struct {
		Authorizations []Authorization `json:"authorizations"`
	}
	query := values("org", f.Org, "orgID", f.OrgID, "user", f.User, "userID", f.UserID, "token", f.Token, "authID", f.ID)
	err := s.c.call(ctx, http.MethodGet, s.path, query, nil, &out)
	return out.Authorizations, err
}

func (s *authorizationStore) Get(ctx context.Context, id string) (Authorization, error) {
	var out Authorization
	err := s.c.call(ctx, http.MethodGet, s.at(id), nil, nil, &out)
	return out, err
}

func (s *authorizationStore) Create(ctx context.Context, a Authorization) (Authorization, error) {
	var out Authorization
	err := s.c.call(ctx, http.MethodPost, s.path, nil, a, &out)
	return out, err
}

func (s *authorizationStore) SetStatus(ctx context.Context, id, status string) (Authorization, error) {
	var out Authorization
	err := s.c.call(ctx, http.MethodPatch, s.at(id), nil, map[string]string{"status": status}, &out)
	return out, err
}

func (s *authorizationStore) Delete(ctx context.Context, id string) error {
	return s.c.call(ctx, http.MethodDelete, s.at(id), nil, nil, nil)
}

func (s *authorizationStore) SetPassword(ctx context.Context, id, password string) error {
	return s.c.call(ctx, http.MethodPost, s.at(id)+"/password", nil, passwordBody(password), nil)
}

func (s *authorizationStore) at(id string) string { return s.path + "/" + url.PathEscape(id) }

// ResourceTypes lists the types that a permission can name.
func (c *Client) ResourceTypes(ctx context.Context) ([]string, error) {
	var out []string
	err := c.call(ctx, http.MethodGet, "/api/v2/resources", nil, nil, &out)
	return out, err
}
