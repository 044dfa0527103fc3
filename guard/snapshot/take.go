package snapshot

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
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
	// Keep is how many snapshots stay in the store, the new one included; 0 keeps all, and removes nothing.
	Keep int
	// Name is that of the snapshot; by default it is the time.
	Name string
	// Now is the time of the snapshot.
	Now func() time.Time
}

// Take exports a cluster into a new snapshot of a store and returns where it is. Older ones beyond o.Keep are removed afterwards, and only
// afterwards.
func Take(ctx context.Context, client dynamic.Interface, to Store, o Options) (string, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	taken := o.Now().UTC()
	if o.Name == "" {
		o.Name = taken.Format(nameLayout)
	}
	d, err := to.begin(ctx, o.Name)
	if err != nil {
		return "", err
	}
	defer d.abandon()
	t := taker{client: client, draft: d, header: Header{Version: Version, Taken: taken, Counts: map[string]int{}, Digests: map[string]string{}}}
	if err := t.take(ctx, o.Recipients); err != nil {
		return "", fmt.Errorf("taking a snapshot: %w", err)
	}
	return to.place(o.Name, ""), prune(ctx, to, o.Keep, taken)
}

// taker writes one snapshot.
type taker struct {
	client dynamic.Interface
	draft  draft
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
		if err := t.write(ctx, k.File(), objects); err != nil {
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
	return t.draft.commit(ctx, append(b, '\n'))
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

func (t *taker) write(ctx context.Context, name string, objects []*unstructured.Unstructured) error {
	var b bytes.Buffer
	for _, o := range objects {
		line, err := json.Marshal(o.Object)
		if err != nil {
			return fmt.Errorf("writing %s/%s: %w", o.GetNamespace(), o.GetName(), err)
		}
		b.Write(append(line, '\n'))
	}
	return t.file(ctx, name, b.Bytes(), len(objects))
}

func (t *taker) file(ctx context.Context, name string, content []byte, count int) error {
	sum := sha256.Sum256(content)
	t.header.Counts[name], t.header.Digests[name] = count, hex.EncodeToString(sum[:])
	return t.draft.write(ctx, name, content)
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
	if err := t.file(ctx, secretFile, b.Bytes(), len(all)); err != nil || len(recipients) == 0 {
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
	return t.file(ctx, valueFile, sealed.Bytes(), len(all))
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
