package catalog

import (
	"cmp"
	"crypto/subtle"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/holdfast-telemetry/holdfast/internal/id"
)

// Authorization is an API token, or a v1 user, and what it may do.
type Authorization struct {
	ID          id.ID        `json:"id"`
	Status      Status       `json:"status"`
	Description string       `json:"description,omitempty"`
	OrgID       id.ID        `json:"orgID"`
	UserID      id.ID        `json:"userID"`
	Permissions []Permission `json:"permissions"`
	CreatedAt   time.Time    `json:"createdAt"`
	UpdatedAt   time.Time    `json:"updatedAt"`
	// Name is the v1 user's name, empty for an API token.
	Name string `json:"name,omitempty"`
	// Token is the clear token. Only the call that creates an API token returns it.
	Token string `json:"-"`
}

// AuthorizationUpdate changes what is not nil.
type AuthorizationUpdate struct {
	Status      *Status
	Description *string
}

// storedAuthorization is an API token as the file keeps it.
type storedAuthorization struct {
	Authorization
	Digest []byte `json:"digest"`
}

const missingAuthorization = "authorization not found"

var authorizations = table[storedAuthorization]{
	name:    "authorizations",
	id:      func(a *storedAuthorization) id.ID { return a.ID },
	unique:  func(a *storedAuthorization) string { return string(a.Digest) },
	missing: missingAuthorization,
	taken:   func(*storedAuthorization) error { return Errorf(Conflict, "token already exists") },
}

// CreateAuthorization makes an API token from OrgID, UserID, Permissions, Description and Status (empty means active). Token
// is taken as it is when given. A permission on one resource that names no organisation is bound to OrgID.
func (c *Catalog) CreateAuthorization(a Authorization) (Authorization, error) {
	a.Name = ""
	err := c.update(func(t *change) error { return c.createAuthorization(t, &a) })
	return a, err
}

func (c *Catalog) createAuthorization(t *change, a *Authorization) error {
	if err := prepareAuthorization(t, a); err != nil {
		return err
	}
	if a.Token == "" {
		a.Token = newToken()
	}
	sum := c.digest("token", a.Token)
	return authorizations.put(t.Tx, &storedAuthorization{Authorization: *a, Digest: sum[:]})
}

// prepareAuthorization completes and checks what API tokens and v1 users have in common.
func prepareAuthorization(t *change, a *Authorization) error {
	a.ID, a.CreatedAt, a.UpdatedAt = id.New(), t.now, t.now
	a.Status = cmp.Or(a.Status, Active)
	if err := checkStatus(a.Status); err != nil {
		return err
	}
	if len(a.Permissions) == 0 {
		return Errorf(Invalid, "authorization must include permissions")
	}
	for i := range a.Permissions {
		if err := a.Permissions[i].Check(); err != nil {
			return err
		}
	}
	a.Permissions = Bind(a.Permissions, a.OrgID)
	if _, err := orgs.get(t.Tx, a.OrgID); err != nil {
		return err
	}
	_, err := users.get(t.Tx, a.UserID)
	return err
}

// Bind returns the permissions with org as the organisation of those that name one resource and no organisation. Users and
// the instance belong to none.
func Bind(permissions []Permission, org id.ID) []Permission {
	bound := make([]Permission, len(permissions))
	for i, p := range permissions {
		r := &p.Resource
		if r.ID != 0 && r.OrgID == 0 && r.Type != UsersType && r.Type != InstanceType && r.Type != OrgsType {
			r.OrgID = org
		}
		bound[i] = p
	}
	return bound
}

// Authorization returns an API token's authorization, without the token.
func (c *Catalog) Authorization(i id.ID) (Authorization, error) {
	var a storedAuthorization
	err := c.view(func(tx *bolt.Tx) (err error) { a, err = authorizations.get(tx, i); return err })
	return a.Authorization, err
}

// AuthorizationByToken returns the authorization of a clear token.
func (c *Catalog) AuthorizationByToken(token string) (Authorization, error) {
	var a storedAuthorization
	sum := c.digest("token", token)
	err := c.view(func(tx *bolt.Tx) (err error) { a, err = authorizations.find(tx, string(sum[:])); return err })
	if err == nil && subtle.ConstantTimeCompare(a.Digest, sum[:]) != 1 {
		return Authorization{}, Errorf(NotFound, missingAuthorization)
	}
	return a.Authorization, err
}

// Authorizations returns all API tokens' authorizations, without the tokens, oldest first.
func (c *Catalog) Authorizations() ([]Authorization, error) {
	out := []Authorization{}
	err := c.view(func(tx *bolt.Tx) error {
		all, err := authorizations.list(tx, nil)
		for i := range all {
			out = append(out, all[i].Authorization)
		}
		return err
	})
	sortBy(out, func(a *Authorization) (time.Time, id.ID) { return a.CreatedAt, a.ID })
	return out, err
}

// UpdateAuthorization changes an API token's authorization.
func (c *Catalog) UpdateAuthorization(i id.ID, u AuthorizationUpdate) (Authorization, error) {
	var a storedAuthorization
	err := c.update(func(t *change) (err error) {
		if a, err = authorizations.get(t.Tx, i); err != nil {
			return err
		}
		if err := a.apply(u, t.now); err != nil {
			return err
		}
		return authorizations.put(t.Tx, &a)
	})
	return a.Authorization, err
}

func (a *Authorization) apply(u AuthorizationUpdate, now time.Time) error {
	set(&a.Status, u.Status)
	set(&a.Description, u.Description)
	a.UpdatedAt = now
	return checkStatus(a.Status)
}

// DeleteAuthorization removes an API token.
func (c *Catalog) DeleteAuthorization(i id.ID) error {
	return c.update(func(t *change) error {
		a, err := authorizations.get(t.Tx, i)
		if err != nil {
			return err
		}
		return authorizations.remove(t.Tx, &a)
	})
}

// Authenticate returns who a clear API token belongs to. Unknown and inactive tokens are Unauthorized, an inactive user is Forbidden.
func (c *Catalog) Authenticate(token string) (*Principal, error) {
	sum := c.digest("token", token)
	in := func(m *memory) map[[32]byte]*Principal { return m.principals }
	return recall(&c.memory, in, sum, func() (*Principal, error) {
		a, err := c.AuthorizationByToken(token)
		return c.principal(a, err)
	})
}

// principal makes the principal of an authorization that was looked up with err.
func (c *Catalog) principal(a Authorization, err error) (*Principal, error) {
	if CodeOf(err) == NotFound && err != nil {
		return nil, errUnauthorized()
	}
	if err != nil {
		return nil, err
	}
	if a.Status != Active {
		return nil, Errorf(Unauthorized, "token is inactive")
	}
	u, err := c.User(a.UserID)
	if err != nil {
		return nil, err
	}
	if u.Status != Active {
		return nil, Errorf(Forbidden, "User is inactive")
	}
	return &Principal{UserID: a.UserID, OrgID: a.OrgID, AuthorizationID: a.ID, Permissions: a.Permissions}, nil
}
