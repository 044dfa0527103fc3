package api

import (
	"net/http"
	"slices"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/catalog"
)

// dbrpOrg returns the organisation that every request about mappings must name.
func (r *request) dbrpOrg() (id.ID, error) {
	i, err := r.optionalOrg()
	if err == nil && i == 0 {
		err = failf(catalog.Invalid, "either 'org' or 'orgID' must be provided")
	}
	return i, err
}

// mayRead reports whether the principal may see a mapping: it tells no more than its bucket does.
func mayReadDBRP(p *catalog.Principal, d catalog.DBRP) bool {
	return p.Allows(catalog.Read, catalog.DBRPType, d.OrgID, d.ID) || p.Allows(catalog.Read, catalog.BucketsType, d.OrgID, d.BucketID)
}

func (h *Handler) listDBRPs(w http.ResponseWriter, r *request) error {
	org, err := r.dbrpOrg()
	if err != nil {
		return err
	}
	wanted, err := r.queryID("id")
	if err != nil {
		return err
	}
	bucket, err := r.queryID("bucketID")
	if err != nil {
		return err
	}
	all, err := h.Catalog.DBRPs(org)
	if err != nil {
		return err
	}
	db, rp, isDefault, virtual := r.query("db"), r.query("rp"), r.query("default"), r.query("virtual")
	all = slices.DeleteFunc(all, func(d catalog.DBRP) bool {
		return wanted != 0 && d.ID != wanted || bucket != 0 && d.BucketID != bucket || db != "" && d.Database != db ||
			rp != "" && d.RetentionPolicy != rp || isDefault != "" && d.Default != (isDefault == "true") ||
			virtual != "" && d.Virtual != (virtual == "true") || !mayReadDBRP(r.principal, d)
	})
	h.reply(w, r.Request, http.StatusOK, map[string]any{"content": all})
	return nil
}

func (h *Handler) createDBRP(w http.ResponseWriter, r *request) error {
	var in struct {
		Database        string `json:"database"`
		RetentionPolicy string `json:"retention_policy"`
		Default         bool   `json:"default"`
		OrgID           id.ID  `json:"orgID"`
		Org             string `json:"org"`
		BucketID        id.ID  `json:"bucketID"`
	}
	if err := r.read(&in); err != nil {
		return err
	}
	if in.OrgID == 0 && in.Org == "" {
		return failf(catalog.Invalid, "either 'org' or 'orgID' must be provided")
	}
	if in.OrgID == 0 {
		o, err := h.Catalog.OrgByName(in.Org)
		if err != nil {
			return err
		}
		in.OrgID = o.ID
	}
	if err := r.allow(catalog.Write, catalog.DBRPType, in.OrgID, 0); err != nil {
		return err
	}
	d, err := h.Catalog.CreateDBRP(catalog.DBRP{Database: in.Database, RetentionPolicy: in.RetentionPolicy, Default: in.Default,
		OrgID: in.OrgID, BucketID: in.BucketID})
	if err != nil {
		return err
	}
	h.reply(w, r.Request, http.StatusCreated, d)
	return nil
}

// dbrp returns the mapping in the path.
func (r *request) dbrp() (catalog.DBRP, error) {
	org, err := r.dbrpOrg()
	if err != nil {
		return catalog.DBRP{}, err
	}
	i, err := r.pathID()
	if err != nil {
		return catalog.DBRP{}, err
	}
	return r.handler.Catalog.DBRP(org, i)
}

func (h *Handler) getDBRP(w http.ResponseWriter, r *request) error {
	d, err := r.dbrp()
	if err != nil {
		return err
	}
	if !mayReadDBRP(r.principal, d) {
		return r.allow(catalog.Read, catalog.DBRPType, d.OrgID, d.ID)
	}
	h.reply(w, r.Request, http.StatusOK, map[string]any{"content": d})
	return nil
}

func (h *Handler) updateDBRP(w http.ResponseWriter, r *request) error {
	d, err := r.dbrp()
	if err != nil {
		return err
	}
	if err := r.allow(catalog.Write, catalog.DBRPType, d.OrgID, d.ID); err != nil {
		return err
	}
	var in struct {
		RetentionPolicy *string `json:"retention_policy"`
		Default         *bool   `json:"default"`
	}
	if err := r.read(&in); err != nil {
		return err
	}
	if d, err = h.Catalog.UpdateDBRP(d.OrgID, d.ID, catalog.DBRPUpdate{RetentionPolicy: in.RetentionPolicy, Default: in.Default}); err != nil {
		return err
	}
	h.reply(w, r.Request, http.StatusOK, map[string]any{"content": d})
	return nil
}

func (h *Handler) deleteDBRP(w http.ResponseWriter, r *request) error {
	d, err := r.dbrp()
	if err != nil {
		return err
	}
	if err := r.allow(catalog.Write, catalog.DBRPType, d.OrgID, d.ID); err != nil {
		return err
	}
	if err := h.Catalog.DeleteDBRP(d.OrgID, d.ID); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
