package api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/catalog"
	"github.com/holdfast-telemetry/holdfast/node/replicate"
)

// TestRefusals has a row for each refusal that the resources' reference names.
func TestRefusals(t *testing.T) {
	n := start(t)
	monitoring, err := n.Catalog.ResolveBucket(n.org, "_monitoring")
	if err != nil {
		t.Fatal(err)
	}
	const unknown = "0000000000000001"
	remote := n.post("/api/v2/remotes", `{"orgID":"$org","name":"r","remoteURL":"http://h:1","remoteAPIToken":"t"}`).want(201).text("id")
	replication := func(fields string) string {
		return `{"orgID":"$org","name":"p","remoteID":"` + remote + `","localBucketID":"$bucket","remoteBucketName":"x"` + fields + `}`
	}
	used := n.post("/api/v2/replications", replication("")).want(201).text("id")
	for _, c := range []struct {
		method, path, body string
		status             int
		code, message      string
	}{
		{"GET", "/api/v2/buckets?limit=0", "", 400, "invalid", "limit must be between 1 and 100"},
		{"GET", "/api/v2/buckets?limit=101", "", 400, "invalid", "limit must be between 1 and 100"},
		{"GET", "/api/v2/buckets?limit=x", "", 400, "invalid", "limit must be between 1 and 100"},
		{"GET", "/api/v2/buckets?offset=-1", "", 400, "invalid", "offset must be a number that is not negative"},
		{"GET", "/api/v2/buckets?after=1", "", 400, "invalid", "id must have a length of 16 bytes"},
		{"GET", "/api/v2/buckets?sortBy=color", "", 400, "invalid", `unknown sortBy "color": it is id, name, createdAt or updatedAt`},
		{"GET", "/api/v2/buckets?name=x", "", 404, "not found", `bucket "x" not found`},
		{"GET", "/api/v2/buckets?org=x", "", 404, "not found", `organization name "x" not found`},
		{"GET", "/api/v2/buckets?id=" + unknown, "", 404, "not found", "bucket not found"},
		{"GET", "/api/v2/buckets/" + unknown, "", 404, "not found", "bucket not found"},
		{"GET", "/api/v2/buckets/12", "", 400, "invalid", "id must have a length of 16 bytes"},
		{"GET", "/api/v2/buckets/zzzzzzzzzzzzzzzz", "", 400, "invalid", "invalid ID"},
		{"GET", "/api/v2/buckets/0000000000000000", "", 400, "invalid", "invalid ID"},
		{"POST", "/api/v2/buckets", `{"name":"x"}`, 400, "invalid", "organization id must be provided"},
		{"POST", "/api/v2/buckets", `{"orgID":"$org"}`, 400, "invalid", "bucket name is empty"},
		{"POST", "/api/v2/buckets", `{"orgID":"12","name":"x"}`, 400, "invalid", `orgID "12": an ID has 16 hexadecimal digits`},
		{"POST", "/api/v2/buckets", `{"orgID":"` + unknown + `","name":"x"}`, 404, "not found", "organization not found"},
		{"POST", "/api/v2/buckets", `{"orgID":"$org","name":"b"}`, 422, "conflict", "bucket with name b already exists"},
		{"POST", "/api/v2/buckets", `{"orgID":"$org","name":"_x"}`, 400, "invalid", "bucket name _x is invalid. Buckets may not start with underscore"},
		{"POST", "/api/v2/buckets", `{"orgID":"$org","name":"a\"b"}`, 400, "invalid", `bucket name a"b is invalid. Bucket names may not include quotation marks`},
		{"POST", "/api/v2/buckets", `{"orgID":"$org","name":"x","retentionRules":[{"everySeconds":0},{"everySeconds":0}]}`, 422, "unprocessable entity",
			"buckets cannot have more than one retention rule at this time"},
		{"POST", "/api/v2/buckets", `{"orgID":"$org","name":"x","retentionRules":[{"everySeconds":-1}]}`, 422, "unprocessable entity", "expiration seconds cannot be negative"},
		{"POST", "/api/v2/buckets", `{"orgID":"$org","name":"x","retentionRules":[{"everySeconds":3599}]}`, 422, "unprocessable entity",
			"retention policy duration must be at least 1h0m0s"},
		{"POST", "/api/v2/buckets", `{"orgID":"$org","name":"x","retentionRules":[{"everySeconds":3600,"shardGroupDurationSeconds":7200}]}`, 422,
			"unprocessable entity", "retention policy duration must be greater than the shard duration"},
		{"PATCH", "/api/v2/buckets/" + monitoring.ID.String(), `{"name":"x"}`, 400, "invalid", "system buckets cannot be renamed"},
		{"DELETE", "/api/v2/buckets/" + monitoring.ID.String(), "", 400, "invalid", "system buckets cannot be deleted"},
		{"DELETE", "/api/v2/buckets/" + unknown, "", 404, "not found", "bucket not found"},

		{"GET", "/api/v2/orgs?org=x", "", 404, "not found", `organization name "x" not found`},
		{"GET", "/api/v2/orgs/" + unknown, "", 404, "not found", "organization not found"},
		{"POST", "/api/v2/orgs", `{"name":"o"}`, 422, "conflict", "organization with name o already exists"},
		{"POST", "/api/v2/orgs", `{}`, 400, "invalid", "organization name is empty"},
		{"POST", "/api/v2/orgs/$org/members", `{}`, 400, "invalid", "user id missing or invalid"},
		{"POST", "/api/v2/orgs/$org/members", `{"id":"` + unknown + `"}`, 404, "not found", "user not found"},
		{"DELETE", "/api/v2/orgs/$org/members/" + unknown, "", 404, "not found", ""},

		{"GET", "/api/v2/users?name=x", "", 404, "not found", "user not found"},
		{"POST", "/api/v2/users", `{"name":"admin"}`, 422, "conflict", "user with name admin already exists"},
		{"POST", "/api/v2/users", `{"name":"x","status":"gone"}`, 400, "invalid", `unknown status "gone": it is active or inactive`},
		{"POST", "/api/v2/users/$user/password", `{"password":"1234567"}`, 400, "invalid", "passwords must be at least 8 characters long"},
		{"POST", "/api/v2/users/$user/password", `{"password":"` + strings.Repeat("x", 73) + `"}`, 400, "invalid", "passwords must be at most 72 bytes long"},

		{"POST", "/api/v2/authorizations", `{"orgID":"$org","permissions":[]}`, 400, "invalid", "authorization must include permissions"},
		{"POST", "/api/v2/authorizations", `{"permissions":[{}]}`, 400, "invalid", "organization id must be provided"},
		{"POST", "/api/v2/authorizations", `{"orgID":"$org","permissions":[{"action":"read","resource":{"type":"x"}}]}`, 400, "invalid",
			`unknown resource type "x" for permission`},
		{"POST", "/api/v2/authorizations", `{"orgID":"$org","permissions":[{"action":"own","resource":{"type":"buckets"}}]}`, 400, "invalid",
			`unknown action "own" in a permission: it is read or write`},
		{"GET", "/api/v2/authorizations/" + unknown, "", 404, "not found", "authorization not found"},
		{"PATCH", "/api/v2/authorizations/" + unknown, `{}`, 404, "not found", "authorization not found"},

		{"GET", "/api/v2/dbrps", "", 400, "invalid", "either 'org' or 'orgID' must be provided"},
		{"GET", "/api/v2/dbrps/" + unknown, "", 400, "invalid", "either 'org' or 'orgID' must be provided"},
		{"GET", "/api/v2/dbrps/" + unknown + "?org=o", "", 404, "not found", "unable to find DBRP"},
		{"POST", "/api/v2/dbrps", `{"bucketID":"$bucket","database":"d","retention_policy":"r"}`, 400, "invalid", "either 'org' or 'orgID' must be provided"},
		{"POST", "/api/v2/dbrps", `{"orgID":"$org","bucketID":"$bucket","database":"a b","retention_policy":"r"}`, 400, "invalid", ""},
		{"POST", "/api/v2/dbrps", `{"orgID":"$org","bucketID":"$bucket","database":"d"}`, 400, "invalid", ""},
		{"POST", "/api/v2/dbrps", `{"orgID":"$org","bucketID":"` + unknown + `","database":"d","retention_policy":"r"}`, 404, "not found", "bucket not found"},
		{"PATCH", "/api/v2/dbrps/$bucket?org=o", `{"default":true}`, 400, "invalid", ""},

		{"POST", "/private/legacy/authorizations", `{"orgID":"$org","permissions":[{"action":"read","resource":{"type":"buckets"}}]}`, 400, "invalid",
			"token required: it is the v1 user's name"},
		{"POST", "/private/legacy/authorizations", `{"orgID":"$org","token":"x"}`, 400, "invalid", "authorization must include permissions"},

		{"GET", "/api/v2/remotes", "", 400, "invalid", "invalid or missing org ID"},
		{"GET", "/api/v2/remotes?orgID=x", "", 400, "invalid", "invalid or missing org ID"},
		{"GET", "/api/v2/remotes/x", "", 400, "invalid", "remote-connection ID is invalid"},
		{"GET", "/api/v2/remotes/" + unknown, "", 404, "not found", "remote connection not found"},
		{"POST", "/api/v2/remotes", `{"orgID":"$org","name":"r","remoteURL":"http://h:1","remoteAPIToken":"t"}`, 422, "conflict", "remote with name r already exists"},
		{"POST", "/api/v2/remotes", `{"orgID":"$org","name":"s","remoteURL":"h:1","remoteAPIToken":"t"}`, 400, "invalid", ""},
		{"POST", "/api/v2/remotes", `{"orgID":"$org","name":"s","remoteURL":"http://h:1"}`, 400, "invalid", "remoteAPIToken must be provided"},
		{"DELETE", "/api/v2/remotes/" + remote, "", 422, "conflict",
			`remote "r" is used by replications: p; delete them or give them another remote first`},

		{"GET", "/api/v2/replications", "", 400, "invalid", "invalid or missing org ID"},
		{"GET", "/api/v2/replications/x", "", 400, "invalid", "replication ID is invalid"},
		{"GET", "/api/v2/replications/" + unknown, "", 404, "not found", "replication not found"},
		{"POST", "/api/v2/replications", replication(""), 422, "conflict", "replication with name p already exists"},
		{"POST", "/api/v2/replications", replication(`,"remoteID":"` + unknown + `"`), 400, "invalid", `remote "` + unknown + `" not found`},
		{"POST", "/api/v2/replications", replication(`,"localBucketID":"` + unknown + `"`), 400, "invalid", `local bucket "` + unknown + `" not found`},
		{"POST", "/api/v2/replications", replication(`,"remoteBucketName":""`), 400, "invalid", "one of remote_bucket_id, remote_bucket_name should be provided"},
		{"POST", "/api/v2/replications", replication(`,"maxQueueSizeBytes":33554429`), 400, "invalid", "maxQueueSize too small, must be at least 33554430"},
		{"POST", "/api/v2/replications", replication(`,"maxAgeSeconds":59`), 400, "invalid", "maxAgeSeconds must be 0 (7 days) or from 60 to 5184000"},
		{"POST", "/api/v2/replications", replication(`,"maxAgeSeconds":5184001`), 400, "invalid", ""},
		{"POST", "/api/v2/replications", replication(`,"order":"random"`), 400, "invalid", `unknown order "random": it is oldest or newest`},
		{"POST", "/api/v2/replications", replication(`,"bytesPerSecond":-1`), 400, "invalid", "bytesPerSecond must not be negative"},
		{"PATCH", "/api/v2/replications/" + used, `{"remoteID":"` + unknown + `"}`, 400, "invalid", `remote "` + unknown + `" not found`},
		{"PATCH", "/api/v2/replications/" + used, `{"remoteBucketName":""}`, 400, "invalid", "one of remote_bucket_id, remote_bucket_name should be provided"},
	} {
		r := n.do(call{method: c.method, path: c.path, body: n.expand(c.body)})
		if r.Code != c.status || r.text("code") != c.code || c.message != "" && r.text("message") != c.message {
			t.Errorf("%s %s %s: %d %s, want %d %s %s", c.method, c.path, c.body, r.Code, r.Body, c.status, c.code, c.message)
		}
	}
}

