package api

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/catalog"
)

type org struct {
	Links       links     `json:"links"`
	ID          id.ID     `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	CreatedAt   time.Time `json:"createdAt"`
	UpdatedAt   time.Time `json:"updatedAt"`
}

func orgOf(o catalog.Org) org {
	self, byName := "/api/v2/orgs/"+o.ID.String(), "?org="+url.QueryEscape(o.Name)
	return org{ID: o.ID, Name: o.Name, Description: o.Description, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt,
		Links: links{"self": self, "logs": self + "/logs", "members": self + "/members", "owners": self + "/owners", "secrets": self + "/secrets",
			"labels": self + "/labels", "buckets": "/api/v2/buckets" + byName, "tasks": "/api/v2/tasks" + byName, "dashboards": "/api/v2/dashboards" + byName}}
}

func (h *Handler) listOrgs(w http.ResponseWriter, r *request) error {
	p, err := r.page(0)
	if err != nil {
		return err
	}
	all, err := h.findOrgs(r)
	if err != nil {
		return err
	}
	all, err = cut(p, all, func(o *catalog.Org) listed { return listed{o.ID, o.Name, o.CreatedAt, o.UpdatedAt} })
	if err != nil {
		return err
	}
	out := make([]org, len(all))
	for i := range all {
		out[i] = orgOf(all[i])
	}
	h.reply(w, r.Request, http.StatusOK, map[string]any{"links": links{"self": "/api/v2/orgs"}, "orgs": out})
	return nil
}

// findOrgs returns the organisations that the request's filters leave and that may be read.
func (h *Handler) findOrgs(r *request) ([]catalog.Org, error) {
	var all []catalog.Org
	wanted, err := r.queryID("orgID")
	if err != nil {
		return nil, err
	}
	user, err := r.queryID("userID")
	if err != nil {
		return nil, err
	}
	switch name := r.query("org"); {
	case wanted != 0:
		o, err := h.Catalog.Org(wanted)
		if err != nil {
			return nil, err
		}
		all = []catalog.Org{o}
	case name != "":
		o, err := h.Catalog.OrgByName(name)
		if err != nil {
			return nil, err
		}
		all = []catalog.Org{o}
	default:
		if all, err = h.Catalog.Orgs(); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(all, func(o catalog.Org) bool {
		return !r.principal.Allows(catalog.Read, catalog.OrgsType, o.ID, o.ID) || user != 0 && !h.isMember(o.ID, user)
	}), nil
}

func (h *Handler) isMember(org, user id.ID) bool {
	for _, role := range []catalog.Role{catalog.MemberRole, catalog.Owner} {
		users, err := h.Catalog.Members(org, role)
		if err == nil && slices.ContainsFunc(users, func(u catalog.User) bool { return u.ID == user }) {
			return true
		}
	}
	return false
}

func (h *Handler) createOrg(w http.ResponseWriter, r *request) error {
	if err := r.allow(catalog.Write, catalog.OrgsType, 0, 0); err != nil {
		return err
	}
	var in struct{ Name, Description string }
	if err := r.read(&in); err != nil {
		return err
	}
	o, err := h.Catalog.CreateOrg(in.Name, in.Description, r.principal.UserID)
	if err != nil {
		return err
	}
	h.reply(w, r.Request, http.StatusCreated, orgOf(o))
	return nil
}

// orgInPath returns the organisation in the path when the principal may act on it.
func (r *request) orgInPath(a catalog.Action) (catalog.Org, error) {
	i, err := r.pathID()
	if err != nil {
		return catalog.Org{}, err
	}
	o, err := r.handler.Catalog.Org(i)
	if err != nil {
		return o, err
	}
	return o, r.allow(a, catalog.OrgsType, o.ID, o.ID)
}

func (h *Handler) getOrg(w http.ResponseWriter, r *request) error {
	o, err := r.orgInPath(catalog.Read)
	if err != nil {
		return err
	}
	h.reply(w, r.Request, http.StatusOK, orgOf(o))
	return nil
}

func (h *Handler) updateOrg(w http.ResponseWriter, r *request) error {
	o, err := r.orgInPath(catalog.Write)
	if err != nil {
		return err
	}
	var in struct{ Name, Description *string }
	if err := r.read(&in); err != nil {
		return err
	}
	if o, err = h.Catalog.UpdateOrg(o.ID, catalog.OrgUpdate{Name: in.Name, Description: in.Description}); err != nil {
		return err
	}
	h.reply(w, r.Request, http.StatusOK, orgOf(o))
	return nil
}

func (h *Handler) deleteOrg(w http.ResponseWriter, r *request) error {
	o, err := r.orgInPath(catalog.Write)
	if err != nil {
		return err
	}
	if err := h.Catalog.DeleteOrg(o.ID); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

type member struct {
	Role catalog.Role `json:"role"`
	user
}

// members is the endpoint of an organisation's members or owners.
func (h *Handler) members(role catalog.Role) endpoint {
	list := func(w http.ResponseWriter, r *request) error {
		o, err := r.orgInPath(catalog.Read)
		if err != nil {
			return err
		}
		users, err := h.Catalog.Members(o.ID, role)
		if err != nil {
			return err
		}
		out := make([]member, len(users))
		for i := range users {
			out[i] = member{role, userOf(users[i])}
		}
		h.reply(w, r.Request, http.StatusOK, map[string]any{"links": links{"self": r.URL.Path}, "users": out})
		return nil
	}
	add := func(w http.ResponseWriter, r *request) error {
		o, err := r.orgInPath(catalog.Write)
		if err != nil {
			return err
		}
		var in struct {
			ID id.ID `json:"id"`
		}
		if err := r.read(&in); err != nil {
			return err
		}
		if in.ID == 0 {
			return failf(catalog.Invalid, "user id missing or invalid")
		}
		u, err := h.Catalog.AddMember(catalog.Member{OrgID: o.ID, UserID: in.ID, Role: role})
		if err != nil {
			return err
		}
		h.reply(w, r.Request, http.StatusCreated, member{role, userOf(u)})
		return nil
	}
	return methods(map[string]handlerFunc{http.MethodGet: list, http.MethodPost: add})
}

func (h *Handler) removeMember(role catalog.Role) handlerFunc {
	return func(w http.ResponseWriter, r *request) error {
		o, err := r.orgInPath(catalog.Write)
		if err != nil {
			return err
		}
		user, err := id.Parse(r.PathValue("user"))
		if err != nil {
			return err
		}
		if err := h.Catalog.RemoveMember(catalog.Member{OrgID: o.ID, UserID: user, Role: role}); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

func (h *Handler) orgLabels(w http.ResponseWriter, r *request) error {
	if _, err := r.orgInPath(catalog.Read); err != nil {
		return err
	}
	h.reply(w, r.Request, http.StatusOK, map[string]any{"labels": []string{}, "links": links{"self": r.URL.Path}})
	return nil
}
