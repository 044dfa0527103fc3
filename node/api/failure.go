package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/catalog"
	"github.com/holdfast-telemetry/holdfast/node/journal"
	"github.com/holdfast-telemetry/holdfast/node/replicate"
	"github.com/holdfast-telemetry/holdfast/node/store"
)

// statuses are the HTTP statuses of the codes.
var statuses = map[catalog.Code]int{
	catalog.Internal:             http.StatusInternalServerError,
	catalog.NotImplemented:       http.StatusNotImplemented,
	catalog.NotFound:             http.StatusNotFound,
	catalog.Conflict:             http.StatusUnprocessableEntity,
	catalog.Invalid:              http.StatusBadRequest,
	catalog.Unprocessable:        http.StatusUnprocessableEntity,
	catalog.EmptyValue:           http.StatusBadRequest,
	catalog.Unavailable:          http.StatusServiceUnavailable,
	catalog.Forbidden:            http.StatusForbidden,
	catalog.TooManyRequests:      http.StatusTooManyRequests,
	catalog.Unauthorized:         http.StatusUnauthorized,
	catalog.MethodNotAllowed:     http.StatusMethodNotAllowed,
	catalog.TooLarge:             http.StatusRequestEntityTooLarge,
	catalog.UnsupportedMediaType: http.StatusUnsupportedMediaType,
}

// Statuses without a name in net/http or a code of their own.
const statusClientClosed = 499

// failure is an error as the client sees it.
type failure struct {
	status     int
	code       catalog.Code
	message    string
	retryAfter time.Duration // 0 for none
}

func (f *failure) Error() string { return f.message }

func failf(code catalog.Code, format string, args ...any) error {
	return catalog.Errorf(code, format, args...)
}

// failureOf translates any error. It reports whether the cause was hidden and belongs in the log.
func failureOf(err error) (f *failure, hidden bool) {
	if f, ok := errors.AsType[*failure](err); ok {
		return f, false
	}
	if e, ok := errors.AsType[*catalog.Error](err); ok {
		return &failure{status: statuses[e.Code], code: e.Code, message: e.Message}, false
	}
	if full, ok := errors.AsType[*journal.FullError](err); ok {
		return errFull(full.Reason, full.RetryAfter), false
	}
	if busy, ok := errors.AsType[*store.BusyError](err); ok {
		return &failure{status: http.StatusServiceUnavailable, code: catalog.Unavailable, retryAfter: max(busy.RetryAfter, time.Second),
			message: "the store's memory is full, because points come faster than they can be written to disk: nothing was stored; try again later"}, false
	}
	switch {
	case errors.Is(err, id.ErrLength), errors.Is(err, id.ErrInvalid):
		return &failure{status: http.StatusBadRequest, code: catalog.Invalid, message: err.Error()}, false
	case errors.Is(err, journal.ErrFull):
		return errFull("its bounds are reached", 0), false
	case errors.Is(err, journal.ErrFailed):
		return &failure{status: http.StatusInternalServerError, code: catalog.Internal,
			message: "the journal stopped after a failed sync: nothing was stored, and nothing will be until the disk is checked and the node is started again"}, true
	case errors.Is(err, journal.ErrClosed):
		return &failure{status: http.StatusServiceUnavailable, code: catalog.Unavailable, retryAfter: time.Second,
			message: "the node is stopping: nothing was stored; try again later"}, false
	case errors.Is(err, replicate.ErrNotFound):
		return &failure{status: http.StatusNotFound, code: catalog.NotFound, message: "the replication does not run"}, false
	case errors.Is(err, context.Canceled):
		return &failure{status: statusClientClosed, code: catalog.Internal, message: "the client closed the request"}, false
	case errors.Is(err, context.DeadlineExceeded):
		return &failure{status: http.StatusRequestTimeout, code: catalog.Internal, message: "the request took too long"}, false
	}
	return &failure{status: http.StatusInternalServerError, code: catalog.Internal, message: "an internal error has occurred: the node's log has its cause"}, true
}

func errFull(reason string, after time.Duration) *failure {
	return &failure{status: http.StatusServiceUnavailable, code: catalog.Unavailable, retryAfter: max(after, time.Second),
		message: "the journal is full (" + reason + "): nothing was stored; try again later"}
}

// fail answers with an error. The 1.x API's clients read the text under another key.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error, legacy bool) {
	f, hidden := failureOf(err)
	if hidden {
		h.Logger.Error("request failed", slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Any("error", err))
	}
	body := map[string]string{"code": string(f.code), "message": f.message}
	if legacy {
		body["error"] = f.message
	}
	w.Header().Set("X-Platform-Error-Code", string(f.code))
	if f.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(f.retryAfter.Seconds()))))
	}
	h.reply(w, r, f.status, body)
}

// reply answers with JSON.
func (h *Handler) reply(w http.ResponseWriter, r *http.Request, status int, v any) {
	body, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		h.Logger.Error("answer cannot be written as JSON", slog.String("path", r.URL.Path), slog.Any("error", err))
		status, body = http.StatusInternalServerError, []byte(`{"code":"internal error","message":"the answer cannot be written as JSON"}`)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	// A client that is gone is not told.
	_, _ = w.Write(append(body, '\n'))
}

// errTooLong is for writes. Its code is the one that InfluxDB 2's command understands there, not the status's own.
func errTooLong(limit int64) error {
	return &failure{status: http.StatusRequestEntityTooLarge, code: catalog.Invalid,
		message: "request body is longer than " + strconv.FormatInt(limit, 10) + " bytes after decompression: nothing was stored; send it in parts"}
}
