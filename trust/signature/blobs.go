package signature

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Scopes of what is done.
const (
	pull   = transport.PullScope
	push   = transport.PushScope
	remove = transport.DeleteScope
)

// errNothing is that the registry was asked and does not have it.
var errNothing = errors.New("the registry does not have it")

const (
	digestHeader = "Docker-Content-Digest"
	maxTags      = 16 << 20 // bytes of a page of tags
	tagsPerPage  = 1000
	maxPages     = 10000
)

// get reads a manifest or a blob, or says errNothing.
func (c *Client) get(ctx context.Context, q request) (a *answer, err error) {
	q.method, q.want = http.MethodGet, []int{http.StatusOK}
	err = c.retry(ctx, q.repo.Registry, func(r *registry) error {
		a, err = c.send(ctx, r, q)
		return err
	})
	if status(err, http.StatusNotFound) {
		return nil, errNothing
	}
	return a, err
}

func (c *Client) manifest(ctx context.Context, tag name.Tag, scope string) ([]byte, error) {
	a, err := c.get(ctx, request{doing: "reading " + tag.Name(), repo: tag.Context(), scope: scope, path: "/manifests/" + tag.TagStr(), limit: MaxManifest,
		header: map[string]string{"Accept": string(types.OCIManifestSchema1) + ", " + string(types.DockerManifestSchema2)}})
	if err != nil {
		return nil, err
	}
	return a.body, nil
}

// head asks whether an image is there, or says errNothing.
func (c *Client) head(ctx context.Context, image name.Digest) error {
	q := request{doing: "looking for " + image.Name(), repo: image.Context(), scope: pull, method: http.MethodHead, path: "/manifests/" + image.DigestStr(), want: []int{http.StatusOK}, limit: MaxManifest,
		header: map[string]string{"Accept": strings.Join([]string{string(types.OCIManifestSchema1), string(types.OCIImageIndex), string(types.DockerManifestSchema2), string(types.DockerManifestList)}, ", ")}}
	err := c.retry(ctx, image.Context().Registry, func(r *registry) error {
		_, err := c.send(ctx, r, q)
		return err
	})
	if status(err, http.StatusNotFound) {
		return errNothing
	}
	return err
}

func (c *Client) blob(ctx context.Context, repo name.Repository, digest string, size int64, scope string) ([]byte, error) {
	a, err := c.get(ctx, request{doing: "reading " + repo.Name() + "@" + digest, repo: repo, scope: scope, path: "/blobs/" + digest, limit: size})
	if err != nil {
		return nil, err
	}
	return a.body, nil
}

// putBlob uploads a blob, in one request where the registry can do that.
func (c *Client) putBlob(ctx context.Context, repo name.Repository, content []byte) error {
	return c.retry(ctx, repo.Registry, func(r *registry) error { return c.upload(ctx, r, repo, content) })
}

func (c *Client) upload(ctx context.Context, r *registry, repo name.Repository, content []byte) error {
	digest := digestOf(content)
	q := request{doing: "uploading to " + repo.Name(), repo: repo, scope: push, method: http.MethodPost, path: "/blobs/uploads/",
		want: []int{http.StatusCreated, http.StatusAccepted}}
	whole := q
	whole.query, whole.body, whole.header = url.Values{"digest": {digest.String()}}, content, map[string]string{"Content-Type": "application/octet-stream"}
	var a *answer
	var err error
	if r.noSingle.Load() {
		a, err = c.send(ctx, r, q)
	} else if a, err = c.send(ctx, r, whole); status(err, 400, 404, 405, 411, 415, 416, 501) {
		a, err = c.send(ctx, r, q)
	}
	if err != nil {
		return err
	}
	if a.status == http.StatusCreated {
		return same(q.doing, a, digest)
	}
	r.noSingle.Store(true)
	if q.at, err = location(a); err != nil {
		return &Error{Doing: q.doing, Err: err}
	}
	q.method, q.query, q.body, q.header, q.want = http.MethodPut, whole.query, content, whole.header, []int{http.StatusCreated, http.StatusNoContent}
	if a, err = c.send(ctx, r, q); err != nil {
		return err
	}
	return same(q.doing, a, digest)
}

// location is where an upload goes on.
func location(a *answer) (*url.URL, error) {
	text := a.header.Get("Location")
	to, err := url.Parse(text)
	if text == "" || err != nil {
		return nil, refuse("the registry does not say where the upload goes on")
	}
	to = a.url.ResolveReference(to)
	return to, elsewhere(a.url, to)
}

