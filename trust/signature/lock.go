package signature

import (
	"context"
	"sync"
)

// locks are one lock for each name that is in use.
type locks struct {
	mu    sync.Mutex
	names map[string]*lock
}

type lock struct {
	free  chan struct{} // holds one token when nobody has the lock
	users int           // who has it or waits
}

// writing holds the tags that this process is writing. It is for the whole process, as two clients may know one registry.
var writing = locks{names: map[string]*lock{}}

// acquire waits for a name, and returns what gives it back.
func (l *locks) acquire(ctx context.Context, name string) (release func(), err error) {
	l.mu.Lock()
	one := l.names[name]
	if one == nil {
		one = &lock{free: make(chan struct{}, 1)}
		one.free <- struct{}{}
		l.names[name] = one
	}
	one.users++
	l.mu.Unlock()
	select {
	case <-one.free:
		return func() { one.free <- struct{}{}; l.leave(name, one) }, nil
	case <-ctx.Done():
		l.leave(name, one)
		return nil, context.Cause(ctx)
	}
}

func (l *locks) leave(name string, one *lock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one.users--; one.users == 0 {
		delete(l.names, name)
	}
}
