package nearest_test

import (
	"testing"

	"github.com/holdfast-telemetry/holdfast/internal/nearest"
)

func TestMisspellingsAreFound(t *testing.T) {
	known := []string{"collection_jitter", "count", "deadline", "interval", "urls"}
	for key, want := range map[string]string{"cuont": "count", "colection_jiter": "collection_jitter", "Interval": "interval", "url": "urls", "password": ""} {
		if got := nearest.Of(key, known); got != want {
			t.Errorf("Of(%q) is %q, want %q", key, got, want)
		}
	}
}
