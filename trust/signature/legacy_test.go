package signature_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/signature"
)

type anonymous struct{}

func (anonymous) Resolve(authn.Resource) (authn.Authenticator, error) { return authn.Anonymous, nil }

func TestASignatureIsAnImageOfTheFormThatCosignReads(t *testing.T) {
	f := newFront(t)
	k := newSigner(t, "images/7")
	target := signature.Target{Image: image(f.repo(t, "app/web"), 1)}
	now := time.Date(2026, 1, 5, 10, 0, 0, 5, time.UTC)
	w := &signature.Legacy{Client: newClient(t), Now: func() time.Time { return now }}
	result := mustWrite(t, w, target, k.order())
	hex := strings.TrimPrefix(target.Image.DigestStr(), "sha256:")
	if want := f.host() + "/app/web:sha256-" + hex + ".sig"; result.Tag.Name() != want || !result.Written || !result.Issued.Equal(now.Truncate(time.Second)) {
		t.Fatalf("%+v, and not at %s", result, want)
	}
	// Read with another program's eyes: the registry library, from what the registry stores.
	img, err := remote.Image(result.Tag)
	if err != nil {
		t.Fatal(err)
	}
	m, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if d, _ := img.Digest(); d != result.Manifest || m.SchemaVersion != 2 || m.MediaType != types.OCIManifestSchema1 || m.Config.MediaType != types.OCIConfigJSON || len(m.Layers) != 1 {
		t.Fatalf("%+v", m)
	}
	config, err := img.ConfigFile()
	if err != nil || len(config.History) != 1 {
		t.Fatalf("the configuration: %+v, %v", config, err)
	}
	l := m.Layers[0]
	if l.MediaType != "application/vnd.dev.cosign.simplesigning.v1+json" {
		t.Errorf("a layer is %s", l.MediaType)
	}
	layer, err := img.LayerByDigest(l.Digest)
	if err != nil {
		t.Fatal(err)
	}
	rc, err := layer.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	payload, err := io.ReadAll(rc)
	if err != nil {
		t.Fatal(err)
	}
	want := cosignPayload(f.host()+"/app/web", target.Image.DigestStr(), `{"issued":"2026-01-05T10:00:00Z","key":"images/7"}`)
	if string(payload) != string(want) {
		t.Errorf("the payload is\n%s\nand not\n%s", payload, want)
	}
	der, err := base64.StdEncoding.DecodeString(l.Annotations["dev.cosignproject.cosign/signature"])
	if err != nil || !key.Verify(k.public.Key, sha256.Sum256(payload), der) {
		t.Errorf("the signature does not verify: %v", err)
	}
}

func TestAThirdPartyImageIsSignedWithoutItsRegistryBeingAsked(t *testing.T) {
	upstream, ours := newFront(t), newFront(t)
	k := newSigner(t, "images/1")
	target := signature.Target{Image: image(upstream.repo(t, "library/nginx"), 1), Into: ours.repo(t, "third-party")}
	c := newClient(t)
	mustWrite(t, &signature.Legacy{Client: c}, target, k.order())
	if r := mustRead(t, c, target, k.public); !r.Signed() || r.Tag.Context() != target.Into || r.Layers[0].Payload.Reference != upstream.host()+"/library/nginx" {
		t.Errorf("%+v", r)
	}
	if asked := upstream.asked(); len(asked) != 0 {
		t.Errorf("the image's registry was asked %q", asked)
	}
	for _, a := range ours.asked() {
		if strings.HasPrefix(a, "PUT") && strings.Contains(a, "/manifests/") && a != "PUT /v2/third-party/manifests/"+tagOf(t, target).TagStr() {
			t.Errorf("more than the signature's tag was written: %s", a)
		}
	}
}

