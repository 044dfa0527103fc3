package transit

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/key"
)

// vault is a fake of Vault: the transit engine mounted at transit, and the logins, as far as a client of this package uses them.
type vault struct {
	mu     sync.Mutex
	keys   map[string]*fakeKey
	tokens map[string]*fakeToken

	oldRotate  bool // answer a rotation without the key, as older releases do
	batchFails bool // answer 400 when an item of a batch fails
	namespace  string

	jwt, roleID, secretID string
	wrapped               map[string]string // wrapping token to creation path; each stands for secretID
	lease, longest        time.Duration
	renewable             bool

	logins, renewals, revoked int
	seen                      []string // METHOD path
	// before may answer a request in the engine's place. It is called without the lock.
	before func(w http.ResponseWriter, r *http.Request) bool
	// after may change the answer of a success.
	after func(path string, data map[string]any)
}

type fakeToken struct {
	expires, longest time.Time
	denied           string // part of the paths that it may not use
}

type fakeKey struct {
	private                                    []*ecdsa.PrivateKey
	created                                    []time.Time
	minDecryption, minEncryption, minAvailable int
	settings                                   map[string]any
}

const rootToken = "hvs.root-token-of-the-fake"

func newVault() *vault {
	return &vault{keys: map[string]*fakeKey{}, tokens: map[string]*fakeToken{rootToken: {}}, wrapped: map[string]string{},
		jwt: "eyJ.first.jwt", roleID: "role-id-of-the-fake", secretID: "secret-id-of-the-fake", lease: time.Hour, longest: 24 * time.Hour, renewable: true}
}

type failure struct {
	status  int
	message string
}

func refuse(status int, format string, args ...any) *failure {
	return &failure{status, fmt.Sprintf(format, args...)}
}

func (v *vault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	v.mu.Lock()
	v.seen = append(v.seen, r.Method+" "+path)
	before := v.before
	v.mu.Unlock()
	if before != nil && before(w, r) {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	data, auth, failed := v.handle(r, path, body)
	switch {
	case failed != nil:
		fail(w, failed.status, failed.message)
	case data == nil && auth == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		if data != nil && v.after != nil {
			v.after(path, data)
		}
		status := http.StatusOK
		if data["failed"] != nil {
			status = http.StatusBadRequest
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"request_id": "1", "data": data, "auth": auth, "warnings": nil})
	}
}

