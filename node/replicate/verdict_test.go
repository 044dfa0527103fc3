package replicate

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// The texts are those of the programs named: InfluxDB 2.7 to 2.9, 1.8, 3 Core, and the hosted 3.x.
func TestAnswersThatNameTheRefusedLines(t *testing.T) {
	const hour = 3600_000_000_000
	lines := func(texts ...string) (b [][]byte) {
		for _, l := range texts {
			b = append(b, []byte(l))
		}
		return b
	}
	mixed := lines("m f=1i 1000", "m f=2.5 2000", "n f=3i 3000", "m,t=a f=4i,g=1 4000")
	tests := []struct {
		name    string
		body    string
		lines   [][]byte
		refused []int
		stored  bool
	}{
		{"2.x syntax", `{"code":"invalid","message":"unable to parse 'm f=2.5 2000': invalid number\nunable to parse 'm,t=a f=4i,g=1 4000': bad"}`, mixed, []int{1, 3}, false},
		{"2.x syntax, line not quoted whole", `{"code":"invalid","message":"unable to parse 'm f=2.5...': invalid number"}`, mixed, nil, false},
		{"line that holds the text itself", `{"message":"unable to parse 'm f=\"a': b\" 5': no"}`, lines(`m f="a': b" 5`, "m f=1 6"), []int{0}, false},
		{"1.x syntax, rest stored", `{"error":"partial write: unable to parse 'n f=3i 3000': bad dropped=0"}`, mixed, []int{2}, true},
		{"1.x syntax, not all quoted whole", `{"error":"partial write: unable to parse 'n f=3i 3000': bad\nunable to parse 'm f=2...': bad dropped=0"}`, mixed, []int{2}, false},
		{"2.x type conflict", `{"code":"unprocessable entity","message":"failure writing points to database: partial write: field type conflict: input field \"f\" on measurement \"m\" is type integer, already exists as type float dropped=2 for database: 9f282d63c7d3a5c0 for retention policy: autogen"}`, mixed, []int{0, 3}, true},
		{"1.x type conflict", `{"error":"partial write: field type conflict: input field \"f\" on measurement \"m\" is type float, already exists as type integer dropped=1"}`, mixed, []int{1}, true},
		{"type conflict, other number", `{"message":"partial write: field type conflict: input field \"f\" on measurement \"m\" is type integer, already exists as type float dropped=1"}`, mixed, nil, false},
		{"type conflict over partitions", `{"message":"partial write: field type conflict: input field \"f\" on measurement \"m\" is type integer, already exists as type float dropped=1"}`, lines("m f=1i 5", "n f=1i "+fmt.Sprint(int64(2*hour))), nil, false},
		{"retention with its bound", `{"message":"failure writing points to database: partial write: dropped 2 points outside retention policy of duration 24h0m0s - oldest point home,room=Living\\ Room at 1970-01-01T00:00:00.000001Z dropped because it violates a Retention Policy Lower Bound at 1970-01-01T00:00:00.0000025Z, newest point home at 1970-01-01T00:00:00.000002Z dropped because it violates a Retention Policy Lower Bound at 1970-01-01T00:00:00.0000025Z dropped=2 for database: 9f282d63c7d3a5c0 for retention policy: autogen"}`, mixed, []int{0, 1}, true},
		{"retention, upper bound", `{"message":"partial write: dropped 1 points outside retention policy of duration 1h0m0s - newest point m at 1970-01-01T00:00:00.000004Z dropped because it violates a Retention Policy Upper Bound at 1970-01-01T00:00:00.0000035Z dropped=1"}`, mixed, []int{3}, true},
		{"retention, older text", `{"error":"partial write: points beyond retention policy dropped=3"}`, mixed, []int{0, 1, 2}, true},
		{"retention, older text, same time", `{"error":"partial write: points beyond retention policy dropped=1"}`, lines("m f=1 7", "m f=1 7", "m f=1 9"), nil, false},
		{"all dropped", `{"error":"partial write: points beyond retention policy dropped=4"}`, mixed, []int{0, 1, 2, 3}, true},
		{"field stripped", `{"message":"partial write: invalid field name: input field \"time\" on measurement \"m\" is invalid dropped=0"}`, mixed, nil, true},
		{"reason that names nothing", `{"message":"partial write: max series limit reached dropped=2"}`, mixed, nil, false},
		{"3.x partial", `{"error":"partial write of line protocol occurred","data":[{"original_line":"m f=2.5 2000","line_number":2,"error_message":"invalid column type"}]}`, mixed, []int{1}, true},
		{"3.x refused whole", `{"error":"parsing failed for write_lp endpoint","data":{"original_line":"m f=2.5 2000","line_number":2,"error_message":"invalid column type"}}`, mixed, []int{1}, false},
		{"3.x line outside", `{"error":"partial write of line protocol occurred","data":[{"line_number":9,"error_message":"x"}]}`, mixed, nil, false},
		{"3.x string with a newline", `{"error":"partial write of line protocol occurred","data":[{"line_number":2,"error_message":"x"}]}`, lines("m f=\"a\nb\" 1", "m f=1 2"), nil, false},
		{"hosted 3.x", `{"code":"invalid","line":2,"message":"failed to parse line protocol: errors encountered on line(s):\nerror parsing line 2 (1-based): Invalid measurement was provided\nerror parsing line 4 (1-based): Unable to parse timestamp value"}`, mixed, []int{1, 3}, false},
		{"plain text", `bad request`, mixed, nil, false},
		{"empty", ``, mixed, nil, false},
	}
	for _, test := range tests {
		v := judge(Answer{Body: []byte(test.body)}, test.lines)
		var refused []int
		for _, r := range v.refused {
			refused = append(refused, r.index)
			if r.reason == "" {
				t.Errorf("%s: no reason for line %d", test.name, r.index)
			}
		}
		slices.Sort(refused)
		if !slices.Equal(refused, test.refused) || v.stored != test.stored {
			t.Errorf("%s: refused %v, stored %v; want %v, %v", test.name, refused, v.stored, test.refused, test.stored)
		}
	}
}

