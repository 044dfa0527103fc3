package signature_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/signature"
)

// hang answers nothing until who asks has left.
func hang(w http.ResponseWriter, r *http.Request) bool {
	_, _ = io.Copy(io.Discard, r.Body) // a server only sees that a client has left when nothing of it is unread
	<-r.Context().Done()
	return true
}

func everything(status int, body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		return true
	}
}

func TestARegistryThatCannotBeAskedIsNotTakenForAnUnsignedImage(t *testing.T) {
	k := newSigner(t, "images/1")
	short := func(o *signature.Options) { o.Timeout, o.Attempts = 100*time.Millisecond, 2 }
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"401 everywhere":      everything(401, ""),
		"403":                 answers(-1, http.MethodGet, "/manifests/", 403, nil, ""),
		"401 on the manifest": answers(-1, http.MethodGet, "/manifests/", 401, nil, ""),
		"429":                 answers(-1, http.MethodGet, "/manifests/", 429, nil, `{"errors":[{"code":"TOOMANYREQUESTS"}]}`),
		"500":                 answers(-1, http.MethodGet, "/manifests/", 500, nil, "oops"),
		"503":                 answers(-1, http.MethodGet, "/manifests/", 503, map[string]string{"Retry-After": "3600"}, ""),
		"a huge error":        answers(-1, http.MethodGet, "/manifests/", 502, nil, strings.Repeat("x", 1<<20)),
		"a hang":              hang,
		"a hang on the blob": func(w http.ResponseWriter, r *http.Request) bool {
			return strings.Contains(r.URL.Path, "/blobs/") && hang(w, r)
		},
		"500 on the blob": answers(-1, http.MethodGet, "/blobs/", 500, nil, ""),
		"no registry":     everything(404, "not here"),
		"half an answer": func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/manifests/") {
				return false
			}
			w.Header().Set("Content-Length", "500")
			_, _ = io.WriteString(w, `{"layers":[`)
			return true
		},
		"half a manifest and a hang": func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/manifests/") {
				return false
			}
			_, _ = io.WriteString(w, `{"layers":[`)
			w.(http.Flusher).Flush()
			return hang(w, r)
		},
		"redirects without end": func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/manifests/") {
				return false
			}
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t)
			target := signature.Target{Image: image(f.repo(t, "app"), 1)}
			mustWrite(t, &signature.Legacy{Client: newClient(t)}, target, k.order())
			f.breaks(fault)
			report, err := (&signature.Reader{Client: newClient(t, short)}).Read(t.Context(), target, publics(k))
			if !errors.Is(err, signature.ErrUnchecked) || errors.Is(err, signature.ErrNotSigned) {
				t.Errorf("%+v, %v", report, err)
			}
			// Who cannot ask what is there does not write either: there may be a signature to keep.
			_, err = (&signature.Legacy{Client: newClient(t, short)}).Write(t.Context(), signature.Target{Image: target.Image}, newSigner(t, "images/2").order(k))
			if err == nil && !strings.Contains(name, "blob") {
				t.Error("it is written")
			}
		})
	}
	c := newClient(t, short)
	f := newFront(t)
	target := signature.Target{Image: image(f.repo(t, "app"), 1)}
	f.close()
	if _, err := (&signature.Reader{Client: c}).Read(t.Context(), target, publics(k)); !errors.Is(err, signature.ErrUnchecked) {
		t.Errorf("nobody listens: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (&signature.Reader{Client: c}).Read(ctx, target, publics(k)); !errors.Is(err, signature.ErrUnchecked) || !errors.Is(err, context.Canceled) {
		t.Errorf("the caller gave up: %v", err)
	}
}

func TestAnImageWithoutASignatureIsNotSigned(t *testing.T) {
	f, c := newFront(t), newClient(t)
	k := newSigner(t, "images/1")
	repo := f.repo(t, "app")
	if r := mustRead(t, c, signature.Target{Image: image(repo, 1)}, k.public); r.Signed() || !errors.Is(r.Err(), signature.ErrNotSigned) || errors.Is(r.Err(), signature.ErrUnchecked) {
		t.Errorf("a repository that is not there: %+v", r)
	}
	mustWrite(t, &signature.Legacy{Client: c}, signature.Target{Image: image(repo, 1)}, k.order())
	if r := mustRead(t, c, signature.Target{Image: image(repo, 2)}, k.public); !errors.Is(r.Err(), signature.ErrNotSigned) || !strings.Contains(r.Err().Error(), "there is no signature at") {
		t.Errorf("%v", r.Err())
	}
}

