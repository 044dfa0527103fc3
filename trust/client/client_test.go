package client_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/client"
	"github.com/holdfast-telemetry/holdfast/trust/endpoint"
)

const secret = "hft_0123456789secret"

// ask has images signed by a service that answers so, and returns what was told and how often it was asked.
func ask(t *testing.T, images []string, answer http.HandlerFunc) (told []endpoint.Result, asked int, err error) {
	t.Helper()
	var count atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count.Add(1)
		answer(w, r)
	}))
	defer server.Close()
	c, err := client.New(server.URL, func() (string, error) { return secret, nil }, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Attempts, c.Wait = 3, time.Millisecond
	err = c.Sign(t.Context(), endpoint.Request{Images: images}, func(r endpoint.Result) { told = append(told, r) })
	if err != nil && strings.Contains(err.Error(), secret) {
		t.Errorf("the token is in the error: %v", err)
	}
	return told, int(count.Load()), err
}

// signed answers as a service that signs everything.
func signed(w http.ResponseWriter, r *http.Request) {
	var q endpoint.Request
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a := endpoint.Answer{Request: "1"}
	for _, i := range q.Images {
		a.Results = append(a.Results, endpoint.Result{Image: i, Key: "images/1", Written: true})
	}
	_ = json.NewEncoder(w).Encode(a)
}

// fail answers with an error of the service.
func fail(status int, after string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if after != "" {
			w.Header().Set("Retry-After", after)
		}
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(endpoint.Answer{Request: "77", Error: "no"})
	}
}

func TestManyImagesAreAskedForInBatches(t *testing.T) {
	var images []string
	for i := range 120 {
		images = append(images, fmt.Sprintf("reg.example/app@sha256:%064d", i))
	}
	told, asked, err := ask(t, images, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer "+secret {
			t.Errorf("it authenticates by %q", got)
		}
		signed(w, r)
	})
	var got []string
	for _, r := range told {
		got = append(got, r.Image)
	}
	slices.Sort(got) // batches are under way side by side
	if err != nil || asked != 3 || !slices.Equal(got, images) {
		t.Errorf("%d requests, %d results, %v", asked, len(told), err)
	}
}

func TestWhatFailsForATimeIsAskedAgain(t *testing.T) {
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusTooManyRequests} {
		n := 0
		told, asked, err := ask(t, []string{"a"}, func(w http.ResponseWriter, r *http.Request) {
			if n++; n < 3 {
				fail(status, "")(w, r)
				return
			}
			signed(w, r)
		})
		if err != nil || asked != 3 || len(told) != 1 {
			t.Errorf("%d: %d requests, %v, %v", status, asked, told, err)
		}
	}
	_, asked, err := ask(t, []string{"a"}, fail(http.StatusServiceUnavailable, "0"))
	if asked != 3 || err == nil || !strings.Contains(err.Error(), "503 Service Unavailable: no (request 77)") {
		t.Errorf("a service that stays away: %d requests, %v", asked, err)
	}
}

func TestAServiceThatAsksForTimeGetsIt(t *testing.T) {
	var first, second time.Time
	_, asked, err := ask(t, []string{"a"}, func(w http.ResponseWriter, r *http.Request) {
		if first.IsZero() {
			first = time.Now()
			fail(http.StatusTooManyRequests, "1")(w, r)
			return
		}
		second = time.Now()
		signed(w, r)
	})
	if err != nil || asked != 2 || second.Sub(first) < time.Second {
		t.Errorf("%d requests, after %v, %v", asked, second.Sub(first), err)
	}
}

func TestWhoWaitsForAServiceThatIsAwayIsToldOnce(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	c, err := client.New(server.URL, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var reasons []error
	c.Attempts, c.Wait, c.Again = 4, time.Millisecond, func(reason error) { reasons = append(reasons, reason) }
	err = c.Sign(t.Context(), endpoint.Request{Images: []string{"a"}}, func(endpoint.Result) {})
	if !errors.Is(err, client.ErrAway) || len(reasons) != 1 || !strings.Contains(reasons[0].Error(), "connection refused") {
		t.Errorf("%v, and before: %v", err, reasons)
	}
	if _, _, err := ask(t, []string{"a"}, fail(http.StatusServiceUnavailable, "")); !errors.Is(err, client.ErrAway) {
		t.Errorf("a service that can sign nothing: %v", err)
	}
	if _, _, err := ask(t, []string{"a"}, fail(http.StatusForbidden, "")); err == nil || errors.Is(err, client.ErrAway) {
		t.Errorf("a service that refuses: %v", err)
	}
}

func TestWhatIsRefusedIsNotAskedAgain(t *testing.T) {
	for _, status := range []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden} {
		if _, asked, err := ask(t, []string{"a"}, fail(status, "")); asked != 1 || err == nil {
			t.Errorf("%d: %d requests, %v", status, asked, err)
		}
	}
}

