package node

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/collect/conf"
	"github.com/holdfast-telemetry/holdfast/node/journal"
	"github.com/holdfast-telemetry/holdfast/node/query"
	"github.com/holdfast-telemetry/holdfast/node/replicate"
	"github.com/holdfast-telemetry/holdfast/node/settings"
	"github.com/holdfast-telemetry/holdfast/node/store"
)

// What holds where the configuration is silent. Loopback: what is not asked for is not reachable.
const (
	defaultListen       = "127.0.0.1:8086"
	defaultData         = "holdfast-data"
	defaultJournalBytes = 1 << 30
)

// complete fills in defaults and what the command line says.
func complete(s *settings.Settings, o RunOptions) (err error) {
	for _, v := range []struct {
		set     *string
		command string
		normal  string
	}{
		{&s.Node.Listen, o.Listen, defaultListen},
		{&s.Node.Data, o.Data, defaultData},
	} {
		if v.command != "" {
			*v.set = v.command
		} else if *v.set == "" {
			*v.set = v.normal
		}
	}
	if s.Journal.MaxBytes == 0 {
		s.Journal.MaxBytes = defaultJournalBytes
	}
	s.Node.Data, err = filepath.Abs(s.Node.Data)
	return err
}

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

// newLogger logs to the standard error output; the command line wins over the configuration.
func newLogger(s settings.Node, o RunOptions) *slog.Logger {
	var level slog.Level
	switch {
	case o.Debug:
		level = slog.LevelDebug
	case o.Quiet:
		level = slog.LevelError
	default:
		_ = level.UnmarshalText([]byte(s.LogLevel)) // it was checked; empty leaves info
	}
	h := &slog.HandlerOptions{Level: level}
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, h))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, h))
}

func duration(d conf.Duration) time.Duration { return time.Duration(d) }