func TestEachLayerSaysWhyItDoesNotCount(t *testing.T) {
	f, c := newFront(t), newClient(t)
	k, k2, other := newSigner(t, "images/1"), newSigner(t, "images/2"), newSigner(t, "other/1")
	target := signature.Target{Image: image(f.repo(t, "app"), 1)}
	good := cosignPayload("app", target.Image.DigestStr(), `{"issued":"2026-01-05T10:00:00Z","key":"images/9"}`)
	elsewhere := cosignPayload("app", someDigest, "null")
	missing := cosignPayload("lost", target.Image.DigestStr(), "null")
	notJSON := []byte("hello")
	changed := func(d v1.Descriptor, change func(*v1.Descriptor)) v1.Descriptor {
		change(&d)
		return d
	}
	layers := []struct {
		layer v1.Descriptor
		key   key.ID
		err   error
	}{
		{k.annotated(t, good), k.public.ID, nil},
		{k2.annotated(t, good), k2.public.ID, nil},
		{other.annotated(t, good), key.ID{}, signature.ErrOtherKey},
		{k.annotated(t, elsewhere), key.ID{}, signature.ErrOtherImage},
		{k.annotated(t, missing), key.ID{}, signature.ErrMissing},
		{k.annotated(t, notJSON), key.ID{}, signature.ErrMalformed},
		{changed(k.annotated(t, good), func(d *v1.Descriptor) { d.MediaType = "text/plain" }), key.ID{}, signature.ErrMalformed},
		{changed(k.annotated(t, good), func(d *v1.Descriptor) { d.Annotations = nil }), key.ID{}, signature.ErrMalformed},
		{changed(k.annotated(t, good), func(d *v1.Descriptor) { d.Size = signature.MaxPayload + 1 }), key.ID{}, signature.ErrMalformed},
		{changed(k.annotated(t, good), func(d *v1.Descriptor) { d.Size = 0 }), key.ID{}, signature.ErrMalformed},
		{changed(k.annotated(t, good), func(d *v1.Descriptor) { d.Size -= 5 }), key.ID{}, signature.ErrMalformed},
		{changed(k.annotated(t, good), func(d *v1.Descriptor) { d.Digest.Hex = "ab" }), key.ID{}, signature.ErrMalformed},
		{changed(k.annotated(t, good), func(d *v1.Descriptor) { d.Digest.Hex = strings.Repeat("0", 64) }), key.ID{}, signature.ErrOtherKey},
		{changed(k.annotated(t, good), func(d *v1.Descriptor) { d.Annotations[signature.SignatureAnnotation] = "####" }), key.ID{}, signature.ErrMalformed},
		{changed(k.annotated(t, good), func(d *v1.Descriptor) {
			d.Annotations[signature.SignatureAnnotation] = strings.Repeat("A", 1<<20)
		}), key.ID{}, signature.ErrMalformed},
	}
	var all []v1.Descriptor
	for _, l := range layers {
		all = append(all, l.layer)
	}
	f.put(t, tagOf(t, target), encode(t, all...), good, elsewhere, notJSON)
	r := mustRead(t, c, target, k.public, k2.public)
	if len(r.Layers) != len(layers) || !r.Signed() || r.Err() != nil {
		t.Fatalf("%+v", r)
	}
	for i, l := range r.Layers {
		if l.Key != layers[i].key || !errors.Is(l.Err, layers[i].err) || (l.Err == nil) != (layers[i].err == nil) {
			t.Errorf("layer %d is by %v, %v; and not by %v, %v", i, l.Key, l.Err, layers[i].key, layers[i].err)
		}
	}
	if by, ok := r.By(k2.public.ID); !ok || by.Payload.Issued != time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC) || by.Payload.Key.Version != 9 || r.Issued() != by.Payload.Issued {
		t.Errorf("%+v, %v", by, ok)
	}
	if _, ok := r.By(other.public.ID); ok {
		t.Error("a key that was not given is found")
	}
	// Without a key that counts, the error names the first reasons.
	r = mustRead(t, c, target, newSigner(t, "images/3").public)
	if err := r.Err(); !errors.Is(err, signature.ErrNotSigned) || !strings.Contains(err.Error(), "is by no key that was given") || !strings.Contains(err.Error(), "and 10 more") {
		t.Errorf("%v", err)
	}
}

