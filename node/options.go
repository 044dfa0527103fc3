package node

import (
	"time"

	"github.com/holdfast-telemetry/holdfast/node/collect/conf"
	"github.com/holdfast-telemetry/holdfast/node/journal"
	"github.com/holdfast-telemetry/holdfast/node/query"
	"github.com/holdfast-telemetry/holdfast/node/settings"
	"github.com/holdfast-telemetry/holdfast/node/store"
)

// journalOptions returns the options of every bucket's journal; folder, position and names are the bucket's.
func journalOptions(j settings.Journal) journal.Options {
	o := journal.Options{
		SyncInterval: duration(j.SyncInterval), CursorInterval: duration(j.CursorInterval), SegmentBytes: int64(j.SegmentBytes),
		MaxBytes: int64(j.MaxBytes), MaxAge: duration(j.MaxAge), MinFreeBytes: int64(j.MinFreeBytes),
	}
	if j.Sync == "interval" {
		o.Sync = journal.SyncPeriodic
	}
	if j.Policy == "reject" {
		o.Policy = journal.Reject
	}
	return o
}

func storeOptions(s settings.Store) store.Options {
	return store.Options{FlushBytes: int64(s.MemtableBytes), FlushAge: duration(s.FlushAge), MaxSeries: s.MaxSeries}
}

func queryLimits(q settings.Query) query.Limits {
	l := query.DefaultLimits()
	if q.MaxMemory > 0 {
		l.MaxBytes = int64(q.MaxMemory)
	}
	if q.Timeout > 0 {
		l.Timeout = duration(q.Timeout)
	}
	return l
}

func duration(d conf.Duration) time.Duration { return time.Duration(d) }
