package transit

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/key/keytest"
)

func TestATransitKeyIsAKeyStore(t *testing.T) {
	for name, set := range map[string]func(*vault){
		"now":                             func(*vault) {},
		"an older release":                func(v *vault) { v.oldRotate = true },
		"with 400 for a batch that fails": func(v *vault) { v.batchFails = true },
		"with a namespace":                func(v *vault) { v.namespace = "team/a" },
	} {
		t.Run(name, func(t *testing.T) {
			fake := newVault()
			set(fake)
			o := serve(t, fake)
			o.Namespace = fake.namespace
			one, other := open(t, o), open(t, o)
			n := 0
			fresh := func(t *testing.T, c *Client) key.Store {
				k, err := c.Key("transit", fmt.Sprintf("images-%d", n))
				if err != nil {
					t.Fatal(err)
				}
				return k
			}
			keytest.Test(t, func(t *testing.T) key.Store {
				n++
				return fresh(t, one)
			})
			keytest.TestShared(t, func(t *testing.T) (key.Store, key.Store) {
				n++
				return fresh(t, one), fresh(t, other)
			})
		})
	}
}

func TestAnAnswerWithAnythingButSignaturesByTheVersionIsRefused(t *testing.T) {
	fake := newVault()
	k := openKey(t, serve(t, fake), "images")
	rotate(t, k)
	rotate(t, k)
	results := func(data map[string]any) []map[string]any { return data["batch_results"].([]map[string]any) }
	good, err := k.Sign(t.Context(), 1, hashes(3))
	if err != nil || len(good) != 3 {
		t.Fatal(good, err)
	}
	for name, bad := range map[string]func(data map[string]any){
		"signatures in another order": func(d map[string]any) { r := results(d); r[0], r[1] = r[1], r[0] },
		"a signature too few":         func(d map[string]any) { d["batch_results"] = results(d)[:2] },
		"a signature too many":        func(d map[string]any) { d["batch_results"] = append(results(d), results(d)[0]) },
		"none":                        func(d map[string]any) { delete(d, "batch_results") },
		"the name of another version": func(d map[string]any) {
			r := results(d)[2]
			r["signature"] = strings.Replace(r["signature"].(string), "vault:v1:", "vault:v2:", 1)
		},
		"the name of a longer version": func(d map[string]any) {
			r := results(d)[2]
			r["signature"] = strings.Replace(r["signature"].(string), "vault:v1:", "vault:v11:", 1)
		},
		"no name of a version": func(d map[string]any) {
			r := results(d)[2]
			r["signature"] = strings.Replace(r["signature"].(string), "vault:v1:", "", 1)
		},
		"a flipped bit": func(d map[string]any) {
			signature := []byte(results(d)[1]["signature"].(string))
			signature[30] ^= 1
			results(d)[1]["signature"] = string(signature)
		},
		"no base64":            func(d map[string]any) { results(d)[0]["signature"] = "vault:v1:!" },
		"base64 on two lines":  func(d map[string]any) { results(d)[0]["signature"] = results(d)[0]["signature"].(string) + "\n" },
		"nothing":              func(d map[string]any) { results(d)[0]["signature"] = "" },
		"an endless signature": func(d map[string]any) { results(d)[0]["signature"] = "vault:v1:" + strings.Repeat("A", 1<<20) },
		"something after the DER": func(d map[string]any) {
			results(d)[0]["signature"] = "vault:v1:" + base64.StdEncoding.EncodeToString(append(good[0], 0))
		},
		"the signature of another key, named as this one": func(d map[string]any) {
			delete(d, "failed")
			other, _, _ := fake.sign(fake.keys["images"], []byte(`{"batch_input":[{"input":"`+base64.StdEncoding.EncodeToString(make([]byte, 32))+`"}],"key_version":2,"prehashed":true,"marshaling_algorithm":"asn1"}`))
			results(d)[1]["signature"] = strings.Replace(results(other)[0]["signature"].(string), "vault:v2:", "vault:v1:", 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			fake.inside(func() {
				fake.after = func(path string, data map[string]any) {
					if strings.Contains(path, "/sign/") {
						bad(data)
					}
				}
			})
			got, err := k.Sign(t.Context(), 1, hashes(3))
			var wrong *SignatureError
			if got != nil || !errors.As(err, &wrong) || wrong.ID.String() != "images/1" || len(err.Error()) > 600 {
				t.Errorf("%d signatures, %.600v", len(got), err)
			}
		})
	}
	fake.inside(func() {
		fake.after = func(path string, data map[string]any) {
			if strings.Contains(path, "/sign/") {
				results(data)[1] = map[string]any{"error": "one of them failed"}
			}
		}
	})
	if got, err := k.Sign(t.Context(), 1, hashes(3)); got != nil || err == nil || !strings.Contains(err.Error(), "one of them failed") {
		t.Errorf("an item that failed: %d signatures, %v", len(got), err)
	}
}

