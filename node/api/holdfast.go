package api

import (
	"net/http"
	"slices"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/catalog"
	"github.com/holdfast-telemetry/holdfast/node/replicate"
)

// own is where the paths are that InfluxDB does not have.
const own = "/api/holdfast/v1"

type bucketStatus struct {
	ID    id.ID  `json:"id"`
	OrgID id.ID  `json:"orgID"`
	Name  string `json:"name"`
	BucketStatus
}

// replicationStatus is how a replication is doing. Times are left out when there is nothing to tell.
type replicationStatus struct {
	ID            id.ID           `json:"id"`
	OrgID         id.ID           `json:"orgID"`
	Name          string          `json:"name"`
	LocalBucketID id.ID           `json:"localBucketID"`
	Paused        bool            `json:"paused"`
	State         replicate.State `json:"state"`
	Reason        string          `json:"reason,omitempty"`
	// LatestResponseCode is null before the first attempt and 0 when there was no answer.
	LatestResponseCode *int   `json:"latestResponseCode"`
	LatestErrorMessage string `json:"latestErrorMessage"`
	// QueueBytes are kept for this replication, RemainingBytes those of them that were not sent, QueueLimit is their bound.
	QueueBytes     int64     `json:"queueBytes"`
	RemainingBytes int64     `json:"remainingBytes"`
	QueueLimit     int64     `json:"queueLimit"`
	Position       uint64    `json:"position"`
	LastPosition   uint64    `json:"lastPosition"`
	LagSeconds     float64   `json:"lagSeconds"`
	OldestUnsent   time.Time `json:"oldestUnsent,omitzero"`
	// ETASeconds is how long the backlog will last, null when that cannot be said.
	ETASeconds  *float64           `json:"etaSeconds"`
	NextTry     time.Time          `json:"nextTry,omitzero"`
	LastSuccess time.Time          `json:"lastSuccess,omitzero"`
	LastRefusal *replicate.Refusal `json:"lastRefusal,omitempty"`
	OpenGaps    int                `json:"openGaps"`
	GapPoints   int64              `json:"gapPoints"`
	DeadLetters int                `json:"deadLetters"`
	Damage      string             `json:"damage,omitempty"`
	replicate.Counts
}

// statusOf returns the status of a replication; one that does not run has the state stopped.
func (h *Handler) statusOf(v catalog.Replication) replicationStatus {
	out := replicationStatus{ID: v.ID, OrgID: v.OrgID, Name: v.Name, LocalBucketID: v.LocalBucketID, Paused: v.Paused, State: replicate.Stopped}
	s, err := h.Replications.Status(v.ID)
	if err != nil {
		out.Reason = err.Error()
		return out
	}
	out.State, out.Reason, out.LatestErrorMessage = s.State, s.Reason, s.LatestErrorMessage
	if s.Attempted {
		out.LatestResponseCode = &s.LatestResponseCode
	}
	out.QueueBytes, out.RemainingBytes, out.QueueLimit = s.QueueBytes, s.RemainingBytes, s.QueueLimit
	out.Position, out.LastPosition = uint64(s.Position), uint64(s.LastPosition)
	out.LagSeconds, out.OldestUnsent = s.Lag.Seconds(), s.OldestUnsent
	if s.ETA >= 0 {
		eta := s.ETA.Seconds()
		out.ETASeconds = &eta
	}
	out.NextTry, out.LastSuccess, out.LastRefusal = s.NextTry, s.LastSuccess, s.LastRefusal
	out.OpenGaps, out.GapPoints, out.DeadLetters, out.Damage, out.Counts = s.OpenGaps, s.GapPoints, s.DeadLetters, s.Damage, s.Counts
	return out
}

