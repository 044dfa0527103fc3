package ui

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestPageLoadsNothingFromElsewhere(t *testing.T) {
	h := Pages()
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

func TestOtherPathsAreNotFound(t *testing.T) {
	for _, path := range []string{"/ui/none.js", "/nothing", "/setup/more"} {
		w := httptest.NewRecorder()
		Pages().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != http.StatusNotFound {
			t.Errorf("GET %s: status %d, want 404", path, w.Code)
		}
	}
}