func TestANewKeyReplacesTheOldUnlessThatStillCounts(t *testing.T) {
	for name, test := range map[string]struct {
		keep func(old, older *signer) []*signer
		kept func(old, older *signer) key.ID
	}{
		"no other counts":                {func(_, _ *signer) []*signer { return nil }, func(_, _ *signer) key.ID { return key.ID{} }},
		"the old counts":                 {func(old, _ *signer) []*signer { return []*signer{old} }, func(old, _ *signer) key.ID { return old.public.ID }},
		"only the older counts":          {func(_, older *signer) []*signer { return []*signer{older} }, func(_, older *signer) key.ID { return older.public.ID }},
		"both count and the newer stays": {func(old, older *signer) []*signer { return []*signer{older, old} }, func(old, _ *signer) key.ID { return old.public.ID }},
	} {
		t.Run(name, func(t *testing.T) {
			f, c := newFront(t), newClient(t)
			older, old, k := newSigner(t, "images/1"), newSigner(t, "images/2"), newSigner(t, "images/3")
			target := signature.Target{Image: image(f.repo(t, "app"), 1)}
			now := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
			w := &signature.Legacy{Client: c, Now: func() time.Time { now = now.Add(time.Hour); return now }}
			mustWrite(t, w, target, older.order())
			mustWrite(t, w, target, old.order(older))
			r := mustWrite(t, w, target, k.order(test.keep(old, older)...))
			want := test.kept(old, older)
			if r.Kept != want {
				t.Errorf("%v was kept, and not %v", r.Kept, want)
			}
			report := mustRead(t, c, target, publics(older, old, k)...)
			ids := []key.ID{k.public.ID}
			if want != (key.ID{}) {
				ids = append(ids, want)
			}
			var got []key.ID
			for _, l := range report.Layers {
				if l.Err != nil {
					t.Errorf("a layer does not verify: %v", l.Err)
				}
				got = append(got, l.Key)
			}
			if !slices.Equal(got, ids) {
				t.Errorf("there are signatures by %v, and not by %v", got, ids)
			}
		})
	}
}

func TestManyRotationsDoNotGrowTheManifest(t *testing.T) {
	f, c := newFront(t), newClient(t)
	target := signature.Target{Image: image(f.repo(t, "app"), 1)}
	w := &signature.Legacy{Client: c}
	var before *signer
	for i := range 20 {
		k := newSigner(t, fmt.Sprint("images/", i+1))
		order := k.order()
		if before != nil {
			order = k.order(before)
		}
		mustWrite(t, w, target, order)
		if n := len(f.manifest(t, tagOf(t, target)).Layers); n > 2 {
			t.Fatalf("there are %d layers", n)
		}
		before = k
	}
}

func TestTheSignatureOfCosignIsKeptWithAllItSays(t *testing.T) {
	f, c := newFront(t), newClient(t)
	old, k, stranger := newSigner(t, "images/1"), newSigner(t, "images/2"), newSigner(t, "other/1")
	target := signature.Target{Image: image(f.repo(t, "app"), 1)}
	payload := cosignPayload("elsewhere/app", target.Image.DigestStr(), "null")
	wrong := cosignPayload("elsewhere/app", someDigest, "null")
	good := old.annotated(t, payload)
	good.Annotations["dev.sigstore.cosign/bundle"] = "{}"
	f.put(t, tagOf(t, target), encode(t, stranger.annotated(t, payload), old.annotated(t, wrong), good), payload, wrong)
	r := mustWrite(t, &signature.Legacy{Client: c}, target, k.order(old))
	if r.Kept != old.public.ID {
		t.Fatalf("%v was kept", r.Kept)
	}
	m := f.manifest(t, r.Tag)
	if len(m.Layers) != 2 || m.Layers[1].Annotations["dev.sigstore.cosign/bundle"] != "{}" || m.Layers[1].Digest != good.Digest {
		t.Errorf("%+v", m.Layers)
	}
}

func TestSigningAgainWritesNothingWhileASignatureIsFresh(t *testing.T) {
	f, c := newFront(t), newClient(t)
	k, other := newSigner(t, "images/1"), newSigner(t, "images/2")
	target := signature.Target{Image: image(f.repo(t, "app"), 1)}
	now := time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)
	w := &signature.Legacy{Client: c, Now: func() time.Time { return now }}
	order := k.order()
	order.Fresh = 24 * time.Hour
	first := mustWrite(t, w, target, order)
	f.asked()
	now = now.Add(23 * time.Hour)
	again := mustWrite(t, w, target, order)
	if again.Written || again.Manifest != first.Manifest || !again.Issued.Equal(first.Issued) || len(k.calls) != 1 {
		t.Errorf("%+v after %+v, with %d calls to the key store", again, first, len(k.calls))
	}
	if asked := f.asked(); len(asked) != 1 || !strings.HasPrefix(asked[0], "GET ") {
		t.Errorf("it took %q", asked)
	}
	now = now.Add(time.Hour)
	if r := mustWrite(t, w, target, order); !r.Written {
		t.Error("a signature as old as the bound is fresh")
	}
	order = other.order()
	order.Fresh = 24 * time.Hour
	if r := mustWrite(t, w, target, order); !r.Written {
		t.Error("a signature by another key is fresh")
	}
	now = now.Add(-time.Hour) // this clock is behind that which signed
	if r := mustWrite(t, w, target, order); !r.Written {
		t.Error("a signature of the future is fresh")
	}
}

