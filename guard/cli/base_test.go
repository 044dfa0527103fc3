package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// deleting is a StatefulSet whose claims go with it (HG061), below a comment.
func deleting(comment string) string {
	return comment + statefulSet("etcd") + "spec:\n  persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete}\n"
}

const (
	lenient = "rules: {HG010: {off: of a test}, HG011: {off: of a test}, HG020: {off: of a test}, HG021: {off: of a test}, HG040: {off: of a test}, HG050: {off: of a test}, HG052: {off: of a test}"
	inline  = "# holdfast-guard:waive HG061 reason=a test; expires=2999-01-01\n"
	inGuard = "\nwaivers: [{rule: HG061, path: '**', reason: a test, expires: 2999-01-01}]\n"
	isOff   = ", HG061: {off: of a test}}\n"
)

// checked checks the folder of a repository.
func (r *repo) checked(args ...string) (code int, said string) {
	r.Helper()
	code, out, errs := command(r.T, append([]string{"check", r.dir}, args...)...)
	return code, out + errs
}

func TestWhatAChangeWaivesCountsOnceItIsInTheBase(t *testing.T) {
	etcd := appPath + "/etcd.yaml"
	for name, c := range map[string]struct {
		waived map[string]string
		say    string
	}{
		"a comment of the object":    {map[string]string{etcd: deleting(inline)}, etcd + ":1: the waiver of HG061 (a test) is not in main"},
		"a waiver in guard.yaml":     {map[string]string{"guard.yaml": lenient + "}" + inGuard}, "guard.yaml:2: a waiver of HG061 for ** until 2999-01-01: main has it otherwise"},
		"a rule that is off":         {map[string]string{"guard.yaml": lenient + isOff}, "rules turns HG061 off: main has it otherwise"},
		"a file that guard.yaml has": {map[string]string{"guard.yaml": lenient + "}\nwaivers-file: w.yaml\n", "w.yaml": strings.TrimSpace(inGuard)}, "a waiver of HG061"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			files := inFolder()
			files["guard.yaml"] = lenient + "}\n"
			r.commit(files)
			if code, said := r.checked("--base", "main"); code != ExitDone {
				t.Fatalf("it ends with %d before:\n%s", code, said)
			}
			r.git("checkout", "-q", "-b", "change")
			r.write(map[string]string{etcd: deleting("")})
			r.commit(c.waived)
			if code, said := r.checked(); code != ExitDone {
				t.Errorf("without a base it ends with %d:\n%s", code, said)
			}
			for _, args := range [][]string{{"--base", "main"}, {"--base", "main", "--revision", "change", "--cache", t.TempDir()}} {
				code, said := r.checked(args...)
				if code != ExitFailed || !strings.Contains(said, "ERROR HG061") || !strings.Contains(said, "does not count: ") || !strings.Contains(said, c.say) {
					t.Errorf("%q ends with %d and does not say %q:\n%s", args, code, c.say, said)
				}
			}
			if code, said := r.checked("--base", "change"); code != ExitDone {
				t.Errorf("once it is in the base it ends with %d:\n%s", code, said)
			}
		})
	}
}

func TestAWaiverGoesWithAFileThatIsMoved(t *testing.T) {
	r := newRepo(t)
	files := inFolder()
	files["guard.yaml"], files[appPath+"/etcd.yaml"] = lenient+"}\n", deleting(inline)
	r.commit(files)
	r.write(map[string]string{appPath + "/etcd.yaml": "", appPath + "/moved.yaml": deleting(inline)})
	if code, said := r.checked("--base", "main"); code != ExitDone {
		t.Errorf("moved, it ends with %d:\n%s", code, said)
	}
	r.write(map[string]string{appPath + "/etcd.yaml": deleting(inline), appPath + "/moved.yaml": "", "env/cluster02/app01/yml/copy.yaml": deleting(inline)})
	if code, said := r.checked("--base", "main"); code != ExitFailed {
		t.Errorf("copied to another cluster, it ends with %d:\n%s", code, said)
	}
}

func TestStricterSettingsOfAChangeCount(t *testing.T) {
	r := newRepo(t)
	files := inFolder()
	files["guard.yaml"], files[appPath+"/etcd.yaml"] = lenient+isOff, deleting("")
	r.commit(files)
	r.write(map[string]string{"guard.yaml": lenient + "}\n"})
	if code, said := r.checked("--base", "main"); code != ExitFailed || strings.Contains(said, "does not count") {
		t.Errorf("it ends with %d:\n%s", code, said)
	}
}

func TestARevisionIsCheckedByItsOwnSettings(t *testing.T) {
	r := newRepo(t)
	files := inFolder()
	files["guard.yaml"], files[appPath+"/etcd.yaml"] = lenient+"}\n", deleting("")
	r.commit(files)
	r.write(map[string]string{"guard.yaml": lenient + isOff})
	cache := t.TempDir()
	if code, said := r.checked("--revision", "main", "--cache", cache); code != ExitFailed || !strings.Contains(said, "HG061") {
		t.Errorf("it ends with %d:\n%s", code, said)
	}
	r.commit(map[string]string{"guard.yaml": "rules: [\n"})
	r.write(map[string]string{"guard.yaml": ""})
	if code, said := r.checked("--revision", "main", "--cache", cache); code != ExitUsage || !strings.Contains(said, "guard.yaml in the revision main") {
		t.Errorf("with settings that are none it ends with %d:\n%s", code, said)
	}
}

func TestABaseThatCannotBeHeldAgainstIsSaid(t *testing.T) {
	r := newRepo(t)
	r.commit(inFolder())
	outside := filepath.Join(t.TempDir(), "guard.yaml")
	if err := os.WriteFile(outside, []byte(lenient+isOff), 0o600); err != nil {
		t.Fatal(err)
	}
	r.write(map[string]string{"lenient.yaml": lenient + isOff})
	for name, c := range map[string]struct {
		folder, say string
		code        int
		args        []string
	}{
		"no revision":                    {r.dir, "nothing", ExitUnknown, []string{"--base", "nothing"}},
		"a part of it":                   {filepath.Join(r.dir, "env"), "--base compares whole repositories", ExitUsage, []string{"--base", "main"}},
		"no repository":                  {t.TempDir(), "git", ExitUnknown, []string{"--base", "main"}},
		"settings of the change":         {r.dir, "in the repository", ExitUsage, []string{"--base", "main", "--settings", filepath.Join(r.dir, "lenient.yaml")}},
		"settings outside of the change": {r.dir, "", ExitDone, []string{"--base", "main", "--settings", outside}},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := command(t, append([]string{"check", c.folder}, c.args...)...)
			if code != c.code || !strings.Contains(out+errs, c.say) {
				t.Errorf("it ends with %d and does not say %q:\n%s%s", code, c.say, out, errs)
			}
		})
	}
}