func TestWhatNoKeySignedIsNotFetched(t *testing.T) {
	f, c := newFront(t), newClient(t)
	k, other := newSigner(t, "images/1"), newSigner(t, "other/1")
	target := signature.Target{Image: image(f.repo(t, "app"), 1)}
	p := cosignPayload("app", target.Image.DigestStr(), "null")
	f.put(t, tagOf(t, target), encode(t, other.annotated(t, p), other.annotated(t, p)), p)
	mustRead(t, c, target, k.public)
	if n := count(f.asked(), "GET /v2/app/blobs/"); n != 0 {
		t.Errorf("%d blobs were fetched", n)
	}
}

func TestABlobThatCannotBeFetchedDoesNotHideASignatureThatCounts(t *testing.T) {
	f := newFront(t)
	k, k2 := newSigner(t, "images/1"), newSigner(t, "images/2")
	target := signature.Target{Image: image(f.repo(t, "app"), 1)}
	a, b := cosignPayload("a", target.Image.DigestStr(), "null"), cosignPayload("b", target.Image.DigestStr(), "null")
	f.put(t, tagOf(t, target), encode(t, k.annotated(t, a), k2.annotated(t, b)), a, b)
	f.breaks(answers(-1, http.MethodGet, "/blobs/"+digestOf(a).String(), 500, nil, ""))
	if r := mustRead(t, newClient(t), target, k.public, k2.public); !r.Signed() || !errors.Is(r.Layers[0].Err, signature.ErrUnchecked) || r.Layers[1].Key != k2.public.ID {
		t.Errorf("%+v", r.Layers)
	}
}

func TestAtMostAThousandLayersAreLookedAt(t *testing.T) {
	f, c := newFront(t), newClient(t)
	k, other := newSigner(t, "images/1"), newSigner(t, "other/1")
	target := signature.Target{Image: image(f.repo(t, "app"), 1)}
	p := cosignPayload("app", target.Image.DigestStr(), "null")
	foreign, mine := other.annotated(t, p), k.annotated(t, p)
	for _, at := range []int{signature.MaxLayers - 1, signature.MaxLayers} {
		var layers []v1.Descriptor
		for range at {
			layers = append(layers, foreign)
		}
		layers = append(layers, mine, foreign)
		f.put(t, tagOf(t, target), encode(t, layers...), p)
		r := mustRead(t, c, target, k.public)
		if r.Signed() != (at < signature.MaxLayers) || len(r.Layers) != signature.MaxLayers || r.More != at+2-signature.MaxLayers {
			t.Errorf("with the signature at %d: %t, %d layers, %d more", at, r.Signed(), len(r.Layers), r.More)
		}
	}
}

func TestAnAnswerOfMoreThanItsBoundIsNotRead(t *testing.T) {
	k := newSigner(t, "images/1")
	for name, flush := range map[string]bool{"with its length": false, "without its length": true} {
		t.Run(name, func(t *testing.T) {
			f := newFront(t)
			target := signature.Target{Image: image(f.repo(t, "app"), 1)}
			mustWrite(t, &signature.Legacy{Client: newClient(t)}, target, k.order())
			endless := func(contains string) func(http.ResponseWriter, *http.Request) bool {
				return func(w http.ResponseWriter, r *http.Request) bool {
					if !strings.Contains(r.URL.Path, contains) {
						return false
					}
					if !flush {
						w.Header().Set("Content-Length", "1000000000000")
					}
					for r.Context().Err() == nil {
						if _, err := io.WriteString(w, strings.Repeat(" ", 1<<16)); err != nil {
							break
						}
					}
					return true
				}
			}
			f.breaks(endless("/manifests/"))
			r := mustRead(t, newClient(t), target, k.public)
			if r.Signed() || !errors.Is(r.Err(), signature.ErrNotSigned) || !strings.Contains(r.Err().Error(), "more than the 4194304 bytes") {
				t.Errorf("%v", r.Err())
			}
			f.breaks(endless("/blobs/"))
			r = mustRead(t, newClient(t), target, k.public)
			if r.Signed() || !errors.Is(r.Layers[0].Err, signature.ErrMalformed) {
				t.Errorf("%v", r.Err())
			}
			f.breaks(func(w http.ResponseWriter, r *http.Request) bool {
				return r.URL.Path == "/v2/" && endless("/v2/")(w, r)
			})
			if r, err := (&signature.Reader{Client: newClient(t)}).Read(t.Context(), target, publics(k)); err != nil && !errors.Is(err, signature.ErrUnchecked) {
				t.Errorf("%v, %v", r, err)
			}
		})
	}
}

