package signature_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/signature"
)

// below says of the versions of images below one that they are gone.
func below(least int) func(key.ID) bool {
	return func(id key.ID) bool { return id.Name == "images" && id.Version < least }
}

func TestOnlySignaturesWhoseKeysAreGoneAreDeleted(t *testing.T) {
	f, c := newFront(t), newClient(t)
	f.page = 3
	gone, retired, live, stranger := newSigner(t, "images/1"), newSigner(t, "images/2"), newSigner(t, "images/3"), newSigner(t, "other/1")
	repo := f.repo(t, "app")
	w := &signature.Legacy{Client: c}
	want := map[string]signature.Verdict{}
	n := 0
	add := func(verdict signature.Verdict, put func(signature.Target)) {
		n++
		target := signature.Target{Image: image(repo, n)}
		put(target)
		want[tagOf(t, target).TagStr()] = verdict
	}
	raw := func(layers func(signature.Target) ([]v1.Descriptor, [][]byte)) func(signature.Target) {
		return func(target signature.Target) {
			l, blobs := layers(target)
			f.put(t, tagOf(t, target), encode(t, l...), blobs...)
		}
	}
	plain := func(target signature.Target) []byte { return cosignPayload("app", target.Image.DigestStr(), "null") }
	for range 4 {
		add(signature.Dead, func(target signature.Target) { mustWrite(t, w, target, gone.order()) })
	}
	add(signature.Alive, func(target signature.Target) { mustWrite(t, w, target, live.order()) })
	add(signature.Alive, func(target signature.Target) {
		mustWrite(t, w, target, gone.order())
		mustWrite(t, w, target, live.order(gone))
	})
	add(signature.Dead, func(target signature.Target) {
		mustWrite(t, w, target, gone.order())
		mustWrite(t, w, target, retired.order(gone))
	})
	add(signature.Dead, raw(func(target signature.Target) ([]v1.Descriptor, [][]byte) { // known by its public key alone
		return []v1.Descriptor{retired.annotated(t, plain(target))}, nil
	}))
	add(signature.Foreign, raw(func(target signature.Target) ([]v1.Descriptor, [][]byte) {
		return []v1.Descriptor{gone.annotated(t, plain(target))}, [][]byte{plain(target)}
	}))
	add(signature.Foreign, func(target signature.Target) { mustWrite(t, w, target, stranger.order()) })
	add(signature.Foreign, func(target signature.Target) {
		mustWrite(t, w, target, gone.order())
		mustWrite(t, w, target, stranger.order(gone))
	})
	add(signature.Foreign, raw(func(signature.Target) ([]v1.Descriptor, [][]byte) { return nil, nil }))
	add(signature.Foreign, raw(func(target signature.Target) ([]v1.Descriptor, [][]byte) { // lost
		return []v1.Descriptor{gone.annotated(t, plain(target))}, nil
	}))
	add(signature.Foreign, func(target signature.Target) { f.put(t, tagOf(t, target), []byte("{")) })
	add(signature.Foreign, func(target signature.Target) {
		f.put(t, tagOf(t, target), []byte(strings.Repeat(" ", signature.MaxManifest+1)))
	})
	for _, tag := range []string{"latest", "sha256-abc.sig", "sha256-" + strings.Repeat("a", 64), "sha256-" + strings.Repeat("a", 64) + ".att", "sha512-" + strings.Repeat("a", 64) + ".sig"} {
		f.put(t, repo.Tag(tag), encode(t, gone.annotated(t, []byte("x"))))
	}
	before := len(f.tags("/v2/app/tags/list"))

	for _, dry := range []bool{true, false} {
		got := map[string]signature.Verdict{}
		collector := &signature.Collector{Client: c, Live: publics(live), Retired: publics(retired), Gone: below(3), DryRun: dry, Found: func(f signature.Found) {
			got[f.Tag.TagStr()] = f.Verdict
			if f.Err != nil || f.Deleted != (f.Verdict == signature.Dead && !dry) {
				t.Errorf("%+v", f)
			}
		}}
		f.asked()
		counts, err := collector.Collect(t.Context(), repo)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%v\n%v\n%v", err, got, want)
		}
		deleted := 6
		if dry {
			deleted = 0
		}
		if counts.Dead != 6 || counts.Alive != 2 || counts.Foreign != 7 || counts.Deleted != deleted || counts.Errs != nil {
			t.Errorf("%+v", counts)
		}
		if n := count(f.asked(), "DELETE"); n != deleted {
			t.Errorf("there were %d deletions", n)
		}
		if after := len(f.tags("/v2/app/tags/list")); after != before-deleted {
			t.Errorf("of %d tags %d are left", before, after)
		}
	}
}

