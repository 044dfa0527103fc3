package replicate

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// named is a line that an answer names as refused.
type named struct {
	index  int
	reason string
}

// verdict is what can be learnt from an answer that refuses lines.
type verdict struct {
	refused []named
	// stored tells that every line that is not in refused is at the remote, so that none of it needs to go again.
	stored bool
}

// v3LineErrors is how many line errors a 3.x remote lists at most. A list of that length may be cut short.
const v3LineErrors = 100

// judge reads an answer that refuses some of the lines. When it tells nothing, the verdict is empty and the lines must be halved.
func judge(a Answer, lines [][]byte) verdict {
	if v, ok := judgeV3(a.Body, lines); ok {
		return v
	}
	text := remoteText(a)
	if v, ok := judgeNumbered(text, lines); ok {
		return v
	}
	if v, ok := judgeQuoted(text, lines); ok {
		return v
	}
	return judgePartial(text, lines)
}

// remoteText returns the whole message of an answer.
func remoteText(a Answer) string {
	var words struct {
		Message string `json:"message"`
		Error   string `json:"error"`
	}
	if json.Unmarshal(a.Body, &words) != nil {
		return string(a.Body)
	}
	if words.Message != "" {
		return words.Message
	}
	return words.Error
}

// v3Error is one line error; the list is one object where the whole request was refused.
type v3Error struct {
	Line    int    `json:"line_number"`
	Message string `json:"error_message"`
}

// judgeV3 reads the list of line errors of InfluxDB 3: `{"error":"partial write of line protocol occurred","data":[…]}`.
func judgeV3(body []byte, lines [][]byte) (v verdict, ok bool) {
	var answer struct {
		Error string          `json:"error"`
		Data  json.RawMessage `json:"data"`
	}
	if json.Unmarshal(body, &answer) != nil || len(answer.Data) == 0 {
		return v, false
	}
	list := make([]v3Error, 1)
	if json.Unmarshal(answer.Data, &list) != nil && json.Unmarshal(answer.Data, &list[0]) != nil {
		return v, false
	}
	for _, d := range list {
		if d.Line < 1 || d.Line > len(lines) {
			return verdict{}, false
		}
		v.add(d.Line-1, d.Message)
	}
	v.stored = strings.HasPrefix(answer.Error, "partial write") && len(list) < v3LineErrors
	return v, len(list) > 0 && plainLines(lines)
}

// plainLines reports whether every line is one line of the body, so that line numbers are indexes.
func plainLines(lines [][]byte) bool {
	return !slices.ContainsFunc(lines, func(l []byte) bool { return bytes.IndexByte(l, '\n') >= 0 })
}

var numbered = regexp.MustCompile(`error parsing line (\d+) \(1-based\): ([^\n]*)`)

// judgeNumbered reads the message of the hosted 3.x remotes: `error parsing line 2 (1-based): <reason>`.
func judgeNumbered(text string, lines [][]byte) (v verdict, ok bool) {
	for _, m := range numbered.FindAllStringSubmatch(text, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil || n < 1 || n > len(lines) {
			return verdict{}, false
		}
		v.add(n-1, m[2])
	}
	return v, len(v.refused) > 0 && plainLines(lines)
}

const unparsable = "unable to parse '"

// judgeQuoted reads `unable to parse '<line>': <reason>`, one to a line. 2.x has stored nothing of such a request, 1.x the rest.
// A line counts only when the text quotes it whole.
func judgeQuoted(text string, lines [][]byte) (v verdict, ok bool) {
	if !strings.Contains(text, unparsable) {
		return v, false
	}
	index := make(map[string]int, len(lines))
	for i, l := range lines {
		index[string(l)] = i
	}
	entries := 0
	for rest := text; ; entries++ {
		_, after, found := strings.Cut(rest, unparsable)
		if !found {
			break
		}
		rest = after
		for end := 0; ; end++ {
			n := strings.Index(after[end:], "': ")
			if n < 0 {
				break
			}
			end += n
			if i, known := index[after[:end]]; known {
				reason, _, _ := strings.Cut(after[end+3:], "\n")
				v.add(i, "unable to parse: "+reason)
				break
			}
		}
	}
	v.stored = strings.Contains(text, "partial write: "+unparsable) && entries == len(v.refused)
	return v, len(v.refused) > 0
}

