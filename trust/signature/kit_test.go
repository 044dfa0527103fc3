package signature_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/signature"
)

// TestMain gives the tests a home of their own, so that no credentials of the machine are used.
func TestMain(m *testing.M) {
	home, err := os.MkdirTemp("", "signature")
	if err != nil {
		panic(err)
	}
	for name, value := range map[string]string{"HOME": home, "DOCKER_CONFIG": "", "XDG_RUNTIME_DIR": home, "REGISTRY_AUTH_FILE": ""} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	code := m.Run()
	os.RemoveAll(home)
	os.Exit(code)
}

// front is a registry whose faults are chosen by the test. Beside what it stands before, it pages lists and deletes tags with their manifest,
// as registries do.
type front struct {
	*httptest.Server
	inner http.Handler

	mu       sync.Mutex
	requests []string // METHOD PATH
	agents   map[string]bool
	// fault answers instead of the registry where it returns true.
	fault func(http.ResponseWriter, *http.Request) bool
	page  int
}

func newFront(t testing.TB) *front {
	t.Helper()
	f := newFrontHandler()
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.close)
	return f
}

func newFrontHandler() *front {
	return &front{inner: registry.New(registry.Logger(log.New(io.Discard, "", 0))), agents: map[string]bool{}, page: 1000}
}

func (f *front) close() {
	f.CloseClientConnections()
	f.Close()
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.requests = append(f.requests, r.Method+" "+r.URL.Path)
	f.agents[r.UserAgent()] = true
	fault := f.fault
	f.mu.Unlock()
	if fault != nil && fault(w, r) {
		return
	}
	f.serve(w, r)
}

func (f *front) serve(w http.ResponseWriter, r *http.Request) {
	dir, last, _ := cutLast(r.URL.Path)
	switch {
	case strings.HasSuffix(r.URL.Path, "/tags/list"):
		f.list(w, r)
	case r.Method == http.MethodDelete && strings.HasPrefix(last, "sha256:"):
		for _, tag := range f.tags(r.URL.Path) {
			if f.ask(http.MethodHead, dir+tag).Header().Get("Docker-Content-Digest") == last {
				f.ask(http.MethodDelete, dir+tag)
			}
		}
		f.inner.ServeHTTP(w, r)
	default:
		f.inner.ServeHTTP(w, r)
	}
}

func cutLast(path string) (dir, last string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	return path[:i+1], path[i+1:], i >= 0
}

// ask is a request past the faults and the counting.
func (f *front) ask(method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.inner.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func (f *front) tags(path string) []string {
	repo := strings.Join(strings.Split(path, "/")[2:len(strings.Split(path, "/"))-2], "/")
	var list struct{ Tags []string }
	_ = json.Unmarshal(f.ask(http.MethodGet, "/v2/"+repo+"/tags/list").Body.Bytes(), &list)
	return list.Tags
}

func (f *front) list(w http.ResponseWriter, r *http.Request) {
	tags := f.tags(r.URL.Path)
	if tags == nil {
		f.inner.ServeHTTP(w, r)
		return
	}
	n, _ := strconv.Atoi(r.URL.Query().Get("n"))
	n = min(n, f.page)
	i, found := slices.BinarySearch(tags, r.URL.Query().Get("last"))
	if found {
		i++
	}
	tags = tags[i:]
	if len(tags) > n {
		tags = tags[:n]
		w.Header().Set("Link", fmt.Sprintf("<%s?n=%d&last=%s>; rel=\"next\"", r.URL.Path, n, tags[n-1]))
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"tags": tags})
}

// host is HOST:PORT.
func (f *front) host() string {
	return strings.TrimPrefix(strings.TrimPrefix(f.URL, "http://"), "https://")
}

