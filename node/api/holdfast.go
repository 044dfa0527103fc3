package api

import (
	"net/http"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/catalog"
)

// status is GET /api/holdfast/v1/status: the node, its buckets and its replications, as far as they may be read.
func (h *Handler) status(w http.ResponseWriter, r *request) error {
	type bucketStatus struct {
		ID    id.ID  `json:"id"`
		OrgID id.ID  `json:"orgID"`
		Name  string `json:"name"`
		BucketStatus
	}
	type replicationStatus struct {
		ID            id.ID  `json:"id"`
		OrgID         id.ID  `json:"orgID"`
		Name          string `json:"name"`
		LocalBucketID id.ID  `json:"localBucketID"`
		Paused        bool   `json:"paused"`
		ReplicationStatus
	}
	buckets, err := h.Catalog.Buckets(0)
	if err != nil {
		return err
	}
	replications, err := h.Catalog.Replications(0)
	if err != nil {
		return err
	}
	bs, rs := []bucketStatus{}, []replicationStatus{}
	for _, b := range buckets {
		if r.principal.Allows(catalog.Read, catalog.BucketsType, b.OrgID, b.ID) {
			s, _ := h.Engine.BucketStatus(b.ID)
			bs = append(bs, bucketStatus{b.ID, b.OrgID, b.Name, s})
		}
	}
	for _, p := range replications {
		if r.principal.Allows(catalog.Read, catalog.ReplicationsType, p.OrgID, p.ID) {
			s, _ := h.Replications.Status(p.ID)
			rs = append(rs, replicationStatus{p.ID, p.OrgID, p.Name, p.LocalBucketID, p.Paused, s})
		}
	}
	health := "pass"
	if err := h.Engine.Health(); err != nil {
		health = err.Error()
	}
	h.reply(w, r.Request, http.StatusOK, map[string]any{"version": h.Version, "commit": h.Commit, "health": health,
		"started": h.started.UTC().Format(time.RFC3339Nano), "uptimeSeconds": h.Now().Sub(h.started).Seconds(),
		"buckets": bs, "replications": rs})
	return nil
}

// replicationStatus is GET /api/holdfast/v1/replications/{id}.
func (h *Handler) replicationStatus(w http.ResponseWriter, r *request) error {
	v, err := r.replication(catalog.Read)
	if err != nil {
		return err
	}
	s, running := h.Replications.Status(v.ID)
	h.reply(w, r.Request, http.StatusOK, map[string]any{"id": v.ID, "name": v.Name, "paused": v.Paused, "running": running, "status": s})
	return nil
}

// setPaused is POST /api/holdfast/v1/replications/{id}/pause and .../resume.
func (h *Handler) setPaused(paused bool) handlerFunc {
	return func(w http.ResponseWriter, r *request) error {
		v, err := r.replication(catalog.Write)
		if err != nil {
			return err
		}
		if v, err = h.Catalog.UpdateReplication(v.ID, catalog.ReplicationUpdate{Paused: &paused}); err != nil {
			return err
		}
		h.reply(w, r.Request, http.StatusOK, h.replicationOf(v))
		return nil
	}
}

// deadLetters is GET /api/holdfast/v1/replications/{id}/dead-letters. What was refused is what was written, so it
// takes the permission to read the bucket.
func (h *Handler) deadLetters(w http.ResponseWriter, r *request) error {
	v, err := r.replication(catalog.Read)
	if err != nil {
		return err
	}
	if err := r.allow(catalog.Read, catalog.BucketsType, v.OrgID, v.LocalBucketID); err != nil {
		return err
	}
	p, err := r.page(defaultLimit)
	if err != nil {
		return err
	}
	letters, total, err := h.Replications.DeadLetters(r.Context(), v.ID, p.offset, p.limit)
	if err != nil {
		return err
	}
	h.reply(w, r.Request, http.StatusOK, map[string]any{"links": p.links(r.URL, len(letters)), "total": total, "deadLetters": emptyList(letters)})
	return nil
}

// retryDeadLetters is POST /api/holdfast/v1/replications/{id}/dead-letters/retry with `{"ids":[..]}`; no ids mean all.
func (h *Handler) retryDeadLetters(w http.ResponseWriter, r *request) error {
	v, err := r.replication(catalog.Write)
	if err != nil {
		return err
	}
	var in struct {
		IDs []string `json:"ids"`
	}
	if r.ContentLength != 0 {
		if err := r.read(&in); err != nil {
			return err
		}
	}
	n, err := h.Replications.Retry(r.Context(), v.ID, in.IDs)
	if err != nil {
		return err
	}
	h.reply(w, r.Request, http.StatusOK, map[string]int{"retried": n})
	return nil
}
