package deliver

import (
	"strings"
	"sync"
)

// shared are the texts that many pods have: names of namespaces and classes, hashes.
var shared = &texts{}

// maxShared bounds them; a cluster has far fewer.
const maxShared = 20_000

// texts keeps one copy of each text, where a decoder makes one for every object.
type texts struct {
	mu   sync.Mutex
	seen map[string]string
}

// of returns the copy that is kept of a text.
func (t *texts) of(text string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if kept, ok := t.seen[text]; ok {
		return kept
	}
	if t.seen == nil || len(t.seen) >= maxShared {
		t.seen = map[string]string{} // those that are in use come again, and cost a copy
	}
	text = strings.Clone(text)
	t.seen[text] = text
	return text
}
