package store

import "fmt"

// DropExpired removes the partitions that the retention no longer covers at all. What has expired of the others is hidden from
// readers already.
func (b *Bucket) DropExpired() error {
	b.edit.Lock()
	defer b.edit.Unlock()
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return ErrClosed
	}
	var c change
	if earliest, ok := b.earliest(b.store.o.Now()); ok {
		for _, p := range b.partitions {
			if p.span.Max < earliest {
				c.drop = append(c.drop, p)
			}
		}
	}
	b.mu.Unlock()
	if len(c.drop) == 0 {
		return nil
	}
	if err := b.commit(c); err != nil {
		return fmt.Errorf("drop expired partitions of bucket %s: %w", b.id, err)
	}
	b.log.Info("dropped expired partitions", "partitions", len(c.drop))
	return nil
}
