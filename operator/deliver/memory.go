package deliver

import (
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// memory is what a controller remembers between two looks at a namespace. Losing it costs a write or delays a clean-up, no more.
type memory struct {
	mu         sync.Mutex
	namespaces map[string]*space
}

type space struct {
	// needed is when each class that is in the object, or should be, was last needed.
	needed map[string]time.Time
	// version is the resource version of the object as this process wrote it.
	version string
	// reported are the classes with figures in the metrics.
	reported []string
	// failure is why the last delivery failed, and told are the pods on which that was said.
	failure string
	told    map[types.UID]bool
	// unserved is that the log has said that pods here mount an object of the other kind.
	unserved bool
}

// of returns the memory of a namespace. Two looks at one namespace never happen at once.
func (m *memory) of(namespace string) *space {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.namespaces == nil {
		m.namespaces = map[string]*space{}
	}
	s := m.namespaces[namespace]
	if s == nil {
		s = &space{needed: map[string]time.Time{}}
		m.namespaces[namespace] = s
	}
	return s
}

func (m *memory) forget(namespace string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.namespaces, namespace)
}

// keep notes which classes are needed now, and which were in the object before this process looked. It returns how long until the next
// of those that are not needed any more may go; those that may go now are forgotten.
func (s *space) keep(needed, present []string, now time.Time, grace time.Duration) (next time.Duration) {
	for _, class := range present {
		if _, known := s.needed[class]; !known {
			s.needed[class] = now
		}
	}
	for _, class := range needed {
		s.needed[class] = now
	}
	for class, last := range s.needed {
		if slices.Contains(needed, class) {
			continue
		}
		left := last.Add(grace).Sub(now)
		if left <= 0 {
			delete(s.needed, class)
		} else if next == 0 || left < next {
			next = left
		}
	}
	return next
}
