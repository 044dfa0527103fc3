package resign_test

import (
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-telemetry/holdfast/trust/access"
	"github.com/holdfast-telemetry/holdfast/trust/audit"
	"github.com/holdfast-telemetry/holdfast/trust/endpoint"
	"github.com/holdfast-telemetry/holdfast/trust/inventory"
	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/keystore"
	"github.com/holdfast-telemetry/holdfast/trust/resign"
	"github.com/holdfast-telemetry/holdfast/trust/rotation"
	"github.com/holdfast-telemetry/holdfast/trust/signature"
	"github.com/holdfast-telemetry/holdfast/trust/state"
)

// host is a registry that counts what it is asked, and fails where a test wants it to.
type host struct {
	name     string
	mu       sync.Mutex
	requests int
	broken   string // a piece of the paths that are answered by a failure
}

func newHost(t testing.TB) *host {
	t.Helper()
	h := &host{}
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.requests++
		broken := h.broken != "" && strings.Contains(r.URL.Path, h.broken)
		h.mu.Unlock()
		if broken {
			http.Error(w, "broken", http.StatusInternalServerError)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	h.name = strings.TrimPrefix(server.URL, "http://")
	return h
}

func (h *host) asked() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.requests
}

func (h *host) breaks(path string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken = path
}

// image is a new one of a repository; nobody has it.
func (h *host) image(t testing.TB, repository string) string {
	t.Helper()
	image, err := random.Image(8, 1)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return h.name + "/" + repository + "@" + digest.String()
}

