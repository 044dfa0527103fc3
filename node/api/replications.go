package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/catalog"
	"github.com/holdfast-telemetry/holdfast/node/replicate"
)

type replication struct {
	ID             id.ID  `json:"id"`
	OrgID          id.ID  `json:"orgID"`
	Name           string `json:"name"`
	Description    string `json:"description,omitempty"`
	RemoteID       id.ID  `json:"remoteID"`
	LocalBucketID  id.ID  `json:"localBucketID"`
	RemoteBucketID id.ID  `json:"remoteBucketID,omitzero"`
	// RemoteBucketName is written twice: InfluxDB 2 writes the key with a capital, its documentation without.
	RemoteBucketName      string `json:"remoteBucketName"`
	RemoteBucketNameAgain string `json:"RemoteBucketName"`
	// CurrentQueueSizeBytes and the three after it are the running replication's.
	MaxQueueSizeBytes        int64           `json:"maxQueueSizeBytes"`
	CurrentQueueSizeBytes    int64           `json:"currentQueueSizeBytes"`
	RemainingBytesToBeSynced int64           `json:"remainingBytesToBeSynced"`
	LatestResponseCode       *int            `json:"latestResponseCode,omitempty"`
	LatestErrorMessage       *string         `json:"latestErrorMessage,omitempty"`
	DropNonRetryableData     bool            `json:"dropNonRetryableData"`
	MaxAgeSeconds            int64           `json:"maxAgeSeconds"`
	Paused                   bool            `json:"paused"`
	BytesPerSecond           int64           `json:"bytesPerSecond"`
	Order                    replicate.Order `json:"order"`
	Backfill                 bool            `json:"backfill"`
}

func (h *Handler) replicationOf(r catalog.Replication) replication {
	out := replication{ID: r.ID, OrgID: r.OrgID, Name: r.Name, Description: r.Description, RemoteID: r.RemoteID, LocalBucketID: r.LocalBucketID,
		RemoteBucketID: r.RemoteBucketID, RemoteBucketName: r.RemoteBucketName, RemoteBucketNameAgain: r.RemoteBucketName,
		MaxQueueSizeBytes:    r.MaxQueueSizeBytes,
		DropNonRetryableData: r.DropNonRetryableData, MaxAgeSeconds: r.MaxAgeSeconds, Paused: r.Paused, BytesPerSecond: r.BytesPerSecond,
		Order: r.Order, Backfill: r.Backfill}
	s, err := h.Replications.Status(r.ID)
	if err != nil {
		return out // it does not run: there is nothing to tell
	}
	out.CurrentQueueSizeBytes, out.RemainingBytesToBeSynced = s.QueueBytes, s.RemainingBytes
	if s.Attempted {
		out.LatestResponseCode, out.LatestErrorMessage = &s.LatestResponseCode, &s.LatestErrorMessage
	}
	return out
}

func (h *Handler) listReplications(w http.ResponseWriter, r *request) error {
	org, err := r.requiredOrgID()
	if err != nil {
		return err
	}
	remoteID, err := r.queryID("remoteID")
	if err != nil {
		return err
	}
	bucket, err := r.queryID("localBucketID")
	if err != nil {
		return err
	}
	all, err := h.Catalog.Replications(org)
	if err != nil {
		return err
	}
	name := r.query("name")
	all = slices.DeleteFunc(all, func(v catalog.Replication) bool {
		return name != "" && v.Name != name || remoteID != 0 && v.RemoteID != remoteID || bucket != 0 && v.LocalBucketID != bucket ||
			!r.principal.Allows(catalog.Read, catalog.ReplicationsType, org, v.ID)
	})
	out := make([]replication, len(all))
	for i := range all {
		out[i] = h.replicationOf(all[i])
	}
	h.reply(w, r.Request, http.StatusOK, map[string]any{"replications": out})
	return nil
}

// validating reports whether the request only asks whether it would be good.
func (r *request) validating() bool { return r.query("validate") == "true" }

// validate tries the target of a replication with an empty write.
func (h *Handler) validate(r *request, v catalog.Replication) error {
	spec, err := h.Catalog.Spec(v)
	if err != nil {
		return err
	}
	if err := h.Replications.Validate(r.Context(), spec); err != nil {
		return failf(catalog.Invalid, "replication failed validation: %v", err)
	}
	return nil
}

