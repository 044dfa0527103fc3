package trust

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/peer"
)

// Vault is a Vault server with the transit engine at transit/. It listens without TLS, stores on disk and is unsealed.
type Vault struct {
	*kube.Program
	store string // the folder of all that it holds
	// URL is where it answers: http://127.0.0.1:port.
	URL string
	// Root is a token that may do all.
	Root string

	bin    string
	unseal string // the key that opens it after a start
}

// VaultReply is what Vault answers. Of Data, Auth and Errors, those are set that the answer has.
type VaultReply struct {
	Status int             `json:"-"`
	Data   json.RawMessage `json:"data"`
	Auth   *VaultAuth      `json:"auth"`
	Errors []string        `json:"errors"`
}

// VaultAuth is what a login answers.
type VaultAuth struct {
	Token     string `json:"client_token"`
	Lease     int    `json:"lease_duration"` // s
	Renewable bool   `json:"renewable"`
}

const vaultConfig = `storage "raft" {
  path = %[1]q
  node_id = "test"
  performance_multiplier = 1
}
listener "tcp" {
  address = %[2]q
  tls_disable = true
}
api_addr = "http://%[2]s"
cluster_addr = "http://%[3]s"
disable_mlock = true
plugin_directory = %[4]q
`

// StartVault runs a Vault without any key until the test ends.
func StartVault(ctx context.Context, t testing.TB) *Vault {
	t.Helper()
	bin, err := peer.Build(ctx, "vault")
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := peer.FreeAddrs(2)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	store, config := filepath.Join(dir, "raft"), filepath.Join(dir, "vault.hcl")
	if err := os.Mkdir(store, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, fmt.Appendf(nil, vaultConfig, store, addrs[0], addrs[1], bin), 0o600); err != nil {
		t.Fatal(err)
	}
	v := &Vault{store: store, URL: "http://" + addrs[0], bin: bin}
	v.Program = kube.NewProgram(dir, "vault", peer.Executable(bin, "vault"), "server", "-config="+config)
	started(t, v.Program, func() error { return v.Run(ctx) })
	if err := v.Set(ctx, "sys/mounts/transit", map[string]any{"type": "transit"}); err != nil {
		t.Fatal(err)
	}
	return v
}

