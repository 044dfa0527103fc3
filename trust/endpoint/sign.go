package endpoint

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-telemetry/holdfast/trust/access"
	"github.com/holdfast-telemetry/holdfast/trust/audit"
	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/keylist"
	"github.com/holdfast-telemetry/holdfast/trust/rotation"
	"github.com/holdfast-telemetry/holdfast/trust/signature"
)

// Bounds of a request.
const (
	MaxImages  = 200
	maxBody    = 256 << 10 // bytes
	maxWorkers = 16
)

// Control says who asks and what they may have signed.
type Control interface {
	Identify(*http.Request) (access.Identity, error)
	Decide(id access.Identity, repository string) access.Decision
}

// Log keeps what was asked and what became of it.
type Log interface {
	Append(audit.Entry) (audit.Head, error)
}

// Keyring is the rotation of the signing keys.
type Keyring interface {
	Records
	Signer(context.Context) (*rotation.Signer, error)
}

// Sign signs images for who may have them signed. What is signed is in the log, durably, before the registry has the signature: nothing is
// signed while the log cannot be written.
type Sign struct {
	Control Control
	Log     Log
	Keys    Keyring
	Writer  signature.Writer
	// Source is the repository, as HOST/PATH, for signatures of images that others publish; empty when there is none.
	Source string
	// Fresh leaves a signature by the present key that is younger than this as it is.
	Fresh  time.Duration
	Logger *slog.Logger
	// Outcomes counts the entries of the log by their outcome.
	Outcomes *prometheus.CounterVec
}

// NewOutcomes makes the counter of a Sign.
func NewOutcomes(registerer prometheus.Registerer) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_trust_requests_total", Help: "Images that were to be signed, and requests that were refused whole, by what became of them."},
		[]string{"outcome"})
	registerer.MustRegister(c)
	return c
}

// Request is what is asked.
type Request struct {
	// Images are named by their digests: HOST/PATH@sha256:HEX.
	Images []string `json:"images"`
	// ThirdParty puts the signatures into the repository for images that others publish.
	ThirdParty bool `json:"third_party,omitempty"`
	// Force signs again what has been signed just now.
	Force bool `json:"force,omitempty"`
}

// Answer is what became of a request.
type Answer struct {
	Request string   `json:"request"`
	Results []Result `json:"results,omitempty"`
	Error   string   `json:"error,omitempty"`
}

// Result is what became of an image.
type Result struct {
	Image string `json:"image"`
	// Signature is the tag that holds it.
	Signature string    `json:"signature,omitempty"`
	Key       string    `json:"key,omitempty"`
	Written   bool      `json:"written"` // false when it was signed just now already
	NotAfter  time.Time `json:"not_after,omitzero"`
	Error     string    `json:"error,omitempty"`

	status int
}

// Register adds the path of the signing endpoint.
func (s *Sign) Register(mux *http.ServeMux) { mux.HandleFunc("POST /v1/sign", s.serve) }

func (s *Sign) serve(w http.ResponseWriter, r *http.Request) {
	id := requestID()
	w.Header().Set("X-Request-Id", id)
	entry := audit.Entry{Request: id, Remote: r.RemoteAddr, What: audit.What{Action: "sign"}}
	who, err := s.Control.Identify(r)
	if err != nil {
		s.refuse(w, entry, err)
		return
	}
	entry.Who = audit.Who{Kind: who.Kind, Name: who.Name}
	req, err := read(w, r)
	if err != nil {
		s.refuse(w, entry, &access.Error{Status: http.StatusBadRequest, Client: err.Error(), Cause: err})
		return
	}
	a := Answer{Request: id, Results: make([]Result, len(req.Images))}
	each(len(req.Images), func(i int) { a.Results[i] = s.image(r.Context(), entry, who, req, req.Images[i]) })
	status := http.StatusOK
	for _, result := range a.Results {
		status = max(status, result.status)
	}
	send(w, status, a)
}

// refuse answers a request of which nothing was done, once that is in the log.
func (s *Sign) refuse(w http.ResponseWriter, entry audit.Entry, err error) {
	known := &access.Error{Status: http.StatusServiceUnavailable, Client: "the request could not be served", Cause: err}
	_ = errors.As(err, &known)
	entry.Outcome, entry.Reason = audit.Refused, known.Error()
	if known.Status == http.StatusTooManyRequests {
		s.Outcomes.WithLabelValues("limited").Inc() // and no entry, of which a flood would fill the disk
	} else if !s.log(entry) {
		known = &access.Error{Status: http.StatusServiceUnavailable, Client: noLog, Cause: err}
	}
	if known.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(max(1, known.RetryAfter.Round(time.Second)/time.Second))))
	}
	if known.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	send(w, known.Status, Answer{Request: entry.Request, Error: known.Client})
}

const noLog = "the audit log cannot be written, and nothing is done that is not in it"

// log appends an entry and says whether that went well.
func (s *Sign) log(entry audit.Entry) bool {
	if _, err := s.Log.Append(entry); err != nil {
		s.Logger.Error("the audit log cannot be written", "error", err)
		s.Outcomes.WithLabelValues("unlogged").Inc()
		return false
	}
	s.Outcomes.WithLabelValues(entry.Outcome).Inc()
	return true
}

