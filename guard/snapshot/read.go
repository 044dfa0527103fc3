package snapshot

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

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

// Read reads a snapshot: dir is its folder, or one with snapshots, of which the newest is read. Every file must be as it was written.
func Read(dir string) (*Snapshot, error) {
	path, err := newest(dir)
	if err != nil {
		return nil, err
	}
	b, err := readFile(filepath.Join(path, headerFile))
	if err != nil {
		return nil, fmt.Errorf("reading the snapshot %s: %w", path, err)
	}
	s := &Snapshot{Path: path, Objects: map[string][]*unstructured.Unstructured{}}
	if err := json.Unmarshal(b, &s.Header); err != nil {
		return nil, fmt.Errorf("reading %s: %w", filepath.Join(path, headerFile), err)
	}
	if s.Version != Version {
		return nil, &VersionError{Path: path, Got: s.Version}
	}
	for _, k := range Kinds {
		if slices.Contains(s.Missing, k.Name) {
			continue
		}
		objects, err := readLines[map[string]any](s, k.File())
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			s.Objects[k.Name] = append(s.Objects[k.Name], &unstructured.Unstructured{Object: o})
		}
	}
	s.Secrets, err = readLines[Secret](s, secretFile)
	return s, err
}

// newest finds a snapshot.
func newest(dir string) (string, error) {
	if isSnapshot(dir) {
		return dir, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("looking for a snapshot: %w", err)
	}
	for _, e := range slices.Backward(entries) {
		path := filepath.Join(dir, e.Name())
		if _, err := time.Parse(nameLayout, e.Name()); err == nil && isSnapshot(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is no snapshot and has none: holdfast-guard snapshot takes one", dir)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it is only read
	b, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > MaxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, MaxFile)
	}
	return b, nil
}

// readLines reads one file of a snapshot, which must have the digest that the header says.
func readLines[T any](s *Snapshot, name string) ([]T, error) {
	path := filepath.Join(s.Path, name)
	b, err := s.checked(name)
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

func (s *Snapshot) checked(name string) ([]byte, error) {
	path := filepath.Join(s.Path, name)
	b, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading a snapshot: %w", err)
	}
	sum := sha256.Sum256(b)
	if got := hex.EncodeToString(sum[:]); got != s.Digests[name] {
		return nil, fmt.Errorf("%s: %w", path, ErrChanged)
	}
	return b, nil
}

// Values decrypts the Secrets of a snapshot that was taken with their values.
func (s *Snapshot) Values(identities ...age.Identity) ([]*unstructured.Unstructured, error) {
	if _, ok := s.Digests[valueFile]; !ok {
		return nil, fmt.Errorf("%s was taken without the values of Secrets", s.Path)
	}
	b, err := s.checked(valueFile)
	if err != nil {
		return nil, err
	}
	r, err := age.Decrypt(bytes.NewReader(b), identities...)
	if err != nil {
		return nil, fmt.Errorf("decrypting %s: %w", filepath.Join(s.Path, valueFile), err)
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
