package state_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8sruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"

	"github.com/holdfast-telemetry/holdfast/trust/state"
)

// stores are both kinds, with a function that gives another handle on the same record. That a ConfigMap's revisions are held against each
// other by a real API server is shown in e2e/trust.
func stores(t *testing.T) map[string]func() state.Store {
	file := filepath.Join(t.TempDir(), "state.json")
	client := fake.NewClientset()
	revisions(client)
	return map[string]func() state.Store{
		"file":       func() state.Store { return &state.File{Path: file} },
		"config map": func() state.Store { return &state.ConfigMap{Client: client.CoreV1().ConfigMaps("n"), Name: "m"} },
	}
}

// revisions has a fake API server count revisions and refuse updates of old ones, as a real one does.
func revisions(client *fake.Clientset) {
	var mu sync.Mutex
	revision := 0
	stamp := func(m *corev1.ConfigMap) {
		revision++
		m.ResourceVersion = strconv.Itoa(revision)
	}
	client.PrependReactor("create", "configmaps", func(action ktesting.Action) (bool, k8sruntime.Object, error) {
		mu.Lock()
		defer mu.Unlock()
		stamp(action.(ktesting.CreateAction).GetObject().(*corev1.ConfigMap))
		return false, nil, nil
	})
	client.PrependReactor("update", "configmaps", func(action ktesting.Action) (bool, k8sruntime.Object, error) {
		mu.Lock()
		defer mu.Unlock()
		m := action.(ktesting.UpdateAction).GetObject().(*corev1.ConfigMap)
		there, err := client.Tracker().Get(corev1.SchemeGroupVersion.WithResource("configmaps"), m.Namespace, m.Name)
		if err != nil {
			return true, nil, err
		}
		if there.(*corev1.ConfigMap).ResourceVersion != m.ResourceVersion {
			return true, nil, apierrors.NewConflict(corev1.Resource("configmaps"), m.Name, errors.New("it was changed"))
		}
		stamp(m)
		return true, m, client.Tracker().Update(corev1.SchemeGroupVersion.WithResource("configmaps"), m, m.Namespace)
	})
}

func TestARecordIsReplacedOnlyByWhoReadTheLastOne(t *testing.T) {
	for name, open := range stores(t) {
		t.Run(name, func(t *testing.T) {
			one, two := open(), open()
			if record, at, err := one.Load(t.Context()); len(record) > 0 || at != "" || err != nil {
				t.Fatalf("at first: %q, %q, %v", record, at, err)
			}
			first, err := one.Save(t.Context(), []byte("1"), "")
			if err != nil || first == "" {
				t.Fatalf("%q, %v", first, err)
			}
			if _, err := two.Save(t.Context(), []byte("other"), ""); !errors.Is(err, state.ErrConflict) {
				t.Errorf("a second beginning: %v", err)
			}
			record, at, err := two.Load(t.Context())
			if string(record) != "1" || at != first || err != nil {
				t.Errorf("the other reads %q, %q, %v", record, at, err)
			}
			second, err := two.Save(t.Context(), []byte("2"), at)
			if err != nil || second == first {
				t.Fatalf("%q, %v", second, err)
			}
			if _, err := one.Save(t.Context(), []byte("3"), first); !errors.Is(err, state.ErrConflict) {
				t.Errorf("by an old revision: %v", err)
			}
			if record, at, err := one.Load(t.Context()); string(record) != "2" || at != second || err != nil {
				t.Errorf("after that: %q, %q, %v", record, at, err)
			}
			if _, err := one.Save(t.Context(), make([]byte, state.MaxSize+1), second); err == nil || errors.Is(err, state.ErrConflict) {
				t.Errorf("a record that is too large: %v", err)
			}
		})
	}
}

