package api

import (
	"encoding/json"
	"net/http"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/catalog"
)

// nullable is a field of a PATCH body: not there, null (which clears), or a value.
type nullable[T any] struct {
	set   bool
	value T
}

func (n *nullable[T]) UnmarshalJSON(b []byte) error {
	n.set = true
	if string(b) == "null" {
		return nil
	}
	return json.Unmarshal(b, &n.value)
}

// change returns what the catalog takes for the field: nil to leave it, the zero value to clear it.
func (n *nullable[T]) change() *T {
	if !n.set {
		return nil
	}
	return &n.value
}

type remote struct {
	ID               id.ID  `json:"id"`
	OrgID            id.ID  `json:"orgID"`
	Name             string `json:"name"`
	Description      string `json:"description,omitempty"`
	RemoteURL        string `json:"remoteURL"`
	RemoteOrgID      id.ID  `json:"remoteOrgID,omitzero"`
	AllowInsecureTLS bool   `json:"allowInsecureTLS"`
}

func remoteOf(r catalog.Remote) remote {
	return remote{ID: r.ID, OrgID: r.OrgID, Name: r.Name, Description: r.Description, RemoteURL: r.URL, RemoteOrgID: r.RemoteOrgID,
		AllowInsecureTLS: r.AllowInsecureTLS}
}

// requiredOrgID returns the orgID that lists of remotes and replications must name.
func (r *request) requiredOrgID() (id.ID, error) {
	i, err := r.queryID("orgID")
	if err != nil || i == 0 {
		return 0, failf(catalog.Invalid, "invalid or missing org ID")
	}
	return i, nil
}

func (h *Handler) listRemotes(w http.ResponseWriter, r *request) error {
	org, err := r.requiredOrgID()
	if err != nil {
		return err
	}
	all, err := h.Catalog.Remotes(org)
	if err != nil {
		return err
	}
	out, name, address := []remote{}, r.query("name"), r.query("remoteURL")
	for _, v := range all {
		if (name == "" || v.Name == name) && (address == "" || v.URL == address) && r.principal.Allows(catalog.Read, catalog.RemotesType, org, v.ID) {
			out = append(out, remoteOf(v))
		}
	}
	h.reply(w, r.Request, http.StatusOK, map[string]any{"remotes": out})
	return nil
}

func (h *Handler) createRemote(w http.ResponseWriter, r *request) error {
	var in struct {
		OrgID            id.ID  `json:"orgID"`
		Name             string `json:"name"`
		Description      string `json:"description"`
		RemoteURL        string `json:"remoteURL"`
		RemoteAPIToken   string `json:"remoteAPIToken"`
		RemoteOrgID      id.ID  `json:"remoteOrgID"`
		AllowInsecureTLS bool   `json:"allowInsecureTLS"`
	}
	if err := r.read(&in); err != nil {
		return err
	}
	if in.OrgID == 0 {
		return failf(catalog.Invalid, "invalid or missing org ID")
	}
	if err := r.allow(catalog.Write, catalog.RemotesType, in.OrgID, 0); err != nil {
		return err
	}
	v, err := h.Catalog.CreateRemote(catalog.Remote{OrgID: in.OrgID, Name: in.Name, Description: in.Description, URL: in.RemoteURL,
		RemoteOrgID: in.RemoteOrgID, AllowInsecureTLS: in.AllowInsecureTLS}, in.RemoteAPIToken)
	if err != nil {
		return err
	}
	h.reply(w, r.Request, http.StatusCreated, remoteOf(v))
	return nil
}

// remote returns the remote in the path when the principal may act on it.
func (r *request) remote(a catalog.Action) (catalog.Remote, error) {
	i, err := r.pathID()
	if err != nil {
		return catalog.Remote{}, failf(catalog.Invalid, "remote-connection ID is invalid")
	}
	v, err := r.handler.Catalog.Remote(i)
	if err != nil {
		return v, err
	}
	return v, r.allow(a, catalog.RemotesType, v.OrgID, v.ID)
}

func (h *Handler) getRemote(w http.ResponseWriter, r *request) error {
	v, err := r.remote(catalog.Read)
	if err != nil {
		return err
	}
	h.reply(w, r.Request, http.StatusOK, remoteOf(v))
	return nil
}

func (h *Handler) updateRemote(w http.ResponseWriter, r *request) error {
	v, err := r.remote(catalog.Write)
	if err != nil {
		return err
	}
	var in struct {
		Name             *string          `json:"name"`
		Description      nullable[string] `json:"description"`
		RemoteURL        *string          `json:"remoteURL"`
		RemoteAPIToken   *string          `json:"remoteAPIToken"`
		RemoteOrgID      nullable[id.ID]  `json:"remoteOrgID"`
		AllowInsecureTLS *bool            `json:"allowInsecureTLS"`
	}
	if err := r.read(&in); err != nil {
		return err
	}
	v, err = h.Catalog.UpdateRemote(v.ID, catalog.RemoteUpdate{Name: in.Name, Description: in.Description.change(), URL: in.RemoteURL,
		Token: in.RemoteAPIToken, RemoteOrgID: in.RemoteOrgID.change(), AllowInsecureTLS: in.AllowInsecureTLS})
	if err != nil {
		return err
	}
	h.reply(w, r.Request, http.StatusOK, remoteOf(v))
	return nil
}

func (h *Handler) deleteRemote(w http.ResponseWriter, r *request) error {
	v, err := r.remote(catalog.Write)
	if err != nil {
		return err
	}
	if err := h.Catalog.DeleteRemote(v.ID); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