func TestAnAnswerThatIsNotOneIsAnError(t *testing.T) {
	text := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }
	}
	for want, answer := range map[string]http.HandlerFunc{
		"and not as a signing service does":         text("<html>hello</html>"),
		"answers 200 OK, and not as":                text("{}"),
		"answers for 1 images, and was asked for 2": text(`{"results":[{"image":"a"}]}`),
		`answers for "c", and was asked for b`:      text(`{"results":[{"image":"a"},{"image":"c"}]}`),
		"more than 4194304 bytes": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"results":[{"image":"a"},{"image":"b"}]` + strings.Repeat(" ", 5<<20) + "}"))
		},
		"answers 302 Found": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
	} {
		if told, asked, err := ask(t, []string{"a", "b"}, answer); err == nil || !strings.Contains(err.Error(), want) || asked != 1 || told != nil {
			t.Errorf("%s: %d requests, %v, %v", want, asked, told, err)
		}
	}
}

func TestImagesThatWereNotSignedAreCounted(t *testing.T) {
	told, _, err := ask(t, []string{"a", "b", "c"}, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		_ = json.NewEncoder(w).Encode(endpoint.Answer{Results: []endpoint.Result{{Image: "a"}, {Image: "b", Error: "the registry is away"}, {Image: "c", Error: "it too"}}})
	})
	if err == nil || err.Error() != "2 of 3 images were not signed; the first: b: the registry is away" || len(told) != 3 {
		t.Errorf("%v, %v", told, err)
	}
}

func TestATokenIsSentNowhereElse(t *testing.T) {
	for _, address := range []string{"http://trust.example", "http://localhost.example:8470", "ftp://127.0.0.1", "https://user:pass@trust.example", "trust.example:8470", "", "https://"} {
		if _, err := client.New(address, nil, nil, nil); err == nil || !strings.Contains(err.Error(), "is no https URL of a signing service") {
			t.Errorf("%q: %v", address, err)
		}
	}
	for _, address := range []string{"http://127.0.0.1:8470", "http://localhost:8470/", "http://[::1]:8470", "https://trust.example"} {
		if _, err := client.New(address, nil, nil, nil); err != nil {
			t.Errorf("%q: %v", address, err)
		}
	}
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	if _, _, err := ask(t, []string{"a"}, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	}); err == nil || elsewhere.Load() != 0 {
		t.Errorf("a redirection was followed %d times: %v", elsewhere.Load(), err)
	}
}

func TestATokenThatCannotBeSentIsNotInTheError(t *testing.T) {
	for name, token := range map[string]func() (string, error){
		"broken":  func() (string, error) { return secret + "\n", nil },
		"missing": func() (string, error) { return "", errors.New("there is no token") },
	} {
		server := httptest.NewServer(http.HandlerFunc(signed))
		c, err := client.New(server.URL, token, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Attempts = 1
		if err := c.Sign(t.Context(), endpoint.Request{Images: []string{"a"}}, func(endpoint.Result) {}); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
		server.Close()
	}
}

func TestTheAuthorityOfTheServiceIsTheOnlyOne(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(signed))
	defer server.Close()
	right := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	for name, c := range map[string]struct {
		ca   []byte
		want string
	}{"the right one": {right, ""}, "those of the system": {nil, "certificate"}, "another": {strange(t), "certificate"}} {
		service, err := client.New(server.URL, func() (string, error) { return secret, nil }, c.ca, nil)
		if err != nil {
			t.Fatal(err)
		}
		service.Attempts = 1
		err = service.Sign(t.Context(), endpoint.Request{Images: []string{"a"}}, func(endpoint.Result) {})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := client.New(server.URL, nil, []byte("no PEM"), nil); err == nil {
		t.Error("an authority that is none is taken")
	}
}

// strange is an authority that has nothing to do with the service.
func strange(t *testing.T) []byte {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
}

func TestTheEndOfTheContextEndsTheWaiting(t *testing.T) {
	server := httptest.NewServer(fail(http.StatusServiceUnavailable, "120"))
	defer server.Close()
	c, err := client.New(server.URL, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := c.Sign(ctx, endpoint.Request{Images: []string{"a"}}, func(endpoint.Result) {}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it ends with %v", err)
	}
}