func TestFreshnessIsNotBelievedOfWhatIsNotSigned(t *testing.T) {
	k, thief := newSigner(t, "images/1"), newSigner(t, "images/1")
	now := time.Now().UTC().Format(time.RFC3339)
	optional := `{"issued":"` + now + `","key":"images/1"}`
	for name, forge := range map[string]func(t *testing.T, tag name.Tag, reference, digest string) ([]v1.Descriptor, [][]byte){
		"another key's": func(t *testing.T, _ name.Tag, reference, digest string) ([]v1.Descriptor, [][]byte) {
			p := cosignPayload(reference, digest, optional)
			return []v1.Descriptor{thief.annotated(t, p)}, [][]byte{p}
		},
		"that of another image": func(t *testing.T, _ name.Tag, reference, _ string) ([]v1.Descriptor, [][]byte) {
			p := cosignPayload(reference, someDigest, optional)
			return []v1.Descriptor{k.annotated(t, p)}, [][]byte{p}
		},
		"an old one with a new annotation": func(t *testing.T, _ name.Tag, reference, digest string) ([]v1.Descriptor, [][]byte) {
			p := cosignPayload(reference, digest, `{"issued":"2020-01-05T10:00:00Z","key":"images/1"}`)
			d := k.annotated(t, p)
			d.Annotations["org.opencontainers.image.created"] = now
			return []v1.Descriptor{d}, [][]byte{p}
		},
		"one whose content is gone": func(t *testing.T, _ name.Tag, _, digest string) ([]v1.Descriptor, [][]byte) {
			return []v1.Descriptor{k.annotated(t, cosignPayload("x", digest, optional))}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t)
			target := signature.Target{Image: image(f.repo(t, "app"), 1)}
			layers, blobs := forge(t, tagOf(t, target), target.Image.Context().Name(), target.Image.DigestStr())
			f.put(t, tagOf(t, target), encode(t, layers...), blobs...)
			order := k.order()
			order.Fresh = time.Hour
			if r := mustWrite(t, &signature.Legacy{Client: newClient(t)}, target, order); !r.Written {
				t.Error("it is taken for fresh")
			}
		})
	}
}

