package catalog

import (
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

// SetupRequest names the first user, organisation and bucket.
type SetupRequest struct {
	Username, Org, Bucket string
	// Password may be empty: the user then cannot sign in with one.
	Password string
	// Token becomes the operator's token as it is; empty means a random one.
	Token     string
	Retention time.Duration // of Bucket; 0 means for ever
}

// SetupResult is what Setup made. Authorization has the clear token.
type SetupResult struct {
	User          User
	Org           Org
	Bucket        Bucket
	Authorization Authorization
}

// SetupAllowed reports whether the node was not set up yet: it has no user and no organisation.
func (c *Catalog) SetupAllowed() (allowed bool, err error) {
	err = c.view(func(tx *bolt.Tx) error { allowed = empty(tx); return nil })
	return allowed, err
}

func empty(tx *bolt.Tx) bool {
	user, _ := tx.Bucket([]byte(users.name)).Cursor().First()
	org, _ := tx.Bucket([]byte(orgs.name)).Cursor().First()
	return user == nil && org == nil
}

// Setup makes the first user, organisation, bucket and operator token in one transaction. Organisation and bucket get the
// reserved identifiers. It is Conflict when the node was set up already.
func (c *Catalog) Setup(r SetupRequest) (SetupResult, error) {
	if allowed, err := c.SetupAllowed(); err != nil || !allowed {
		return SetupResult{}, orElse(err, errSetupDone())
	}
	if err := r.check(); err != nil {
		return SetupResult{}, err
	}
	var hash []byte
	if r.Password != "" {
		var err error
		if hash, err = c.hashPassword(r.Password); err != nil {
			return SetupResult{}, err
		}
	}
	var s SetupResult
	err := c.update(func(t *change) (err error) {
		if !empty(t.Tx) {
			return errSetupDone()
		}
		if s.User, err = createUser(t, r.Username, Active); err != nil {
			return err
		}
		if hash != nil {
			if err := t.Bucket([]byte(passwordsTable)).Put(key(s.User.ID), hash); err != nil {
				return err
			}
		}
		if s.Org, err = createOrg(t, c.reserved.Org, r.Org, "", s.User.ID); err != nil {
			return err
		}
		s.Bucket = Bucket{ID: c.reserved.Bucket, OrgID: s.Org.ID, Type: UserBucket, Name: r.Bucket, Retention: r.Retention}
		if err := createBucket(t, &s.Bucket); err != nil {
			return err
		}
		s.Authorization = Authorization{OrgID: s.Org.ID, UserID: s.User.ID, Token: r.Token, Permissions: OperatorPermissions(),
			Description: r.Username + "'s Token"}
		return c.createAuthorization(t, &s.Authorization)
	})
	return s, err
}

func errSetupDone() error { return Errorf(Conflict, "onboarding has already been completed") }

func orElse(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

func (r *SetupRequest) check() error {
	var missing []string
	for _, f := range []struct{ name, value string }{{"username", r.Username}, {"org", r.Org}, {"bucket", r.Bucket}} {
		if strings.TrimSpace(f.value) == "" {
			missing = append(missing, f.name)
		}
	}
	if missing != nil {
		return Errorf(Unprocessable, "missing required fields: %s", strings.Join(missing, ", "))
	}
	return nil
}
