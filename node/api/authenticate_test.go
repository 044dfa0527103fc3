package api

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/node/catalog"
)

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// legacyUser makes a v1 user "v1" with the password "v1-password" that may read and write the bucket.
func (n *node) legacyUser() catalog.Authorization {
	n.t.Helper()
	a, err := n.Catalog.CreateLegacyAuthorization(catalog.Authorization{Name: "v1", OrgID: n.org, UserID: n.user,
		Permissions: n.permissions("read:buckets/$bucket", "write:buckets/$bucket")})
	if err != nil {
		n.t.Fatal(err)
	}
	if err := n.Catalog.SetLegacyPassword(a.ID, "v1-password"); err != nil {
		n.t.Fatal(err)
	}
	return a
}

func TestAuthenticationForms(t *testing.T) {
	n := start(t)
	n.legacyUser()
	const me, query = "/api/v2/me", "/query?db=b&q=SHOW+MEASUREMENTS"
	for _, c := range []struct {
		path, header string
		status       int
	}{
		{me, "Token " + operator, 200}, {me, "token " + operator, 200}, {me, "BEARER " + operator, 200}, {me, "Bearer " + operator, 200},
		{me, basic("admin", "password1"), 401}, {me, basic("x", operator), 401}, {me, "", 401}, {me, "Token", 401}, {me, "Token x", 401},
		{me, operator, 401}, {me, "Digest " + operator, 401}, {me + "?u=x&p=" + operator, "", 401},

		{query, "Token " + operator, 200}, {query, "Bearer " + operator, 200}, {query, "token " + operator, 401}, {query, "Token x", 401},
		{query, "Token any:" + operator, 200}, {query, "Token v1:v1-password", 200}, {query, "Token v1:wrong", 401},
		{query, basic("v1", "v1-password"), 200}, {query, basic("v1", "wrong"), 401}, {query, basic("v1", operator), 401},
		{query, basic("any", operator), 200}, {query, basic("", operator), 200}, {query, basic("any", "wrong"), 401},
		{query + "&u=v1&p=v1-password", "", 200}, {query + "&u=any&p=" + operator, "", 200}, {query + "&u=v1&p=wrong", "Token " + operator, 401},
		{query + "&u=v1", "Token " + operator, 200}, {query + "&p=" + operator, "", 401}, {query, "", 401},
	} {
		r := n.do(call{method: "GET", path: c.path, token: "-", header: http.Header{"Authorization": {c.header}}})
		if r.Code != c.status {
			t.Errorf("%s with %q: status %d, want %d", c.path, c.header, r.Code, c.status)
			continue
		}
		if c.status != 401 {
			continue
		}
		if strings.HasPrefix(c.path, me) {
			r.want(401, "unauthorized", "unauthorized access")
		} else if r.want(401, "unauthorized", "Unauthorized"); r.text("error") != "Unauthorized" {
			t.Error("the 1.x error has no text under the key error")
		}
	}
}

func TestInactiveTokensAndUsersAreRefused(t *testing.T) {
	n := start(t)
	u, err := n.Catalog.CreateUser("other", "")
	if err != nil {
		t.Fatal(err)
	}
	a, err := n.Catalog.CreateAuthorization(catalog.Authorization{OrgID: n.org, UserID: u.ID, Permissions: catalog.OperatorPermissions()})
	if err != nil {
		t.Fatal(err)
	}
	ask := func() reply { return n.do(call{method: "GET", path: "/api/v2/me", token: a.Token}) }
	ask().want(200)
	n.patch("/api/v2/authorizations/"+a.ID.String(), `{"status":"inactive"}`).want(200)
	ask().want(401, "unauthorized", "token is inactive")
	n.patch("/api/v2/authorizations/"+a.ID.String(), `{"status":"active"}`).want(200)
	ask().want(200)
	n.patch("/api/v2/users/"+u.ID.String(), `{"status":"inactive"}`).want(200)
	ask().want(403, "forbidden", "User is inactive")
	n.delete("/api/v2/users/" + u.ID.String()).want(204)
	ask().want(401, "unauthorized")
}

