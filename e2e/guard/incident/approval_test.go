//go:build e2e

package incident_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// approval approves of findings of rules until a day.
func approval(rules, of, by string, until time.Time) string {
	return "- rules: [" + rules + "]\n  " + of + "\n  reason: kafka moves to another cluster\n  by: " + by + "\n  expires: " + until.Format(time.DateOnly) + "\n"
}

// moves is a change that takes a StatefulSet and a claim from app01.
func moves(t *testing.T, base files) (r *repository, from, to string) {
	t.Helper()
	r = newRepository(t)
	from = r.commit(base)
	to = r.commit(base.and(files{manifest: document(without(production(""), "1-kafka", "2-backups"))}))
	return r, from, to
}

// ofKafka and ofBackups are what has to be approved.
const (
	ofKafka   = "object: apps/StatefulSet influx/kafka"
	ofBackups = "object: PersistentVolumeClaim influx/backups"
	lostTwo   = "app01-cluster01 deletes 2 objects, 2 of them stateful (apps/StatefulSet influx/kafka; PersistentVolumeClaim influx/backups)"
)

// wants fails unless a command ends with that code and says those words.
func (r *repository) wants(code int, words []string, args ...string) string {
	r.Helper()
	got, out := r.guard(args...)
	if got != code {
		r.Errorf("%s ends with %d, want %d:\n%s", strings.Join(args, " "), got, code, out)
	}
	for _, w := range words {
		if !strings.Contains(out, w) {
			r.Errorf("%s does not say %q:\n%s", strings.Join(args, " "), w, out)
		}
	}
	return out
}

func TestOnlyAnApprovalFromOutsideOfTheChangeOpensTheGate(t *testing.T) {
	soon, past := time.Now().AddDate(0, 0, 10), time.Now().AddDate(0, 0, -10)
	both := approval("HG101", ofKafka, "ada", soon) + approval("HG101", ofBackups, "grace", soon)
	t.Run("a file outside of the repository", func(t *testing.T) {
		r, base, head := moves(t, production01())
		file := r.write("approvals.yaml", "waivers:\n"+both)
		r.wants(1, []string{"Refused: HG101 stateful-removed (2)"}, "diff", base+".."+head)
		r.wants(0, []string{"approved by ada, grace: " + lostTwo, "Approved: HG101 stateful-removed (2), by ada until " + soon.Format(time.DateOnly) + " (kafka moves to another cluster; "},
			"diff", base+".."+head, "--approvals", file)
	})
	t.Run("in every report it stays visible who approved what, why and until when", func(t *testing.T) {
		r, base, head := moves(t, production01())
		file := r.write("approvals.yaml", "waivers:\n"+both)
		words := []string{"ada", "grace", "kafka moves to another cluster", soon.Format(time.DateOnly), "influx/kafka", "influx/backups"}
		for _, form := range [][]string{{"--full"}, {"-o", "json"}, {"-o", "markdown"}, {"-o", "html"}} {
			r.wants(0, words, append([]string{"diff", base + ".." + head, "--approvals", file}, form...)...)
		}
	})
	t.Run("an approval of one object does not approve of another", func(t *testing.T) {
		r, base, head := moves(t, production01())
		file := r.write("approvals.yaml", "waivers:\n"+approval("HG101", ofKafka, "ada", soon))
		r.wants(1, []string{"Refused: HG101 stateful-removed\n", "Approved: HG101 stateful-removed, by ada"}, "diff", base+".."+head, "--approvals", file)
	})
	t.Run("an approval of another Application does not count", func(t *testing.T) {
		r, base, head := moves(t, production01())
		file := r.write("approvals.yaml", "waivers:\n"+approval("HG101", "application: app01-cluster02", "ada", soon))
		r.wants(1, []string{"Refused: HG101 stateful-removed (2)", "1 approval is of no use here, as " + file + ":2 of ada"}, "diff", base+".."+head, "--approvals", file)
		file = r.write("approvals.yaml", "waivers:\n"+approval("HG101", "application: app01-cluster01", "ada", soon))
		r.wants(0, []string{"approved by ada"}, "diff", base+".."+head, "--approvals", file)
	})
	t.Run("an approval that is over does not count, and is reported", func(t *testing.T) {
		r, base, head := moves(t, production01())
		file := r.write("approvals.yaml", "waivers:\n"+approval("HG101", "application: app01-*", "ada", past))
		words := []string{"Refused: HG101 stateful-removed (2)", "1 approval is over, as " + file + ":2 of ada since " + past.Format(time.DateOnly)}
		r.wants(1, words, "diff", base+".."+head, "--approvals", file)
	})
	t.Run("guard.yaml of the base", func(t *testing.T) {
		r, base, head := moves(t, production01().and(files{"guard.yaml": guardYAML + "waivers:\n" + both}))
		r.wants(0, []string{"approved by ada, grace", "guard.yaml:"}, "diff", base+".."+head)
		r.wants(0, nil, "check") // which knows nothing of changes, and calls no approval unused
	})
	t.Run("a file of waivers that guard.yaml of the base names", func(t *testing.T) {
		r, base, head := moves(t, production01().and(files{"guard.yaml": guardYAML + "waivers-file: .guard/waivers.yaml\n", ".guard/waivers.yaml": "waivers:\n" + both}))
		r.wants(0, []string{"approved by ada, grace", ".guard/waivers.yaml:2"}, "diff", base+".."+head)
	})
}

