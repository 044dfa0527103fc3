package query

import (
	"errors"
	"iter"
)

// keyed is a batch and the group it belongs to.
type keyed struct {
	key groupKey
	b   *batch
}

// groupStream is the batches of one source of a plan that has several, in the order of groups.
type groupStream struct {
	pull func() (keyed, error, bool)
	stop func()
	head keyed
	done bool
}

// advance reads the next batch, which ends the validity of the last.
func (s *groupStream) advance() error {
	k, err, ok := s.pull()
	s.head, s.done = k, !ok || err != nil
	return err
}

// several runs a plan with more than one source, of which at least one is a subquery.
func (r *runner) several() error {
	var streams []*groupStream
	defer func() {
		for _, s := range streams {
			s.stop()
		}
	}()
	for _, feed := range r.feeds() {
		s := &groupStream{}
		s.pull, s.stop = iter.Pull2(feed)
		streams = append(streams, s)
		if err := s.advance(); err != nil {
			return err
		}
	}
	canon := newTagsets(r.p.groupBy)
	for {
		key, ok := r.firstKey(streams)
		if !ok {
			return nil
		}
		var in []batches
		for _, s := range streams {
			if !s.done && s.head.key.compare(key) == 0 {
				in = append(in, &groupBatches{s: s, key: key, canon: canon})
			}
		}
		if err := r.together(key, in); err != nil {
			return err
		}
	}
}

// firstKey returns the group that comes next.
func (r *runner) firstKey(streams []*groupStream) (first groupKey, ok bool) {
	for _, s := range streams {
		if s.done {
			continue
		}
		if c := s.head.key.compare(first); !ok || (c < 0) != r.p.desc && c != 0 {
			first, ok = s.head.key, true
		}
	}
	return first, ok
}

// together runs one group whose rows come from several sources.
func (r *runner) together(key groupKey, in []batches) error {
	run := r.newGroup(key)
	if r.p.needsOrder(r.ordered) && len(in) > 1 {
		m, err := newMerge(r.p, in)
		if err != nil {
			return err
		}
		in = []batches{m}
	}
	for _, s := range in {
		for {
			b, err := s.next()
			if err != nil {
				return err
			}
			if b == nil {
				break
			}
			if err := run.add(b); err != nil {
				return err
			}
		}
	}
	return run.finish()
}

// groupBatches is the batches of a stream that are of one group.
type groupBatches struct {
	s     *groupStream
	key   groupKey
	canon *tagsets
	began bool
}

func (g *groupBatches) next() (*batch, error) {
	if g.began {
		if err := g.s.advance(); err != nil {
			return nil, err
		}
	}
	g.began = true
	if g.s.done || g.s.head.key.compare(g.key) != 0 {
		return nil, nil
	}
	b := g.s.head.b
	b.group = g.canon.of(b.group.get)
	return b, nil
}

// close has nothing to do: the stream goes on with the next group.
func (g *groupBatches) close() error { return nil }

// errStopped ends a source that nobody reads any more.
var errStopped = errors.New("stopped")

// feeds returns the sources as sequences: all measurements as one, and each subquery.
func (r *runner) feeds() []iter.Seq2[keyed, error] {
	ordered := r.p.needsOrder(r.ordered)
	out := []iter.Seq2[keyed, error]{func(yield func(keyed, error) bool) {
		if err := r.feedMeasurements(ordered, yield); err != nil && !errors.Is(err, errStopped) {
			yield(keyed{}, err)
		}
	}}
	for _, s := range r.p.sources {
		if s.sub == nil {
			continue
		}
		out = append(out, func(yield func(keyed, error) bool) {
			in := newFrameReader(r.p, s.sub)
			err := s.sub.run(r.ctx, r.x, ordered, func(f *frame) error {
				if b := in.batch(f); b != nil && !yield(keyed{f.key, b}, nil) {
					return errStopped
				}
				return nil
			})
			if err != nil && !errors.Is(err, errStopped) {
				yield(keyed{}, err)
			}
		})
	}
	return out
}

func (r *runner) feedMeasurements(ordered bool, yield func(keyed, error) bool) error {
	groups, err := r.p.groups(r.ctx, r.x)
	if err != nil {
		return err
	}
	for _, g := range groups {
		add := func(b *batch) error {
			if !yield(keyed{g.key, b}, nil) {
				return errStopped
			}
			return nil
		}
		if err := r.feed(g, ordered, add, func() bool { return false }); err != nil {
			return err
		}
	}
	return nil
}
