package access

import (
	"container/list"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rate is how often something may happen.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Limits bound how often requests are served. A nil *Limits bounds nothing. Its fields are set before it is used.
type Limits struct {
	// Identity is for each identity, all its credentials together.
	Identity Rate
	// Overall is for all identities together.
	Overall Rate
	// Failures is for credentials that are refused, for each address, an IPv6 address by its /64. Beyond it they are answered with 429, so that
	// the caller need not keep a record of each. A good credential is never refused for what others from its address sent.
	Failures Rate
	// Tracked is how many identities, and how many addresses, are told apart at a time. Those beyond share one allowance.
	Tracked int
	Now     func() time.Time

	mu         sync.Mutex
	overall    *rate.Limiter
	identities *buckets
	addresses  *buckets
}

// NewLimits returns limits that no pipeline reaches by itself.
func NewLimits() *Limits {
	return &Limits{Identity: Rate{20, 200}, Overall: Rate{200, 1000}, Failures: Rate{1, 20}, Tracked: 10_000, Now: time.Now}
}

func (l *Limits) init() {
	if l.overall == nil {
		l.overall = l.Overall.limiter()
		l.identities, l.addresses = newBuckets(l.Identity, l.Tracked), newBuckets(l.Failures, l.Tracked)
	}
}

func (r Rate) limiter() *rate.Limiter { return rate.NewLimiter(rate.Limit(r.PerSecond), r.Burst) }

// allow counts a request of an identity.
func (l *Limits) allow(id Identity) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.init()
	now := l.Now()
	own := l.identities.of(id.Kind+" "+id.Name, now)
	wait, reserved := reserve(own, now)
	if wait > 0 {
		return limited("this identity asks too often", wait, "%s %.200q asks more often than %v times a second", id.Kind, id.Name, l.Identity.PerSecond)
	}
	if wait, _ := reserve(l.overall, now); wait > 0 {
		reserved.CancelAt(now) // what others took is not counted against this one
		return limited("the service is asked too often", wait, "all identities together ask more often than %v times a second", l.Overall.PerSecond)
	}
	return nil
}

// failed counts a refused credential, and returns what to answer.
func (l *Limits) failed(remote string, e *Error) error {
	if l == nil || e.Status != http.StatusUnauthorized {
		return e
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.init()
	now := l.Now()
	wait, _ := reserve(l.addresses.of(source(remote), now), now)
	if wait == 0 {
		return e
	}
	return &Error{
		Status:     http.StatusTooManyRequests,
		Client:     "too many credentials from this address were refused, and this one is too",
		RetryAfter: wait,
		Cause:      fmt.Errorf("more credentials from this address are refused than %v a second: %w", l.Failures.PerSecond, e),
	}
}

func limited(client string, wait time.Duration, format string, args ...any) *Error {
	return &Error{Status: http.StatusTooManyRequests, Client: client, RetryAfter: wait, Cause: fmt.Errorf(format, args...)}
}

// never is how long a limit of nothing a second has one wait.
const never = time.Hour

// reserve takes one, or says how long to wait and takes none.
func reserve(l *rate.Limiter, now time.Time) (time.Duration, *rate.Reservation) {
	r := l.ReserveN(now, 1)
	if !r.OK() {
		return never, r
	}
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
	}
	return min(wait, never), r
}

// source is the part of an address that one client can be held to.
func source(remote string) string {
	port, err := netip.ParseAddrPort(remote)
	if err != nil {
		return ""
	}
	addr := port.Addr().Unmap().WithZone("")
	if addr.Is6() {
		prefix, err := addr.Prefix(64)
		if err != nil {
			return ""
		}
		return prefix.String()
	}
	return addr.String()
}

// buckets are the allowances of a bounded number of names.
type buckets struct {
	rate   Rate
	most   int
	names  map[string]*list.Element
	order  *list.List // of *bucket, used last at the front
	shared *rate.Limiter
}

type bucket struct {
	name    string
	limiter *rate.Limiter
}

func newBuckets(r Rate, most int) *buckets {
	return &buckets{rate: r, most: most, names: make(map[string]*list.Element), order: list.New(), shared: r.limiter()}
}

// of returns the allowance of a name. For a new name the one used least lately is forgotten, when that takes nothing from the limit: when
// its allowance is whole again. Otherwise the new name has to share, so that nobody gets more by making up names.
func (b *buckets) of(name string, now time.Time) *rate.Limiter {
	if e := b.names[name]; e != nil {
		b.order.MoveToFront(e)
		return e.Value.(*bucket).limiter
	}
	if len(b.names) >= b.most {
		oldest := b.order.Back()
		if oldest == nil || oldest.Value.(*bucket).limiter.TokensAt(now) < float64(b.rate.Burst) {
			return b.shared
		}
		delete(b.names, oldest.Value.(*bucket).name)
		b.order.Remove(oldest)
	}
	added := &bucket{name, b.rate.limiter()}
	b.names[name] = b.order.PushFront(added)
	return added.limiter
}

// Check says whether the limits let anything through.
func (l *Limits) Check() error {
	for what, r := range map[string]Rate{"identity": l.Identity, "overall": l.Overall, "failures": l.Failures} {
		if r.PerSecond <= 0 || r.Burst < 1 {
			return fmt.Errorf("the limit %s is %v a second with a burst of %d, which lets nothing through", what, r.PerSecond, r.Burst)
		}
	}
	if l.Tracked < 1 {
		return errors.New("the limits must tell at least one identity apart")
	}
	return nil
}
