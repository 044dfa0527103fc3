//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// finding is what `doctor --json` tells of a place.
type finding struct{ Severity, Where, What, Mend string }

// doctor runs the checks and returns what they found, by check, and the exit code.
func doctor(t *testing.T, dir string) (map[string][]finding, int) {
	t.Helper()
	out, errs, code := newShell(t, "holdfast").try("", "doctor", "--data", dir, "--json")
	var checks []struct {
		Check, Error string
		Findings     []finding
	}
	if err := json.Unmarshal([]byte(out), &checks); err != nil {
		t.Fatalf("doctor: %v in %q, %s", err, out, errs)
	}
	all := map[string][]finding{}
	for _, c := range checks {
		all[c.Check] = c.Findings
		if c.Error != "" {
			all[c.Check] = append(all[c.Check], finding{Severity: "failed", What: c.Error})
		}
	}
	return all, code
}

// flip damages a byte early in a file, behind its head and before its footer.
func flip(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/5] ^= 0x55
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// stoppedNode returns the data folder of a node that has points in blocks and in its journal.
func stoppedNode(t *testing.T) string {
	t.Helper()
	p := startNode(t, "[store]\nmemtable_bytes = 65536").setup("edge", "plant")
	for i := 0; i < 8000; i += 1000 {
		p.mustWrite(lines("m", i, i+1000))
	}
	p.stop()
	return p.dir
}

func one(t *testing.T, dir, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	largest := files[0]
	for _, f := range files {
		a, errA := os.Stat(f)
		b, errB := os.Stat(largest)
		if errA == nil && errB == nil && a.Size() > b.Size() {
			largest = f
		}
	}
	return largest
}

func TestDoctorNamesTheDamagedFileAndWhatIsLost(t *testing.T) {
	dir := stoppedNode(t)
	all, code := doctor(t, dir)
	if code != 0 || len(all["catalog"]) != 1 || len(all["journal"]) == 0 || len(all["store"]) == 0 {
		t.Fatalf("a whole folder: exit code %d, %+v", code, all)
	}
	for check, c := range map[string]struct{ pattern, what string }{
		"store":   {"store/*/*/*.parquet", "lost: "},
		"journal": {"journal/*/*.seg", "records "},
	} {
		t.Run(check, func(t *testing.T) {
			path := one(t, dir, c.pattern)
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			flip(t, path)
			all, code := doctor(t, dir)
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
			told := false
			for name, findings := range all {
				for _, f := range findings {
					if f.Severity != "damaged" {
						continue
					}
					if name != check || !strings.HasPrefix(f.Where, path) {
						t.Errorf("damage elsewhere: %s: %+v", name, f)
					}
					told = told || strings.Contains(f.What, c.what) && f.Mend != ""
				}
			}
			if code != 1 || !told {
				t.Errorf("exit code %d, findings %+v", code, all)
			}
		})
	}
	if err := os.Remove(filepath.Join(dir, "catalog.db.key")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "catalog.db"), []byte("no catalog"), 0o600); err != nil {
		t.Fatal(err)
	}
	if all, code := doctor(t, dir); code != 1 || all["catalog"][0].Severity != "damaged" {
		t.Errorf("exit code %d, findings %+v", code, all["catalog"])
	}
}

func TestDoctorRefusesAFolderThatANodeHasOpen(t *testing.T) {
	p := startNode(t, "").setup("edge", "plant")
	for _, check := range [][]string{{"doctor"}, {"journal", "check"}} {
		out, errs, code := newShell(t, "holdfast").try("", append(check, "--data", p.dir)...)
		if code != 1 || out != "" || !strings.Contains(errs, "is in use: stop the node first") {
			t.Errorf("%q: exit code %d, prints %s%s", check, code, out, errs)
		}
	}
}
