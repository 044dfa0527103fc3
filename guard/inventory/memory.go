package inventory

import (
	"sync"

	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// Memory is a cache for two inventories of one process: what both revisions have is read once, and is there once.
type Memory struct {
	files    sync.Map
	rendered parsed
}

// NewMemory returns an empty one.
func NewMemory() *Memory { return new(Memory) }

// Get returns what a content has, nil where it was not read.
func (m *Memory) Get(name, hash string) *object.File {
	f, _ := m.files.Load(name + " " + hash)
	file, _ := f.(*object.File)
	return file
}

// Put keeps what a content has.
func (m *Memory) Put(name, hash string, f *object.File) { m.files.Store(name+" "+hash, f) }

func (m *Memory) sharedParsed() *parsed { return &m.rendered }
