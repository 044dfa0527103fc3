package engine

import (
	"crypto/sha256"
	"encoding/json"
	"sync"
)

// memo keeps what was rendered, with all that was asked about the tree: where every answer would be the same, the result is.
type memo struct {
	mu      sync.Mutex
	results map[[32]byte][]*remembered
}

// remembered is one result of a specification.
type remembered struct {
	asked  map[question]string
	result *Result
	err    *Error
}

// maxRemembered is how many results of one specification are kept: of the two sides of a comparison, and of those before.
const maxRemembered = 4

func (s *Spec) key() [32]byte {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // patches come from JSON
	}
	return sha256.Sum256(text)
}

func (m *memo) get(key [32]byte, f *files) (*Result, error, bool) {
	m.mu.Lock()
	all := m.results[key]
	m.mu.Unlock()
	for n := len(all) - 1; n >= 0; n-- {
		if r := all[n]; r.holds(f) {
			if r.err != nil {
				return nil, r.err, true
			}
			return r.result, nil, true
		}
	}
	return nil, nil, false
}

func (r *remembered) holds(f *files) bool {
	for q, hash := range r.asked {
		if !f.same(q, hash) {
			return false
		}
	}
	return true
}

func (m *memo) put(key [32]byte, f *files, result *Result, err *Error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.results == nil {
		m.results = make(map[[32]byte][]*remembered)
	}
	all := append(m.results[key], &remembered{asked: f.asked, result: result, err: err})
	m.results[key] = append([]*remembered(nil), all[max(0, len(all)-maxRemembered):]...)
}
