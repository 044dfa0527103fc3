package api

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/catalog"
)

// Bounds of a list's limit parameter.
const (
	minLimit     = 1
	maxLimit     = 100
	defaultLimit = 20
)

// page is the part of a list that a request asks for.
type page struct {
	limit, offset int // limit 0 is no limit
	after         id.ID
	sortBy        string
	descending    bool
}

// page reads the paging parameters. limit is what holds when the request names none.
func (r *request) page(limit int) (p page, err error) {
	p = page{limit: limit, sortBy: r.query("sortBy"), descending: r.query("descending") == "true"}
	if s := r.query("limit"); s != "" {
		if p.limit, err = strconv.Atoi(s); err != nil || p.limit < minLimit || p.limit > maxLimit {
			return p, failf(catalog.Invalid, "limit must be between %d and %d", minLimit, maxLimit)
		}
	}
	if s := r.query("offset"); s != "" {
		if p.offset, err = strconv.Atoi(s); err != nil || p.offset < 0 {
			return p, failf(catalog.Invalid, "offset must be a number that is not negative")
		}
	}
	p.after, err = r.queryID("after")
	return p, err
}

// listed is what lists can be sorted by.
type listed struct {
	id               id.ID
	name             string
	created, updated time.Time
}

// cut sorts all and returns the part that p asks for. Without sortBy the order stays.
func cut[T any](p page, all []T, of func(*T) listed) ([]T, error) {
	by := map[string]func(a, b listed) int{
		"id":        func(a, b listed) int { return cmp.Compare(a.id, b.id) },
		"name":      func(a, b listed) int { return cmp.Compare(a.name, b.name) },
		"createdAt": func(a, b listed) int { return a.created.Compare(b.created) },
		"updatedAt": func(a, b listed) int { return a.updated.Compare(b.updated) },
	}[cmp.Or(p.sortBy, "createdAt")]
	if by == nil {
		return nil, failf(catalog.Invalid, "unknown sortBy %q: it is id, name, createdAt or updatedAt", p.sortBy)
	}
	slices.SortStableFunc(all, func(a, b T) int {
		x, y := of(&a), of(&b)
		n := cmp.Or(by(x, y), cmp.Compare(x.id, y.id))
		if p.descending {
			return -n
		}
		return n
	})
	if p.after != 0 {
		i := slices.IndexFunc(all, func(v T) bool { return of(&v).id == p.after })
		if i < 0 {
			return []T{}, nil
		}
		all = all[i+1:]
	}
	all = all[min(p.offset, len(all)):]
	if p.limit > 0 {
		all = all[:min(p.limit, len(all))]
	}
	return all, nil
}

// links returns the addresses of this page and its neighbours, with the request's other parameters. There is a next page when this
// one is full.
func (p page) links(u *url.URL, n int) links {
	at := func(offset int) string {
		q := u.Query()
		q.Set("limit", strconv.Itoa(p.limit))
		q.Set("offset", strconv.Itoa(offset))
		return u.Path + "?" + q.Encode()
	}
	l := links{"self": at(p.offset)}
	if p.offset > 0 {
		l["prev"] = at(max(p.offset-p.limit, 0))
	}
	if n == p.limit {
		l["next"] = at(p.offset + p.limit)
	}
	return l
}
