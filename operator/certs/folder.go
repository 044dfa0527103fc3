package certs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// FolderWatch keeps a Serving up to date with the files tls.crt and tls.key of a folder, as cert-manager's Secrets are mounted. The
// bundle of the webhook configuration is then for whoever made the certificates; no Rotator must run.
type FolderWatch struct {
	Dir      string
	Interval time.Duration // between two looks; default 10 s
	Serving  *Serving
	Logger   *slog.Logger

	seen [sha256.Size]byte // what was read last, so that a bad pair is reported once
	told string            // the last error in reading
}

// NewFolderWatch returns a watch of dir.
func NewFolderWatch(dir string, serving *Serving) *FolderWatch {
	return &FolderWatch{Dir: dir, Interval: 10 * time.Second, Serving: serving, Logger: slog.New(slog.DiscardHandler)}
}

// NeedLeaderElection says that every replica watches.
func (w *FolderWatch) NeedLeaderElection() bool { return false }

// Start looks at once and then at every interval until ctx ends. Files that are missing or bad leave the present certificate served;
// each change of them is reported once.
func (w *FolderWatch) Start(ctx context.Context) error {
	ticker := time.NewTicker(w.Interval)
	defer ticker.Stop()
	for {
		if err := w.look(); err != nil {
			w.Logger.Warn("certificate not taken", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// look takes the pair if it changed since the last look. Contents are compared, not times: a mounted Secret is replaced by moving a
// symbolic link, and some file systems have times of a second.
func (w *FolderWatch) look() error {
	cert, key, err := w.read()
	if err != nil {
		if err.Error() == w.told {
			return nil
		}
		w.told, w.seen = err.Error(), [sha256.Size]byte{}
		return w.Serving.failed(err)
	}
	w.told = ""
	sum := sha256.Sum256(bytes.Join([][]byte{cert, key}, []byte{0}))
	if sum == w.seen {
		return nil
	}
	w.seen = sum
	pair, err := decodePair(cert, key)
	if err == nil {
		err = w.Serving.take(pair)
	}
	if err != nil {
		return w.Serving.failed(fmt.Errorf("certificate of folder %s: %w", w.Dir, err))
	}
	return nil
}

// read returns both files, as they were at one moment: the first is read again after the second, until it is the same.
func (w *FolderWatch) read() (cert, key []byte, err error) {
	for range 3 {
		if cert, err = os.ReadFile(filepath.Join(w.Dir, KeyCertificate)); err != nil {
			return nil, nil, fmt.Errorf("read the certificate: %w", err)
		}
		if key, err = os.ReadFile(filepath.Join(w.Dir, KeyServingKey)); err != nil {
			return nil, nil, fmt.Errorf("read the certificate's key: %w", err)
		}
		again, err := os.ReadFile(filepath.Join(w.Dir, KeyCertificate))
		if err != nil {
			return nil, nil, fmt.Errorf("read the certificate: %w", err)
		}
		if bytes.Equal(cert, again) {
			return cert, key, nil
		}
	}
	return nil, nil, errors.New("read the certificate: it changes all the time")
}