func TestSessions(t *testing.T) {
	n := start(t)
	n.do(call{method: "POST", path: "/api/v2/signin", token: "-"}).want(401, "unauthorized")
	n.do(call{method: "POST", path: "/api/v2/signin", token: "-", header: http.Header{"Authorization": {basic("admin", "wrong")}}}).want(401, "unauthorized")
	n.do(call{method: "POST", path: "/api/v2/signin", token: "-", header: http.Header{"Authorization": {basic("nobody", "password1")}}}).want(401, "unauthorized")
	in := n.do(call{method: "POST", path: "/api/v2/signin", token: "-", header: http.Header{"Authorization": {basic("admin", "password1")}}}).want(204)
	cookies := in.Result().Cookies()
	if len(cookies) != 1 || cookies[0].Name != "influxdb-oss-session" || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode {
		t.Fatalf("cookies %v", cookies)
	}
	with := func(method, path, body string, header http.Header) reply {
		h := header.Clone()
		if h == nil {
			h = http.Header{}
		}
		h.Set("Cookie", cookies[0].Name+"="+cookies[0].Value)
		return n.do(call{method: method, path: path, body: n.expand(body), token: "-", header: h})
	}
	if name := with("GET", "/api/v2/me", "", nil).want(200).text("name"); name != "admin" {
		t.Errorf("the session is %q's", name)
	}
	with("POST", "/api/v2/buckets", `{"orgID":"$org","name":"made"}`, nil).want(201)
	with("POST", "/api/v2/orgs", `{"name":"made"}`, nil).want(401, "unauthorized")
	with("GET", "/api/v2/config", "", nil).want(401, "unauthorized")
	with("POST", "/api/v2/buckets", `{"orgID":"$org","name":"evil"}`, http.Header{"Sec-Fetch-Site": {"cross-site"}}).want(403, "forbidden")
	with("POST", "/api/v2/signout", "", nil).want(204)
	with("GET", "/api/v2/me", "", nil).want(401, "unauthorized")
	n.do(call{method: "POST", path: "/api/v2/signout", token: "-"}).want(401, "unauthorized")
}

func TestNewPasswordEndsSessions(t *testing.T) {
	n := start(t)
	secret, _, err := n.Catalog.CreateSession(n.user)
	if err != nil {
		t.Fatal(err)
	}
	cookie := http.Header{"Cookie": {cookieName + "=" + secret}}
	n.do(call{method: "GET", path: "/api/v2/me", token: "-", header: cookie}).want(200)
	n.do(call{method: "PUT", path: "/api/v2/me/password", body: `{"password":"short"}`, token: "-", header: cookie}).want(400, "invalid",
		"passwords must be at least 8 characters long")
	n.do(call{method: "PUT", path: "/api/v2/me/password", body: `{"password":"password2"}`, token: "-", header: cookie}).want(204)
	n.do(call{method: "GET", path: "/api/v2/me", token: "-", header: cookie}).want(401)
	n.do(call{method: "POST", path: "/api/v2/signin", token: "-", header: http.Header{"Authorization": {basic("admin", "password2")}}}).want(204)
}

