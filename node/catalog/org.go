package catalog

import (
	"encoding/json"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/holdfast-telemetry/holdfast/internal/id"
)

// Org is an organisation: what buckets, tokens, remotes and replications belong to.
type Org struct {
	ID          id.ID     `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	CreatedAt   time.Time `json:"createdAt"`
	UpdatedAt   time.Time `json:"updatedAt"`
}

// OrgUpdate changes what is not nil.
type OrgUpdate struct{ Name, Description *string }

var orgs = table[Org]{
	name:    "orgs",
	id:      func(o *Org) id.ID { return o.ID },
	unique:  func(o *Org) string { return o.Name },
	missing: "organization not found",
	taken: func(o *Org) error {
		return Errorf(Conflict, "organization with name %s already exists", o.Name)
	},
}

// CreateOrg makes an organisation and its system buckets. creator, when not 0, becomes its owner.
func (c *Catalog) CreateOrg(name, description string, creator id.ID) (Org, error) {
	var o Org
	err := c.update(func(t *change) (err error) {
		o, err = createOrg(t, id.New(), name, description, creator)
		return err
	})
	return o, err
}

func createOrg(t *change, i id.ID, name, description string, creator id.ID) (Org, error) {
	if err := checkName("organization", name); err != nil {
		return Org{}, err
	}
	o := Org{ID: i, Name: name, Description: description, CreatedAt: t.now, UpdatedAt: t.now}
	if err := orgs.put(t.Tx, &o); err != nil {
		return Org{}, err
	}
	for _, s := range systemBuckets {
		b := Bucket{ID: id.New(), OrgID: o.ID, Type: SystemBucket, Name: s.name, Description: s.description, Retention: s.retention}
		if err := createBucket(t, &b); err != nil {
			return Org{}, err
		}
	}
	if creator == 0 {
		return o, nil
	}
	return o, putMember(t.Tx, Member{OrgID: o.ID, UserID: creator, Role: Owner})
}

// Org returns an organisation by its identifier.
func (c *Catalog) Org(i id.ID) (o Org, err error) {
	err = c.view(func(tx *bolt.Tx) error { o, err = orgs.get(tx, i); return err })
	return o, err
}

// OrgByName returns an organisation by its name.
func (c *Catalog) OrgByName(name string) (o Org, err error) {
	err = c.view(func(tx *bolt.Tx) error { o, err = orgs.find(tx, name); return err })
	if CodeOf(err) == NotFound {
		err = Errorf(NotFound, "organization name %q not found", name)
	}
	return o, err
}

// ResolveOrg returns the organisation that is written as an identifier or, when none has that, as a name.
func (c *Catalog) ResolveOrg(idOrName string) (Org, error) {
	return recall(&c.memory, func(m *memory) map[string]Org { return m.orgs }, idOrName, func() (Org, error) {
		if i, bad := id.Parse(idOrName); bad == nil {
			if o, err := c.Org(i); err == nil {
				return o, nil
			}
		}
		return c.OrgByName(idOrName)
	})
}

// Orgs returns all organisations, oldest first.
func (c *Catalog) Orgs() (out []Org, err error) {
	err = c.view(func(tx *bolt.Tx) error { out, err = orgs.list(tx, nil); return err })
	sortBy(out, func(o *Org) (time.Time, id.ID) { return o.CreatedAt, o.ID })
	return out, err
}

// UpdateOrg changes an organisation.
func (c *Catalog) UpdateOrg(i id.ID, u OrgUpdate) (o Org, err error) {
	err = c.update(func(t *change) error {
		if o, err = orgs.get(t.Tx, i); err != nil {
			return err
		}
		set(&o.Name, u.Name)
		set(&o.Description, u.Description)
		o.UpdatedAt = t.now
		if err := checkName("organization", o.Name); err != nil {
			return err
		}
		return orgs.put(t.Tx, &o)
	})
	return o, err
}

// DeleteOrg removes an organisation and all that belongs to it.
func (c *Catalog) DeleteOrg(i id.ID) error {
	return c.update(func(t *change) error {
		o, err := orgs.get(t.Tx, i)
		if err != nil {
			return err
		}
		if err := orgs.remove(t.Tx, &o); err != nil {
			return err
		}
		err = removeAll(t, replications, func(r *Replication) bool { return r.OrgID == i }, ReplicationsType)
		if err == nil {
			err = removeAll(t, remotes, func(r *storedRemote) bool { return r.OrgID == i }, RemotesType)
		}
		if err == nil {
			err = removeAll(t, dbrps, func(d *DBRP) bool { return d.OrgID == i }, "")
		}
		if err == nil {
			err = removeAll(t, buckets, func(b *Bucket) bool { return b.OrgID == i }, BucketsType)
		}
		if err == nil {
			err = removeAll(t, authorizations, func(a *storedAuthorization) bool { return a.OrgID == i }, "")
		}
		if err == nil {
			err = removeLegacy(t, func(a *Authorization) bool { return a.OrgID == i })
		}
		if err == nil {
			err = removeMembers(t.Tx, func(m Member) bool { return m.OrgID == i })
		}
		return err
	})
}

// removeAll removes the records that match and tells of each when resource is not empty.
func removeAll[T any](t *change, from table[T], match func(*T) bool, resource string) error {
	all, err := from.list(t.Tx, match)
	if err != nil {
		return err
	}
	for k := range all {
		if err := from.remove(t.Tx, &all[k]); err != nil {
			return err
		}
		if resource != "" {
			t.tell(resource, from.id(&all[k]), Deleted)
		}
	}
	return nil
}

// Role is what a user is to an organisation.
type Role string

// The two roles: a member reads, an owner reads and writes.
const (
	MemberRole Role = "member"
	Owner      Role = "owner"
)

// Member binds a user to an organisation.
type Member struct {
	OrgID  id.ID `json:"orgID"`
	UserID id.ID `json:"userID"`
	Role   Role  `json:"role"`
}

func memberKey(m Member) []byte { return append(key(m.OrgID), key(m.UserID)...) }

func putMember(tx *bolt.Tx, m Member) error {
	raw, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("write member to the catalog: %w", err)
	}
	return tx.Bucket([]byte(membersTable)).Put(memberKey(m), raw)
}

func listMembers(tx *bolt.Tx, keep func(Member) bool) (out []Member, err error) {
	err = tx.Bucket([]byte(membersTable)).ForEach(func(_, raw []byte) error {
		var m Member
		if err := json.Unmarshal(raw, &m); err != nil {
			return fmt.Errorf("read member from the catalog: %w", err)
		}
		if keep(m) {
			out = append(out, m)
		}
		return nil
	})
	return out, err
}

func removeMembers(tx *bolt.Tx, match func(Member) bool) error {
	gone, err := listMembers(tx, match)
	if err != nil {
		return err
	}
	for _, m := range gone {
		if err := tx.Bucket([]byte(membersTable)).Delete(memberKey(m)); err != nil {
			return err
		}
	}
	return nil
}

// Members returns the users that have a role in an organisation, oldest user first.
func (c *Catalog) Members(org id.ID, role Role) (out []User, err error) {
	out = []User{}
	err = c.view(func(tx *bolt.Tx) error {
		if _, err := orgs.get(tx, org); err != nil {
			return err
		}
		bound, err := listMembers(tx, func(m Member) bool { return m.OrgID == org && m.Role == role })
		for _, m := range bound {
			u, err := users.get(tx, m.UserID)
			if err != nil {
				return err
			}
			out = append(out, u)
		}
		return err
	})
	sortBy(out, func(u *User) (time.Time, id.ID) { return u.CreatedAt, u.ID })
	return out, err
}

// AddMember gives a user a role in an organisation. A user has one role there at most: the last one given, except that an
// owner who is added as a member stays an owner.
func (c *Catalog) AddMember(m Member) (u User, err error) {
	err = c.update(func(t *change) error {
		if _, err := orgs.get(t.Tx, m.OrgID); err != nil {
			return err
		}
		if u, err = users.get(t.Tx, m.UserID); err != nil {
			return err
		}
		held, err := listMembers(t.Tx, func(h Member) bool { return h.OrgID == m.OrgID && h.UserID == m.UserID })
		if err != nil {
			return err
		}
		if len(held) > 0 && held[0].Role == Owner {
			return nil
		}
		return putMember(t.Tx, m)
	})
	return u, err
}

// RemoveMember takes a role in an organisation from a user.
func (c *Catalog) RemoveMember(m Member) error {
	return c.update(func(t *change) error {
		held, err := listMembers(t.Tx, func(h Member) bool { return h == m })
		if err != nil {
			return err
		}
		if len(held) == 0 {
			return Errorf(NotFound, "user %s is not a %s of organization %s", m.UserID, m.Role, m.OrgID)
		}
		return t.Bucket([]byte(membersTable)).Delete(memberKey(m))
	})
}
