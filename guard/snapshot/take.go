package snapshot

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

const (
	headerFile = "snapshot.json"
	secretFile = "secrets.jsonl"
	valueFile  = "secrets.age"
	// nameLayout names snapshots so that they sort by age, on file systems without colons too.
	nameLayout = "2006-01-02T15-04-05.000Z"
	prefix     = ".taking-"
	// page is how many objects one request asks for.
	page = 500
)

var (
	secrets    = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
)

// Options are how a snapshot is taken.
type Options struct {
	// Recipients may read the values of Secrets; without any, no value is read into the snapshot.
	Recipients []age.Recipient
	// Keep is how many snapshots stay in the folder, the new one included; 0 keeps all.
	Keep int
	// Name is the folder's name; by default it is the time.
	Name string
	// Now is the time of the snapshot.
	Now func() time.Time
}

// Take exports a cluster into a new folder inside dir and returns its path. Older snapshots beyond o.Keep are removed afterwards, and
// only afterwards.
func Take(ctx context.Context, client dynamic.Interface, dir string, o Options) (string, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	taken := o.Now().UTC()
	if o.Name == "" {
		o.Name = taken.Format(nameLayout)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("making the folder of snapshots: %w", err)
	}
	final := filepath.Join(dir, o.Name)
	if _, err := os.Lstat(final); err == nil {
		return "", fmt.Errorf("the snapshot %s is there already: %w", final, fs.ErrExist)
	}
	tmp, err := os.MkdirTemp(dir, prefix)
	if err != nil {
		return "", fmt.Errorf("making a snapshot: %w", err)
	}
	defer os.RemoveAll(tmp)
	t := taker{client: client, dir: tmp, header: Header{Version: Version, Taken: taken, Counts: map[string]int{}, Digests: map[string]string{}}}
	if err := t.take(ctx, o.Recipients); err != nil {
		return "", fmt.Errorf("taking a snapshot: %w", err)
	}
	if err := os.Rename(tmp, final); err != nil {
		return "", fmt.Errorf("naming the snapshot: %w", err)
	}
	if err := syncFolder(dir); err != nil {
		return "", err
	}
	return final, prune(dir, o.Keep, taken)
}

// taker writes one snapshot.
type taker struct {
	client dynamic.Interface
	dir    string
	header Header
}

func (t *taker) take(ctx context.Context, recipients []age.Recipient) error {
	system, err := t.client.Resource(namespaces).Get(ctx, "kube-system", metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading which cluster this is: %w", err)
	}
	t.header.Cluster = string(system.GetUID())
	for _, k := range Kinds {
		objects, err := list(ctx, t.client, k.GroupVersionResource)
		if k.Optional && apierrors.IsNotFound(err) {
			t.header.Missing = append(t.header.Missing, k.Name)
			continue
		}
		if err != nil {
			return fmt.Errorf("listing every %s: %w", k.Name, err)
		}
		if err := t.write(k.File(), objects); err != nil {
			return err
		}
	}
	if err := t.secrets(ctx, recipients); err != nil {
		return err
	}
	b, err := json.MarshalIndent(t.header, "", "  ")
	if err != nil {
		return err
	}
	if err := writeSynced(filepath.Join(t.dir, headerFile), append(b, '\n')); err != nil {
		return err
	}
	return syncFolder(t.dir)
}

// list returns all objects of a kind, without what only the API server uses, sorted.
func list(ctx context.Context, client dynamic.Interface, r schema.GroupVersionResource) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	o := metav1.ListOptions{Limit: page}
	for {
		l, err := client.Resource(r).List(ctx, o)
		if err != nil {
			return nil, err
		}
		for i := range l.Items {
			l.Items[i].SetManagedFields(nil)
			all = append(all, &l.Items[i])
		}
		if o.Continue = l.GetContinue(); o.Continue == "" {
			break
		}
	}
	slices.SortFunc(all, func(a, b *unstructured.Unstructured) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	return all, nil
}

func (t *taker) write(name string, objects []*unstructured.Unstructured) error {
	var b bytes.Buffer
	for _, o := range objects {
		line, err := json.Marshal(o.Object)
		if err != nil {
			return fmt.Errorf("writing %s/%s: %w", o.GetNamespace(), o.GetName(), err)
		}
		b.Write(append(line, '\n'))
	}
	return t.file(name, b.Bytes(), len(objects))
}

func (t *taker) file(name string, content []byte, count int) error {
	sum := sha256.Sum256(content)
	t.header.Counts[name], t.header.Digests[name] = count, hex.EncodeToString(sum[:])
	return writeSynced(filepath.Join(t.dir, name), content)
}

// secrets writes the names and keys of Secrets, and their values for those who may read them. No value touches the disk in clear.
func (t *taker) secrets(ctx context.Context, recipients []age.Recipient) error {
	all, err := list(ctx, t.client, secrets)
	if err != nil {
		return fmt.Errorf("listing Secrets: %w", err)
	}
	var b bytes.Buffer
	for _, o := range all {
		line, err := json.Marshal(described(o))
		if err != nil {
			return err
		}
		b.Write(append(line, '\n'))
	}
	if err := t.file(secretFile, b.Bytes(), len(all)); err != nil || len(recipients) == 0 {
		return err
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, recipients...)
	if err != nil {
		return fmt.Errorf("encrypting the values of Secrets: %w", err)
	}
	encoder := json.NewEncoder(w)
	for _, o := range all {
		if err := encoder.Encode(o.Object); err != nil {
			return fmt.Errorf("encrypting the values of Secrets: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("encrypting the values of Secrets: %w", err)
	}
	return t.file(valueFile, sealed.Bytes(), len(all))
}

func described(o *unstructured.Unstructured) Secret {
	s := Secret{Namespace: o.GetNamespace(), Name: o.GetName(), Keys: []string{}}
	s.Type, _, _ = unstructured.NestedString(o.Object, "type")
	data, _, _ := unstructured.NestedMap(o.Object, "data")
	for k := range data {
		s.Keys = append(s.Keys, k)
	}
	slices.Sort(s.Keys)
	return s
}

// prune removes what is older than the newest keep, and what interrupted runs left. A folder that is no snapshot is left alone. A run
// that is still going on is younger than a day.
func prune(dir string, keep int, now time.Time) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("removing old snapshots: %w", err)
	}
	var old []string
	var errs []error
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if info, err := e.Info(); err == nil && strings.HasPrefix(e.Name(), prefix) && now.Sub(info.ModTime()) > 24*time.Hour {
			errs = append(errs, os.RemoveAll(path))
		}
		if _, err := time.Parse(nameLayout, e.Name()); err == nil && isSnapshot(path) {
			old = append(old, path)
		}
	}
	if keep > 0 && len(old) > keep {
		for _, path := range old[:len(old)-keep] { // ReadDir sorts by name, which is by age
			errs = append(errs, os.RemoveAll(path))
		}
	}
	return errors.Join(errs...)
}

func isSnapshot(path string) bool {
	info, err := os.Lstat(filepath.Join(path, headerFile))
	return err == nil && info.Mode().IsRegular()
}

func writeSynced(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	// Some systems cannot sync a folder; the rename is then as durable as they make it.
	_ = f.Sync()
	return f.Close()
}