func TestWhatIsNoSignatureIsOverwritten(t *testing.T) {
	old, k := newSigner(t, "images/1"), newSigner(t, "images/2")
	for name, text := range map[string]string{
		"no JSON":      "{",
		"an index":     `{"schemaVersion":2,"manifests":[]}`,
		"odd layers":   `{"layers":[{"digest":"x"},{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","size":-1}]}`,
		"a huge one":   `{"layers":[]` + strings.Repeat(" ", signature.MaxManifest) + `}`,
		"odd types":    `{"layers":{"a":1}}`,
		"a bad base64": `{"layers":[{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","size":9,"digest":"` + someDigest + `","annotations":{"dev.cosignproject.cosign/signature":"!"}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			f, c := newFront(t), newClient(t)
			target := signature.Target{Image: image(f.repo(t, "app"), 1)}
			f.put(t, tagOf(t, target), []byte(text))
			if r := mustRead(t, c, target, old.public); r.Signed() || !errors.Is(r.Err(), signature.ErrNotSigned) {
				t.Errorf("it is read as %+v", r)
			}
			mustWrite(t, &signature.Legacy{Client: c}, target, k.order(old))
			if r := mustRead(t, c, target, k.public); !r.Signed() || len(r.Layers) != 1 {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestNothingIsWrittenThatDoesNotVerify(t *testing.T) {
	f, c := newFront(t), newClient(t)
	k, other := newSigner(t, "images/1"), newSigner(t, "images/2")
	target := signature.Target{Image: image(f.repo(t, "app"), 1)}
	for name, sign := range map[string]signature.Signer{
		"another key": other.sign,
		"nothing":     func(context.Context, []key.Hash) ([][]byte, error) { return nil, nil },
		"too many": func(ctx context.Context, h []key.Hash) ([][]byte, error) {
			return k.sign(ctx, append(h, h...))
		},
		"an error": func(context.Context, []key.Hash) ([][]byte, error) { return nil, key.ErrNoVersion },
		"none":     nil,
	} {
		order := k.order()
		order.Sign = sign
		if _, err := (&signature.Legacy{Client: c}).Write(t.Context(), target, order); err == nil || name == "an error" && !errors.Is(err, key.ErrNoVersion) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if m := f.manifest(t, tagOf(t, target)); m != nil {
		t.Errorf("there is %+v", m)
	}
}

func TestOnlySHA256DigestsAreSigned(t *testing.T) {
	repo := newFront(t).repo(t, "app")
	k := newSigner(t, "images/1")
	for _, digest := range []string{"", "latest", "sha256:", "sha512:" + strings.Repeat("a", 128), "sha256:" + strings.Repeat("A", 64), "sha256:" + strings.Repeat("a", 63) + "/"} {
		_, err := (&signature.Legacy{Client: newClient(t)}).Write(t.Context(), signature.Target{Image: repo.Digest(digest)}, k.order())
		if err == nil || !strings.Contains(err.Error(), "is no digest of an image") {
			t.Errorf("%q: %v", digest, err)
		}
	}
}

func TestWritersOfOneImageTakeTurns(t *testing.T) {
	f := newFront(t)
	target := signature.Target{Image: image(f.repo(t, "app"), 1)}
	var inside, most atomic.Int32
	f.breaks(func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/manifests/"):
			now := inside.Add(1)
			for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
			}
			time.Sleep(time.Millisecond) // for others to come in, were they let
		case r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/"):
			f.serve(w, r)
			inside.Add(-1)
			return true
		}
		return false
	})
	clients := []*signature.Client{newClient(t), newClient(t)}
	keys := make([]*signer, 12)
	for i := range keys {
		keys[i] = newSigner(t, fmt.Sprint("images/", i+1))
	}
	var wg sync.WaitGroup
	for i, k := range keys {
		wg.Go(func() { // half of them by another client: one process, one writer
			mustWriteQuietly(t, &signature.Legacy{Client: clients[i%2]}, target, k.order(keys...))
		})
	}
	wg.Wait()
	if most.Load() != 1 {
		t.Errorf("%d wrote at once", most.Load())
	}
	r := mustRead(t, newClient(t), target, publics(keys...)...)
	if len(r.Layers) != 2 || r.Layers[0].Err != nil || r.Layers[1].Err != nil || r.Layers[0].Key == r.Layers[1].Key {
		t.Errorf("in the end there is %+v", r.Layers)
	}
	if n := signature.WritingNow(); n != 0 {
		t.Errorf("%d locks are left", n)
	}
}

func mustWriteQuietly(t testing.TB, w signature.Writer, target signature.Target, order signature.Order) {
	if _, err := w.Write(t.Context(), target, order); err != nil {
		t.Error(err)
	}
}

func TestWhoWaitsForAnotherWriterCanGiveUp(t *testing.T) {
	f, c := newFront(t), newClient(t)
	k := newSigner(t, "images/1")
	target := signature.Target{Image: image(f.repo(t, "app"), 1)}
	holds, free := make(chan struct{}), make(chan struct{})
	order := k.order()
	order.Sign = func(ctx context.Context, h []key.Hash) ([][]byte, error) {
		close(holds)
		<-free
		return k.sign(ctx, h)
	}
	first := make(chan error)
	go func() {
		_, err := (&signature.Legacy{Client: c}).Write(t.Context(), target, order)
		first <- err
	}()
	<-holds
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (&signature.Legacy{Client: c}).Write(ctx, target, k.order()); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	close(free)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if n := signature.WritingNow(); n != 0 {
		t.Errorf("%d locks are left", n)
	}
}

// Blobs that a registry had, and lost: its garbage collection, or a restored backup.
func TestWhatARegistryHasLostIsUploadedAgain(t *testing.T) {
	f, c := newFront(t), newClient(t)
	old, k := newSigner(t, "images/1"), newSigner(t, "images/2")
	repo := f.repo(t, "app")
	w := &signature.Legacy{Client: c}
	mustWrite(t, w, signature.Target{Image: image(repo, 1)}, k.order())
	f.asked()
	f.breaks(answers(1, http.MethodPut, "/manifests/", http.StatusBadRequest, nil, `{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown"}]}`))
	mustWrite(t, w, signature.Target{Image: image(repo, 2)}, k.order())
	if n := count(f.asked(), "POST"); n != 3 { // the payload, and then both
		t.Errorf("%d blobs were uploaded", n)
	}
	// Where it is the kept layer that is lost, the new signature is worth more.
	target := signature.Target{Image: image(repo, 3)}
	mustWrite(t, w, target, old.order())
	f.breaks(answers(2, http.MethodPut, "/manifests/", http.StatusNotFound, nil, `{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}`))
	if r := mustWrite(t, w, target, k.order(old)); r.Kept != (key.ID{}) || !r.Written {
		t.Errorf("%+v", r)
	}
	f.breaks(answers(-1, http.MethodPut, "/manifests/", http.StatusNotFound, nil, `{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}`))
	if _, err := w.Write(t.Context(), target, k.order(old)); err == nil {
		t.Error("a registry that never takes the manifest is no error")
	}
}

func count(asked []string, begins string) (n int) {
	for _, a := range asked {
		if strings.HasPrefix(a, begins) {
			n++
		}
	}
	return n
}

func TestARegistryThatStoresSomethingElseIsAnError(t *testing.T) {
	k := newSigner(t, "images/1")
	for name, part := range map[string]struct{ method, path string }{
		"a manifest": {http.MethodPut, "/manifests/"},
		"a blob":     {http.MethodPost, "/blobs/uploads/"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t)
			f.breaks(answers(-1, part.method, part.path, http.StatusCreated, map[string]string{"Docker-Content-Digest": someDigest}, ""))
			_, err := (&signature.Legacy{Client: newClient(t)}).Write(t.Context(), signature.Target{Image: image(f.repo(t, "app"), 1)}, k.order())
			if err == nil || !strings.Contains(err.Error(), "the registry says that it stored") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestARegistryThatTakesBlobsInTwoStepsIsWrittenTo(t *testing.T) {
	for name, begin := range map[string]int{"by not taking the content": http.StatusAccepted, "by refusing the digest": http.StatusBadRequest} {
		t.Run(name, func(t *testing.T) {
			f, c := newFront(t), newClient(t)
			f.breaks(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPost || r.URL.Query().Get("digest") == "" {
					return false
				}
				if begin == http.StatusBadRequest {
					w.WriteHeader(begin)
					return true
				}
				r.URL.RawQuery = ""
				return false
			})
			k := newSigner(t, "images/1")
			for i := range 3 {
				target := signature.Target{Image: image(f.repo(t, "app"), i)}
				mustWrite(t, &signature.Legacy{Client: c}, target, k.order())
				if r := mustRead(t, c, target, k.public); !r.Signed() {
					t.Error(r.Err())
				}
			}
			f.asked()
			mustWrite(t, &signature.Legacy{Client: c}, signature.Target{Image: image(f.repo(t, "app"), 9)}, k.order())
			if asked := f.asked(); len(asked) != 3 {
				t.Errorf("once that is known, it takes %q", asked)
			}
		})
	}
}

func TestAnUploadIsNotLedToAMachineInside(t *testing.T) {
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was asked") }))
	defer inside.Close()
	f := newFront(t)
	f.breaks(answers(-1, http.MethodPost, "/blobs/uploads/", http.StatusAccepted, map[string]string{"Location": strings.Replace(inside.URL, "127.0.0.1", "127.0.0.2", 1)}, ""))
	_, err := (&signature.Legacy{Client: newClient(t)}).Write(t.Context(), signature.Target{Image: image(f.repo(t, "app"), 1)}, newSigner(t, "images/1").order())
	if err == nil || !strings.Contains(err.Error(), "points to the private address") {
		t.Errorf("%v", err)
	}
	f.breaks(answers(-1, http.MethodPost, "/blobs/uploads/", http.StatusAccepted, map[string]string{"Location": "http://storage.example/upload?token=secret"}, ""))
	_, err = (&signature.Legacy{Client: newClient(t)}).Write(t.Context(), signature.Target{Image: image(f.repo(t, "app"), 1)}, newSigner(t, "images/1").order())
	if err == nil || !strings.Contains(err.Error(), "storage.example is not spoken to without TLS") || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}

func TestTheWrittenJSONHasNothingBesideTheForm(t *testing.T) {
	f := newFront(t)
	target := signature.Target{Image: image(f.repo(t, "app"), 1)}
	mustWrite(t, &signature.Legacy{Client: newClient(t)}, target, newSigner(t, "images/1").order())
	tag := tagOf(t, target)
	var got map[string]any
	if err := json.Unmarshal(f.ask(http.MethodGet, "/v2/app/manifests/"+tag.TagStr()).Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	var names []string
	for k := range got {
		names = append(names, k)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"config", "layers", "mediaType", "schemaVersion"}) {
		t.Errorf("%q", names)
	}
}
