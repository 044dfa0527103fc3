package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
