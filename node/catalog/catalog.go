// Package catalog keeps what a node knows about itself: organisations, users, buckets, authorizations, sessions, database
// mappings (dbrps), v1 authorizations, remotes and replications, in one bbolt file (FORMAT.md).
//
// It promises that every change is one transaction that is on disk when the call returns, that names are unique where the
// HTTP surface says so, that tokens and passwords are kept only as hashes and remotes' tokens only encrypted, and that the
// identifiers under which the node collects before it is set up stay those of the organisation and bucket named at set-up.
// It does not check who may do what: it answers what a principal is allowed, and its callers ask. It holds no points.
package catalog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/holdfast-telemetry/holdfast/internal/id"
)

// Options of Open. The zero value is what a node uses.
type Options struct {
	// PasswordCost is bcrypt's cost for new passwords; 0 means bcrypt's default.
	PasswordCost int
	// SessionLength is how long a session lives after its last use; 0 means an hour.
	SessionLength time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Catalog is an open catalog file. Its methods may be called from any goroutine.
type Catalog struct {
	db       *bolt.DB
	options  Options
	salt     []byte // keys the hashes of tokens
	cipher   *tokenCipher
	reserved Reservation
	hashing  chan struct{} // one place for each password that may be hashed at the same time
	// nobodysHash is compared with the passwords of users that do not exist, so that these cost the same time.
	nobodysHash func() []byte

	// writing makes watchers see changes in the order of their commits.
	writing  sync.Mutex
	watchers map[int]func(Change)
	nextID   int

	memory memory
}

// Reservation is the pair of identifiers that exists from the first open on: what the node collects before set-up goes to
// Bucket, and set-up gives its organisation and bucket these identifiers.
type Reservation struct{ Org, Bucket id.ID }

// Open opens the catalog at path and creates it when it does not exist. The key that encrypts remotes' tokens is beside it,
// in path + ".key". Both files are readable by their owner only.
func Open(path string, o Options) (*Catalog, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.SessionLength == 0 {
		o.SessionLength = time.Hour
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the catalog's folder: %w", err)
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("catalog %s is in use by another process: stop it or choose another data folder", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open catalog %s: %w", path, err)
	}
	cipher, err := openCipher(path + ".key") // after the lock: two first starts would make two keys
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	c := &Catalog{db: db, options: o, cipher: cipher, watchers: map[int]func(Change){}, hashing: make(chan struct{}, 2)}
	c.nobodysHash = sync.OnceValue(c.hashOfNoPassword)
	c.memory.reset()
	if err := c.prepare(path); err != nil {
		return nil, errors.Join(fmt.Errorf("open catalog %s: %w", path, err), db.Close())
	}
	return c, nil
}

// Close ends all transactions and closes the file.
func (c *Catalog) Close() error {
	if err := c.db.Close(); err != nil {
		return fmt.Errorf("close catalog: %w", err)
	}
	return nil
}

// Reserved returns the identifiers of the organisation and bucket that set-up names. They never change.
func (c *Catalog) Reserved() Reservation { return c.reserved }

const formatVersion = "1"

// prepare makes the tables and the values that exist once for each catalog.
func (c *Catalog) prepare(path string) error {
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	return c.db.Update(func(tx *bolt.Tx) error {
		for _, name := range tables {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		meta := tx.Bucket([]byte(metaTable))
		version, err := once(meta, "version", func() []byte { return []byte(formatVersion) })
		if err != nil {
			return err
		}
		if string(version) != formatVersion {
			return fmt.Errorf("its format is version %s and this program reads version %s: use a newer program", version, formatVersion)
		}
		if c.salt, err = once(meta, "salt", func() []byte { return randomBytes(32) }); err != nil {
			return err
		}
		if c.reserved.Org, err = onceID(meta, "reserved-org"); err != nil {
			return err
		}
		if c.reserved.Bucket, err = onceID(meta, "reserved-bucket"); err != nil {
			return err
		}
		return dropExpiredSessions(tx, c.options.Now())
	})
}

// once returns a copy of the value under key, which it makes when there is none.
func once(b *bolt.Bucket, key string, value func() []byte) ([]byte, error) {
	if v := b.Get([]byte(key)); v != nil {
		return append([]byte(nil), v...), nil
	}
	v := value()
	return v, b.Put([]byte(key), v)
}

func onceID(b *bolt.Bucket, key string) (id.ID, error) {
	v, err := once(b, key, func() []byte { return []byte(id.New().String()) })
	if err != nil {
		return 0, err
	}
	return id.Parse(string(v))
}

// view runs f in a read transaction.
func (c *Catalog) view(f func(tx *bolt.Tx) error) error { return c.db.View(f) }

// change is a write transaction and what it will tell the watchers.
type change struct {
	*bolt.Tx
	now  time.Time
	told []Change
}

func (t *change) tell(resource string, i id.ID, op Op) {
	t.told = append(t.told, Change{Resource: resource, ID: i, Op: op})
}

// update runs f in a write transaction. When it has committed, what was remembered is forgotten and the watchers are told.
func (c *Catalog) update(f func(t *change) error) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	t := &change{now: c.options.Now().UTC()}
	if err := c.db.Update(func(tx *bolt.Tx) error { t.Tx = tx; return f(t) }); err != nil {
		return err
	}
	c.memory.reset()
	for _, told := range t.told {
		for _, watch := range c.watchers {
			watch(told)
		}
	}
	return nil
}

// Op is what happened to a resource.
type Op uint8

// The three things that happen to a resource.
const (
	Created Op = iota + 1
	Updated
	Deleted
)

// Change tells that a bucket, a remote or a replication changed. Resource is the type's name as in permissions.
type Change struct {
	Resource string
	ID       id.ID
	Op       Op
}

// Watch has f called for each change of a bucket, remote or replication, after its commit, in the order of the commits,
// before the call that made the change returns. f may read the catalog; it must not change it. stop ends the calls.
func (c *Catalog) Watch(f func(Change)) (stop func()) {
	c.writing.Lock()
	defer c.writing.Unlock()
	n := c.nextID
	c.nextID++
	c.watchers[n] = f
	return func() {
		c.writing.Lock()
		defer c.writing.Unlock()
		delete(c.watchers, n)
	}
}
