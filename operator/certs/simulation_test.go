package certs

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

// witness checks, after each write and at each moment it is asked, what the package promises.
type witness struct {
	*cluster
	settle  time.Duration
	replica *replica
	bundles []published
	leaves  []*x509.Certificate // all that were ever in the Secret
	cas     int                 // authorities that were ever first
	current []byte
}

type published struct {
	bundle []byte
	until  time.Time // zero: still
}

func newWitness(c *cluster, settle time.Duration) *witness {
	w := &witness{cluster: c, settle: settle, replica: newReplica(c.t, c.clock)}
	c.afterWrite = w.look
	return w
}

// look takes in what was written and checks.
func (w *witness) look() {
	now := w.clock()
	if secret := w.secret(); secret != nil && len(secret.Data) > 0 {
		if err := w.replica.serving.Update(secret); err != nil {
			w.t.Errorf("%s: the replica did not take the Secret: %v", now, err)
		}
		s := inspect(secret)
		if len(w.leaves) == 0 || !w.leaves[len(w.leaves)-1].Equal(s.leaf) {
			w.leaves = append(w.leaves, s.leaf)
		}
		if !bytes.Equal(w.current, s.cas[0].Raw) {
			w.current, w.cas = s.cas[0].Raw, w.cas+1
		}
	}
	if conf := w.webhooks(); conf != nil {
		bundle := conf.Webhooks[0].ClientConfig.CABundle
		last := len(w.bundles) - 1
		if last < 0 || !bytes.Equal(w.bundles[last].bundle, bundle) {
			if last >= 0 {
				w.bundles[last].until = now
			}
			w.bundles = append(w.bundles, published{bundle: bundle})
		}
	}
	w.check()
}

// check is the promise: each bundle that an API server may still work with verifies what is served, and each serving certificate that
// a replica left behind may still serve.
func (w *witness) check() {
	w.t.Helper()
	now := w.clock()
	for _, p := range w.bundles {
		if len(p.bundle) == 0 || !p.until.IsZero() && !p.until.After(now.Add(-w.settle)) {
			continue
		}
		if err := w.replica.call(p.bundle, now); err != nil {
			w.t.Fatalf("%s: a published bundle does not verify the served certificate: %v", now, err)
		}
		roots, err := decodeBundle(p.bundle)
		if err != nil {
			w.t.Fatalf("%s: published bundle: %v", now, err)
		}
		for _, leaf := range w.leaves {
			if now.After(leaf.NotAfter) {
				continue
			}
			if err := verify(leaf, roots, "holdfast-operator.holdfast-operator.svc", now); err != nil {
				w.t.Fatalf("%s: a published bundle does not verify a certificate that a replica may still serve: %v", now, err)
			}
		}
	}
}

func TestEveryPublishedBundleVerifiesWhatIsServed(t *testing.T) {
	const years = 3
	never := func(*rand.Rand) bool { return false }
	for _, test := range []struct {
		name  string
		lives func(*rand.Rand) int  // writes until the process dies
		late  bool                  // the process comes back at any time
		lost  func(*rand.Rand) bool // a write that does not arrive
	}{
		{"undisturbed", func(*rand.Rand) int { return -1 }, false, never},
		{"dies after every write", func(*rand.Rand) int { return 1 }, false, never},
		{"dies after every second write", func(*rand.Rand) int { return 2 }, false, never},
		{"dies at random, looks at random times", func(r *rand.Rand) int { return 1 + r.IntN(4) }, true, never},
		{"loses writes", func(*rand.Rand) int { return -1 }, false, func(r *rand.Rand) bool { return r.IntN(2) == 0 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(7, 11))
			c := newCluster(t)
			end := c.now.AddDate(years, 0, 0)
			r := c.restart(test.lives(random))
			w := newWitness(c, r.Settle)
			for c.clock().Before(end) {
				if test.lost(random) {
					c.beforeWrite = func() { c.mu.Lock(); c.dead = true; c.mu.Unlock() }
				}
				next, err := r.Ensure(context.Background())
				w.check()
				switch {
				case err == nil && test.late:
					next = time.Duration(random.Int64N(int64(next) + 1))
				case err == nil:
				case errors.Is(err, errDied):
					r, next = c.restart(test.lives(random)), time.Duration(random.Int64N(int64(3*time.Second)))
				default:
					t.Fatal(err)
				}
				c.advance(next)
				w.check()
			}
			if w.cas < 4 || len(w.leaves) < 15 {
				t.Errorf("in %d years %d authorities and %d serving certificates: too few to have shown anything", years, w.cas, len(w.leaves))
			}
			if s := c.state(); len(s.cas) > 2 {
				t.Errorf("the bundle has grown to %d authorities", len(s.cas))
			}
		})
	}
}

// Whatever happens to the two objects and to the clock, Ensure finds back, and after the settle time API servers get through.
func TestEnsureFindsBackFromAnything(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 5))
	c := newCluster(t)
	r := c.rotator()
	replica := newReplica(t, c.clock)
	keys := []string{KeyBundle, KeyAuthorityKey, KeyCertificate, KeyServingKey}
	for round := range 40 {
		next := c.ensure(r)
		c.advance(time.Duration(random.Int64N(int64(2 * next))))
		if random.IntN(8) == 0 {
			c.advance(time.Duration(random.Int64N(int64(800*24*time.Hour))) - 400*24*time.Hour)
		}
		secret, hooks := c.secret(), c.webhooks()
		switch key := keys[random.IntN(len(keys))]; random.IntN(7) {
		case 0:
			delete(secret.Data, key)
		case 1:
			secret.Data[key] = secret.Data[keys[random.IntN(len(keys))]]
		case 2:
			secret.Data[key][random.IntN(len(secret.Data[key]))] ^= 1 << random.IntN(8)
		case 3:
			hooks.Webhooks[random.IntN(2)].ClientConfig.CABundle = []byte("other")
		case 4:
			secret.Data = nil
		case 5:
			r = c.rotator()
		}
		c.putSecret(secret)
		c.putWebhooks(hooks)
		for range 3 {
			c.ensure(r)
			c.advance(r.Settle)
		}
		c.ensure(r)
		if err := replica.serving.Update(c.secret()); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if err := replica.serving.Ready(); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for _, hook := range c.webhooks().Webhooks {
			if err := replica.call(hook.ClientConfig.CABundle, c.clock()); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
	}
}
