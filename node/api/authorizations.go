package api

import (
	"net/http"
	"slices"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/catalog"
)

// redacted stands for a token wherever it is not the answer to its creation.
const redacted = "REDACTED"

const (
	authorizationsPath       = "/api/v2/authorizations"
	legacyAuthorizationsPath = "/private/legacy/authorizations"
)

type authorization struct {
	ID          id.ID                `json:"id"`
	Token       string               `json:"token"`
	Status      catalog.Status       `json:"status"`
	Description string               `json:"description"`
	OrgID       id.ID                `json:"orgID"`
	Org         string               `json:"org"`
	UserID      id.ID                `json:"userID"`
	User        string               `json:"user"`
	Permissions []catalog.Permission `json:"permissions"`
	Links       links                `json:"links"`
	CreatedAt   time.Time            `json:"createdAt"`
	UpdatedAt   time.Time            `json:"updatedAt"`
}

func authorizationOf(a catalog.Authorization, org, user string) authorization {
	out := authorization{ID: a.ID, Status: a.Status, Description: a.Description, OrgID: a.OrgID, Org: org, UserID: a.UserID, User: user,
		Permissions: a.Permissions, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt}
	path := authorizationsPath
	switch {
	case a.Name != "":
		out.Token, path = a.Name, legacyAuthorizationsPath
	case a.Token != "":
		out.Token = a.Token
	default:
		out.Token = redacted
	}
	out.Links = links{"self": path + "/" + a.ID.String(), "user": "/api/v2/users/" + a.UserID.String()}
	return out
}

// named adds the names of the organisation and the user. One that is gone meanwhile has none.
func (h *Handler) named(a catalog.Authorization) authorization {
	o, _ := h.Catalog.Org(a.OrgID)
	u, _ := h.Catalog.User(a.UserID)
	return authorizationOf(a, o.Name, u.Name)
}

// grants is one of the two kinds of authorizations: API tokens and v1 users. They differ in where they are kept.
type grants struct {
	path   string
	list   func() ([]catalog.Authorization, error)
	get    func(id.ID) (catalog.Authorization, error)
	create func(catalog.Authorization) (catalog.Authorization, error)
	update func(id.ID, catalog.AuthorizationUpdate) (catalog.Authorization, error)
	remove func(id.ID) error
	// hasToken reports whether an authorization is the one that the token parameter asks for.
	hasToken func(a *catalog.Authorization, token string) bool
}

func (h *Handler) tokens() grants {
	c := h.Catalog
	return grants{path: authorizationsPath, list: c.Authorizations, get: c.Authorization, create: c.CreateAuthorization,
		update: c.UpdateAuthorization, remove: c.DeleteAuthorization,
		hasToken: func(a *catalog.Authorization, token string) bool {
			found, err := c.AuthorizationByToken(token)
			return err == nil && found.ID == a.ID
		}}
}

func (h *Handler) legacyUsers() grants {
	c := h.Catalog
	return grants{path: legacyAuthorizationsPath, list: c.LegacyAuthorizations, get: c.LegacyAuthorization, create: c.CreateLegacyAuthorization,
		update: c.UpdateLegacyAuthorization, remove: c.DeleteLegacyAuthorization,
		hasToken: func(a *catalog.Authorization, name string) bool { return a.Name == name }}
}

func (h *Handler) listAuthorizations(g grants) handlerFunc {
	return func(w http.ResponseWriter, r *request) error {
		keep, err := h.authorizationFilter(r, g)
		if err != nil {
			return err
		}
		all, err := g.list()
		if err != nil {
			return err
		}
		out := []authorization{}
		for i := range all {
			if keep(&all[i]) {
				out = append(out, h.named(all[i]))
			}
		}
		h.reply(w, r.Request, http.StatusOK, map[string]any{"links": links{"self": g.path}, "authorizations": out})
		return nil
	}
}

// authorizationFilter returns what the request's parameters and the principal's permissions leave.
func (h *Handler) authorizationFilter(r *request, g grants) (func(*catalog.Authorization) bool, error) {
	org, err := r.optionalOrg()
	if err != nil {
		return nil, err
	}
	user, err := r.queryID("userID")
	if err != nil {
		return nil, err
	}
	if name := r.query("user"); name != "" {
		u, err := h.Catalog.UserByName(name)
		if err != nil {
			return nil, err
		}
		user = u.ID
	}
	token := r.query("token")
	return func(a *catalog.Authorization) bool {
		return (org == 0 || a.OrgID == org) && (user == 0 || a.UserID == user) && (token == "" || g.hasToken(a, token)) &&
			r.principal.Allows(catalog.Read, catalog.AuthorizationsType, a.OrgID, a.ID)
	}, nil
}

// optionalOrg returns the organisation that org or orgID names, 0 when there is neither.
func (r *request) optionalOrg() (id.ID, error) {
	if r.query("org") == "" && r.query("orgID") == "" {
		return 0, nil
	}
	o, err := r.org()
	return o.ID, err
}

