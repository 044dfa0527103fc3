package keylist_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/keylist"
)

// now is when the tests' lists are issued.
var now = time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)

// generated are keys that tests share: making one costs more than reading a list.
var generated = func() (all []*ecdsa.PrivateKey) {
	for range keylist.MaxKeys + 2 {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		all = append(all, private)
	}
	return all
}()

// listKey signs the tests' lists, and thief is another's.
var listKey, thief = generated[keylist.MaxKeys], generated[keylist.MaxKeys+1]

// list has n keys, the last of which signs.
func list(n int) *keylist.List {
	l := &keylist.List{Version: now.Unix(), Issued: now, Expires: now.Add(24 * time.Hour), Sources: []string{"sigs.example/third-party"}}
	for i := range n {
		k := keylist.Key{ID: key.ID{Name: "images", Version: i + 1}, Public: &generated[i].PublicKey, NotBefore: now.Add(-time.Hour),
			NotAfter: now.Add(time.Duration(i+1) * 24 * time.Hour), State: keylist.Retiring}
		if i == n-1 {
			k.State = keylist.Active
		}
		l.Keys = append(l.Keys, k)
	}
	return l
}

func marshal(t testing.TB, l *keylist.List) []byte {
	t.Helper()
	raw, err := l.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// seal signs a list.
func seal(t testing.TB, raw []byte, by *ecdsa.PrivateKey) []byte {
	t.Helper()
	hash := keylist.HashOf(raw)
	sig, err := ecdsa.SignASN1(rand.Reader, by, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	e, err := keylist.Seal(raw, key.ID{Name: "keylist", Version: 1}, sig)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func open(t testing.TB, l *keylist.List, by *ecdsa.PrivateKey) *keylist.Opened {
	t.Helper()
	o, err := keylist.Open(seal(t, marshal(t, l), by), &listKey.PublicKey, &thief.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestAListIsReadAsItIsWritten(t *testing.T) {
	for n := range keylist.MaxKeys + 1 {
		want := list(n)
		got, err := keylist.Parse(marshal(t, want))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%d keys are read as %+v, %v", n, got, err)
		}
	}
}

func TestAListThatIsNotWholeIsNotRead(t *testing.T) {
	good := string(marshal(t, list(2)))
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%s is not in the list", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	for name, text := range map[string]string{
		"cut":                   good[:len(good)-1],
		"more after it":         good + "{}",
		"another type":          replace("keylist/1", "keylist/2"),
		"an unknown field":      replace(`"version"`, `"future":1,"version"`),
		"version 0":             replace(fmt.Sprint(now.Unix()), "0"),
		"a version from later":  replace(fmt.Sprint(now.Unix()), fmt.Sprint(now.Unix()+keylist.Ahead+1)),
		"2^62":                  replace(fmt.Sprint(now.Unix()), fmt.Sprint(int64(1)<<62)),
		"half seconds":          replace("10:00:00Z", "10:00:00.5Z"),
		"an unknown state":      replace(`"active"`, `"resting"`),
		"two active keys":       replace(`"retiring"`, `"active"`),
		"a key twice":           replace(`"images/1"`, `"images/2"`),
		"keys of two names":     replace(`"images/1"`, `"other/1"`),
		"a bad name":            replace(`"images/1"`, `"../1"`),
		"no PEM":                replace(`-----BEGIN`, `-----BEGUN`),
		"a source without path": replace(`sigs.example/third-party`, `sigs.example`),
		"a source with a tag":   replace(`sigs.example/third-party`, `sigs.example/third-party:latest`),
		"one source twice":      replace(`["sigs.example/third-party"`, `["sigs.example/third-party","sigs.example/third-party"`),
		"the expiry before":     replace("2026-01-06T10:00:00Z", "2026-01-05T09:00:00Z"),
	} {
		if l, err := keylist.Parse([]byte(text)); err == nil {
			t.Errorf("%s: it is read as %+v", name, l)
		}
	}
	same := list(2)
	same.Keys[0].Public = same.Keys[1].Public
	if _, err := same.Marshal(); err == nil {
		t.Error("a key under two names is written")
	}
}

func TestABoundIsHeld(t *testing.T) {
	l := list(keylist.MaxKeys)
	l.Keys = append(l.Keys, keylist.Key{ID: key.ID{Name: "images", Version: keylist.MaxKeys + 1}, Public: &listKey.PublicKey, NotBefore: now, NotAfter: now.Add(time.Hour), State: keylist.Retiring})
	if _, err := l.Marshal(); err == nil {
		t.Error("a list with a key too many is written")
	}
	l = list(keylist.MaxKeys)
	l.Sources = nil
	for i := range keylist.MaxSources {
		l.Sources = append(l.Sources, "sigs.example/"+strings.Repeat("a", 240)+fmt.Sprint(i))
	}
	// The largest list that there can be is within the bound of envelopes.
	if _, err := keylist.Open(seal(t, marshal(t, l), listKey), &listKey.PublicKey); err != nil {
		t.Error(err)
	}
	l.Sources = append(l.Sources, "sigs.example/more")
	if _, err := l.Marshal(); err == nil {
		t.Error("a list with a source too many is written")
	}
	if _, err := keylist.Open(bytes.Repeat([]byte(" "), keylist.MaxEnvelope+1)); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("an envelope that is too large: %v", err)
	}
}

func TestOnlyAPinnedKeyOpensAnEnvelope(t *testing.T) {
	raw := marshal(t, list(1))
	good := seal(t, raw, listKey)
	if o, err := keylist.Open(good, &thief.PublicKey, &listKey.PublicKey); err != nil || o.By != keylist.Fingerprint(&listKey.PublicKey) || !bytes.Equal(o.Raw, raw) {
		t.Fatalf("a list by the second pinned key is read as %+v, %v", o, err)
	}
	plain := key.Hash{}
	copy(plain[:], raw)
	sig, err := ecdsa.SignASN1(rand.Reader, listKey, plain[:])
	if err != nil {
		t.Fatal(err)
	}
	bare, err := keylist.Seal(raw, key.ID{Name: "keylist", Version: 1}, sig)
	if err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string][]byte{
		"by a thief":              seal(t, raw, thief),
		"over another encoding":   bare,
		"with another list":       swap(t, good, marshal(t, list(2))),
		"without signatures":      []byte(`{"payloadType":"` + keylist.PayloadType + `","payload":"` + base64.StdEncoding.EncodeToString(raw) + `","signatures":[]}`),
		"with garbage signatures": []byte(`{"payloadType":"` + keylist.PayloadType + `","payload":"","signatures":[{"sig":"%"},{"sig":""}]}`),
	} {
		if _, err := keylist.Open(e, &listKey.PublicKey); !errors.Is(err, keylist.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := keylist.Open(good); !errors.Is(err, keylist.ErrSignature) {
		t.Errorf("without any pinned key: %v", err)
	}
	other := bytes.Replace(good, []byte("keylist.v1"), []byte("keylist.v2"), 1)
	if _, err := keylist.Open(other, &listKey.PublicKey); err == nil {
		t.Error("a payload of another type is read")
	}
}

// swap puts another list under a signature.
func swap(t *testing.T, e, raw []byte) []byte {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal(e, &all); err != nil {
		t.Fatal(err)
	}
	all["payload"] = base64.StdEncoding.EncodeToString(raw)
	swapped, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return swapped
}

func TestEveryFlippedBitOfAnEnvelopeIsNoticed(t *testing.T) {
	raw := marshal(t, list(2))
	good := seal(t, raw, listKey)
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if o, err := keylist.Open(bad, &listKey.PublicKey); err == nil && !bytes.Equal(o.Raw, raw) {
			t.Fatalf("with byte %d of the envelope changed another list is read", i)
		}
	}
}

func TestAListIsAcceptedOnlyForward(t *testing.T) {
	at := func(version int64, change func(*keylist.List)) *keylist.Opened {
		l := list(2)
		l.Version = version
		if change != nil {
			change(l)
		}
		return open(t, l, listKey)
	}
	v := now.Unix()
	seen, err := keylist.Seen{}.Accept(at(v, nil), now)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		list *keylist.Opened
		now  time.Time
		want keylist.Refusal
	}{
		"the same":                   {at(v, nil), now, ""},
		"a newer one":                {at(v+1, nil), now, ""},
		"an older one":               {at(v-1, nil), now, keylist.RolledBack},
		"another of that version":    {at(v, func(l *keylist.List) { l.Sources = nil }), now, keylist.Forked},
		"an expired one":             {at(v+1, nil), now.Add(24 * time.Hour), keylist.Expired},
		"the last second":            {at(v+1, nil), now.Add(24*time.Hour - time.Second), ""},
		"from later than clocks err": {at(v+1, nil), now.Add(-keylist.Slack - time.Second), keylist.Future},
		"from as late as clocks err": {at(v+1, nil), now.Add(-keylist.Slack), ""},
		"without keys":               {at(v+1, func(l *keylist.List) { l.Keys = nil }), now, keylist.NoKeys},
		"with ended keys alone": {at(v+1, func(l *keylist.List) {
			for i := range l.Keys {
				l.Keys[i].NotBefore, l.Keys[i].NotAfter = now.Add(-2*time.Hour), now
			}
		}), now, keylist.NoKeys},
		"with a key for ever": {at(v+1, func(l *keylist.List) { l.Keys[1].NotAfter = now.Add(91 * 24 * time.Hour) }), now, keylist.TooLongLife},
	} {
		next, err := seen.Accept(c.list, c.now)
		var refused *keylist.NotAccepted
		if c.want == "" && (err != nil || next[c.list.By].Version != c.list.Version) || c.want != "" && (!errors.As(err, &refused) || refused.Refusal != c.want) {
			t.Errorf("%s: %v, %v", name, next, err)
		}
	}
}

// Whoever steals one list key cannot count so far that the other is heard no more.
func TestEachListKeyHasItsOwnCounter(t *testing.T) {
	l := list(1)
	l.Version = now.Unix() + keylist.Ahead
	seen, err := keylist.Seen{}.Accept(open(t, l, thief), now)
	if err != nil {
		t.Fatal(err)
	}
	seen, err = seen.Accept(open(t, list(1), listKey), now)
	if err != nil || len(seen) != 2 {
		t.Errorf("the list of the other key: %v, %v", seen, err)
	}
}

func TestVersionsGoOnWhenEarlierOnesAreForgotten(t *testing.T) {
	if v := keylist.NextVersion(0, now); v != now.Unix() {
		t.Errorf("the first version is %d", v)
	}
	if v := keylist.NextVersion(now.Unix(), now); v != now.Unix()+1 {
		t.Errorf("the second version of a second is %d", v)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(seal(f, marshal(f, list(2)), listKey))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if o, err := keylist.Open(raw, &listKey.PublicKey); err == nil {
			if _, err := o.Marshal(); err != nil {
				t.Errorf("a list that was read cannot be written: %v", err)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(marshal(f, list(2)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		l, err := keylist.Parse(raw)
		if err != nil {
			return
		}
		text, err := l.Marshal()
		if err != nil {
			t.Fatalf("a list that was read cannot be written: %v", err)
		}
		again, err := keylist.Parse(text)
		if err != nil || again.Version != l.Version || len(again.Keys) != len(l.Keys) {
			t.Errorf("it is read again as %+v, %v", again, err)
		}
	})
}