func TestListOfLineErrorsThatMayBeCutIsNotTakenForComplete(t *testing.T) {
	var lines [][]byte
	var data []string
	for i := range 150 {
		lines = append(lines, fmt.Appendf(nil, "m f=%d %d", i, i))
		if i < v3LineErrors {
			data = append(data, fmt.Sprintf(`{"line_number":%d,"error_message":"x"}`, i+1))
		}
	}
	v := judge(Answer{Body: []byte(`{"error":"partial write of line protocol occurred","data":[` + strings.Join(data, ",") + `]}`)}, lines)
	if len(v.refused) != v3LineErrors || v.stored {
		t.Errorf("refused %d, stored %v", len(v.refused), v.stored)
	}
}

func TestPartialWriteIsNotSentAgainWhereItsTextNamesTheLines(t *testing.T) {
	tests := map[string]func(c *call) reply{
		"2.x": func(c *call) reply {
			return reply{code: 422, store: good(c.lines, isFloat), body: fmt.Sprintf(`{"code":"unprocessable entity","message":"failure writing points to database: partial write: field type conflict: input field \"n\" on measurement \"m\" is type float, already exists as type integer dropped=%d for database: x for retention policy: autogen"}`, len(c.lines)-len(good(c.lines, isFloat)))}
		},
		"3.x": func(c *call) reply {
			var data []string
			for i, l := range c.lines {
				if isFloat(l) {
					data = append(data, fmt.Sprintf(`{"line_number":%d,"error_message":"invalid column type"}`, i+1))
				}
			}
			return reply{code: 400, store: good(c.lines, isFloat), body: `{"error":"partial write of line protocol occurred","data":[` + strings.Join(data, ",") + `]}`}
		},
	}
	for name, refuse := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				b.add()
				b.remote.script(func(c *call) reply {
					if slices.ContainsFunc(c.lines, isFloat) {
						return refuse(c)
					}
					return reply{}
				})
				b.write(100)
				b.writeLines("m,host=a n=1.5 946684800000000001", "m,host=a n=2.5 946684800000000002")
				b.write(100)
				b.drained(time.Minute)
				b.delivered(b.sent[100:102]...)
				if n := len(b.remote.requests()); n != 1 {
					t.Errorf("%d requests, want 1", n)
				}
				if got := b.dead(); !slices.Equal(got, b.sent[100:102]) {
					t.Errorf("dead letters: %q", got)
				}
			})
		})
	}
}

func isFloat(l string) bool { return strings.Contains(l, "n=1.5 ") || strings.Contains(l, "n=2.5 ") }

func TestCodesAndTheirClasses(t *testing.T) {
	classes := map[Class][]int{
		Accepted:     {200, 201, 202, 204, 206, 207, 208},
		Denied:       {301, 302, 304, 307, 401, 402, 403, 404, 405, 406, 407, 410, 415, 451},
		Unacceptable: {400, 422},
		TooLarge:     {413},
		Busy:         {429, 503},
		Unreachable:  {408, 425, 500, 501, 502, 504, 507, 599},
	}
	for class, codes := range classes {
		for _, code := range codes {
			if got := classOf(code); got != class {
				t.Errorf("%d is of class %d, want %d", code, got, class)
			}
		}
	}
}

func TestRetryAfterInBothForms(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"":                              -1,
		"soon":                          -1,
		"-5":                            -1,
		"0":                             0,
		"1.5":                           1500 * time.Millisecond,
		" 120 ":                         2 * time.Minute,
		"1e99":                          gateCap,
		"Fri, 01 May 2026 12:00:30 GMT": 30 * time.Second,
		"Fri, 01 May 2026 11:00:00 GMT": 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
