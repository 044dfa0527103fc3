// Package settings has the tables of a configuration that are the node's own: [node], [journal], [store], [query], [[remote]] and
// [[replication]].
//
// It promises that every key was recognised, that words and numbers are in range, and that an error names file, line and remedy.
// It knows no room of the node: values are plain, and a zero value means that the setting was not given and the room's own
// default holds.
package settings

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/node/collect/conf"
)

// Tables are the names of the tables that Decode takes.
var Tables = []string{"node", "journal", "store", "query", "remote", "replication"}

// Settings are the decoded tables. Several tables of one name are merged key by key, in load order; each remote and replication
// stays one of its own.
type Settings struct {
	Node         Node
	Journal      Journal
	Store        Store
	Query        Query
	Remotes      []Remote
	Replications []Replication
}

// Node is [node].
type Node struct {
	// Listen is the address of the HTTP server, as host:port.
	Listen string `toml:"listen"`
	// Data is the folder that holds everything the node keeps.
	Data string `toml:"data"`
	// TLSCert and TLSKey are PEM files; HTTPS is served when both are given.
	TLSCert string `toml:"tls_cert"`
	TLSKey  string `toml:"tls_key"`
	// MaxBody bounds the body of a write after decompression.
	MaxBody conf.Size `toml:"max_body"`
	// LogLevel is debug, info, warn or error; LogFormat is text or json.
	LogLevel  string `toml:"log_level"`
	LogFormat string `toml:"log_format"`
}

// Journal is [journal]. It holds for every bucket's journal by itself.
type Journal struct {
	// Sync is always (an accepted write is on disk) or interval (it will be within SyncInterval).
	Sync         string        `toml:"sync"`
	SyncInterval conf.Duration `toml:"sync_interval"`
	// CursorInterval is the least time between two writes of a reader's position.
	CursorInterval conf.Duration `toml:"cursor_interval"`
	SegmentBytes   conf.Size     `toml:"segment_bytes"`
	MaxBytes       conf.Size     `toml:"max_bytes"`
	MaxAge         conf.Duration `toml:"max_age"`
	MinFreeBytes   conf.Size     `toml:"min_free_bytes"`
	// Policy says what happens at a bound: drop-oldest or reject.
	Policy string `toml:"policy"`
}

// Store is [store].
type Store struct {
	// MemtableBytes is when points in memory are written as a block.
	MemtableBytes conf.Size `toml:"memtable_bytes"`
	// FlushAge is how long a point waits in memory at most.
	FlushAge conf.Duration `toml:"flush_age"`
	// MaxSeries bounds the series of a bucket.
	MaxSeries int `toml:"max_series"`
}

// Query is [query]: what one query may cost.
type Query struct {
	MaxMemory conf.Size     `toml:"max_memory"`
	Timeout   conf.Duration `toml:"timeout"`
}

// Remote is one [[remote]].
type Remote struct {
	Name  string      `toml:"name"`
	URL   string      `toml:"url"`
	Token conf.Secret `toml:"token"`
	// Username and Password take the place of the token at a 1.x remote.
	Username string      `toml:"username"`
	Password conf.Secret `toml:"password"`
	Org      string      `toml:"org"`
	OrgID    string      `toml:"org_id"`
	// TLSCA, TLSCert and TLSKey are PEM files.
	TLSCA       string      `toml:"tls_ca"`
	TLSCert     string      `toml:"tls_cert"`
	TLSKey      string      `toml:"tls_key"`
	InsecureTLS bool        `toml:"insecure_skip_verify"`
	Proxy       conf.Secret `toml:"proxy"`

	File string `toml:"-"`
	Line int    `toml:"-"`
}

