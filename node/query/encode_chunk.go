package query

// chunkWriter is an encoder whose documents can end in the midst of a result.
type chunkWriter interface {
	Encoder
	endChunk(messages []Message, err error, partialSeries, partial bool) error
}

// chunker cuts results into documents of at most size rows of one series. It holds one chunk back, because a chunk says
// whether another follows.
type chunker struct {
	out       chunkWriter
	size      int
	statement int
	held      *Series
}

func newChunker(out chunkWriter, o EncodeOptions) *chunker {
	c := &chunker{out: out, size: o.ChunkSize}
	if c.size <= 0 {
		c.size = DefaultChunkSize
	}
	return c
}

func (c *chunker) Begin(statement int) error {
	c.statement, c.held = statement, nil
	return nil
}

func (c *chunker) Series(s *Series) error {
	if c.held != nil && !newOpenSeries(c.held).continuedBy(s) {
		if err := c.write(nil, nil, false, true); err != nil {
			return err
		}
	}
	if s.Rows == 0 && c.held == nil {
		c.held = cloneRows(s, 0, 0)
		return nil
	}
	for lo := 0; lo < s.Rows; {
		if c.held != nil && c.held.Rows >= c.size {
			if err := c.write(nil, nil, true, true); err != nil {
				return err
			}
		}
		if c.held == nil {
			hi := min(lo+c.size, s.Rows)
			c.held = cloneRows(s, lo, hi)
			lo = hi
			continue
		}
		hi := min(lo+c.size-c.held.Rows, s.Rows)
		appendRows(c.held, s, lo, hi)
		lo = hi
	}
	return nil
}

func (c *chunker) End(messages []Message, err error) error {
	if c.held != nil && err != nil {
		if werr := c.write(nil, nil, false, true); werr != nil {
			return werr
		}
	}
	return c.write(messages, err, false, false)
}

// write sends the held chunk as a document.
func (c *chunker) write(messages []Message, err error, partialSeries, partial bool) error {
	if werr := c.out.Begin(c.statement); werr != nil {
		return werr
	}
	if c.held != nil {
		if werr := c.out.Series(c.held); werr != nil {
			return werr
		}
		c.held = nil
	}
	if werr := c.out.endChunk(messages, err, partialSeries, partial); werr != nil {
		return werr
	}
	return c.out.Close()
}

// Close has nothing to do: each chunk is a document of its own.
func (c *chunker) Close() error { return nil }

// cloneRows copies rows [lo, hi) of s, which the caller will overwrite.
func cloneRows(s *Series, lo, hi int) *Series {
	out := &Series{Name: s.Name, Tags: s.Tags, Columns: s.Columns, Location: s.Location, Values: make([]Column, len(s.Values))}
	if s.Times != nil {
		out.Times = []int64{}
	}
	for i := range s.Values {
		out.Values[i].Any = []any{}
	}
	appendRows(out, s, lo, hi)
	return out
}

func appendRows(dst, src *Series, lo, hi int) {
	if src.Times != nil {
		dst.Times = append(dst.Times, src.Times[lo:hi]...)
	}
	for i := range src.Values {
		for r := lo; r < hi; r++ {
			dst.Values[i].Any = append(dst.Values[i].Any, src.Values[i].Value(r))
		}
	}
	dst.Rows += hi - lo
}
