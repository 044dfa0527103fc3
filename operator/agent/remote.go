package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// maxBody bounds the request of one check, in bytes.
const maxBody = 4 << 20

// request and answer are the bodies of POST /check. Texts are base64, as encoding/json writes bytes. The answer's status is 200 for a
// configuration that is accepted, 202 for one that could not be judged in full, 422 for one that is refused, and any other when there is no answer; then Message says why.
type request struct {
	Files []File `json:"files"`
}

type answer struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Message string `json:"message,omitempty"`
}

// Remote is a Checker that asks the one that Serve serves on a unix socket.
type Remote struct {
	// Socket is its path.
	Socket string
	// Timeout of one check with the time that it waits for others; 60 s without it.
	Timeout time.Duration
}

// Check asks.
func (r *Remote) Check(ctx context.Context, files []File) error {
	if err := checkNames(files); err != nil {
		return err
	}
	body, err := json.Marshal(request{files})
	if err != nil {
		return err
	}
	if len(body) > maxBody {
		return fmt.Errorf("the configuration is too large to check: %d bytes as a request, at most %d", len(body), maxBody)
	}
	timeout := r.Timeout
	if timeout <= 0 {
		timeout = time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var dialer net.Dialer
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, "unix", r.Socket)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
		}
		return conn, nil
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://checker/check", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("ask the checker: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	var got answer
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("ask the checker: %w", err)
	}
	if err := json.Unmarshal(text, &got); err != nil {
		return fmt.Errorf("the checker answered %s without saying why", resp.Status)
	}
	switch resp.StatusCode {
	case http.StatusAccepted:
		return &Unjudged{got.Message}
	case http.StatusUnprocessableEntity:
		return &Refusal{File: got.File, Line: got.Line, Message: got.Message}
	}
	return fmt.Errorf("the checker answered %s: %s", resp.Status, got.Message)
}