func TestManyHashesAreSignedInBatches(t *testing.T) {
	fake := newVault()
	k := openKey(t, serve(t, fake), "images")
	rotate(t, k)
	if got, err := k.Sign(t.Context(), 1, hashes(2*batch+1)); err != nil || len(got) != 2*batch+1 {
		t.Fatal(len(got), err)
	}
	if n := fake.count("POST transit/sign/images/sha2-256"); n != 3 {
		t.Errorf("%d hashes took %d requests", 2*batch+1, n)
	}
}

func TestTheAnswerAboutAKeyIsChecked(t *testing.T) {
	fake := newVault()
	o := serve(t, fake)
	rotate(t, openKey(t, o, "images"))
	first := func(data map[string]any) map[string]any { return data["keys"].(map[string]any)["1"].(map[string]any) }
	for name, c := range map[string]struct {
		bad  func(data map[string]any)
		says string
	}{
		"another type":    {func(d map[string]any) { d["type"] = "rsa-2048" }, "rsa-2048"},
		"a symmetric key": {func(d map[string]any) { d["type"], d["keys"] = "aes256-gcm96", map[string]any{"1": 1442851412} }, "aes256-gcm96"},
		"another name":    {func(d map[string]any) { d["name"] = "other" }, "other"},
		"no versions":     {func(d map[string]any) { d["keys"] = map[string]any{} }, "0 versions"},
		"no public key":   {func(d map[string]any) { first(d)["public_key"] = "" }, "images/1"},
		"a damaged key": {func(d map[string]any) {
			first(d)["public_key"] = strings.ReplaceAll(first(d)["public_key"].(string), "E", "F")
		}, "images/1"},
		"version 0":        {func(d map[string]any) { d["keys"].(map[string]any)["0"] = first(d) }, "images/0"},
		"version 01":       {func(d map[string]any) { d["keys"].(map[string]any)["01"] = first(d) }, "images/01"},
		"an endless one":   {func(d map[string]any) { d["keys"].(map[string]any)[strings.Repeat("1", 1<<16)] = first(d) }, "1111111111"},
		"a newer one":      {func(d map[string]any) { d["keys"].(map[string]any)["7"] = first(d) }, "up to 7"},
		"a newest missing": {func(d map[string]any) { d["latest_version"] = 2 }, "latest_version"},
		"no time":          {func(d map[string]any) { first(d)["creation_time"] = strings.Repeat("noon", 1<<16) }, "images/1"},
		"a list":           {func(d map[string]any) { d["keys"] = []int{1} }, "not as Vault's"},
	} {
		t.Run(name, func(t *testing.T) {
			fake.inside(func() {
				fake.after = func(_ string, data map[string]any) {
					if data["keys"] != nil {
						c.bad(data)
					}
				}
			})
			k := openKey(t, o, "images")
			_, keys := k.Keys(t.Context())
			_, made := k.Rotate(t.Context())
			for call, err := range map[string]error{"Keys": keys, "Rotate": made, "Retire": k.Retire(t.Context(), 1)} {
				if err == nil || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 700 {
					t.Errorf("%s says %.700v", call, err)
				}
			}
			if n := fake.count("POST transit/keys/images/rotate"); n != 0 {
				t.Errorf("%d rotations were sent", n)
			}
		})
	}
}

