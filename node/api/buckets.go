package api

import (
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/catalog"
)

type retentionRule struct {
	Type                      string `json:"type"`
	EverySeconds              int64  `json:"everySeconds"`
	ShardGroupDurationSeconds int64  `json:"shardGroupDurationSeconds,omitempty"`
}

type bucket struct {
	ID              id.ID              `json:"id"`
	OrgID           id.ID              `json:"orgID"`
	Type            catalog.BucketType `json:"type"`
	Description     string             `json:"description,omitempty"`
	Name            string             `json:"name"`
	RetentionPolicy string             `json:"rp,omitempty"`
	RetentionRules  []retentionRule    `json:"retentionRules"`
	CreatedAt       time.Time          `json:"createdAt"`
	UpdatedAt       time.Time          `json:"updatedAt"`
	Links           links              `json:"links"`
	Labels          []string           `json:"labels"` // the node has no labels
}

func bucketOf(b catalog.Bucket) bucket {
	self := "/api/v2/buckets/" + b.ID.String()
	return bucket{ID: b.ID, OrgID: b.OrgID, Type: b.Type, Description: b.Description, Name: b.Name, RetentionPolicy: b.RetentionPolicy,
		RetentionRules: []retentionRule{{Type: "expire", EverySeconds: int64(b.Retention / time.Second),
			ShardGroupDurationSeconds: int64(b.ShardDuration / time.Second)}},
		CreatedAt: b.CreatedAt, UpdatedAt: b.UpdatedAt,
		Links: links{"self": self, "org": "/api/v2/orgs/" + b.OrgID.String(), "members": self + "/members", "owners": self + "/owners",
			"labels": self + "/labels", "write": "/api/v2/write?org=" + b.OrgID.String() + "&bucket=" + b.ID.String()},
		Labels: []string{}}
}

// seconds is a duration that the catalog can keep.
func seconds(n int64) (time.Duration, error) {
	if n > math.MaxInt64/int64(time.Second) {
		return 0, failf(catalog.Unprocessable, "a duration of %d seconds is too long; 0 means for ever", n)
	}
	return max(time.Duration(n)*time.Second, -time.Second), nil
}

// durations returns the retention and the partition's length of a bucket's rules, nil when there is no rule.
func durations(rules []retentionRule) (retention, shard *time.Duration, err error) {
	if len(rules) == 0 {
		return nil, nil, nil
	}
	if len(rules) > 1 {
		return nil, nil, failf(catalog.Unprocessable, "buckets cannot have more than one retention rule at this time")
	}
	every, err := seconds(rules[0].EverySeconds)
	if err != nil {
		return nil, nil, err
	}
	group, err := seconds(rules[0].ShardGroupDurationSeconds)
	return &every, &group, err
}

func (h *Handler) listBuckets(w http.ResponseWriter, r *request) error {
	p, err := r.page(defaultLimit)
	if err != nil {
		return err
	}
	all, err := h.findBuckets(r)
	if err != nil {
		return err
	}
	all, err = cut(p, all, func(b *catalog.Bucket) listed { return listed{b.ID, b.Name, b.CreatedAt, b.UpdatedAt} })
	if err != nil {
		return err
	}
	out := make([]bucket, len(all))
	for i := range all {
		out[i] = bucketOf(all[i])
	}
	h.reply(w, r.Request, http.StatusOK, map[string]any{"links": p.links(r.URL, len(out)), "buckets": out})
	return nil
}

