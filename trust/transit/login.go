package transit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"
)

// maxSecret bounds a token, and a file with one, in bytes.
const maxSecret = 64 << 10

// Login is where a token is from: *TokenFile, *TokenEnv, *Kubernetes or *AppRole.
type Login interface {
	check() error
	// login gets a token. It is not called again before it returned.
	login(ctx context.Context, c *Client) (*session, error)
	// changed says whether a session's token is outdated, because what it came from is another one.
	changed(*session) bool
}

// session is a token and its lease. It is not altered.
type session struct {
	token     secret
	obtained  time.Time     // or renewed
	lease     time.Duration // from then; 0 without end
	first     time.Duration // lease at the login
	renewable bool
	ours      bool        // made by a login of ours, and to be revoked at the end
	file      os.FileInfo // that it is from
}

func (s *session) ended(now time.Time) bool {
	return s.lease > 0 && !now.Before(s.obtained.Add(s.lease))
}

func (s *session) same(other *session) bool {
	return s != nil && other != nil && s.token.reveal() == other.token.reveal()
}

// TokenFile is a token in a file, as an agent of Vault writes it. It is read again when the file changes.
type TokenFile struct{ Path string }

func (l *TokenFile) check() error {
	if l.Path == "" {
		return errors.New("the file with Vault's token is not named")
	}
	return nil
}

func (l *TokenFile) login(ctx context.Context, c *Client) (*session, error) {
	// The file's state is from before it is read: a change in between is noticed at the next request.
	info, err := os.Stat(l.Path)
	if err != nil {
		return nil, fmt.Errorf("reading Vault's token: %w", err)
	}
	token, err := readSecret(l.Path)
	if err != nil {
		return nil, fmt.Errorf("reading Vault's token: %w", err)
	}
	s, err := c.lookup(ctx, token)
	if err == nil {
		s.file = info
	}
	return s, err
}

func (l *TokenFile) changed(s *session) bool {
	info, err := os.Stat(l.Path)
	return err == nil && (!os.SameFile(info, s.file) || !info.ModTime().Equal(s.file.ModTime()) || info.Size() != s.file.Size())
}

// TokenEnv is a token in a variable of the environment.
type TokenEnv struct{ Name string } // VAULT_TOKEN without it

func (l *TokenEnv) name() string { return or(l.Name, "VAULT_TOKEN") }

func (l *TokenEnv) check() error { return nil }

func (l *TokenEnv) login(ctx context.Context, c *Client) (*session, error) {
	token := strings.TrimSpace(os.Getenv(l.name()))
	if !printable(token) || len(token) > maxSecret {
		return nil, fmt.Errorf("there is no token for Vault in the environment variable %s", l.name())
	}
	return c.lookup(ctx, hidden(token))
}

func (l *TokenEnv) changed(*session) bool { return false }

// Kubernetes logs in with the token of the pod's service account, which is read again at each login.
type Kubernetes struct {
	Mount   string // kubernetes without it
	Role    string
	JWTFile string // where Kubernetes mounts it without it
}

const serviceAccountToken = "/var/run/secrets/kubernetes.io/serviceaccount/token" // #nosec G101 -- a path

func (l *Kubernetes) check() error {
	if l.Role == "" {
		return errors.New("the Kubernetes login at Vault needs a role")
	}
	return checkMount(or(l.Mount, "kubernetes"))
}

func (l *Kubernetes) login(ctx context.Context, c *Client) (*session, error) {
	jwt, err := readSecret(or(l.JWTFile, serviceAccountToken))
	if err != nil {
		return nil, fmt.Errorf("reading the service account's token: %w", err)
	}
	return c.signInAt(ctx, request{
		doing:   fmt.Sprintf("log in at Vault with the Kubernetes role %q", l.Role),
		path:    "auth/" + or(l.Mount, "kubernetes") + "/login",
		body:    map[string]string{"role": l.Role, "jwt": jwt.reveal()},
		secrets: []secret{jwt},
	})
}

func (l *Kubernetes) changed(*session) bool { return false }

// AppRole logs in with a role id and a secret id, which are read again at each login.
type AppRole struct {
	Mount        string // approle without it
	RoleIDFile   string
	SecretIDFile string
	// Wrapped is set when SecretIDFile holds a wrapping token. It is unwrapped once, and the secret id kept in memory; a file with another
	// wrapping token is unwrapped in turn.
	Wrapped bool

	mu        sync.Mutex
	wrapping  secret // that secretID is from
	unwrapped secret
}

// String names the files.
func (l *AppRole) String() string { return "AppRole of " + l.RoleIDFile + " and " + l.SecretIDFile }

func (l *AppRole) check() error {
	if l.RoleIDFile == "" || l.SecretIDFile == "" {
		return errors.New("the AppRole login at Vault needs a file with the role id and one with the secret id")
	}
	return checkMount(or(l.Mount, "approle"))
}

func (l *AppRole) login(ctx context.Context, c *Client) (*session, error) {
	role, err := readSecret(l.RoleIDFile)
	if err != nil {
		return nil, fmt.Errorf("reading the role id: %w", err)
	}
	id, err := readSecret(l.SecretIDFile)
	if err != nil {
		return nil, fmt.Errorf("reading the secret id: %w", err)
	}
	if l.Wrapped {
		if id, err = l.unwrap(ctx, c, id); err != nil {
			return nil, err
		}
	}
	return c.signInAt(ctx, request{
		doing:   "log in at Vault with the AppRole of " + l.RoleIDFile,
		path:    "auth/" + or(l.Mount, "approle") + "/login",
		body:    map[string]string{"role_id": role.reveal(), "secret_id": id.reveal()},
		secrets: []secret{role, id},
	})
}

