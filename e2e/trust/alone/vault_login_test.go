//go:build e2e

package alone_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/e2e/trust"
	"github.com/holdfast-telemetry/holdfast/e2e/trust/watch"
)

// vaultPolicy is the policy that the documentation says the service needs.
func vaultPolicy(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "trust", "service.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "\n    path \"transit/")
	policy, _, end := strings.Cut(after, "\n\n")
	if !found || !end {
		t.Fatal("the documentation has no policy for Vault")
	}
	return "path \"transit/" + policy
}

// auditLog has a Vault write what it is asked, and returns the file.
func auditLog(t testing.TB, v *trust.Vault) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "audit.log")
	if err := v.Set(t.Context(), "sys/audit/file", map[string]any{"type": "file", "options": map[string]string{"file_path": file}}); err != nil {
		t.Fatal(err)
	}
	return file
}

// granted counts the requests of a path that a Vault granted.
func granted(t testing.TB, file, path string) (n int) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var e struct {
			Type, Error string
			Request     struct{ Path string }
		}
		if err := json.Unmarshal(line, &e); err == nil && e.Type == "response" && e.Error == "" && e.Request.Path == path {
			n++
		}
	}
	return n
}

// door is a way to log in at Vault whose tokens are short: good for four seconds, and renewed up to twelve.
type door struct {
	name   string
	config string // of keys.vault
	file   string // with the secret
	secret string
	login  string // path
}

// lease is that of tokens.
var lease = map[string]any{"token_ttl": "4s", "token_max_ttl": "12s"}

func appRole(t testing.TB, v *trust.Vault) *door {
	t.Helper()
	role, secret, err := v.AppRole(t.Context(), "service", "4s", "service")
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Set(t.Context(), "auth/approle/role/service", lease); err != nil {
		t.Fatal(err)
	}
	d := &door{name: "approle", file: filepath.Join(t.TempDir(), "secret-id"), secret: secret, login: "auth/approle/login"}
	roleFile := filepath.Join(t.TempDir(), "role-id")
	if err := os.WriteFile(roleFile, []byte(role), 0o600); err != nil {
		t.Fatal(err)
	}
	d.config = fmt.Sprintf("approle: {role-id-file: %q, secret-id-file: %q}", roleFile, d.file)
	return d
}

func serviceAccount(t testing.TB, v *trust.Vault) *door {
	t.Helper()
	c := cluster(t)
	namespace := c.Namespace(t, nil)
	if err := v.TrustCluster(t.Context(), c, namespace); err != nil {
		t.Fatal(err)
	}
	if err := v.KubernetesRole(t.Context(), "service", namespace, "default", "vault", "4s", "service"); err != nil {
		t.Fatal(err)
	}
	if err := v.Set(t.Context(), "auth/kubernetes/role/service", lease); err != nil {
		t.Fatal(err)
	}
	jwt, err := trust.ServiceAccountToken(t.Context(), c, namespace, "default", "vault")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{name: "kubernetes", file: filepath.Join(t.TempDir(), "token"), secret: jwt, login: "auth/kubernetes/login"}
	d.config = fmt.Sprintf("kubernetes: {role: service, jwt-file: %q}", d.file)
	return d
}

// put writes what the service logs in with.
func (d *door) put(t testing.TB, text string) {
	t.Helper()
	if err := os.WriteFile(d.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTheServiceStaysLoggedInAtVault(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB, *trust.Vault) *door{"approle": appRole, "kubernetes": serviceAccount} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			staysLoggedIn(t, open)
		})
	}
}

