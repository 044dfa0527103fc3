//go:build e2e

package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// The requests below are those that the influx command of InfluxDB 2 sends, in its order, with what it reads of each answer.

type resource struct {
	ID, OrgID, Name, Token, Status string
	RemoteURL, RemoteID            string
	RetentionRules                 []struct{ EverySeconds int64 }
	Type                           string
}

func (p *process) get(path string) (found struct {
	Orgs, Buckets, Users, Authorizations, Remotes, Replications, Content []resource
}) {
	p.t.Helper()
	p.call("GET", path, nil, http.StatusOK, &found)
	return found
}

func (p *process) post(path string, body any) (made resource) {
	p.t.Helper()
	p.call("POST", path, body, http.StatusCreated, &made)
	if len(made.ID) != 16 {
		p.t.Fatalf("POST %s: ID %q", path, made.ID)
	}
	return made
}

type object map[string]any

// refused requires an error of the shape that the command decodes, with one of the codes that it knows.
func (p *process) refused(method, path string, body any, status int, code, text string) {
	p.t.Helper()
	var e struct{ Code, Message string }
	p.call(method, path, body, status, &e)
	if e.Code != code || !strings.Contains(e.Message, text) {
		p.t.Errorf("%s %s: %+v, want code %q and %q", method, path, e, code, text)
	}
}

func TestSetupIsAnsweredWithAllThatTheCommandDereferences(t *testing.T) {
	p := startNode(t, "")
	var allowed struct{ Allowed bool }
	p.call("GET", "/api/v2/setup", nil, http.StatusOK, &allowed)
	if !allowed.Allowed {
		t.Fatal("a fresh node does not allow set-up")
	}
	var made struct {
		User, Bucket, Org resource
		Auth              struct {
			ID, Token, Status, Description, OrgID, UserID string
			Permissions                                   []struct{ Action string }
			Links                                         map[string]string
		}
	}
	request := object{"username": "admin", "password": "password1", "org": "edge", "bucket": "plant", "retentionPeriodSeconds": 0}
	p.call("POST", "/api/v2/setup", request, http.StatusCreated, &made)
	if made.User.ID == "" || made.Bucket.ID == "" || made.Org.ID == "" || made.Auth.ID == "" || len(made.Auth.Token) < 40 ||
		made.Auth.UserID != made.User.ID || made.Auth.OrgID != made.Org.ID || len(made.Auth.Permissions) == 0 || made.Auth.Links["self"] == "" {
		t.Fatalf("set-up answered %+v", made)
	}
	p.call("GET", "/api/v2/setup", nil, http.StatusOK, &allowed)
	if allowed.Allowed {
		t.Error("set-up is allowed a second time")
	}
	p.refused("POST", "/api/v2/setup", request, http.StatusUnprocessableEntity, "conflict", "onboarding has already been completed")
	p.token = made.Auth.Token
	resp, err := p.client().Get(p.url("/health"))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.Header.Get("X-Influxdb-Build") != "OSS" || resp.Header.Get("X-Influxdb-Version") == "" {
		t.Errorf("headers %v: the command refuses a server that does not say OSS", resp.Header)
	}
}

