package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// bar shows how far work is, on a terminal as a bar that is drawn over, and else as a line now and then.
type bar struct {
	out         io.Writer
	total, done int
	begin, last time.Time
	terminal    bool
}

func newBar(out io.Writer, total int) *bar {
	f, ok := out.(*os.File)
	return &bar{out: out, total: total, begin: time.Now(), terminal: ok && term.IsTerminal(int(f.Fd()))}
}

const width = 40

// step counts one more.
func (b *bar) step() {
	b.done++
	every := 5 * time.Second
	if b.terminal {
		every = 100 * time.Millisecond
	}
	if b.done < b.total && time.Since(b.last) < every {
		return
	}
	b.last = time.Now()
	if !b.terminal {
		_, _ = fmt.Fprintf(b.out, "%d of %d, %.0f s left\n", b.done, b.total, b.left().Seconds())
		return
	}
	full := width * b.done / b.total
	_, _ = fmt.Fprintf(b.out, "\r[%s%s] %d of %d, %.0f s left ", strings.Repeat("=", full), strings.Repeat(" ", width-full), b.done, b.total, b.left().Seconds())
	if b.done == b.total {
		_, _ = fmt.Fprintln(b.out)
	}
}

func (b *bar) left() time.Duration {
	return time.Since(b.begin) / time.Duration(b.done) * time.Duration(b.total-b.done)
}

// end tells how long it took.
func (b *bar) end() string {
	took := time.Since(b.begin)
	return fmt.Sprintf("%d images in %.1f s, %.1f a second", b.done, took.Seconds(), float64(b.done)/max(took.Seconds(), 0.001))
}