// TestPermissionMatrix asks for every resource with one permission at a time.
func TestPermissionMatrix(t *testing.T) {
	n := start(t)
	remote := n.post("/api/v2/remotes", `{"orgID":"$org","name":"r","remoteURL":"http://h:1","remoteAPIToken":"t"}`).want(201).text("id")
	replication := n.post("/api/v2/replications", `{"orgID":"$org","name":"p","remoteID":"`+remote+
		`","localBucketID":"$bucket","remoteBucketName":"x"}`).want(201).text("id")
	dbrp := n.post("/api/v2/dbrps", `{"orgID":"$org","bucketID":"$bucket","database":"d","retention_policy":"r"}`).want(201).text("id")
	auth := n.post("/api/v2/authorizations", `{"orgID":"$org","permissions":[{"action":"read","resource":{"type":"buckets","orgID":"$org"}}]}`).want(201).text("id")
	v1 := n.legacyUser().ID.String()
	for _, c := range []struct {
		need         string // the permission that is enough
		method, path string
		body         string
		ok           int
	}{
		{"read:buckets", "GET", "/api/v2/buckets/$bucket", "", 200},
		{"write:buckets", "PATCH", "/api/v2/buckets/$bucket", `{"description":"d"}`, 200},
		{"write:buckets", "POST", "/api/v2/buckets", `{"orgID":"$org","name":"_"}`, 400},
		{"read:orgs", "GET", "/api/v2/orgs/$org", "", 200},
		{"write:orgs", "PATCH", "/api/v2/orgs/$org", `{"description":"d"}`, 200},
		{"write:*orgs", "POST", "/api/v2/orgs", `{"name":"o"}`, 422},
		{"read:orgs", "GET", "/api/v2/orgs/$org/members", "", 200},
		{"read:orgs", "GET", "/api/v2/orgs/$org/owners", "", 200},
		{"write:orgs", "POST", "/api/v2/orgs/$org/members", `{"id":"$user"}`, 201},
		{"write:orgs", "DELETE", "/api/v2/orgs/$org/members/$user", "", 404},
		{"read:*users", "GET", "/api/v2/users/$user", "", 200},
		{"write:*users", "PATCH", "/api/v2/users/$user", `{"name":"admin"}`, 200},
		{"write:*users", "POST", "/api/v2/users", `{"name":"admin"}`, 422},
		{"write:*users", "POST", "/api/v2/users/$user/password", `{"password":"short"}`, 400},
		{"read:authorizations", "GET", "/api/v2/authorizations/" + auth, "", 200},
		{"write:authorizations", "PATCH", "/api/v2/authorizations/" + auth, `{"description":"d"}`, 200},
		{"read:authorizations", "GET", "/private/legacy/authorizations/" + v1, "", 200},
		{"write:authorizations", "PATCH", "/private/legacy/authorizations/" + v1, `{"description":"d"}`, 200},
		{"read:dbrp", "GET", "/api/v2/dbrps/" + dbrp + "?orgID=$org", "", 200},
		{"write:dbrp", "PATCH", "/api/v2/dbrps/" + dbrp + "?orgID=$org", `{"default":true}`, 200},
		{"write:dbrp", "POST", "/api/v2/dbrps", `{"orgID":"$org","bucketID":"$bucket","database":"d","retention_policy":"r"}`, 422},
		{"read:remotes", "GET", "/api/v2/remotes/" + remote, "", 200},
		{"write:remotes", "PATCH", "/api/v2/remotes/" + remote, `{"description":"d"}`, 200},
		{"write:remotes", "POST", "/api/v2/remotes", `{"orgID":"$org","name":"r","remoteURL":"http://h:1","remoteAPIToken":"t"}`, 422},
		{"read:replications", "GET", "/api/v2/replications/" + replication, "", 200},
		{"read:replications", "POST", "/api/v2/replications/" + replication + "/validate", "", 204},
		{"read:replications", "GET", own + "/replications/" + replication, "", 200},
		{"read:replications", "GET", own + "/replications/" + replication + "/gaps", "", 200},
		{"write:replications", "POST", own + "/replications/" + replication + "/pause", "", 200},
		{"write:replications", "POST", own + "/replications/" + replication + "/resume", "", 200},
		{"write:replications", "POST", own + "/replications/" + replication + "/dead-letters/retry", "", 204},
		{"write:replications", "POST", own + "/replications/" + replication + "/dead-letters/purge", "", 200},
		{"write:replications", "POST", own + "/replications/" + replication + "/fill", `{"gap":1}`, 404},
		{"write:replications", "POST", own + "/replications/" + replication + "/resync", `{}`, 400},
		{"read:*instance", "GET", "/api/v2/config", "", 200},
	} {
		action, kind, _ := strings.Cut(strings.Replace(c.need, "*", "", 1), ":")
		other := map[string]string{"read": "write", "write": "read"}[action]
		for _, p := range []struct {
			permission string
			allowed    bool
		}{
			{c.need, true}, {action + ":*" + kind, true}, {other + ":*" + kind, false}, {action + ":variables", false},
		} {
			r := n.do(call{method: c.method, path: c.path, body: n.expand(c.body), token: n.token(p.permission)})
			want := 401
			if p.allowed {
				want = c.ok
			}
			if r.Code != want {
				t.Errorf("%s %s with %s: status %d, want %d: %s", c.method, c.path, p.permission, r.Code, want, r.Body)
			}
		}
		r := n.do(call{method: c.method, path: c.path, body: n.expand(c.body), token: "-"})
		if r.Code != 401 {
			t.Errorf("%s %s without a token: status %d", c.method, c.path, r.Code)
		}
	}
}

func TestListsHideWhatMayNotBeRead(t *testing.T) {
	n := start(t)
	n.legacyUser()
	remote := n.post("/api/v2/remotes", `{"orgID":"$org","name":"r","remoteURL":"http://h:1","remoteAPIToken":"t"}`).want(201).text("id")
	n.post("/api/v2/replications", `{"orgID":"$org","name":"p","remoteID":"`+remote+`","localBucketID":"$bucket","remoteBucketName":"x"}`).want(201)
	for path, list := range map[string]string{
		"/api/v2/buckets": "buckets", "/api/v2/orgs": "orgs", "/api/v2/users": "users", "/api/v2/authorizations": "authorizations",
		"/private/legacy/authorizations": "authorizations", "/api/v2/dbrps?org=o": "content", "/api/v2/remotes?orgID=$org": "remotes",
		"/api/v2/replications?orgID=$org": "replications", own + "/status": "buckets",
	} {
		if got := n.get(path).want(200).names(list); len(got) == 0 {
			t.Errorf("%s shows nothing to the operator", path)
		}
		r := n.do(call{method: "GET", path: path, token: n.token("read:variables")}).want(200)
		if items, ok := r.at(list).([]any); !ok || len(items) != 0 {
			t.Errorf("%s shows %v to one who may read none of it", path, r.at(list))
		}
	}
	got := n.do(call{method: "GET", path: "/api/v2/buckets", token: n.token("read:buckets/$bucket")}).want(200).names("buckets")
	if len(got) != 1 || got[0] != "b" {
		t.Errorf("a token for one bucket lists %v", got)
	}
}

