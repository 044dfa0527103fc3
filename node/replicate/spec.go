package replicate

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/id"
)

// Limits and defaults of a replication. Those of the queue and of the age are InfluxDB 2's.
const (
	MinQueueBytes     = 33554430
	DefaultQueueBytes = 67108860
	MinAge            = 60 * time.Second
	MaxAge            = 5184000 * time.Second
	DefaultAge        = 604800 * time.Second

	DefaultBatchBytes = 1 << 20
	MinBatchBytes     = 1 << 10
	MaxBatchBytes     = 32 << 20
	DefaultDelay      = time.Second
	MaxDelay          = time.Hour
)

// Order says what is sent first when a backlog waits.
type Order string

const (
	// OldestFirst sends records in the order they were accepted. It is the default.
	OldestFirst Order = "oldest"
	// NewestFirst sends what arrives now before the backlog. Where a point was overwritten while the backlog grew, the older
	// value can arrive last.
	NewestFirst Order = "newest"
)

// Remote is where a replication sends to. It is comparable: equal remotes share one client and its connections.
type Remote struct {
	// URL is scheme, host, port and an optional path prefix; `/api/v2/write` is added to it.
	URL string
	// Token is an API token, or `user:password` for a 1.x remote. Username and Password are the same in two fields.
	Token, Username, Password string
	// OrgID or Org name the organisation at the remote; both may be empty (1.x, 3.x). OrgID wins.
	OrgID, Org string
	// InsecureTLS skips the verification of the remote's certificate.
	InsecureTLS bool
	// CAFile is a PEM file of authorities that are trusted in place of the system's.
	CAFile string
	// CertFile and KeyFile are the PEM files of the client certificate.
	CertFile, KeyFile string
	// Proxy is the URL of an HTTP or SOCKS5 proxy. Empty means what the environment says.
	Proxy string
}

// LogValue keeps the secrets of a remote out of logs.
func (r Remote) LogValue() slog.Value { return slog.StringValue(r.String()) }

