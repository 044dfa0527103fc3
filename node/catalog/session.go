package catalog

import (
	"encoding/json"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/holdfast-telemetry/holdfast/internal/id"
)

// session is what the file keeps of a session, under the digest of its key.
type session struct {
	UserID    id.ID     `json:"userID"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// CreateSession starts a session of a user and returns its secret key and when it ends unless it is used.
func (c *Catalog) CreateSession(user id.ID) (secret string, expires time.Time, err error) {
	secret = newToken()
	err = c.update(func(t *change) error {
		if _, err := users.get(t.Tx, user); err != nil {
			return err
		}
		if err := dropExpiredSessions(t.Tx, t.now); err != nil {
			return err
		}
		expires = t.now.Add(c.options.SessionLength)
		return c.putSession(t.Tx, secret, session{UserID: user, ExpiresAt: expires})
	})
	return secret, expires, err
}

func (c *Catalog) putSession(tx *bolt.Tx, secret string, s session) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write session to the catalog: %w", err)
	}
	sum := c.digest("session", secret)
	return tx.Bucket([]byte(sessionsTable)).Put(sum[:], raw)
}

// AuthenticateSession returns who a session belongs to and lengthens the session when less than half of its time is left.
func (c *Catalog) AuthenticateSession(secret string) (*Principal, error) {
	var s session
	var p Principal
	sum := c.digest("session", secret)
	err := c.view(func(tx *bolt.Tx) error {
		raw := tx.Bucket([]byte(sessionsTable)).Get(sum[:])
		if raw == nil {
			return errUnauthorized()
		}
		if err := json.Unmarshal(raw, &s); err != nil {
			return fmt.Errorf("read session from the catalog: %w", err)
		}
		if !s.ExpiresAt.After(c.options.Now()) {
			return errUnauthorized()
		}
		return sessionPrincipal(tx, s.UserID, &p)
	})
	if err != nil {
		return nil, err
	}
	if s.ExpiresAt.Sub(c.options.Now()) < c.options.SessionLength/2 {
		if err := c.lengthenSession(secret); err != nil {
			return nil, err
		}
	}
	return &p, nil
}

// lengthenSession leaves a session alone that was ended meanwhile.
func (c *Catalog) lengthenSession(secret string) error {
	sum := c.digest("session", secret)
	return c.update(func(t *change) error {
		raw := t.Bucket([]byte(sessionsTable)).Get(sum[:])
		if raw == nil {
			return nil
		}
		var s session
		if err := json.Unmarshal(raw, &s); err != nil {
			return fmt.Errorf("read session from the catalog: %w", err)
		}
		s.ExpiresAt = t.now.Add(c.options.SessionLength)
		return c.putSession(t.Tx, secret, s)
	})
}

func sessionPrincipal(tx *bolt.Tx, user id.ID, p *Principal) error {
	u, err := users.get(tx, user)
	if err != nil {
		return err
	}
	if u.Status != Active {
		return Errorf(Forbidden, "User is inactive")
	}
	roles, err := listMembers(tx, func(m Member) bool { return m.UserID == user })
	if err != nil {
		return err
	}
	p.UserID, p.Permissions = user, selfPermissions(user)
	for _, m := range roles {
		p.OrgID = m.OrgID
		p.Permissions = append(p.Permissions, rolePermissions(m.OrgID, m.Role)...)
	}
	return nil
}

// EndSession removes a session. One that does not exist is no error.
func (c *Catalog) EndSession(secret string) error {
	sum := c.digest("session", secret)
	return c.update(func(t *change) error { return t.Bucket([]byte(sessionsTable)).Delete(sum[:]) })
}

func dropExpiredSessions(tx *bolt.Tx, now time.Time) error {
	return removeSessions(tx, func(s session) bool { return !s.ExpiresAt.After(now) })
}

func removeSessions(tx *bolt.Tx, match func(session) bool) error {
	b := tx.Bucket([]byte(sessionsTable))
	var gone [][]byte
	err := b.ForEach(func(k, raw []byte) error {
		var s session
		if err := json.Unmarshal(raw, &s); err != nil {
			return fmt.Errorf("read session from the catalog: %w", err)
		}
		if match(s) {
			gone = append(gone, append([]byte(nil), k...))
		}
		return nil
	})
	for _, k := range gone {
		if err == nil {
			err = b.Delete(k)
		}
	}
	return err
}