// findBuckets returns the buckets that the request's filters leave and that may be read.
func (h *Handler) findBuckets(r *request) ([]catalog.Bucket, error) {
	var org id.ID
	if r.query("org") != "" || r.query("orgID") != "" {
		o, err := r.org()
		if err != nil {
			return nil, err
		}
		org = o.ID
	}
	wanted, err := r.queryID("id")
	if err != nil {
		return nil, err
	}
	all, err := h.Catalog.Buckets(org)
	if err != nil {
		return nil, err
	}
	name := r.query("name")
	all = slices.DeleteFunc(all, func(b catalog.Bucket) bool {
		return wanted != 0 && b.ID != wanted || name != "" && b.Name != name ||
			!r.principal.Allows(catalog.Read, catalog.BucketsType, b.OrgID, b.ID)
	})
	if len(all) == 0 && name != "" {
		return nil, failf(catalog.NotFound, "bucket %q not found", name)
	}
	if len(all) == 0 && wanted != 0 {
		return nil, failf(catalog.NotFound, "bucket not found")
	}
	return all, nil
}

func (h *Handler) createBucket(w http.ResponseWriter, r *request) error {
	var in struct {
		OrgID           id.ID           `json:"orgID"`
		Name            string          `json:"name"`
		Description     string          `json:"description"`
		RetentionPolicy string          `json:"rp"`
		RetentionRules  []retentionRule `json:"retentionRules"`
	}
	if err := r.read(&in); err != nil {
		return err
	}
	if in.OrgID == 0 {
		return failf(catalog.Invalid, "organization id must be provided")
	}
	if err := r.allow(catalog.Write, catalog.BucketsType, in.OrgID, 0); err != nil {
		return err
	}
	retention, shard, err := durations(in.RetentionRules)
	if err != nil {
		return err
	}
	b := catalog.Bucket{OrgID: in.OrgID, Name: in.Name, Description: in.Description, RetentionPolicy: in.RetentionPolicy}
	if retention != nil {
		b.Retention, b.ShardDuration = *retention, *shard
	}
	if b, err = h.Catalog.CreateBucket(b); err != nil {
		return err
	}
	h.reply(w, r.Request, http.StatusCreated, bucketOf(b))
	return nil
}

// bucket returns the bucket in the path when the principal may act on it.
func (r *request) bucket(a catalog.Action) (catalog.Bucket, error) {
	i, err := r.pathID()
	if err != nil {
		return catalog.Bucket{}, err
	}
	b, err := r.handler.Catalog.Bucket(i)
	if err != nil {
		return b, err
	}
	return b, r.allow(a, catalog.BucketsType, b.OrgID, b.ID)
}

func (h *Handler) getBucket(w http.ResponseWriter, r *request) error {
	b, err := r.bucket(catalog.Read)
	if err != nil {
		return err
	}
	h.reply(w, r.Request, http.StatusOK, bucketOf(b))
	return nil
}

func (h *Handler) updateBucket(w http.ResponseWriter, r *request) error {
	b, err := r.bucket(catalog.Write)
	if err != nil {
		return err
	}
	var in struct {
		Name           *string         `json:"name"`
		Description    *string         `json:"description"`
		RetentionRules []retentionRule `json:"retentionRules"`
	}
	if err := r.read(&in); err != nil {
		return err
	}
	retention, shard, err := durations(in.RetentionRules)
	if err != nil {
		return err
	}
	b, err = h.Catalog.UpdateBucket(b.ID, catalog.BucketUpdate{Name: in.Name, Description: in.Description, Retention: retention, ShardDuration: shard})
	if err != nil {
		return err
	}
	h.reply(w, r.Request, http.StatusOK, bucketOf(b))
	return nil
}

func (h *Handler) deleteBucket(w http.ResponseWriter, r *request) error {
	b, err := r.bucket(catalog.Write)
	if err != nil {
		return err
	}
	if err := h.Catalog.DeleteBucket(b.ID); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *Handler) bucketLabels(w http.ResponseWriter, r *request) error {
	b, err := r.bucket(catalog.Read)
	if err != nil {
		return err
	}
	h.reply(w, r.Request, http.StatusOK, map[string]any{"labels": []string{}, "links": links{"self": "/api/v2/buckets/" + b.ID.String() + "/labels"}})
	return nil
}