// status is GET /api/holdfast/v1/status: the node, its buckets and its replications, as far as they may be read.
func (h *Handler) status(w http.ResponseWriter, r *request) error {
	buckets, err := h.Catalog.Buckets(0)
	if err != nil {
		return err
	}
	replications, err := h.Catalog.Replications(0)
	if err != nil {
		return err
	}
	if h.Configured != nil {
		replications = append(replications, h.Configured()...)
	}
	bs, rs := []bucketStatus{}, []replicationStatus{}
	for _, b := range buckets {
		if r.principal.Allows(catalog.Read, catalog.BucketsType, b.OrgID, b.ID) {
			s, _ := h.Engine.BucketStatus(b.ID)
			bs = append(bs, bucketStatus{b.ID, b.OrgID, b.Name, s})
		}
	}
	for _, v := range replications {
		if r.principal.Allows(catalog.Read, catalog.ReplicationsType, v.OrgID, v.ID) {
			rs = append(rs, h.statusOf(v))
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

// replicationStatus is GET replications/{id}.
func (h *Handler) replicationStatus(w http.ResponseWriter, r *request) error {
	v, err := r.running(catalog.Read)
	if err != nil {
		return err
	}
	h.reply(w, r.Request, http.StatusOK, h.statusOf(v))
	return nil
}

// setPaused is POST replications/{id}/pause and .../resume.
func (h *Handler) setPaused(paused bool) handlerFunc {
	return func(w http.ResponseWriter, r *request) error {
		v, err := r.replication(catalog.Write)
		if err != nil {
			return err
		}
		if v, err = h.Catalog.UpdateReplication(v.ID, catalog.ReplicationUpdate{Paused: &paused}); err != nil {
			return err
		}
		h.reply(w, r.Request, http.StatusOK, h.statusOf(v))
		return nil
	}
}

// deadLetter is a line that a remote refused for good.
type deadLetter struct {
	replicate.DeadLetter
	Line string `json:"line"`
}

// deadLetters is GET replications/{id}/dead-letters. What was refused is what was written, so it takes the permission to read
// the bucket.
func (h *Handler) deadLetters(w http.ResponseWriter, r *request) error {
	v, err := r.running(catalog.Read)
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
	all, err := h.Replications.DeadLetters(v.ID)
	if err != nil {
		return err
	}
	out := []deadLetter{}
	for _, l := range all[min(p.offset, len(all)):] {
		if len(out) < p.limit {
			out = append(out, deadLetter{l, string(l.Line)})
		}
	}
	h.reply(w, r.Request, http.StatusOK, map[string]any{"links": p.links(r.URL, len(out)), "total": len(all), "deadLetters": out})
	return nil
}

// letterIDs reads a body of `{"ids":[..]}`. None means all.
func (r *request) letterIDs() ([]int64, error) {
	var in struct {
		IDs []int64 `json:"ids"`
	}
	if r.ContentLength == 0 {
		return nil, nil
	}
	err := r.read(&in)
	return in.IDs, err
}

// retryDeadLetters is POST replications/{id}/dead-letters/retry. It is answered before they are sent.
func (h *Handler) retryDeadLetters(w http.ResponseWriter, r *request) error {
	v, err := r.running(catalog.Write)
	if err != nil {
		return err
	}
	ids, err := r.letterIDs()
	if err != nil {
		return err
	}
	if err := h.Replications.RetryDeadLetters(v.ID, ids...); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// purgeDeadLetters is POST replications/{id}/dead-letters/purge.
func (h *Handler) purgeDeadLetters(w http.ResponseWriter, r *request) error {
	v, err := r.running(catalog.Write)
	if err != nil {
		return err
	}
	ids, err := r.letterIDs()
	if err != nil {
		return err
	}
	n, err := h.Replications.PurgeDeadLetters(v.ID, ids...)
	if err != nil {
		return err
	}
	h.reply(w, r.Request, http.StatusOK, map[string]int{"purged": n})
	return nil
}

// gaps is GET replications/{id}/gaps.
func (h *Handler) gaps(w http.ResponseWriter, r *request) error {
	v, err := r.running(catalog.Read)
	if err != nil {
		return err
	}
	all, err := h.Replications.Gaps(v.ID)
	if err != nil {
		return err
	}
	h.reply(w, r.Request, http.StatusOK, map[string]any{"gaps": emptyList(all)})
	return nil
}

// fill is POST replications/{id}/fill with `{"gap":N}`.
func (h *Handler) fill(w http.ResponseWriter, r *request) error {
	v, err := r.running(catalog.Write)
	if err != nil {
		return err
	}
	var in struct{ Gap int }
	if err := r.read(&in); err != nil {
		return err
	}
	all, err := h.Replications.Gaps(v.ID)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(all, func(g replicate.Gap) bool { return g.ID == in.Gap }) {
		return failf(catalog.NotFound, "the replication has no gap %d", in.Gap)
	}
	if err := h.Replications.Fill(r.Context(), v.ID, in.Gap); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// resync is POST replications/{id}/resync with `{"start":RFC3339,"stop":RFC3339}`.
func (h *Handler) resync(w http.ResponseWriter, r *request) error {
	v, err := r.running(catalog.Write)
	if err != nil {
		return err
	}
	var in struct{ Start, Stop string }
	if err := r.read(&in); err != nil {
		return err
	}
	start, stop, err := timeRange(in.Start, in.Stop)
	if err != nil {
		return err
	}
	if err := h.Replications.Resync(r.Context(), v.ID, start, stop); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
