//go:build e2e

package trust_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/holdfast-telemetry/holdfast/e2e/trust"
	"github.com/holdfast-telemetry/holdfast/e2e/trust/watch"
	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/rotation"
)

// quick are times in which keys change every 24 seconds. The slack is what a busy machine may need to bring a policy into force.
var quick = rotation.Timing{Active: 24 * time.Second, Lifetime: 45 * time.Second, Poll: poll, Slack: 8 * time.Second, Resign: 6 * time.Second, List: 20 * time.Second}

// rotating has a service rotate quickly.
func rotating(s *service) {
	s.bin, s.env = watch.Faulty(s.Context(), s), []string{watch.Timing(s, quick)}
}

// refusedByName is what a check wants when the image webhook must say no, and name the image and the policy.
func (s *service) refusedByName(t *testing.T, image name.Digest) func() error {
	return func() error {
		err := refused(t, s.namespace, image.String(), s.policy)()
		if err == nil {
			err = refused(t, s.namespace, image.String(), image.String())()
		}
		return err
	}
}

// manifest returns the signatures of an image as the registry has them.
func (s *service) manifest(t *testing.T, image name.Digest) *remote.Descriptor {
	t.Helper()
	d, err := remote.Get(watch.SignatureTag(image), s.registry.Options(t.Context())...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// put makes a manifest that the registry has be the signatures of an image.
func (s *service) put(t *testing.T, image name.Digest, m remote.Taggable) {
	t.Helper()
	if err := remote.Put(watch.SignatureTag(image), m, s.registry.Options(t.Context())...); err != nil {
		t.Fatal(err)
	}
}

// deployments are what is deployed all the time while keys change.
type deployments struct {
	*service
	t     *testing.T
	token string
	kept  []name.Digest // signed at first, and again and again since
	left  *watch.Signed // signed at first only

	mu       sync.Mutex
	signed   []watch.Signed
	admitted int
	wrong    []string // signatures that were not made, and deployments that were refused or admitted wrongly
}

func (d *deployments) fail(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wrong = append(d.wrong, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// sign signs an image that is new.
func (d *deployments) sign(ctx context.Context, image name.Digest) *watch.Signed {
	signed, err := watch.Sign(ctx, d.url, d.token, image)
	if err != nil {
		if ctx.Err() == nil {
			d.fail("signing %s: %v", image, err)
		}
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.signed = append(d.signed, *signed)
	return signed
}

// admit deploys an image, which must be admitted.
func (d *deployments) admit(ctx context.Context, what string, image name.Digest) {
	err := controller.Admit(ctx, d.namespace, image.String())
	if err != nil && ctx.Err() == nil {
		d.fail("deploying what was %s: %v", what, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.admitted++
}

// once pushes, signs and deploys an image, and deploys those from before.
func (d *deployments) once(ctx context.Context) {
	image, err := d.registry.TryPush(ctx, "app/web")
	if err != nil && ctx.Err() == nil {
		d.fail("pushing: %v", err)
	}
	if err != nil {
		return
	}
	if signed := d.sign(ctx, image); signed != nil {
		d.admit(ctx, "signed just now by "+signed.By.String(), image)
	}
	for _, image := range d.kept {
		d.admit(ctx, "signed again and again", image)
	}
	// What was signed once only counts until its key ends, to the second.
	began := time.Now()
	err = controller.Admit(ctx, d.namespace, d.left.Image.String())
	switch ended := time.Now(); {
	case ctx.Err() != nil:
	case err != nil && ended.Before(d.left.NotAfter):
		d.fail("deploying what counts until %v: %v", d.left.NotAfter, err)
	case err == nil && began.After(d.left.NotAfter):
		d.fail("what counts until %v was admitted", d.left.NotAfter)
	}
}

// run goes on until it is told to end.
func (d *deployments) run() (end func()) {
	ctx, cancel := context.WithCancel(d.t.Context())
	var running sync.WaitGroup
	loop := func(every time.Duration, do func()) {
		running.Go(func() {
			for tick := time.NewTicker(every); ctx.Err() == nil; {
				do()
				select {
				case <-ctx.Done():
				case <-tick.C:
				}
			}
		})
	}
	loop(500*time.Millisecond, func() { d.once(ctx) })
	loop(quick.Resign-2*time.Second, func() { // as the job does that re-signs
		for _, image := range d.kept {
			d.sign(ctx, image)
		}
	})
	return sync.OnceFunc(func() { cancel(); running.Wait() })
}

// TestKeysRotateOnScheduleAndNoDeploymentIsRefusedForIt goes through three rotations while images are signed and deployed all the time.
func TestKeysRotateOnScheduleAndNoDeploymentIsRefusedForIt(t *testing.T) {
	s := startService(t, "", rotating)
	lists := watch.WatchLists(t, s.url)
	d := &deployments{service: s, t: t, token: s.read("token")}
	for range 3 {
		d.kept = append(d.kept, s.push("app/kept"))
		d.sign(t.Context(), d.kept[len(d.kept)-1])
	}
	replayed := d.kept[0]
	first := s.manifest(t, replayed)
	if d.left = d.sign(t.Context(), s.push("app/left")); d.left == nil {
		t.Fatal(d.wrong)
	}
	within(t, soon, admitted(t, s.namespace, d.left.Image.String()))
	end := d.run()
	defer end()
	within(t, 5*time.Minute, func() error {
		if got := lists.States(); !strings.Contains(got, "4 active") || strings.Contains(got, "1 ") {
			return fmt.Errorf("the keys are %s", got)
		}
		return nil
	})
	time.Sleep(quick.Resign) // that long what was signed by the key before must be admitted still
	end()
	for _, wrong := range d.wrong {
		t.Error(wrong)
	}
	t.Logf("%d lists, %d signatures, %d deployments admitted", lists.Count(), len(d.signed), d.admitted)
	if err := lists.Early(d.signed, quick.Lead()); err != nil {
		t.Error(err)
	}
	slices.SortFunc(d.signed, func(a, b watch.Signed) int { return a.Answered.Compare(b.Answered) })
	if by := signedBy(d.signed); !slices.Equal(by, []int{1, 2, 3, 4}) {
		t.Errorf("images were signed by the versions %v", by)
	}
	public, err := key.ParsePEM([]byte(s.read("pin.pem")))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(lists.Check(public), lists.Unlisted()); err != nil {
		t.Error(err)
	}
	// An old signature that somebody kept counts no more.
	if err := controller.Admit(t.Context(), s.namespace, replayed.String()); err != nil {
		t.Error(err)
	}
	s.put(t, replayed, first)
	for what, image := range map[string]name.Digest{"an image that was signed by the first key only": d.left.Image, "an image whose first signature was put back": replayed} {
		if err := s.refusedByName(t, image)(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// signedBy are the versions that signed, in the order in which they did. Two that sign at the same moment as a key changes may be told of in either order.
func signedBy(signed []watch.Signed) (versions []int) {
	for _, s := range signed {
		if !slices.Contains(versions, s.By.Version) {
			versions = append(versions, s.By.Version)
		}
	}
	return versions
}

func TestASignatureThatWasTamperedWithIsRefusedByName(t *testing.T) {
	s := startService(t, "")
	signed, other, changed := s.push("app/web"), s.push("app/web"), s.push("app/web")
	s.sign(signed.String(), changed.String())
	within(t, soon, admitted(t, s.namespace, signed.String()))
	within(t, soon, admitted(t, s.namespace, changed.String()))
	// The signatures of one image are put where those of another are looked for.
	s.put(t, other, s.manifest(t, signed))
	if err := s.refusedByName(t, other)(); err != nil {
		t.Errorf("an image with another's signature: %v", err)
	}
	// What is signed is changed to be about another image, and the signature is left as it is.
	forged, err := forge(s.manifest(t, changed), changed.DigestStr(), other.DigestStr())
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(watch.SignatureTag(other), forged, s.registry.Options(t.Context())...); err != nil {
		t.Fatal(err)
	}
	if err := s.refusedByName(t, other)(); err != nil {
		t.Errorf("an image with a forged payload: %v", err)
	}
	// The image is changed, under the name that was signed.
	tag := signed.Context().Tag("release")
	image, err := remote.Image(signed, s.registry.Options(t.Context())...)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, image, s.registry.Options(t.Context())...); err != nil {
		t.Fatal(err)
	}
	if err := controller.Admit(t.Context(), s.namespace, tag.String()); err != nil {
		t.Errorf("the tag of a signed image: %v", err)
	}
	altered, err := alter(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, altered, s.registry.Options(t.Context())...); err != nil {
		t.Fatal(err)
	}
	digest, err := altered.Digest()
	if err != nil {
		t.Fatal(err)
	}
	for _, reference := range []string{tag.String(), tag.Digest(digest.String()).String()} {
		if err := refused(t, s.namespace, reference, s.policy)(); err != nil {
			t.Errorf("the changed image as %s: %v", reference, err)
		}
		if err := refused(t, s.namespace, reference, digest.String())(); err != nil {
			t.Errorf("the changed image as %s: %v", reference, err)
		}
	}
	if err := controller.Admit(t.Context(), s.namespace, signed.String()); err != nil {
		t.Errorf("the signed image by its digest: %v", err)
	}
}

// TestAKeyEndsInTheClusterAlsoWhenItsAgentIsGone has nobody tell the cluster that a key's time is over.
func TestAKeyEndsInTheClusterAlsoWhenItsAgentIsGone(t *testing.T) {
	e := newEndpoint(t)
	registry := trust.StartRegistry(t.Context(), t, trust.RegistryOptions{})
	namespace := cluster.Namespace(t, nil)
	image := registry.Push(t.Context(), t, "app/web")
	signBy(t, e.image, key.ID{Name: "images", Version: 1}, image)
	l := e.list()
	l.Keys[0].NotAfter = l.Issued.Add(30 * time.Second)
	e.give(e.seal(l, e.listKey))
	a := startAgent(t, e, registry.Host)
	a.says("OK")
	within(t, soon, admitted(t, namespace, image.String()))
	a.program.Kill()
	before := a.generation()
	for {
		began := time.Now()
		err := controller.Admit(t.Context(), namespace, image.String())
		if began.After(l.Keys[0].NotAfter) {
			break
		}
		if err != nil && time.Now().Before(l.Keys[0].NotAfter) {
			t.Fatalf("before the key's end: %v", err)
		}
		time.Sleep(200 * time.Millisecond)
	}
	for _, words := range []string{image.String(), a.policy} {
		if err := refused(t, namespace, image.String(), words)(); err != nil {
			t.Error(err)
		}
	}
	if now := a.generation(); now != before {
		t.Errorf("the policy was changed %d times", now-before)
	}
}
