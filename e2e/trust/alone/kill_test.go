//go:build e2e

package alone_test

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/holdfast-telemetry/holdfast/e2e/trust"
	"github.com/holdfast-telemetry/holdfast/e2e/trust/watch"
	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/keystore"
	"github.com/holdfast-telemetry/holdfast/trust/rotation"
)

// short are times in which keys change every eight seconds, and end soon after.
var short = rotation.Timing{Active: 8 * time.Second, Lifetime: 24 * time.Second, Poll: time.Second, Slack: time.Second, Resign: time.Second, List: 10 * time.Minute}

// kills are all steps of the rotation, in the order in which a life of keys gets to them when it is killed at each. The first word is the
// step at which the process is killed; what follows are the keys of the list that was served until then.
var kills = []struct {
	at, keys string
	timing   func(*rotation.Timing)
}{
	// An empty record is saved, before anything is made.
	{at: "save"}, {at: "saved"},
	// The first key is made and published.
	{at: "rotate"}, {at: "rotated"}, {at: "issued"}, {at: "save"}, {at: "saved"},
	// It begins to sign.
	{at: "issued", keys: "1 next"}, {at: "save", keys: "1 next"}, {at: "saved", keys: "1 next"},
	// The second is made and published.
	{at: "rotate", keys: "1 active"}, {at: "rotated", keys: "1 active"}, {at: "issued", keys: "1 active"}, {at: "save", keys: "1 active"}, {at: "saved", keys: "1 active"},
	// It signs instead of the first.
	{at: "issued", keys: "1 active, 2 next"}, {at: "save", keys: "1 active, 2 next"}, {at: "saved", keys: "1 active, 2 next"},
	// The first ends, and is destroyed. Nothing else is due meanwhile.
	{at: "issued", keys: "1 retiring, 2 active", timing: onlyEnds}, {at: "save", keys: "1 retiring, 2 active", timing: onlyEnds}, {at: "saved", keys: "1 retiring, 2 active", timing: onlyEnds},
	{at: "retire", keys: whatever, timing: onlyEnds}, {at: "retired", keys: whatever, timing: onlyEnds},
	// The list is issued anew.
	{at: "issued", keys: whatever, timing: onlyLists}, {at: "save", keys: whatever, timing: onlyLists}, {at: "saved", keys: whatever, timing: onlyLists},
}

// whatever is for a step that is due at once after the one before, so that nobody may have been served a list in between.
const whatever = "whatever"

// onlyEnds has keys sign on, for as long as their signatures count.
func onlyEnds(t *rotation.Timing) { t.Active, t.Lifetime = time.Hour, 2*time.Hour }

// onlyLists has lists be issued every second too.
func onlyLists(t *rotation.Timing) { onlyEnds(t); t.List = 3 * time.Second }

// TestAServiceThatIsKilledAtAnyStepOfTheRotationGoesOn kills the process of the service by SIGKILL at every step, starts it again each time, and
// holds all lists that it serves and all signatures that it makes against what it promises.
func TestAServiceThatIsKilledAtAnyStepOfTheRotationGoesOn(t *testing.T) {
	bin := watch.Faulty(t.Context(), t)
	t.Parallel()
	for _, store := range []string{"folder", "vault"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			// A key that signs must not end before the next one does, however slowly the machine starts processes.
			life := short
			life.Lifetime = 45 * time.Second
			keys := &keysOf{store: store, TB: t}
			s := newService(t, bin, trust.StartRegistry(t.Context(), t, trust.RegistryOptions{}), keys.config())
			keys.service = s
			lists := watch.WatchLists(t, s.url)
			signing := signContinuously(t, s.url, s.token, s.registry.Push(t.Context(), t, "app/web"))
			for i, k := range kills {
				timing := life
				if k.timing != nil {
					k.timing(&timing)
				}
				s.program.Setenv(watch.Timing(t, timing), watch.Kill(k.at))
				s.killed(k.at)
				want := []string{k.keys}
				if k.at == "saved" && i+1 < len(kills) { // what is saved may be served before the process is killed
					want = append(want, kills[i+1].keys)
				}
				if got := lists.States(); !slices.Contains(want, got) && !slices.Contains(want, whatever) {
					t.Fatalf("it was killed at %s when the list had %q, want %q", k.at, got, want)
				}
			}
			s.program.Setenv(watch.Timing(t, life), watch.Kill(""))
			s.start()
			within(t, patience, "two more keys follow", func() error {
				if got := lists.States(); !strings.Contains(got, "4 active") || strings.Contains(got, "2 ") || signing.last() != 4 {
					return fmt.Errorf("the keys are %s, and version %d signed last", got, signing.last())
				}
				return nil
			})
			signed := signing.stop()
			if err := lists.Early(signed, short.Lead()); err != nil {
				t.Error(err)
			}
			if by := signers(signed); !slices.Equal(by, []int{1, 2, 3, 4}) {
				t.Errorf("images were signed by the versions %v, one after the other", by)
			}
			if err := lists.Verify(&signed[len(signed)-1], s.registry.Options(t.Context())...); err != nil {
				t.Error(err)
			}
			if err := errors.Join(lists.Check(s.pin()), lists.Unlisted()); err != nil {
				t.Error(err)
			}
			s.must("audit", "verify")
			s.program.Stop()
			// What is left of private keys are those of the list: none is forgotten.
			var listed []int
			for _, k := range lists.Last().Keys {
				listed = append(listed, k.ID.Version)
			}
			if left := keys.versions(); !slices.Equal(left, listed) {
				t.Errorf("the store has the versions %v, and the list %v", left, listed)
			}
			t.Logf("killed %d times; %d lists served, %d signatures made", len(kills), lists.Count(), len(signed))
		})
	}
}

