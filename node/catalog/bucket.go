package catalog

import (
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/holdfast-telemetry/holdfast/internal/id"
)

// BucketType tells who a bucket is for.
type BucketType string

// The two types. A system bucket cannot be renamed or deleted.
const (
	UserBucket   BucketType = "user"
	SystemBucket BucketType = "system"
)

// Bucket is where points are kept.
type Bucket struct {
	ID              id.ID      `json:"id"`
	OrgID           id.ID      `json:"orgID"`
	Type            BucketType `json:"type"`
	Name            string     `json:"name"`
	Description     string     `json:"description,omitempty"`
	RetentionPolicy string     `json:"rp,omitempty"`
	// Retention is the age at which points are dropped; 0 means never.
	Retention time.Duration `json:"retention"`
	// ShardDuration is the time range of one partition.
	ShardDuration time.Duration `json:"shardDuration"`
	CreatedAt     time.Time     `json:"createdAt"`
	UpdatedAt     time.Time     `json:"updatedAt"`
}

// BucketUpdate changes what is not nil. A new Retention without a ShardDuration sets the default one for it.
type BucketUpdate struct {
	Name, Description        *string
	Retention, ShardDuration *time.Duration
}

var buckets = table[Bucket]{
	name:    "buckets",
	id:      func(b *Bucket) id.ID { return b.ID },
	unique:  func(b *Bucket) string { return within(b.OrgID, b.Name) },
	missing: "bucket not found",
	taken:   func(b *Bucket) error { return Errorf(Conflict, "bucket with name %s already exists", b.Name) },
}

const day = 24 * time.Hour

var systemBuckets = []struct {
	name, description string
	retention         time.Duration
}{
	{"_tasks", "System bucket for task logs", 3 * day},
	{"_monitoring", "System bucket for monitoring logs", 7 * day},
}

// DefaultShardDuration returns the partition's time range for a retention.
func DefaultShardDuration(retention time.Duration) time.Duration {
	switch {
	case retention == 0 || retention >= 180*day:
		return 7 * day
	case retention >= 2*day:
		return day
	}
	return time.Hour
}

func (b *Bucket) check() error {
	if err := checkName("bucket", b.Name); err != nil {
		return err
	}
	if b.Type == UserBucket && strings.HasPrefix(b.Name, "_") {
		return Errorf(Invalid, "bucket name %s is invalid. Buckets may not start with underscore", b.Name)
	}
	if strings.Contains(b.Name, `"`) {
		return Errorf(Invalid, "bucket name %s is invalid. Bucket names may not include quotation marks", b.Name)
	}
	switch {
	case b.Retention < 0:
		return Errorf(Unprocessable, "expiration seconds cannot be negative")
	case b.Retention != 0 && b.Retention < time.Hour:
		return Errorf(Unprocessable, "retention policy duration must be at least 1h0m0s")
	case b.ShardDuration < 0:
		return Errorf(Unprocessable, "shard-group duration seconds cannot be negative")
	case b.ShardDuration != 0 && b.ShardDuration < time.Hour:
		return Errorf(Unprocessable, "shard-group duration must be at least 1h0m0s")
	case b.Retention != 0 && b.ShardDuration > b.Retention:
		return Errorf(Unprocessable, "retention policy duration must be greater than the shard duration")
	}
	return nil
}

// CreateBucket makes a user bucket from OrgID, Name, Description, RetentionPolicy, Retention and ShardDuration (0 means the
// default one) and returns it whole.
func (c *Catalog) CreateBucket(b Bucket) (Bucket, error) {
	b.ID, b.Type = id.New(), UserBucket
	err := c.update(func(t *change) error {
		if _, err := orgs.get(t.Tx, b.OrgID); err != nil {
			return err
		}
		return createBucket(t, &b)
	})
	return b, err
}

func createBucket(t *change, b *Bucket) error {
	if err := b.check(); err != nil {
		return err
	}
	if b.ShardDuration == 0 {
		b.ShardDuration = DefaultShardDuration(b.Retention)
	}
	b.CreatedAt, b.UpdatedAt = t.now, t.now
	t.tell(BucketsType, b.ID, Created)
	return buckets.put(t.Tx, b)
}

// Bucket returns a bucket by its identifier.
func (c *Catalog) Bucket(i id.ID) (b Bucket, err error) {
	err = c.view(func(tx *bolt.Tx) error { b, err = buckets.get(tx, i); return err })
	return b, err
}

// ResolveBucket returns the bucket of an organisation that is written as an identifier or, when no bucket has that, as a name.
func (c *Catalog) ResolveBucket(org id.ID, idOrName string) (Bucket, error) {
	in := func(m *memory) map[bucketName]Bucket { return m.buckets }
	return recall(&c.memory, in, bucketName{org, idOrName}, func() (b Bucket, err error) {
		err = c.view(func(tx *bolt.Tx) error {
			if i, bad := id.Parse(idOrName); bad == nil {
				if b, err = buckets.get(tx, i); err == nil && b.OrgID == org {
					return nil
				}
			}
			b, err = buckets.find(tx, within(org, idOrName))
			return err
		})
		return b, err
	})
}

// Buckets returns the buckets of an organisation, or of all when org is 0, oldest first.
func (c *Catalog) Buckets(org id.ID) (out []Bucket, err error) {
	err = c.view(func(tx *bolt.Tx) error {
		out, err = buckets.list(tx, func(b *Bucket) bool { return org == 0 || b.OrgID == org })
		return err
	})
	sortBy(out, func(b *Bucket) (time.Time, id.ID) { return b.CreatedAt, b.ID })
	return out, err
}

// UpdateBucket changes a bucket.
func (c *Catalog) UpdateBucket(i id.ID, u BucketUpdate) (b Bucket, err error) {
	err = c.update(func(t *change) error {
		if b, err = buckets.get(t.Tx, i); err != nil {
			return err
		}
		if b.Type == SystemBucket && u.Name != nil && *u.Name != b.Name {
			return Errorf(Invalid, "system buckets cannot be renamed")
		}
		set(&b.Name, u.Name)
		set(&b.Description, u.Description)
		if u.Retention != nil {
			b.Retention = *u.Retention
			b.ShardDuration = DefaultShardDuration(b.Retention)
		}
		if u.ShardDuration != nil && *u.ShardDuration != 0 {
			b.ShardDuration = *u.ShardDuration
		}
		b.UpdatedAt = t.now
		if err := b.check(); err != nil {
			return err
		}
		t.tell(BucketsType, b.ID, Updated)
		return buckets.put(t.Tx, &b)
	})
	return b, err
}

// DeleteBucket removes a bucket with its mappings and replications, in one transaction.
func (c *Catalog) DeleteBucket(i id.ID) error {
	return c.update(func(t *change) error {
		b, err := buckets.get(t.Tx, i)
		if err != nil {
			return err
		}
		if b.Type == SystemBucket {
			return Errorf(Invalid, "system buckets cannot be deleted")
		}
		if err := removeAll(t, replications, func(r *Replication) bool { return r.LocalBucketID == i }, ReplicationsType); err != nil {
			return err
		}
		mapped, err := dbrps.list(t.Tx, func(d *DBRP) bool { return d.BucketID == i })
		if err != nil {
			return err
		}
		for _, d := range mapped {
			if err := removeDBRP(t.Tx, d); err != nil {
				return err
			}
		}
		t.tell(BucketsType, i, Deleted)
		return buckets.remove(t.Tx, &b)
	})
}