// same holds the digest that a registry answers with against what was sent. Not every registry answers with one.
func same(doing string, a *answer, digest v1.Hash) error {
	text := a.header.Get(digestHeader)
	if strings.HasPrefix(text, "sha256:") && text != digest.String() {
		return &Error{Doing: doing, Err: refuse("the registry says that it stored %.80q, and was sent %s", text, digest)}
	}
	return nil
}

func (c *Client) putManifest(ctx context.Context, tag name.Tag, text []byte) error {
	q := request{doing: "writing " + tag.Name(), repo: tag.Context(), scope: push, method: http.MethodPut, path: "/manifests/" + tag.TagStr(), body: text,
		header: map[string]string{"Content-Type": string(types.OCIManifestSchema1)}, want: []int{http.StatusCreated, http.StatusOK, http.StatusAccepted}}
	return c.retry(ctx, tag.Registry, func(r *registry) error {
		a, err := c.send(ctx, r, q)
		if err != nil {
			return err
		}
		return same(q.doing, a, digestOf(text))
	})
}

// delete deletes a manifest by its digest. That it is not there is no error.
func (c *Client) delete(ctx context.Context, repo name.Repository, digest v1.Hash) error {
	q := request{doing: "deleting " + repo.Name() + "@" + digest.String(), repo: repo, scope: remove, method: http.MethodDelete, path: "/manifests/" + digest.String(),
		want: []int{http.StatusAccepted, http.StatusOK, http.StatusNoContent}}
	err := c.retry(ctx, repo.Registry, func(r *registry) error {
		_, err := c.send(ctx, r, q)
		return err
	})
	switch {
	case status(err, http.StatusMethodNotAllowed, http.StatusNotImplemented) || code(err, transport.UnsupportedErrorCode):
		return fmt.Errorf("%w: %w", ErrDeleteUnsupported, err)
	case status(err, http.StatusNotFound):
		return nil
	}
	return err
}

// tags gives each page of the tags of a repository to a function, until that returns an error. A repository that is not there has none.
func (c *Client) tags(ctx context.Context, repo name.Repository, page func([]string) error) error {
	q := request{doing: "listing the tags of " + repo.Name(), repo: repo, scope: pull, path: "/tags/list", limit: maxTags,
		query: url.Values{"n": {fmt.Sprint(tagsPerPage)}}}
	for range maxPages {
		a, err := c.get(ctx, q)
		if errors.Is(err, errNothing) {
			return nil
		}
		if err != nil {
			return err
		}
		tags, err := parseTags(a.body)
		if err != nil {
			return &Error{Doing: q.doing, Err: err}
		}
		if err := page(tags); err != nil {
			return err
		}
		next, err := nextPage(a)
		if err != nil {
			return &Error{Doing: q.doing, Err: err}
		}
		if next == nil {
			return nil
		}
		if q.at != nil && *q.at == *next {
			return &Error{Doing: q.doing, Err: refuse("the registry answers with the same page again")}
		}
		q.at, q.query = next, nil
	}
	return &Error{Doing: q.doing, Err: refuse("the registry has more than %d pages of them", maxPages)}
}

// nextPage is what the Link header of an answer names; nil is the end.
func nextPage(a *answer) (*url.URL, error) {
	text := a.header.Get("Link")
	if text == "" {
		return nil, nil
	}
	target, _, closed := strings.Cut(strings.TrimPrefix(strings.TrimSpace(text), "<"), ">")
	next, err := url.Parse(target)
	if !closed || err != nil {
		return nil, refuse("the registry's link to the next page cannot be read: %.80q", text)
	}
	// The token for this repository goes along.
	if next = a.url.ResolveReference(next); !strings.EqualFold(next.Host, a.url.Host) || next.Path != a.url.Path {
		return nil, refuse("the registry's link to the next page points elsewhere")
	}
	return next, nil
}

// blobUnknown says whether a registry refused a manifest because it lacks a part of it.
func blobUnknown(err error) bool {
	return code(err, transport.ManifestBlobUnknownErrorCode, transport.BlobUnknownErrorCode)
}

// isSignature says whether a tag is one of a signature, and of which image.
func isSignature(tag string) (image v1.Hash, ok bool) {
	digits, found := strings.CutSuffix(tag, suffix)
	algorithm, digits, cut := strings.Cut(digits, "-")
	h, err := imageHash(algorithm + ":" + digits)
	return h, found && cut && err == nil
}

// parseTags reads a page of tags.
func parseTags(text []byte) ([]string, error) {
	var list struct {
		Tags []string `json:"tags"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, refuse("the list of tags is no JSON of its form: %v", err)
	}
	return list.Tags, nil
}