func TestBucketsFollowTheCommandsRequests(t *testing.T) {
	p := startNode(t, "").setup("edge", "plant")
	org := p.get("/api/v2/orgs?org=edge").Orgs[0].ID
	p.refused("GET", "/api/v2/orgs?org=nowhere", nil, http.StatusNotFound, "not found", `organization name "nowhere" not found`)
	for i := range 45 { // with the first and two system buckets: 48
		p.post("/api/v2/buckets", object{"orgID": org, "name": fmt.Sprintf("b%02d", i), "retentionRules": []object{{"type": "expire", "everySeconds": 7200}}, "schemaType": "implicit"})
	}
	p.refused("POST", "/api/v2/buckets", object{"orgID": org, "name": "b00"}, http.StatusUnprocessableEntity, "conflict", "bucket with name b00 already exists")
	var names []string
	pages := 0
	for offset := 0; ; offset += 20 { // the command asks until a page is short
		path := "/api/v2/buckets?org=edge&limit=20"
		if offset > 0 {
			path += fmt.Sprintf("&offset=%d", offset)
		}
		page := p.get(path).Buckets
		for _, b := range page {
			names = append(names, b.Name)
		}
		if pages++; len(page) < 20 || pages > 5 {
			break
		}
	}
	slices.Sort(names)
	if pages != 3 || len(slices.Compact(names)) != 48 {
		t.Errorf("%d pages with %d different names, want 3 with 48", pages, len(slices.Compact(names)))
	}
	p.refused("GET", "/api/v2/buckets?org=edge&limit=101", nil, http.StatusBadRequest, "invalid", "limit must be between 1 and 100")
	b := p.get("/api/v2/buckets?name=b07&org=edge").Buckets[0]
	if byID := p.get("/api/v2/buckets?id=" + b.ID + "&org=edge").Buckets; len(byID) != 1 || byID[0].Name != "b07" {
		t.Errorf("by ID: %+v", byID)
	}
	p.call("PATCH", "/api/v2/buckets/"+b.ID, object{"retentionRules": []object{{"type": "expire", "everySeconds": 14400}}}, http.StatusOK, &b)
	if b.Name != "b07" || b.RetentionRules[0].EverySeconds != 14400 {
		t.Errorf("after the update: %+v", b)
	}
	p.call("DELETE", "/api/v2/buckets/"+b.ID, nil, http.StatusNoContent, nil)
	p.refused("GET", "/api/v2/buckets?name=b07&org=edge", nil, http.StatusNotFound, "not found", `bucket "b07" not found`)
}

func TestReplicationFollowsTheCommandsRequests(t *testing.T) {
	edge, central := startNode(t, "").setup("edge", "plant"), startNode(t, "").setup("central", "plant")
	org := edge.get("/api/v2/orgs?org=edge").Orgs[0].ID
	if again := edge.get("/api/v2/orgs?orgID=" + org).Orgs; len(again) != 1 || again[0].Name != "edge" {
		t.Fatalf("organization by ID: %+v", again)
	}
	var raw map[string]json.RawMessage
	edge.call("GET", "/api/v2/remotes?orgID="+org, nil, http.StatusOK, &raw)
	if string(bytes.TrimSpace(raw["remotes"])) != "[]" {
		t.Errorf("no remotes are listed as %s", raw["remotes"])
	}
	remote := edge.post("/api/v2/remotes", object{"name": "central", "orgID": org, "remoteURL": central.url(""), "remoteAPIToken": central.token,
		"remoteOrgID": central.orgID(), "allowInsecureTLS": false})
	if list := edge.get("/api/v2/remotes?orgID=" + org).Remotes; len(list) != 1 || list[0].RemoteURL != central.url("") {
		t.Errorf("remotes: %+v", list)
	}
	create := object{"name": "to-central", "orgID": org, "remoteID": remote.ID, "localBucketID": edge.bucketID(), "remoteBucketID": central.bucketID(),
		"maxQueueSizeBytes": 67108860, "maxAgeSeconds": 604800}
	replication := edge.post("/api/v2/replications", create)
	create["maxQueueSizeBytes"] = 1
	edge.refused("POST", "/api/v2/replications", create, http.StatusBadRequest, "invalid", "maxQueueSize too small, must be at least 33554430")
	for filter, want := range map[string]int{"": 1, "&name=to-central": 1, "&name=other": 0, "&remoteID=" + remote.ID: 1, "&localBucketID=" + central.bucketID(): 0} {
		if list := edge.get("/api/v2/replications?orgID=" + org + filter).Replications; len(list) != want {
			t.Errorf("replications with %q: %+v", filter, list)
		}
	}

	// A write of the command: gzip, precision always given.
	var body bytes.Buffer
	z := gzip.NewWriter(&body)
	_, _ = io.WriteString(z, "pump,id=p1 bar=3.5 1700000000\n") // into memory
	_ = z.Close()
	req, err := http.NewRequest("POST", edge.url("/api/v2/write?"+url.Values{"org": {"edge"}, "bucket": {"plant"}, "precision": {"s"}}.Encode()), &body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Authorization": {"Token " + edge.token}, "Content-Encoding": {"gzip"}, "Content-Type": {"text/plain; charset=utf-8"}}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Fatalf("write: status %d", resp.StatusCode)
	}
	eventually(t, 20*time.Second, func() error {
		rows, err := central.tryQuery("SELECT bar FROM pump WHERE id = 'p1'")
		if err != nil || len(rows) != 1 || fmt.Sprint(rows[0]) != "[1700000000000000000 3.5]" {
			return fmt.Errorf("central: %v, %v", rows, err)
		}
		return nil
	})
	var one struct {
		LatestResponseCode       int
		RemainingBytesToBeSynced int64
		MaxQueueSizeBytes        int64
	}
	eventually(t, 10*time.Second, func() error {
		edge.call("GET", "/api/v2/replications/"+replication.ID, nil, http.StatusOK, &one)
		if one.LatestResponseCode != 204 || one.RemainingBytesToBeSynced != 0 || one.MaxQueueSizeBytes != 67108860 {
			return fmt.Errorf("replication: %+v", one)
		}
		return nil
	})
	edge.call("PATCH", "/api/v2/replications/"+replication.ID, object{"name": "renamed", "maxQueueSizeBytes": 33554430}, http.StatusOK, nil)
	edge.refused("DELETE", "/api/v2/buckets/"+strings.Repeat("a", 16), nil, http.StatusNotFound, "not found", "")
	edge.call("GET", "/api/v2/replications/"+replication.ID, nil, http.StatusOK, nil)
	edge.call("DELETE", "/api/v2/replications/"+replication.ID, nil, http.StatusNoContent, nil)
	edge.call("DELETE", "/api/v2/remotes/"+remote.ID, nil, http.StatusNoContent, nil)
	edge.refused("GET", "/api/v2/remotes/"+remote.ID, nil, http.StatusNotFound, "not found", "")
}

