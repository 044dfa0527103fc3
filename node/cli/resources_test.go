package cli

import (
	"net/http"
	"strings"
	"testing"
)

// Answers of the server, each in the shape that InfluxDB 2.9 sends.
const (
	orgJSON    = `{"links":{"self":"/api/v2/orgs/` + orgID + `"},"id":"` + orgID + `","name":"o","description":"","createdAt":"2026-03-01T10:00:00Z","updatedAt":"2026-03-01T10:00:00Z"}`
	orgsJSON   = `{"links":{"self":"/api/v2/orgs"},"orgs":[` + orgJSON + `]}`
	userJSON   = `{"links":{"self":"/api/v2/users/` + userID + `"},"id":"` + userID + `","name":"ann","status":"active"}`
	usersJSON  = `{"links":{"self":"/api/v2/users"},"users":[` + userJSON + `]}`
	bucketJSON = `{"id":"` + bucketID + `","orgID":"` + orgID + `","type":"user","name":"telegraf","retentionRules":[{"type":"expire","everySeconds":259200,"shardGroupDurationSeconds":86400}],` +
		`"createdAt":"2026-03-01T10:00:00Z","updatedAt":"2026-03-01T10:00:00Z","links":{"self":"/api/v2/buckets/` + bucketID + `"},"labels":[]}`
	systemBucketJSON = `{"id":"0c00000000000002","orgID":"` + orgID + `","type":"system","name":"_tasks","retentionRules":[{"type":"expire","everySeconds":0}],"links":{},"labels":[]}`
	authJSON         = `{"id":"` + authID + `","token":"REDACTED","status":"active","description":"edge","orgID":"` + orgID + `","org":"o","userID":"` + userID + `","user":"ann","permissions":[` +
		`{"action":"read","resource":{"type":"buckets","id":"` + bucketID + `","orgID":"` + orgID + `"}},{"action":"write","resource":{"type":"buckets"}}],"links":{"self":"x","user":"y"}}`
	remoteJSON = `{"id":"` + remoteID + `","orgID":"` + orgID + `","name":"central","remoteURL":"https://central:8086","remoteOrgID":"0a00000000000009","allowInsecureTLS":false}`
	replJSON   = `{"id":"` + replID + `","orgID":"` + orgID + `","name":"up","remoteID":"` + remoteID + `","localBucketID":"` + bucketID + `","remoteBucketID":"0000000000000000","RemoteBucketName":"telegraf",` +
		`"maxQueueSizeBytes":67108860,"currentQueueSizeBytes":8,"remainingBytesToBeSynced":0,"latestResponseCode":204,"latestErrorMessage":"","dropNonRetryableData":false,"maxAgeSeconds":604800}`
	dbrpJSON   = `{"id":"` + dbrpID + `","database":"db","retention_policy":"rp","default":true,"virtual":false,"orgID":"` + orgID + `","bucketID":"` + bucketID + `"}`
	virtualRP  = `{"id":"` + bucketID + `","database":"telegraf","retention_policy":"autogen","default":true,"virtual":true,"orgID":"` + orgID + `","bucketID":"` + bucketID + `"}`
	v1AuthJSON = `{"id":"` + authID + `","token":"v1user","status":"active","description":"","orgID":"` + orgID + `","userID":"` + userID + `","permissions":[` +
		`{"action":"write","resource":{"type":"buckets","id":"` + bucketID + `","orgID":"` + orgID + `"}}],"links":{}}`
	statusJSON = `{"id":"` + replID + `","orgID":"` + orgID + `","name":"up","localBucketID":"` + bucketID + `","paused":false,"state":"waiting","reason":"connection refused",` +
		`"latestResponseCode":0,"latestErrorMessage":"connection refused","queueBytes":900,"remainingBytes":800,"queueLimit":67108860,"position":7,"lastPosition":9,` +
		`"lagSeconds":75.4,"oldestUnsent":"2026-03-01T10:00:00Z","etaSeconds":null,"nextTry":"2026-03-01T10:02:00Z","lastSuccess":"2026-03-01T09:59:00Z","openGaps":1,"gapPoints":40,` +
		`"deadLetters":3,"damage":"state.json set aside","pointsSent":1200,"pointsFilled":0,"bytesSent":9000,"requests":12,"retries":3,"errors":{"0":3},"dropped":{"refused":10,"purged":2}}`
	deadJSON     = `{"total":3,"deadLetters":[{"id":7,"at":"2026-03-01T10:00:00Z","code":422,"reason":"partial write: field type conflict","line":"cpu,host=a v=\"x\" 1"}]}`
	ownPath      = "/api/holdfast/v1/replications/" + replID
	notFoundJSON = `{"code":"not found","message":"no such thing"}`
)

