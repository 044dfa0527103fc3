package cli

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast-telemetry/holdfast/node/store"
)

// StoreCheck checks the buckets of a data folder's store, which are the folders that match the pattern in it, such as "store/*".
func StoreCheck(pattern string) Check {
	return Check{
		Name: "store", About: "verify every page of the blocks that queries read",
		Run: func(ctx context.Context, dir string, report func(Finding)) error {
			names, err := fs.Glob(os.DirFS(dir), pattern)
			if err != nil {
				return fmt.Errorf("finding the buckets: %w", err)
			}
			found := false
			for _, name := range names {
				one := filepath.Join(dir, filepath.FromSlash(name))
				if info, err := os.Stat(one); err != nil || !info.IsDir() {
					continue
				}
				found = true
				if strings.HasSuffix(name, ".dropped") {
					report(Finding{Noted, one, "a bucket that was deleted, and not all of its files yet", "remove the folder"})
					continue
				}
				r, err := store.Check(ctx, one)
				if err != nil {
					return err
				}
				reportStore(one, &r, report)
			}
			if !found {
				return ErrAbsent
			}
			return nil
		},
	}
}

func reportStore(dir string, r *store.Report, report func(Finding)) {
	for i := range r.Damages {
		d := &r.Damages[i]
		f := Finding{Damaged, d.File, d.Err.Error() + "; nothing is lost", "check the disk; the node writes it again by itself"}
		if d.Column != "" {
			f.Where += fmt.Sprintf(", column %q", d.Column)
		}
		if d.Lost != "" {
			f.What = d.Err.Error() + "; lost: " + d.Lost
			f.Mend = "check the disk; queries leave it out and read the rest"
		}
		if d.First > 0 {
			f.What += fmt.Sprintf(" (from records %d to %d of the journal)", d.First, d.Last)
		}
		report(f)
	}
	if len(r.Damages) == 0 {
		report(Finding{Fine, dir, fmt.Sprintf("%d rows in %d blocks, %d bytes", r.Rows, r.Blocks, r.Bytes), ""})
	}
}
