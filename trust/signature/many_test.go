package signature_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"

	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/signature"
)

func targets(t testing.TB, f *front, n int) (all []signature.Target) {
	for i := range n {
		all = append(all, signature.Target{Image: image(f.repo(t, "upstream/app"), i), Into: f.repo(t, "third-party")})
	}
	return all
}

func TestManyImagesAreSignedWithFewCallsToTheKeyStore(t *testing.T) {
	const n = 300
	f, c := newFront(t), newClient(t)
	k := newSigner(t, "images/1")
	var seen []signature.Progress
	many := &signature.Many{Writer: &signature.Legacy{Client: c}, Linger: 50 * time.Millisecond, Progress: func(p signature.Progress) { seen = append(seen, p) }}
	all := targets(t, f, n)
	outcomes, err := many.Sign(t.Context(), all, k.order())
	if err != nil || len(outcomes) != n {
		t.Fatal(err)
	}
	hashes := 0
	for _, c := range k.calls {
		hashes += c
	}
	if hashes != n || len(k.calls) > n/4 {
		t.Errorf("%d hashes in %d calls", hashes, len(k.calls))
	}
	if len(seen) != n {
		t.Fatalf("%d steps of progress", len(seen))
	}
	for i, p := range seen {
		if p.Done() != i+1 || p.Total != n || p.Failed != 0 || p.Last.Err != nil {
			t.Fatalf("step %d is %+v", i, p)
		}
	}
	for i, o := range outcomes {
		if o.Target != all[i] || !o.Result.Written {
			t.Fatalf("outcome %d is %+v", i, o)
		}
	}
	for _, target := range []signature.Target{all[0], all[n/2], all[n-1]} {
		if r := mustRead(t, c, target, k.public); !r.Signed() {
			t.Error(r.Err())
		}
	}
}