func TestApprovalsOfABranchCountAsTheyAreNowAndNotWhereTheChangeParted(t *testing.T) {
	soon := time.Now().AddDate(0, 0, 10)
	approved := production01().and(files{"guard.yaml": guardYAML + "waivers:\n" + approval("HG101", "application: app01-cluster01", "ada", soon)})
	less := files{manifest: document(without(production(""), "1-kafka", "2-backups"))}
	for name, c := range map[string]struct {
		parted, now files
		code        int
		say         string
	}{
		"one that came since":       {production01(), approved, 0, "approved by ada: " + lostTwo},
		"one that is withdrawn now": {approved, production01(), 1, lostTwo},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRepository(t)
			r.commit(c.parted)
			r.git("checkout", "--quiet", "-b", "change")
			r.commit(c.parted.and(less))
			r.git("checkout", "--quiet", "main")
			r.commit(c.now)
			out := r.wants(c.code, []string{c.say}, "diff", "main...change", "--full")
			if strings.Contains(out, "guard.yaml is edited") {
				t.Errorf("the change edits no settings:\n%s", out)
			}
		})
	}
}

func TestAChangeCannotApproveOfItself(t *testing.T) {
	soon := time.Now().AddDate(0, 0, 10)
	both := approval("HG101", ofKafka, "ada", soon) + approval("HG101", ofBackups, "ada", soon)
	less := files{manifest: document(without(production(""), "1-kafka", "2-backups"))}
	edited := func(more string) files { return files{"guard.yaml": guardYAML + more} }
	for name, c := range map[string]struct {
		base, change files
		say          string
	}{
		"waivers in guard.yaml": {nil, edited("waivers:\n" + both), "guard.yaml is edited, and counts as the base has it: a waiver of HG101 for apps/StatefulSet influx/kafka until"},
		"the waivers that guard.yaml names": {edited("waivers-file: w.yaml\n").and(files{"w.yaml": "waivers: []\n"}), files{"w.yaml": "waivers:\n" + both},
			"a waiver of HG101 for PersistentVolumeClaim influx/backups until"},
		"a folder to be ignored":        {nil, edited("ignore: [env/cluster01/app01/**]\n"), "with that, 17 objects of app01-cluster01 would not be seen any more (Namespace influx; apps/StatefulSet"},
		"any number of deletions":       {nil, edited("max-deleted: 0\n"), "max-deleted is 0, and was 50"},
		"a rule that is turned off":     {nil, edited("  HG001: {off: this is no mistake}\n"), "rules turns HG001 off"},
		"another repository":            {nil, edited("repositories: [https://other.example.org]\n"), "17 objects of app01-cluster01 would not be seen any more"},
		"settings that nobody can read": {nil, files{"guard.yaml": "rules: [\n"}, "it is not readable"},
		"no settings any more":          {edited("stateful: [/ConfigMap]\n"), files{"guard.yaml": ""}, "stateful does not have /ConfigMap any more"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			before := production01().and(c.base)
			base := r.commit(before)
			head := r.commit(before.and(less).and(c.change))
			out := r.wants(1, []string{c.say, "HG101 stateful-removed (2)", "HG111 settings-weakened"}, "diff", base+".."+head, "--full")
			if !strings.HasPrefix(out, lostTwo) {
				t.Errorf("the first line is not the loss:\n%s", out)
			}
			r.wants(1, []string{c.say, "HG101 stateful-removed (2)"}, "diff", base+"..", "--full") // of the folder on the disk
		})
	}
	t.Run("an annotation on the object", func(t *testing.T) {
		annotation := ", annotations: {holdfast.dev/waive: 'HG101,HG104 reason=it is fine; expires=" + soon.Format(time.DateOnly) + "'}"
		waived := production("")
		waived["1-kafka"], waived["2-backups"] = set("apps/v1", "influx", "kafka", 3, annotation), claim("influx", "backups", annotation)
		r, base, head := moves(t, production01().and(files{manifest: document(waived)}))
		r.wants(1, []string{lostTwo, "Refused: HG101 stateful-removed (2)"}, "diff", base+".."+head)
	})
	t.Run("files of the checkout as settings and approvals", func(t *testing.T) {
		r := newRepository(t)
		base := r.commit(production01())
		head := r.commit(production01().and(less).and(files{"ok.yaml": "waivers:\n" + both, "guard2.yaml": guardYAML}))
		for _, flag := range [][]string{{"--approvals", "ok.yaml"}, {"--settings", "guard2.yaml"}} {
			r.wants(2, []string{"is in the repository, where the change can edit it"}, append([]string{"diff", base + ".." + head}, flag...)...)
		}
		link := filepath.Join(t.TempDir(), "ok.yaml")
		if err := os.Symlink(filepath.Join(r.dir, "ok.yaml"), link); err != nil {
			t.Fatal(err)
		}
		r.wants(2, []string{"is in the repository"}, "diff", base+".."+head, "--approvals", link)
	})
}

