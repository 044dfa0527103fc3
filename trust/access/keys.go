package access

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// When an issuer is asked for its keys.
const (
	freshFor   = 10 * time.Minute // then they are asked for again, so that a key that the issuer took away is not taken here
	usableFor  = 12 * time.Hour   // that long they are used on while the issuer does not answer
	minRefetch = 10 * time.Second // between two times, whatever key ids tokens have
	maxKeys    = 100              // of one issuer
	minRSA     = 2048             // bits
	maxRSA     = 8192             // bits: a longer one makes each check expensive
)

// remoteKeys are the keys of an issuer that is asked for them.
type remoteKeys struct {
	issuer *Issuer

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	fetched time.Time     // when keys were last got
	tried   time.Time     // when they were last asked for
	err     error         // of that time
	asking  chan struct{} // closed when the request that asks now is done; nil when none does

	client *http.Client // set by the one that asks
	url    string       // where the keys are; "" when it must be found first
}

// get returns the keys with an id, or all keys when there is none. It asks the issuer when the id is not known or the keys are old, in the
// goroutine of the request that needs it; others wait for that, when there are no keys that they can use.
func (k *remoteKeys) get(ctx context.Context, id string) ([]jose.JSONWebKey, error) {
	for {
		k.mu.Lock()
		now := k.issuer.Now()
		usable, fresh := now.Sub(k.fetched) < usableFor, now.Sub(k.fetched) < freshFor
		early := now.Sub(k.tried) < minRefetch
		var found []jose.JSONWebKey
		if usable {
			found = withID(k.keys, id)
		}
		asking, err := k.asking, k.err
		switch {
		case len(found) > 0 && (fresh || early || asking != nil):
			k.mu.Unlock()
			return found, nil
		case asking == nil && early && err != nil:
			k.mu.Unlock()
			return nil, unavailable("getting the keys of the issuer %s: %w", k.issuer.URL, err)
		case asking == nil && early:
			k.mu.Unlock()
			return nil, fmt.Errorf("the issuer has no key with the id %.100q; it is asked again at most every %v", id, minRefetch)
		case asking == nil:
			k.tried, k.asking = now, make(chan struct{})
			k.mu.Unlock()
			k.ask(ctx)
			continue
		}
		k.mu.Unlock()
		select {
		case <-asking:
		case <-ctx.Done():
			return nil, unavailable("waiting for the keys of the issuer %s: %w", k.issuer.URL, ctx.Err())
		}
	}
}

// ask asks the issuer. The request that started it does not end it when it ends, or a client could keep keys from coming by hanging up.
func (k *remoteKeys) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchWithin)
	defer cancel()
	keys, err := k.fetch(ctx)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.keys, k.fetched = keys, k.issuer.Now()
	} else {
		k.url = "" // it may have moved
	}
	k.err = err
	close(k.asking)
	k.asking = nil
}

func (k *remoteKeys) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	if k.client == nil {
		client, err := k.issuer.client()
		if err != nil {
			return nil, err
		}
		k.client = client
	}
	if k.url == "" {
		url, err := k.issuer.discover(ctx, k.client)
		if err != nil {
			return nil, fmt.Errorf("its configuration: %.300s", err.Error()) // the text may hold its whole answer
		}
		k.url = url
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, err
	}
	response, err := k.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", k.url, response.Status)
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", k.url, err)
	}
	keys, err := parseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.url, err)
	}
	return keys, nil
}

// withID are the keys with an id; all, when a token names none.
func withID(keys []jose.JSONWebKey, id string) []jose.JSONWebKey {
	if id == "" {
		return keys
	}
	var found []jose.JSONWebKey
	for _, key := range keys {
		if key.KeyID == id {
			found = append(found, key)
		}
	}
	return found
}

// parseKeys reads a JWKS and returns the keys in it that tokens can be signed with here. Keys of other types are passed over, as RFC 7517 §5 asks;
// a set that has none is an error.
func parseKeys(text []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("it is no set of keys: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("it has %d keys, and at most %d are read", len(set.Keys), maxKeys)
	}
	var keys []jose.JSONWebKey
	for _, text := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(text, &key) == nil && usableKey(key) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("it has no public key for RSA of 2048 to 8192 bits or for ECDSA")
	}
	return keys, nil
}

func usableKey(key jose.JSONWebKey) bool {
	if key.Use != "" && key.Use != "sig" {
		return false
	}
	switch k := key.Key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= minRSA && k.N.BitLen() <= maxRSA
	case *ecdsa.PublicKey:
		return true
	}
	return false // symmetric keys, private ones, and what is not known
}