func TestSettingsTellOfWhatIsDangerous(t *testing.T) {
	fake := newVault()
	k := openKey(t, serve(t, fake), "images")
	if _, err := k.Settings(t.Context()); !errors.Is(err, ErrNoKey) {
		t.Errorf("without a key: %v", err)
	}
	rotate(t, k)
	if s, err := k.Settings(t.Context()); err != nil || len(s.Warnings()) != 0 || s.Latest != 1 {
		t.Errorf("a key that we made: %+v, %v, %v", s, s.Warnings(), err)
	}
	for name, value := range map[string]any{"exportable": true, "allow_plaintext_backup": true, "deletion_allowed": true, "auto_rotate_period": 604800, "imported_key": true} {
		fake.inside(func() { fake.keys["images"].settings = map[string]any{name: value} })
		s, err := k.Settings(t.Context())
		if got := s.Warnings(); err != nil || len(got) != 1 || !strings.Contains(got[0], strings.TrimSuffix(name, "_key")) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for value, want := range map[any]time.Duration{604800: 7 * 24 * time.Hour, "168h0m0s": 7 * 24 * time.Hour, 1e300: 1 << 31 * time.Second, -1: 0} {
		fake.inside(func() { fake.keys["images"].settings = map[string]any{"auto_rotate_period": value} })
		if s, err := k.Settings(t.Context()); err != nil || s.AutoRotate != want {
			t.Errorf("%v is %v, %v", value, s.AutoRotate, err)
		}
	}
}

func TestAVersionKeepsItsPublicKey(t *testing.T) {
	fake := newVault()
	k := openKey(t, serve(t, fake), "images")
	rotate(t, k)
	fake.inside(func() { // deleted and made again
		fake.keys["images"] = &fakeKey{settings: map[string]any{}}
		fake.keys["images"].rotate()
	})
	_, keys := k.Keys(t.Context())
	_, made := k.Rotate(t.Context())
	for call, err := range map[string]error{"Keys": keys, "Rotate": made, "Retire": k.Retire(t.Context(), 1)} {
		if !errors.Is(err, ErrReplaced) {
			t.Errorf("%s says %v", call, err)
		}
	}
	var wrong *SignatureError
	if _, err := k.Sign(t.Context(), 1, hashes(1)); !errors.As(err, &wrong) {
		t.Errorf("Sign says %v", err)
	}
}

func TestADeletedKeyHasNoVersions(t *testing.T) {
	fake := newVault()
	k := openKey(t, serve(t, fake), "images")
	rotate(t, k)
	fake.inside(func() { delete(fake.keys, "images") })
	if _, err := k.Sign(t.Context(), 1, hashes(1)); !errors.Is(err, key.ErrNoVersion) {
		t.Errorf("Sign says %v", err)
	}
}

func TestAMountThatIsNotThereIsNoEmptyStore(t *testing.T) {
	k, err := open(t, serve(t, newVault())).Key("secret/transit", "images")
	if err != nil {
		t.Fatal(err)
	}
	_, keys := k.Keys(t.Context())
	_, made := k.Rotate(t.Context())
	for _, err := range []error{keys, made} {
		var answered *Error
		if !errors.As(err, &answered) || answered.Status != 404 || !strings.Contains(err.Error(), "secret/transit/keys/images") {
			t.Errorf("it says %v", err)
		}
	}
}

func TestARotationWhoseAnswerIsLostIsNotMadeTwice(t *testing.T) {
	for _, old := range []bool{false, true} {
		fake := newVault()
		fake.oldRotate = old
		k := openKey(t, serve(t, fake), "images")
		rotate(t, k)
		var lose sync.Once
		fake.inside(func() {
			fake.before = func(w http.ResponseWriter, r *http.Request) (lost bool) {
				if strings.HasSuffix(r.URL.Path, "/rotate") {
					lose.Do(func() {
						lost = true
						fake.inside(func() { fake.keys["images"].rotate() })
						panic(http.ErrAbortHandler)
					})
				}
				return lost
			}
		})
		if made := rotate(t, k); made.ID.Version != 2 {
			t.Errorf("it made %v", made.ID)
		}
		if got := versions(t, k); !slices.Equal(got, []int{1, 2}) {
			t.Errorf("there are %v", got)
		}
	}
}

func TestARotationThatDidNotArriveIsMadeAgain(t *testing.T) {
	for name, refuse := range map[string]func(w http.ResponseWriter){
		"sealed": func(w http.ResponseWriter) { fail(w, 503, "Vault is sealed") },
		"overloaded": func(w http.ResponseWriter) {
			w.Header().Set("Retry-After", "0")
			fail(w, 429, "request path rate limit quota exceeded")
		},
		"disconnected": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			fake := newVault()
			k := openKey(t, serve(t, fake), "images")
			rotate(t, k)
			times := 0
			fake.inside(func() {
				fake.before = func(w http.ResponseWriter, r *http.Request) bool {
					if !strings.HasSuffix(r.URL.Path, "/rotate") || times == 2 {
						return false
					}
					times++
					refuse(w)
					return true
				}
			})
			if made := rotate(t, k); made.ID.Version != 2 {
				t.Errorf("it made %v", made.ID)
			}
			if got := versions(t, k); !slices.Equal(got, []int{1, 2}) {
				t.Errorf("there are %v", got)
			}
		})
	}
}