func TestBucketLife(t *testing.T) {
	n := start(t)
	r := n.post("/api/v2/buckets", `{"orgID":"$org","name":"x","description":"d","rp":"r","schemaType":"implicit","retentionRules":[{"type":"expire","everySeconds":172800}]}`).want(201)
	self := "/api/v2/buckets/" + r.text("id")
	for path, want := range map[string]any{"name": "x", "description": "d", "rp": "r", "type": "user", "orgID": n.org.String(),
		"retentionRules.0.everySeconds": 172800.0, "retentionRules.0.shardGroupDurationSeconds": 86400.0, "retentionRules.0.type": "expire",
		"links.self": self, "links.org": "/api/v2/orgs/" + n.org.String(), "links.labels": self + "/labels", "links.members": self + "/members",
		"links.owners": self + "/owners", "links.write": "/api/v2/write?org=" + n.org.String() + "&bucket=" + r.text("id")} {
		if got := r.at(path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	if labels, ok := r.at("labels").([]any); !ok || len(labels) != 0 {
		t.Errorf("labels %v", r.at("labels"))
	}
	if _, err := time.Parse(time.RFC3339, r.text("createdAt")); err != nil {
		t.Error(err)
	}
	r = n.patch(self, `{"name":"y"}`).want(200)
	if r.text("name") != "y" || r.text("description") != "d" || r.at("retentionRules.0.everySeconds") != 172800.0 {
		t.Errorf("a change of the name changed more: %s", r.Body)
	}
	r = n.patch(self, `{"description":"e","retentionRules":[{"everySeconds":0}]}`).want(200)
	if r.text("description") != "e" || r.at("retentionRules.0.everySeconds") != 0.0 || r.at("retentionRules.0.shardGroupDurationSeconds") != 604800.0 {
		t.Errorf("body %s", r.Body)
	}
	if got := n.get("/api/v2/buckets?name=y&org=o").want(200).names("buckets"); !slices.Equal(got, []string{"y"}) {
		t.Errorf("found %v", got)
	}
	if got := n.get(self + "/labels").want(200).at("labels").([]any); len(got) != 0 {
		t.Errorf("labels %v", got)
	}
	n.delete(self).want(204)
	n.get(self).want(404, "not found", "bucket not found")
}

func TestIdentifiersOfEitherCaseAreTaken(t *testing.T) {
	n := start(t)
	if got := n.get("/api/v2/buckets/" + strings.ToUpper(n.bucket.String())).want(200).text("id"); got != n.bucket.String() {
		t.Errorf("id %s", got)
	}
}

func TestBucketPagesEnd(t *testing.T) {
	n := start(t)
	for i := range 45 { // 48 with b and the two system buckets
		if _, err := n.Catalog.CreateBucket(catalog.Bucket{OrgID: n.org, Name: fmt.Sprintf("p%02d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	var all []string
	pages := 0
	for offset := 0; ; offset += 20 { // as the command does it
		r := n.get(fmt.Sprintf("/api/v2/buckets?org=o&limit=20&offset=%d", offset)).want(200)
		names := r.names("buckets")
		all = append(all, names...)
		if pages++; len(names) < 20 {
			if r.at("links.next") != nil {
				t.Error("the last page has a next one")
			}
			break
		}
		want := fmt.Sprintf("/api/v2/buckets?limit=20&offset=%d&org=o", offset+20)
		if r.text("links.next") != want {
			t.Errorf("next %q, want %q", r.text("links.next"), want)
		}
	}
	slices.Sort(all)
	if n := len(slices.Compact(all)); pages != 3 || n != 48 {
		t.Errorf("%d buckets on %d pages, want 48 on 3", n, pages)
	}
	r := n.get("/api/v2/buckets?sortBy=name&limit=2&descending=true").want(200)
	if got := r.names("buckets"); !slices.Equal(got, []string{"p44", "p43"}) {
		t.Errorf("the last two are %v", got)
	}
	after := n.get("/api/v2/buckets?sortBy=name&limit=2&descending=true&after=" + r.text("buckets.1.id")).want(200)
	if got := after.names("buckets"); !slices.Equal(got, []string{"p42", "p41"}) {
		t.Errorf("after them come %v", got)
	}
	if got := n.get("/api/v2/buckets").want(200).names("buckets"); len(got) != 20 {
		t.Errorf("%d buckets without a limit", len(got))
	}
	if r := n.get("/api/v2/buckets?limit=20&offset=20").want(200); r.text("links.prev") != "/api/v2/buckets?limit=20&offset=0" {
		t.Errorf("prev %q", r.text("links.prev"))
	}
}

func TestOrgAndMemberLife(t *testing.T) {
	n := start(t)
	r := n.post("/api/v2/orgs", `{"name":"x y","description":"d"}`).want(201)
	self := "/api/v2/orgs/" + r.text("id")
	if r.text("links.buckets") != "/api/v2/buckets?org=x+y" || r.text("links.self") != self {
		t.Errorf("links %v", r.at("links"))
	}
	if got := n.get("/api/v2/orgs?org=x+y").want(200).names("orgs"); !slices.Equal(got, []string{"x y"}) {
		t.Errorf("found %v", got)
	}
	if got := n.get(self + "/owners").want(200).names("users"); !slices.Equal(got, []string{"admin"}) {
		t.Errorf("owners %v", got)
	}
	if got := n.patch(self, `{"name":"z"}`).want(200).text("name"); got != "z" {
		t.Errorf("name %q", got)
	}
	user := n.post("/api/v2/users", `{"name":"u"}`).want(201).text("id")
	m := n.post(self+"/members", `{"id":"`+user+`"}`).want(201)
	if m.text("role") != "member" || m.text("id") != user || m.text("links.self") != "/api/v2/users/"+user {
		t.Errorf("member %s", m.Body)
	}
	if got := n.get(self + "/members").want(200).names("users"); !slices.Equal(got, []string{"u"}) {
		t.Errorf("members %v", got)
	}
	if got := n.get("/api/v2/orgs?userID=" + user).want(200).names("orgs"); !slices.Equal(got, []string{"z"}) {
		t.Errorf("the user's organisations %v", got)
	}
	n.delete(self + "/members/" + user).want(204)
	if got := n.get(self + "/members").want(200).names("users"); len(got) != 0 {
		t.Errorf("members %v", got)
	}
	n.get(self + "/labels").want(200)
	n.delete(self).want(204)
	n.get(self).want(404)
}

func TestUserLife(t *testing.T) {
	n := start(t)
	r := n.post("/api/v2/users", `{"name":"u"}`).want(201)
	self := "/api/v2/users/" + r.text("id")
	if r.text("status") != "active" || r.text("links.self") != self {
		t.Errorf("user %s", r.Body)
	}
	n.post(self+"/password", `{"password":"password9"}`).want(204)
	n.do(call{method: "POST", path: "/api/v2/signin", token: "-", header: http.Header{"Authorization": {basic("u", "password9")}}}).want(204)
	if got := n.get("/api/v2/users?name=u").want(200).names("users"); !slices.Equal(got, []string{"u"}) {
		t.Errorf("found %v", got)
	}
	if got := n.get("/api/v2/users?limit=1&offset=1").want(200).names("users"); !slices.Equal(got, []string{"u"}) {
		t.Errorf("the second is %v", got)
	}
	if got := n.get("/api/v2/users").want(200); got.text("links.self") != "/api/v2/users" || len(got.names("users")) != 2 {
		t.Errorf("users %s", got.Body)
	}
	if got := n.patch(self, `{"name":"v","status":"inactive"}`).want(200); got.text("name") != "v" || got.text("status") != "inactive" {
		t.Errorf("user %s", got.Body)
	}
	n.delete(self).want(204)
	n.get(self).want(404, "not found", "user not found")
}

func TestTokensAreInTheClearOnlyOnce(t *testing.T) {
	n := start(t)
	r := n.post("/api/v2/authorizations", `{"orgID":"$org","description":"d","permissions":[{"action":"write","resource":{"type":"buckets","id":"$bucket","orgID":"$org"}}]}`).want(201)
	token, self := r.text("token"), "/api/v2/authorizations/"+r.text("id")
	for path, want := range map[string]any{"status": "active", "description": "d", "org": "o", "user": "admin", "orgID": n.org.String(), "userID": n.user.String(),
		"links.self": self, "links.user": "/api/v2/users/" + n.user.String(), "permissions.0.action": "write", "permissions.0.resource.type": "buckets",
		"permissions.0.resource.id": n.bucket.String(), "permissions.0.resource.orgID": n.org.String()} {
		if got := r.at(path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	n.do(call{method: "POST", path: v2, body: "m f=1", token: token}).want(204)
	for _, r := range []reply{n.get(self), n.get("/api/v2/authorizations"), n.patch(self, `{"description":"e"}`), n.get("/api/v2/authorizations?userID=$user&org=o&user=admin")} {
		r.want(200)
		if strings.Contains(r.Body.String(), token) || strings.Contains(r.Body.String(), operator) || !strings.Contains(r.Body.String(), redacted) {
			t.Errorf("body %s", r.Body)
		}
	}
	if got := n.get("/api/v2/authorizations?token=" + token).want(200).at("authorizations").([]any); len(got) != 1 {
		t.Errorf("%d authorizations have the token", len(got))
	}
	if got := n.get("/api/v2/authorizations?token=x").want(200).at("authorizations").([]any); len(got) != 0 {
		t.Errorf("%d authorizations have an unknown token", len(got))
	}
	n.delete(self).want(204)
	n.do(call{method: "POST", path: v2, body: "m f=1", token: token}).want(401)
}

func TestDBRPLife(t *testing.T) {
	n := start(t)
	virtual := n.get("/api/v2/dbrps?org=o&db=b").want(200)
	for path, want := range map[string]any{"content.0.id": n.bucket.String(), "content.0.database": "b", "content.0.retention_policy": "autogen",
		"content.0.default": true, "content.0.virtual": true, "content.0.orgID": n.org.String(), "content.0.bucketID": n.bucket.String()} {
		if got := virtual.at(path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	first := n.post("/api/v2/dbrps", `{"orgID":"$org","bucketID":"$bucket","database":"d","retention_policy":"r1"}`).want(201)
	if first.at("default") != true || first.at("virtual") != false || first.at("content") != nil {
		t.Errorf("the first mapping is %s", first.Body)
	}
	second := n.post("/api/v2/dbrps", `{"org":"o","bucketID":"$bucket","database":"d","retention_policy":"r2"}`).want(201)
	if second.at("default") != false {
		t.Errorf("the second mapping is %s", second.Body)
	}
	n.post("/api/v2/dbrps", `{"orgID":"$org","bucketID":"$bucket","database":"d","retention_policy":"r2"}`).want(422, "conflict")
	at := func(r reply) string { return "/api/v2/dbrps/" + r.text("id") + "?orgID=$org" }
	if r := n.patch(at(second), `{"default":true,"retention_policy":"r3"}`).want(200); r.at("content.default") != true || r.text("content.retention_policy") != "r3" {
		t.Errorf("body %s", r.Body)
	}
	if r := n.get(at(first)).want(200); r.at("content.default") != false {
		t.Errorf("two defaults: %s", r.Body)
	}
	n.patch(at(second), `{"default":false}`).want(400, "invalid")
	if r := n.get("/api/v2/dbrps?org=o&db=d&default=true").want(200); len(r.at("content").([]any)) != 1 {
		t.Errorf("defaults %s", r.Body)
	}
	n.delete(at(second)).want(204)
	if r := n.get(at(first)).want(200); r.at("content.default") != true {
		t.Errorf("the database lost its default: %s", r.Body)
	}
	n.do(call{method: "POST", path: "/write?db=d", body: "m f=1"}).want(204)
	n.get("/api/v2/dbrps/$bucket?org=o").want(200)
}

func TestLegacyAuthorizationLife(t *testing.T) {
	n := start(t)
	n.get("/private/legacy/authorizations?token=v1").want(200)
	if got := n.get("/private/legacy/authorizations?token=v1").at("authorizations").([]any); len(got) != 0 {
		t.Fatalf("authorizations %v", got)
	}
	const body = `{"orgID":"$org","token":"v1","permissions":[{"action":"write","resource":{"type":"buckets","id":"$bucket","orgID":"$org"}}]}`
	r := n.post("/private/legacy/authorizations", body).want(201)
	self := "/private/legacy/authorizations/" + r.text("id")
	if r.text("token") != "v1" || r.text("links.self") != self || r.text("status") != "active" {
		t.Errorf("body %s", r.Body)
	}
	n.post("/private/legacy/authorizations", body).want(422, "conflict")
	write := func(password string) reply {
		return n.do(call{method: "POST", path: "/write?db=b", body: "m f=1", token: "-", header: http.Header{"Authorization": {basic("v1", password)}}})
	}
	write("").want(401)
	n.post(self+"/password", `{"password":"password1"}`).want(204)
	write("password1").want(204)
	write("password1").want(204)
	write("password2").want(401)
	n.post(self+"/password", `{"password":"password2"}`).want(204)
	write("password1").want(401)
	write("password2").want(204)
	n.patch(self, `{"status":"inactive"}`).want(200)
	write("password2").want(401)
	if got := n.get("/private/legacy/authorizations?token=v1").at("authorizations").([]any); len(got) != 1 {
		t.Errorf("authorizations %v", got)
	}
	n.do(call{method: "GET", path: "/api/v2/me", token: "v1"}).want(401)
	n.delete(self).want(204)
	n.get(self).want(404)
}

func TestRemoteLife(t *testing.T) {
	n := start(t)
	if got, ok := n.get("/api/v2/remotes?orgID=$org").want(200).at("remotes").([]any); !ok || len(got) != 0 {
		t.Error("no remotes are not an empty list")
	}
	r := n.post("/api/v2/remotes", `{"orgID":"$org","name":"r","description":"d","remoteURL":"https://h:1/prefix","remoteAPIToken":"secret-token","remoteOrgID":"000000000000000A","allowInsecureTLS":true}`).want(201)
	self := "/api/v2/remotes/" + r.text("id")
	for path, want := range map[string]any{"name": "r", "description": "d", "remoteURL": "https://h:1/prefix", "remoteOrgID": "000000000000000a",
		"allowInsecureTLS": true, "orgID": n.org.String(), "remoteAPIToken": nil} {
		if got := r.at(path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	if r := n.patch(self, `{"name":"s","remoteAPIToken":"next-token"}`).want(200); r.text("name") != "s" || r.text("description") != "d" {
		t.Errorf("body %s", r.Body)
	}
	if r := n.patch(self, `{"remoteOrgID":null,"description":null,"allowInsecureTLS":false}`).want(200); r.at("remoteOrgID") != nil || r.at("description") != nil {
		t.Errorf("null did not clear: %s", r.Body)
	}
	if got := n.get("/api/v2/remotes?orgID=$org&name=s&remoteURL=https://h:1/prefix").want(200).names("remotes"); !slices.Equal(got, []string{"s"}) {
		t.Errorf("found %v", got)
	}
	if got := n.get("/api/v2/remotes?orgID=$org&name=x").want(200).names("remotes"); len(got) != 0 {
		t.Errorf("found %v", got)
	}
	n.delete(self).want(204)
	n.get(self).want(404, "not found", "remote connection not found")
}

func TestReplicationLife(t *testing.T) {
	n := start(t)
	if got, ok := n.get("/api/v2/replications?orgID=$org").want(200).at("replications").([]any); !ok || len(got) != 0 {
		t.Error("no replications are not an empty list")
	}
	remote := n.post("/api/v2/remotes", `{"orgID":"$org","name":"r","remoteURL":"http://h:1","remoteAPIToken":"secret-token","remoteOrgID":"000000000000000a"}`).want(201).text("id")
	r := n.post("/api/v2/replications", `{"orgID":"$org","name":"p","description":"d","remoteID":"`+remote+
		`","localBucketID":"$bucket","remoteBucketID":"000000000000000b","remoteBucketName":"dropped","maxQueueSizeBytes":67108860,"maxAgeSeconds":604800}`).want(201)
	self := "/api/v2/replications/" + r.text("id")
	for path, want := range map[string]any{"name": "p", "description": "d", "remoteID": remote, "localBucketID": n.bucket.String(),
		"remoteBucketID": "000000000000000b", "RemoteBucketName": "", "maxQueueSizeBytes": 67108860.0, "maxAgeSeconds": 604800.0, "dropNonRetryableData": false,
		"currentQueueSizeBytes": 0.0, "remainingBytesToBeSynced": 0.0, "latestResponseCode": nil, "latestErrorMessage": nil,
		"paused": false, "order": "oldest", "backfill": false, "bytesPerSecond": 0.0} {
		if got := r.at(path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	v := n.replicationNamed("p")
	n.statuses[v.ID] = replicate.Status{Attempted: true, LatestResponseCode: 204, QueueBytes: 99, RemainingBytes: 11}
	r = n.patch(self, `{"remoteBucketName":"named","maxAgeSeconds":60,"paused":true}`).want(200)
	for path, want := range map[string]any{"remoteBucketID": nil, "RemoteBucketName": "named", "remoteBucketName": "named", "maxAgeSeconds": 60.0, "paused": true,
		"currentQueueSizeBytes": 99.0, "remainingBytesToBeSynced": 11.0, "latestResponseCode": 204.0, "latestErrorMessage": "", "description": "d"} {
		if got := r.at(path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	for filter, want := range map[string]int{"": 1, "&name=p": 1, "&name=x": 0, "&remoteID=" + remote: 1, "&localBucketID=$bucket": 1, "&localBucketID=$org": 0} {
		if got := n.get("/api/v2/replications?orgID=$org" + filter).want(200).names("replications"); len(got) != want {
			t.Errorf("%s finds %v", filter, got)
		}
	}
	n.delete(self).want(204)
	n.get(self).want(404, "not found", "replication not found")
	n.delete("/api/v2/remotes/" + remote).want(204)
}

func (n *node) replicationNamed(name string) catalog.Replication {
	n.t.Helper()
	all, err := n.Catalog.Replications(n.org)
	if err != nil {
		n.t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(r catalog.Replication) bool { return r.Name == name })
	if i < 0 {
		n.t.Fatalf("no replication %q", name)
	}
	return all[i]
}

func TestReplicationsAreValidatedAgainstTheTarget(t *testing.T) {
	n := start(t)
	remote := n.post("/api/v2/remotes", `{"orgID":"$org","name":"r","remoteURL":"http://h:1","remoteAPIToken":"secret-token","remoteOrgID":"000000000000000a","allowInsecureTLS":true}`).want(201).text("id")
	body := `{"orgID":"$org","name":"p","remoteID":"` + remote + `","localBucketID":"$bucket","remoteBucketName":"db/rp"}`
	last := func() replicate.Spec { return n.validated[len(n.validated)-1] }

	n.post("/api/v2/replications?validate=true", body).want(204)
	if s := last(); s.Remote.URL != "http://h:1" || s.Remote.Token != "secret-token" || s.Remote.OrgID != "000000000000000a" || !s.Remote.InsecureTLS ||
		s.RemoteBucketName != "db/rp" || s.RemoteBucketID != "" {
		t.Errorf("validated %+v", s)
	}
	if got := n.get("/api/v2/replications?orgID=$org").names("replications"); len(got) != 0 {
		t.Errorf("validation made %v", got)
	}
	self := "/api/v2/replications/" + n.post("/api/v2/replications", body).want(201).text("id")
	n.post(self+"/validate", "").want(204)
	n.patch(self+"?validate=true", `{"remoteBucketID":"000000000000000c"}`).want(204)
	if s := last(); s.RemoteBucketID != "000000000000000c" || s.RemoteBucketName != "" {
		t.Errorf("validated %+v", s)
	}
	if got := n.get(self).text("RemoteBucketName"); got != "db/rp" {
		t.Errorf("validation changed the target to %q", got)
	}
	n.invalid = fmt.Errorf("401: no")
	for _, r := range []reply{n.post(self+"/validate", ""), n.post("/api/v2/replications?validate=true", strings.Replace(body, `"p"`, `"q"`, 1)),
		n.patch(self+"?validate=true", `{}`)} {
		r.want(400, "invalid", "replication failed validation: 401: no")
	}
}

func TestDelete(t *testing.T) {
	n := start(t)
	const path = "/api/v2/delete?org=o&bucket=b"
	n.post(path, `{"start":"2026-03-01T10:00:00Z","stop":"2026-03-01T11:00:00.5Z","predicate":"_measurement=\"m\""}`).want(204)
	n.post("/api/v2/delete?orgID=$org&bucketID=$bucket", `{"start":"0001-01-01T00:00:00Z","stop":"9999-01-01T00:00:00Z"}`).want(204)
	want := []string{n.bucket.String() + ` 1772359200000000000 1772362800500000000 _measurement="m"`, n.bucket.String() + " -9223372036854775806 9223372036854775806 "}
	if !slices.Equal(n.deleted, want) {
		t.Errorf("deleted %q, want %q", n.deleted, want)
	}
	n.post(path, `{"stop":"2026-03-01T11:00:00Z"}`).want(400, "invalid")
	n.post(path, `{"start":"2026-03-01T11:00:00Z","stop":"2026-03-01T10:00:00Z"}`).want(400, "invalid", "stop must not be before start")
	n.post(path, `{"start":"yesterday","stop":"2026-03-01T10:00:00Z"}`).want(400, "invalid")
	n.post("/api/v2/delete?org=o", `{}`).want(400, "invalid")
	n.post("/api/v2/delete?bucket=b", `{}`).want(400, "invalid", "Please provide either orgID or org")
	n.post("/api/v2/delete?org=o&bucket=x", `{}`).want(404, "not found")
	n.do(call{method: "POST", path: path, body: `{}`, token: n.token("read:buckets")}).want(403, "forbidden", "insufficient permissions to delete")
	n.deleteErr = catalog.Errorf(catalog.NotImplemented, "_field is not supported in predicates")
	n.post(path, `{"start":"2026-03-01T10:00:00Z","stop":"2026-03-01T11:00:00Z","predicate":"_field=\"f\""}`).want(501, "not implemented",
		"_field is not supported in predicates")
}

func TestStatusOfTheNode(t *testing.T) {
	n := start(t)
	n.do(call{method: "POST", path: v2, body: "m f=1\nm f=2 1"}).want(204)
	remote := n.post("/api/v2/remotes", `{"orgID":"$org","name":"r","remoteURL":"http://h:1","remoteAPIToken":"t"}`).want(201).text("id")
	p := n.post("/api/v2/replications", `{"orgID":"$org","name":"p","remoteID":"`+remote+`","localBucketID":"$bucket","remoteBucketName":"x"}`).want(201).text("id")
	self := own + "/replications/" + p
	r := n.get(self).want(200)
	if r.text("state") != "stopped" || r.text("reason") != "replication not found" || r.at("latestResponseCode") != nil {
		t.Errorf("a replication that does not run is %s", r.Body)
	}
	v := n.replicationNamed("p")
	n.statuses[v.ID] = replicate.Status{State: replicate.Waiting, Reason: "refused", Attempted: true, Lag: 90 * time.Second, ETA: -1, Position: 3, LastPosition: 9,
		Counts: replicate.Counts{PointsSent: 7, Dropped: map[string]int64{"refused": 2}}, DeadLetters: 2}
	r = n.get(own + "/status").want(200)
	for path, want := range map[string]any{"version": "1.2.3", "health": "pass", "replications.0.name": "p",
		"replications.0.state": "waiting", "replications.0.reason": "refused", "replications.0.lagSeconds": 90.0, "replications.0.etaSeconds": nil,
		"replications.0.pointsSent": 7.0, "replications.0.dropped.refused": 2.0, "replications.0.latestResponseCode": 0.0, "replications.0.position": 3.0,
		"replications.0.oldestUnsent": nil, "replications.0.deadLetters": 2.0} {
		if got := r.at(path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	i := slices.Index(r.names("buckets"), "b")
	if got := r.at(fmt.Sprintf("buckets.%d.journalLast", i)); got != 2.0 {
		t.Errorf("the bucket's journal ends at %v", got)
	}
	if r := n.post(self+"/pause", "").want(200); r.at("paused") != true || !n.replicationNamed("p").Paused {
		t.Errorf("body %s", r.Body)
	}
	if r := n.post(self+"/resume", "").want(200); r.at("paused") != false || n.replicationNamed("p").Paused {
		t.Errorf("body %s", r.Body)
	}
}

func TestDeadLettersAndGaps(t *testing.T) {
	n := start(t)
	remote := n.post("/api/v2/remotes", `{"orgID":"$org","name":"r","remoteURL":"http://h:1","remoteAPIToken":"t"}`).want(201).text("id")
	self := own + "/replications/" + n.post("/api/v2/replications", `{"orgID":"$org","name":"p","remoteID":"`+remote+
		`","localBucketID":"$bucket","remoteBucketName":"x"}`).want(201).text("id")
	if got, ok := n.get(self + "/gaps").want(200).at("gaps").([]any); !ok || len(got) != 0 {
		t.Error("no gaps are not an empty list")
	}
	for i := range int64(3) {
		n.letters = append(n.letters, replicate.DeadLetter{ID: i + 1, Code: 400, Reason: "bad", Line: fmt.Appendf(nil, "m f=%d 1", i)})
	}
	n.gapList = []replicate.Gap{{ID: 5, Reason: "dropped", Points: 10}}
	r := n.get(self + "/dead-letters?limit=2&offset=1").want(200)
	if r.at("total") != 3.0 || r.at("deadLetters.0.id") != 2.0 || r.text("deadLetters.1.line") != "m f=2 1" || r.at("deadLetters.0.code") != 400.0 {
		t.Errorf("body %s", r.Body)
	}
	n.do(call{method: "GET", path: self + "/dead-letters", token: n.token("read:replications")}).want(401, "unauthorized")
	n.post(self+"/dead-letters/retry", `{"ids":[1,3]}`).want(204)
	n.post(self+"/dead-letters/retry", "").want(204)
	if got := n.post(self+"/dead-letters/purge", `{"ids":[2]}`).want(200).at("purged"); got != 3.0 {
		t.Errorf("purged %v", got)
	}
	if r := n.get(self + "/gaps").want(200); r.at("gaps.0.id") != 5.0 || r.at("gaps.0.points") != 10.0 {
		t.Errorf("body %s", r.Body)
	}
	n.post(self+"/fill", `{"gap":5}`).want(204)
	n.post(self+"/fill", `{"gap":6}`).want(404, "not found", "the replication has no gap 6")
	n.post(self+"/resync", `{"start":"1970-01-01T00:00:00Z","stop":"1970-01-01T00:00:01Z"}`).want(204)
	want := []string{"retry [1 3]", "retry []", "purge [2]", "fill 5", "resync 0 1000000000"}
	if !slices.Equal(n.asked, want) {
		t.Errorf("asked %q, want %q", n.asked, want)
	}
}
