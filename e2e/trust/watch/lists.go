// Package watch looks at holdfast-trust from outside, for its tests: at all key lists that are served and at all signatures that are made,
// over kills and restarts, and says which promises were not kept.
package watch

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/keylist"
)

// interval lies between two requests for a list.
const interval = 50 * time.Millisecond

// Lists are all key lists that the instances of a service have served since they were watched.
type Lists struct {
	mu        sync.Mutex
	envelopes map[int64][]byte // by version
	last      *keylist.List
	absent    map[key.ID]time.Time // when the last request began that was answered before the key was on a list, or not at all; zero when it was on the first
	keys      map[key.ID]*ecdsa.PublicKey
	broken    []error // promises
}

// WatchLists asks the key endpoints at some URLs until the test ends, and then fails it for each promise about lists that was broken: a
// version is one list, an endpoint never serves an older one than before, and no list is empty.
func WatchLists(t testing.TB, urls ...string) *Lists {
	t.Helper()
	l := &Lists{envelopes: map[int64][]byte{}, absent: map[key.ID]time.Time{}, keys: map[key.ID]*ecdsa.PublicKey{}}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, url := range urls {
		running.Go(func() { l.watch(ctx, url) })
	}
	t.Cleanup(func() {
		cancel()
		running.Wait()
		for _, err := range l.broken {
			t.Error(err)
		}
	})
	return l
}

func (l *Lists) watch(ctx context.Context, url string) {
	client := &http.Client{Timeout: 10 * time.Second}
	highest := int64(0)
	var absent time.Time // when the last request began that has been answered, or failed
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		began := time.Now()
		raw, err := get(ctx, client, url+"/v1/keys")
		if err == nil {
			highest = l.add(url, raw, highest, absent)
		}
		absent = began
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// get returns what is at a URL.
func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s: %s", url, resp.Status, bytes.TrimSpace(raw))
	}
	return raw, err
}

// add adds a list that was served, and returns its version.
func (l *Lists) add(url string, envelope []byte, highest int64, absent time.Time) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	raw, err := keylist.Unsigned(envelope)
	var list *keylist.List
	if err == nil {
		list, err = keylist.Parse(raw)
	}
	if err != nil {
		l.broken = append(l.broken, fmt.Errorf("%s serves what is no list: %w", url, err))
		return highest
	}
	if before, known := l.envelopes[list.Version]; known && !bytes.Equal(before, envelope) {
		l.broken = append(l.broken, fmt.Errorf("the version %d was used twice: for %s and for %s", list.Version, before, envelope))
	}
	if list.Version < highest {
		l.broken = append(l.broken, fmt.Errorf("%s serves the version %d after %d", url, list.Version, highest))
	}
	if len(list.Keys) == 0 {
		l.broken = append(l.broken, fmt.Errorf("the list %d has no keys", list.Version))
	}
	l.envelopes[list.Version] = envelope
	for _, k := range list.Keys {
		if known := l.keys[k.ID]; known == nil {
			l.keys[k.ID], l.absent[k.ID] = k.Public, absent
		} else if !known.Equal(k.Public) {
			l.broken = append(l.broken, fmt.Errorf("%s is two keys", k.ID))
		}
	}
	if l.last == nil || list.Version > l.last.Version {
		l.last = list
	}
	return list.Version
}

// Last is the newest list that was served, nil before the first.
func (l *Lists) Last() *keylist.List {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// States are the keys of the newest list, such as "1 active, 2 next".
func (l *Lists) States() string {
	var all []string
	if last := l.Last(); last != nil {
		for _, k := range last.Keys {
			all = append(all, fmt.Sprintf("%d %s", k.ID.Version, k.State))
		}
	}
	return strings.Join(all, ", ")
}

// Count says how many lists were served.
func (l *Lists) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.envelopes)
}

// Key is the public half of a key that was on a list, nil for another.
func (l *Lists) Key(id key.ID) *ecdsa.PublicKey {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.keys[id]
}

// Check returns an error for each list that the list key has not signed.
func (l *Lists) Check(listKey *ecdsa.PublicKey) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for version, envelope := range l.envelopes {
		if _, err := keylist.Open(envelope, listKey); err != nil {
			errs = append(errs, fmt.Errorf("the list %d: %w", version, err))
		}
	}
	return errors.Join(errs...)
}

// Unlisted returns an error for each version of the signing key, up to the highest, that never was on a list.
func (l *Lists) Unlisted() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for id := range l.keys {
		for v := 1; v < id.Version; v++ {
			if before := (key.ID{Name: id.Name, Version: v}); l.keys[before] == nil {
				errs = append(errs, fmt.Errorf("%s was never on a list, and %s was", before, id))
			}
		}
	}
	return errors.Join(errs...)
}
