package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// WriteTarget says where lines go. Org and Bucket are names or IDs.
type WriteTarget struct {
	Org, Bucket string
	// Precision is the unit of the lines' timestamps: ns, us, ms or s.
	Precision string
}

// Write sends line protocol. When any line cannot be parsed the server stores none of them (status 400); when it rejects points
// for another reason it stores the others (status 422).
func (c *Client) Write(ctx context.Context, to WriteTarget, lines []byte) error {
	return c.write(ctx, "/api/v2/write", values("org", to.Org, "bucket", to.Bucket, "precision", to.Precision), lines)
}

// WriteV1 sends line protocol to a v1 database. Precision is ns, u, ms, s, m or h; empty means ns.
func (c *Client) WriteV1(ctx context.Context, db, rp, precision string, lines []byte) error {
	return c.write(ctx, "/write", values("db", db, "rp", rp, "precision", precision), lines)
}

func (c *Client) write(ctx context.Context, path string, query url.Values, lines []byte) error {
	var body bytes.Buffer
	zip := gzip.NewWriter(&body)
	if _, err := zip.Write(lines); err != nil {
		return fmt.Errorf("compressing the lines: %w", err)
	}
	if err := zip.Close(); err != nil {
		return fmt.Errorf("compressing the lines: %w", err)
	}
	req, err := c.request(ctx, http.MethodPost, path, query, &body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Encoding", "gzip")
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	resp, err := c.send(req)
	if err != nil {
		return err
	}
	closeBody(resp)
	return nil
}

// DeleteTarget says what to delete from: a bucket by name or ID, in an organization by name or ID.
type DeleteTarget struct{ Org, OrgID, Bucket, BucketID string }

// DeleteRange is the body of a delete. Start and Stop are RFC 3339 times, both inclusive.
type DeleteRange struct {
	Start     string `json:"start"`
	Stop      string `json:"stop"`
	Predicate string `json:"predicate,omitempty"`
}

// Delete deletes the points of a time range that a predicate selects.
func (c *Client) Delete(ctx context.Context, from DeleteTarget, r DeleteRange) error {
	query := values("org", from.Org, "orgID", from.OrgID, "bucket", from.Bucket, "bucketID", from.BucketID)
	return c.call(ctx, http.MethodPost, "/api/v2/delete", query, r, nil)
}

// InfluxQL is a query of one or more statements.
type InfluxQL struct {
	Query string
	// DB and RP are the database and retention policy of names that do not carry their own.
	DB, RP string
	// Epoch is the unit of times in the answer (ns, u, ms, s, m, h); empty for RFC 3339.
	Epoch string
	// Chunked asks for a sequence of JSON documents of bounded size instead of one.
	Chunked bool
	// CSV asks for CSV instead of JSON.
	CSV bool
}

// Query returns the answer's body, which the caller closes. Errors of single statements are in it.
func (c *Client) Query(ctx context.Context, q InfluxQL) (io.ReadCloser, error) {
	form := values("q", q.Query, "db", q.DB, "rp", q.RP, "epoch", q.Epoch)
	if q.Chunked {
		form.Set("chunked", "true")
	}
	req, err := c.request(ctx, http.MethodPost, "/query", nil, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if q.CSV {
		req.Header.Set("Accept", "application/csv")
	}
	resp, err := c.send(req)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}
