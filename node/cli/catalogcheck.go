package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/holdfast-telemetry/holdfast/node/catalog"
)

// CatalogCheck checks the catalog of a data folder, which is the file of the given name in it.
func CatalogCheck(name string) Check {
	return Check{
		Name: "catalog", About: "read organizations, users, buckets, tokens, remotes and replications",
		Run: func(_ context.Context, dir string, report func(Finding)) error {
			path := filepath.Join(dir, name)
			if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
				return ErrAbsent
			}
			r, err := catalog.Check(path)
			if err != nil {
				return err
			}
			for _, p := range r.Problems {
				report(Finding{Damaged, path, p, "put the file back from a backup; the points are not in it and stay"})
			}
			if len(r.Problems) == 0 {
				report(Finding{Fine, path, fmt.Sprintf("%d records", r.Records), ""})
			}
			return nil
		},
	}
}

// CatalogInUse returns an error for a data folder whose catalog, the file of the given name in it, is open in another process.
func CatalogInUse(name string) func(dir string) error {
	return func(dir string) error {
		if _, err := catalog.Check(filepath.Join(dir, name)); errors.Is(err, catalog.ErrInUse) {
			return err
		}
		return nil
	}
}
