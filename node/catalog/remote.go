package catalog

import (
	"net/url"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/holdfast-telemetry/holdfast/internal/id"
)

// Remote is a stored connection to another server. Its token is not part of it: RemoteToken returns it.
type Remote struct {
	ID          id.ID  `json:"id"`
	OrgID       id.ID  `json:"orgID"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	URL         string `json:"url"`
	// RemoteOrgID is the organisation there; 0 for a target without organisations.
	RemoteOrgID      id.ID     `json:"remoteOrgID,omitzero"`
	AllowInsecureTLS bool      `json:"allowInsecureTLS"`
	CreatedAt        time.Time `json:"createdAt"`
	UpdatedAt        time.Time `json:"updatedAt"`
}

// RemoteUpdate changes what is not nil. A RemoteOrgID of 0 means none.
type RemoteUpdate struct {
	Name, Description, URL, Token *string
	RemoteOrgID                   *id.ID
	AllowInsecureTLS              *bool
}

// storedRemote is a remote as the file keeps it.
type storedRemote struct {
	Remote
	Sealed []byte `json:"token"`
}

var remotes = table[storedRemote]{
	name:    "remotes",
	id:      func(r *storedRemote) id.ID { return r.ID },
	unique:  func(r *storedRemote) string { return within(r.OrgID, r.Name) },
	missing: "remote connection not found",
	taken:   func(r *storedRemote) error { return Errorf(Conflict, "remote with name %s already exists", r.Name) },
}

func (r *Remote) check() error {
	if err := checkName("remote", r.Name); err != nil {
		return err
	}
	u, err := url.Parse(r.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return Errorf(Invalid, "invalid remoteURL %q: it has the form http://host:port or https://host:port", withoutSecrets(r.URL))
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return Errorf(Invalid, "invalid remoteURL: it must not have a user, a query or a fragment; the token has a field of its own")
	}
	return nil
}

// withoutSecrets leaves out what may be a password in something that is no URL.
func withoutSecrets(s string) string {
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		return "..." + s[i:]
	}
	return s
}

// CreateRemote makes a remote from OrgID, Name, Description, URL, RemoteOrgID and AllowInsecureTLS.
func (c *Catalog) CreateRemote(r Remote, token string) (Remote, error) {
	r.ID = id.New()
	err := c.update(func(t *change) error {
		if err := r.check(); err != nil {
			return err
		}
		if token == "" {
			return Errorf(Invalid, "remoteAPIToken must be provided")
		}
		if _, err := orgs.get(t.Tx, r.OrgID); err != nil {
			return err
		}
		r.CreatedAt, r.UpdatedAt = t.now, t.now
		t.tell(RemotesType, r.ID, Created)
		return remotes.put(t.Tx, &storedRemote{Remote: r, Sealed: c.cipher.seal(r.ID, token)})
	})
	return r, err
}

// Remote returns a remote.
func (c *Catalog) Remote(i id.ID) (Remote, error) {
	var r storedRemote
	err := c.view(func(tx *bolt.Tx) (err error) { r, err = remotes.get(tx, i); return err })
	return r.Remote, err
}

// RemoteToken returns the token to send to a remote. It is for the one who sends, never for a client of the API.
func (c *Catalog) RemoteToken(i id.ID) (string, error) {
	var r storedRemote
	if err := c.view(func(tx *bolt.Tx) (err error) { r, err = remotes.get(tx, i); return err }); err != nil {
		return "", err
	}
	return c.cipher.open(i, r.Sealed)
}

// Remotes returns the remotes of an organisation, or of all when org is 0, oldest first.
func (c *Catalog) Remotes(org id.ID) ([]Remote, error) {
	out := []Remote{}
	err := c.view(func(tx *bolt.Tx) error {
		all, err := remotes.list(tx, func(r *storedRemote) bool { return org == 0 || r.OrgID == org })
		for i := range all {
			out = append(out, all[i].Remote)
		}
		return err
	})
	sortBy(out, func(r *Remote) (time.Time, id.ID) { return r.CreatedAt, r.ID })
	return out, err
}

// UpdateRemote changes a remote.
func (c *Catalog) UpdateRemote(i id.ID, u RemoteUpdate) (Remote, error) {
	var r storedRemote
	err := c.update(func(t *change) (err error) {
		if r, err = remotes.get(t.Tx, i); err != nil {
			return err
		}
		set(&r.Name, u.Name)
		set(&r.Description, u.Description)
		set(&r.URL, u.URL)
		set(&r.RemoteOrgID, u.RemoteOrgID)
		set(&r.AllowInsecureTLS, u.AllowInsecureTLS)
		if u.Token != nil {
			if *u.Token == "" {
				return Errorf(Invalid, "remoteAPIToken must not be empty")
			}
			r.Sealed = c.cipher.seal(i, *u.Token)
		}
		r.UpdatedAt = t.now
		if err := r.check(); err != nil {
			return err
		}
		t.tell(RemotesType, i, Updated)
		return remotes.put(t.Tx, &r)
	})
	return r.Remote, err
}

// DeleteRemote removes a remote. It is Conflict while a replication refers to it.
func (c *Catalog) DeleteRemote(i id.ID) error {
	return c.update(func(t *change) error {
		r, err := remotes.get(t.Tx, i)
		if err != nil {
			return err
		}
		using, err := replications.list(t.Tx, func(p *Replication) bool { return p.RemoteID == i })
		if err != nil {
			return err
		}
		if len(using) > 0 {
			names := make([]string, len(using))
			for k := range using {
				names[k] = using[k].Name
			}
			return Errorf(Conflict, "remote %q is used by replications: %s; delete them or give them another remote first", r.Name, strings.Join(names, ", "))
		}
		t.tell(RemotesType, i, Deleted)
		return remotes.remove(t.Tx, &r)
	})
}