var (
	partial   = regexp.MustCompile(`(?s)partial write: (.*?) dropped=(\d+)`)
	conflict  = regexp.MustCompile(`(?s)input field "(.*)" on measurement "(.*)" is type (\w+), already exists as type`)
	oldBound  = regexp.MustCompile(`Lower Bound at ([0-9T:.+Z-]+)`)
	newBound  = regexp.MustCompile(`Upper Bound at ([0-9T:.+Z-]+)`)
	shardSpan = int64(time.Hour) // no time partition of 1.x or 2.x is narrower
)

// judgePartial reads `partial write: <reason> dropped=<n>`, which names no lines. Where the reason describes exactly n of the
// lines, they are the ones.
func judgePartial(text string, lines [][]byte) (v verdict) {
	m := partial.FindStringSubmatch(text)
	if m == nil {
		return v
	}
	dropped, err := strconv.Atoi(m[2])
	if err != nil {
		return v
	}
	if dropped == 0 {
		v.stored = true // a field was stripped; every line is there
		return v
	}
	if dropped == len(lines) {
		return v.all(len(lines), m[0])
	}
	var which []int
	switch {
	case strings.Contains(m[1], "retention policy"):
		which = outside(m[1], dropped, lines)
	case onePartition(lines):
		// Only the first conflict of one partition is told; over several partitions the count would be too small.
		which = conflicting(m[1], lines)
	}
	if len(which) != dropped {
		return v
	}
	for _, i := range which {
		v.refused = append(v.refused, named{i, clip([]byte(m[0]), messageLimit)})
	}
	v.stored = true
	return v
}

func (v *verdict) add(index int, reason string) {
	if !slices.ContainsFunc(v.refused, func(n named) bool { return n.index == index }) {
		v.refused = append(v.refused, named{index, clip([]byte(reason), messageLimit)})
	}
}

func (v verdict) all(n int, reason string) verdict {
	for i := range n {
		v.refused = append(v.refused, named{i, clip([]byte(reason), messageLimit)})
	}
	v.stored = true
	return v
}

// outside returns the lines that a retention policy refuses: those beyond the bounds that the text gives, or, for the older text
// without bounds, the n oldest.
func outside(reason string, n int, lines [][]byte) (which []int) {
	low, lowOK := boundOf(oldBound, reason)
	high, highOK := boundOf(newBound, reason)
	times := make([]int64, len(lines))
	for i, l := range lines {
		t, ok := lineTime(l)
		if !ok {
			return nil
		}
		times[i] = t
		if lowOK && t < low || highOK && t > high {
			which = append(which, i)
		}
	}
	if lowOK || highOK || n >= len(lines) {
		return which
	}
	sorted := slices.Sorted(slices.Values(times))
	if sorted[n-1] == sorted[n] {
		return nil
	}
	for i, t := range times {
		if t <= sorted[n-1] {
			which = append(which, i)
		}
	}
	return which
}

func boundOf(re *regexp.Regexp, text string) (ns int64, ok bool) {
	m := re.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	t, err := time.Parse(time.RFC3339Nano, m[1])
	return t.UnixNano(), err == nil
}

// onePartition reports whether all lines are of one hour of the clock, and so of one time partition of the remote.
func onePartition(lines [][]byte) bool {
	first, ok := lineTime(lines[0])
	for _, l := range lines {
		t, timed := lineTime(l)
		ok = ok && timed && t >= 0 && t/shardSpan == first/shardSpan
	}
	return ok
}

// conflicting returns the lines that have the field of a type conflict with the type that the text tells.
func conflicting(reason string, lines [][]byte) (which []int) {
	m := conflict.FindStringSubmatch(reason)
	if m == nil {
		return nil
	}
	var p line.Parser
	var b line.Batch
	for i, l := range lines {
		b.Reset()
		if p.Parse(&b, l, line.Options{}) != nil || len(b.Points) != 1 {
			return nil
		}
		point := &b.Points[0]
		if name, _ := line.SplitSeries(point.Series); name != m[2] {
			continue
		}
		if slices.ContainsFunc(point.Fields, func(f line.Field) bool { return string(f.Key) == m[1] && f.Value.Type.String() == m[3] }) {
			which = append(which, i)
		}
	}
	return which
}