func TestUsersAuthorizationsAndMappingsFollowTheCommandsRequests(t *testing.T) {
	p := startNode(t, "").setup("edge", "plant")
	org, bucket := p.orgID(), p.bucketID()
	user := p.post("/api/v2/users", object{"name": "operator"})
	p.call("POST", "/api/v2/orgs/"+org+"/members", object{"id": user.ID}, http.StatusCreated, nil)
	p.call("POST", "/api/v2/users/"+user.ID+"/password", object{"password": "password2"}, http.StatusNoContent, nil)
	if list := p.get("/api/v2/users?name=operator").Users; len(list) != 1 || list[0].ID != user.ID {
		t.Errorf("users: %+v", list)
	}
	var types []string
	p.call("GET", "/api/v2/resources", nil, http.StatusOK, &types)
	if !slices.Contains(types, "buckets") || !slices.Contains(types, "replications") {
		t.Errorf("resources: %v", types)
	}
	read := []object{{"action": "read", "resource": object{"type": "buckets", "id": bucket, "orgID": org}}}
	auth := p.post("/api/v2/authorizations", object{"orgID": org, "userID": user.ID, "permissions": read})
	if auth.Token == "" || auth.Status != "active" {
		t.Fatalf("authorization: %+v", auth)
	}
	p.refused("POST", "/api/v2/authorizations", object{"orgID": org, "permissions": []object{}}, http.StatusBadRequest, "invalid", "authorization must include permissions")
	for _, a := range p.get("/api/v2/authorizations").Authorizations {
		if a.Token == auth.Token || a.Token == p.token {
			t.Error("a list shows a token")
		}
	}
	p.call("GET", "/api/v2/authorizations/"+auth.ID, nil, http.StatusOK, nil)
	p.call("PATCH", "/api/v2/authorizations/"+auth.ID, object{"status": "inactive"}, http.StatusOK, nil)
	p.call("DELETE", "/api/v2/authorizations/"+auth.ID, nil, http.StatusNoContent, nil)

	mapping := p.post("/api/v2/dbrps", object{"orgID": org, "bucketID": bucket, "database": "telegraf", "retention_policy": "autogen"}) // bare
	p.refused("POST", "/api/v2/dbrps", object{"orgID": org, "bucketID": bucket, "database": "telegraf", "retention_policy": "autogen"}, http.StatusUnprocessableEntity, "conflict", "")
	if list := p.get("/api/v2/dbrps?org=edge&db=telegraf").Content; len(list) != 1 || list[0].ID != mapping.ID {
		t.Errorf("dbrps: %+v", list)
	}
	var wrapped struct{ Content resource }
	p.call("PATCH", "/api/v2/dbrps/"+mapping.ID+"?org=edge", object{"default": true}, http.StatusOK, &wrapped)
	if wrapped.Content.ID != mapping.ID {
		t.Errorf("PATCH of a dbrp: %+v", wrapped)
	}
	p.refused("GET", "/api/v2/dbrps", nil, http.StatusBadRequest, "invalid", "either 'org' or 'orgID' must be provided")
	p.call("DELETE", "/api/v2/dbrps/"+mapping.ID+"?org=edge", nil, http.StatusNoContent, nil)

	const legacy = "/private/legacy/authorizations"
	if list := p.get(legacy + "?token=old").Authorizations; len(list) != 0 {
		t.Errorf("1.x users before there is one: %+v", list)
	}
	old := p.post(legacy, object{"orgID": org, "token": "old", "permissions": read})
	p.call("POST", legacy+"/"+old.ID+"/password", object{"password": "password3"}, http.StatusNoContent, nil)
	if list := p.get(legacy + "?token=old").Authorizations; len(list) != 1 || list[0].Token != "old" {
		t.Errorf("1.x users: %+v", list)
	}
	if status, body := p.version1("old", "password3", "GET", "/query?db=plant&q=SHOW+MEASUREMENTS", ""); status != http.StatusOK {
		t.Errorf("query by the 1.x user: %d %s", status, body)
	}
	p.call("DELETE", legacy+"/"+old.ID, nil, http.StatusNoContent, nil)
	p.call("DELETE", "/api/v2/users/"+user.ID, nil, http.StatusNoContent, nil)
}

