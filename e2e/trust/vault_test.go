//go:build e2e

package trust_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/e2e/trust"
	"github.com/holdfast-telemetry/holdfast/trust/key"
)

// call asks Vault and wants a status.
func call(t *testing.T, v *trust.Vault, token, method, path string, body any, want int) trust.VaultReply {
	t.Helper()
	reply, err := v.Call(t.Context(), token, method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	if reply.Status != want {
		t.Fatalf("%s %s answers %d %v, want %d", method, path, reply.Status, reply.Errors, want)
	}
	return reply
}

// read unpacks the data of a reply.
func read[T any](t *testing.T, reply trust.VaultReply) (data T) {
	t.Helper()
	if err := json.Unmarshal(reply.Data, &data); err != nil {
		t.Fatalf("%v in %s", err, reply.Data)
	}
	return data
}

type transitKey struct {
	Keys map[string]struct {
		Public string `json:"public_key"`
	} `json:"keys"`
	Latest int `json:"latest_version"`
	Least  int `json:"min_decryption_version"`
}

// signature asks for one by a version and returns it as DER.
func signature(t *testing.T, v *trust.Vault, token string, hash key.Hash, version int) []byte {
	t.Helper()
	reply := call(t, v, token, http.MethodPost, "transit/sign/images/sha2-256", signRequest(hash, version), http.StatusOK)
	text := read[struct {
		Signature string `json:"signature"`
	}](t, reply).Signature
	_, coded, _ := strings.Cut(strings.TrimPrefix(text, "vault:"), ":")
	der, err := base64.StdEncoding.DecodeString(coded)
	if err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return der
}

func signRequest(hash key.Hash, version int) map[string]any {
	return map[string]any{"input": base64.StdEncoding.EncodeToString(hash[:]), "prehashed": true, "marshaling_algorithm": "asn1", "key_version": version}
}

func TestVaultSignsByVersionUntilTheVersionIsRetired(t *testing.T) {
	v := trust.StartVault(t.Context(), t)
	call(t, v, v.Root, http.MethodPost, "transit/keys/images", map[string]any{"type": "ecdsa-p256", "exportable": false}, http.StatusOK)
	call(t, v, v.Root, http.MethodPost, "transit/keys/images/rotate", nil, http.StatusOK)
	made := read[transitKey](t, call(t, v, v.Root, http.MethodGet, "transit/keys/images", nil, http.StatusOK))
	if made.Latest != 2 || len(made.Keys) != 2 {
		t.Fatalf("the key is %+v, want two versions", made)
	}
	hash := sha256.Sum256([]byte("payload"))
	for version, name := range map[int]string{1: "1", 2: "2"} {
		public, err := key.ParsePEM([]byte(made.Keys[name].Public))
		if err != nil {
			t.Fatal(err)
		}
		if !key.Verify(public, hash, signature(t, v, v.Root, hash, version)) {
			t.Errorf("the signature of version %d is not by that version", version)
		}
	}
	call(t, v, v.Root, http.MethodPost, "transit/keys/images/config", map[string]any{"min_decryption_version": 2, "min_encryption_version": 2}, http.StatusOK)
	// A server calls this its own fault: the transit engine's complaint is not marked as the client's.
	refusal := call(t, v, v.Root, http.MethodPost, "transit/sign/images/sha2-256", signRequest(hash, 1), http.StatusInternalServerError)
	if text := strings.Join(refusal.Errors, " "); !strings.Contains(text, "less than the minimum encryption key version") {
		t.Errorf("signing by a retired version is refused with %q, want that the version is", text)
	}
	signature(t, v, v.Root, hash, 2)
	call(t, v, v.Root, http.MethodPost, "transit/keys/images/trim", map[string]any{"min_available_version": 2}, http.StatusOK)
	call(t, v, v.Root, http.MethodPost, "transit/keys/images/config", map[string]any{"min_decryption_version": 1}, http.StatusBadRequest)
	call(t, v, v.Root, http.MethodGet, "transit/export/signing-key/images", nil, http.StatusBadRequest)
}

func TestVaultKeepsItsKeysWhenItIsKilled(t *testing.T) {
	v := trust.StartVault(t.Context(), t)
	call(t, v, v.Root, http.MethodPost, "transit/keys/images", map[string]any{"type": "ecdsa-p256"}, http.StatusOK)
	before := read[transitKey](t, call(t, v, v.Root, http.MethodGet, "transit/keys/images", nil, http.StatusOK))
	v.Kill()
	if err := v.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := read[transitKey](t, call(t, v, v.Root, http.MethodGet, "transit/keys/images", nil, http.StatusOK))
	if before.Keys["1"].Public == "" || before.Keys["1"] != after.Keys["1"] {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

// signer is the policy of one who signs and nothing else.
const signer = `
path "transit/sign/images/*" { capabilities = ["update"] }
path "transit/keys/images" { capabilities = ["read"] }
`

func TestVaultLetsInByRoleAndByServiceAccountAndOnlyToWhatThePolicyHas(t *testing.T) {
	v := trust.StartVault(t.Context(), t)
	call(t, v, v.Root, http.MethodPost, "transit/keys/images", map[string]any{"type": "ecdsa-p256"}, http.StatusOK)
	if err := v.Policy(t.Context(), "signer", signer); err != nil {
		t.Fatal(err)
	}
	roleID, secretID, err := v.AppRole(t.Context(), "signer", "20m", "signer")
	if err != nil {
		t.Fatal(err)
	}
	namespace := cluster.Namespace(t, nil)
	if err := v.TrustCluster(t.Context(), cluster, namespace); err != nil {
		t.Fatal(err)
	}
	if err := v.KubernetesRole(t.Context(), "signer", namespace, "default", "vault", "20m", "signer"); err != nil {
		t.Fatal(err)
	}
	own, err := trust.ServiceAccountToken(t.Context(), cluster, namespace, "default", "vault")
	if err != nil {
		t.Fatal(err)
	}
	logins := map[string]any{
		"auth/approle/login":    map[string]any{"role_id": roleID, "secret_id": secretID},
		"auth/kubernetes/login": map[string]any{"role": "signer", "jwt": own},
	}
	for path, body := range logins {
		reply := call(t, v, "", http.MethodPost, path, body, http.StatusOK)
		if reply.Auth == nil || reply.Auth.Lease != 20*60 || !reply.Auth.Renewable {
			t.Fatalf("%s: %+v, want a renewable lease of 20 minutes", path, reply.Auth)
		}
		token := reply.Auth.Token
		signature(t, v, token, sha256.Sum256([]byte("payload")), 1)
		call(t, v, token, http.MethodPost, "auth/token/renew-self", nil, http.StatusOK)
		call(t, v, token, http.MethodPost, "transit/keys/images/rotate", nil, http.StatusForbidden)
	}
	call(t, v, "no-such-token", http.MethodGet, "transit/keys/images", nil, http.StatusForbidden)
	call(t, v, "", http.MethodPost, "auth/approle/login", map[string]any{"role_id": roleID, "secret_id": "wrong"}, http.StatusBadRequest)
	for _, audience := range []string{"", "other"} {
		var audiences []string
		if audience != "" {
			audiences = []string{audience}
		}
		jwt, err := trust.ServiceAccountToken(t.Context(), cluster, namespace, "default", audiences...)
		if err != nil {
			t.Fatal(err)
		}
		call(t, v, "", http.MethodPost, "auth/kubernetes/login", map[string]any{"role": "signer", "jwt": jwt}, http.StatusForbidden)
	}
}
