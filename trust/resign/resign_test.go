package resign_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-telemetry/holdfast/trust/inventory"
	"github.com/holdfast-telemetry/holdfast/trust/resign"
	"github.com/holdfast-telemetry/holdfast/trust/state"
)

// record is what the instances share.
func (w *world) record() (rec resign.Record) {
	w.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, "resign.json"))
	if err == nil {
		err = json.Unmarshal(text, &rec)
	}
	if err != nil {
		w.Fatal(err)
	}
	return rec
}

// page is what an instance shows.
func (w *world) page(j *resign.Job) (page struct {
	Record   resign.Record
	Deployed resign.View
}) {
	w.Helper()
	answer := httptest.NewRecorder()
	j.ServeHTTP(answer, httptest.NewRequest("GET", "/v1/resign", nil))
	if err := json.Unmarshal(answer.Body.Bytes(), &page); err != nil {
		w.Fatal(err)
	}
	return page
}

func TestWhatIsToGoOnRunningIsSignedAgainByEachKey(t *testing.T) {
	w := newWorld(t)
	theirs, expired := w.upstream.image(t, "library/redis"), w.upstream.image(t, "library/old")
	w.list(entry(strings.Replace(theirs, "@", ":7@", 1)), strings.Replace(entry(expired), "2027-01-31", "2026-02-28", 1))
	merged, commented := w.own.image(t, "app/merged"), w.own.image(t, "app/merged")
	running, never, foreign := w.own.image(t, "app/running"), w.own.image(t, "app/never"), w.own.image(t, "elsewhere/x")
	theirOther := w.upstream.image(t, "library/unknown")
	w.write("git/apps/web.yaml", "spec:\n  image: "+merged+"\n  # image: "+commented+"\n  init: "+theirOther+"\n")
	for _, image := range []string{theirs, running, never, foreign, theirOther} {
		w.runs[image] = "default/" + strings.Split(image, "/")[2][:3]
	}
	w.sign(running)
	j := w.job("one")
	check := func(signs string) {
		t.Helper()
		err := j.Step(t.Context())
		if err == nil || !strings.Contains(err.Error(), "expired on 2026-02-28") {
			t.Errorf("the expired entry: %v", err)
		}
		for image, want := range map[string]string{merged: signs, commented: "none", running: signs, never: "none", foreign: "none"} {
			if got := w.by(image); got != want {
				t.Errorf("%s is signed by %s, and not by %s", image, got, want)
			}
		}
		for image, want := range map[string]string{theirs: signs, expired: "none", theirOther: "none"} {
			if got := w.by(image, w.repository("signatures")); got != want {
				t.Errorf("%s is signed by %s, and not by %s", image, got, want)
			}
		}
		verdicts := map[string]string{}
		for _, i := range w.page(j).Deployed.Images {
			verdicts[i.Image] = i.Verdict + " " + i.Key
		}
		for image, want := range map[string]string{theirs: "admitted " + signs, running: "admitted " + signs, never: "refused ", foreign: "refused ", theirOther: "refused "} {
			if verdicts[image] != want {
				t.Errorf("%s is %q, and not %q", image, verdicts[image], want)
			}
		}
		if n := w.upstream.asked(); n != 0 {
			t.Errorf("the registry of others was asked %d times", n)
		}
	}
	check("images/1")
	// Nothing is due, until another key signs. Then it is at once, long before the interval is over and the old key ends.
	before := w.own.asked()
	w.pass(j.Retry / 2)
	if err := j.Step(t.Context()); err != nil || w.own.asked() != before {
		t.Errorf("nothing is due, and there were %d requests, %v", w.own.asked()-before, err)
	}
	w.rotate()
	check("images/2")
}

// A signature by the key that signs counts until the key ends, however old it is: a pass that finds one writes nothing.
func TestAPassWritesNothingWhereTheKeyHasSigned(t *testing.T) {
	w := newWorld(t)
	w.list(entry(w.upstream.image(t, "library/redis")))
	w.write("git/a.yaml", w.own.image(t, "app/a"))
	j := w.job("one")
	for i, want := range []resign.Progress{{Total: 2, Written: 2}, {Total: 2, Fresh: 2}} {
		if err := j.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := w.record().Progress; got != want {
			t.Errorf("pass %d: %+v", i, got)
		}
		w.pass(j.Every)
	}
}

