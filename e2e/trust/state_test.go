//go:build e2e

package trust_test

import (
	"errors"
	"strconv"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-telemetry/holdfast/e2e/trust"
	"github.com/holdfast-telemetry/holdfast/trust/state"
)

func TestInstancesThatRaceForARecordInAClusterLoseNothing(t *testing.T) {
	namespace := cluster.Namespace(t, map[string]string{trust.ExcludeLabel: "true"})
	maps := cluster.Client().CoreV1().ConfigMaps(namespace)
	const writers, each = 3, 10
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			s := &state.ConfigMap{Client: maps, Name: "record"}
			for done := 0; done < each; {
				record, at, err := s.Load(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				n, _ := strconv.Atoi(string(record)) // 0 before the first
				_, err = s.Save(t.Context(), []byte(strconv.Itoa(n+1)), at)
				switch {
				case err == nil:
					done++
				case !errors.Is(err, state.ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	s := &state.ConfigMap{Client: maps, Name: "record"}
	record, at, err := s.Load(t.Context())
	if err != nil || string(record) != strconv.Itoa(writers*each) {
		t.Fatalf("the record is %q, %v", record, err)
	}
	// What others write on the object is a change of it, and stays.
	if _, err := maps.Patch(t.Context(), "record", types.MergePatchType, []byte(`{"metadata":{"labels":{"team":"trust"}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(t.Context(), []byte("x"), at); !errors.Is(err, state.ErrConflict) {
		t.Errorf("after a change by others: %v", err)
	}
	if _, at, err = s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(t.Context(), []byte("x"), at); err != nil {
		t.Fatal(err)
	}
	if m, err := maps.Get(t.Context(), "record", metav1.GetOptions{}); err != nil || m.Labels["team"] != "trust" {
		t.Errorf("the object is %+v, %v", m, err)
	}
}