func TestAnEditOfTheSettingsAloneIsAWarningUnlessItHidesObjects(t *testing.T) {
	r := newRepository(t)
	base := r.commit(production01())
	head := r.commit(production01().and(files{"guard.yaml": guardYAML + "allow-unanalysed: [chart-*]\n"}))
	r.wants(0, []string{"HG111 warning guard.yaml:13: guard.yaml is edited, and counts as the base has it: allow-unanalysed lets chart-* be unknown"}, "diff", base+".."+head, "--full")
	head = r.commit(production01().and(files{"guard.yaml": guardYAML + "ignore: [env/cluster01/app01/**]\n"}))
	r.wants(1, []string{"HG111 error", "17 objects of app01-cluster01 would not be seen any more"}, "diff", base+".."+head, "--full")
}

func TestSettingsOfTheBaseCountForBothRevisions(t *testing.T) {
	database := object("example.org/v1", "Database", "influx", "users", "")
	for name, c := range map[string]struct {
		settings string
		code     int
		say      string
	}{
		"a kind that holds state":        {"stateful: [example.org/Database]\n", 1, "1 of them stateful (example.org/Database influx/users)"},
		"a kind that does not":           {"", 0, "deletes 1 object (example.org/Database influx/users)"},
		"a folder that is no manifest's": {"ignore: [env/cluster01/app01/**]\n", 0, "Nothing is deleted"},
		"a repository that is another":   {"repositories: [https://other.example.org]\n", 3, "not analysed"},
		"the same, and it may be":        {"repositories: [https://other.example.org]\nallow-unanalysed: ['*']\n", 0, "not analysed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			with := production01().and(files{"guard.yaml": guardYAML + c.settings, path01 + "/users.yaml": database})
			base := r.commit(with)
			head := r.commit(with.and(files{path01 + "/users.yaml": ""}))
			r.wants(c.code, []string{c.say}, "diff", base+".."+head)
		})
	}
	t.Run("bounds of the settings, and of the flags", func(t *testing.T) {
		r := newRepository(t)
		tight := production01().and(files{"guard.yaml": guardYAML + "max-deleted: 2\nmax-deleted-percent: 0\n"})
		base := r.commit(tight)
		head := r.commit(tight.and(files{manifest: document(without(production(""), "5-gateway", "5-query", "5-queryd"))}))
		r.wants(1, []string{"HG100 many-deleted"}, "diff", base+".."+head)
		r.wants(0, nil, "diff", base+".."+head, "--max-deleted", "3")
		file := r.write("guard.yaml", guardYAML+"max-deleted-percent: 0\n")
		r.wants(0, nil, "diff", base+".."+head, "--settings", file)
	})
	t.Run("settings of the base that nobody can read are the defaults, and the change can mend them", func(t *testing.T) {
		r := newRepository(t)
		base := r.commit(production01().and(files{"guard.yaml": "rules: [\n"}))
		head := r.commit(production01())
		r.wants(0, []string{"HG111 warning", "not readable, and the defaults count"}, "diff", base+".."+head, "--full")
	})
}

func TestTheJSONOfAPlanSaysWhatWasApproved(t *testing.T) {
	r, base, head := moves(t, production01())
	file := r.write("approvals.yaml", "waivers:\n"+approval("HG101", "application: app01-cluster01", "ada", time.Now().AddDate(0, 0, 1)))
	_, out := r.guard("diff", base+".."+head, "-o", "json", "--approvals", file)
	var p struct {
		Schema   int
		Refused  bool
		Summary  []string
		Findings []any
		Approved []struct {
			Rule   string
			Waiver struct{ By, Reason string }
		}
	}
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		t.Fatal(err)
	}
	if p.Schema != 1 || p.Refused || len(p.Summary) == 0 || len(p.Findings) != 0 || len(p.Approved) != 2 || p.Approved[0].Rule != "HG101" || p.Approved[0].Waiver.By != "ada" || p.Approved[0].Waiver.Reason == "" {
		t.Errorf("%+v", p)
	}
}
