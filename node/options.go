package node

import (
	"slices"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/collect/conf"
	"github.com/holdfast-telemetry/holdfast/node/journal"
	"github.com/holdfast-telemetry/holdfast/node/query"
	"github.com/holdfast-telemetry/holdfast/node/replicate"
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

// shown is the configuration for operators. Secrets hide themselves; URLs are shown without the credentials that they may hold.
func (n *Node) shown() map[string]any {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.settings
	s.Remotes = slices.Clone(s.Remotes)
	for i := range s.Remotes {
		s.Remotes[i].URL = replicate.Remote{URL: s.Remotes[i].URL}.String()
	}
	return map[string]any{"node": s.Node, "journal": s.Journal, "store": s.Store, "query": s.Query, "remotes": s.Remotes, "replications": s.Replications}
}

func duration(d conf.Duration) time.Duration { return time.Duration(d) }
