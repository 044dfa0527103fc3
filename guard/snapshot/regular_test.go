package snapshot

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// regular returns one whose Take appends the times of its calls and does what do says.
func regular(t *testing.T, store Store, at *[]time.Time, do func(n int) error) *Regular {
	t.Helper()
	r := NewRegular(store, time.Hour)
	r.Timeout, r.Log = 10*time.Minute, slog.New(slog.DiscardHandler)
	r.Take = func(context.Context) (string, error) {
		*at = append(*at, time.Now())
		if err := do(len(*at)); err != nil {
			return "", err
		}
		return "somewhere", nil
	}
	return r
}

func ready(r *Regular) int {
	w := httptest.NewRecorder()
	r.Handler(prometheus.NewRegistry()).ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
	return w.Code
}

func TestSnapshotsAreTakenEveryPeriodAndNotAllAtOneTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Hour)
		defer cancel()
		var at []time.Time
		r := regular(t, Folder(t.TempDir()), &at, func(int) error { return nil })
		if ready(r) != 503 {
			t.Error("it is ready without a snapshot")
		}
		begin := time.Now()
		r.Run(ctx)
		if len(at) < 28 || len(at) > 33 || at[0] != begin {
			t.Fatalf("%d snapshots in 30 h, the first after %v", len(at), at[0].Sub(begin))
		}
		gaps := map[time.Duration]bool{}
		for i := range len(at) - 1 {
			gap := at[i+1].Sub(at[i])
			gaps[gap] = true
			if gap < 57*time.Minute || gap > 63*time.Minute {
				t.Errorf("the gap is %v", gap)
			}
		}
		if len(gaps) < 10 {
			t.Errorf("the gaps are %v", gaps)
		}
		if ready(r) != 200 {
			t.Error("it is not ready with one")
		}
		time.Sleep(3 * time.Hour)
		if ready(r) != 503 {
			t.Error("it is ready although the newest is three periods old")
		}
	})
}

func TestAProgramThatStartsAgainTakesNoMoreSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		take(t, dir, Options{})
		time.Sleep(20 * time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), 41*time.Minute)
		defer cancel()
		var at []time.Time
		begin := time.Now()
		regular(t, Folder(dir), &at, func(int) error { return nil }).Run(ctx)
		if len(at) != 1 || at[0].Sub(begin).Round(time.Second) != 34*time.Minute {
			t.Errorf("snapshots at %v, begun at %v", at, begin)
		}
	})
}

func TestAFailureIsTriedAgainMoreAndMoreSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		var at []time.Time
		r := regular(t, Folder(t.TempDir()), &at, func(n int) error {
			if n < 20 {
				return errors.New("no")
			}
			return nil
		})
		r.Run(ctx)
		if len(at) < 20 {
			t.Fatalf("%d attempts in a day", len(at))
		}
		if first := at[1].Sub(at[0]); first > 11*time.Second {
			t.Errorf("it is tried again after %v", first)
		}
		for i := range 19 {
			if gap := at[i+1].Sub(at[i]); gap > 63*time.Minute {
				t.Errorf("attempt %d is %v after the one before", i+1, gap)
			}
		}
	})
}

func TestAHalfSnapshotIsNoneAndGoesADayLater(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func() time.Time { return now }
	whole := take(t, dir, Options{Now: at})
	now = now.Add(time.Hour)
	half := take(t, dir, Options{Now: at})
	if err := os.Remove(filepath.Join(half, headerFile)); err != nil {
		t.Fatal(err)
	}
	if s, err := Read(t.Context(), Folder(dir)); err != nil || s.Path != whole {
		t.Errorf("the newest is %v: %v", s, err)
	}
	now = now.Add(25 * time.Hour)
	take(t, dir, Options{Now: at})
	if _, err := os.Stat(half); err != nil {
		t.Errorf("it is removed although nothing may be: %v", err)
	}
	now = now.Add(time.Second)
	take(t, dir, Options{Now: at, Keep: 5})
	if _, err := os.Stat(half); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	if _, err := os.Stat(whole); err != nil {
		t.Error(err)
	}
}
