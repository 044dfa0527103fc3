package journal

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// SyncPolicy says when an appended record is made durable.
type SyncPolicy uint8

const (
	// SyncAlways syncs before Append returns. A power cut costs nothing that was acknowledged.
	SyncAlways SyncPolicy = iota
	// SyncPeriodic lets Append return once the system has the record, and syncs every Options.SyncInterval. A crash of
	// the process costs nothing; a power cut or a crash of the system costs what was acknowledged within the last
	// interval. Readers still see durable records only, so they follow an interval behind.
	SyncPeriodic
)

// Policy says what happens when a bound is reached.
type Policy uint8

const (
	// DropOldest makes room by dropping the oldest segments; readers that had not read them get a *Gap.
	DropOldest Policy = iota
	// Reject makes Append return a *FullError until readers have made room.
	Reject
)

// Options say how a journal keeps its records. The zero value of a field means the default it names.
type Options struct {
	// Dir is the folder of this journal alone. It is created when it does not exist.
	Dir string
	// SegmentBytes is the size that a segment is not to exceed; a larger record has a segment of its own. Default
	// 16 MiB; at most 1 GiB and an eighth of MaxBytes.
	SegmentBytes int64

	Sync SyncPolicy
	// SyncInterval is for SyncPeriodic. Default 1 s.
	SyncInterval time.Duration
	// CursorInterval is the least time between two writes of one cursor's file; what is advanced in between is made durable
	// at its end. A crash costs reading again what was advanced within it. It spares SD cards. Pinning cursors are
	// always written at once. Default 1 s; negative writes every advance at once.
	CursorInterval time.Duration

	// MaxBytes bounds the bytes of all segments. Default: no bound.
	MaxBytes int64
	// MaxAge bounds the age of a segment's newest record; older segments are dropped under either policy. Default: no bound.
	MaxAge time.Duration
	// MinFreeBytes is what the file system must keep free after an append. Default: no bound.
	MinFreeBytes int64
	Policy       Policy
	// RequestRelease is called when a pinning cursor holds back more than half of MaxBytes, and when it keeps a bound
	// from being met, at most once a second. It must return at once.
	RequestRelease func()

	FS         FS                    // default: the system's
	Now        func() time.Time      // default: time.Now
	Logger     *slog.Logger          // default: none
	Registerer prometheus.Registerer // default: none
}

const (
	defaultSegmentBytes   = 16 << 20
	minSegmentBytes       = 256
	maxSegmentBytes       = 1 << 30 // offsets within a segment fit 32 bits with sign
	defaultSyncInterval   = time.Second
	defaultCursorInterval = time.Second
)

// complete checks o and fills in the defaults.
func (o *Options) complete() error {
	if o.Dir == "" {
		return errors.New("journal: no folder given")
	}
	if o.SegmentBytes < 0 || o.MaxBytes < 0 || o.MaxAge < 0 || o.MinFreeBytes < 0 || o.SyncInterval < 0 {
		return fmt.Errorf("journal %s: sizes and times must not be negative", o.Dir)
	}
	if o.Sync > SyncPeriodic || o.Policy > Reject {
		return fmt.Errorf("journal %s: unknown sync or full policy", o.Dir)
	}
	setDefault(&o.SegmentBytes, defaultSegmentBytes)
	if o.MaxBytes > 0 {
		o.SegmentBytes = min(o.SegmentBytes, o.MaxBytes/8)
	}
	o.SegmentBytes = min(max(o.SegmentBytes, minSegmentBytes), maxSegmentBytes)
	setDefault(&o.SyncInterval, defaultSyncInterval)
	setDefault(&o.CursorInterval, defaultCursorInterval)
	if o.FS == nil {
		o.FS = osFS{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