func TestOneOfTwoInstancesWorks(t *testing.T) {
	w := newWorld(t)
	one, two := w.job("one"), w.job("two")
	reading, goOn := make(chan struct{}), make(chan struct{})
	one.Places = []resign.Place{{Name: "slow", Read: func(context.Context) (*inventory.Deployed, error) {
		close(reading)
		<-goOn
		return &inventory.Deployed{}, nil
	}}}
	two.Places = []resign.Place{{Name: "never", Read: func(context.Context) (*inventory.Deployed, error) {
		t.Error("both work")
		return nil, nil
	}}}
	w.list(entry(w.upstream.image(t, "library/redis")))
	var working sync.WaitGroup
	working.Go(func() {
		if err := one.Step(t.Context()); err != nil {
			t.Error(err)
		}
	})
	<-reading
	if err := two.Step(t.Context()); err != nil {
		t.Error(err)
	}
	close(goOn)
	working.Wait()
	if err := two.Step(t.Context()); err != nil {
		t.Error(err)
	}
	if rec := w.record(); rec.Holder != "one" || !rec.Until.IsZero() || rec.Good.IsZero() {
		t.Errorf("the record is %+v", rec)
	}
}

func TestAnotherInstanceGoesOnWhereOneWasKilled(t *testing.T) {
	w := newWorld(t)
	w.list(entry(w.upstream.image(t, "library/redis")))
	j := w.job("two")
	text, err := json.Marshal(resign.Record{Holder: "one", Until: w.now().Add(j.Lease), Began: w.now()})
	if err != nil {
		t.Fatal(err)
	}
	w.write("resign.json", string(text))
	if err := j.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rec := w.record(); rec.Holder != "one" {
		t.Errorf("it did not wait: %+v", rec)
	}
	w.pass(j.Lease)
	if err := j.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rec := w.record(); rec.Holder != "two" || rec.Progress.Written != 1 {
		t.Errorf("it did not go on: %+v", rec)
	}
}

