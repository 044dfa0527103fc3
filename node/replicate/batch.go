package replicate

import (
	"time"

	"github.com/holdfast-telemetry/holdfast/node/journal"
)

// span is a run of lines of a batch: the indexes from, inclusive, to to, exclusive.
type span struct{ from, to int }

// mark ties a place in a batch to the journal: when all lines before line are decided, everything up to pos is done.
type mark struct {
	line int
	pos  journal.Position
}

// letter is a line that the remote refused for good.
type letter struct {
	line   int
	code   int
	reason string
}

// batch is a piece of work on its way to the remote: lines, and which of them are decided. Lines are decided from the first
// to the last, so that what is done is always a prefix.
type batch struct {
	body   []byte
	ends   []int          // end offset of each line
	marks  []mark         // in line order
	todo   []span         // a stack; the top has the lowest lines, and all lines before it are decided
	struck map[int]letter // refused lines, not to be sent again
	kept   int            // struck lines below this index are in the dead letter file
	moved  bool           // some line was decided

	first time.Time // when the first record was accepted
	tries int       // requests since the last one that succeeded
}

// add appends a record's lines and the position that is reached with them.
func (b *batch) add(body []byte, pos journal.Position) {
	base := len(b.body)
	lines := len(b.ends)
	b.body = append(b.body, body...)
	b.ends = lineEnds(b.ends, body)
	for i := lines; i < len(b.ends); i++ {
		b.ends[i] += base
	}
	if pos != 0 {
		b.marks = append(b.marks, mark{len(b.ends), pos})
	}
	if !b.moved && len(b.ends) > 0 {
		b.todo = append(b.todo[:0], span{0, len(b.ends)})
	}
}

func (b *batch) start(line int) int {
	if line == 0 {
		return 0
	}
	return b.ends[line-1]
}

// line returns the text of a line, without its newline.
func (b *batch) line(i int) []byte {
	text := b.body[b.start(i):b.ends[i]]
	if n := len(text); n > 0 && text[n-1] == '\n' {
		text = text[:n-1]
	}
	return text
}

// decided returns the number of lines before the first one that is still to be sent.
func (b *batch) decided() int {
	if len(b.todo) == 0 {
		return len(b.ends)
	}
	return b.todo[len(b.todo)-1].from
}

// reached returns the position up to which everything is decided, 0 for none.
func (b *batch) reached() journal.Position {
	var pos journal.Position
	decided := b.decided()
	for _, m := range b.marks {
		if m.line > decided {
			break
		}
		pos = m.pos
	}
	return pos
}

// next returns the lines to send now: the top of the stack, cut to limit bytes, at least one line.
func (b *batch) next(limit int) span {
	top := b.todo[len(b.todo)-1]
	if b.start(top.to)-b.start(top.from) <= limit+limit/8 {
		return top
	}
	cut := top.from + 1
	for cut < top.to && b.ends[cut]-b.start(top.from) <= limit {
		cut++
	}
	if cut == top.to {
		return top
	}
	b.todo[len(b.todo)-1].from = cut
	b.todo = append(b.todo, span{top.from, cut})
	return b.todo[len(b.todo)-1]
}

// lines returns the indexes of a span's lines that were not struck.
func (b *batch) lines(sp span) []int {
	lines := make([]int, 0, sp.to-sp.from)
	for i := sp.from; i < sp.to; i++ {
		if _, gone := b.struck[i]; !gone {
			lines = append(lines, i)
		}
	}
	return lines
}

// text returns the lines of a span that were not struck, and their number. It is valid until the batch changes.
func (b *batch) text(sp span) (text []byte, points int) {
	struck := false
	for i := range b.struck {
		struck = struck || sp.from <= i && i < sp.to
	}
	if !struck {
		return b.body[b.start(sp.from):b.start(sp.to)], sp.to - sp.from
	}
	lines := b.lines(sp)
	for _, i := range lines {
		text = append(text, b.body[b.start(i):b.ends[i]]...)
	}
	return text, len(lines)
}

// pop takes the top span as decided.
func (b *batch) pop() {
	b.todo = b.todo[:len(b.todo)-1]
	b.moved = true
	b.tries = 0
}

// halve replaces the top span by its halves.
func (b *batch) halve() {
	top := b.todo[len(b.todo)-1]
	middle := top.from + (top.to-top.from)/2
	b.todo[len(b.todo)-1] = span{middle, top.to}
	b.todo = append(b.todo, span{top.from, middle})
	b.moved = true
}

// strike takes a line out of all further requests.
func (b *batch) strike(l letter) {
	if b.struck == nil {
		b.struck = make(map[int]letter)
	}
	b.struck[l.line] = l
	b.moved = true
}
