package store

import (
	"context"
	"slices"
)

// TagKeys returns the keys of the tags that series of a measurement have which may have data within tr, sorted. It asks the index and does
// not list the series.
func (b *Bucket) TagKeys(ctx context.Context, name string, tr TimeRange) ([]string, error) {
	postings, err := b.postingsByTag(name)
	if err != nil {
		return nil, err
	}
	var keys []string
	for key, lists := range postings {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		// One value that is present is enough, and mostly the first one is.
		if slices.ContainsFunc(lists, func(ids []uint32) bool { return len(b.present(name, ids, tr)) > 0 }) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// postingsByTag copies the headers of a measurement's posting lists; the lists themselves stay valid.
func (b *Bucket) postingsByTag(name string) (map[string][][]uint32, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, ErrClosed
	}
	m := b.index.measurements[name]
	if m == nil {
		return nil, nil
	}
	out := make(map[string][][]uint32, len(m.tags))
	for key, values := range m.tags {
		for _, ids := range values {
			out[key] = append(out[key], ids)
		}
	}
	return out, nil
}
