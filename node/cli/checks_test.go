package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/node/catalog"
)

func checkOf(name string, err error, findings ...Finding) Check {
	return Check{Name: name, About: "look at the " + name, Run: func(_ context.Context, _ string, report func(Finding)) error {
		for _, f := range findings {
			report(f)
		}
		return err
	}}
}

func TestDoctorRunsEveryCheckAndTellsWhatToDo(t *testing.T) {
	t.Chdir(t.TempDir()) // so that the folder's name is not in the way of the columns
	s := setting{options: Options{Checks: []Check{
		checkOf("journal", nil, Finding{Fine, "journal/a", "12 records", ""}, Finding{Damaged, "journal/b/1.seg:512", "records 3 to 3 are damaged", "nothing: they are counted as a gap"}),
		checkOf("store", errors.New("no manifest")),
	}}}
	for name, args := range map[string][]string{
		"doctor": {"doctor", "--data", "."}, "doctor-json": {"doctor", "--json", "."}, "doctor-help": {"doctor", "--help"}, "journal-check": {"journal", "check", "."},
	} {
		golden(t, name, s.run(t, args...).String(), "nohost")
	}
}

func TestDoctorOfAHealthyFolderIsDone(t *testing.T) {
	s := setting{options: Options{Checks: []Check{checkOf("journal", nil, Finding{Fine, "a", "whole", ""}, Finding{Noted, "a", "a torn end", ""})}}}
	if got := s.run(t, "doctor", "--data", t.TempDir()); got.code != ExitDone {
		t.Errorf("%s", got)
	}
}

func TestDoctorOfAFolderThatIsNoNodesFails(t *testing.T) {
	s := setting{options: Options{Checks: []Check{CatalogCheck("catalog.db"), JournalCheck("journal/*"), StoreCheck("store/*")}}}
	dir := t.TempDir()
	got := s.run(t, "doctor", dir)
	want := "Error: there is no catalog, journal or store in " + dir + ": name a node's data folder with --data\n"
	if got.code != ExitFailed || got.errors != want || got.out != "" {
		t.Errorf("want %q, got %s", want, got)
	}
	journalOf(t, filepath.Join(dir, "journal", bucketID), 1)
	if got := s.run(t, "doctor", dir); got.code != ExitDone || strings.Count(got.out, "there is no catalog here") != 1 || !strings.Contains(got.out, "1 records") {
		t.Errorf("with a journal alone: %s", got)
	}
}

func TestNoCheckReadsAFolderThatANodeHasOpen(t *testing.T) {
	dir := t.TempDir()
	c, err := catalog.Open(filepath.Join(dir, "catalog.db"), catalog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	journalOf(t, filepath.Join(dir, "journal", bucketID), 1)
	s := setting{options: Options{InUse: CatalogInUse("catalog.db"), Checks: []Check{CatalogCheck("catalog.db"), JournalCheck("journal/*")}}}
	for _, args := range [][]string{{"doctor", dir}, {"journal", "check", dir}} {
		if got := s.run(t, args...); got.code != ExitFailed || got.out != "" || !strings.Contains(got.errors, "is in use: stop the node first") {
			t.Errorf("%q: %s", args, got)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if got := s.run(t, "doctor", dir); got.code != ExitDone {
		t.Errorf("after the node has stopped: %s", got)
	}
}

func TestDoctorNeedsAFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := setting{options: Options{Checks: []Check{checkOf("journal", nil)}}}
	for _, dir := range []string{file, file + "-missing"} {
		if got := s.run(t, "doctor", dir); got.code != ExitFailed || !strings.Contains(got.errors, "--data") {
			t.Errorf("%q: %s", dir, got)
		}
	}
}
