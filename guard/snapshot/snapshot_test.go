package snapshot

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
)

// client is an API server's that has a Secret. The real one is in e2e/guard.
func client(t *testing.T) *fake.FakeDynamicClient {
	t.Helper()
	s := runtime.NewScheme()
	if err := corev1.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	lists := map[schema.GroupVersionResource]string{}
	for _, k := range Kinds {
		if k.Group != "" {
			lists[k.GroupVersionResource] = k.Name + "List"
		}
	}
	return fake.NewSimpleDynamicClientWithCustomListKinds(s, lists,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: "u"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "s"}, Data: map[string][]byte{"password": []byte("hunter22")}})
}

func take(t *testing.T, dir string, o Options) string {
	t.Helper()
	path, err := Take(t.Context(), client(t), Folder(dir), o)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestValuesOfSecretsAreOnlyThereEncrypted(t *testing.T) {
	bare := take(t, t.TempDir(), Options{})
	who, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	sealed := take(t, t.TempDir(), Options{Recipients: []age.Recipient{who.Recipient()}})
	for _, dir := range []string{bare, sealed} {
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(p)
			if bytes.Contains(b, []byte("hunter22")) || bytes.Contains(b, []byte("aHVudGVyMjI")) {
				t.Errorf("%s has the value of a Secret", p)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		s, err := Read(t.Context(), Folder(dir))
		if err != nil {
			t.Fatal(err)
		}
		if x := s.Secret("a", "s"); x == nil || len(x.Keys) != 1 || x.Keys[0] != "password" {
			t.Errorf("the Secret is %+v", x)
		}
		values, err := s.Values(t.Context(), who)
		if (err == nil) != (dir == sealed) || err == nil && len(values) != 1 {
			t.Errorf("the values are %v: %v", values, err)
		}
	}
}

func TestOldSnapshotsGoAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "mine"), 0o755); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for range 4 {
		now = now.Add(time.Hour)
		take(t, dir, Options{Keep: 2, Now: func() time.Time { return now }})
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != "2026-01-02T06-04-05.000Z 2026-01-02T07-04-05.000Z mine" {
		t.Errorf("there are %s", got)
	}
	if s, err := Read(t.Context(), Folder(dir)); err != nil || s.Taken != now {
		t.Errorf("the newest is not read: %v", err)
	}
}

func TestAFileThatWasChangedIsRefused(t *testing.T) {
	path := take(t, t.TempDir(), Options{})
	if err := os.WriteFile(filepath.Join(path, secretFile), []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(t.Context(), Folder(path)); !errors.Is(err, ErrChanged) {
		t.Errorf("it is read: %v", err)
	}
}