func fail(w http.ResponseWriter, status int, messages ...string) {
	if len(messages) == 1 && messages[0] == "" {
		messages = []string{}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": messages})
}

func (v *vault) handle(r *http.Request, path string, body []byte) (data, auth map[string]any, failed *failure) {
	if r.Header.Get("X-Vault-Namespace") != v.namespace || r.Header.Get("X-Vault-Request") != "true" {
		return nil, nil, refuse(404, "no handler for route %q. route entry not found.", path)
	}
	var in map[string]any
	if len(body) > 0 && json.Unmarshal(body, &in) != nil {
		return nil, nil, refuse(400, "failed to parse JSON input")
	}
	text := func(name string) string { s, _ := in[name].(string); return s }
	sent := r.Header.Get("X-Vault-Token")
	switch path {
	case "auth/kubernetes/login":
		if text("jwt") != v.jwt || text("role") != "signer" {
			return nil, nil, refuse(403, "permission denied")
		}
		return nil, v.grant(), nil
	case "auth/approle/login":
		if text("role_id") != v.roleID || text("secret_id") != v.secretID {
			return nil, nil, refuse(400, "invalid role or secret ID")
		}
		return nil, v.grant(), nil
	case "sys/wrapping/lookup":
		if v.wrapped[text("token")] == "" {
			return nil, nil, refuse(403, "wrapping token is not valid or does not exist")
		}
		return map[string]any{"creation_path": v.wrapped[text("token")], "creation_ttl": 300}, nil, nil
	case "sys/wrapping/unwrap":
		if v.wrapped[sent] == "" {
			return nil, nil, refuse(400, "wrapping token is not valid or does not exist")
		}
		delete(v.wrapped, sent)
		return map[string]any{"secret_id": v.secretID, "secret_id_accessor": "x"}, nil, nil
	}
	token := v.tokens[sent]
	if token == nil || !token.expires.IsZero() && !time.Now().Before(token.expires) || token.denied != "" && strings.Contains(path, token.denied) {
		return nil, nil, refuse(403, "1 error occurred:\n\t* permission denied\n\n")
	}
	switch path {
	case "auth/token/lookup-self":
		ttl := 0
		if !token.expires.IsZero() {
			ttl = int(time.Until(token.expires).Seconds())
		}
		return map[string]any{"ttl": ttl, "renewable": v.renewable && ttl > 0, "id": sent}, nil, nil
	case "auth/token/renew-self":
		if !v.renewable {
			return nil, nil, refuse(400, "lease is not renewable")
		}
		v.renewals++
		lease := min(v.lease, time.Until(token.longest))
		token.expires = time.Now().Add(lease)
		return nil, map[string]any{"client_token": sent, "lease_duration": int(lease.Seconds()), "renewable": true}, nil
	case "auth/token/revoke-self":
		v.revoked++
		delete(v.tokens, sent)
		return nil, nil, nil
	}
	return v.engine(r.Method, path, in, body)
}

func (v *vault) grant() map[string]any {
	v.logins++
	token := fmt.Sprintf("hvs.token-%d-of-the-fake", v.logins)
	v.tokens[token] = &fakeToken{expires: time.Now().Add(v.lease), longest: time.Now().Add(v.longest)}
	return map[string]any{"client_token": token, "lease_duration": int(v.lease.Seconds()), "renewable": v.renewable}
}

func (v *vault) engine(method, path string, in map[string]any, body []byte) (map[string]any, map[string]any, *failure) {
	parts := strings.Split(path, "/")
	if len(parts) < 3 || parts[0] != "transit" {
		return nil, nil, refuse(404, "no handler for route %q. route entry not found.", path)
	}
	k := v.keys[parts[2]]
	number := func(name string, otherwise int) int {
		if n, ok := in[name].(float64); ok {
			return int(n)
		}
		return otherwise
	}
	switch call := method + " " + parts[1] + " " + strings.Join(parts[3:], "/"); {
	case call == "GET keys " && k == nil:
		return nil, nil, refuse(404, "")
	case call == "GET keys ":
		return k.show(parts[2]), nil, nil
	case call == "POST keys ":
		if in["type"] != "ecdsa-p256" || in["exportable"] != false {
			return nil, nil, refuse(400, "the test wants a P-256 key that is not exportable")
		}
		if k == nil {
			k = &fakeKey{minDecryption: 1, settings: map[string]any{}}
			k.rotate()
			v.keys[parts[2]] = k
		}
		return k.show(parts[2]), nil, nil
	case k == nil:
		return nil, nil, refuse(400, "signing key not found")
	case call == "POST keys rotate":
		k.rotate()
		if v.oldRotate {
			return nil, nil, nil
		}
		return k.show(parts[2]), nil, nil
	case call == "POST keys config":
		decryption, encryption := number("min_decryption_version", k.minDecryption), number("min_encryption_version", k.minEncryption)
		if decryption > len(k.private) || encryption > len(k.private) || encryption != 0 && encryption < decryption || decryption < k.minAvailable {
			return nil, nil, refuse(400, "cannot set min encryption/decryption values")
		}
		k.minDecryption, k.minEncryption = decryption, encryption
		return k.show(parts[2]), nil, nil
	case call == "POST keys trim":
		n := number("min_available_version", 0)
		if n < k.minAvailable || n > k.minDecryption || n > k.minEncryption || n < 1 {
			return nil, nil, refuse(400, "minimum available version cannot be greater than minimum decryption version")
		}
		k.minAvailable = n
		return k.show(parts[2]), nil, nil
	case call == "POST sign sha2-256":
		return v.sign(k, body)
	}
	return nil, nil, refuse(404, "unsupported path")
}

func (k *fakeKey) rotate() {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	k.private, k.created = append(k.private, private), append(k.created, time.Now())
}

func (k *fakeKey) show(name string) map[string]any {
	versions := map[string]any{}
	for i, private := range k.private {
		if i+1 >= k.minDecryption {
			public, err := key.MarshalPEM(&private.PublicKey)
			if err != nil {
				panic(err)
			}
			versions[strconv.Itoa(i+1)] = map[string]any{"name": "P-256", "public_key": string(public), "creation_time": k.created[i].Format(time.RFC3339Nano), "certificate_chain": ""}
		}
	}
	data := map[string]any{"name": name, "type": "ecdsa-p256", "keys": versions, "latest_version": len(k.private), "min_decryption_version": k.minDecryption,
		"min_encryption_version": k.minEncryption, "min_available_version": k.minAvailable, "exportable": false, "allow_plaintext_backup": false,
		"deletion_allowed": false, "auto_rotate_period": 0, "imported_key": false, "derived": false, "supports_signing": true}
	maps.Copy(data, k.settings)
	return data
}

func (v *vault) sign(k *fakeKey, body []byte) (map[string]any, map[string]any, *failure) {
	var in struct {
		Batch      []struct{ Input string } `json:"batch_input"`
		Version    int                      `json:"key_version"`
		Prehashed  bool                     `json:"prehashed"`
		Marshaling string                   `json:"marshaling_algorithm"`
	}
	if json.Unmarshal(body, &in) != nil || len(in.Batch) == 0 || !in.Prehashed || in.Marshaling != "asn1" || in.Version == 0 {
		return nil, nil, refuse(400, "the test wants a prehashed batch for one version, answered in ASN.1")
	}
	results := make([]map[string]any, len(in.Batch))
	failed := false
	for i, item := range in.Batch {
		hash, err := base64.StdEncoding.DecodeString(item.Input)
		switch {
		case err != nil || len(hash) != sha256.Size:
			results[i] = map[string]any{"error": "unable to decode input"}
		case in.Version > len(k.private):
			results[i] = map[string]any{"error": "requested version for signing is higher than the latest key version"}
		case in.Version < max(k.minEncryption, k.minAvailable):
			results[i] = map[string]any{"error": "requested version for signing is less than the minimum encryption key version"}
		default:
			signature, err := ecdsa.SignASN1(rand.Reader, k.private[in.Version-1], hash)
			if err != nil {
				panic(err)
			}
			results[i] = map[string]any{"signature": fmt.Sprintf("vault:v%d:%s", in.Version, base64.StdEncoding.EncodeToString(signature)), "key_version": in.Version}
			continue
		}
		failed = true
	}
	data := map[string]any{"batch_results": results}
	if failed && v.batchFails {
		data["failed"] = true
	}
	return data, nil, nil
}

// count is how often a request was sent.
func (v *vault) count(request string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := 0
	for _, seen := range v.seen {
		if strings.HasPrefix(seen, request) {
			n++
		}
	}
	return n
}

// inside runs a function while the fake handles no request.
func (v *vault) inside(change func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change()
}

// serve has the fake listen with TLS, and returns options that reach it with the root token.
func serve(t testing.TB, handler http.Handler) Options {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	return Options{Address: server.URL, CAFile: ca, ServerName: "example.com", Login: &TokenFile{write(t, filepath.Join(t.TempDir(), "token"), rootToken+"\n")},
		Timeout: 5 * time.Second, Patience: 10 * time.Second, Logger: slog.New(slog.DiscardHandler)}
}

// pipe has the fake listen in memory, so that all of it can run on a clock of its own.
func pipe(t testing.TB, handler http.Handler) Options {
	t.Helper()
	conns, closed := make(chan net.Conn), make(chan struct{})
	server := &http.Server{Handler: handler, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	listener := pipeListener{conns, closed, sync.OnceFunc(func() { close(closed) })}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
	})
	return Options{Address: "http://127.0.0.1:8200", Login: &Kubernetes{Role: "signer", JWTFile: write(t, filepath.Join(t.TempDir(), "jwt"), "eyJ.first.jwt")},
		Logger: slog.New(slog.DiscardHandler),
		Dial: func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			select {
			case conns <- there:
				return here, nil
			case <-closed:
				return nil, errors.New("connection refused")
			}
		}}
}

type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	close  func()
}

func (l pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l pipeListener) Close() error {
	l.close()
	return nil
}

func (l pipeListener) Addr() net.Addr { return &net.IPAddr{} }

func open(t testing.TB, o Options) *Client {
	t.Helper()
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func openKey(t testing.TB, o Options, name string) *Key {
	t.Helper()
	k, err := open(t, o).Key("transit", name)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func write(t testing.TB, path, text string) string {
	t.Helper()
	beside := path + ".new"
	if err := errors.Join(os.WriteFile(beside, []byte(text), 0o600), os.Rename(beside, path)); err != nil {
		t.Fatal(err)
	}
	return path
}

func rotate(t testing.TB, k *Key) key.Public {
	t.Helper()
	made, err := k.Rotate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func versions(t testing.TB, k *Key) []int {
	t.Helper()
	listed, err := k.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for _, p := range listed {
		all = append(all, p.ID.Version)
	}
	return all
}

func hashes(n int) []key.Hash {
	all := make([]key.Hash, n)
	for i := range all {
		all[i] = sha256.Sum256([]byte(strconv.Itoa(i)))
	}
	return all
}
