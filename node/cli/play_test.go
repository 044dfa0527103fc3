package cli

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// testdata is absolute, so that a test may go to another folder.
var testdata, _ = filepath.Abs("testdata")

var update = flag.Bool("update", false, "rewrite the golden files")

// IDs of the played resources.
const (
	orgID    = "0a00000000000001"
	userID   = "0b00000000000001"
	bucketID = "0c00000000000001"
	authID   = "0d00000000000001"
	remoteID = "0e00000000000001"
	replID   = "0f00000000000001"
	dbrpID   = "1a00000000000001"
)

// exchange is one request that must come and the answer to it.
type exchange struct {
	// request is "METHOD /path?query", the query decoded and sorted by name.
	request string
	// body is the JSON that the request must have, or its text when that is not JSON; empty for none.
	body   string
	status int
	answer string
	header http.Header
}

// play starts a server that answers the exchanges in their order and nothing else.
func play(t *testing.T, exchanges ...exchange) string {
	t.Helper()
	next := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := r.Method + " " + r.URL.Path
		if r.URL.RawQuery != "" {
			q, _ := url.QueryUnescape(r.URL.Query().Encode())
			got += "?" + q
		}
		if next >= len(exchanges) {
			t.Errorf("request %d: %s came, nothing was expected", next+1, got)
			http.Error(w, "unexpected", http.StatusTeapot)
			return
		}
		x := exchanges[next]
		next++
		if got != x.request {
			t.Errorf("request %d:\n got %s\nwant %s", next, got, x.request)
		}
		if token := r.Header.Get("Authorization"); token != "Token tok" && !strings.Contains(x.request, "/setup") && !strings.Contains(x.request, "/signin") && x.header.Get("X-Any-Auth") == "" {
			t.Errorf("request %d %s has authorization %q", next, got, token)
		}
		comparePlayed(t, next, got, bodyOf(t, r), x.body)
		for name, values := range x.header {
			w.Header()[name] = values
		}
		w.Header().Set("X-Influxdb-Build", "OSS")
		w.Header().Set("X-Influxdb-Version", "v2.9.1")
		w.WriteHeader(x.status)
		_, _ = io.WriteString(w, x.answer)
	}))
	t.Cleanup(func() {
		server.Close()
		if next != len(exchanges) {
			t.Errorf("%d requests came, want %d; the first that is missing: %s", next, len(exchanges), exchanges[next].request)
		}
	})
	return server.URL
}

func bodyOf(t *testing.T, r *http.Request) string {
	t.Helper()
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		zip, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Errorf("the body is not gzip: %v", err)
			return ""
		}
		body = zip
	}
	text, err := io.ReadAll(body)
	if err != nil {
		t.Errorf("reading the body: %v", err)
	}
	return string(text)
}

func comparePlayed(t *testing.T, n int, request, got, want string) {
	t.Helper()
	var g, w any
	if json.Unmarshal([]byte(want), &w) != nil {
		if got != want {
			t.Errorf("request %d %s has the body\n%s\nwant\n%s", n, request, got, want)
		}
		return
	}
	if err := json.Unmarshal([]byte(got), &g); err != nil || !reflect.DeepEqual(g, w) {
		t.Errorf("request %d %s has the body\n%s\nwant\n%s", n, request, got, want)
	}
}

// outcome is what a command left.
type outcome struct {
	code        int
	out, errors string
}

func (o outcome) String() string {
	return fmt.Sprintf("exit %d\n--- stdout\n%s--- stderr\n%s", o.code, o.out, o.errors)
}

// setting is the world a command runs in.
type setting struct {
	name    string
	stdin   string
	env     map[string]string
	options Options
}

func (s setting) run(t *testing.T, args ...string) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	o := s.options
	o.Name, o.In, o.Out, o.Err = orElse(s.name, "holdfast"), strings.NewReader(s.stdin), &out, &errs
	o.Getenv = func(name string) string { return s.env[name] }
	code := Main(context.Background(), o, args)
	return outcome{code, out.String(), errs.String()}
}

// run executes a command with a token and the organization "o", and configs of its own.
func run(t *testing.T, host string, args ...string) outcome {
	t.Helper()
	return at(t, host).run(t, args...)
}

func at(t *testing.T, host string) setting {
	return setting{env: map[string]string{
		"INFLUX_HOST": host, "INFLUX_TOKEN": "tok", "INFLUX_ORG": "o", "INFLUX_CONFIGS_PATH": filepath.Join(t.TempDir(), "configs"),
	}}
}

// golden compares text with testdata/name.txt; host stands for the server's address, which changes.
func golden(t *testing.T, name, text, host string) {
	t.Helper()
	text = strings.ReplaceAll(text, host, "http://HOST")
	path := filepath.Join(testdata, name+".txt")
	if *update {
		if err := os.MkdirAll(testdata, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s:\n%s\nwant\n%s", path, text, want)
	}
}