// world is what instances share: keys, registries and a clock.
type world struct {
	testing.TB
	dir      string
	own      *host // registry of our images and of signatures
	upstream *host // registry of others
	rotation *rotation.Rotation
	client   *signature.Client
	signer   *endpoint.Sign

	mu    sync.Mutex
	clock time.Time
	runs  map[string]string // images that the cluster reports, with a pod
	away  bool              // the cluster is
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, dir: t.TempDir(), own: newHost(t), upstream: newHost(t), clock: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), runs: map[string]string{}}
	secret := filepath.Join(w.dir, "key")
	if err := keystore.WriteKeyFile(secret); err != nil {
		t.Fatal(err)
	}
	folder, err := keystore.Open(keystore.Options{Dir: filepath.Join(w.dir, "keys"), Secret: keystore.KeyFile(secret)})
	if err != nil {
		t.Fatal(err)
	}
	images, err := folder.Key("images")
	if err != nil {
		t.Fatal(err)
	}
	lists, err := folder.Key("keylist")
	if err != nil {
		t.Fatal(err)
	}
	w.rotation = rotation.New(images, lists, &state.File{Path: filepath.Join(w.dir, "state.json")})
	w.rotation.Now, w.rotation.Fresh = w.now, 0
	w.rotation.Serve()
	if w.client, err = signature.NewClient(signature.Options{Attempts: 1, Now: w.now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.client.Close)
	log, _, err := audit.Open(filepath.Join(w.dir, "audit"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	w.signer = &endpoint.Sign{Log: log, Keys: w.rotation, Writer: &signature.Legacy{Client: w.client, Now: w.now}, Source: w.own.name + "/signatures",
		Logger: slog.New(slog.DiscardHandler), Outcomes: endpoint.NewOutcomes(prometheus.NewRegistry())}
	w.write("lists/third-party-images.yaml", "images: []\n")
	w.step()
	w.pass(w.rotation.Timing.Lead())
	if rec := w.step(); rec.Active() == nil {
		t.Fatal("no key signs")
	}
	return w
}

func (w *world) step() *rotation.Record {
	w.Helper()
	rec, _, err := w.rotation.Step(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return rec
}

// rotate has the next key sign, in order.
func (w *world) rotate() {
	w.Helper()
	if _, err := w.rotation.Hasten(w.Context()); err != nil {
		w.Fatal(err)
	}
	w.pass(w.rotation.Timing.Lead())
	w.step()
}

// job is an instance, which reads lists in lists/, manifests in git/, and a cluster.
func (w *world) job(instance string) *resign.Job {
	w.Helper()
	j := resign.New()
	j.Instance, j.Now, j.Logger = instance, w.now, slog.New(slog.NewTextHandler(output{w}, nil))
	j.Signer, j.Keys, j.Reader = w.signer, w.rotation, &signature.Reader{Client: w.client}
	j.State = &state.File{Path: filepath.Join(w.dir, "resign.json")}
	ours, err := access.ParseRepositories([]string{w.own.name + "/app/**"})
	if err != nil {
		w.Fatal(err)
	}
	j.Ours = ours.Match
	j.Sources = []name.Repository{w.repository("signatures")}
	j.Lists = []string{w.folder("lists")}
	git := w.folder("git")
	j.Places = []resign.Place{{Name: "git", Reviewed: true, Read: func(context.Context) (*inventory.Deployed, error) {
		all, err := inventory.References(git)
		return &inventory.Deployed{Images: all}, err
	}}, {Name: "cluster", Read: w.cluster}}
	return j
}

type output struct{ testing.TB }

func (o output) Write(p []byte) (int, error) {
	o.Logf("%s", strings.TrimSpace(string(p)))
	return len(p), nil
}

func (w *world) folder(name string) string {
	w.Helper()
	dir := filepath.Join(w.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		w.Fatal(err)
	}
	return dir
}

// list writes the list of images of others.
func (w *world) list(entries ...string) {
	w.Helper()
	w.write("lists/third-party-images.yaml", "images:\n"+strings.Join(entries, ""))
}

func entry(reference string) string {
	return "- {reference: \"" + reference + "\", owner: o, reviewed-by: r, expires: 2027-01-31}\n"
}

func (w *world) write(path, text string) {
	w.Helper()
	w.folder(filepath.Dir(path))
	if err := os.WriteFile(filepath.Join(w.dir, path), []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
}

// cluster is what the cluster reports.
func (w *world) cluster(context.Context) (*inventory.Deployed, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away {
		return nil, errors.New("the cluster is away")
	}
	d := &inventory.Deployed{Unpinned: []string{"busybox (default/shell)"}}
	for image, pod := range w.runs {
		d.Images = append(d.Images, inventory.Image{Reference: image, Pods: 2, First: pod, Exempt: strings.HasPrefix(pod, "kube-system/")})
	}
	return d, nil
}

func (w *world) repository(path string) name.Repository {
	w.Helper()
	r, err := name.NewRepository(w.own.name + "/" + path)
	if err != nil {
		w.Fatal(err)
	}
	return r
}

// by is the key that signs an image, of those of the record; "none" is none.
func (w *world) by(image string, into ...name.Repository) string {
	w.Helper()
	digest, err := name.NewDigest(image)
	if err != nil {
		w.Fatal(err)
	}
	target := signature.Target{Image: digest}
	if len(into) > 0 {
		target.Into = into[0]
	}
	rec, err := w.rotation.Current(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	var keys []key.Public
	for _, e := range rec.Keys {
		public, err := e.Public()
		if err != nil {
			w.Fatal(err)
		}
		keys = append(keys, public)
	}
	report, err := (&signature.Reader{Client: w.client}).Read(w.Context(), target, keys)
	if err != nil {
		w.Fatal(err)
	}
	for i := len(keys) - 1; i >= 0; i-- {
		if _, ok := report.By(keys[i].ID); ok {
			return keys[i].ID.String()
		}
	}
	return "none"
}

// sign has an image signed as CI does, by whichever key signs now.
func (w *world) sign(image string) {
	w.Helper()
	if r := w.signer.Renew(w.Context(), audit.Who{Kind: "token", Name: "ci"}, image, false, 0); r.Error != "" {
		w.Fatal(r.Error)
	}
}
