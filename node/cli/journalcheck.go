package cli

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/holdfast-telemetry/holdfast/node/journal"
)

// JournalCheck checks the journals of a data folder, which are the folders that match the pattern in it, such as "journal/*". A folder
// that is a journal itself is checked as that.
func JournalCheck(pattern string) Check {
	return Check{
		Name: "journal", About: "verify every record of the journals",
		Run: func(ctx context.Context, dir string, report func(Finding)) error {
			names, err := fs.Glob(os.DirFS(dir), pattern)
			if err != nil {
				return fmt.Errorf("finding the journals: %w", err)
			}
			if len(names) == 0 {
				names = []string{"."}
			}
			found := 0
			for _, name := range names {
				if err := ctx.Err(); err != nil {
					return err
				}
				one := filepath.Join(dir, filepath.FromSlash(name))
				r, err := journal.Check(one)
				if err != nil {
					return err
				}
				if name == "." && len(r.Segments) == 0 {
					break // not a journal, so what else it lacks means nothing
				}
				found++
				reportJournal(one, &r, report)
			}
			if found == 0 {
				return ErrAbsent
			}
			return nil
		},
	}
}

func reportJournal(dir string, r *journal.Report, report func(Finding)) {
	if r.State != "" {
		report(Finding{Damaged, dir, "the state file: " + r.State, "nothing: the next start writes it anew; what was dropped by the bounds may be told to readers again, or not at all"})
	}
	for _, s := range r.Segments {
		for _, d := range s.Damage {
			report(damageFinding(filepath.Join(dir, filepath.Base(s.File)), d))
		}
	}
	for _, c := range r.Cursors {
		if c.Damage != "" {
			report(Finding{Damaged, dir, fmt.Sprintf("the position of reader %q: %s", c.Name, c.Damage), "nothing: the reader goes on from an older position, and sends again what lies between"})
		}
	}
	for _, d := range r.Dropped {
		report(Finding{Noted, dir, fmt.Sprintf("records %d to %d were dropped by the bounds (%s)", d.From, d.To, d.Reason), ""})
	}
	if r.Intact() && len(r.Segments) > 0 {
		report(Finding{Fine, dir, fmt.Sprintf("%d records with %d points in %d segments, %d bytes", r.Records, r.Points, len(r.Segments), r.Bytes), ""})
	}
}

func damageFinding(file string, d journal.Damage) Finding {
	where := fmt.Sprintf("%s:%d", file, d.Offset)
	switch {
	case d.Torn:
		return Finding{Noted, where, fmt.Sprintf("%d bytes of a write that was interrupted; nothing that was acknowledged is lost", d.Bytes), "nothing: the next start cuts it off"}
	case d.From == 0:
		return Finding{Damaged, where, fmt.Sprintf("%d bytes are damaged: %s", d.Bytes, d.Cause), "check the disk; readers skip what is damaged and go on"}
	}
	return Finding{Damaged, where, fmt.Sprintf("records %d to %d are damaged (%d bytes): %s", d.From, d.To, d.Bytes, d.Cause),
		"check the disk; readers skip these records, and list them as a gap"}
}
