package catalog

import (
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/replicate"
)

// Bounds of MaxAgeSeconds.
const (
	minAge = int64(replicate.MinAge / time.Second)
	maxAge = int64(replicate.MaxAge / time.Second)
)

// Replication sends what is written to a local bucket to a bucket of a remote.
type Replication struct {
	ID            id.ID  `json:"id"`
	OrgID         id.ID  `json:"orgID"`
	Name          string `json:"name"`
	Description   string `json:"description,omitempty"`
	RemoteID      id.ID  `json:"remoteID"`
	LocalBucketID id.ID  `json:"localBucketID"`
	// One of RemoteBucketID and RemoteBucketName is set.
	RemoteBucketID   id.ID  `json:"remoteBucketID,omitzero"`
	RemoteBucketName string `json:"remoteBucketName,omitempty"`
	// MaxQueueSizeBytes is how much unsent journal the replication may hold back.
	MaxQueueSizeBytes int64 `json:"maxQueueSizeBytes"`
	// MaxAgeSeconds is the age at which unsent points are given up; 0 means 7 days.
	MaxAgeSeconds        int64 `json:"maxAgeSeconds"`
	DropNonRetryableData bool  `json:"dropNonRetryableData"`
	Paused               bool  `json:"paused"`
	// BytesPerSecond bounds what is sent; 0 means no bound.
	BytesPerSecond int64           `json:"bytesPerSecond"`
	Order          replicate.Order `json:"order"`
	// Backfill tells that what the bucket held when the replication was made is sent too.
	Backfill  bool      `json:"backfill"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// ReplicationUpdate changes what is not nil. Setting one of the two bucket targets clears the other.
type ReplicationUpdate struct {
	Name, Description    *string
	RemoteID             *id.ID
	RemoteBucketID       *id.ID
	RemoteBucketName     *string
	MaxQueueSizeBytes    *int64
	MaxAgeSeconds        *int64
	DropNonRetryableData *bool
	Paused               *bool
	BytesPerSecond       *int64
	Order                *replicate.Order
}

var replications = table[Replication]{
	name:    "replications",
	id:      func(r *Replication) id.ID { return r.ID },
	unique:  func(r *Replication) string { return within(r.OrgID, r.Name) },
	missing: "replication not found",
	taken:   func(r *Replication) error { return Errorf(Conflict, "replication with name %s already exists", r.Name) },
}

// complete fills in defaults and checks r and what it refers to.
func (r *Replication) complete(tx *bolt.Tx) error {
	if r.RemoteBucketID != 0 {
		r.RemoteBucketName = ""
	}
	if r.MaxQueueSizeBytes == 0 {
		r.MaxQueueSizeBytes = replicate.DefaultQueueBytes
	}
	if r.Order == "" {
		r.Order = replicate.OldestFirst
	}
	if err := checkName("replication", r.Name); err != nil {
		return err
	}
	switch {
	case r.RemoteBucketID == 0 && r.RemoteBucketName == "":
		return Errorf(Invalid, "one of remote_bucket_id, remote_bucket_name should be provided")
	case r.MaxQueueSizeBytes < replicate.MinQueueBytes:
		return Errorf(Invalid, "maxQueueSize too small, must be at least %d", replicate.MinQueueBytes)
	case r.MaxAgeSeconds != 0 && (r.MaxAgeSeconds < minAge || r.MaxAgeSeconds > maxAge):
		return Errorf(Invalid, "maxAgeSeconds must be 0 (7 days) or from %d to %d", minAge, maxAge)
	case r.BytesPerSecond < 0:
		return Errorf(Invalid, "bytesPerSecond must not be negative")
	case r.Order != replicate.OldestFirst && r.Order != replicate.NewestFirst:
		return Errorf(Invalid, "unknown order %q: it is %s or %s", r.Order, replicate.OldestFirst, replicate.NewestFirst)
	}
	if remote, err := remotes.get(tx, r.RemoteID); err != nil || remote.OrgID != r.OrgID {
		return notThere(err, "remote %q not found", r.RemoteID)
	}
	if bucket, err := buckets.get(tx, r.LocalBucketID); err != nil || bucket.OrgID != r.OrgID {
		return notThere(err, "local bucket %q not found", r.LocalBucketID)
	}
	return nil
}

// notThere is Invalid with the text for what is not there, and err for what could not be read.
func notThere(err error, format string, i id.ID) error {
	if err != nil && CodeOf(err) != NotFound {
		return err
	}
	return Errorf(Invalid, format, i.String())
}

// CheckReplication returns r with its defaults, or what CreateReplication would say is wrong with it.
func (c *Catalog) CheckReplication(r Replication) (Replication, error) {
	err := c.view(func(tx *bolt.Tx) error { return r.complete(tx) })
	return r, err
}

// CreateReplication makes a replication.
func (c *Catalog) CreateReplication(r Replication) (Replication, error) {
	r.ID = id.New()
	err := c.update(func(t *change) error {
		if err := r.complete(t.Tx); err != nil {
			return err
		}
		r.CreatedAt, r.UpdatedAt = t.now, t.now
		t.tell(ReplicationsType, r.ID, Created)
		return replications.put(t.Tx, &r)
	})
	return r, err
}

// Replication returns a replication.
func (c *Catalog) Replication(i id.ID) (r Replication, err error) {
	err = c.view(func(tx *bolt.Tx) error { r, err = replications.get(tx, i); return err })
	return r, err
}

// Replications returns the replications of an organisation, or of all when org is 0, oldest first.
func (c *Catalog) Replications(org id.ID) (out []Replication, err error) {
	err = c.view(func(tx *bolt.Tx) error {
		out, err = replications.list(tx, func(r *Replication) bool { return org == 0 || r.OrgID == org })
		return err
	})
	sortBy(out, func(r *Replication) (time.Time, id.ID) { return r.CreatedAt, r.ID })
	return out, err
}

// Applied returns r as u makes it, unchecked.
func (u ReplicationUpdate) Applied(r Replication) Replication {
	set(&r.Name, u.Name)
	set(&r.Description, u.Description)
	set(&r.RemoteID, u.RemoteID)
	if u.RemoteBucketName != nil {
		r.RemoteBucketName, r.RemoteBucketID = *u.RemoteBucketName, 0
	}
	if u.RemoteBucketID != nil {
		r.RemoteBucketID, r.RemoteBucketName = *u.RemoteBucketID, ""
	}
	set(&r.MaxQueueSizeBytes, u.MaxQueueSizeBytes)
	set(&r.MaxAgeSeconds, u.MaxAgeSeconds)
	set(&r.DropNonRetryableData, u.DropNonRetryableData)
	set(&r.Paused, u.Paused)
	set(&r.BytesPerSecond, u.BytesPerSecond)
	set(&r.Order, u.Order)
	return r
}

// UpdateReplication changes a replication.
func (c *Catalog) UpdateReplication(i id.ID, u ReplicationUpdate) (r Replication, err error) {
	err = c.update(func(t *change) error {
		if r, err = replications.get(t.Tx, i); err != nil {
			return err
		}
		r = u.Applied(r)
		r.UpdatedAt = t.now
		if err := r.complete(t.Tx); err != nil {
			return err
		}
		t.tell(ReplicationsType, i, Updated)
		return replications.put(t.Tx, &r)
	})
	return r, err
}

// Spec returns r as the sender takes it, with the address and the token of its remote.
func (c *Catalog) Spec(r Replication) (replicate.Spec, error) {
	to, err := c.Remote(r.RemoteID)
	if err != nil {
		return replicate.Spec{}, err
	}
	token, err := c.RemoteToken(to.ID)
	if err != nil {
		return replicate.Spec{}, err
	}
	return replicate.Spec{
		ID: r.ID, Name: r.Name, Bucket: r.LocalBucketID,
		Remote:         replicate.Remote{URL: to.URL, Token: token, OrgID: to.RemoteOrgID.String(), InsecureTLS: to.AllowInsecureTLS},
		RemoteBucketID: r.RemoteBucketID.String(), RemoteBucketName: r.RemoteBucketName,
		MaxQueueBytes: r.MaxQueueSizeBytes, MaxAge: time.Duration(r.MaxAgeSeconds) * time.Second,
		DropNonRetryable: r.DropNonRetryableData, Paused: r.Paused, Order: r.Order, Backfill: r.Backfill, BytesPerSecond: r.BytesPerSecond,
	}, nil
}

// DeleteReplication removes a replication.
func (c *Catalog) DeleteReplication(i id.ID) error {
	return c.update(func(t *change) error {
		r, err := replications.get(t.Tx, i)
		if err != nil {
			return err
		}
		t.tell(ReplicationsType, i, Deleted)
		return replications.remove(t.Tx, &r)
	})
}