// String returns the remote's address without any secret.
func (r Remote) String() string {
	u, err := url.Parse(r.URL)
	if err != nil {
		return "(invalid URL)"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// GoString keeps the secrets out of %#v.
func (r Remote) GoString() string { return "replicate.Remote{" + r.String() + "}" }

// Check reports what is wrong with the remote's settings. It connects to nothing.
func (r Remote) Check() error {
	u, err := url.Parse(r.URL)
	switch {
	case err != nil:
		return errors.New("remote URL cannot be read: write it as https://host:8086")
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("remote URL %q must start with http:// or https://", r)
	case u.Host == "":
		return fmt.Errorf("remote URL %q has no host: write it as https://host:8086", r)
	case (r.CertFile == "") != (r.KeyFile == ""):
		return errors.New("a client certificate needs both the certificate file and the key file")
	}
	if r.Proxy != "" {
		p, err := url.Parse(r.Proxy)
		if err != nil || p.Host == "" {
			return errors.New("proxy cannot be read: write it as http://host:3128")
		}
	}
	return nil
}

// credential returns what follows `Token ` in the Authorization header, "" for none.
func (r Remote) credential() string {
	if r.Token == "" && r.Username != "" {
		return r.Username + ":" + r.Password
	}
	return r.Token
}

// Spec is the configuration of one replication.
type Spec struct {
	ID     id.ID
	Name   string
	Bucket id.ID // the local bucket whose journal is read
	Remote Remote
	// RemoteBucketID or RemoteBucketName (`db/rp` for 1.x) name the bucket at the remote. The ID wins.
	RemoteBucketID, RemoteBucketName string

	// MaxQueueBytes bounds the journal bytes that wait for this replication, MaxAge how long they may wait; 0 is the
	// default. What exceeds them becomes a gap, which is filled from the store after the stream has caught up.
	MaxQueueBytes int64
	MaxAge        time.Duration
	// NoFill leaves gaps open until Set.Fill is called.
	NoFill bool
	// DropNonRetryable drops lines that the remote refuses for good, counted, in place of keeping them as dead letters.
	DropNonRetryable bool
	// Paused stops sending; the position stays.
	Paused bool
	Order  Order
	// Backfill sends, once, what the bucket held when the replication was added.
	Backfill bool
	// BytesPerSecond bounds the bytes of request bodies as sent, 0 for no bound.
	BytesPerSecond int64
	// MaxBatchBytes bounds a request's body before compression; 0 is DefaultBatchBytes.
	MaxBatchBytes int
	// MaxDelay is how long a point may wait for company; 0 is DefaultDelay, negative is no wait.
	MaxDelay time.Duration
	// GzipLevel is 1 (fast) to 9 (small), 0 for the default, -1 for no compression.
	GzipLevel int
}

// Check reports the first thing that is wrong, in the words of InfluxDB 2 where it has them. It connects to nothing.
func (s Spec) Check() error {
	switch {
	case s.ID == 0:
		return errors.New("replication ID is invalid")
	case s.Bucket == 0:
		return errors.New("local bucket ID is invalid")
	case s.RemoteBucketID == "" && s.RemoteBucketName == "":
		return errors.New("one of remote_bucket_id, remote_bucket_name should be provided")
	case s.MaxQueueBytes != 0 && s.MaxQueueBytes < MinQueueBytes:
		return fmt.Errorf("maxQueueSize too small, must be at least %d", MinQueueBytes)
	case s.MaxAge != 0 && (s.MaxAge < MinAge || s.MaxAge > MaxAge):
		return fmt.Errorf("maxAgeSeconds must be 0 (for the default) or from %d to %d", MinAge/time.Second, MaxAge/time.Second)
	case s.Order != "" && s.Order != OldestFirst && s.Order != NewestFirst:
		return fmt.Errorf("order %q is unknown: use %q or %q", s.Order, OldestFirst, NewestFirst)
	case s.BytesPerSecond < 0:
		return errors.New("bytesPerSecond must not be negative")
	case s.MaxBatchBytes != 0 && (s.MaxBatchBytes < MinBatchBytes || s.MaxBatchBytes > MaxBatchBytes):
		return fmt.Errorf("maxBatchBytes must be from %d to %d", MinBatchBytes, MaxBatchBytes)
	case s.MaxDelay > MaxDelay:
		return fmt.Errorf("maxDelay must be at most %s", MaxDelay)
	case s.GzipLevel < -1 || s.GzipLevel > 9:
		return errors.New("gzipLevel must be from -1 to 9")
	}
	return s.Remote.Check()
}

// withDefaults returns s with its zero values replaced.
func (s Spec) withDefaults() Spec {
	if s.MaxQueueBytes == 0 {
		s.MaxQueueBytes = DefaultQueueBytes
	}
	if s.MaxAge == 0 {
		s.MaxAge = DefaultAge
	}
	if s.Order == "" {
		s.Order = OldestFirst
	}
	if s.MaxBatchBytes == 0 {
		s.MaxBatchBytes = DefaultBatchBytes
	}
	if s.MaxDelay == 0 {
		s.MaxDelay = DefaultDelay
	}
	s.MaxDelay = max(s.MaxDelay, 0)
	s.Remote.URL = strings.TrimRight(s.Remote.URL, "/")
	return s
}

// remoteBucket returns what the bucket is called at the remote.
func (s Spec) remoteBucket() string {
	if s.RemoteBucketID != "" {
		return s.RemoteBucketID
	}
	return s.RemoteBucketName
}

// sameTarget reports whether two specs send to the same place with the same credentials in the same way.
func (s Spec) sameTarget(o Spec) bool {
	return s.Remote == o.Remote && s.remoteBucket() == o.remoteBucket() &&
		s.GzipLevel == o.GzipLevel && s.BytesPerSecond == o.BytesPerSecond
}