// killed starts the service and returns when it has been killed at a step.
func (s *service) killed(at string) {
	s.Helper()
	before := strings.Count(s.program.Log(), "killed at "+at+"\n")
	s.start()
	within(s, patience, "it is killed at "+at, func() error {
		if pid := s.program.PID(); pid != 0 {
			return fmt.Errorf("the process %d runs", pid)
		}
		return nil
	})
	if now := strings.Count(s.program.Log(), "killed at "+at+"\n"); now != before+1 {
		s.Fatalf("it ended by itself, and not at %s", at)
	}
}

// signing is what signs an image over and over.
type signing struct {
	testing.TB
	end func()

	mu     sync.Mutex
	signed []watch.Signed
	errs   map[string]int
}

// signContinuously has an image signed several times a second, until the test ends or it is told to stop. That the service is away, or that no
// key may sign yet, is all right; any other answer is not.
func signContinuously(t testing.TB, url, token string, image name.Digest) *signing {
	t.Helper()
	s := &signing{TB: t, errs: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for ; ctx.Err() == nil; time.Sleep(2 * pause) {
			s.once(ctx, url, token, image)
		}
	})
	s.end = func() { cancel(); running.Wait() }
	t.Cleanup(s.end)
	return s
}

func (s *signing) once(ctx context.Context, url, token string, image name.Digest) {
	signed, err := watch.Sign(ctx, url, token, image)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.signed = append(s.signed, *signed)
	case ctx.Err() != nil, errors.Is(err, watch.ErrAway), strings.Contains(err.Error(), "no key may sign yet"):
	default:
		s.errs[err.Error()]++
	}
}

// last is the version that signed last, 0 before the first did.
func (s *signing) last() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.signed) == 0 {
		return 0
	}
	return s.signed[len(s.signed)-1].By.Version
}

// stop ends the signing and returns what was signed.
func (s *signing) stop() []watch.Signed {
	s.Helper()
	s.end()
	for err, n := range s.errs {
		s.Errorf("signing failed %d times: %s", n, err)
	}
	if len(s.signed) == 0 {
		s.Fatal("nothing was signed")
	}
	return s.signed
}

// signers are the versions that signed, in the order in which they did, each once as long as it went on.
func signers(signed []watch.Signed) (versions []int) {
	for _, s := range signed {
		versions = append(versions, s.By.Version)
	}
	return slices.Compact(versions)
}

// pin is the public list key.
func (s *service) pin() *ecdsa.PublicKey {
	s.Helper()
	public, err := key.ParsePEM([]byte(s.must("keys", "pin")))
	if err != nil {
		s.Fatal(err)
	}
	return public
}

// keysOf is a kind of key store.
type keysOf struct {
	testing.TB
	store   string
	vault   *trust.Vault
	service *service
}

// config is the part of the service's configuration.
func (k *keysOf) config() string {
	k.Helper()
	if k.store == "folder" {
		return ""
	}
	k.vault = trust.StartVault(k.Context(), k)
	token := filepath.Join(k.TempDir(), "token")
	if err := os.WriteFile(token, []byte(k.vault.Root), 0o600); err != nil {
		k.Fatal(err)
	}
	return fmt.Sprintf("keys: {vault: {address: %q, token-file: %q}}\n", k.vault.URL, token)
}

// versions are those of the signing key whose private halves there are.
func (k *keysOf) versions() (versions []int) {
	k.Helper()
	if k.vault == nil {
		return k.inFolder()
	}
	// Vault lists versions as long as they can be used for anything, and says from which on it has any.
	reply, err := k.vault.Call(k.Context(), k.vault.Root, http.MethodGet, "transit/keys/images", nil)
	if err != nil {
		k.Fatal(err)
	}
	var data struct {
		Latest int `json:"latest_version"`
		Least  int `json:"min_available_version"`
	}
	if err := json.Unmarshal(reply.Data, &data); err != nil {
		k.Fatal(err)
	}
	for v := max(1, data.Least); v <= data.Latest; v++ {
		versions = append(versions, v)
	}
	return versions
}

func (k *keysOf) inFolder() (versions []int) {
	k.Helper()
	folder, err := keystore.Open(keystore.Options{Dir: k.service.path("data/keys"), Secret: keystore.KeyFile(k.service.path("data/key"))})
	if err != nil {
		k.Fatal(err)
	}
	images, err := folder.Key("images")
	if err != nil {
		k.Fatal(err)
	}
	all, err := images.Keys(k.Context())
	if err != nil {
		k.Fatal(err)
	}
	for _, p := range all {
		versions = append(versions, p.ID.Version)
	}
	return versions
}
