package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/node/catalog"
)

func TestHealthTellsOfTheEngine(t *testing.T) {
	n := empty(t, nil)
	r := n.get("/health").want(200)
	for k, v := range map[string]any{"name": "influxdb", "message": "ready for queries and writes", "status": "pass", "version": "v1.2.3", "commit": "abc"} {
		if r.at(k) != v {
			t.Errorf("%s is %v, want %v", k, r.at(k), v)
		}
	}
	if checks, ok := r.at("checks").([]any); !ok || len(checks) != 0 {
		t.Errorf("checks %v", r.at("checks"))
	}
	n.healthErr = errors.New("the disk is broken")
	r = n.get("/health").want(503)
	if r.text("status") != "fail" || r.text("message") != "the disk is broken" || r.text("checks.0.status") != "fail" {
		t.Errorf("body %s", r.Body)
	}
}

func TestReadyTellsSinceWhen(t *testing.T) {
	r := empty(t, nil).get("/ready").want(200)
	if r.text("status") != "ready" || r.text("up") != "0s" || !strings.HasPrefix(r.text("started"), "2023-11-14T22:13:20") {
		t.Errorf("body %s", r.Body)
	}
}

func TestEveryAnswerHasTheHeaders(t *testing.T) {
	n := start(t)
	for _, path := range []string{"/ping", "/nothing", "/api/v2/buckets", "/api/v2/buckets/x", "/query"} {
		h := n.get(path).Header()
		if h.Get("X-Influxdb-Build") != "OSS" || h.Get("X-Influxdb-Version") != "v1.2.3" {
			t.Errorf("%s: headers %v", path, h)
		}
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	n := start(t)
	for _, path := range []string{"/nothing", "/api/v2/nothing", "/api/v3/write", "/api/v2/buckets/$bucket/nothing", "/"} {
		n.get(path).want(404, "not found", "path not found")
		n.post(path, "").want(404, "not found", "path not found")
	}
	for _, c := range []struct{ method, path, allow string }{
		{"GET", "/api/v2/write", "POST"}, {"PUT", "/api/v2/buckets", "GET, POST"}, {"POST", "/health", "GET"},
		{"PUT", "/api/v2/buckets/$bucket", "DELETE, GET, PATCH"}, {"DELETE", "/query", "GET, POST"},
	} {
		r := n.do(call{method: c.method, path: c.path}).want(405, "method not allowed", "allow: "+c.allow)
		if r.Header().Get("Allow") != c.allow {
			t.Errorf("Allow %q", r.Header().Get("Allow"))
		}
	}
}

func TestPagesGetWhatIsNotTheAPIs(t *testing.T) {
	n := startWith(t, func(o *Options) {
		o.Pages = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := w.Write([]byte("page " + r.URL.Path)); err != nil {
				t.Error(err)
			}
		})
	})
	if got := n.do(call{method: "GET", path: "/some/page", token: "-"}).want(200).Body.String(); got != "page /some/page" {
		t.Errorf("body %q", got)
	}
	n.get("/api/v2/nothing").want(404, "not found", "path not found")
	n.post("/some/page", "").want(404, "not found", "path not found")
}

func TestCrossOriginRequests(t *testing.T) {
	n := start(t)
	origin := http.Header{"Origin": {"http://grafana:3000"}}
	r := n.do(call{method: "OPTIONS", path: "/api/v2/buckets", token: "-", header: origin}).want(204)
	if r.Header().Get("Access-Control-Allow-Origin") != "http://grafana:3000" ||
		r.Header().Get("Access-Control-Allow-Headers") != "Accept, Content-Type, Content-Length, Accept-Encoding, Authorization, User-Agent" {
		t.Errorf("headers %v", r.Header())
	}
	if r.Header().Get("Access-Control-Allow-Credentials") != "" {
		t.Error("another origin may use a session")
	}
	if h := n.get("/ping").Header(); h.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("headers without an origin %v", h)
	}
}

func TestSetupIsNotForOtherSites(t *testing.T) {
	n := empty(t, nil)
	n.do(call{method: "POST", path: "/api/v2/setup", token: "-", body: `{"username":"u","org":"o","bucket":"b"}`,
		header: http.Header{"Origin": {"http://evil.example"}}}).want(403, "forbidden")
	n.do(call{method: "POST", path: "/api/v2/setup", token: "-", body: `{"username":"u","org":"o","bucket":"b"}`,
		header: http.Header{"Origin": {"http://example.com"}}}).want(201)
}

