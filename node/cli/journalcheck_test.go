package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/node/journal"
)

// journalOf writes a journal of n records and returns its newest segment.
func journalOf(t *testing.T, dir string, n int) string {
	t.Helper()
	j, err := journal.Open(journal.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		if _, err := j.Append(context.Background(), journal.Record{Kind: journal.Points, Count: 1, MinTime: 1, MaxTime: 1, Body: []byte("cpu v=1 1\n")}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := journal.Check(dir)
	if err != nil || len(r.Segments) != 1 {
		t.Fatalf("%d segments, %v", len(r.Segments), err)
	}
	return filepath.Join(dir, filepath.Base(r.Segments[0].File))
}

var withJournals = setting{options: Options{Checks: []Check{JournalCheck("journal/*")}}}

func TestJournalCheckOfIntactJournals(t *testing.T) {
	data := t.TempDir()
	journalOf(t, filepath.Join(data, "journal", bucketID), 3)
	journalOf(t, filepath.Join(data, "journal", "0c00000000000002"), 2)
	for _, args := range [][]string{{"journal", "check", data}, {"doctor", "--data", data}} {
		got := withJournals.run(t, args...)
		if got.code != ExitDone || strings.Count(got.out, "\tok") != 2 || !strings.Contains(got.out, "3 records with 3 points") {
			t.Errorf("%q: %s", args, got)
		}
	}
	if got := withJournals.run(t, "journal", "check", filepath.Join(data, "journal", bucketID)); got.code != ExitDone || !strings.Contains(got.out, "3 records") {
		t.Errorf("the journal's own folder: %s", got)
	}
}

func TestJournalCheckNamesTheDamagedRecord(t *testing.T) {
	data := t.TempDir()
	segment := journalOf(t, filepath.Join(data, "journal", bucketID), 3)
	text, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)*2/3] ^= 0xff // within the second record
	if err := os.WriteFile(segment, text, 0o600); err != nil {
		t.Fatal(err)
	}
	got := withJournals.run(t, "journal", "check", data)
	if got.code != ExitFailed || !strings.Contains(got.out, "damaged") || !strings.Contains(got.out, filepath.Base(segment)+":") {
		t.Errorf("%s", got)
	}
	if after, _ := os.ReadFile(segment); string(after) != string(text) {
		t.Error("the check changed the journal")
	}
}

func TestJournalCheckTellsThatAnInterruptedWriteLostNothing(t *testing.T) {
	data := t.TempDir()
	segment := journalOf(t, filepath.Join(data, "journal", bucketID), 3)
	text, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	begun := text[len(text)-60 : len(text)-20] // of a fourth record only a part came to the disk
	if err := os.WriteFile(segment, append(text, begun...), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := withJournals.run(t, "doctor", data); got.code != ExitDone || !strings.Contains(got.out, "note") {
		t.Errorf("%s", got)
	}
}

func TestJournalCheckOfAFolderWithoutJournalsFails(t *testing.T) {
	dir := t.TempDir()
	got := withJournals.run(t, "journal", "check", dir)
	if want := "Error: there is no journal in " + dir + ": name a node's data folder with --data\n"; got.code != ExitFailed || got.errors != want {
		t.Errorf("want %q, got %s", want, got)
	}
}
