package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Store is where snapshots are: a Folder, or a bucket of an object store.
//
// Both keep three promises. A snapshot is there from the moment that its header is, which is written last, and is gone from the moment
// that its header is, which is removed first. Writing to a name that is taken is an error. Nothing is removed but what has the name and
// the files of a snapshot.
type Store interface {
	// begin makes room for a snapshot, which nobody sees until commit.
	begin(ctx context.Context, name string) (draft, error)
	// names are those of the snapshots, oldest first.
	names(ctx context.Context) ([]string, error)
	// has says whether a snapshot of that name is there. An empty name is the store itself.
	has(ctx context.Context, name string) (bool, error)
	// read returns a file of at most MaxFile bytes.
	read(ctx context.Context, name, file string) ([]byte, error)
	remove(ctx context.Context, name string) error
	// tidy removes what runs left that were interrupted more than a day before now.
	tidy(ctx context.Context, now time.Time) error
	// place is how a file of a snapshot, or a snapshot, is called in messages.
	place(name, file string) string
}

// draft is a snapshot that is being written.
type draft interface {
	write(ctx context.Context, file string, content []byte) error
	// commit makes it a snapshot, with what is in its header.
	commit(ctx context.Context, header []byte) error
	// abandon removes what was written, unless commit did its work.
	abandon()
}

// Open returns the store at a location: s3://bucket/prefix, or a folder.
func Open(location string, o BucketOptions) (Store, error) {
	if rest, ok := strings.CutPrefix(location, "s3://"); ok {
		return newBucket(rest, o)
	}
	if scheme, _, ok := strings.Cut(location, "://"); ok {
		return nil, fmt.Errorf("%s:// is no kind of store: snapshots are in a folder, or at s3://bucket/prefix", scheme)
	}
	if location == "" {
		return nil, errors.New("where are the snapshots? A folder or s3://bucket/prefix is wanted")
	}
	return Folder(location), nil
}

// prune removes all but the newest keep, and what interrupted runs left.
func prune(ctx context.Context, s Store, keep int, now time.Time) error {
	if keep == 0 {
		return nil
	}
	errs := []error{s.tidy(ctx, now)}
	names, err := s.names(ctx)
	errs = append(errs, err)
	for _, name := range names[:max(0, len(names)-keep)] {
		errs = append(errs, s.remove(ctx, name))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("removing old snapshots: %w", err)
	}
	return nil
}

// snapshotName says whether a name is one that Take gives, and of when.
func snapshotName(name string) (time.Time, bool) {
	t, err := time.Parse(nameLayout, name)
	return t, err == nil
}

func readAll(r io.Reader, place string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxFile+1))
	if err == nil && len(b) > MaxFile {
		err = fmt.Errorf("%s is larger than %d bytes", place, MaxFile)
	}
	return b, err
}
