package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/api"
	"github.com/holdfast-telemetry/holdfast/node/journal"
	"github.com/holdfast-telemetry/holdfast/node/line"
	"github.com/holdfast-telemetry/holdfast/node/store"
)

// storeCursor names the journal position up to which the store has its own durable copy.
const storeCursor = "store"

// bucket is one bucket's durable log and the store that reads it. Its write is the only way that points come into the node:
// what it returns nil for is synced to disk.
type bucket struct {
	id    id.ID
	log   journal.Log
	store *store.Bucket
	// pressure tells whether the store's memory has room for another write.
	pressure func() error
	now      func() time.Time
	logger   *slog.Logger

	order turnstile
	texts sync.Pool // of *[]byte: canonical text of a request on its way to the journal

	room   sync.Mutex  // held by the one who flushes to make room in the journal
	noRoom time.Time   // when that last failed
	failed atomic.Bool // the journal stopped for good
}

// turnstile lets the holders of consecutive positions through one at a time, in the order of the positions, so that what the
// live store shows for a series, time and field is what a replay of the journal would show.
type turnstile struct {
	mu   sync.Mutex
	cond sync.Cond
	next journal.Position
}

func (t *turnstile) open(next journal.Position) {
	t.cond.L = &t.mu
	t.next = next
}

// pass runs f once every position before p has passed. A panic of f ends its own request only: those behind it pass all the same.
func (t *turnstile) pass(p journal.Position, f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.next != p {
		t.cond.Wait()
	}
	defer t.cond.Broadcast()
	t.next = p + 1
	f()
}

// write makes the batch's acceptable points durable and visible. It returns a *store.PartialWrite when some were refused (the
// others are stored), and any other error when none were.
func (b *bucket) write(ctx context.Context, batch *line.Batch) error {
	if len(batch.Points) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.pressure(); err != nil {
		return err
	}
	refused := b.store.Admit(batch, b.now())
	if len(batch.Points) > 0 {
		if err := b.append(ctx, batch); err != nil {
			return err
		}
	}
	if refused != nil {
		return refused
	}
	return nil
}

func (b *bucket) append(ctx context.Context, batch *line.Batch) error {
	text, _ := b.texts.Get().(*[]byte)
	if text == nil {
		text = new([]byte)
	}
	defer b.texts.Put(text)
	*text = line.AppendBatch((*text)[:0], batch)
	rec := journal.Record{Kind: journal.Points, Count: len(batch.Points), Body: *text}
	rec.MinTime, rec.MaxTime = batch.TimeBounds()
	pos, err := b.keep(ctx, rec)
	if err != nil {
		return err
	}
	b.order.pass(pos, func() { b.store.Apply(uint64(pos), batch) })
	return nil
}

// keep makes a record durable. Its position must pass the turnstile; a client that goes away meanwhile must not leave it unclaimed.
func (b *bucket) keep(ctx context.Context, rec journal.Record) (journal.Position, error) {
	flushed := b.store.Flushed()
	pos, err := b.log.Append(context.WithoutCancel(ctx), rec)
	if errors.Is(err, journal.ErrFull) {
		if err = b.makeRoom(ctx, flushed, err); err == nil {
			pos, err = b.log.Append(context.WithoutCancel(ctx), rec)
		}
	}
	if errors.Is(err, journal.ErrFailed) {
		b.failed.Store(true)
	}
	return pos, err
}

// roomRetry is how long nobody tries to make room after that failed: on a full disk each try writes what is then thrown away.
const roomRetry = 2 * time.Second

// makeRoom flushes the store, which may be what holds the journal's oldest records, unless another has done so since the store was at
// the position flushed. It returns full, or an error that is full too, when that makes no room.
func (b *bucket) makeRoom(ctx context.Context, flushed uint64, full error) error {
	b.room.Lock()
	defer b.room.Unlock()
	if b.store.Flushed() > flushed {
		return nil
	}
	if age := b.now().Sub(b.noRoom); age >= 0 && age < roomRetry || b.store.Applied() == flushed {
		return full
	}
	if err := b.store.Flush(ctx); err != nil {
		if ctx.Err() == nil {
			b.noRoom = b.now()
		}
		return fmt.Errorf("%w; no room was made: %w", full, err)
	}
	return nil
}

// delete removes points. The request takes its place in the journal between the writes that it came between.
func (b *bucket) delete(ctx context.Context, d store.Delete) error {
	body, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode delete: %w", err)
	}
	pos, err := b.keep(ctx, journal.Record{
		Kind: journal.Delete, MinTime: d.Range.Min, MaxTime: d.Range.Max, Body: body,
	})
	if err != nil {
		return err
	}
	b.order.pass(pos, func() { b.store.ApplyDelete(uint64(pos), d) })
	return nil
}

// recover gives the store what the journal holds behind the store's own durable position. Records that the journal lost are
// logged: their points were acknowledged and are gone from this node, unless a replication had sent them.
func (b *bucket) recover() error {
	r, err := b.log.ReadFrom(journal.Position(b.store.Flushed()) + 1)
	if err != nil {
		return fmt.Errorf("recover bucket %s: %w", b.id, err)
	}
	defer func() { _ = r.Close() }() // it was only read
	var (
		parser line.Parser
		batch  line.Batch
		points int
		begin  = time.Now()
	)
	for {
		rec, err := r.Next()
		var gap *journal.Gap
		switch {
		case errors.Is(err, io.EOF):
			if points > 0 {
				b.logger.Info("journal replayed", "points", points, "took", time.Since(begin))
			}
			_, last := b.log.Bounds()
			b.order.open(last + 1)
			return nil
		case errors.As(err, &gap):
			b.logger.Error("journal records are missing; their points are lost on this node",
				"from", gap.From, "to", gap.To, "points", gap.Points, "reason", gap.Reason, "cause", gap.Err)
			continue
		case err != nil:
			return fmt.Errorf("recover bucket %s: %w", b.id, err)
		}
		switch rec.Kind {
		case journal.Points:
			batch.Reset()
			if err := parser.Parse(&batch, rec.Body, line.Options{Precision: line.Nanosecond}); err != nil {
				b.logger.Error("journal record holds lines that cannot be read back", "position", rec.Position, "err", err)
			}
			b.store.Apply(uint64(rec.Position), &batch)
			points += len(batch.Points)
		case journal.Delete:
			var d store.Delete
			if err := json.Unmarshal(rec.Body, &d); err != nil {
				return fmt.Errorf("recover bucket %s: delete at position %d: %w", b.id, rec.Position, err)
			}
			b.store.ApplyDelete(uint64(rec.Position), d)
		}
	}
}

func (b *bucket) status() api.BucketStatus {
	first, last := b.log.Bounds()
	damages := b.store.Damages()
	st := api.BucketStatus{
		JournalFirst: uint64(first), JournalLast: uint64(last), JournalBytes: b.log.Size(first - 1),
		StoreApplied: b.store.Applied(), StoreFlushed: b.store.Flushed(), StoreBytes: b.store.Bytes(), StoreSeries: int64(b.store.SeriesCount()),
	}
	if len(damages) > 0 {
		st.StoreProblems = fmt.Sprintf("%d damaged pages or files; the last: %v", len(damages), &damages[len(damages)-1])
	}
	return st
}