func TestAnInstanceWhoseLeaseAnotherHasStops(t *testing.T) {
	w := newWorld(t)
	j := w.job("one")
	j.Lease = 30 * time.Millisecond
	j.Places = []resign.Place{{Name: "slow", Read: func(ctx context.Context) (*inventory.Deployed, error) {
		store := &state.File{Path: filepath.Join(w.dir, "resign.json")}
		for { // another instance takes the lease
			_, at, err := store.Load(ctx)
			if err != nil {
				return nil, err
			}
			if _, err = store.Save(ctx, []byte(`{"holder":"two","progress":{}}`), at); err == nil {
				break
			}
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}}}
	w.write("git/a.yaml", w.own.image(t, "app/a"))
	before := w.own.asked()
	if err := j.Step(t.Context()); err == nil || !strings.Contains(err.Error(), "another process has begun") {
		t.Errorf("it ended with %v", err)
	}
	if w.own.asked() != before || w.record().Holder != "two" {
		t.Errorf("it went on, with %d requests, and the record is %+v", w.own.asked()-before, w.record())
	}
}

func TestAPassThatIsStoppedIsBegunAgain(t *testing.T) {
	w := newWorld(t)
	j := w.job("one")
	ctx, cancel := context.WithCancel(t.Context())
	places := j.Places
	j.Places = []resign.Place{{Name: "stopping", Read: func(context.Context) (*inventory.Deployed, error) {
		cancel()
		return &inventory.Deployed{}, nil
	}}}
	w.list(entry(w.upstream.image(t, "library/redis")))
	if err := j.Step(ctx); err == nil {
		t.Error("a pass that was stopped has no error")
	}
	after := w.job("after a restart")
	after.Places = places
	if err := after.Step(t.Context()); err != nil || w.record().Progress.Written != 1 {
		t.Errorf("after the restart: %+v, %v", w.record(), err)
	}
}

func TestWhatFailsIsTriedAgainSoonAndHoldsUpNothing(t *testing.T) {
	w := newWorld(t)
	good, bad := w.own.image(t, "app/good"), w.own.image(t, "app/bad")
	w.write("git/all.txt", good+"\n"+bad+"\n")
	w.own.breaks("/app/bad/")
	j := w.job("one")
	err := j.Step(t.Context())
	if err == nil || !strings.Contains(err.Error(), "1 of 2 images were not signed again; the first: "+bad) {
		t.Errorf("the error is %v", err)
	}
	if got := w.by(good); got != "images/1" {
		t.Errorf("the other is signed by %s", got)
	}
	rec := w.record()
	if rec.Tries != 1 || !rec.Good.IsZero() || !strings.Contains(rec.Problem, bad) {
		t.Errorf("the record is %+v", rec)
	}
	w.own.breaks("")
	w.pass(j.Retry)
	if err := j.Step(t.Context()); err != nil {
		t.Error(err)
	}
	if rec := w.record(); rec.Tries != 0 || rec.Good.IsZero() || rec.Problem != "" || w.by(bad) != "images/1" {
		t.Errorf("the record is %+v, and the image is signed by %s", rec, w.by(bad))
	}
}

func TestWhatAClusterRanIsSignedAgainWhileItIsAway(t *testing.T) {
	w := newWorld(t)
	image := w.own.image(t, "app/a")
	w.runs[image] = "default/a"
	w.sign(image)
	j := w.job("one")
	if err := j.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.away = true
	w.rotate()
	if err := j.Step(t.Context()); err == nil || !strings.Contains(err.Error(), "what runs in cluster: the cluster is away") {
		t.Errorf("the error is %v", err)
	}
	if got := w.by(image); got != "images/2" {
		t.Errorf("it is signed by %s", got)
	}
	// An image that has left is not signed any more.
	w.away = false
	delete(w.runs, image)
	w.pass(j.Every)
	if err := j.Step(t.Context()); err != nil {
		t.Error(err)
	}
	w.rotate()
	if err := j.Step(t.Context()); err != nil {
		t.Error(err)
	}
	if got := w.by(image); got != "images/2" {
		t.Errorf("an image that has left is signed by %s", got)
	}
}

// What a revoked key signed is not signed again because it runs: that is for a person to decide.
func TestWhatARevokedKeySignedIsNotSignedAgainByItself(t *testing.T) {
	w := newWorld(t)
	image := w.own.image(t, "app/a")
	w.runs[image] = "default/a"
	w.sign(image)
	rec, err := w.rotation.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.rotation.Revoke(t.Context(), rec.Active().ID); err != nil {
		t.Fatal(err)
	}
	j := w.job("one")
	if err := j.Step(t.Context()); err != nil {
		t.Error(err)
	}
	if got := w.by(image); got != "none" || w.record().Progress.Lapsed != 1 {
		t.Errorf("it is signed by %s: %+v", got, w.record())
	}
}

func TestTheMetricsSayWhatEndsBeforeItDoes(t *testing.T) {
	w := newWorld(t)
	soon, gone, unseen := w.own.image(t, "app/soon"), w.own.image(t, "app/gone"), w.own.image(t, "app/unseen")
	w.runs[soon], w.runs[gone], w.runs[unseen] = "default/soon", "default/gone", "kube-system/unseen"
	w.sign(soon)
	j := w.job("one")
	registry := prometheus.NewRegistry()
	j.Register(registry)
	if err := j.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	ends := w.step().Active().NotAfter
	values := func() map[string]float64 {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]float64{}
		for _, f := range families {
			for _, m := range f.Metric {
				name := strings.TrimPrefix(f.GetName(), "holdfast_trust_")
				for _, l := range m.Label {
					name += " " + l.GetValue()
				}
				all[name] = m.Gauge.GetValue()
			}
		}
		return all
	}
	for _, c := range []struct {
		left time.Duration
		want []float64 // within 1h, 6h, 24h, 7d
	}{{time.Minute, []float64{1, 1, 1, 1}}, {5 * time.Hour, []float64{0, 1, 1, 1}}, {23 * time.Hour, []float64{0, 0, 1, 1}}, {25 * time.Hour, []float64{0, 0, 0, 1}}, {8 * 24 * time.Hour, []float64{0, 0, 0, 0}}} {
		left, want := c.left, c.want
		w.mu.Lock()
		w.clock = ends.Add(-left)
		w.mu.Unlock()
		got := values()
		if all := []float64{got["deployed_images_ending 1h"], got["deployed_images_ending 6h"], got["deployed_images_ending 24h"], got["deployed_images_ending 7d"]}; !slices.Equal(all, want) {
			t.Errorf("%v before the end: %v, and not %v", left, all, want)
		}
	}
	got := values()
	for name, want := range map[string]float64{"deployed_images admitted": 1, "deployed_images refused": 1, "deployed_images unknown": 0, "deployed_images exempt": 1, "deployed_images_unpinned": 1,
		"deployed_images_first_end_timestamp_seconds": float64(ends.Unix()), "resign_interval_seconds": j.Every.Seconds(), "resign_images lapsed": 2, "resign_images left": 0, "resign_failed_passes": 0} {
		if v, there := got[name]; !there || v != want {
			t.Errorf("%s is %v, and not %v", name, v, want)
		}
	}
	// Another instance looks, and this one says nothing old.
	w.pass(j.Every)
	if err := w.job("two").Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := j.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, there := values()["deployed_images admitted"]; there {
		t.Error("it still says what it saw")
	}
}