func get(target, answer string) exchange {
	return exchange{request: "GET " + target, status: 200, answer: answer}
}

func post(target, body, answer string) exchange {
	return exchange{request: "POST " + target, body: body, status: 201, answer: answer}
}

func patch(target, body, answer string) exchange {
	return exchange{request: "PATCH " + target, body: body, status: 200, answer: answer}
}

func remove(target string) exchange { return exchange{request: "DELETE " + target, status: 204} }

func refuse(x exchange, status int, answer string) exchange {
	x.status, x.answer = status, answer
	return x
}

var findOrg = get("/api/v2/orgs?org=o", orgsJSON)

// The sequences are those that the `influx` command was seen to send.
func TestCommandsSendTheRequestsOfTheInfluxCommand(t *testing.T) {
	tests := []struct {
		name  string
		args  string
		steps []exchange
	}{
		{"ping", "ping", []exchange{get("/health", `{"name":"influxdb","message":"ready for queries and writes","status":"pass","checks":[],"version":"v2.9.1","commit":"abc"}`)}},
		{"ping-fail", "ping", []exchange{refuse(get("/health", ""), 503, `{"name":"influxdb","message":"journal: stopped","status":"fail"}`)}},

		{"org-list", "org list", []exchange{findOrg}},
		{"org-list-json", "org ls --json", []exchange{findOrg}},
		{"org-list-id", "org find --id " + orgID, []exchange{get("/api/v2/orgs?orgID="+orgID, orgsJSON)}},
		{"org-create", "org create -n new -d text", []exchange{post("/api/v2/orgs", `{"name":"new","description":"text"}`, strings.Replace(orgJSON, `"o"`, `"new"`, 1))}},
		{"org-update", "org update -i " + orgID + " -n new", []exchange{patch("/api/v2/orgs/"+orgID, `{"name":"new"}`, orgJSON)}},
		{"org-delete", "org delete -i " + orgID, []exchange{get("/api/v2/orgs/"+orgID, orgJSON), remove("/api/v2/orgs/" + orgID)}},
		{"org-delete-unknown", "org delete -i " + orgID, []exchange{refuse(get("/api/v2/orgs/"+orgID, ""), 404, notFoundJSON)}},
		{"members-list", "org members list", []exchange{findOrg,
			get("/api/v2/orgs/"+orgID+"/members", `{"users":[{"id":"0b00000000000002","name":"bob","role":"member","status":"active"}]}`),
			get("/api/v2/orgs/"+orgID+"/owners", `{"users":[{"id":"`+userID+`","name":"ann","role":"owner","status":"active"}]}`)}},
		{"members-add", "org members add -m " + userID, []exchange{findOrg, post("/api/v2/orgs/"+orgID+"/members", `{"id":"`+userID+`"}`, `{"id":"`+userID+`","name":"ann","role":"member"}`)}},
		{"members-add-owner", "org members add --owner -m " + userID, []exchange{findOrg, post("/api/v2/orgs/"+orgID+"/owners", `{"id":"`+userID+`"}`, `{"id":"`+userID+`","name":"ann","role":"owner"}`)}},
		{"members-remove", "org members remove -m " + userID, []exchange{findOrg, remove("/api/v2/orgs/" + orgID + "/members/" + userID)}},
		{"members-remove-owner", "org members remove -m " + userID, []exchange{findOrg,
			refuse(remove("/api/v2/orgs/"+orgID+"/members/"+userID), 404, notFoundJSON), remove("/api/v2/orgs/" + orgID + "/owners/" + userID)}},

		{"user-list", "user list", []exchange{get("/api/v2/users", usersJSON)}},
		{"user-list-name", "user list -n ann", []exchange{get("/api/v2/users?name=ann", usersJSON)}},
		{"user-create", "user create -n ann -p password1", []exchange{findOrg, post("/api/v2/users", `{"name":"ann"}`, userJSON),
			post("/api/v2/orgs/"+orgID+"/members", `{"id":"`+userID+`"}`, `{"id":"`+userID+`"}`),
			refuse(post("/api/v2/users/"+userID+"/password", `{"password":"password1"}`, ""), 204, "")}},
		{"user-create-no-password", "user create -n ann", []exchange{findOrg, post("/api/v2/users", `{"name":"ann"}`, userJSON),
			post("/api/v2/orgs/"+orgID+"/members", `{"id":"`+userID+`"}`, `{"id":"`+userID+`"}`)}},
		{"user-create-no-member", "user create -n ann", []exchange{findOrg, post("/api/v2/users", `{"name":"ann"}`, userJSON),
			refuse(post("/api/v2/orgs/"+orgID+"/members", `{"id":"`+userID+`"}`, ""), 403, `{"code":"forbidden","message":"not yours"}`)}},
		{"user-create-short-password", "user create -n ann -p short", nil},
		{"user-update", "user update -i " + userID + " -n ann", []exchange{patch("/api/v2/users/"+userID, `{"name":"ann"}`, userJSON)}},
		{"user-delete", "user delete -i " + userID, []exchange{get("/api/v2/users/"+userID, userJSON), remove("/api/v2/users/" + userID)}},
		{"user-password", "user password -n ann -p password2", []exchange{get("/api/v2/users?name=ann", usersJSON),
			refuse(post("/api/v2/users/"+userID+"/password", `{"password":"password2"}`, ""), 204, "")}},

		{"bucket-list", "bucket list", []exchange{get("/api/v2/buckets?limit=20&org=o", `{"links":{},"buckets":[`+bucketJSON+`,`+systemBucketJSON+`]}`)}},
		{"bucket-list-hide-headers", "bucket list --hide-headers", []exchange{get("/api/v2/buckets?limit=20&org=o", `{"buckets":[`+bucketJSON+`]}`)}},
		{"bucket-list-json", "bucket list --json", []exchange{get("/api/v2/buckets?limit=20&org=o", `{"buckets":[`+bucketJSON+`]}`)}},
		{"bucket-list-empty-json", "bucket list --json", []exchange{get("/api/v2/buckets?limit=20&org=o", `{"buckets":null}`)}},
		{"bucket-list-pages", "bucket list --page-size 1 --limit 2", []exchange{
			get("/api/v2/buckets?limit=1&org=o", `{"buckets":[`+bucketJSON+`]}`), get("/api/v2/buckets?limit=1&offset=1&org=o", `{"buckets":[`+systemBucketJSON+`]}`)}},
		{"bucket-list-last-page-empty", "bucket list --page-size 1 --offset 3", []exchange{
			get("/api/v2/buckets?limit=1&offset=3&org=o", `{"buckets":[`+bucketJSON+`]}`), get("/api/v2/buckets?limit=1&offset=4&org=o", `{"buckets":[]}`)}},
		{"bucket-list-name", "bucket list -n telegraf", []exchange{get("/api/v2/buckets?name=telegraf&org=o", `{"buckets":[`+bucketJSON+`]}`)}},
		{"bucket-list-id", "bucket list -i " + bucketID, []exchange{get("/api/v2/buckets?id="+bucketID+"&org=o", `{"buckets":[`+bucketJSON+`]}`)}},
		{"bucket-create", "bucket create -n telegraf -r 3d -d text", []exchange{findOrg, post("/api/v2/buckets",
			`{"orgID":"`+orgID+`","name":"telegraf","description":"text","retentionRules":[{"type":"expire","everySeconds":259200}],"schemaType":"implicit"}`, bucketJSON)}},
		{"bucket-create-infinite", "bucket create -n telegraf", []exchange{findOrg, post("/api/v2/buckets",
			`{"orgID":"`+orgID+`","name":"telegraf","retentionRules":[],"schemaType":"implicit"}`, bucketJSON)}},
		{"bucket-create-taken", "bucket create -n telegraf", []exchange{findOrg, refuse(post("/api/v2/buckets",
			`{"orgID":"`+orgID+`","name":"telegraf","retentionRules":[],"schemaType":"implicit"}`, ""), 422, `{"code":"conflict","message":"bucket with name telegraf already exists"}`)}},
		{"bucket-create-org-id", "bucket create -n telegraf --org-id " + orgID, []exchange{post("/api/v2/buckets",
			`{"orgID":"`+orgID+`","name":"telegraf","retentionRules":[],"schemaType":"implicit"}`, bucketJSON)}},
		{"bucket-update", "bucket update -i " + bucketID + " -r 0 --shard-group-duration 2d", []exchange{patch("/api/v2/buckets/"+bucketID,
			`{"retentionRules":[{"type":"expire","everySeconds":0,"shardGroupDurationSeconds":172800}]}`, bucketJSON)}},
		{"bucket-delete", "bucket delete -n telegraf", []exchange{get("/api/v2/buckets?name=telegraf&org=o", `{"buckets":[`+bucketJSON+`]}`), remove("/api/v2/buckets/" + bucketID)}},
		{"bucket-delete-id", "bucket delete -i " + bucketID, []exchange{get("/api/v2/buckets?id="+bucketID, `{"buckets":[`+bucketJSON+`]}`), remove("/api/v2/buckets/" + bucketID)}},

		{"auth-list", "auth list --org-id " + orgID, []exchange{get("/api/v2/authorizations?orgID="+orgID, `{"authorizations":[`+authJSON+`]}`)}},
		{"auth-list-id", "auth list -i " + authID, []exchange{get("/api/v2/authorizations/"+authID, authJSON)}},
		{"auth-list-json", "auth list -i " + authID + " --json", []exchange{get("/api/v2/authorizations/"+authID, authJSON)}},
		{"auth-create", "auth create -u ann -d edge --read-bucket " + bucketID + " --write-buckets --read-orgs", []exchange{findOrg, get("/api/v2/users?name=ann", usersJSON),
			post("/api/v2/authorizations", `{"orgID":"`+orgID+`","userID":"`+userID+`","description":"edge","permissions":[`+
				`{"action":"read","resource":{"type":"buckets","id":"`+bucketID+`","orgID":"`+orgID+`"}},`+
				`{"action":"write","resource":{"type":"buckets","orgID":"`+orgID+`"}},{"action":"read","resource":{"type":"orgs"}}]}`,
				strings.Replace(authJSON, "REDACTED", "clear-token==", 1))}},
		{"auth-create-all-access", "auth create -u ann --all-access", []exchange{findOrg, get("/api/v2/users?name=ann", usersJSON),
			get("/api/v2/resources", `["buckets","orgs","users","instance"]`),
			post("/api/v2/authorizations", `{"orgID":"`+orgID+`","userID":"`+userID+`","permissions":[`+
				`{"action":"read","resource":{"type":"buckets","orgID":"`+orgID+`"}},{"action":"write","resource":{"type":"buckets","orgID":"`+orgID+`"}},`+
				`{"action":"read","resource":{"type":"orgs","id":"`+orgID+`"}},`+
				`{"action":"read","resource":{"type":"users","id":"`+userID+`"}},{"action":"write","resource":{"type":"users","id":"`+userID+`"}}]}`, authJSON)}},
		{"auth-create-operator", "auth create -u ann --operator", []exchange{findOrg, get("/api/v2/users?name=ann", usersJSON),
			get("/api/v2/resources", `["buckets","orgs","instance"]`),
			post("/api/v2/authorizations", `{"orgID":"`+orgID+`","userID":"`+userID+`","permissions":[`+
				`{"action":"read","resource":{"type":"buckets"}},{"action":"write","resource":{"type":"buckets"}},`+
				`{"action":"read","resource":{"type":"orgs"}},{"action":"write","resource":{"type":"orgs"}}]}`, authJSON)}},
		{"auth-create-bucket-name", "auth create --read-bucket telegraf", nil},
		{"auth-create-nothing", "auth create", nil},
		{"auth-create-composed", "auth create --operator --read-buckets", nil},
		{"auth-inactive", "auth inactive -i " + authID, []exchange{get("/api/v2/authorizations/"+authID, authJSON),
			patch("/api/v2/authorizations/"+authID, `{"status":"inactive"}`, strings.Replace(authJSON, `"active"`, `"inactive"`, 1))}},
		{"auth-active", "auth active -i " + authID, []exchange{get("/api/v2/authorizations/"+authID, authJSON), patch("/api/v2/authorizations/"+authID, `{"status":"active"}`, authJSON)}},
		{"auth-delete", "auth delete -i " + authID, []exchange{get("/api/v2/authorizations/"+authID, authJSON), remove("/api/v2/authorizations/" + authID)}},

		{"remote-list", "remote list", []exchange{findOrg, get("/api/v2/remotes?orgID="+orgID, `{"remotes":[`+remoteJSON+`]}`)}},
		{"remote-list-none", "remote list", []exchange{findOrg, get("/api/v2/remotes?orgID="+orgID, `{"remotes":null}`)}},
		{"remote-create", "remote create -n central --remote-url https://central:8086 --remote-api-token secret --remote-org-id 0a00000000000009", []exchange{
			findOrg, get("/api/v2/orgs?orgID="+orgID, orgsJSON), post("/api/v2/remotes",
				`{"name":"central","orgID":"`+orgID+`","remoteURL":"https://central:8086","remoteAPIToken":"secret","remoteOrgID":"0a00000000000009","allowInsecureTLS":false}`, remoteJSON)}},
		{"remote-create-v1", "remote create -n old --remote-url http://old:8086 --remote-api-token u:p --allow-insecure-tls", []exchange{
			findOrg, get("/api/v2/orgs?orgID="+orgID, orgsJSON), post("/api/v2/remotes",
				`{"name":"old","orgID":"`+orgID+`","remoteURL":"http://old:8086","remoteAPIToken":"u:p","allowInsecureTLS":true}`, remoteJSON)}},
		{"remote-update", "remote update -i " + remoteID + " --remote-api-token new --allow-insecure-tls=false", []exchange{
			patch("/api/v2/remotes/"+remoteID, `{"remoteAPIToken":"new","allowInsecureTLS":false}`, remoteJSON)}},
		{"remote-delete", "remote delete -i " + remoteID, []exchange{get("/api/v2/remotes/"+remoteID, remoteJSON), remove("/api/v2/remotes/" + remoteID)}},
		{"remote-delete-in-use", "remote delete -i " + remoteID, []exchange{get("/api/v2/remotes/"+remoteID, remoteJSON),
			refuse(remove("/api/v2/remotes/"+remoteID), 500, `{"code":"internal error","message":"remote connection is still referenced by a replication"}`)}},
		{"remote-delete-replications", "remote delete --delete-replications -i " + remoteID, []exchange{get("/api/v2/remotes/"+remoteID, remoteJSON),
			get("/api/v2/replications?orgID="+orgID+"&remoteID="+remoteID, `{"replications":[`+replJSON+`]}`), remove("/api/v2/replications/" + replID), remove("/api/v2/remotes/" + remoteID)}},

		{"replication-list", "replication list", []exchange{findOrg, get("/api/v2/replications?orgID="+orgID, `{"replications":[`+replJSON+`]}`)}},
		{"replication-list-filter", "replication list -n up --remote-id " + remoteID + " --local-bucket-id " + bucketID, []exchange{findOrg,
			get("/api/v2/replications?localBucketID="+bucketID+"&name=up&orgID="+orgID+"&remoteID="+remoteID, `{"replications":[]}`)}},
		{"replication-list-json", "replication list --json", []exchange{findOrg, get("/api/v2/replications?orgID="+orgID, `{"replications":[`+replJSON+`]}`)}},
		{"replication-create", "replication create -n up --remote-id " + remoteID + " --local-bucket-id " + bucketID + " --remote-bucket telegraf", []exchange{findOrg,
			post("/api/v2/replications", `{"name":"up","orgID":"`+orgID+`","remoteID":"`+remoteID+`","localBucketID":"`+bucketID+`","remoteBucketName":"telegraf","maxQueueSizeBytes":67108860,"maxAgeSeconds":604800}`, replJSON)}},
		{"replication-create-bucket-id-wins", "replication create -n up --remote-id " + remoteID + " --local-bucket-id " + bucketID + " --remote-bucket telegraf --remote-bucket-id 0c00000000000009 --drop-non-retryable-data --max-age 60", []exchange{findOrg,
			post("/api/v2/replications", `{"name":"up","orgID":"`+orgID+`","remoteID":"`+remoteID+`","localBucketID":"`+bucketID+`","remoteBucketID":"0c00000000000009","maxQueueSizeBytes":67108860,"maxAgeSeconds":60,"dropNonRetryableData":true}`, replJSON)}},
		{"replication-create-no-bucket", "replication create -n up --remote-id " + remoteID + " --local-bucket-id " + bucketID, nil},
		{"replication-create-too-small", "replication create -n up --remote-id " + remoteID + " --local-bucket-id " + bucketID + " --remote-bucket telegraf --max-queue-bytes 1", []exchange{findOrg,
			refuse(post("/api/v2/replications", `{"name":"up","orgID":"`+orgID+`","remoteID":"`+remoteID+`","localBucketID":"`+bucketID+`","remoteBucketName":"telegraf","maxQueueSizeBytes":1,"maxAgeSeconds":604800}`, ""),
				400, `{"code":"invalid","message":"maxQueueSize too small, must be at least 33554430"}`)}},
		{"replication-update", "replication update -i " + replID + " --no-drop-non-retryable-data --max-queue-bytes 67108861", []exchange{
			patch("/api/v2/replications/"+replID, `{"maxQueueSizeBytes":67108861,"dropNonRetryableData":false}`, replJSON)}},
		{"replication-update-both", "replication update -i " + replID + " --no-drop-non-retryable-data --drop-non-retryable-data", nil},
		{"replication-delete", "replication delete -i " + replID, []exchange{get("/api/v2/replications/"+replID, replJSON), remove("/api/v2/replications/" + replID)}},

		{"replication-pause", "replication pause -i " + replID, []exchange{refuse(post(ownPath+"/pause", "", ""), 200, statusJSON)}},
		{"replication-resume", "replication resume -i " + replID, []exchange{refuse(post(ownPath+"/resume", "", ""), 200, statusJSON)}},
		{"replication-status", "replication status", []exchange{get("/api/holdfast/v1/status", `{"replications":[`+statusJSON+`,{"id":"0f00000000000002","name":"new","paused":true,"state":"idle","etaSeconds":0}]}`)}},
		{"replication-status-one", "replication status -i " + replID, []exchange{get(ownPath, statusJSON)}},
		{"replication-status-json", "replication status --json -i " + replID, []exchange{get(ownPath, statusJSON)}},
		{"replication-status-of-influxdb", "replication status", []exchange{refuse(get("/api/holdfast/v1/status", ""), 404, `{"code":"not found","message":"path not found"}`)}},
		{"replication-dead-letters", "replication dead-letters --limit 1 -i " + replID, []exchange{get(ownPath+"/dead-letters?limit=1&offset=0", deadJSON)}},
		{"replication-dead-letters-lines", "replication dead-letters --lines --offset 2 -i " + replID, []exchange{get(ownPath+"/dead-letters?limit=20&offset=2", deadJSON)}},
		{"replication-retry", "replication retry -i " + replID, []exchange{refuse(post(ownPath+"/dead-letters/retry", `{}`, ""), 204, "")}},
		{"replication-retry-some", "replication retry -i " + replID + " --dead-letter 7 --dead-letter 9", []exchange{refuse(post(ownPath+"/dead-letters/retry", `{"ids":[7,9]}`, ""), 204, "")}},
		{"replication-purge", "replication purge --all -i " + replID, []exchange{refuse(post(ownPath+"/dead-letters/purge", `{}`, ""), 200, `{"purged":3}`)}},
		{"replication-purge-some", "replication purge --json --dead-letter 7 -i " + replID, []exchange{refuse(post(ownPath+"/dead-letters/purge", `{"ids":[7]}`, ""), 200, `{"purged":1}`)}},
		{"replication-purge-what", "replication purge -i " + replID, nil},
		{"replication-gaps", "replication gaps -i " + replID, []exchange{get(ownPath+"/gaps", `{"gaps":[{"id":1,"reason":"dropped","found":"2026-03-01T10:00:00Z","from":3,"to":9,"points":-1,`+
			`"minTime":1772359200000000000,"maxTime":1772362800000000000,"state":"open","sent":5,"closed":"0001-01-01T00:00:00Z"}]}`)}},
		{"replication-fill", "replication fill --gap 1 -i " + replID, []exchange{refuse(post(ownPath+"/fill", `{"gap":1}`, ""), 204, "")}},
		{"replication-resync", "replication resync --start 2026-03-01T00:00:00Z --stop 2026-03-02T00:00:00Z -i " + replID, []exchange{
			refuse(post(ownPath+"/resync", `{"start":"2026-03-01T00:00:00Z","stop":"2026-03-02T00:00:00Z"}`, ""), 204, "")}},

		{"delete", `delete -b telegraf --start 2026-03-01T00:00:00Z --stop 2026-03-02T00:00:00.5Z -p _measurement="cpu"`, []exchange{
			refuse(post("/api/v2/delete?bucket=telegraf&org=o", `{"start":"2026-03-01T00:00:00Z","stop":"2026-03-02T00:00:00.5Z","predicate":"_measurement=\"cpu\""}`, ""), 204, "")}},
		{"delete-id", "delete --bucket-id " + bucketID + " --start 2026-03-01T00:00:00Z --stop 2026-03-02T00:00:00Z --org-id " + orgID, []exchange{
			refuse(post("/api/v2/delete?bucketID="+bucketID+"&orgID="+orgID, `{"start":"2026-03-01T00:00:00Z","stop":"2026-03-02T00:00:00Z"}`, ""), 204, "")}},
		{"delete-bad-time", "delete -b telegraf --start yesterday --stop now", nil},

		{"dbrp-list", "v1 dbrp list", []exchange{get("/api/v2/dbrps?org=o", `{"content":[`+dbrpJSON+`,`+virtualRP+`]}`)}},
		{"dbrp-list-filter", "v1 dbrp list --db db --rp rp --default --bucket-id " + bucketID + " --id " + dbrpID, []exchange{
			get("/api/v2/dbrps?bucketID="+bucketID+"&db=db&default=true&id="+dbrpID+"&org=o&rp=rp", `{"content":[]}`)}},
		{"dbrp-create", "v1 dbrp create --db db --rp rp --default --bucket-id " + bucketID, []exchange{findOrg,
			post("/api/v2/dbrps", `{"orgID":"`+orgID+`","bucketID":"`+bucketID+`","database":"db","retention_policy":"rp","default":true}`, dbrpJSON)}},
		{"dbrp-update", "v1 dbrp update --id " + dbrpID + " -r two --default", []exchange{
			patch("/api/v2/dbrps/"+dbrpID+"?org=o", `{"retention_policy":"two","default":true}`, `{"content":`+dbrpJSON+`}`)}},
		{"dbrp-delete", "v1 dbrp delete --id " + dbrpID, []exchange{get("/api/v2/dbrps/"+dbrpID+"?org=o", `{"content":`+dbrpJSON+`}`), remove("/api/v2/dbrps/" + dbrpID + "?org=o")}},

		{"v1-auth-list", "v1 auth list --org-id " + orgID, []exchange{get("/private/legacy/authorizations?orgID="+orgID, `{"authorizations":[`+v1AuthJSON+`]}`), get("/api/v2/users/"+userID, userJSON)}},
		{"v1-auth-create", "v1 auth create --username v1user --password password3 --write-bucket " + bucketID, []exchange{findOrg,
			get("/private/legacy/authorizations?token=v1user", `{"authorizations":[]}`),
			post("/private/legacy/authorizations", `{"orgID":"`+orgID+`","token":"v1user","permissions":[{"action":"write","resource":{"type":"buckets","id":"`+bucketID+`","orgID":"`+orgID+`"}}]}`, v1AuthJSON),
			refuse(post("/private/legacy/authorizations/"+authID+"/password", `{"password":"password3"}`, ""), 204, ""), get("/api/v2/users/"+userID, userJSON)}},
		{"v1-auth-create-taken", "v1 auth create --username v1user --no-password", []exchange{findOrg, get("/private/legacy/authorizations?token=v1user", `{"authorizations":[`+v1AuthJSON+`]}`)}},
		{"v1-auth-create-undone", "v1 auth create --username v1user --password password3", []exchange{findOrg,
			get("/private/legacy/authorizations?token=v1user", `{"authorizations":[]}`),
			post("/private/legacy/authorizations", `{"orgID":"`+orgID+`","token":"v1user","permissions":[]}`, v1AuthJSON),
			refuse(post("/private/legacy/authorizations/"+authID+"/password", `{"password":"password3"}`, ""), 500, `{"code":"internal error","message":"disk full"}`),
			remove("/private/legacy/authorizations/" + authID)}},
		{"v1-auth-set-password", "v1 auth set-password --username v1user --password password4", []exchange{
			get("/private/legacy/authorizations?token=v1user", `{"authorizations":[`+v1AuthJSON+`]}`),
			refuse(post("/private/legacy/authorizations/"+authID+"/password", `{"password":"password4"}`, ""), 204, "")}},
		{"v1-auth-set-inactive", "v1 auth set-inactive --id " + authID, []exchange{
			patch("/private/legacy/authorizations/"+authID, `{"status":"inactive"}`, v1AuthJSON), get("/api/v2/users/"+userID, userJSON)}},
		{"v1-auth-set-active", "v1 auth set-active --id " + authID, []exchange{
			patch("/private/legacy/authorizations/"+authID, `{"status":"active"}`, v1AuthJSON), get("/api/v2/users/"+userID, userJSON)}},
		{"v1-auth-delete", "v1 auth delete --id " + authID, []exchange{get("/private/legacy/authorizations/"+authID, v1AuthJSON), remove("/private/legacy/authorizations/" + authID), get("/api/v2/users/"+userID, userJSON)}},

		{"unauthorized", "org list", []exchange{refuse(findOrg, 401, `{"code":"unauthorized","message":"unauthorized access"}`)}},
		{"proxy-error", "org list", []exchange{refuse(findOrg, 502, "<html>\n<h1>Bad gateway</h1></html>")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			host := play(t, withAnyAuth(tt.args, tt.steps)...)
			got := run(t, host, strings.Fields(tt.args)...)
			golden(t, "command-"+tt.name, got.String(), host)
			for _, secret := range []string{"tok\n", "password1", "password2", "password3", "password4", "secret"} {
				if strings.Contains(got.String(), secret) {
					t.Errorf("the secret %q was printed:\n%s", secret, got)
				}
			}
		})
	}
}

// withAnyAuth lets ping come without a token.
func withAnyAuth(args string, steps []exchange) []exchange {
	if args == "ping" {
		for i := range steps {
			steps[i].header = http.Header{"X-Any-Auth": {"yes"}}
		}
	}
	return steps
}

func TestListOfManyBucketsEndsWithTheFirstPageThatIsNotFull(t *testing.T) {
	full := strings.Repeat(bucketJSON+",", 19) + bucketJSON
	host := play(t, get("/api/v2/buckets?limit=20&org=o", `{"buckets":[`+full+`]}`), get("/api/v2/buckets?limit=20&offset=20&org=o", `{"buckets":[`+bucketJSON+`]}`))
	got := run(t, host, "bucket", "list", "--hide-headers")
	if lines := strings.Count(got.out, "\n"); got.code != ExitDone || lines != 21 {
		t.Errorf("%d lines, exit %d; want 21 and 0\n%s", lines, got.code, got)
	}
}
