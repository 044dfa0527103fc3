package api

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// step is one request of InfluxDB 2's command as it was recorded. want has paths that the command reads and what must be there:
// "*" is anything but null. save keeps a value for later steps, which write it as $name.
type step struct {
	method, path, body string
	status             int
	want               map[string]string
	save               map[string]string
}

// TestSequencesOfTheInfluxCommand replays what the command sends, in its order, over one node.
func TestSequencesOfTheInfluxCommand(t *testing.T) {
	n := empty(t, nil)
	saved := map[string]string{}
	header := http.Header{"Accept": {"application/json"}, "User-Agent": {"influx/2.8.0 (linux) Sha/abc Date/2026"}}
	for _, sequence := range []struct {
		command string
		steps   []step
	}{
		{"setup", []step{
			{"GET", "/api/v2/setup", "", 200, map[string]string{"allowed": "true"}, nil},
			{"POST", "/api/v2/setup", `{"bucket":"b","org":"o","password":"password1","retentionPeriodSeconds":0,"token":"operator-token","username":"admin"}`, 201,
				map[string]string{"auth.token": "operator-token", "org.name": "o", "bucket.name": "b", "user.name": "admin"},
				map[string]string{"org": "org.id", "bucket": "bucket.id", "user": "user.id"}},
		}},
		{"ping", []step{{"GET", "/health", "", 200, map[string]string{"status": "pass"}, nil}}},
		{"bucket list", []step{
			{"GET", "/api/v2/buckets?limit=20&org=o", "", 200, map[string]string{"buckets.0.id": "*", "buckets.0.retentionRules.0.everySeconds": "*",
				"buckets.0.retentionRules.0.shardGroupDurationSeconds": "*", "buckets.0.orgID": "$org", "buckets.2.type": "*", "buckets.3": "<nil>"}, nil},
			{"GET", "/api/v2/buckets?name=b&org=o", "", 200, map[string]string{"buckets.0.name": "b", "buckets.1": "<nil>"}, nil},
			{"GET", "/api/v2/buckets?id=$bucket&org=o", "", 200, map[string]string{"buckets.0.name": "b", "buckets.1": "<nil>"}, nil},
		}},
		{"bucket create, update, delete", []step{
			{"GET", "/api/v2/orgs?org=o", "", 200, map[string]string{"orgs.0.id": "$org", "orgs.1": "<nil>"}, nil},
			{"POST", "/api/v2/buckets", `{"name":"c","orgID":"$org","retentionRules":[{"everySeconds":7200,"type":"expire"}],"schemaType":"implicit"}`, 201,
				map[string]string{"name": "c", "retentionRules.0.everySeconds": "7200"}, map[string]string{"c": "id"}},
			{"PATCH", "/api/v2/buckets/$c", `{"name":"d"}`, 200, map[string]string{"name": "d"}, nil},
			{"GET", "/api/v2/buckets?name=d&org=o", "", 200, map[string]string{"buckets.0.id": "$c"}, nil},
			{"DELETE", "/api/v2/buckets/$c", "", 204, nil, nil},
		}},
		{"org create, members, update, delete", []step{
			{"GET", "/api/v2/orgs", "", 200, map[string]string{"orgs.0.name": "o"}, nil},
			{"POST", "/api/v2/orgs", `{"description":"","name":"p"}`, 201, map[string]string{"name": "p"}, map[string]string{"p": "id"}},
			{"GET", "/api/v2/orgs/$p/members", "", 200, map[string]string{"users": "*"}, nil},
			{"PATCH", "/api/v2/orgs/$p", `{"name":"q"}`, 200, map[string]string{"name": "q"}, nil},
			{"GET", "/api/v2/orgs/$p", "", 200, map[string]string{"name": "q"}, nil},
			{"DELETE", "/api/v2/orgs/$p", "", 204, nil, nil},
		}},
		{"user create, list", []step{
			{"GET", "/api/v2/orgs?org=o", "", 200, map[string]string{"orgs.0.id": "$org"}, nil},
			{"POST", "/api/v2/users", `{"name":"u"}`, 201, map[string]string{"status": "active"}, map[string]string{"u": "id"}},
			{"POST", "/api/v2/orgs/$org/members", `{"id":"$u"}`, 201, map[string]string{"role": "member"}, nil},
			{"POST", "/api/v2/users/$u/password", `{"password":"password2"}`, 204, nil, nil},
			{"GET", "/api/v2/users?name=u", "", 200, map[string]string{"users.0.id": "$u"}, nil},
			{"GET", "/api/v2/users?id=$u", "", 200, map[string]string{"users.0.name": "u"}, nil},
		}},
		{"auth create --all-access, inactive, delete", []step{
			{"GET", "/api/v2/orgs?org=o", "", 200, map[string]string{"orgs.0.id": "$org"}, nil},
			{"GET", "/api/v2/users?name=u", "", 200, map[string]string{"users.0.id": "$u"}, nil},
			{"GET", "/api/v2/resources", "", 200, nil, nil},
			{"POST", "/api/v2/authorizations", `{"description":"","orgID":"$org","userID":"$u","permissions":[$all]}`, 201,
				map[string]string{"token": "*", "user": "u", "org": "o", "permissions.43.action": "write"}, map[string]string{"auth": "id"}},
			{"GET", "/api/v2/authorizations", "", 200, map[string]string{"authorizations.1.token": "REDACTED"}, nil},
			{"GET", "/api/v2/authorizations/$auth", "", 200, map[string]string{"userID": "$u"}, nil},
			{"PATCH", "/api/v2/authorizations/$auth", `{"status":"inactive"}`, 200, map[string]string{"status": "inactive"}, nil},
			{"DELETE", "/api/v2/authorizations/$auth", "", 204, nil, nil},
		}},
		{"remote create, list", []step{
			{"GET", "/api/v2/orgs?org=o", "", 200, map[string]string{"orgs.0.id": "$org"}, nil},
			{"GET", "/api/v2/orgs?orgID=$org", "", 200, map[string]string{"orgs.0.id": "$org"}, nil},
			{"POST", "/api/v2/remotes", `{"allowInsecureTLS":false,"name":"r","orgID":"$org","remoteAPIToken":"t","remoteOrgID":"$org","remoteURL":"http://127.0.0.1:1"}`,
				201, map[string]string{"remoteURL": "http://127.0.0.1:1", "remoteOrgID": "$org", "allowInsecureTLS": "false"}, map[string]string{"remote": "id"}},
			{"GET", "/api/v2/remotes?orgID=$org", "", 200, map[string]string{"remotes.0.id": "$remote"}, nil},
			{"PATCH", "/api/v2/remotes/$remote", `{"name":"r2"}`, 200, map[string]string{"name": "r2"}, nil},
		}},
		{"replication create, list, update", []step{
			{"GET", "/api/v2/orgs?org=o", "", 200, map[string]string{"orgs.0.id": "$org"}, nil},
			{"POST", "/api/v2/replications", `{"dropNonRetryableData":false,"localBucketID":"$bucket","maxAgeSeconds":604800,"maxQueueSizeBytes":67108860,` +
				`"name":"p","orgID":"$org","remoteBucketID":"$bucket","remoteID":"$remote"}`, 201,
				map[string]string{"id": "*", "remoteBucketID": "$bucket", "maxAgeSeconds": "604800", "currentQueueSizeBytes": "0", "RemoteBucketName": ""},
				map[string]string{"replication": "id"}},
			{"GET", "/api/v2/replications?orgID=$org", "", 200, map[string]string{"replications.0.id": "$replication"}, nil},
			{"PATCH", "/api/v2/replications/$replication", `{"maxAgeSeconds":3600}`, 200, map[string]string{"maxAgeSeconds": "3600"}, nil},
		}},
		{"remote delete --delete-replications", []step{
			{"GET", "/api/v2/remotes/$remote", "", 200, map[string]string{"name": "r2"}, nil},
			{"GET", "/api/v2/replications?orgID=$org&remoteID=$remote", "", 200, map[string]string{"replications.0.id": "$replication"}, nil},
			{"DELETE", "/api/v2/replications/$replication", "", 204, nil, nil},
			{"DELETE", "/api/v2/remotes/$remote", "", 204, nil, nil},
		}},
		{"write, delete", []step{
			{"POST", "/api/v2/write?bucket=b&org=o&precision=ns", "m f=1 1", 204, nil, nil},
			{"POST", "/api/v2/delete?bucket=b&org=o", `{"predicate":"","start":"1970-01-01T00:00:00Z","stop":"2030-01-01T00:00:00Z"}`, 204, nil, nil},
		}},
		{"v1 dbrp create, list, update, delete", []step{
			{"GET", "/api/v2/orgs?org=o", "", 200, map[string]string{"orgs.0.id": "$org"}, nil},
			{"POST", "/api/v2/dbrps", `{"bucketID":"$bucket","database":"d","org":"","orgID":"$org","retention_policy":"r"}`, 201,
				map[string]string{"database": "d", "default": "true", "virtual": "false"}, map[string]string{"dbrp": "id"}},
			{"GET", "/api/v2/dbrps?org=o", "", 200, map[string]string{"content.0.id": "*", "content.3.id": "*"}, nil},
			{"PATCH", "/api/v2/dbrps/$dbrp?org=o", `{"default":true}`, 200, map[string]string{"content.id": "$dbrp"}, nil},
			{"GET", "/api/v2/dbrps/$dbrp?org=o", "", 200, map[string]string{"content.id": "$dbrp"}, nil},
			{"DELETE", "/api/v2/dbrps/$dbrp?org=o", "", 204, nil, nil},
		}},
		{"v1 auth create, list, set-password, delete", []step{
			{"GET", "/api/v2/orgs?org=o", "", 200, map[string]string{"orgs.0.id": "$org"}, nil},
			{"GET", "/private/legacy/authorizations?token=v1", "", 200, map[string]string{"authorizations": "*", "authorizations.0": "<nil>"}, nil},
			{"POST", "/private/legacy/authorizations", `{"description":"","orgID":"$org","permissions":[{"action":"read","resource":{"id":"$bucket","orgID":"$org","type":"buckets"}}],"token":"v1"}`,
				201, map[string]string{"token": "v1", "userID": "$user", "permissions.0.action": "read"}, map[string]string{"v1": "id"}},
			{"POST", "/private/legacy/authorizations/$v1/password", `{"password":"password3"}`, 204, nil, nil},
			{"GET", "/api/v2/users/$user", "", 200, map[string]string{"name": "admin"}, nil},
			{"GET", "/private/legacy/authorizations", "", 200, map[string]string{"authorizations.0.token": "v1"}, nil},
			{"GET", "/private/legacy/authorizations?token=v1", "", 200, map[string]string{"authorizations.0.id": "$v1"}, nil},
			{"PATCH", "/private/legacy/authorizations/$v1", `{"status":"active"}`, 200, map[string]string{"status": "active"}, nil},
			{"GET", "/private/legacy/authorizations/$v1", "", 200, map[string]string{"token": "v1"}, nil},
			{"DELETE", "/private/legacy/authorizations/$v1", "", 204, nil, nil},
		}},
		{"v1 shell", []step{
			{"GET", "/ping", "", 204, nil, nil},
			{"GET", "/query?db=&q=SHOW%20DATABASES&rp=", "", 200, map[string]string{"results.0.statement_id": "0"}, nil},
			{"POST", "/write?db=b&rp=&precision=ns", "m f=1 1", 204, nil, nil},
		}},
		{"server-config", []step{{"GET", "/api/v2/config", "", 200, map[string]string{"config": "*"}, nil}}},
		{"export, apply", []step{
			{"POST", "/api/v2/templates/export", `{}`, 501, map[string]string{"code": "not implemented"}, nil},
			{"POST", "/api/v2/templates/apply", `{}`, 501, map[string]string{"code": "not implemented"}, nil},
		}},
	} {
		t.Run(sequence.command, func(t *testing.T) {
			n.t = t
			for _, s := range sequence.steps {
				r := n.do(call{method: s.method, path: expand(t, s.path, saved), body: expand(t, s.body, saved), header: header}).want(s.status)
				if s.status == 204 && r.Body.Len() != 0 {
					t.Errorf("%s %s: a body with 204", s.method, s.path)
				}
				for path, want := range s.want {
					got := r.text(path)
					if want = expand(t, want, saved); want == "*" && got == "<nil>" || want != "*" && got != want {
						t.Errorf("%s %s: %s is %s, want %s", s.method, s.path, path, got, want)
					}
				}
				for name, path := range s.save {
					saved[name] = r.text(path)
				}
			}
		})
	}
}

var variable = regexp.MustCompile(`\$[a-z0-9]+`)

// expand puts what was saved into a step. $all is what --all-access asks for.
func expand(t *testing.T, s string, saved map[string]string) string {
	return variable.ReplaceAllStringFunc(s, func(name string) string {
		if name == "$all" {
			return allAccess(t, saved["org"])
		}
		v, ok := saved[name[1:]]
		if !ok {
			t.Fatalf("%s was not saved", name)
		}
		return v
	})
}

func allAccess(t *testing.T, org string) string {
	t.Helper()
	var types []string
	n := start(t)
	if err := json.Unmarshal(n.get("/api/v2/resources").Body.Bytes(), &types); err != nil {
		t.Fatal(err)
	}
	types = slices.DeleteFunc(types, func(s string) bool { return s == "instance" }) // the command leaves it out
	var all []string
	for _, kind := range types {
		for _, action := range []string{"read", "write"} {
			all = append(all, `{"action":"`+action+`","resource":{"type":"`+kind+`","orgID":"`+org+`"}}`)
		}
	}
	return strings.Join(all, ",")
}