// Run starts a Vault that was stopped or killed, at the same address and with the same contents, opens it, and returns when it is active.
func (v *Vault) Run(ctx context.Context) error {
	err := run(ctx, v.Program, "Vault answered", func(ctx context.Context) error {
		_, err := v.health(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if v.unseal == "" {
		if err := v.initialise(ctx); err != nil {
			return err
		}
	}
	if err := v.ask(ctx, "", "sys/unseal", map[string]any{"key": v.unseal}, nil); err != nil {
		return fmt.Errorf("opening Vault: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	return v.Await(ctx, "Vault was active", func(ctx context.Context) error {
		status, err := v.health(ctx)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("sys/health answers %d", status)
		}
		return err
	})
}

// Destroy kills it and deletes all that it holds.
func (v *Vault) Destroy() error {
	v.Kill()
	return os.RemoveAll(v.store)
}

func (v *Vault) initialise(ctx context.Context) error {
	var made struct {
		Keys []string `json:"keys"`
		Root string   `json:"root_token"`
	}
	if err := v.ask(ctx, "", "sys/init", map[string]any{"secret_shares": 1, "secret_threshold": 1}, &made); err != nil {
		return fmt.Errorf("initialising Vault: %w", err)
	}
	if len(made.Keys) != 1 {
		return fmt.Errorf("initialising Vault: it made %d keys, want one", len(made.Keys))
	}
	v.unseal, v.Root = made.Keys[0], made.Root
	return nil
}

func (v *Vault) health(ctx context.Context) (int, error) {
	reply, err := v.Call(ctx, "", http.MethodGet, "sys/health", nil)
	return reply.Status, err
}

// Call sends a request, with a body unless that is nil, to a path below /v1/, and returns what is answered. Only an answer that cannot
// be had, or is not Vault's, is an error.
func (v *Vault) Call(ctx context.Context, token, method, path string, body any) (VaultReply, error) {
	reply := VaultReply{}
	status, text, err := v.send(ctx, token, method, path, body)
	if err != nil {
		return reply, err
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &reply); err != nil {
			return reply, fmt.Errorf("%s %s answers %d and no JSON: %w", method, path, status, err)
		}
	}
	reply.Status = status
	return reply, nil
}

// Set posts to a path as the root, and takes any answer but a good one for an error.
func (v *Vault) Set(ctx context.Context, path string, body any) error {
	return v.ask(ctx, v.Root, path, body, nil)
}

// ask posts, and reads a good answer into result unless that is nil.
func (v *Vault) ask(ctx context.Context, token, path string, body, result any) error {
	status, text, err := v.send(ctx, token, http.MethodPost, path, body)
	if err != nil {
		return err
	}
	if status >= 300 {
		return fmt.Errorf("%s answers %d: %s", path, status, bytes.TrimSpace(text))
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(text, result)
}

func (v *Vault) send(ctx context.Context, token, method, path string, body any) (int, []byte, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, v.URL+"/v1/"+path, content)
	if err != nil {
		return 0, nil, err
	}
	if token != "" {
		req.Header.Set("X-Vault-Token", token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, text, err
}

// Policy writes a policy: what the tokens that have it may do.
func (v *Vault) Policy(ctx context.Context, name, rules string) error {
	return v.Set(ctx, "sys/policies/acl/"+name, map[string]any{"policy": rules})
}

// Token makes a token with policies, good for a lifetime as Vault writes it: "1h".
func (v *Vault) Token(ctx context.Context, lifetime string, policies ...string) (string, error) {
	var made struct {
		Auth VaultAuth `json:"auth"`
	}
	err := v.ask(ctx, v.Root, "auth/token/create-orphan", map[string]any{"policies": policies, "ttl": lifetime, "no_default_policy": true}, &made)
	return made.Auth.Token, err
}

// AppRole makes a role at auth/approle, whose tokens have policies and the lifetime, and returns what logs in.
func (v *Vault) AppRole(ctx context.Context, role, lifetime string, policies ...string) (roleID, secretID string, err error) {
	if err := v.enable(ctx, "approle", "approle"); err != nil {
		return "", "", err
	}
	path := "auth/approle/role/" + role
	if err := v.Set(ctx, path, map[string]any{"token_policies": policies, "token_ttl": lifetime}); err != nil {
		return "", "", err
	}
	var secret struct {
		Data struct {
			ID string `json:"secret_id"`
		} `json:"data"`
	}
	if err := v.ask(ctx, v.Root, path+"/secret-id", nil, &secret); err != nil {
		return "", "", err
	}
	reply, err := v.Call(ctx, v.Root, http.MethodGet, path+"/role-id", nil)
	if err != nil {
		return "", "", err
	}
	var id struct {
		ID string `json:"role_id"`
	}
	err = json.Unmarshal(reply.Data, &id)
	return id.ID, secret.Data.ID, err
}

// enable has a login answer at auth/<path>, if none does yet.
func (v *Vault) enable(ctx context.Context, path, kind string) error {
	reply, err := v.Call(ctx, v.Root, http.MethodGet, "sys/auth/"+path, nil)
	if err != nil || reply.Status == http.StatusOK {
		return err
	}
	return v.Set(ctx, "sys/auth/"+path, map[string]any{"type": kind})
}

// kubernetesPlugin is the login for service accounts, which Vault runs as a process of its own.
const kubernetesPlugin = "vault-plugin-auth-kubernetes"

// TrustCluster has the login at auth/kubernetes ask a cluster whose a service account's token is. It does so as a service account of
// its own, which it makes in a namespace.
func (v *Vault) TrustCluster(ctx context.Context, c *kube.Cluster, namespace string) error {
	program, err := os.ReadFile(filepath.Join(v.bin, kubernetesPlugin))
	if err != nil {
		return fmt.Errorf("reading Vault's plugin: %w", err)
	}
	sum := sha256.Sum256(program)
	err = v.Set(ctx, "sys/plugins/catalog/auth/"+kubernetesPlugin,
		map[string]any{"sha256": hex.EncodeToString(sum[:]), "command": kubernetesPlugin})
	if err != nil {
		return err
	}
	if err := v.enable(ctx, "kubernetes", kubernetesPlugin); err != nil {
		return err
	}
	reviewer, err := makeReviewer(ctx, c, namespace)
	if err != nil {
		return err
	}
	return v.Set(ctx, "auth/kubernetes/config", map[string]any{
		"kubernetes_host": c.Config().Host, "kubernetes_ca_cert": string(c.CA()), "token_reviewer_jwt": reviewer, "disable_local_ca_jwt": true,
	})
}

// makeReviewer makes a service account that may ask whose tokens are, and returns a token of it.
func makeReviewer(ctx context.Context, c *kube.Cluster, namespace string) (string, error) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "vault"}}
	if _, err := c.Client().CoreV1().ServiceAccounts(namespace).Create(ctx, account, metav1.CreateOptions{}); err != nil {
		return "", fmt.Errorf("making Vault's service account: %w", err)
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "vault-" + namespace},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: account.Name, Namespace: namespace}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:auth-delegator"},
	}
	if _, err := c.Client().RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		return "", fmt.Errorf("letting Vault review tokens: %w", err)
	}
	return ServiceAccountToken(ctx, c, namespace, account.Name)
}

// KubernetesRole lets a service account of the cluster log in, with a token for an audience, and gives what it gets policies and the
// lifetime.
func (v *Vault) KubernetesRole(ctx context.Context, role, namespace, account, audience, lifetime string, policies ...string) error {
	return v.Set(ctx, "auth/kubernetes/role/"+role, map[string]any{
		"bound_service_account_names": account, "bound_service_account_namespaces": namespace, "audience": audience,
		"token_policies": policies, "token_ttl": lifetime,
	})
}

// ServiceAccountToken returns a token of a service account, good for an hour, for audiences or else for the API server.
func ServiceAccountToken(ctx context.Context, c *kube.Cluster, namespace, account string, audiences ...string) (string, error) {
	seconds := int64(60 * 60)
	token, err := c.Client().CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences, ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("requesting a token of service account %s/%s: %w", namespace, account, err)
	}
	return token.Status.Token, nil
}