// image signs one.
func (s *Sign) image(ctx context.Context, entry audit.Entry, who access.Identity, req *Request, reference string) Result {
	result := Result{Image: reference}
	fail := func(status int, outcome, client string, cause error) Result {
		entry.Outcome, entry.Reason = outcome, cause.Error()
		if !s.log(entry) {
			status, client = http.StatusServiceUnavailable, noLog
		}
		result.Error, result.status = client, status
		return result
	}
	image, err := access.ParseImage(reference)
	if err != nil {
		return fail(http.StatusBadRequest, audit.Refused, err.Error(), err)
	}
	entry.What.Repository, entry.What.Digest = image.Repository, image.Digest
	decision := s.Control.Decide(who, image.Repository)
	if err := decision.Err(); err != nil {
		client := "not allowed"
		if known := new(access.Error); errors.As(err, &known) {
			client = known.Client
		}
		return fail(http.StatusForbidden, audit.Refused, client, err)
	}
	entry.Who.Rule = decision.Rule
	target, err := s.target(image, req.ThirdParty)
	if err != nil {
		return fail(http.StatusBadRequest, audit.Refused, err.Error(), err)
	}
	done, by, err := s.write(ctx, &entry, target, req.Force)
	if errors.Is(err, rotation.ErrChanged) { // in the moment between the choice of the key and its use, in which nothing was signed
		done, by, err = s.write(ctx, &entry, target, req.Force)
	}
	none := &noKeyError{}
	switch {
	case errors.As(err, &none):
		return fail(http.StatusServiceUnavailable, audit.Failed, err.Error(), err)
	case errors.Is(err, errLog):
		result.Error, result.status = noLog, http.StatusServiceUnavailable
		return result
	case err != nil:
		return fail(http.StatusBadGateway, audit.Failed, "the signature could not be written: "+err.Error(), err)
	}
	result.Signature, result.Written, result.Key, result.NotAfter = done.Tag.Name(), done.Written, by.ID.String(), by.NotAfter
	return result
}

// noKeyError says why there is no key to sign with.
type noKeyError struct{ error }

func (e *noKeyError) Error() string { return "no key signs now: " + e.error.Error() }

func (e *noKeyError) Unwrap() error { return e.error }

// write has the present key sign, and says which it was.
func (s *Sign) write(ctx context.Context, entry *audit.Entry, target signature.Target, force bool) (signature.Result, *rotation.Signer, error) {
	order, err := s.order(ctx, entry)
	if err != nil {
		return signature.Result{}, nil, &noKeyError{err}
	}
	if force {
		order.Fresh = 0
	}
	done, err := s.Writer.Write(ctx, target, order.Order)
	return done, order.by, err
}

func (s *Sign) target(image access.Image, thirdParty bool) (signature.Target, error) {
	digest, err := name.NewDigest(image.Repository + "@" + image.Digest)
	if err != nil {
		return signature.Target{}, err
	}
	target := signature.Target{Image: digest}
	if !thirdParty {
		return target, nil
	}
	if s.Source == "" {
		return target, errors.New("there is no repository for signatures of images that others publish: set sources in the service's configuration")
	}
	target.Into, err = name.NewRepository(s.Source)
	return target, err
}

// order is what the writer is told, with the key that it is for.
type order struct {
	signature.Order
	by *rotation.Signer
}

// errLog is in the error of a signature that was not made because it could not be logged.
var errLog = errors.New(noLog)

func (s *Sign) order(ctx context.Context, entry *audit.Entry) (*order, error) {
	by, err := s.Keys.Signer(ctx)
	if err != nil {
		return nil, err
	}
	rec, err := s.Keys.Current(ctx)
	if err != nil {
		return nil, err
	}
	public, err := by.Public()
	if err != nil {
		return nil, err
	}
	o := &order{Order: signature.Order{Key: public, Fresh: s.Fresh}, by: by}
	for _, e := range rec.Keys {
		if p, err := e.Public(); err == nil && e.State == keylist.Retiring {
			o.Keep = append(o.Keep, p)
		}
	}
	entry.Key = by.ID.String()
	o.Sign = func(ctx context.Context, hashes []key.Hash) ([][]byte, error) {
		sigs, err := by.Sign(ctx, hashes)
		if err != nil {
			return nil, err
		}
		made := *entry
		made.Outcome = audit.Signed
		if !s.log(made) {
			return nil, errLog
		}
		return sigs, nil
	}
	return o, nil
}

// read reads a request, which must be one.
func read(w http.ResponseWriter, r *http.Request) (*Request, error) {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	req := &Request{}
	if err := d.Decode(req); err != nil {
		return nil, fmt.Errorf("the request cannot be read: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the request cannot be read: there is something after it")
	}
	if n := len(req.Images); n < 1 || n > MaxImages {
		return nil, fmt.Errorf("the request names %d images: 1 to %d are wanted", n, MaxImages)
	}
	return req, nil
}

func send(w http.ResponseWriter, status int, a Answer) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(a) // who asked notices
}

func requestID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // which cannot fail
	return hex.EncodeToString(b[:])
}

// each calls a function with all numbers below n, several at once.
func each(n int, do func(int)) {
	var workers sync.WaitGroup
	slots := make(chan struct{}, maxWorkers)
	for i := range n {
		slots <- struct{}{}
		workers.Go(func() {
			do(i)
			<-slots
		})
	}
	workers.Wait()
}
