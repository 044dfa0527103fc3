package catalog

import (
	"cmp"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/holdfast-telemetry/holdfast/internal/id"
)

// Status tells whether a user or an authorization may be used.
type Status string

// The two statuses.
const (
	Active   Status = "active"
	Inactive Status = "inactive"
)

func checkStatus(s Status) error {
	if s != Active && s != Inactive {
		return Errorf(Invalid, "unknown status %q: it is active or inactive", s)
	}
	return nil
}

// User is a person or a program that signs in or owns tokens.
type User struct {
	ID        id.ID     `json:"id"`
	Name      string    `json:"name"`
	Status    Status    `json:"status"`
	CreatedAt time.Time `json:"createdAt"`
}

// UserUpdate changes what is not nil.
type UserUpdate struct {
	Name   *string
	Status *Status
}

var users = table[User]{
	name:    "users",
	id:      func(u *User) id.ID { return u.ID },
	unique:  func(u *User) string { return u.Name },
	missing: "user not found",
	taken:   func(u *User) error { return Errorf(Conflict, "user with name %s already exists", u.Name) },
}

// CreateUser makes a user. An empty status means active.
func (c *Catalog) CreateUser(name string, status Status) (u User, err error) {
	err = c.update(func(t *change) error { u, err = createUser(t, name, status); return err })
	return u, err
}

func createUser(t *change, name string, status Status) (User, error) {
	u := User{ID: id.New(), Name: name, Status: cmp.Or(status, Active), CreatedAt: t.now}
	if err := checkName("user", u.Name); err != nil {
		return u, err
	}
	if err := checkStatus(u.Status); err != nil {
		return u, err
	}
	return u, users.put(t.Tx, &u)
}

// User returns a user by its identifier.
func (c *Catalog) User(i id.ID) (u User, err error) {
	err = c.view(func(tx *bolt.Tx) error { u, err = users.get(tx, i); return err })
	return u, err
}

// UserByName returns a user by its name.
func (c *Catalog) UserByName(name string) (u User, err error) {
	err = c.view(func(tx *bolt.Tx) error { u, err = users.find(tx, name); return err })
	return u, err
}

// Users returns all users, oldest first.
func (c *Catalog) Users() (out []User, err error) {
	err = c.view(func(tx *bolt.Tx) error { out, err = users.list(tx, nil); return err })
	sortBy(out, func(u *User) (time.Time, id.ID) { return u.CreatedAt, u.ID })
	return out, err
}

// UpdateUser changes a user.
func (c *Catalog) UpdateUser(i id.ID, up UserUpdate) (u User, err error) {
	err = c.update(func(t *change) error {
		if u, err = users.get(t.Tx, i); err != nil {
			return err
		}
		set(&u.Name, up.Name)
		set(&u.Status, up.Status)
		if err := checkName("user", u.Name); err != nil {
			return err
		}
		if err := checkStatus(u.Status); err != nil {
			return err
		}
		return users.put(t.Tx, &u)
	})
	return u, err
}

// DeleteUser removes a user with its authorizations, sessions and roles.
func (c *Catalog) DeleteUser(i id.ID) error {
	return c.update(func(t *change) error {
		u, err := users.get(t.Tx, i)
		if err != nil {
			return err
		}
		if err := users.remove(t.Tx, &u); err != nil {
			return err
		}
		if err := t.Bucket([]byte(passwordsTable)).Delete(key(i)); err != nil {
			return err
		}
		if err := removeAll(t, authorizations, func(a *storedAuthorization) bool { return a.UserID == i }, ""); err != nil {
			return err
		}
		if err := removeLegacy(t, func(a *Authorization) bool { return a.UserID == i }); err != nil {
			return err
		}
		if err := removeSessions(t.Tx, func(s session) bool { return s.UserID == i }); err != nil {
			return err
		}
		return removeMembers(t.Tx, func(m Member) bool { return m.UserID == i })
	})
}

// SetPassword gives a user a password, of 8 to 72 bytes, and ends the user's sessions.
func (c *Catalog) SetPassword(user id.ID, password string) error {
	hash, err := c.hashPassword(password)
	if err != nil {
		return err
	}
	return c.update(func(t *change) error {
		if _, err := users.get(t.Tx, user); err != nil {
			return err
		}
		if err := removeSessions(t.Tx, func(s session) bool { return s.UserID == user }); err != nil {
			return err
		}
		return t.Bucket([]byte(passwordsTable)).Put(key(user), hash)
	})
}

// VerifyPassword returns the user with that name and password. It takes the same time for a user that does not exist.
func (c *Catalog) VerifyPassword(name, password string) (User, error) {
	var u User
	var hash []byte
	err := c.view(func(tx *bolt.Tx) (err error) {
		if u, err = users.find(tx, name); err == nil {
			hash = slices.Clone(tx.Bucket([]byte(passwordsTable)).Get(key(u.ID)))
		}
		return err
	})
	if err != nil && CodeOf(err) != NotFound {
		return User{}, err
	}
	known := hash != nil
	if !known {
		hash = c.nobodysHash()
	}
	if !c.passwordMatches(hash, password) || !known {
		return User{}, errUnauthorized()
	}
	if u.Status != Active {
		return User{}, Errorf(Forbidden, "User is inactive")
	}
	return u, nil
}

func errUnauthorized() error { return Errorf(Unauthorized, "unauthorized access") }

// sortBy sorts by time of creation, then by identifier.
func sortBy[T any](s []T, by func(*T) (time.Time, id.ID)) {
	slices.SortFunc(s, func(a, b T) int {
		ta, ia := by(&a)
		tb, ib := by(&b)
		return cmp.Or(ta.Compare(tb), cmp.Compare(ia, ib))
	})
}
