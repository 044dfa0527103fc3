package catalog

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/holdfast-telemetry/holdfast/internal/id"
)

// Report is what Check found in a catalog.
type Report struct {
	// Records counts what can be read.
	Records int
	// Problems say what cannot, or what contradicts itself.
	Problems []string
}

// ErrInUse tells that another process has the catalog open.
var ErrInUse = errors.New("is in use")

// Check reads the whole catalog at path, which no process may have open. It changes nothing. The file has checksums for its head only, so
// that a value changed to another valid one is not found. The error tells what kept it from looking.
func Check(path string) (r Report, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // a damaged page number leads out of the mapped file
	defer func() {
		if v := recover(); v != nil {
			r.Problems, err = append(r.Problems, fmt.Sprintf("its pages are damaged: %v", v)), nil
		}
	}()
	if _, err := os.Stat(path); err != nil {
		return r, fmt.Errorf("check catalog: %w", err)
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return r, fmt.Errorf("catalog %s %w: stop the node first", path, ErrInUse)
	}
	if err != nil {
		r.Problems = append(r.Problems, fmt.Sprintf("it cannot be opened: %v", err))
		return r, nil
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return r, db.View(func(tx *bolt.Tx) error {
		for _, name := range tables {
			if tx.Bucket([]byte(name)) == nil {
				r.problem("the table %s is missing", name)
			}
		}
		if len(r.Problems) > 0 {
			return nil
		}
		if version := tx.Bucket([]byte(metaTable)).Get([]byte("version")); string(version) != formatVersion {
			r.problem("its format is version %q and this program reads version %s", version, formatVersion)
			return nil
		}
		for _, name := range []string{"reserved-org", "reserved-bucket"} {
			if _, err := id.Parse(string(tx.Bucket([]byte(metaTable)).Get([]byte(name)))); err != nil {
				r.problem("its %s is damaged: %v", name, err)
			}
		}
		orgs.check(tx, &r)
		users.check(tx, &r)
		buckets.check(tx, &r)
		authorizations.check(tx, &r)
		legacyAuthorizations.check(tx, &r)
		dbrps.check(tx, &r)
		replications.check(tx, &r)
		checkRemotes(remotes.check(tx, &r), path+".key", &r)
		return nil
	})
}

func (r *Report) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// check reads a table and its index and returns the records.
func (t table[T]) check(tx *bolt.Tx, r *Report) (all []T) {
	rows, index := tx.Bucket([]byte(t.name)), tx.Bucket([]byte(t.name+indexSuffix))
	for k, raw := range pairs(rows) {
		var v T
		switch err := json.Unmarshal(raw, &v); {
		case err != nil:
			r.problem("%s %x cannot be read: %v", t.name, k, err)
		case string(k) != string(key(t.id(&v))):
			r.problem("%s %x is kept as %s", t.name, k, t.id(&v))
		case string(index.Get([]byte(t.unique(&v)))) != string(k):
			r.problem("%s %x is not found by its name", t.name, k)
		default:
			r.Records++
			all = append(all, v)
		}
	}
	for unique, k := range pairs(index) {
		if rows.Get(k) == nil {
			r.problem("%s: an entry of the index leads nowhere (%d bytes)", t.name, len(unique))
		}
	}
	return all
}

// pairs goes through a table.
func pairs(b *bolt.Bucket) func(yield func(k, v []byte) bool) {
	return func(yield func(k, v []byte) bool) {
		c := b.Cursor()
		var last uint64
		for k, v := c.First(); k != nil && yield(k, v); k, v = c.Next() {
			if len(k) == 8 { // identifiers stand in order
				at := binary.BigEndian.Uint64(k)
				if at < last {
					panic(fmt.Sprintf("key %x stands after %x", at, last))
				}
				last = at
			}
		}
	}
}

// checkRemotes tries to decrypt the tokens.
func checkRemotes(all []storedRemote, keyFile string, r *Report) {
	if len(all) == 0 {
		return
	}
	if _, err := os.Stat(keyFile); errors.Is(err, fs.ErrNotExist) {
		r.problem("the key %s is missing, and with it the tokens of %d remotes: put it back from a backup, or give each remote its token again", keyFile, len(all))
		return
	}
	cipher, err := openCipher(keyFile)
	if err != nil {
		r.problem("%v", err)
		return
	}
	for _, v := range all {
		if _, err := cipher.open(v.ID, v.Sealed); err != nil {
			r.problem("%v", err)
		}
	}
}
