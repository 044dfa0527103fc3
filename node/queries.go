package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/influxdata/influxql"

	"github.com/holdfast-telemetry/holdfast/node/api"
	"github.com/holdfast-telemetry/holdfast/node/catalog"
	"github.com/holdfast-telemetry/holdfast/node/query"
	"github.com/holdfast-telemetry/holdfast/node/store"
)

// querier answers the API's queries with the executor.
type querier struct{ executor *query.Executor }

// Query implements api.Querier.
func (q *querier) Query(ctx context.Context, w http.ResponseWriter, r *api.Query) error {
	o := query.EncodeOptions{Epoch: r.Epoch, Chunked: r.Chunked, ChunkSize: r.ChunkSize}
	if r.Chunked {
		o.Flush = func() { _ = http.NewResponseController(w).Flush() } // a client that is gone is found at the next write
	}
	encoder, kind := query.NewJSONEncoder(w, o), "application/json"
	if r.Accept == "application/csv" || r.Accept == "text/csv" {
		encoder, kind = query.NewCSVEncoder(w, o), r.Accept
	}
	w.Header().Set("Content-Type", kind)
	err := q.executor.Execute(context.WithValue(ctx, accessKey{}, r.Access), query.Request{
		Query: r.Text, Database: r.Database, Policy: r.RetentionPolicy, Params: r.Params, ReadOnly: r.ReadOnly, Authorizer: authorizer{r.Access},
	}, encoder)
	var parse *query.ParseError
	if errors.As(err, &parse) {
		w.Header().Del("Content-Type")
		return catalog.Errorf(catalog.Invalid, "%s", parse.Error())
	}
	return err
}

// accessKey is where a request's context carries what its sender may see: databases belong to an organisation.
type accessKey struct{}

func accessOf(ctx context.Context) *api.Access { return ctx.Value(accessKey{}).(*api.Access) }

// databases is how queries find and change the node's buckets.
type databases struct{ *buckets }

// Databases implements query.Databases.
func (d databases) Databases(ctx context.Context) ([]query.Database, error) {
	mappings, err := accessOf(ctx).Mappings()
	if err != nil {
		return nil, err
	}
	var list []query.Database
	for _, m := range mappings { // sorted by database
		b, err := d.catalog.Bucket(m.BucketID)
		if catalog.CodeOf(err) == catalog.NotFound {
			continue // deleted meanwhile
		} else if err != nil {
			return nil, err
		}
		if len(list) == 0 || list[len(list)-1].Name != m.Database {
			list = append(list, query.Database{Name: m.Database})
		}
		last := &list[len(list)-1]
		last.Policies = append(last.Policies, query.RetentionPolicy{
			Name: m.RetentionPolicy, Duration: b.Retention, ShardGroupDuration: b.ShardDuration, Default: m.Default,
		})
	}
	return list, nil
}

// Reader implements query.Databases.
func (d databases) Reader(ctx context.Context, database, policy string) (store.Reader, error) {
	b, err := d.resolve(ctx, database, policy)
	if err != nil {
		return nil, err
	}
	return b.store, nil
}

// Delete implements query.Deleter.
func (d databases) Delete(ctx context.Context, database, policy string, what query.Deletion) error {
	b, err := d.resolve(ctx, database, policy)
	if err != nil {
		return err
	}
	deletion := store.Delete{Range: what.Range, Tags: what.Tags}
	if what.Measurement != "" {
		deletion.Measurement = store.OfMeasurement(what.Measurement)
	}
	return b.delete(ctx, deletion)
}

func (d databases) resolve(ctx context.Context, database, policy string) (*bucket, error) {
	known, err := accessOf(ctx).Bucket(database, policy)
	if catalog.CodeOf(err) == catalog.NotFound {
		return nil, query.ErrNoPolicy
	} else if err != nil {
		return nil, err
	}
	return d.get(known.ID)
}

// createDatabase answers CREATE DATABASE, which 1.x clients send before they write: a bucket of the name is made unless there is one.
func (d databases) createDatabase(ctx context.Context, s *influxql.CreateDatabaseStatement) error {
	access := accessOf(ctx)
	if _, err := access.Bucket(s.Name, ""); catalog.CodeOf(err) != catalog.NotFound {
		return err
	}
	if s.RetentionPolicyName != "" && s.RetentionPolicyName != catalog.Autogen {
		return fmt.Errorf("database %q can only be made with the retention policy %s: make a bucket %q for another", s.Name, catalog.Autogen, s.Name+"/"+s.RetentionPolicyName)
	}
	b := catalog.Bucket{Name: s.Name, ShardDuration: s.RetentionPolicyShardGroupDuration}
	if s.RetentionPolicyDuration != nil {
		b.Retention = *s.RetentionPolicyDuration
	}
	_, err := access.CreateBucket(b)
	return err
}

// authorizer applies the permissions of one request's token.
type authorizer struct{ access *api.Access }

// Authorize implements query.Authorizer.
func (a authorizer) Authorize(_ context.Context, database, policy string, want query.Access) error {
	b, err := a.access.Bucket(database, policy)
	if catalog.CodeOf(err) == catalog.NotFound {
		return nil // the statement tells that there is no such database
	}
	if err != nil {
		return err
	}
	if want == query.Write && !a.access.MayWrite(b.ID) {
		return fmt.Errorf("insufficient permissions to change database %q", database)
	}
	return nil
}