func TestSetupAnswersWithAllThatTheCommandReads(t *testing.T) {
	n := empty(t, nil)
	if got := n.get("/api/v2/setup").want(200).at("allowed"); got != true {
		t.Fatalf("allowed %v", got)
	}
	reserved := n.Catalog.Reserved()
	r := n.do(call{method: "POST", path: "/api/v2/setup", token: "-",
		body: `{"username":"admin","password":"password1","org":"o","bucket":"b","token":"my-token","retentionPeriodSeconds":7200}`}).want(201)
	for path, want := range map[string]any{
		"user.name": "admin", "user.status": "active", "user.links.self": "/api/v2/users/" + r.text("user.id"),
		"org.id": reserved.Org.String(), "org.name": "o", "org.links.self": "/api/v2/orgs/" + reserved.Org.String(),
		"bucket.id": reserved.Bucket.String(), "bucket.name": "b", "bucket.orgID": reserved.Org.String(), "bucket.type": "user",
		"bucket.retentionRules.0.everySeconds": 7200.0, "bucket.retentionRules.0.type": "expire",
		"bucket.retentionRules.0.shardGroupDurationSeconds": 3600.0,
		"auth.token": "my-token", "auth.status": "active", "auth.description": "admin's Token", "auth.orgID": reserved.Org.String(),
		"auth.userID": r.text("user.id"), "auth.user": "admin", "auth.org": "o",
	} {
		if got := r.at(path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	for _, path := range []string{"auth.id", "auth.createdAt", "auth.updatedAt", "auth.permissions.0.action", "auth.links.self", "auth.links.user",
		"bucket.createdAt", "bucket.updatedAt", "bucket.links.self", "bucket.links.write", "bucket.labels", "org.createdAt", "org.updatedAt",
		"org.links.members", "org.links.owners", "org.links.buckets"} {
		if r.at(path) == nil {
			t.Errorf("%s is missing", path)
		}
	}
	if perms := r.at("auth.permissions").([]any); len(perms) != 2*len(catalog.ResourceTypes()) {
		t.Errorf("%d permissions", len(perms))
	}
	if got := n.get("/api/v2/setup").at("allowed"); got != false {
		t.Errorf("allowed %v after set-up", got)
	}
	n.do(call{method: "POST", path: "/api/v2/setup", body: `{"username":"x","org":"x","bucket":"x"}`}).
		want(422, "conflict", "onboarding has already been completed")
	n.do(call{method: "GET", path: "/api/v2/me", token: "my-token"}).want(200)
}

func TestSetupRefusals(t *testing.T) {
	n := empty(t, nil)
	for _, c := range []struct {
		body    string
		status  int
		code    string
		message string
	}{
		{`{}`, 422, "unprocessable entity", "missing required fields: username, org, bucket"},
		{`{"username":"u","bucket":"b"}`, 422, "unprocessable entity", "missing required fields: org"},
		{`{"username":"u","org":"o","bucket":"b","password":"short"}`, 400, "invalid", "passwords must be at least 8 characters long"},
		{`{"username":"u","org":"o","bucket":"b","retentionPeriodSeconds":-1}`, 422, "unprocessable entity", "expiration seconds cannot be negative"},
		{`{"username":"u","org":"o","bucket":"b","retentionPeriodSeconds":60}`, 422, "unprocessable entity", "retention policy duration must be at least 1h0m0s"},
		{`{"username":"u","org":"o","bucket":"b","retentionPeriodSeconds":9223372036854775807}`, 422, "unprocessable entity", ""},
		{`{`, 400, "invalid", ""},
		{`{"username":7}`, 400, "invalid", ""},
	} {
		r := n.do(call{method: "POST", path: "/api/v2/setup", body: c.body, token: "-"}).want(c.status, c.code)
		if c.message != "" && r.text("message") != c.message {
			t.Errorf("message %q, want %q", r.text("message"), c.message)
		}
	}
	r := n.do(call{method: "POST", path: "/api/v2/setup", body: `{"username":"u","org":"o","bucket":"b","retentionPeriodHrs":7200000000000}`}).want(201)
	if got := r.at("bucket.retentionRules.0.everySeconds"); got != 7200.0 {
		t.Errorf("retentionPeriodHrs gave %v seconds", got)
	}
	if len(r.text("auth.token")) < 80 {
		t.Errorf("the made-up token is %q", r.text("auth.token"))
	}
}

func TestConfigIsForOperators(t *testing.T) {
	n := startWith(t, func(o *Options) { o.Config = func() map[string]any { return map[string]any{"listen": "x"} } })
	if got := n.get("/api/v2/config").want(200).text("config.listen"); got != "x" {
		t.Errorf("config %q", got)
	}
	n.do(call{method: "GET", path: "/api/v2/config", token: n.token("read:instance")}).want(401, "unauthorized")
}

func TestResourcesAreAListOfStrings(t *testing.T) {
	var got []string
	if err := json.Unmarshal(start(t).get("/api/v2/resources").want(200).Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, catalog.ResourceTypes()) || len(got) != 23 {
		t.Errorf("resources %v", got)
	}
}

func TestIndexNamesTheWays(t *testing.T) {
	r := empty(t, nil).get("/api/v2").want(200)
	if r.text("buckets") != "/api/v2/buckets" || r.text("query.self") != "/api/v2/query" || r.text("write") != "/api/v2/write" {
		t.Errorf("body %s", r.Body)
	}
}

func TestMetricsHaveBoundedLabels(t *testing.T) {
	n := start(t)
	n.get("/api/v2/buckets/$bucket").want(200)
	n.get("/nothing/at/all").want(404)
	n.do(call{method: "BREW", path: "/ping", header: http.Header{"User-Agent": {"Telegraf/1.39 Go/1.26"}}}).want(405)
	n.do(call{method: "GET", path: "/ping", header: http.Header{"User-Agent": {"strange/1"}}}).want(204)
	text := n.get("/metrics").want(200).Body.String()
	for _, want := range []string{
		`http_api_requests_total{handler="platform",method="GET",path="/api/v2/buckets/:id",response_code="200",status="2XX",user_agent="unknown"} 1`,
		`http_api_requests_total{handler="platform",method="GET",path="/...",response_code="404",status="4XX",user_agent="unknown"} 1`,
		`http_api_requests_total{handler="platform",method="OTHER",path="/ping",response_code="405",status="4XX",user_agent="Telegraf"} 1`,
		`user_agent="other"} 1`, `http_api_request_duration_seconds_count{`, `influxdb_info{commit="abc",version="v1.2.3"} 1`, `influxdb_uptime_seconds 0`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if strings.Contains(text, "/nothing") || strings.Contains(text, n.bucket.String()) {
		t.Error("metrics have a label of a client's making")
	}
}

func TestMetricsCanBeDisabled(t *testing.T) {
	empty(t, func(o *Options) { o.Registry = nil }).get("/metrics").want(403, "forbidden")
}

func TestPanicEndsOneRequest(t *testing.T) {
	n := start(t)
	n.query = func(http.ResponseWriter, *Query) error { panic("boom") }
	r := n.get("/query?q=x").want(500, "internal error")
	if strings.Contains(r.Body.String(), "boom") {
		t.Error("the answer tells the panic's value")
	}
	n.get("/ping").want(204)
	if !strings.Contains(n.get("/metrics").Body.String(), "http_api_panics_total 1") {
		t.Error("the panic is not counted")
	}
}

func TestPanicAfterTheFirstByteCutsTheConnection(t *testing.T) {
	n := start(t)
	n.query = func(w http.ResponseWriter, _ *Query) error {
		w.WriteHeader(200)
		panic("boom")
	}
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("recovered %v", v)
		}
	}()
	n.get("/query?q=x")
	t.Error("half an answer was ended like a whole one")
}

func TestWhatIsMissingSaysSo(t *testing.T) {
	n := start(t)
	for _, path := range []string{"/api/v2/tasks", "/api/v2/tasks/x/runs", "/api/v2/dashboards", "/api/v2/templates/export", "/api/v2/templates/apply",
		"/api/v2/stacks", "/api/v2/scripts", "/api/v2/query", "/api/v2/query/suggestions", "/api/v2/orgs/$org/secrets", "/api/v2/backup/kv",
		"/api/v2/labels", "/api/v2/buckets/$bucket/members"} {
		n.post(path, "{}").want(501, "not implemented")
	}
	if text := n.post("/api/v2/query?org=o", `{"query":"buckets()"}`).text("message"); !strings.Contains(text, "InfluxQL at /query") {
		t.Errorf("message %q", text)
	}
	n.do(call{method: "GET", path: "/api/v2/tasks", token: "-"}).want(401, "unauthorized")
}

func TestBodyOfAResourceIsBounded(t *testing.T) {
	n := start(t)
	n.post("/api/v2/orgs", `{"name":"`+strings.Repeat("x", 2<<20)+`"}`).want(413, "request too large")
	n.post("/api/v2/orgs", `{"name":"`+strings.Repeat("x", 2000)+`"}`).want(400, "invalid")
}
