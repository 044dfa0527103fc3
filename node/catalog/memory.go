package catalog

import (
	"sync"

	"github.com/holdfast-telemetry/holdfast/internal/id"
)

// memory holds answers that each write request needs, so that they are not decoded from the file each time. A change of the
// catalog empties it. Only what was found is remembered, so that strangers' guesses do not fill it.
type memory struct {
	mu         sync.RWMutex
	generation uint64
	principals map[[32]byte]*Principal
	orgs       map[string]Org
	buckets    map[bucketName]Bucket
	mappings   map[mappingName]Bucket
}

type bucketName struct {
	org    id.ID
	bucket string
}

type mappingName struct {
	org          id.ID
	database, rp string
}

func (m *memory) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.generation++
	m.principals = map[[32]byte]*Principal{}
	m.orgs = map[string]Org{}
	m.buckets = map[bucketName]Bucket{}
	m.mappings = map[mappingName]Bucket{}
}

// maxRemembered bounds each of the maps: one token can come with any number of user names.
const maxRemembered = 4096

// recall returns what is remembered under k, else what find finds, which is remembered unless the catalog changed meanwhile.
func recall[K comparable, V any](m *memory, in func(*memory) map[K]V, k K, find func() (V, error)) (V, error) {
	m.mu.RLock()
	v, ok := in(m)[k]
	generation := m.generation
	m.mu.RUnlock()
	if ok {
		return v, nil
	}
	v, err := find()
	if err != nil {
		return v, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.generation != generation {
		return v, nil
	}
	if len(in(m)) >= maxRemembered {
		clear(in(m))
	}
	in(m)[k] = v
	return v, nil
}
