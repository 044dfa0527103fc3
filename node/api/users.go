package api

import (
	"net/http"
	"slices"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/catalog"
)

type user struct {
	Links  links          `json:"links"`
	ID     id.ID          `json:"id"`
	Name   string         `json:"name"`
	Status catalog.Status `json:"status"`
}

func userOf(u catalog.User) user {
	return user{ID: u.ID, Name: u.Name, Status: u.Status, Links: links{"self": "/api/v2/users/" + u.ID.String()}}
}

func (h *Handler) me(w http.ResponseWriter, r *request) error {
	u, err := h.Catalog.User(r.principal.UserID)
	if err != nil {
		return err
	}
	h.reply(w, r.Request, http.StatusOK, userOf(u))
	return nil
}

// setMyPassword is PUT /api/v2/me/password.
func (h *Handler) setMyPassword(w http.ResponseWriter, r *request) error {
	return h.changePassword(w, r, r.principal.UserID)
}

func (h *Handler) listUsers(w http.ResponseWriter, r *request) error {
	p, err := r.page(0)
	if err != nil {
		return err
	}
	all, err := h.findUsers(r)
	if err != nil {
		return err
	}
	all, err = cut(p, all, func(u *catalog.User) listed { return listed{u.ID, u.Name, u.CreatedAt, u.CreatedAt} })
	if err != nil {
		return err
	}
	out := make([]user, len(all))
	for i := range all {
		out[i] = userOf(all[i])
	}
	h.reply(w, r.Request, http.StatusOK, map[string]any{"links": links{"self": "/api/v2/users"}, "users": out})
	return nil
}

// findUsers returns the users that the request's filters leave and that may be read.
func (h *Handler) findUsers(r *request) ([]catalog.User, error) {
	wanted, err := r.queryID("id")
	if err != nil {
		return nil, err
	}
	var all []catalog.User
	switch name := r.query("name"); {
	case wanted != 0:
		u, err := h.Catalog.User(wanted)
		if err != nil {
			return nil, err
		}
		all = []catalog.User{u}
	case name != "":
		u, err := h.Catalog.UserByName(name)
		if err != nil {
			return nil, err
		}
		all = []catalog.User{u}
	default:
		if all, err = h.Catalog.Users(); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(all, func(u catalog.User) bool { return !r.principal.Allows(catalog.Read, catalog.UsersType, 0, u.ID) }), nil
}

func (h *Handler) createUser(w http.ResponseWriter, r *request) error {
	if err := r.allow(catalog.Write, catalog.UsersType, 0, 0); err != nil {
		return err
	}
	var in struct {
		Name   string
		Status catalog.Status
	}
	if err := r.read(&in); err != nil {
		return err
	}
	u, err := h.Catalog.CreateUser(in.Name, in.Status)
	if err != nil {
		return err
	}
	h.reply(w, r.Request, http.StatusCreated, userOf(u))
	return nil
}

// user returns the user in the path when the principal may act on it.
func (r *request) user(a catalog.Action) (catalog.User, error) {
	i, err := r.pathID()
	if err != nil {
		return catalog.User{}, err
	}
	if err := r.allow(a, catalog.UsersType, 0, i); err != nil {
		return catalog.User{}, err
	}
	return r.handler.Catalog.User(i)
}

func (h *Handler) getUser(w http.ResponseWriter, r *request) error {
	u, err := r.user(catalog.Read)
	if err != nil {
		return err
	}
	h.reply(w, r.Request, http.StatusOK, userOf(u))
	return nil
}

func (h *Handler) updateUser(w http.ResponseWriter, r *request) error {
	u, err := r.user(catalog.Write)
	if err != nil {
		return err
	}
	var in struct {
		Name   *string
		Status *catalog.Status
	}
	if err := r.read(&in); err != nil {
		return err
	}
	if u, err = h.Catalog.UpdateUser(u.ID, catalog.UserUpdate{Name: in.Name, Status: in.Status}); err != nil {
		return err
	}
	h.reply(w, r.Request, http.StatusOK, userOf(u))
	return nil
}

func (h *Handler) deleteUser(w http.ResponseWriter, r *request) error {
	u, err := r.user(catalog.Write)
	if err != nil {
		return err
	}
	if err := h.Catalog.DeleteUser(u.ID); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *Handler) setPassword(w http.ResponseWriter, r *request) error {
	u, err := r.user(catalog.Write)
	if err != nil {
		return err
	}
	return h.changePassword(w, r, u.ID)
}

func (h *Handler) changePassword(w http.ResponseWriter, r *request, user id.ID) error {
	if err := r.allow(catalog.Write, catalog.UsersType, 0, user); err != nil {
		return err
	}
	var in struct{ Password string }
	if err := r.read(&in); err != nil {
		return err
	}
	if err := h.Catalog.SetPassword(user, in.Password); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