func (h *Handler) createReplication(w http.ResponseWriter, r *request) error {
	var in struct {
		OrgID                id.ID           `json:"orgID"`
		Name                 string          `json:"name"`
		Description          string          `json:"description"`
		RemoteID             id.ID           `json:"remoteID"`
		LocalBucketID        id.ID           `json:"localBucketID"`
		RemoteBucketID       id.ID           `json:"remoteBucketID"`
		RemoteBucketName     string          `json:"remoteBucketName"`
		MaxQueueSizeBytes    int64           `json:"maxQueueSizeBytes"`
		MaxAgeSeconds        int64           `json:"maxAgeSeconds"`
		DropNonRetryableData bool            `json:"dropNonRetryableData"`
		Paused               bool            `json:"paused"`
		BytesPerSecond       int64           `json:"bytesPerSecond"`
		Order                replicate.Order `json:"order"`
		Backfill             bool            `json:"backfill"`
	}
	if err := r.read(&in); err != nil {
		return err
	}
	if in.OrgID == 0 {
		return failf(catalog.Invalid, "invalid or missing org ID")
	}
	if err := r.allowReplication(in.OrgID, 0, in.LocalBucketID, in.RemoteID); err != nil {
		return err
	}
	v, err := h.Catalog.CheckReplication(catalog.Replication{OrgID: in.OrgID, Name: in.Name, Description: in.Description, RemoteID: in.RemoteID,
		LocalBucketID: in.LocalBucketID, RemoteBucketID: in.RemoteBucketID, RemoteBucketName: in.RemoteBucketName,
		MaxQueueSizeBytes: in.MaxQueueSizeBytes, MaxAgeSeconds: in.MaxAgeSeconds, DropNonRetryableData: in.DropNonRetryableData,
		Paused: in.Paused, BytesPerSecond: in.BytesPerSecond, Order: in.Order, Backfill: in.Backfill})
	if err != nil {
		return err
	}
	if r.validating() {
		return h.replyValid(w, r, v)
	}
	if v, err = h.Catalog.CreateReplication(v); err != nil {
		return err
	}
	h.reply(w, r.Request, http.StatusCreated, h.replicationOf(v))
	return nil
}

// allowReplication asks for what a replication needs: it reads a bucket and uses a remote's token.
func (r *request) allowReplication(org, i, bucket, remote id.ID) error {
	if err := r.allow(catalog.Write, catalog.ReplicationsType, org, i); err != nil {
		return err
	}
	if err := r.allow(catalog.Read, catalog.BucketsType, org, bucket); err != nil {
		return err
	}
	return r.allow(catalog.Read, catalog.RemotesType, org, remote)
}

func (h *Handler) replyValid(w http.ResponseWriter, r *request, v catalog.Replication) error {
	if err := h.validate(r, v); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// replication returns the replication in the path when the principal may act on it.
func (r *request) replication(a catalog.Action) (catalog.Replication, error) {
	i, err := r.pathID()
	if err != nil {
		return catalog.Replication{}, failf(catalog.Invalid, "replication ID is invalid")
	}
	v, err := r.handler.Catalog.Replication(i)
	if err != nil {
		return v, err
	}
	return v, r.allow(a, catalog.ReplicationsType, v.OrgID, v.ID)
}

// running is replication, or one of the configuration.
func (r *request) running(a catalog.Action) (catalog.Replication, error) {
	v, err := r.replication(a)
	if catalog.CodeOf(err) != catalog.NotFound || r.handler.Configured == nil {
		return v, err
	}
	for _, c := range r.handler.Configured() {
		if c.ID.String() == strings.ToLower(r.PathValue("id")) {
			return c, r.allow(a, catalog.ReplicationsType, c.OrgID, c.ID)
		}
	}
	return v, err
}

func (h *Handler) getReplication(w http.ResponseWriter, r *request) error {
	v, err := r.replication(catalog.Read)
	if err != nil {
		return err
	}
	h.reply(w, r.Request, http.StatusOK, h.replicationOf(v))
	return nil
}

func (h *Handler) updateReplication(w http.ResponseWriter, r *request) error {
	v, err := r.replication(catalog.Write)
	if err != nil {
		return err
	}
	var in struct {
		Name                 *string          `json:"name"`
		Description          nullable[string] `json:"description"`
		RemoteID             *id.ID           `json:"remoteID"`
		RemoteBucketID       *id.ID           `json:"remoteBucketID"`
		RemoteBucketName     *string          `json:"remoteBucketName"`
		MaxQueueSizeBytes    *int64           `json:"maxQueueSizeBytes"`
		MaxAgeSeconds        *int64           `json:"maxAgeSeconds"`
		DropNonRetryableData *bool            `json:"dropNonRetryableData"`
		Paused               *bool            `json:"paused"`
		BytesPerSecond       *int64           `json:"bytesPerSecond"`
		Order                *replicate.Order `json:"order"`
	}
	if err := r.read(&in); err != nil {
		return err
	}
	u := catalog.ReplicationUpdate{Name: in.Name, Description: in.Description.change(), RemoteID: in.RemoteID, RemoteBucketID: in.RemoteBucketID,
		RemoteBucketName: in.RemoteBucketName, MaxQueueSizeBytes: in.MaxQueueSizeBytes, MaxAgeSeconds: in.MaxAgeSeconds,
		DropNonRetryableData: in.DropNonRetryableData, Paused: in.Paused, BytesPerSecond: in.BytesPerSecond, Order: in.Order}
	would, err := h.Catalog.CheckReplication(u.Applied(v))
	if err != nil {
		return err
	}
	if err := r.allow(catalog.Read, catalog.RemotesType, would.OrgID, would.RemoteID); err != nil {
		return err
	}
	if r.validating() {
		return h.replyValid(w, r, would)
	}
	if v, err = h.Catalog.UpdateReplication(v.ID, u); err != nil {
		return err
	}
	h.reply(w, r.Request, http.StatusOK, h.replicationOf(v))
	return nil
}

func (h *Handler) deleteReplication(w http.ResponseWriter, r *request) error {
	v, err := r.replication(catalog.Write)
	if err != nil {
		return err
	}
	if err := h.Catalog.DeleteReplication(v.ID); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *Handler) validateReplication(w http.ResponseWriter, r *request) error {
	v, err := r.replication(catalog.Read)
	if err != nil {
		return err
	}
	return h.replyValid(w, r, v)
}
