package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/catalog"
	"github.com/holdfast-telemetry/holdfast/node/line"
	"github.com/holdfast-telemetry/holdfast/node/store"
)

// write is POST /api/v2/write.
func (h *Handler) write(w http.ResponseWriter, r *request) error {
	org, err := r.org()
	if err != nil {
		return err
	}
	name := r.query("bucket")
	if name == "" {
		return failf(catalog.NotFound, "bucket not found")
	}
	bucket, err := h.Catalog.ResolveBucket(org.ID, name)
	if err != nil {
		return err
	}
	precision, ok := precisions[r.query("precision")]
	if !ok {
		return failf(catalog.Invalid, "invalid precision; valid precision units are ns, us, ms, and s")
	}
	return h.store(w, r, bucket, precision)
}

// writeLegacy is POST /write.
func (h *Handler) writeLegacy(w http.ResponseWriter, r *request) error {
	db := r.query("db")
	if db == "" {
		return failf(catalog.Invalid, "missing db")
	}
	bucket, err := h.Catalog.ResolveDBRP(r.principal.OrgID, db, r.query("rp"))
	if err != nil {
		return err
	}
	precision, ok := legacyPrecisions[r.query("precision")]
	if !ok {
		precision = line.Nanosecond
	}
	return h.store(w, r, bucket, precision)
}

var precisions = map[string]line.Precision{
	"": line.Nanosecond, "ns": line.Nanosecond, "us": line.Microsecond, "ms": line.Millisecond, "s": line.Second,
}

var legacyPrecisions = map[string]line.Precision{
	"n": line.Nanosecond, "ns": line.Nanosecond, "u": line.Microsecond, "us": line.Microsecond, "µ": line.Microsecond,
	"µs": line.Microsecond, "ms": line.Millisecond, "s": line.Second, "m": line.Minute, "h": line.Hour,
}

// store reads, parses and stores the body. Where one line is bad nothing is stored.
func (h *Handler) store(w http.ResponseWriter, r *request, bucket catalog.Bucket, precision line.Precision) error {
	if !r.principal.Allows(catalog.Write, catalog.BucketsType, bucket.OrgID, bucket.ID) {
		return failf(catalog.Forbidden, "insufficient permissions for write")
	}
	b := h.writes.borrow()
	defer h.writes.giveBack(b)
	if err := h.writes.readBody(b, r.Request); err != nil {
		return err
	}
	if err := h.writes.parse(b, line.Options{Precision: precision, Now: h.Now().UnixNano()}); err != nil {
		return failf(catalog.Invalid, "%s", boundedText(err.Error()))
	}
	if len(b.batch.Points) > 0 {
		if err := h.Writer.Write(r.Context(), bucket.ID, &b.batch); err != nil {
			return writeFailure(err, bucket.ID)
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// writeFailure puts a partial write into the words that clients match on.
func writeFailure(err error, bucket id.ID) error {
	partial, ok := errors.AsType[*store.PartialWrite](err)
	if !ok {
		return err
	}
	return failf(catalog.Unprocessable, "failure writing points to database: %v for database: %s for retention policy: autogen", partial, bucket)
}

// maxErrorText bounds the text about bad lines, in bytes.
const maxErrorText = 64 << 10

// boundedText cuts after the last whole line that fits.
func boundedText(s string) string {
	if len(s) <= maxErrorText {
		return s
	}
	kept := s[:maxErrorText]
	if i := strings.LastIndexByte(kept, '\n'); i > 0 {
		kept = kept[:i]
	}
	return fmt.Sprintf("%s\nand %d more lines", kept, strings.Count(s[len(kept):], "\n"))
}
