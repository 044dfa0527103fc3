package cli

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"
)

var rateForm = regexp.MustCompile(`^(\d*\.?\d+)(B|kB|MB)/?(\d*)(s|sec|m|min)$`)

var rateBytes = map[string]float64{"B": 1, "kB": 1 << 10, "MB": 1 << 20}

// parseRate reads COUNT(B|kB|MB)[/][TIME](s|sec|m|min) and returns bytes per second; empty is 0, no limit.
func parseRate(s string) (float64, error) {
	compact := strings.ReplaceAll(s, " ", "")
	if compact == "" {
		return 0, nil
	}
	part := rateForm.FindStringSubmatch(compact)
	if part == nil {
		return 0, fmt.Errorf(`rate %q is not understood: write it like "5 MB / 5 min" or "17kBs"`, s)
	}
	count, err := strconv.ParseFloat(part[1], 64)
	if err != nil || count <= 0 {
		return 0, fmt.Errorf("rate %q is not understood: %q is not a number above 0", s, part[1])
	}
	seconds := 1.0
	if part[3] != "" {
		if seconds, err = strconv.ParseFloat(part[3], 64); err != nil || seconds <= 0 {
			return 0, fmt.Errorf("rate %q is not understood: %q is not a number above 0", s, part[3])
		}
	}
	if strings.HasPrefix(part[4], "m") {
		seconds *= 60
	}
	return count * rateBytes[part[2]] / seconds, nil
}

// progress shows on a terminal how far a write is, from its second second on, at most every 200 ms.
type progress struct {
	out          io.Writer // nil shows nothing
	now          func() time.Time
	total        int64
	bytes, lines int64
	begin, shown time.Time
}

func newProgress(out io.Writer, total int64) *progress {
	p := &progress{now: time.Now, total: total, begin: time.Now()}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.out = out
	}
	return p
}

func (p *progress) add(bytes, lines int) {
	p.bytes += int64(bytes)
	p.lines += int64(lines)
	now := p.now()
	if p.out == nil || now.Sub(p.begin) < time.Second || now.Sub(p.shown) < 200*time.Millisecond {
		return
	}
	p.shown = now
	_, _ = fmt.Fprintf(p.out, "\r\x1b[K%s", p.text(now)) // nothing depends on its being seen
}

func (p *progress) text(now time.Time) string {
	const mega = 1e6
	rate := float64(p.bytes) / now.Sub(p.begin).Seconds()
	s := fmt.Sprintf("%d lines, %.1f MB, %.1f MB/s", p.lines, float64(p.bytes)/mega, rate/mega)
	if p.total > p.bytes {
		left := time.Duration(float64(p.total-p.bytes) / rate * float64(time.Second))
		s += fmt.Sprintf(", %d %%, %s left", p.bytes*100/p.total, left.Round(time.Second))
	}
	return s
}

// finish clears the line.
func (p *progress) finish() {
	if !p.shown.IsZero() {
		_, _ = fmt.Fprint(p.out, "\r\x1b[K")
	}
}