func TestADatabaseIsMadeWithTheDurationThatItIsGiven(t *testing.T) {
	p := startNode(t, "").setup("edge", "plant")
	for _, c := range []struct{ statement, want string }{
		{`CREATE DATABASE short WITH DURATION 3d REPLICATION 1 SHARD DURATION 2h`, `{"results":[{"statement_id":0}]}`},
		{`SHOW RETENTION POLICIES ON short`, `["autogen","72h0m0s","2h0m0s",1,true]`},
		{`CREATE DATABASE short WITH DURATION 3d`, `{"results":[{"statement_id":0}]}`},
		{`CREATE DATABASE long`, `{"results":[{"statement_id":0}]}`},
		{`SHOW RETENTION POLICIES ON long`, `["autogen","0s","168h0m0s",1,true]`},
		{`CREATE DATABASE named WITH DURATION 3d NAME weekly`, `make a bucket \"named/weekly\" for another`},
		{`CREATE DATABASE minute WITH DURATION 1m`, `retention policy duration must be at least 1h0m0s`},
	} {
		status, body := p.do("POST", "/query?q="+url.QueryEscape(c.statement), nil)
		if status != http.StatusOK || !strings.Contains(string(body), c.want) {
			t.Errorf("%s: %d %s, want %s", c.statement, status, body, c.want)
		}
	}
}

func TestDeleteFollowsTheCommandsRequest(t *testing.T) {
	p := startNode(t, "").setup("edge", "plant")
	p.mustWrite(lines("kept", 0, 5) + lines("gone", 0, 5))
	path := "/api/v2/delete?bucket=plant&org=edge"
	p.call("POST", path, object{"start": "2009-01-02T23:00:00Z", "stop": "2100-01-01T00:00:00Z", "predicate": `_measurement="gone"`}, http.StatusNoContent, nil)
	p.refused("POST", path, object{"start": "2009-01-02T23:00:00Z", "stop": "2100-01-01T00:00:00Z", "predicate": `_measurement="gone`}, http.StatusBadRequest, "invalid", "")
	if err := holds(p, "kept", 5); err != nil {
		t.Error(err)
	}
	if rows := p.query("SELECT v FROM gone"); len(rows) != 0 {
		t.Errorf("deleted points: %v", rows)
	}
}