// Replication is one [[replication]].
type Replication struct {
	Name string `toml:"name"`
	// Bucket is the local bucket, by name or id; empty is the one that the node's own inputs write to.
	Bucket string `toml:"bucket"`
	// Remote is the name of a [[remote]].
	Remote string `toml:"remote"`
	// RemoteBucket and RemoteBucketID name the bucket there; `db/rp` at a 1.x remote.
	RemoteBucket   string `toml:"remote_bucket"`
	RemoteBucketID string `toml:"remote_bucket_id"`

	MaxQueueBytes conf.Size     `toml:"max_queue_bytes"`
	MaxAge        conf.Duration `toml:"max_age"`
	// BytesPerSecond bounds what is sent.
	BytesPerSecond conf.Size `toml:"bytes_per_second"`
	// Order is oldest-first or newest-first.
	Order string `toml:"order"`
	// Backfill sends what the bucket held before the replication was made.
	Backfill bool `toml:"backfill"`
	// DropNonRetryable drops what the remote refuses for good, in place of keeping it as dead letters.
	DropNonRetryable bool `toml:"drop_non_retryable_data"`
	// MaxBatchBytes and MaxDelay bound one request.
	MaxBatchBytes conf.Size     `toml:"max_batch_bytes"`
	MaxDelay      conf.Duration `toml:"max_delay"`

	File string `toml:"-"`
	Line int    `toml:"-"`
}

// Decode decodes the tables named in Tables and leaves all others alone.
func Decode(tables []*conf.Table) (Settings, error) {
	var s Settings
	for _, t := range tables {
		if err := s.decode(t); err != nil {
			return Settings{}, err
		}
	}
	return s, s.check()
}

func (s *Settings) decode(t *conf.Table) error {
	switch t.Path[0] {
	case "node":
		return decode(t, &s.Node, checkNode)
	case "journal":
		return decode(t, &s.Journal, checkJournal)
	case "store":
		return decode(t, &s.Store, checkStore)
	case "query":
		return decode(t, &s.Query, checkQuery)
	case "remote":
		s.Remotes = append(s.Remotes, Remote{File: t.File, Line: t.Line})
		return decode(t, &s.Remotes[len(s.Remotes)-1], checkRemote)
	case "replication":
		s.Replications = append(s.Replications, Replication{File: t.File, Line: t.Line})
		return decode(t, &s.Replications[len(s.Replications)-1], checkReplication)
	}
	return nil
}

func decode[T any](t *conf.Table, v *T, check func(*conf.Table, *T) error) error {
	if err := t.Decode(v); err != nil {
		return err
	}
	return check(t, v)
}

func checkNode(t *conf.Table, n *Node) error {
	if n.Listen != "" {
		if _, _, err := net.SplitHostPort(n.Listen); err != nil {
			return t.Errorf("listen", "node.listen must be host:port, such as \"127.0.0.1:8086\", not %q", n.Listen)
		}
	}
	if (n.TLSCert == "") != (n.TLSKey == "") {
		return t.Errorf("tls_cert", "node.tls_cert and node.tls_key go together; give both or neither")
	}
	if err := oneOf(t, "log_level", n.LogLevel, "debug", "info", "warn", "error"); err != nil {
		return err
	}
	if err := oneOf(t, "log_format", n.LogFormat, "text", "json"); err != nil {
		return err
	}
	return notNegative(t, map[string]int64{"max_body": int64(n.MaxBody)})
}

func checkJournal(t *conf.Table, j *Journal) error {
	if err := oneOf(t, "sync", j.Sync, "always", "interval"); err != nil {
		return err
	}
	if err := oneOf(t, "policy", j.Policy, "drop-oldest", "reject"); err != nil {
		return err
	}
	if j.SyncInterval != 0 && j.Sync != "interval" {
		return t.Errorf("sync_interval", "journal.sync_interval needs journal.sync = \"interval\"")
	}
	return notNegative(t, map[string]int64{
		"sync_interval": int64(j.SyncInterval), "cursor_interval": int64(j.CursorInterval), "segment_bytes": int64(j.SegmentBytes),
		"max_bytes": int64(j.MaxBytes), "max_age": int64(j.MaxAge), "min_free_bytes": int64(j.MinFreeBytes),
	})
}