func TestTwoRotatorsGetTwoVersions(t *testing.T) {
	fake := newVault()
	o := serve(t, fake)
	one, other := openKey(t, o, "images"), openKey(t, o, "images")
	rotate(t, one)
	// Both have read the key before either rotates.
	var arrived sync.WaitGroup
	arrived.Add(2)
	fake.inside(func() {
		fake.before = func(_ http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/rotate") {
				arrived.Done()
				arrived.Wait()
			}
			return false
		}
	})
	made := make([]int, 2)
	var both sync.WaitGroup
	for i, k := range []*Key{one, other} {
		both.Go(func() {
			p, err := k.Rotate(t.Context())
			if err != nil {
				t.Error(err)
			}
			made[i] = p.ID.Version
		})
	}
	both.Wait()
	if slices.Sort(made); !slices.Equal(made, []int{2, 3}) {
		t.Errorf("they got %v", made)
	}
}

func TestTwoThatMakeTheKeyMakeOne(t *testing.T) {
	fake := newVault()
	o := serve(t, fake)
	var arrived sync.WaitGroup
	arrived.Add(2)
	fake.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/keys/images") {
			arrived.Done()
			arrived.Wait()
		}
		return false
	}
	made := make([]key.Public, 2)
	var both sync.WaitGroup
	for i, k := range []*Key{openKey(t, o, "images"), openKey(t, o, "images")} {
		both.Go(func() {
			var err error
			if made[i], err = k.Rotate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if made[0].ID.Version != 1 || made[1].ID.Version != 1 || !made[0].Key.Equal(made[1].Key) {
		t.Errorf("they got %v and %v", made[0].ID, made[1].ID)
	}
}

func TestARotationThatAStandbyShowsLateIsWaitedFor(t *testing.T) {
	fake := newVault()
	fake.oldRotate = true
	k := openKey(t, serve(t, fake), "images")
	rotate(t, k)
	fake.inside(func() {
		stale := fake.keys["images"].show("images")
		late := 0
		fake.after = func(path string, data map[string]any) {
			if path == "transit/keys/images" && len(fake.keys["images"].private) > 1 && late < 2 {
				late++
				for name, value := range stale {
					data[name] = value
				}
			}
		}
	})
	if made := rotate(t, k); made.ID.Version != 2 {
		t.Errorf("it made %v", made.ID)
	}
	if n := fake.count("POST transit/keys/images/rotate"); n != 1 {
		t.Errorf("%d rotations were sent", n)
	}
}

func TestRetireDestroysAndNeverLowers(t *testing.T) {
	fake := newVault()
	k := openKey(t, serve(t, fake), "images")
	for range 6 {
		rotate(t, k)
	}
	mins := func() [3]int {
		fake.mu.Lock()
		defer fake.mu.Unlock()
		i := fake.keys["images"]
		return [3]int{i.minDecryption, i.minEncryption, i.minAvailable}
	}
	for _, c := range []struct {
		decryption, encryption, available, least int
		want                                     [3]int
	}{
		{1, 0, 0, 3, [3]int{3, 3, 3}},
		{1, 0, 0, 1, [3]int{1, 0, 0}},
		{3, 3, 0, 3, [3]int{3, 3, 3}}, // stopped before the trim
		{3, 0, 0, 3, [3]int{3, 3, 3}},
		{2, 5, 1, 4, [3]int{4, 5, 4}},
		{5, 5, 2, 3, [3]int{5, 5, 3}},
		{5, 0, 0, 3, [3]int{5, 5, 3}},
		{5, 5, 5, 3, [3]int{5, 5, 5}},
	} {
		fake.inside(func() {
			i := fake.keys["images"]
			i.minDecryption, i.minEncryption, i.minAvailable = c.decryption, c.encryption, c.available
		})
		for range 2 {
			if err := k.Retire(t.Context(), c.least); err != nil || mins() != c.want {
				t.Errorf("%+v: %v, %v", c, mins(), err)
			}
		}
	}
	if err := k.Retire(t.Context(), 7); err == nil || mins() != [3]int{5, 5, 5} {
		t.Errorf("retiring all: %v, %v", mins(), err)
	}
}

func TestVersionsBelowAMinimumAreNotListed(t *testing.T) {
	fake := newVault()
	k := openKey(t, serve(t, fake), "images")
	for range 5 {
		rotate(t, k)
	}
	for _, c := range []struct{ decryption, encryption, least int }{{1, 0, 1}, {2, 0, 2}, {1, 3, 3}, {4, 5, 5}} {
		fake.inside(func() {
			fake.keys["images"].minDecryption, fake.keys["images"].minEncryption = c.decryption, c.encryption
		})
		if got := versions(t, k); len(got) != 6-c.least || got[0] != c.least {
			t.Errorf("%+v: it lists %v", c, got)
		}
	}
}

// Another process raises the minimum to 5 between our reading of the key and our raising it to 3, which takes it back to 3.
func TestRetirementsThatGetInEachOthersWayBothHappen(t *testing.T) {
	fake := newVault()
	o := serve(t, fake)
	one, other := openKey(t, o, "images"), openKey(t, o, "images")
	for range 6 {
		rotate(t, one)
	}
	var first atomic.Bool
	raised, lowered := make(chan struct{}), make(chan struct{})
	fake.inside(func() {
		fake.before = func(_ http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/trim") && first.CompareAndSwap(false, true) { // that of the one that raises to 5
				close(raised)
				<-lowered
			}
			return false
		}
	})
	done := make(chan error, 1)
	go func() { done <- other.Retire(t.Context(), 5) }()
	<-raised
	fake.inside(func() { fake.keys["images"].minDecryption, fake.keys["images"].minEncryption = 3, 3 })
	if err := one.Retire(t.Context(), 3); err != nil {
		t.Error(err)
	}
	close(lowered)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := versions(t, one); !slices.Equal(got, []int{5, 6}) {
		t.Errorf("left are %v", got)
	}
}

func TestWhatIsNotPermittedIsNamedAsAPolicyPath(t *testing.T) {
	fake := newVault()
	o := serve(t, fake)
	o.Namespace, fake.namespace = "team", "team"
	k := openKey(t, o, "images")
	rotate(t, k)
	rotate(t, k)
	for denied, call := range map[string]func() error{
		"transit/keys/images":          func() error { _, err := k.Keys(t.Context()); return err },
		"transit/sign/images/sha2-256": func() error { _, err := k.Sign(t.Context(), 1, hashes(1)); return err },
		"transit/keys/images/rotate":   func() error { _, err := k.Rotate(t.Context()); return err },
		"transit/keys/images/config":   func() error { return k.Retire(t.Context(), 2) },
	} {
		fake.inside(func() { fake.tokens[rootToken].denied = denied })
		err := call()
		var refused *DeniedError
		if !errors.As(err, &refused) || refused.Path != denied || !strings.Contains(err.Error(), denied) || !strings.Contains(err.Error(), "team") {
			t.Errorf("%s: %v", denied, err)
		}
		if want := map[bool]string{true: "read", false: "update"}[denied == "transit/keys/images"]; refused != nil && refused.Capability != want {
			t.Errorf("%s wants %s", denied, refused.Capability)
		}
	}
}
