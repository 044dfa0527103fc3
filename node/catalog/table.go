package catalog

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	bolt "go.etcd.io/bbolt"

	"github.com/holdfast-telemetry/holdfast/internal/id"
)

const (
	metaTable            = "meta"
	passwordsTable       = "passwords"
	legacyPasswordsTable = "legacy-passwords"
	membersTable         = "members"
	sessionsTable        = "sessions"
	indexSuffix          = "/unique"
)

// tables are all the file's tables; FORMAT.md describes them.
var tables = []string{
	metaTable, passwordsTable, legacyPasswordsTable, membersTable, sessionsTable,
	orgs.name, orgs.name + indexSuffix,
	users.name, users.name + indexSuffix,
	buckets.name, buckets.name + indexSuffix,
	authorizations.name, authorizations.name + indexSuffix,
	legacyAuthorizations.name, legacyAuthorizations.name + indexSuffix,
	dbrps.name, dbrps.name + indexSuffix,
	remotes.name, remotes.name + indexSuffix,
	replications.name, replications.name + indexSuffix,
}

// table keeps records of one type as JSON under their identifier, and a second table from what must be unique to the
// identifier. missing and taken are the errors for a record that is not there and for a unique value that another one has.
type table[T any] struct {
	name    string
	id      func(*T) id.ID
	unique  func(*T) string
	missing string
	taken   func(*T) error
}

func key(i id.ID) []byte { return binary.BigEndian.AppendUint64(nil, uint64(i)) }

// within is a unique value that need be so only within an organisation.
func within(org id.ID, name string) string { return string(key(org)) + name }

func (t table[T]) get(tx *bolt.Tx, i id.ID) (T, error) {
	var v T
	raw := tx.Bucket([]byte(t.name)).Get(key(i))
	if raw == nil {
		return v, &Error{Code: NotFound, Message: t.missing}
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return v, fmt.Errorf("read %s %s from the catalog: %w", t.name, i, err)
	}
	return v, nil
}

// find returns the record with a unique value.
func (t table[T]) find(tx *bolt.Tx, unique string) (T, error) {
	raw := tx.Bucket([]byte(t.name + indexSuffix)).Get([]byte(unique))
	if raw == nil {
		var none T
		return none, &Error{Code: NotFound, Message: t.missing}
	}
	return t.get(tx, id.ID(binary.BigEndian.Uint64(raw)))
}

// put writes v and keeps the unique table in step with it.
func (t table[T]) put(tx *bolt.Tx, v *T) error {
	k := key(t.id(v))
	index := tx.Bucket([]byte(t.name + indexSuffix))
	unique := []byte(t.unique(v))
	if holder := index.Get(unique); holder != nil && string(holder) != string(k) {
		return t.taken(v)
	}
	if old, err := t.get(tx, t.id(v)); err == nil {
		if err := index.Delete([]byte(t.unique(&old))); err != nil {
			return err
		}
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %s to the catalog: %w", t.name, err)
	}
	if err := index.Put(unique, k); err != nil {
		return err
	}
	return tx.Bucket([]byte(t.name)).Put(k, raw)
}

func (t table[T]) remove(tx *bolt.Tx, v *T) error {
	if err := tx.Bucket([]byte(t.name + indexSuffix)).Delete([]byte(t.unique(v))); err != nil {
		return err
	}
	return tx.Bucket([]byte(t.name)).Delete(key(t.id(v)))
}

// list returns the records that keep says yes to, in the order of their identifiers. A nil keep keeps all.
func (t table[T]) list(tx *bolt.Tx, keep func(*T) bool) ([]T, error) {
	out := []T{}
	err := tx.Bucket([]byte(t.name)).ForEach(func(k, raw []byte) error {
		var v T
		if err := json.Unmarshal(raw, &v); err != nil {
			return fmt.Errorf("read %s %x from the catalog: %w", t.name, k, err)
		}
		if keep == nil || keep(&v) {
			out = append(out, v)
		}
		return nil
	})
	return out, err
}

// maxName is the length of the longest name, in bytes.
const maxName = 1024

// checkName says why s cannot be the name of a what.
func checkName(what, s string) error {
	switch {
	case strings.TrimSpace(s) == "":
		return Errorf(Invalid, "%s name is empty", what)
	case len(s) > maxName:
		return Errorf(Invalid, "%s name is longer than %d bytes", what, maxName)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return Errorf(Invalid, "%s name %q has characters that are not printable", what, s)
	}
	return nil
}

// set overwrites *dst when there is a value.
func set[T any](dst, value *T) {
	if value != nil {
		*dst = *value
	}
}
