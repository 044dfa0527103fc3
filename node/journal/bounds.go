package journal

import (
	"fmt"
	"time"
)

const (
	retryPinned = time.Second      // the store is asked to flush and does so at once
	retryReject = 5 * time.Second  // a reader has to get on
	retryDisk   = 10 * time.Second // somebody has to make space

	freeEvery    = time.Second // how long an answer about free space is used
	releaseEvery = time.Second // how often RequestRelease is called at most
)

// clockSet is a time before which no clock that was set can be: a machine without a battery for its clock starts in
// 1970, and what it accepted then has no known age.
var clockSet = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()

// maintain does what is due besides appends; ticked tells that a tick's time has passed.
func (j *Journal) maintain(ticked bool) {
	if j.failure() != nil {
		return
	}
	if ticked && j.o.Sync == SyncPeriodic {
		if err := j.syncNow(); err != nil {
			j.log.Error("journal stopped: nothing more is accepted", "dir", j.o.Dir, "error", j.fail(err))
			return
		}
	}
	if ticked {
		j.retryLeftovers()
	}
	j.releasePassed()
	if err := j.expire(); err != nil {
		j.log.Warn("journal could not drop expired segments", "dir", j.o.Dir, "error", j.fail(err))
	}
}

func (j *Journal) retryLeftovers() {
	j.mu.Lock()
	paths := j.leftovers
	j.leftovers = nil
	j.mu.Unlock()
	for _, path := range paths {
		j.unlink(path)
	}
}

// makeRoom removes segments until need more bytes fit the bounds, or says why they cannot.
func (j *Journal) makeRoom(need int64) error {
	need += headerSize // a new segment may begin
	if _, over := j.over(need); !over {
		return nil
	}
	j.releasePassed()
	for {
		reason, over := j.over(need)
		if !over {
			return nil
		}
		if j.o.Policy == Reject {
			return &FullError{RetryAfter: retryReject, Reason: j.boundText(reason) + " and the policy is to reject"}
		}
		if err := j.dropOldest(reason); err != nil {
			return err
		}
	}
}

// over tells whether need more bytes would go over a bound, and which.
func (j *Journal) over(need int64) (dropReason, bool) {
	if j.o.MaxBytes > 0 && j.bytes+need > j.o.MaxBytes {
		return dropBytes, true
	}
	if j.o.MinFreeBytes > 0 && !j.enoughFree(uint64(j.o.MinFreeBytes)+uint64(need)) {
		return dropFree, true
	}
	return 0, false
}

// enoughFree asks the system at most every freeEvery and reckons in between, because some file systems give the
// space of deleted files back late: asking again after each drop would drop too much.
func (j *Journal) enoughFree(want uint64) bool {
	now := j.o.Now()
	if age := now.Sub(j.freeAsked); age >= 0 && age < freeEvery {
		return j.free >= want
	}
	free, err := j.fs.Free(j.o.Dir)
	if err != nil {
		if !j.freeUnknown {
			j.log.Warn("free disk space is unknown; its bound is not kept", "dir", j.o.Dir, "error", err)
		}
		free = want
	}
	j.freeUnknown = err != nil
	j.free, j.freeAsked = free, now
	return free >= want
}

func (j *Journal) boundText(r dropReason) string {
	switch r {
	case dropBytes:
		return fmt.Sprintf("the journal has reached its %d bytes", j.o.MaxBytes)
	case dropFree:
		return fmt.Sprintf("less than %d bytes of disk are free", j.o.MinFreeBytes)
	}
	return "the records are older than " + j.o.MaxAge.String()
}

// releasePassed deletes the segments that every cursor has passed. Without a cursor none is.
func (j *Journal) releasePassed() {
	low, ok, _, _ := j.low()
	if !ok {
		return
	}
	j.mu.Lock()
	n := 0
	for n+1 < len(j.segs) && j.segs[n+1].first-1 <= low {
		n++
	}
	if n > 0 {
		j.released = j.segs[n].first - 1
	}
	j.mu.Unlock()
	j.remove(n)
	j.m.releasedSegments.Add(float64(n))
}

// remove takes the n oldest segments out and deletes their files, or leaves that to the readers that are at them.
func (j *Journal) remove(n int) {
	if n == 0 {
		return
	}
	j.mu.Lock()
	gone := j.segs[:n:n]
	j.segs = append([]*segment(nil), j.segs[n:]...)
	idle := make([]*segment, 0, n)
	for _, s := range gone {
		s.removed = true
		j.bytes -= s.size
		j.free += uint64(s.size)
		if s.refs == 0 {
			idle = append(idle, s)
		}
	}
	j.mu.Unlock()
	for _, s := range idle {
		j.unlink(s.path)
	}
	if err := j.fs.SyncDir(j.o.Dir); err != nil {
		j.log.Warn("deletion of journal segments may not be durable; they are deleted again at the next start", "dir", j.o.Dir, "error", err)
	}
}

// expire drops segments whose newest record is over MaxAge.
func (j *Journal) expire() error {
	if j.o.MaxAge == 0 {
		return nil
	}
	cutoff := j.o.Now().Add(-j.o.MaxAge).UnixNano()
	for {
		s := j.oldest()
		newest, ok := j.newestIn(s)
		if !ok || newest < clockSet || newest >= cutoff {
			return nil
		}
		if j.pinned(s) {
			j.requestRelease()
			return nil
		}
		if s == j.newest() {
			if _, err := j.roll(); err != nil {
				return err
			}
			j.releasePassed()
			continue
		}
		if err := j.dropOldest(dropAge); err != nil {
			return err
		}
	}
}

func (j *Journal) oldest() *segment {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.segs[0]
}

// newestIn returns a time, in ns since the epoch, that no record of s was accepted after; ok is false without records.
func (j *Journal) newestIn(s *segment) (accepted int64, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if s.known {
		return s.totals.newest, s.totals.records > 0
	}
	return j.segs[1].created, true // only older segments are not known
}

// pinned reports whether a pinning cursor has not passed s.
func (j *Journal) pinned(s *segment) bool {
	_, _, pin, pinned := j.low()
	return pinned && pin < j.lastOf(s)
}

// lastOf returns the position that no record of s is behind.
func (j *Journal) lastOf(s *segment) Position {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, t := range j.segs[:len(j.segs)-1] {
		if t == s {
			return j.segs[i+1].first - 1
		}
	}
	return j.next - 1
}

// watchPins asks for a release early, before the bounds refuse appends.
func (j *Journal) watchPins() {
	if j.o.MaxBytes == 0 {
		return
	}
	_, _, pin, pinned := j.low()
	if !pinned {
		return
	}
	j.mu.Lock()
	held := j.bytes
	for i := 0; i+1 < len(j.segs) && j.segs[i+1].first-1 <= pin; i++ {
		held -= j.segs[i].size
	}
	j.mu.Unlock()
	if held > j.o.MaxBytes/2 {
		j.requestRelease()
	}
}

func (j *Journal) requestRelease() {
	now := j.o.Now()
	if age := now.Sub(j.asked); j.o.RequestRelease == nil || (age >= 0 && age < releaseEvery) {
		return
	}
	j.asked = now
	j.o.RequestRelease()
}