func checkStore(t *conf.Table, s *Store) error {
	return notNegative(t, map[string]int64{"memtable_bytes": int64(s.MemtableBytes), "flush_age": int64(s.FlushAge), "max_series": int64(s.MaxSeries)})
}

func checkQuery(t *conf.Table, q *Query) error {
	return notNegative(t, map[string]int64{"max_memory": int64(q.MaxMemory), "timeout": int64(q.Timeout)})
}

func checkRemote(t *conf.Table, r *Remote) error {
	if r.Name == "" {
		return t.Errorf("", "a remote needs a name, which replications refer to")
	}
	u, err := url.Parse(r.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return t.Errorf("url", "remote.url of %q must be an http:// or https:// URL", r.Name)
	}
	if r.Token != "" && r.Username != "" {
		return t.Errorf("token", "remote %q has both a token and a username; give one", r.Name)
	}
	if (r.TLSCert == "") != (r.TLSKey == "") {
		return t.Errorf("tls_cert", "remote.tls_cert and remote.tls_key of %q go together; give both or neither", r.Name)
	}
	return nil
}

func checkReplication(t *conf.Table, r *Replication) error {
	switch {
	case r.Name == "":
		return t.Errorf("", "a replication needs a name, which its position is kept under")
	case r.Remote == "":
		return t.Errorf("", "replication %q needs remote, the name of a [[remote]]", r.Name)
	case r.RemoteBucket == "" && r.RemoteBucketID == "":
		return t.Errorf("", "replication %q needs remote_bucket or remote_bucket_id", r.Name)
	}
	if err := oneOf(t, "order", r.Order, "oldest-first", "newest-first"); err != nil {
		return err
	}
	return notNegative(t, map[string]int64{
		"max_queue_bytes": int64(r.MaxQueueBytes), "max_age": int64(r.MaxAge), "bytes_per_second": int64(r.BytesPerSecond),
		"max_batch_bytes": int64(r.MaxBatchBytes),
	})
}

// check tests what no table can know by itself.
func (s *Settings) check() error {
	remotes := map[string]Remote{}
	for _, r := range s.Remotes {
		if other, twice := remotes[r.Name]; twice {
			return placed(r.File, r.Line, "there are two remotes called %q; the other is at %s:%d", r.Name, other.File, other.Line)
		}
		remotes[r.Name] = r
	}
	names := map[string]Replication{}
	for _, r := range s.Replications {
		if other, twice := names[r.Name]; twice {
			return placed(r.File, r.Line, "there are two replications called %q; the other is at %s:%d", r.Name, other.File, other.Line)
		}
		names[r.Name] = r
		if _, ok := remotes[r.Remote]; !ok {
			var known []string
			for name := range remotes {
				known = append(known, name)
			}
			slices.Sort(known)
			hint := "there is none"
			if len(known) > 0 {
				hint = "there are " + strings.Join(known, ", ")
			}
			return placed(r.File, r.Line, "replication %q: there is no [[remote]] called %q; %s", r.Name, r.Remote, hint)
		}
	}
	return nil
}

func placed(file string, line int, format string, args ...any) error {
	return &conf.Error{File: file, Line: line, Err: fmt.Errorf(format, args...)}
}

func oneOf(t *conf.Table, key, value string, allowed ...string) error {
	if value == "" || slices.Contains(allowed, value) {
		return nil
	}
	return t.Errorf(key, "%s.%s must be %s, not %q", t.Name(), key, strings.Join(allowed, " or "), value)
}

func notNegative(t *conf.Table, values map[string]int64) error {
	for key, v := range values {
		if v < 0 {
			return t.Errorf(key, "%s.%s must not be negative", t.Name(), key)
		}
	}
	return nil
}
