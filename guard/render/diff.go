package render

import (
	"bytes"
	"fmt"
	"strings"
)

// Limits of a diff that a person reads.
const (
	maxDiffLines  = 20
	maxDiffMiddle = 400 // lines that are compared with each other; of more, only the first are shown
	maxDiffLine   = 200 // bytes
)

// diff returns the lines that two texts do not share, "-" before those of the first and "+" before those of the second, and the number
// of the first text's line before each run of them.
func diff(a, b []byte) string {
	x, y := lines(a), lines(b)
	start := 0
	for start < len(x) && start < len(y) && x[start] == y[start] {
		start++
	}
	for len(x) > start && len(y) > start && x[len(x)-1] == y[len(y)-1] {
		x, y = x[:len(x)-1], y[:len(y)-1]
	}
	d := differ{line: start}
	x, y = x[start:], y[start:]
	if len(x) > maxDiffMiddle || len(y) > maxDiffMiddle {
		d.rest(x, y)
	} else {
		d.walk(x, y, common(x, y))
	}
	if d.more > 0 {
		fmt.Fprintf(&d.out, "... and %d more lines\n", d.more)
	}
	return d.out.String()
}

func lines(text []byte) []string {
	text, _ = bytes.CutSuffix(text, []byte("\n"))
	return strings.Split(string(text), "\n")
}

// common returns how many lines each pair of ends has in common.
func common(x, y []string) [][]int {
	length := make([][]int, len(x)+1)
	length[len(x)] = make([]int, len(y)+1)
	for i := len(x) - 1; i >= 0; i-- {
		length[i] = make([]int, len(y)+1)
		for j := len(y) - 1; j >= 0; j-- {
			if x[i] == y[j] {
				length[i][j] = length[i+1][j+1] + 1
			} else {
				length[i][j] = max(length[i+1][j], length[i][j+1])
			}
		}
	}
	return length
}

// differ writes a diff.
type differ struct {
	out     strings.Builder
	line    int // of the first text, that come next
	written int
	more    int
	open    bool // a run of lines that differ
}

func (d *differ) walk(x, y []string, length [][]int) {
	for i, j := 0, 0; i < len(x) || j < len(y); {
		switch {
		case i < len(x) && j < len(y) && x[i] == y[j]:
			d.open = false
			d.line++
			i, j = i+1, j+1
		case j == len(y) || i < len(x) && length[i+1][j] >= length[i][j+1]:
			d.add("-", x[i])
			d.line++
			i++
		default:
			d.add("+", y[j])
			j++
		}
	}
}

func (d *differ) rest(x, y []string) {
	for _, line := range x {
		d.add("-", line)
	}
	for _, line := range y {
		d.add("+", line)
	}
}

func (d *differ) add(sign, line string) {
	if d.written == maxDiffLines {
		d.more++
		return
	}
	if !d.open {
		fmt.Fprintf(&d.out, "@ line %d\n", d.line+1)
		d.open = true
	}
	if len(line) > maxDiffLine {
		line = strings.ToValidUTF8(line[:maxDiffLine], "") + "..."
	}
	fmt.Fprintf(&d.out, "%s %s\n", sign, line)
	d.written++
}
