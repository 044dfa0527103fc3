package catalog

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/holdfast-telemetry/holdfast/internal/id"
)

// DBRP maps a database and retention policy of the v1 API to a bucket. A virtual mapping follows from a bucket's name and
// is not kept: bucket B is database B with policy autogen, bucket B/R is database B with policy R. Its ID is the bucket's.
type DBRP struct {
	ID              id.ID  `json:"id"`
	Database        string `json:"database"`
	RetentionPolicy string `json:"retention_policy"`
	Default         bool   `json:"default"`
	Virtual         bool   `json:"virtual"`
	OrgID           id.ID  `json:"orgID"`
	BucketID        id.ID  `json:"bucketID"`
}

// DBRPUpdate changes what is not nil.
type DBRPUpdate struct {
	RetentionPolicy *string
	Default         *bool
}

// Autogen is the retention policy that a bucket is whose name has no other.
const Autogen = "autogen"

var dbrpName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,512}$`)

var dbrps = table[DBRP]{
	name:    "dbrps",
	id:      func(d *DBRP) id.ID { return d.ID },
	unique:  func(d *DBRP) string { return within(d.OrgID, d.Database+"\x00"+d.RetentionPolicy) },
	missing: "unable to find DBRP",
	taken: func(d *DBRP) error {
		return Errorf(Conflict, "DBRP mapping of database %q and retention policy %q already exists", d.Database, d.RetentionPolicy)
	},
}

func (d *DBRP) check() error {
	if !dbrpName.MatchString(d.Database) {
		return Errorf(Invalid, "invalid database name %q: letters, digits, _ - . are allowed", d.Database)
	}
	if !dbrpName.MatchString(d.RetentionPolicy) {
		return Errorf(Invalid, "invalid retention policy name %q: letters, digits, _ - . are allowed", d.RetentionPolicy)
	}
	return nil
}

// CreateDBRP makes a mapping from Database, RetentionPolicy, OrgID, BucketID and Default. The first mapping of a database is its
// default whatever Default says; a later one with Default takes that over.
func (c *Catalog) CreateDBRP(d DBRP) (DBRP, error) {
	d.ID, d.Virtual = id.New(), false
	err := c.update(func(t *change) error {
		if err := d.check(); err != nil {
			return err
		}
		b, err := buckets.get(t.Tx, d.BucketID)
		if err != nil {
			return err
		}
		if b.OrgID != d.OrgID {
			return Errorf(Invalid, "bucket %s does not belong to organization %s", d.BucketID, d.OrgID)
		}
		siblings, err := siblingsOf(t.Tx, d)
		if err != nil {
			return err
		}
		if len(siblings) == 0 {
			d.Default = true
		}
		if err := dbrps.put(t.Tx, &d); err != nil {
			return err
		}
		return onlyDefault(t.Tx, d, siblings)
	})
	return d, err
}

// siblingsOf returns the other kept mappings of d's database.
func siblingsOf(tx *bolt.Tx, d DBRP) ([]DBRP, error) {
	return dbrps.list(tx, func(s *DBRP) bool { return s.OrgID == d.OrgID && s.Database == d.Database && s.ID != d.ID })
}

// onlyDefault makes the siblings of a default mapping no defaults.
func onlyDefault(tx *bolt.Tx, d DBRP, siblings []DBRP) error {
	for i := range siblings {
		if d.Default && siblings[i].Default {
			siblings[i].Default = false
			if err := dbrps.put(tx, &siblings[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// DBRPs returns the mappings of an organisation, kept and virtual, sorted by database and retention policy.
func (c *Catalog) DBRPs(org id.ID) (out []DBRP, err error) {
	err = c.view(func(tx *bolt.Tx) error { out, err = listDBRPs(tx, org); return err })
	return out, err
}

func listDBRPs(tx *bolt.Tx, org id.ID) ([]DBRP, error) {
	out, err := dbrps.list(tx, func(d *DBRP) bool { return d.OrgID == org })
	if err != nil {
		return nil, err
	}
	pairs, defaults := map[[2]string]bool{}, map[string]bool{}
	for _, d := range out {
		pairs[[2]string{d.Database, d.RetentionPolicy}] = true
		defaults[d.Database] = defaults[d.Database] || d.Default
	}
	owned, err := buckets.list(tx, func(b *Bucket) bool { return b.OrgID == org })
	if err != nil {
		return nil, err
	}
	// The plain name wins over "name/autogen", which means the same pair.
	slices.SortFunc(owned, func(a, b Bucket) int { return cmp.Compare(a.Name, b.Name) })
	for _, b := range owned {
		d := virtualDBRP(b)
		if pair := [2]string{d.Database, d.RetentionPolicy}; !pairs[pair] {
			pairs[pair] = true
			d.Default = d.Default && !defaults[d.Database]
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b DBRP) int {
		return cmp.Or(cmp.Compare(a.Database, b.Database), cmp.Compare(a.RetentionPolicy, b.RetentionPolicy))
	})
	return out, nil
}

func virtualDBRP(b Bucket) DBRP {
	database, policy, split := strings.Cut(b.Name, "/")
	if !split {
		policy = Autogen
	}
	return DBRP{ID: b.ID, Database: database, RetentionPolicy: policy, Default: !split, Virtual: true, OrgID: b.OrgID, BucketID: b.ID}
}

// DBRP returns a mapping of an organisation, kept or virtual.
func (c *Catalog) DBRP(org, i id.ID) (DBRP, error) {
	all, err := c.DBRPs(org)
	if err != nil {
		return DBRP{}, err
	}
	for _, d := range all {
		if d.ID == i {
			return d, nil
		}
	}
	return DBRP{}, Errorf(NotFound, "%s", dbrps.missing)
}

// ResolveDBRP returns the bucket of a database and retention policy; an empty policy means the database's default.
func (c *Catalog) ResolveDBRP(org id.ID, database, policy string) (Bucket, error) {
	in := func(m *memory) map[mappingName]Bucket { return m.mappings }
	return recall(&c.memory, in, mappingName{org, database, policy}, func() (b Bucket, err error) {
		err = c.view(func(tx *bolt.Tx) error {
			all, err := listDBRPs(tx, org)
			if err != nil {
				return err
			}
			for _, d := range all {
				if d.Database == database && (d.RetentionPolicy == policy || policy == "" && d.Default) {
					b, err = buckets.get(tx, d.BucketID)
					return err
				}
			}
			return Errorf(NotFound, "no dbrp mapping found")
		})
		return b, err
	})
}

// UpdateDBRP changes a kept mapping. A database always has one default: it moves, it cannot be taken away.
func (c *Catalog) UpdateDBRP(org, i id.ID, u DBRPUpdate) (d DBRP, err error) {
	err = c.update(func(t *change) error {
		if d, err = keptDBRP(t.Tx, org, i); err != nil {
			return err
		}
		if d.Default && u.Default != nil && !*u.Default {
			return Errorf(Invalid, "database %q needs a default mapping: make another mapping the default instead", d.Database)
		}
		set(&d.RetentionPolicy, u.RetentionPolicy)
		set(&d.Default, u.Default)
		if err := d.check(); err != nil {
			return err
		}
		siblings, err := siblingsOf(t.Tx, d)
		if err != nil {
			return err
		}
		if err := dbrps.put(t.Tx, &d); err != nil {
			return err
		}
		return onlyDefault(t.Tx, d, siblings)
	})
	return d, err
}

// keptDBRP returns the mapping to change, with an error that tells a virtual one from none.
func keptDBRP(tx *bolt.Tx, org, i id.ID) (DBRP, error) {
	d, err := dbrps.get(tx, i)
	if err == nil && d.OrgID == org {
		return d, nil
	}
	if b, missing := buckets.get(tx, i); missing == nil && b.OrgID == org {
		return DBRP{}, Errorf(Invalid, "mapping %s is virtual: it follows from the name of bucket %q and cannot be changed", i, b.Name)
	}
	return DBRP{}, Errorf(NotFound, "%s", dbrps.missing)
}

// DeleteDBRP removes a kept mapping. When it was its database's default, another one becomes it.
func (c *Catalog) DeleteDBRP(org, i id.ID) error {
	return c.update(func(t *change) error {
		d, err := keptDBRP(t.Tx, org, i)
		if err != nil {
			return err
		}
		return removeDBRP(t.Tx, d)
	})
}

func removeDBRP(tx *bolt.Tx, d DBRP) error {
	// What was read before may have become the default since.
	d, err := dbrps.get(tx, d.ID)
	if err != nil {
		return err
	}
	if err := dbrps.remove(tx, &d); err != nil || !d.Default {
		return err
	}
	siblings, err := siblingsOf(tx, d)
	if err != nil || len(siblings) == 0 {
		return err
	}
	slices.SortFunc(siblings, func(a, b DBRP) int { return cmp.Compare(a.RetentionPolicy, b.RetentionPolicy) })
	siblings[0].Default = true
	return dbrps.put(tx, &siblings[0])
}
