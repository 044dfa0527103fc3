//go:build e2e

package influxql_test

import (
	"context"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/line"
	"github.com/holdfast-telemetry/holdfast/node/query"
	"github.com/holdfast-telemetry/holdfast/node/query/querytest"
	"github.com/holdfast-telemetry/holdfast/node/store"
)

// bucket is database d with one bucket of the real store.
type bucket struct {
	*store.Bucket
	pos uint64
}

func (b *bucket) Databases(context.Context) ([]query.Database, error) {
	return []query.Database{{Name: "d", Policies: []query.RetentionPolicy{{Name: "autogen", ShardGroupDuration: querytest.Partition, Default: true}}}}, nil
}

func (b *bucket) Reader(_ context.Context, db, rp string) (store.Reader, error) {
	if db != "d" || rp != "autogen" {
		return nil, query.ErrNoPolicy
	}
	return b.Bucket, nil
}

func (b *bucket) Delete(_ context.Context, _, _ string, d query.Deletion) error {
	del := store.Delete{Range: d.Range, Tags: d.Tags}
	if d.Measurement != "" {
		del.Measurement = store.OfMeasurement(d.Measurement)
	}
	b.pos++
	b.ApplyDelete(b.pos, del)
	return nil
}

func (b *bucket) write(t testing.TB, points []querytest.Point) {
	t.Helper()
	var p line.Parser
	var batch line.Batch
	if err := p.Parse(&batch, []byte(querytest.LineProtocol(points)), line.Options{Precision: line.Nanosecond}); err != nil {
		t.Fatal(err)
	}
	if pw := b.Admit(&batch, time.Now()); pw != nil {
		t.Fatal(pw)
	}
	b.pos++
	b.Apply(b.pos, &batch)
}

// newStoreExecutor is our side over the real store: half of the data in blocks, half of it in memory.
func newStoreExecutor(t testing.TB) *query.Executor {
	t.Helper()
	s, err := store.Open(store.Options{Dir: t.TempDir(), Manual: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	in, err := s.Bucket(id.New(), store.BucketOptions{ShardDuration: querytest.Partition})
	if err != nil {
		t.Fatal(err)
	}
	b := &bucket{Bucket: in}
	points := querytest.Dataset()
	b.write(t, points[:len(points)/2])
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.write(t, points[len(points)/2:])
	return query.NewExecutor(query.Options{Databases: b, Deleter: b})
}