func (f *front) repo(t testing.TB, path string) name.Repository {
	t.Helper()
	repo, err := name.NewRepository(f.host() + "/" + path)
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

// breaks makes the registry fail from now on.
func (f *front) breaks(fault func(http.ResponseWriter, *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

// asked returns the requests since the last call.
func (f *front) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.requests
	f.requests = nil
	return all
}

// manifest is what a tag names, and nil when it names nothing.
func (f *front) manifest(t testing.TB, tag name.Tag) *v1.Manifest {
	t.Helper()
	w := f.ask(http.MethodGet, "/v2/"+tag.RepositoryStr()+"/manifests/"+tag.TagStr())
	if w.Code == http.StatusNotFound {
		return nil
	}
	m, err := v1.ParseManifest(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// put writes a manifest and blobs past the package.
func (f *front) put(t testing.TB, tag name.Tag, manifest []byte, blobs ...[]byte) {
	t.Helper()
	for _, b := range blobs {
		w := httptest.NewRecorder()
		f.inner.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v2/"+tag.RepositoryStr()+"/blobs/uploads/?digest="+digestOf(b).String(), strings.NewReader(string(b))))
		if w.Code != http.StatusCreated {
			t.Fatalf("a blob is not taken: %d", w.Code)
		}
	}
	r := httptest.NewRequest(http.MethodPut, "/v2/"+tag.RepositoryStr()+"/manifests/"+tag.TagStr(), strings.NewReader(string(manifest)))
	r.Header.Set("Content-Type", string(types.OCIManifestSchema1))
	w := httptest.NewRecorder()
	f.inner.ServeHTTP(w, r)
	if w.Code != http.StatusCreated {
		t.Fatalf("a manifest is not taken: %d", w.Code)
	}
}

func digestOf(b []byte) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", sha256.Sum256(b))}
}

// signer is a key in memory.
type signer struct {
	public  key.Public
	private *ecdsa.PrivateKey

	mu    sync.Mutex
	calls []int // hashes of each
}

func newSigner(t testing.TB, id string) *signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of, err := key.ParseID(id)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{public: key.Public{ID: of, Key: &k.PublicKey}, private: k}
}

func (s *signer) sign(_ context.Context, hashes []key.Hash) (out [][]byte, err error) {
	s.mu.Lock()
	s.calls = append(s.calls, len(hashes))
	s.mu.Unlock()
	for _, h := range hashes {
		sig, err := ecdsa.SignASN1(rand.Reader, s.private, h[:])
		if err != nil {
			return nil, err
		}
		out = append(out, sig)
	}
	return out, nil
}

func (s *signer) order(keep ...*signer) signature.Order {
	return signature.Order{Key: s.public, Sign: s.sign, Keep: publics(keep...)}
}

func publics(signers ...*signer) (keys []key.Public) {
	for _, s := range signers {
		keys = append(keys, s.public)
	}
	return keys
}

// annotated is a layer that a payload and its signature make.
func (s *signer) annotated(t testing.TB, payload []byte) v1.Descriptor {
	t.Helper()
	sigs, err := s.sign(t.Context(), []key.Hash{sha256.Sum256(payload)})
	if err != nil {
		t.Fatal(err)
	}
	return v1.Descriptor{MediaType: signature.PayloadMediaType, Size: int64(len(payload)), Digest: digestOf(payload),
		Annotations: map[string]string{signature.SignatureAnnotation: base64.StdEncoding.EncodeToString(sigs[0])}}
}

func encode(t testing.TB, layers ...v1.Descriptor) []byte {
	t.Helper()
	text, err := json.Marshal(v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: v1.Descriptor{MediaType: types.OCIConfigJSON, Size: 2, Digest: digestOf([]byte("{}"))}, Layers: layers})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// cosignPayload is what cosign writes.
func cosignPayload(reference, digest, optional string) []byte {
	return []byte(`{"critical":{"identity":{"docker-reference":"` + reference + `"},"image":{"docker-manifest-digest":"` + digest + `"},"type":"cosign container image signature"},"optional":` + optional + `}`)
}

// newClient is one that does not wait long.
func newClient(t testing.TB, changes ...func(*signature.Options)) *signature.Client {
	t.Helper()
	o := signature.Options{Keychain: anonymous{}, Timeout: 20 * time.Second, Attempts: 4, Backoff: 2 * time.Millisecond}
	for _, change := range changes {
		change(&o)
	}
	c, err := signature.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// image is one of the repository, told from others by a number.
func image(repo name.Repository, n int) name.Digest {
	return repo.Digest(digestOf([]byte(strconv.Itoa(n))).String())
}

func tagOf(t testing.TB, target signature.Target) name.Tag {
	t.Helper()
	tag, err := target.Tag()
	if err != nil {
		t.Fatal(err)
	}
	return tag
}

func mustWrite(t testing.TB, w signature.Writer, target signature.Target, order signature.Order) signature.Result {
	t.Helper()
	r, err := w.Write(t.Context(), target, order)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustRead(t testing.TB, c *signature.Client, target signature.Target, keys ...key.Public) *signature.Report {
	t.Helper()
	r, err := (&signature.Reader{Client: c}).Read(t.Context(), target, keys)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// answers makes a fault that answers requests whose method and path begin and contain this, as often as it says.
func answers(times int, method, contains string, status int, header map[string]string, body string) func(http.ResponseWriter, *http.Request) bool {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if times == 0 || r.Method != method || !strings.Contains(r.URL.Path, contains) {
			return false
		}
		times--
		for k, v := range header {
			w.Header().Set(k, v)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		return true
	}
}
