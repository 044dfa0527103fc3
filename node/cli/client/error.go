package client

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// errorLimit bounds how much of an error body is read, in bytes: a rejected batch may be answered with a line for each bad point.
const errorLimit = 1 << 20

// textLimit bounds what is shown of an answer that is not in the API's form (a proxy's page), in bytes.
const textLimit = 300

// Error is the server's refusal of a request.
type Error struct {
	// Status is the HTTP status.
	Status int
	// Code is the API's word for the kind of error, such as "not found"; empty when the answer was not in the API's form.
	Code string
	// Message is the server's text.
	Message string
	// RetryAfter is how long the server asks to wait, 0 when it does not say.
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	head := fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))
	if e.Message == "" {
		return head
	}
	return head + ": " + e.Message
}

// UnreachableError tells that no answer came: nothing listens at the address, the name does not resolve, TLS failed, the link broke.
type UnreachableError struct {
	Host string
	Err  error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("could not reach %s: %v", e.Host, e.Err)
}

func (e *UnreachableError) Unwrap() error { return e.Err }

func readError(resp *http.Response) error {
	e := &Error{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now())}
	body, err := io.ReadAll(io.LimitReader(resp.Body, errorLimit))
	if err != nil && len(body) == 0 {
		return e
	}
	var form struct{ Code, Message, Error string }
	if json.Unmarshal(body, &form) == nil && (form.Message != "" || form.Error != "") {
		e.Code, e.Message = form.Code, form.Message
		if e.Message == "" {
			e.Message = form.Error
		}
		return e
	}
	e.Message = excerpt(body)
	return e
}

// excerpt returns the beginning of a text on one line.
func excerpt(body []byte) string {
	s := strings.Join(strings.Fields(string(body)), " ")
	if len(s) <= textLimit {
		return s
	}
	cut := textLimit
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// retryAfter reads the header's two forms: seconds, or an HTTP date.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}