func (l *AppRole) changed(*session) bool { return false }

const stolen = "if nobody unwrapped it on purpose, somebody on the way has the secret id: revoke it, and give a new one"

// wasUnwrapped adds what it can mean that Vault refuses a wrapping token.
func wasUnwrapped(err error) error {
	var answered *Error
	if errors.As(err, &answered) && !transient(answered.Status) {
		return fmt.Errorf("%w; %s", err, stolen)
	}
	return err
}

// unwrap gets the secret id that a wrapping token stands for, which works once. Before, it makes sure that the token stands for a secret
// id of this mount: whoever unwrapped it on the way could have wrapped something else.
func (l *AppRole) unwrap(ctx context.Context, c *Client, wrapping secret) (secret, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wrapping.reveal() == wrapping.reveal() && l.unwrapped != nil {
		return l.unwrapped, nil
	}
	looked := request{doing: "look up the wrapped secret id", method: http.MethodPost, path: "sys/wrapping/lookup",
		body: map[string]string{"token": wrapping.reveal()}, secrets: []secret{wrapping}}
	var wrapped struct {
		CreationPath string `json:"creation_path"`
	}
	if err := c.ask(ctx, looked, &wrapped); err != nil {
		return nil, wasUnwrapped(err)
	}
	if want := regexp.MustCompile(`^auth/` + regexp.QuoteMeta(or(l.Mount, "approle")) + `/role/[^/]+/secret-id$`); !want.MatchString(wrapped.CreationPath) {
		return nil, fmt.Errorf("the wrapping token in %s stands for an answer of %q, which is not that of a new secret id; %s", l.SecretIDFile, excerpt(wrapped.CreationPath), stolen)
	}
	unwrap := request{doing: "unwrap the secret id", method: http.MethodPost, path: "sys/wrapping/unwrap", token: wrapping, once: true}
	var got struct {
		SecretID string `json:"secret_id"`
	}
	if err := c.ask(ctx, unwrap, &got); err != nil {
		return nil, wasUnwrapped(err)
	}
	if !printable(got.SecretID) {
		return nil, errors.New("unwrap the secret id: there is none in Vault's answer")
	}
	l.wrapping, l.unwrapped = wrapping, hidden(got.SecretID)
	return l.unwrapped, nil
}

// ask sends a request without the session's token, and decodes the data of its answer.
func (c *Client) ask(ctx context.Context, r request, into any) error {
	a, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	e, err := r.success(a)
	if err != nil {
		return err
	}
	if err := decodeData(e.Data, into); err != nil {
		return fmt.Errorf("%s: %w", r.doing, err)
	}
	return nil
}

// signInAt sends a login.
func (c *Client) signInAt(ctx context.Context, r request) (*session, error) {
	r.method = http.MethodPost
	a, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	e, err := r.success(a)
	if err != nil {
		return nil, err
	}
	s, err := c.granted(e)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.doing, err)
	}
	s.ours = true
	return s, nil
}

// granted is the session that an answer grants.
func (c *Client) granted(e *envelope) (*session, error) {
	if e.Auth == nil || !printable(e.Auth.ClientToken) || len(e.Auth.ClientToken) > maxSecret {
		return nil, errors.New("there is no token in Vault's answer; logins that ask for a second factor are not possible")
	}
	lease := seconds(e.Auth.LeaseDuration)
	return &session{token: hidden(e.Auth.ClientToken), obtained: c.now(), lease: lease, first: lease, renewable: e.Auth.Renewable}, nil
}

// lookup asks for the lease of a token that was given. A token that may not even ask is used without being renewed.
func (c *Client) lookup(ctx context.Context, token secret) (*session, error) {
	r := request{doing: "look up Vault's token", method: http.MethodGet, path: "auth/token/lookup-self", token: token}
	s := &session{token: token, obtained: c.now()}
	a, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	if a.status == http.StatusForbidden {
		return s, nil
	}
	e, err := r.success(a)
	if err != nil {
		return nil, err
	}
	var got struct {
		TTL       int64 `json:"ttl"` // seconds
		Renewable bool  `json:"renewable"`
	}
	if err := decodeData(e.Data, &got); err != nil {
		return nil, fmt.Errorf("%s: %w", r.doing, err)
	}
	s.lease, s.first, s.renewable = seconds(got.TTL), seconds(got.TTL), got.Renewable
	return s, nil
}

// seconds keeps a lease from overflowing.
func seconds(n int64) time.Duration {
	return time.Duration(min(max(n, 0), 1<<31)) * time.Second
}

// readSecret reads one word from a file.
func readSecret(path string) (secret, error) {
	text, err := readFile(path, maxSecret)
	if err != nil {
		return nil, err
	}
	word := strings.TrimSpace(string(text))
	if !printable(word) {
		return nil, fmt.Errorf("%s does not hold one word", path)
	}
	return hidden(word), nil
}

var mountPath = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*$`)

func checkMount(mount string) error {
	if !mountPath.MatchString(mount) || len(mount) > 255 {
		return fmt.Errorf("%q cannot be where something is mounted in Vault: names of letters, digits, - _ and ., with a slash between, are wanted", mount)
	}
	return nil
}