func TestASignatureThatIsReplacedMeanwhileIsNotDeleted(t *testing.T) {
	f, c := newFront(t), newClient(t)
	gone, live := newSigner(t, "images/1"), newSigner(t, "images/2")
	target := signature.Target{Image: image(f.repo(t, "app"), 1)}
	w := &signature.Legacy{Client: c}
	mustWrite(t, w, target, gone.order())
	var once sync.Once
	f.breaks(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodDelete {
			once.Do(func() { mustWriteQuietly(t, w, target, live.order()) })
		}
		return false
	})
	if counts, err := (&signature.Collector{Client: c, Live: publics(live), Gone: below(2)}).Collect(t.Context(), target.Image.Context()); err != nil || counts.Dead != 1 {
		t.Fatalf("%+v, %v", counts, err)
	}
	if r := mustRead(t, c, target, live.public); !r.Signed() {
		t.Error(r.Err())
	}
}

func TestARegistryThatDoesNotDeleteIsSaidOnce(t *testing.T) {
	for status, body := range map[int]string{405: "", 400: `{"errors":[{"code":"UNSUPPORTED","message":"The operation is unsupported."}]}`} {
		f, c := newFront(t), newClient(t)
		gone, live := newSigner(t, "images/1"), newSigner(t, "images/2")
		w := &signature.Legacy{Client: c}
		for i := range 50 {
			mustWrite(t, w, signature.Target{Image: image(f.repo(t, "app"), i)}, gone.order())
		}
		f.breaks(answers(-1, http.MethodDelete, "/", status, nil, body))
		f.asked()
		_, err := (&signature.Collector{Client: c, Live: publics(live), Gone: below(2)}).Collect(t.Context(), f.repo(t, "app"))
		if n := count(f.asked(), "DELETE"); !errors.Is(err, signature.ErrDeleteUnsupported) || n > 4 {
			t.Errorf("%d: %v after %d deletions", status, err, n)
		}
	}
}

func TestNothingIsCollectedOnDoubt(t *testing.T) {
	f, c := newFront(t), newClient(t)
	gone, live := newSigner(t, "images/1"), newSigner(t, "images/2")
	target := signature.Target{Image: image(f.repo(t, "app"), 1)}
	mustWrite(t, &signature.Legacy{Client: c}, target, gone.order())
	for name, collector := range map[string]*signature.Collector{
		"no keys count":       {Client: c, Gone: below(2)},
		"nobody says of keys": {Client: c, Live: publics(live)},
	} {
		if _, err := collector.Collect(t.Context(), target.Image.Context()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	collector := &signature.Collector{Client: c, Live: publics(live), Gone: below(2)}
	for _, path := range []string{"/blobs/", "/manifests/"} {
		f.breaks(answers(-1, http.MethodGet, path, 500, nil, ""))
		if counts, err := collector.Collect(t.Context(), target.Image.Context()); err != nil || counts.Undecided != 1 || len(counts.Errs) != 1 || counts.Deleted != 0 {
			t.Errorf("%s: %+v, %v", path, counts, err)
		}
	}
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"500":                     answers(-1, http.MethodGet, "/tags/list", 500, nil, ""),
		"no JSON":                 answers(-1, http.MethodGet, "/tags/list", 200, nil, "<html>"),
		"the same page for ever":  answers(-1, http.MethodGet, "/tags/list", 200, map[string]string{"Link": `</v2/app/tags/list?last=a>; rel="next"`}, `{"tags":[]}`),
		"a page elsewhere":        answers(-1, http.MethodGet, "/tags/list", 200, map[string]string{"Link": `<http://127.0.0.1:1/v2/app/tags/list?last=a>; rel="next"`}, `{"tags":[]}`),
		"a page of another repo":  answers(-1, http.MethodGet, "/tags/list", 200, map[string]string{"Link": `</v2/other/tags/list?last=a>; rel="next"`}, `{"tags":[]}`),
		"a link that is not one":  answers(-1, http.MethodGet, "/tags/list", 200, map[string]string{"Link": `next`}, `{"tags":[]}`),
		"more than a page can be": answers(-1, http.MethodGet, "/tags/list", 200, nil, strings.Repeat(" ", 17<<20)),
	} {
		f.breaks(fault)
		if counts, err := collector.Collect(t.Context(), target.Image.Context()); err == nil || counts.Deleted != 0 {
			t.Errorf("%s: %+v, %v", name, counts, err)
		}
	}
	f.breaks(nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := collector.Collect(ctx, target.Image.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if counts, err := collector.Collect(t.Context(), f.repo(t, "nothing/there")); err != nil || counts.Dead != 0 {
		t.Errorf("a repository that is not there: %+v, %v", counts, err)
	}
	if f.manifest(t, tagOf(t, target)) == nil {
		t.Error("it is deleted")
	}
}
