package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
)

// Encoding is the version of what a Store is given, and of what renders it: results of another one are of no use.
const Encoding = 1

// Store keeps what was rendered from one run to the next, by the hash of the specification. What it gives may be damaged or old: it is
// used only where the tree answers all questions as it did.
type Store interface {
	Rendered(key string) []byte
	PutRendered(key string, results []byte)
}

// memo keeps what was rendered, with all that was asked about the tree: where every answer would be the same, the result is.
type memo struct {
	mu      sync.Mutex
	results map[[32]byte][]*remembered
	loaded  map[[32]byte]bool // from a store
	size    int
}

// remembered is one result of a specification.
type remembered struct {
	asked  map[question]string
	result *Result
	err    *Error
}

// How much is kept: results of one specification, for the two sides of a comparison and those before; and bytes in all.
const (
	maxRemembered = 4
	maxKept       = 512 << 20
)

func (s *Spec) key() [32]byte {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // patches come from JSON
	}
	return sha256.Sum256(fmt.Appendf(text, " %d", Encoding))
}

// get returns what a specification renders to with these files, where it was rendered before.
func (m *memo) get(key [32]byte, f *files, store Store) (*Result, error, bool) {
	m.mu.Lock()
	all, loaded := m.results[key], m.loaded[key]
	m.mu.Unlock()
	for n := len(all) - 1; n >= 0; n-- {
		if r := all[n]; r.holds(f) {
			if r.err != nil {
				return nil, r.err, true
			}
			return r.result, nil, true
		}
	}
	if loaded || store == nil {
		return nil, nil, false
	}
	m.keep(key, decodeResults(store.Rendered(hex.EncodeToString(key[:]))))
	m.mu.Lock()
	if m.loaded == nil {
		m.loaded = make(map[[32]byte]bool)
	}
	m.loaded[key] = true
	m.mu.Unlock()
	return m.get(key, f, nil)
}

func (r *remembered) holds(f *files) bool {
	for q, hash := range r.asked {
		if !f.same(q, hash) {
			return false
		}
	}
	return true
}

// put keeps a result.
func (m *memo) put(key [32]byte, f *files, result *Result, err *Error, store Store) {
	all := m.keep(key, []*remembered{{asked: f.asked, result: result, err: err}})
	if store != nil {
		if text := encodeResults(all); text != nil {
			store.PutRendered(hex.EncodeToString(key[:]), text)
		}
	}
}

// keep adds results, and returns those of the specification.
func (m *memo) keep(key [32]byte, more []*remembered) []*remembered {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range more {
		m.size += r.result.size()
	}
	if m.results == nil || m.size > maxKept {
		m.results, m.size = make(map[[32]byte][]*remembered), 0
	}
	all := append(append([]*remembered(nil), m.results[key]...), more...)
	all = all[max(0, len(all)-maxRemembered):]
	m.results[key] = all
	return all
}

func (r *Result) size() (n int) {
	if r == nil {
		return 0
	}
	for _, d := range r.Documents {
		n += len(d.Data)
	}
	return n
}

// stored is the header of a result in a store. Its data are the documents, one after the other, as between the processes.
type stored struct {
	Asked     []answered `json:"asked"`
	Documents []part     `json:"documents,omitempty"`
	Files     []string   `json:"files,omitempty"`
	Err       *Error     `json:"err,omitempty"`
}

type answered struct {
	question
	Hash string
}

// encodeResults writes each result as a frame, nil where one is too large for it.
func encodeResults(all []*remembered) []byte {
	var b bytes.Buffer
	for _, r := range all {
		h := stored{Err: r.err}
		for q, hash := range r.asked {
			h.Asked = append(h.Asked, answered{q, hash})
		}
		var data []byte
		if r.result != nil {
			h.Files = r.result.Files
			for _, d := range r.result.Documents {
				h.Documents = append(h.Documents, part{d.Origin, d.Line, len(d.Data)})
				data = append(data, d.Data...)
			}
		}
		if writeFrame(&b, h, data) != nil {
			return nil
		}
	}
	return b.Bytes()
}

// decodeResults reads what encodeResults wrote, up to what is damaged.
func decodeResults(text []byte) (all []*remembered) {
	for rest := bytes.NewReader(text); rest.Len() > 0; {
		var h stored
		data, err := readFrame(rest, &h, int64(rest.Len()))
		if err != nil || len(h.Asked) == 0 || len(all) == maxRemembered {
			return all
		}
		r := &remembered{asked: make(map[question]string, len(h.Asked)), err: h.Err}
		for _, a := range h.Asked {
			r.asked[a.question] = a.Hash
		}
		if h.Err == nil {
			if r.result, err = (&message{Documents: h.Documents}).result(data); err != nil {
				return all
			}
			r.result.Files = h.Files
		}
		all = append(all, r)
	}
	return all
}