func staysLoggedIn(t *testing.T, open func(testing.TB, *trust.Vault) *door) {
	v := trust.StartVault(t.Context(), t)
	log := auditLog(t, v)
	if err := v.Policy(t.Context(), "service", vaultPolicy(t)); err != nil {
		t.Fatal(err)
	}
	d := open(t, v)
	d.put(t, d.secret)
	s := newService(t, watch.Faulty(t.Context(), t), trust.StartRegistry(t.Context(), t, trust.RegistryOptions{}),
		fmt.Sprintf("keys: {vault: {address: %q, %s}}\n", v.URL, d.config))
	s.program.Setenv(watch.Timing(t, short)) // so that it rotates and destroys keys, too
	lists := watch.WatchLists(t, s.url)
	s.start()
	s.ready()
	image := s.registry.Push(t.Context(), t, "app/web")
	signing := signContinuously(t, s.url, s.token, image)
	within(t, patience, "tokens are renewed, and end, and the first key is destroyed", func() error {
		if logins, renewals := granted(t, log, d.login), granted(t, log, "auth/token/renew-self"); logins < 3 || renewals < 4 || granted(t, log, "transit/keys/images/trim") == 0 {
			return fmt.Errorf("%d logins, %d renewals; the keys are %s", logins, renewals, lists.States())
		}
		return nil
	})
	// Somebody revokes all tokens.
	before := granted(t, log, d.login)
	if err := v.Set(t.Context(), "sys/leases/revoke-prefix/"+d.login, map[string]any{}); err != nil {
		t.Fatal(err)
	}
	within(t, patience, "it logs in again", func() error {
		if now := granted(t, log, d.login); now == before {
			return errors.New("it did not")
		}
		return nil
	})
	if _, err := watch.Sign(t.Context(), s.url, s.token, image); err != nil {
		t.Error(err)
	}
	signed := signing.stop()
	// What it logs in with is replaced by what Vault does not take.
	wrong := "not-" + d.secret
	d.put(t, wrong)
	if err := v.Set(t.Context(), "sys/leases/revoke-prefix/"+d.login, map[string]any{}); err != nil {
		t.Fatal(err)
	}
	within(t, patience, "it says why it cannot sign", func() error {
		_, err := watch.Sign(t.Context(), s.url, s.token, image)
		if err == nil || !strings.Contains(err.Error(), "log in at Vault with the") {
			return fmt.Errorf("the answer is %w", orSigned(err))
		}
		return nil
	})
	d.put(t, d.secret)
	within(t, patience, "it signs again", func() error {
		_, err := watch.Sign(t.Context(), s.url, s.token, image)
		return err
	})
	if text := s.program.Log(); strings.Contains(text, d.secret) || strings.Contains(text, wrong) {
		t.Error("the log has what it logs in with")
	}
	t.Logf("%d logins, %d renewals, %d signatures, keys %s", granted(t, log, d.login), granted(t, log, "auth/token/renew-self"), len(signed), lists.States())
}

func orSigned(err error) error {
	if err == nil {
		return errors.New("that it was signed")
	}
	return err
}

func TestTheServicesPolicyAtVaultDoesNotLetKeysOut(t *testing.T) {
	t.Parallel()
	v := trust.StartVault(t.Context(), t)
	if err := v.Policy(t.Context(), "service", vaultPolicy(t)); err != nil {
		t.Fatal(err)
	}
	token, err := v.Token(t.Context(), "10m", "service")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		body map[string]any
		want int
	}{
		{"transit/keys/images", map[string]any{"type": "ecdsa-p256", "exportable": true}, http.StatusForbidden},
		{"transit/keys/images", map[string]any{"type": "ecdsa-p256", "exportable": "true"}, http.StatusForbidden},
		{"transit/keys/images", map[string]any{"type": "aes256-gcm96"}, http.StatusForbidden},
		{"transit/keys/other", map[string]any{"type": "ecdsa-p256"}, http.StatusForbidden},
		{"transit/keys/images", map[string]any{"type": "ecdsa-p256", "exportable": false, "allow_plaintext_backup": false}, http.StatusOK},
		{"transit/keys/images/config", map[string]any{"exportable": true}, http.StatusForbidden},
		{"transit/keys/images/config", map[string]any{"allow_plaintext_backup": true}, http.StatusForbidden},
		{"transit/keys/images/config", map[string]any{"deletion_allowed": true}, http.StatusForbidden},
		{"transit/keys/images/config", map[string]any{"min_decryption_version": 1, "exportable": true}, http.StatusForbidden},
		{"transit/keys/images/config", map[string]any{"min_decryption_version": 1, "min_encryption_version": 1}, http.StatusOK},
		{"transit/keys/keylist/trim", map[string]any{"min_available_version": 1}, http.StatusForbidden},
	} {
		reply, err := v.Call(t.Context(), token, http.MethodPost, c.path, c.body)
		if err != nil {
			t.Fatal(err)
		}
		if reply.Status != c.want {
			t.Errorf("%s %v: %d %v, want %d", c.path, c.body, reply.Status, reply.Errors, c.want)
		}
	}
	for _, path := range []string{"transit/export/signing-key/images", "transit/backup/images"} {
		reply, err := v.Call(t.Context(), token, http.MethodGet, path, nil)
		if err != nil || reply.Status != http.StatusForbidden {
			t.Errorf("%s: %d %v %v", path, reply.Status, reply.Errors, err)
		}
	}
}
