package catalog

import (
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/holdfast-telemetry/holdfast/internal/id"
)

var legacyAuthorizations = table[Authorization]{
	name:    "legacy-authorizations",
	id:      func(a *Authorization) id.ID { return a.ID },
	unique:  func(a *Authorization) string { return a.Name },
	missing: missingAuthorization,
	taken:   func(a *Authorization) error { return Errorf(Conflict, "token already exists") },
}

// CreateLegacyAuthorization makes a v1 user from Name, OrgID, UserID, Permissions, Description and Status. It has no password
// yet and so cannot be used.
func (c *Catalog) CreateLegacyAuthorization(a Authorization) (Authorization, error) {
	a.Token = ""
	err := c.update(func(t *change) error {
		if err := checkName("v1 user", a.Name); err != nil {
			return err
		}
		if err := prepareAuthorization(t, &a); err != nil {
			return err
		}
		return legacyAuthorizations.put(t.Tx, &a)
	})
	return a, err
}

// LegacyAuthorization returns a v1 user.
func (c *Catalog) LegacyAuthorization(i id.ID) (a Authorization, err error) {
	err = c.view(func(tx *bolt.Tx) error { a, err = legacyAuthorizations.get(tx, i); return err })
	return a, err
}

// LegacyAuthorizations returns all v1 users, oldest first.
func (c *Catalog) LegacyAuthorizations() (out []Authorization, err error) {
	err = c.view(func(tx *bolt.Tx) error { out, err = legacyAuthorizations.list(tx, nil); return err })
	sortBy(out, func(a *Authorization) (time.Time, id.ID) { return a.CreatedAt, a.ID })
	return out, err
}

// UpdateLegacyAuthorization changes a v1 user.
func (c *Catalog) UpdateLegacyAuthorization(i id.ID, u AuthorizationUpdate) (a Authorization, err error) {
	err = c.update(func(t *change) error {
		if a, err = legacyAuthorizations.get(t.Tx, i); err != nil {
			return err
		}
		if err := a.apply(u, t.now); err != nil {
			return err
		}
		return legacyAuthorizations.put(t.Tx, &a)
	})
	return a, err
}

// DeleteLegacyAuthorization removes a v1 user and its password.
func (c *Catalog) DeleteLegacyAuthorization(i id.ID) error {
	return c.update(func(t *change) error {
		if _, err := legacyAuthorizations.get(t.Tx, i); err != nil {
			return err
		}
		return removeLegacy(t, func(a *Authorization) bool { return a.ID == i })
	})
}

func removeLegacy(t *change, match func(*Authorization) bool) error {
	all, err := legacyAuthorizations.list(t.Tx, match)
	if err != nil {
		return err
	}
	for i := range all {
		if err := t.Bucket([]byte(legacyPasswordsTable)).Delete(key(all[i].ID)); err != nil {
			return err
		}
		if err := legacyAuthorizations.remove(t.Tx, &all[i]); err != nil {
			return err
		}
	}
	return nil
}

// SetLegacyPassword gives a v1 user a password, of 8 to 72 bytes.
func (c *Catalog) SetLegacyPassword(i id.ID, password string) error {
	hash, err := c.hashPassword(password)
	if err != nil {
		return err
	}
	return c.update(func(t *change) error {
		if _, err := legacyAuthorizations.get(t.Tx, i); err != nil {
			return err
		}
		return t.Bucket([]byte(legacyPasswordsTable)).Put(key(i), hash)
	})
}

// AuthenticateLegacy returns who a user name and password of the v1 API belong to: the v1 user of that name or, when there is
// none, the owner of the API token that the password is. A password that was right is remembered until the catalog
// changes, so that only the first request pays for its hash.
func (c *Catalog) AuthenticateLegacy(name, password string) (*Principal, error) {
	in := func(m *memory) map[[32]byte]*Principal { return m.principals }
	return recall(&c.memory, in, c.digest("v1", name, password), func() (*Principal, error) {
		var a Authorization
		var hash []byte
		err := c.view(func(tx *bolt.Tx) (err error) {
			if a, err = legacyAuthorizations.find(tx, name); err == nil {
				hash = slices.Clone(tx.Bucket([]byte(legacyPasswordsTable)).Get(key(a.ID)))
			}
			return err
		})
		if err != nil && CodeOf(err) == NotFound {
			return c.Authenticate(password)
		}
		if err != nil {
			return nil, err
		}
		if hash == nil || !c.passwordMatches(hash, password) {
			return nil, errUnauthorized()
		}
		return c.principal(a, nil)
	})
}
