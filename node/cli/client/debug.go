package client

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// secretHeaders are never shown.
var secretHeaders = []string{"Authorization", "Cookie", "Set-Cookie", "Proxy-Authorization"}

// debugTransport writes the head of what is sent and received. Bodies stay out: they hold tokens and passwords.
type debugTransport struct {
	next http.RoundTripper
	out  io.Writer
}

func (t *debugTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	begin := time.Now()
	t.write("> "+req.Method+" "+req.URL.Redacted(), req.Header)
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		t.write(fmt.Sprintf("< %v (%s)", err, time.Since(begin).Round(time.Millisecond)), nil)
		return nil, err
	}
	t.write(fmt.Sprintf("< %s (%s)", resp.Status, time.Since(begin).Round(time.Millisecond)), resp.Header)
	return resp, nil
}

func (t *debugTransport) write(line string, header http.Header) {
	var b strings.Builder
	b.WriteString(line + "\n")
	names := make([]string, 0, len(header))
	for name := range header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		value := strings.Join(header[name], ", ")
		if slices.Contains(secretHeaders, name) {
			value = "(not shown)"
		}
		b.WriteString(line[:2] + name + ": " + value + "\n")
	}
	_, _ = io.WriteString(t.out, b.String()) // debug output that cannot be written is not worth failing a command for
}