// Each adds one, many times, at the same time as the others: nothing is lost.
func TestWritersThatRaceLoseNothing(t *testing.T) {
	for name, open := range stores(t) {
		t.Run(name, func(t *testing.T) {
			const writers, each = 4, 25
			var all sync.WaitGroup
			for range writers {
				all.Go(func() {
					s := open()
					for range each {
						if err := increment(t.Context(), s); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			if record, _, err := open().Load(t.Context()); string(record) != strconv.Itoa(writers*each) || err != nil {
				t.Errorf("%q, %v", record, err)
			}
		})
	}
}

func increment(ctx context.Context, s state.Store) error {
	for {
		record, at, err := s.Load(ctx)
		if err != nil {
			return err
		}
		n := 0
		if at != "" {
			if n, err = strconv.Atoi(string(record)); err != nil {
				return err
			}
		}
		if _, err = s.Save(ctx, []byte(strconv.Itoa(n+1)), at); !errors.Is(err, state.ErrConflict) {
			return err
		}
	}
}

func TestAFileIsWholeAndItsOwnersAlone(t *testing.T) {
	dir := t.TempDir()
	s := &state.File{Path: filepath.Join(dir, "state.json")}
	at, err := s.Save(t.Context(), []byte("a"), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(t.Context(), []byte("b"), at); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v", e.Name(), info.Mode())
		}
	}
	if got := strings.Join(names, " "); got != "state.json state.json.lock" {
		t.Errorf("the folder has %s", got)
	}
}

func TestAFileThatWasChangedByHandIsAConflict(t *testing.T) {
	s := &state.File{Path: filepath.Join(t.TempDir(), "state.json")}
	at, err := s.Save(t.Context(), []byte("good"), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Path, []byte("go"), 0o600); err != nil { // as when it was damaged
		t.Fatal(err)
	}
	if _, err := s.Save(t.Context(), []byte("next"), at); !errors.Is(err, state.ErrConflict) {
		t.Errorf("what was damaged is written over: %v", err)
	}
	if record, found, err := s.Load(t.Context()); string(record) != "go" || found == at || err != nil {
		t.Errorf("%q, %q, %v", record, found, err)
	}
}

func TestAFileThatCannotBeReadIsNotTakenForNone(t *testing.T) {
	dir := t.TempDir()
	large := &state.File{Path: filepath.Join(dir, "large")}
	if err := os.WriteFile(large.Path, make([]byte, state.MaxSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	folder := &state.File{Path: filepath.Join(dir, "folder")}
	if err := os.Mkdir(folder.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*state.File{large, folder} {
		if _, at, err := s.Load(t.Context()); err == nil || at != "" {
			t.Errorf("%s: %q, %v", s.Path, at, err)
		}
		if _, err := s.Save(t.Context(), []byte("x"), ""); err == nil || errors.Is(err, state.ErrConflict) {
			t.Errorf("%s is replaced: %v", s.Path, err)
		}
	}
	nowhere := &state.File{Path: filepath.Join(dir, "none", "state.json")}
	if record, at, err := nowhere.Load(t.Context()); record != nil || at != "" || err != nil {
		t.Errorf("where there is no folder: %q, %q, %v", record, at, err)
	}
	if _, err := nowhere.Save(t.Context(), []byte("x"), ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("where there is no folder: %v", err)
	}
}

func TestAConfigMapKeepsWhatOthersWroteOnIt(t *testing.T) {
	client := fake.NewClientset()
	revisions(client)
	maps := client.CoreV1().ConfigMaps("n")
	s := &state.ConfigMap{Client: maps, Name: "m"}
	if _, err := s.Save(t.Context(), []byte("1"), ""); err != nil {
		t.Fatal(err)
	}
	m, err := maps.Get(t.Context(), "m", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m.Labels = map[string]string{"team": "trust"}
	if m, err = maps.Update(t.Context(), m, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(t.Context(), []byte("2"), m.ResourceVersion); err != nil {
		t.Fatal(err)
	}
	if m, err = maps.Get(t.Context(), "m", metav1.GetOptions{}); err != nil || m.Labels["team"] != "trust" || string(m.BinaryData["record"]) != "2" {
		t.Errorf("%+v, %v", m, err)
	}
	// Whoever deletes it has not made it anew.
	if err := maps.Delete(t.Context(), "m", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(t.Context(), []byte("3"), m.ResourceVersion); !errors.Is(err, state.ErrConflict) {
		t.Errorf("where it was deleted: %v", err)
	}
}
