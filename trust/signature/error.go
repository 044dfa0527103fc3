package signature

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// maxMessage is how much of what a registry says is repeated, in bytes.
const maxMessage = 300

// Error is a registry's refusal, or that it did not answer. No text of it carries credentials or the address of an upload.
type Error struct {
	// Doing is what was tried, and where.
	Doing string
	// Status is that of the answer; zero when there was none, or none that can be used.
	Status int
	// Code and Message are what the registry says of it.
	Code, Message string
	// RetryAfter is how long the registry asks to be left alone; zero where it does not.
	RetryAfter time.Duration
	// Err is why there is no answer.
	Err error
	// before is that the answer is not to the request itself, but to one for the leave to make it: it says nothing about what was asked for.
	before bool
}

func (e *Error) Error() string {
	var s strings.Builder
	s.WriteString(e.Doing + ": ")
	switch {
	case e.Status == 0:
		fmt.Fprint(&s, e.Err)
	default:
		who := "the registry answers"
		if e.before {
			who = "asking the registry for access is answered with"
		}
		fmt.Fprintf(&s, "%s %d %s", who, e.Status, http.StatusText(e.Status))
		if e.Code != "" {
			s.WriteString(", " + e.Code)
		}
		if e.Message != "" {
			fmt.Fprintf(&s, ", %q", e.Message)
		}
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&s, "; it asks to wait %s", e.RetryAfter)
	}
	if mend := e.mend(); mend != "" {
		s.WriteString(" (" + mend + ")")
	}
	return s.String()
}

// mend is what to do about it, where that is known.
func (e *Error) mend() string {
	var certificate *tls.CertificateVerificationError
	switch {
	case e.Status == http.StatusUnauthorized:
		return "check the credentials for this registry in the docker configuration"
	case e.Status == http.StatusForbidden:
		return "the credentials must allow to pull, and for signing to push, this repository"
	case errors.As(e.Err, &certificate):
		return "name the certificate of the registry's authority"
	case errors.Is(e.Err, http.ErrSchemeMismatch):
		return "it does not speak TLS; name it as a plain registry where that is wanted"
	default:
		return ""
	}
}

func (e *Error) Unwrap() error { return e.Err }

// Temporary says whether the same may succeed later.
func (e *Error) Temporary() bool {
	switch e.Status {
	case 0:
		return !e.final()
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return false
	default:
		return e.Status >= 500
	}
}

// final says whether there will be no answer later either.
func (e *Error) final() bool {
	var certificate *tls.CertificateVerificationError
	var dns *net.DNSError
	return errors.As(e.Err, new(*refusal)) || tooLong(e.Err) || errors.As(e.Err, &certificate) || errors.As(e.Err, &dns) && dns.IsNotFound || errors.Is(e.Err, context.Canceled) ||
		errors.Is(e.Err, http.ErrSchemeMismatch)
}

// refusal is what this package does not let a registry do. Trying again does not help.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

func refuse(format string, args ...any) error { return &refusal{fmt.Sprintf(format, args...)} }

// excess is an answer that is too long to be what was asked for.
type excess struct{ limit int64 }

func (e *excess) Error() string {
	return fmt.Sprintf("the registry's answer has more than the %d bytes that it may have", e.limit)
}

// tooLong says whether a registry did answer, but with too much.
func tooLong(err error) bool { return errors.As(err, new(*excess)) }

// ErrDeleteUnsupported is in an error when a registry does not delete manifests.
var ErrDeleteUnsupported = errors.New("the registry does not delete manifests; let its operator allow it, or run its own garbage collection")

// failure is the error of a request without an answer.
func failure(doing string, err error, wait time.Duration) error {
	e := &Error{Doing: doing, RetryAfter: wait}
	var refused *transport.Error
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) { // whatever was answered without TLS after that
		e.Err = certificate
		return e
	}
	if errors.As(err, &refused) { // on the way to the token
		e.Status, e.before = refused.StatusCode, true
		if len(refused.Errors) > 0 {
			e.Code, e.Message = known(string(refused.Errors[0].Code)), shorten(refused.Errors[0].Message)
		}
		return e
	}
	var of *url.Error
	for errors.As(err, &of) { // its address may carry credentials
		err = of.Err
	}
	if strings.Contains(err.Error(), "no token in bearer response") { // goes on with the whole answer
		err = errors.New("the token server answers without a token")
	}
	e.Err = err
	return e
}

// refused is the error of an answer that was not wanted.
func refused(doing string, a *answer, wait time.Duration) error {
	e := &Error{Doing: doing, Status: a.status, RetryAfter: wait}
	var text struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(a.body, &text) == nil && len(text.Errors) > 0 {
		e.Code, e.Message = known(text.Errors[0].Code), shorten(text.Errors[0].Message)
	}
	return e
}

// known is a code as the distribution specification has them, and nothing where it is none.
func known(code string) string {
	if len(code) > 64 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
		return ""
	}
	return code
}

func shorten(s string) string {
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "…"
	}
	return s
}

// status says whether an error is an answer with one of these.
func status(err error, codes ...int) bool {
	var e *Error
	if !errors.As(err, &e) || e.before {
		return false
	}
	for _, code := range codes {
		if e.Status == code {
			return true
		}
	}
	return false
}

// code says whether an error is an answer with one of these codes.
func code(err error, codes ...transport.ErrorCode) bool {
	var e *Error
	if !errors.As(err, &e) || e.before {
		return false
	}
	for _, c := range codes {
		if e.Code == string(c) {
			return true
		}
	}
	return false
}

// retryAfter reads the header of that name: seconds, or a date.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(strings.TrimSpace(text)); err == nil {
		return max(0, time.Duration(min(seconds, 1<<30))*time.Second)
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now).Round(time.Second))
	}
	return 0
}