func TestASignatureTakesTwoRequestsAndOneMoreToKeepWhatCounts(t *testing.T) {
	const n = 50
	f, c := newFront(t), newClient(t)
	old, k := newSigner(t, "images/1"), newSigner(t, "images/2")
	all := targets(t, f, n)
	many := &signature.Many{Writer: &signature.Legacy{Client: c}, Workers: 4}
	per := func(what string, order signature.Order, most int) {
		t.Helper()
		f.asked()
		before := c.Requests()
		if _, err := many.Sign(t.Context(), all, order); err != nil {
			t.Fatal(err)
		}
		asked := len(f.asked())
		t.Logf("%s: %.2f requests a signature, as the client counts %.2f", what, float64(asked)/n, float64(c.Requests()-before)/n)
		if asked > most {
			t.Errorf("%s: %d requests for %d signatures", what, asked, n)
		}
	}
	per("the first, nothing to look for", old.order(), 2*n+1+4)        // one ping, and the configuration, by up to all workers
	per("rotation, keeping the old key's", k.order(old), 3*n+4)        // another configuration
	per("again, by a key whose predecessor counts", k.order(old), 3*n) // nothing but look, upload, write
	fresh := k.order(old)
	fresh.Fresh = time.Hour
	per("fresh", fresh, n)

	f.asked()
	pusher, err := remote.NewPusher()
	if err != nil {
		t.Fatal(err)
	}
	for i, target := range all {
		img, err := mutate.Append(empty.Image, mutate.Addendum{Layer: static.NewLayer([]byte(fmt.Sprint(i)), signature.PayloadMediaType)})
		if err != nil {
			t.Fatal(err)
		}
		if err := pusher.Push(t.Context(), f.repo(t, "other").Tag(tagOf(t, target).TagStr()), img); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("the registry library's pusher: %.2f", float64(len(f.asked()))/n)
}

func TestFailuresDoNotStopTheOthers(t *testing.T) {
	f, c := newFront(t), newClient(t)
	k := newSigner(t, "images/1")
	all := targets(t, f, 40)
	refused := tagOf(t, all[7]).TagStr()
	all[21].Image = all[21].Image.Context().Digest("sha256:no")
	f.breaks(answers(-1, http.MethodPut, refused, 403, nil, `{"errors":[{"code":"DENIED"}]}`))
	var last signature.Progress
	outcomes, err := (&signature.Many{Writer: &signature.Legacy{Client: c}, Progress: func(p signature.Progress) { last = p }}).Sign(t.Context(), all, k.order())
	var failures *signature.Failures
	var e *signature.Error
	if !errors.As(err, &failures) || len(failures.Failed) != 2 || failures.Failed[0].Target != all[7] || failures.Failed[1].Target != all[21] || !errors.As(err, &e) || e.Status != 403 {
		t.Errorf("%v", err)
	}
	if last.Written != 38 || last.Failed != 2 || last.Done() != 40 {
		t.Errorf("%+v", last)
	}
	for i, o := range outcomes {
		if (o.Err != nil) != (i == 7 || i == 21) {
			t.Errorf("%d: %v", i, o.Err)
		}
	}
}

func TestAFloodOfRefusalsEndsWithEverySignature(t *testing.T) {
	f := newFront(t)
	c := newClient(t, func(o *signature.Options) { o.Attempts = 20 })
	k := newSigner(t, "images/1")
	var refused atomic.Int32
	f.breaks(func(w http.ResponseWriter, r *http.Request) bool {
		switch rand.IntN(10) {
		case 0:
			w.WriteHeader(http.StatusTooManyRequests)
		case 1:
			w.WriteHeader(http.StatusBadGateway)
		case 2:
			refused.Add(1)
			panic(http.ErrAbortHandler)
		default:
			return false
		}
		refused.Add(1)
		return true
	})
	all := targets(t, f, 100)
	if _, err := (&signature.Many{Writer: &signature.Legacy{Client: c}}).Sign(t.Context(), all, k.order()); err != nil {
		t.Fatal(err)
	}
	f.breaks(nil)
	for _, target := range all {
		if r := mustRead(t, c, target, k.public); !r.Signed() || len(r.Layers) != 1 {
			t.Error(r.Err())
		}
	}
	if refused.Load() == 0 {
		t.Error("nothing was refused")
	}
}

func TestTwoRunsOverTheSameImagesDoNotWaitForEachOtherForEver(t *testing.T) {
	f, c := newFront(t), newClient(t)
	old, k := newSigner(t, "images/1"), newSigner(t, "images/2")
	all := targets(t, f, 60)
	back := slices.Clone(all)
	slices.Reverse(back)
	both := append(slices.Clone(all), back...)
	var wg sync.WaitGroup
	for i, list := range [][]signature.Target{all, back, both} {
		wg.Go(func() {
			order := k.order(old)
			if i == 1 {
				order = old.order(k)
			}
			if _, err := (&signature.Many{Writer: &signature.Legacy{Client: c}, Workers: 8}).Sign(t.Context(), list, order); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := signature.WritingNow(); n != 0 {
		t.Errorf("%d locks are left", n)
	}
}

func TestWhatIsLeftWhenTheCallerGivesUpFails(t *testing.T) {
	f, c := newFront(t), newClient(t)
	k := newSigner(t, "images/1")
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	outcomes, err := (&signature.Many{Writer: &signature.Legacy{Client: c}, Workers: 2, Progress: func(p signature.Progress) {
		if p.Done() == 5 {
			cancel(why)
		}
	}}).Sign(ctx, targets(t, f, 50), k.order())
	var failures *signature.Failures
	if !errors.As(err, &failures) || !errors.Is(err, why) || len(outcomes) != 50 || len(failures.Failed) < 40 {
		t.Errorf("%v", err)
	}
}

func TestAKeyStoreThatFailsOrHangsFailsItsImages(t *testing.T) {
	f, c := newFront(t), newClient(t)
	k := newSigner(t, "images/1")
	for name, sign := range map[string]signature.Signer{
		"an error": func(context.Context, []key.Hash) ([][]byte, error) { return nil, key.ErrNoVersion },
		"too few":  func(context.Context, []key.Hash) ([][]byte, error) { return [][]byte{}, nil },
		"a hang": func(ctx context.Context, _ []key.Hash) ([][]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
		"none": nil,
	} {
		order := k.order()
		order.Sign = sign
		_, err := (&signature.Many{Writer: &signature.Legacy{Client: c}, SignTimeout: 20 * time.Millisecond}).Sign(t.Context(), targets(t, f, 10), order)
		var failures *signature.Failures
		if !errors.As(err, &failures) || len(failures.Failed) != 10 {
			t.Errorf("%s: %v", name, err)
		}
		if name == "a hang" && !strings.Contains(err.Error(), "the key store did not sign within 20ms") {
			t.Errorf("%v", err)
		}
	}
	if asked := f.asked(); count(asked, "PUT") != 0 {
		t.Errorf("something was written: %q", asked)
	}
	if outcomes, err := (&signature.Many{}).Sign(t.Context(), nil, k.order()); outcomes != nil || err != nil {
		t.Errorf("no image: %v, %v", outcomes, err)
	}
}
