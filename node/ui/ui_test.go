package ui

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestPageLoadsNothingFromElsewhere(t *testing.T) {
	h := Handler(http.NotFoundHandler())
	for _, path := range []string{"/", "/setup", "/ui/page.js", "/ui/page.css", "/ui/mark.svg"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != http.StatusOK {
			t.Errorf("GET %s: status %d", path, w.Code)
		}
		if got := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(got, "default-src 'none'") {
			t.Errorf("GET %s: policy %q does not close by default", path, got)
		}
		body := strings.ReplaceAll(w.Body.String(), "http://www.w3.org/2000/svg", "")
		for _, outside := range []string{`src="http`, `href="http`, "@import", "//cdn"} {
			if strings.Contains(body, outside) {
				t.Errorf("GET %s: body holds %q", path, outside)
			}
		}
	}
}

func TestOtherPathsGoToTheNextHandler(t *testing.T) {
	h := Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	for _, path := range []string{"/health", "/api/v2/setup", "/write", "/nothing"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", path, nil))
		if w.Code != http.StatusTeapot {
			t.Errorf("POST %s: status %d, want the next handler's", path, w.Code)
		}
	}
}