func TestOtherContentThanItsDigestSaysDoesNotCount(t *testing.T) {
	f := newFront(t)
	k := newSigner(t, "images/1")
	target := signature.Target{Image: image(f.repo(t, "app"), 1)}
	mustWrite(t, &signature.Legacy{Client: newClient(t)}, target, k.order())
	layer := f.manifest(t, tagOf(t, target)).Layers[0]
	f.breaks(answers(-1, http.MethodGet, "/blobs/", 200, nil, strings.Repeat(" ", int(layer.Size))))
	if r := mustRead(t, newClient(t), target, k.public); !errors.Is(r.Err(), signature.ErrNotSigned) || !errors.Is(r.Layers[0].Err, signature.ErrMalformed) {
		t.Errorf("%v", r.Err())
	}
}

func TestASignatureMovedToAnotherImageDoesNotCount(t *testing.T) {
	f, c := newFront(t), newClient(t)
	k := newSigner(t, "images/1")
	repo := f.repo(t, "app")
	from, to := signature.Target{Image: image(repo, 1)}, signature.Target{Image: image(repo, 2)}
	mustWrite(t, &signature.Legacy{Client: c}, from, k.order())
	text := f.ask(http.MethodGet, "/v2/app/manifests/"+tagOf(t, from).TagStr()).Body.Bytes()
	f.put(t, tagOf(t, to), text)
	if r := mustRead(t, c, to, k.public); r.Signed() || !errors.Is(r.Layers[0].Err, signature.ErrOtherImage) {
		t.Errorf("%+v", r)
	}
}

func TestASignatureFollowsItsDigestIntoAnyRepository(t *testing.T) {
	f, c := newFront(t), newClient(t)
	k := newSigner(t, "images/1")
	from := signature.Target{Image: image(f.repo(t, "build/app"), 1), Into: f.repo(t, "signatures")}
	mustWrite(t, &signature.Legacy{Client: c}, from, k.order())
	moved := signature.Target{Image: image(f.repo(t, "release/app"), 1), Into: f.repo(t, "signatures")}
	if r := mustRead(t, c, moved, k.public); !r.Signed() {
		t.Error(r.Err())
	}
}

func TestAnImageIsThereOrNotOrThatIsNotKnown(t *testing.T) {
	f := newFront(t)
	repo := f.repo(t, "app/web")
	config := []byte("{}")
	text := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
	f.put(t, repo.Tag("latest"), text, config)
	client, err := signature.NewClient(signature.Options{Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	r := &signature.Reader{Client: client}
	sum := sha256.Sum256(text)
	there := repo.Digest("sha256:" + hex.EncodeToString(sum[:]))
	if err := r.Exists(t.Context(), there); err != nil {
		t.Error(err)
	}
	if err := r.Exists(t.Context(), repo.Digest("sha256:"+strings.Repeat("0", 64))); !errors.Is(err, signature.ErrNoImage) {
		t.Errorf("an image that is not there: %v", err)
	}
	f.breaks(answers(-1, http.MethodHead, "/manifests/", 503, nil, ""))
	if err := r.Exists(t.Context(), there); !errors.Is(err, signature.ErrUnchecked) || errors.Is(err, signature.ErrNoImage) {
		t.Errorf("a registry that is overloaded: %v", err)
	}
}
