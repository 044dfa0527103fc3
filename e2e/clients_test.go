//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
	"github.com/influxdata/influxdb-client-go/v2/api/write"
	"github.com/influxdata/influxdb-client-go/v2/domain"
	influxdb1 "github.com/influxdata/influxdb1-client/v2"
)

func TestGoClientWritesBlocking(t *testing.T) {
	n := startNode(t, "").setup("org", "plant")
	c := influxdb2.NewClient(n.url(""), n.token)
	defer c.Close()
	if ok, err := c.Ping(t.Context()); !ok || err != nil {
		t.Fatalf("ping: %v, %v", ok, err)
	}
	health, err := c.Health(t.Context())
	if err != nil || health.Status != domain.HealthCheckStatusPass {
		t.Fatalf("health: %+v, %v", health, err)
	}
	w := c.WriteAPIBlocking(n.org, n.bucket)
	for i := range 100 {
		p := influxdb2.NewPoint("pump", map[string]string{"id": fmt.Sprint(i % 3)},
			map[string]any{"bar": float64(i) / 8, "on": i%2 == 0, "n": i, "name": "p, \"1\""}, time.Unix(0, chaosTime(int64(i))))
		if err := w.WritePoint(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.WriteRecord(t.Context(), "pump v="); err == nil {
		t.Fatal("a line without a value was accepted")
	}
	if rows := n.query(`SELECT bar, "on", n, "name" FROM pump`); len(rows) != 100 || rows[99][4] != `p, "1"` {
		t.Fatalf("%d rows, the last %v", len(rows), rows[len(rows)-1])
	}
}

func TestGoClientBatchesThroughOutages(t *testing.T) {
	n := startNode(t, "").setup("org", "plant")
	c := influxdb2.NewClientWithOptions(n.url(""), n.token, influxdb2.DefaultOptions().
		SetBatchSize(50).SetFlushInterval(100).SetRetryInterval(100).SetMaxRetryInterval(300).SetMaxRetries(100).SetUseGZip(true))
	defer c.Close()
	w := c.WriteAPI(n.org, n.bucket)
	errs := w.Errors()
	go func() {
		for range errs { // the client reports each try that failed; the points are asked for below
		}
	}()
	const points = 3000
	for i := range points {
		w.WritePoint(write.NewPointWithMeasurement("batch").AddTag("host", fmt.Sprint(i%5)).AddField("v", i).SetTime(time.Unix(0, chaosTime(int64(i)))))
		if i%1000 == 700 {
			n.kill()
			time.Sleep(200 * time.Millisecond)
			n.start()
		}
	}
	w.Flush()
	eventually(t, 30*time.Second, func() error { return holds(n, "batch", points) })
}

func TestGoClientAdministers(t *testing.T) {
	n := startNode(t, "").setup("org", "plant")
	c := influxdb2.NewClient(n.url(""), n.token)
	defer c.Close()
	ctx := t.Context()
	org, err := c.OrganizationsAPI().FindOrganizationByName(ctx, n.org)
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := c.BucketsAPI().CreateBucketWithName(ctx, org, "second", domain.RetentionRule{EverySeconds: 7200})
	if err != nil || bucket.RetentionRules[0].EverySeconds != 7200 {
		t.Fatalf("create bucket: %+v, %v", bucket, err)
	}
	if _, err := c.BucketsAPI().CreateBucketWithName(ctx, org, "second"); err == nil {
		t.Fatal("a second bucket of the same name was made")
	}
	bucket.Name = "renamed"
	if _, err := c.BucketsAPI().UpdateBucket(ctx, bucket); err != nil {
		t.Fatal(err)
	}
	if list, err := c.BucketsAPI().FindBucketsByOrgName(ctx, n.org); err != nil || len(*list) != 4 {
		t.Fatalf("buckets: %+v, %v", list, err)
	}
	user, err := c.UsersAPI().CreateUserWithName(ctx, "reader")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.UsersAPI().UpdateUserPassword(ctx, user, "password2"); err != nil {
		t.Fatal(err)
	}
	read := []domain.Permission{{Action: domain.PermissionActionRead, Resource: domain.Resource{Type: domain.ResourceTypeBuckets, Id: bucket.Id, OrgID: org.Id}}}
	auth, err := c.AuthorizationsAPI().CreateAuthorizationWithOrgID(ctx, *org.Id, read)
	if err != nil || auth.Token == nil {
		t.Fatalf("create authorization: %+v, %v", auth, err)
	}
	reader := influxdb2.NewClient(n.url(""), *auth.Token)
	defer reader.Close()
	if err := reader.WriteAPIBlocking(n.org, "renamed").WriteRecord(ctx, "m v=1"); err == nil {
		t.Fatal("a token that may only read has written")
	}
	if _, err := c.AuthorizationsAPI().UpdateAuthorizationStatus(ctx, auth, domain.AuthorizationUpdateRequestStatusInactive); err != nil {
		t.Fatal(err)
	}
	if list, err := c.AuthorizationsAPI().GetAuthorizations(ctx); err != nil || len(*list) != 2 {
		t.Fatalf("authorizations: %+v, %v", list, err)
	}
	if err := c.AuthorizationsAPI().DeleteAuthorization(ctx, auth); err != nil {
		t.Fatal(err)
	}
	if err := c.UsersAPI().DeleteUser(ctx, user); err != nil {
		t.Fatal(err)
	}
	if err := c.BucketsAPI().DeleteBucket(ctx, bucket); err != nil {
		t.Fatal(err)
	}
	// Deleting points takes the measurement and leaves the others.
	n.mustWrite(lines("gone", 0, 10) + lines("kept", 0, 10))
	if err := c.DeleteAPI().DeleteWithName(ctx, n.org, n.bucket, time.Unix(0, 0), time.Now(), `_measurement="gone"`); err != nil {
		t.Fatal(err)
	}
	if err := holds(n, "kept", 10); err != nil {
		t.Fatal(err)
	}
	if rows := n.query("SELECT v FROM gone"); len(rows) != 0 {
		t.Fatalf("deleted points are still there: %v", rows)
	}
}

func TestGoClientOfVersion1QueriesAndWrites(t *testing.T) {
	n := startNode(t, "").setup("org", "plant")
	n.mustWrite(lines("cpu", 0, 50))
	c, err := influxdb1.NewHTTPClient(influxdb1.HTTPConfig{Addr: n.url(""), Username: "anyone", Password: n.token})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, _, err := c.Ping(5 * time.Second); err != nil {
		t.Fatal(err)
	}
	bp, err := influxdb1.NewBatchPoints(influxdb1.BatchPointsConfig{Database: n.bucket, Precision: "s"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := influxdb1.NewPoint("old", map[string]string{"a": "b c"}, map[string]any{"v": 1.5}, time.Unix(1700000000, 0))
	if err != nil {
		t.Fatal(err)
	}
	bp.AddPoint(p)
	if err := c.Write(bp); err != nil {
		t.Fatal(err)
	}
	for q, rows := range map[string]int{
		"SELECT v FROM cpu WHERE host = 'h1'":        7,
		"SELECT count(v) FROM cpu GROUP BY host":     1,
		"SELECT v FROM old":                          1,
		"SHOW MEASUREMENTS":                          2,
		`SHOW TAG VALUES FROM cpu WITH KEY = "host"`: 7,
	} {
		r, err := c.Query(influxdb1.NewQuery(q, n.bucket, "ns"))
		if err == nil {
			err = r.Error()
		}
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		if got := len(r.Results[0].Series[0].Values); got != rows {
			t.Errorf("%s: %d rows, want %d", q, got, rows)
		}
	}
	chunked := influxdb1.NewQuery("SELECT v FROM cpu", n.bucket, "ns")
	chunked.Chunked, chunked.ChunkSize = true, 7
	r, err := c.Query(chunked)
	if err != nil || r.Error() != nil {
		t.Fatal(err, r.Error())
	}
	got := 0
	for _, result := range r.Results {
		for _, s := range result.Series {
			got += len(s.Values)
		}
	}
	if got != 50 {
		t.Errorf("chunked: %d rows, want 50", got)
	}
	if r, err := c.Query(influxdb1.NewQuery("SELECT v FROM cpu", "nowhere", "ns")); err == nil && r.Error() == nil {
		t.Error("a query of an unknown database gave no error")
	}
}
