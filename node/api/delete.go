package api

import (
	"net/http"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/catalog"
)

// deletePoints is POST /api/v2/delete.
func (h *Handler) deletePoints(w http.ResponseWriter, r *request) error {
	org, err := r.org()
	if err != nil {
		return err
	}
	name := r.query("bucketID")
	if name == "" {
		name = r.query("bucket")
	}
	if name == "" {
		return failf(catalog.Invalid, "Please provide either bucketID or bucket")
	}
	b, err := h.Catalog.ResolveBucket(org.ID, name)
	if err != nil {
		return err
	}
	if !r.principal.Allows(catalog.Write, catalog.BucketsType, b.OrgID, b.ID) {
		return failf(catalog.Forbidden, "insufficient permissions to delete")
	}
	var in struct{ Start, Stop, Predicate string }
	if err := r.read(&in); err != nil {
		return err
	}
	start, stop, err := timeRange(in.Start, in.Stop)
	if err != nil {
		return err
	}
	if err := h.Deleter.Delete(r.Context(), b.ID, start, stop, in.Predicate); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// timeRange reads the two ends of a range, in ns since the epoch, both inclusive.
func timeRange(first, last string) (start, stop int64, err error) {
	if start, err = nanoseconds("start", first); err != nil {
		return 0, 0, err
	}
	if stop, err = nanoseconds("stop", last); err != nil {
		return 0, 0, err
	}
	if stop < start {
		return 0, 0, failf(catalog.Invalid, "stop must not be before start")
	}
	return start, stop, nil
}

// The times that can be told in ns since the epoch. What lies outside is moved to the nearest.
var (
	earliest = time.Unix(0, -1<<63+2)
	latest   = time.Unix(0, 1<<63-2)
)

func nanoseconds(field, s string) (int64, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return 0, failf(catalog.Invalid, "invalid RFC3339Nano for field %s, please format your time with RFC3339Nano format, example: 2009-01-02T23:00:00Z", field)
	}
	switch {
	case t.Before(earliest):
		t = earliest
	case t.After(latest):
		t = latest
	}
	return t.UnixNano(), nil
}
