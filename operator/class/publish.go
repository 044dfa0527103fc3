package class

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// next is the entry to ask the agent about now, or nil: new texts first, then the one that is due for the longest time.
func (v *evaluator) next() *entry {
	for len(v.fresh) > 0 {
		e := v.fresh[0]
		v.fresh = v.fresh[1:]
		if e.text != nil && e.verdict.Reason == ReasonChecking {
			return e
		}
	}
	var first *entry
	now := v.r.o.Now()
	for _, e := range v.entries {
		if e.text != nil && !v.dueAt(e).After(now) && (first == nil || e.due.Before(first.due)) {
			first = e
		}
	}
	return first
}

// dueAt is when the agent can be asked about the entry again: not while its checker is known to be away.
func (v *evaluator) dueAt(e *entry) time.Time {
	if out := v.down[agentOf(e.text, v.r.o.DefaultAgent)]; out.until.After(e.due) {
		return out.until
	}
	return e.due
}

// untilDue is the time until there is somebody to ask about, or an hour.
func (v *evaluator) untilDue() time.Duration {
	wait := time.Hour
	for _, e := range v.entries {
		if e.text != nil {
			wait = min(wait, v.dueAt(e).Sub(v.r.o.Now()))
		}
	}
	return max(wait, time.Millisecond)
}

func (v *evaluator) markSynced() {
	if len(v.reported) < len(v.r.sources) {
		return
	}
	select {
	case <-v.r.synced:
	default:
		close(v.r.synced)
	}
}

// judge notes the verdict on an entry, and logs it once if it is another than before.
func (v *evaluator) judge(e *entry, verdict Verdict) {
	verdict.Key, verdict.Source, verdict.Hash, verdict.InUse = e.key, e.source, e.hash, e.inUse()
	verdict.Generation, verdict.Object, verdict.Time = e.generation, e.object, v.r.o.Now()
	if e.verdict.same(verdict) {
		return
	}
	news := e.verdict.Reason != verdict.Reason || e.verdict.Hash != verdict.Hash || e.verdict.Message != verdict.Message
	e.verdict = verdict
	v.changed[e.key] = true
	if !news || verdict.Reason == ReasonChecking {
		return
	}
	log := v.r.log.With("class", e.key.String(), "source", verdict.Source, "reason", string(verdict.Reason), "hash", verdict.Hash)
	switch {
	case !verdict.Valid && verdict.InUse != "":
		log.Warn("class refused; its last good text stays in use", "in_use", verdict.InUse, "message", verdict.Message)
	case !verdict.Valid:
		log.Warn("class refused; it has no good text", "message", verdict.Message)
	case verdict.Warning != "" || verdict.Message != "":
		log.Warn("class in use", "warning", strings.TrimSpace(verdict.Message+" "+verdict.Warning))
	default:
		log.Info("class in use", "checked_by", verdict.CheckedBy)
	}
}

// gone notes that a class is in its source no more.
func (v *evaluator) gone(e *entry) {
	if !e.present {
		return
	}
	v.r.log.Info("class is gone", "class", e.key.String(), "kept_for_running_pods", e.good != nil)
	e.present, e.seen, e.text, e.goneAt, e.verdict = false, false, nil, v.r.o.Now(), Verdict{}
	v.changed[e.key] = true
	if e.good == nil {
		v.drop(e)
	}
}

func (v *evaluator) drop(e *entry) {
	e.text = nil
	delete(v.entries, e.key)
	v.changed[e.key] = true
}

// The texts of classes that are gone are bounded, for whoever may create resources may also delete them.
const (
	maxRetained      = 1000
	maxRetainedBytes = 8 << 20
)

// boundRetained drops the texts of the classes that are gone for the longest time.
func (v *evaluator) boundRetained() {
	var gone []*entry
	size := 0
	for _, e := range v.entries {
		if !e.present {
			gone = append(gone, e)
			size += len(e.good.Text)
		}
	}
	if len(gone) <= maxRetained && size <= maxRetainedBytes {
		return
	}
	slices.SortFunc(gone, func(a, b *entry) int { return a.goneAt.Compare(b.goneAt) })
	for ; len(gone) > maxRetained || size > maxRetainedBytes; gone = gone[1:] {
		size -= len(gone[0].good.Text)
		v.r.log.Warn("the text of a class that is gone is kept no longer, for there are too many", "class", gone[0].key.String())
		v.drop(gone[0])
	}
}

// flush shows callers what changed.
func (v *evaluator) flush() {
	if len(v.changed) == 0 {
		return
	}
	next := &view{classes: make(map[Key]held, len(v.entries))}
	for key, e := range v.entries {
		next.classes[key] = held{class: e.good, sure: e.sure, uid: e.uid, present: e.present, verdict: e.verdict}
		if e.present {
			next.verdicts = append(next.verdicts, e.verdict)
		}
	}
	slices.SortFunc(next.verdicts, func(a, b Verdict) int { return compareKeys(a.Key, b.Key) })
	changed := sortedKeys(v.changed)
	clear(v.changed)
	v.r.publish(next, changed)
}

func sortedKeys[V any](m map[Key]V) []Key { return slices.SortedFunc(maps.Keys(m), compareKeys) }

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind)), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
