package snapshot

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"filippo.io/age"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Limits of what is read.
const (
	// MaxFile is the size of one file, in bytes.
	MaxFile = 512 << 20
	// MaxLine is the size of one object, in bytes: etcd takes no larger one.
	MaxLine = 8 << 20
)

// Read reads a snapshot: the store is one, or has some, of which the newest is read. Every file must be as it was written.
func Read(ctx context.Context, from Store) (*Snapshot, error) {
	name, err := newest(ctx, from)
	if err != nil {
		return nil, err
	}
	b, err := from.read(ctx, name, headerFile)
	if err != nil {
		return nil, fmt.Errorf("reading the snapshot %s: %w", from.place(name, ""), err)
	}
	s := &Snapshot{Path: from.place(name, ""), store: from, name: name, Objects: map[string][]*unstructured.Unstructured{}}
	if err := json.Unmarshal(b, &s.Header); err != nil {
		return nil, fmt.Errorf("reading %s: %w", from.place(name, headerFile), err)
	}
	if s.Version != Version {
		return nil, &VersionError{Path: s.Path, Got: s.Version}
	}
	for _, k := range Kinds {
		if slices.Contains(s.Missing, k.Name) {
			continue
		}
		objects, err := readLines[map[string]any](ctx, s, k.File())
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			s.Objects[k.Name] = append(s.Objects[k.Name], &unstructured.Unstructured{Object: o})
		}
	}
	s.Secrets, err = readLines[Secret](ctx, s, secretFile)
	return s, err
}

// newest finds a snapshot. The empty name is the store itself.
func newest(ctx context.Context, from Store) (string, error) {
	if itself, err := from.has(ctx, ""); err != nil || itself {
		return "", looking(err)
	}
	names, err := from.names(ctx)
	if err != nil {
		return "", looking(err)
	}
	if len(names) == 0 {
		return "", fmt.Errorf("%s is no snapshot and has none: holdfast-guard snapshot takes one", from.place("", ""))
	}
	return names[len(names)-1], nil
}

func looking(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("looking for a snapshot: %w", err)
}

// readLines reads one file of a snapshot, which must have the digest that the header says.
func readLines[T any](ctx context.Context, s *Snapshot, file string) ([]T, error) {
	path := s.store.place(s.name, file)
	b, err := s.checked(ctx, file)
	if err != nil {
		return nil, err
	}
	var all []T
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, MaxLine)
	for n := 1; lines.Scan(); n++ {
		var v T
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		all = append(all, v)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", path, len(all)+1, err)
	}
	return all, nil
}

// ErrChanged tells that a file of a snapshot is not as it was written.
var ErrChanged = errors.New("the file is not as the snapshot was written")

func (s *Snapshot) checked(ctx context.Context, file string) ([]byte, error) {
	b, err := s.store.read(ctx, s.name, file)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", s.store.place(s.name, file), err)
	}
	sum := sha256.Sum256(b)
	if got := hex.EncodeToString(sum[:]); got != s.Digests[file] {
		return nil, fmt.Errorf("%s: %w", s.store.place(s.name, file), ErrChanged)
	}
	return b, nil
}

// Values decrypts the Secrets of a snapshot that was taken with their values.
func (s *Snapshot) Values(ctx context.Context, identities ...age.Identity) ([]*unstructured.Unstructured, error) {
	if _, ok := s.Digests[valueFile]; !ok {
		return nil, fmt.Errorf("%s was taken without the values of Secrets", s.Path)
	}
	b, err := s.checked(ctx, valueFile)
	if err != nil {
		return nil, err
	}
	r, err := age.Decrypt(bytes.NewReader(b), identities...)
	if err != nil {
		return nil, fmt.Errorf("decrypting %s: %w", s.store.place(s.name, valueFile), err)
	}
	var all []*unstructured.Unstructured
	decoder := json.NewDecoder(io.LimitReader(r, MaxFile))
	for {
		var o map[string]any
		if err := decoder.Decode(&o); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading the values of Secrets: %w", err)
		}
		all = append(all, &unstructured.Unstructured{Object: o})
	}
}