func TestNobodyGrantsWhatTheyDoNotHold(t *testing.T) {
	n := start(t)
	n.post("/api/v2/buckets", `{"orgID":"$org","name":"other"}`).want(201)
	token := n.token("write:authorizations", "read:buckets/$bucket")
	grant := func(permission string) reply {
		return n.do(call{method: "POST", path: "/api/v2/authorizations", body: n.expand(`{"orgID":"$org","permissions":[` + permission + `]}`), token: token})
	}
	grant(`{"action":"read","resource":{"type":"buckets","id":"$bucket","orgID":"$org"}}`).want(201)
	grant(`{"action":"read","resource":{"type":"buckets","id":"$bucket"}}`).want(201)
	grant(`{"action":"read","resource":{"type":"buckets","name":"b"}}`).want(201)
	for _, p := range []string{
		`{"action":"write","resource":{"type":"buckets","id":"$bucket","orgID":"$org"}}`,
		`{"action":"read","resource":{"type":"buckets","orgID":"$org"}}`,
		`{"action":"read","resource":{"type":"buckets"}}`,
		`{"action":"read","resource":{"type":"buckets","name":"other"}}`,
		`{"action":"read","resource":{"type":"orgs","id":"$org"}}`,
		`{"action":"read","resource":{"type":"instance"}}`,
	} {
		grant(p).want(403, "forbidden")
	}
	grant(`{"action":"read","resource":{"type":"buckets","name":"none"}}`).want(404, "not found")

	u, err := n.Catalog.CreateUser("other", "")
	if err != nil {
		t.Fatal(err)
	}
	n.do(call{method: "POST", path: "/api/v2/authorizations", token: token,
		body: n.expand(`{"orgID":"$org","userID":"` + u.ID.String() + `","permissions":[{"action":"read","resource":{"type":"buckets","id":"$bucket"}}]}`)}).
		want(401, "unauthorized")
}

func TestNobodySetsThePasswordOfOneWhoMayDoMore(t *testing.T) {
	n := start(t)
	path := "/private/legacy/authorizations/" + n.legacyUser().ID.String() + "/password"
	set := func(permissions ...string) reply {
		return n.do(call{method: "POST", path: path, body: `{"password":"password9"}`, token: n.token(permissions...)})
	}
	set("write:authorizations").want(403, "forbidden")
	set("write:authorizations", "read:buckets").want(403, "forbidden")
	set("read:buckets", "write:buckets").want(401, "unauthorized")
	set("write:authorizations", "read:buckets", "write:buckets").want(204)
}

func TestReplicationNeedsItsBucketAndRemote(t *testing.T) {
	n := start(t)
	remote := n.post("/api/v2/remotes", `{"orgID":"$org","name":"r","remoteURL":"http://h:1","remoteAPIToken":"t"}`).want(201).text("id")
	body := n.expand(`{"orgID":"$org","name":"p","remoteID":"` + remote + `","localBucketID":"$bucket","remoteBucketName":"x"}`)
	all := []string{"write:replications", "read:buckets/$bucket", "read:remotes"}
	for i := range all {
		some := append(append([]string{}, all[:i]...), all[i+1:]...)
		n.do(call{method: "POST", path: "/api/v2/replications", body: body, token: n.token(some...)}).want(401, "unauthorized")
	}
	n.do(call{method: "POST", path: "/api/v2/replications", body: body, token: n.token(all...)}).want(201)
}

func TestPublicPathsNeedNoCredentials(t *testing.T) {
	n := empty(t, nil)
	for path, status := range map[string]int{"/health": 200, "/ready": 200, "/ping": 204, "/metrics": 200, "/api/v2/setup": 200, "/api/v2": 200} {
		n.do(call{method: "GET", path: path, token: "-"}).want(status)
	}
	w := httptest.NewRecorder()
	n.ServeHTTP(w, httptest.NewRequest("HEAD", "/ping", nil))
	if w.Code != 204 || w.Header().Get("X-Influxdb-Version") != "v1.2.3" || w.Header().Get("X-Influxdb-Build") != "OSS" {
		t.Errorf("HEAD /ping: %d %v", w.Code, w.Header())
	}
}