func (h *Handler) createAuthorization(g grants) handlerFunc {
	return func(w http.ResponseWriter, r *request) error {
		var in struct {
			OrgID       id.ID                `json:"orgID"`
			UserID      id.ID                `json:"userID"`
			Token       string               `json:"token"`
			Description string               `json:"description"`
			Status      catalog.Status       `json:"status"`
			Permissions []catalog.Permission `json:"permissions"`
		}
		if err := r.read(&in); err != nil {
			return err
		}
		if in.OrgID == 0 {
			return failf(catalog.Invalid, "organization id must be provided")
		}
		if len(in.Permissions) == 0 {
			return failf(catalog.Invalid, "authorization must include permissions")
		}
		if in.UserID == 0 {
			in.UserID = r.principal.UserID
		}
		permissions, err := h.permissionsToGrant(r, in.OrgID, in.UserID, in.Permissions)
		if err != nil {
			return err
		}
		a := catalog.Authorization{OrgID: in.OrgID, UserID: in.UserID, Description: in.Description, Status: in.Status, Permissions: permissions}
		if g.path == legacyAuthorizationsPath {
			if in.Token == "" {
				return failf(catalog.Invalid, "token required: it is the v1 user's name")
			}
			a.Name = in.Token
		}
		if a, err = g.create(a); err != nil {
			return err
		}
		h.reply(w, r.Request, http.StatusCreated, h.named(a))
		return nil
	}
}

// permissionsToGrant returns the permissions of a new authorization when the principal may make it. Nobody can give away
// what they do not hold.
func (h *Handler) permissionsToGrant(r *request, org, user id.ID, asked []catalog.Permission) ([]catalog.Permission, error) {
	if err := r.allow(catalog.Write, catalog.AuthorizationsType, org, 0); err != nil {
		return nil, err
	}
	if user != r.principal.UserID {
		if err := r.allow(catalog.Write, catalog.UsersType, 0, user); err != nil {
			return nil, err
		}
	}
	asked = slices.Clone(asked)
	for i := range asked {
		if err := asked[i].Check(); err != nil {
			return nil, err
		}
		if err := h.resolveNames(&asked[i].Resource, org); err != nil {
			return nil, err
		}
	}
	asked = catalog.Bind(asked, org)
	return asked, r.mustHold(asked)
}

// mustHold says which of the permissions the principal does not hold.
func (r *request) mustHold(permissions []catalog.Permission) error {
	for _, p := range permissions {
		if !r.principal.Holds(p) {
			return failf(catalog.Forbidden, "permission %s is not allowed", p)
		}
	}
	return nil
}

// resolveNames finds the identifier of a bucket that is named only: without it the permission would be for all buckets.
func (h *Handler) resolveNames(res *catalog.Resource, org id.ID) error {
	if res.OrgID == 0 && res.Org != "" {
		o, err := h.Catalog.OrgByName(res.Org)
		if err != nil {
			return err
		}
		res.OrgID = o.ID
	}
	if res.Type != catalog.BucketsType || res.ID != 0 || res.Name == "" {
		return nil
	}
	if res.OrgID == 0 {
		res.OrgID = org
	}
	b, err := h.Catalog.ResolveBucket(res.OrgID, res.Name)
	res.ID = b.ID
	return err
}

// authorization returns the one in the path when the principal may act on it.
func (r *request) authorization(g grants, a catalog.Action) (catalog.Authorization, error) {
	i, err := r.pathID()
	if err != nil {
		return catalog.Authorization{}, err
	}
	found, err := g.get(i)
	if err != nil {
		return found, err
	}
	return found, r.allow(a, catalog.AuthorizationsType, found.OrgID, found.ID)
}

func (h *Handler) getAuthorization(g grants) handlerFunc {
	return func(w http.ResponseWriter, r *request) error {
		a, err := r.authorization(g, catalog.Read)
		if err != nil {
			return err
		}
		h.reply(w, r.Request, http.StatusOK, h.named(a))
		return nil
	}
}

func (h *Handler) updateAuthorization(g grants) handlerFunc {
	return func(w http.ResponseWriter, r *request) error {
		a, err := r.authorization(g, catalog.Write)
		if err != nil {
			return err
		}
		var in struct {
			Status      *catalog.Status
			Description *string
		}
		if err := r.read(&in); err != nil {
			return err
		}
		if a, err = g.update(a.ID, catalog.AuthorizationUpdate{Status: in.Status, Description: in.Description}); err != nil {
			return err
		}
		h.reply(w, r.Request, http.StatusOK, h.named(a))
		return nil
	}
}

func (h *Handler) deleteAuthorization(g grants) handlerFunc {
	return func(w http.ResponseWriter, r *request) error {
		a, err := r.authorization(g, catalog.Write)
		if err != nil {
			return err
		}
		if err := g.remove(a.ID); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// setLegacyPassword is POST /private/legacy/authorizations/{id}/password. Who sets a password can use it: so nobody sets that of a v1
// user who may do more than they.
func (h *Handler) setLegacyPassword(w http.ResponseWriter, r *request) error {
	a, err := r.authorization(h.legacyUsers(), catalog.Write)
	if err != nil {
		return err
	}
	if err := r.mustHold(a.Permissions); err != nil {
		return err
	}
	var in struct{ Password string }
	if err := r.read(&in); err != nil {
		return err
	}
	if err := h.Catalog.SetLegacyPassword(a.ID, in.Password); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
