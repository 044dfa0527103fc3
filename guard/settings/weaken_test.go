package settings

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/tree/treetest"
)

func TestEveryEditThatWeakensIsNamedWithItsPlace(t *testing.T) {
	const approval = "waivers: [{rule: HG101, application: a, by: ada, reason: x, expires: 2027-01-01}]"
	for _, c := range []struct{ before, after, want string }{
		{"", "ignore:\n- test/**", "guard.yaml:2 ignore leaves out test/**"},
		{"ignore: [a, b]", "ignore: [b]", ""},
		{"", "allow-unanalysed: [chart-*]", "guard.yaml:1 allow-unanalysed lets chart-* be unknown"},
		{"stateful: [a/B, c/D]", "stateful: [a/B]", "guard.yaml:1 stateful does not have c/D any more"},
		{"stateful: [a/B]", "", "guard.yaml stateful does not have a/B any more"},
		{"", "stateful: [a/B]", ""},
		{"", "repositories: [https://a]", "guard.yaml:1 repositories leaves out what is not in its list"},
		{"repositories: [https://a]", "repositories: [https://a, https://b]", ""},
		{"repositories: [https://a, https://b]", "repositories: [https://b]", "guard.yaml:1 repositories leaves out https://a"},
		{"clusters: {a: https://a}", "clusters: {a: https://b}", "guard.yaml:1 clusters.a is https://b, and was https://a"},
		{"", "clusters: {a: https://a}", ""},
		{"scopes: {a/B: cluster}", "", "guard.yaml scopes.a/B is nothing, and was cluster"},
		{"", "scopes: {a/B: cluster}", "guard.yaml:1 scopes.a/B is new"},
		{"", "conventions: []", "guard.yaml:1 conventions take the place of the article's"},
		{"conventions: []", "", "guard.yaml conventions are others"},
		{"", "instance: env/(cluster)", "guard.yaml:1 instance is env/(cluster), and was nothing"},
		{"", "kube-version: '1.30'", "guard.yaml:1 kube-version is 1.30, and was nothing"},
		{"api-versions: [a/v1, b/v1]", "api-versions: [a/v1]", "guard.yaml:1 api-versions is a/v1, and was a/v1 b/v1"},
		{"", "argocd-version: '3.4'", "guard.yaml:1 argocd-version is 3.4, and was nothing"},
		{"tracking: label", "tracking: annotation", "guard.yaml:1 tracking is annotation, and was label"},
		{"", "rules: {HG040: {off: none of ours}}", "guard.yaml:1 rules turns HG040 off"},
		{"rules: {HG040: {off: none of ours}}", "", ""},
		{"", "rules: {HG040: {severity: warning}}", "guard.yaml:1 rules makes HG040 warning, and it was error"},
		{"rules: {HG014: {severity: error}}", "", "guard.yaml rules makes HG014 warning, and it was error"},
		{"", "rules: {HG014: {severity: error}}", ""},
		{"", "max-deleted: 51", "guard.yaml:1 max-deleted is 51, and was 50"},
		{"", "max-deleted: 0", "guard.yaml:1 max-deleted is 0, and was 50"},
		{"max-deleted: 10", "", "guard.yaml max-deleted is 50, and was 10"},
		{"", "max-deleted: 10", ""},
		{"max-deleted: 0", "max-deleted: 1000", ""},
		{"", "max-deleted-percent: 100", "guard.yaml:1 max-deleted-percent is 100, and was 25"},
		{"", approval, "guard.yaml:1 a waiver of HG101 for a until 2027-01-01"},
		{approval, strings.Replace(approval, "2027", "2028", 1), "guard.yaml:1 a waiver of HG101 for a until 2028-01-01"},
		{approval, "", ""},
		{"", "waivers: [{rule: HG040, path: a/**, reason: x, expires: 2027-01-01}]", "guard.yaml:1 a waiver of HG040 for a/** until 2027-01-01"},
		{"render: [{source: a, output: b}]", "", "guard.yaml render does not write b from a any more"},
		{"render: [{source: a, output: b}]", "render: [{source: a, output: b, keep: [x]}]", "guard.yaml:1 render leaves x in b to others"},
		{"render: [{source: a, output: b}]", "render: [{source: a, output: b, jpath: [x]}]", "guard.yaml:1 render makes b from a in another way"},
		{"render: [{source: a, output: b}]", "render: [{source: c, output: d}, {source: a, output: b}]", ""},
		{"", "render: [{source: a, output: b}]", ""},
		{whole[:strings.Index(whole, "waivers-file")], "", "guard.yaml conventions are others\nguard.yaml instance is nothing, and was clusters/(cluster)"},
	} {
		before, err := Parse([]byte(c.before))
		if err != nil {
			t.Fatal(err)
		}
		after, err := Parse([]byte(c.after))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range Weakened(before, after) {
			got = append(got, e.Place.String()+" "+e.Text)
		}
		if text := strings.Join(got, "\n"); text != c.want && (c.want == "" || !strings.Contains(text, c.want)) {
			t.Errorf("from %q to %q there is\n%s\nwant\n%s", c.before, c.after, text, c.want)
		}
		if edits := Weakened(before, before); len(edits) != 0 {
			t.Errorf("%q weakens itself: %+v", c.before, edits)
		}
	}
}

func TestSettingsOfATreeAreReadWithTheWaiversThatTheyName(t *testing.T) {
	const waivers = "waivers: [{rule: HG101, application: a, by: ada, reason: x, expires: 2027-01-01}]"
	s, err := In(treetest.Folder(t, map[string]string{"guard.yaml": "waivers-file: ./more/w.yaml", "more/w.yaml": waivers}))
	if err != nil || len(s.Approvals()) != 1 {
		t.Fatalf("%v", err)
	}
	if s, err := In(treetest.Folder(t, map[string]string{"a.yaml": "x"})); err != nil || len(s.Approvals()) != 0 {
		t.Errorf("a tree without settings gives %v", err)
	}
	for text, words := range map[string]string{"waivers-file: w.yaml": "w.yaml is not in the folder", "waivers-file: ../../w.yaml": "is not in the folder", "clustres: {}": "did you mean clusters", strings.Repeat("#", MaxSize+1): "more than"} {
		if _, err := In(treetest.Folder(t, map[string]string{"guard.yaml": text})); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%.30q gives %v, want %q", text, err, words)
		}
	}
}

func TestAFileOfApprovalsHasNothingElse(t *testing.T) {
	for text, words := range map[string]string{
		"waivers: [{rule: HG101, application: a, by: ada, reason: x, expires: 2027-01-01}]":      "",
		"waivers: [{rules: [HG111], path: guard.yaml, by: ada, reason: x, expires: 2027-01-01}]": "",
		"waivers: [{rules: [HG111, HG101], path: a, by: ada, reason: x, expires: 2027-01-01}]":   "neither an object nor an application",
		"waivers: [{rule: HG040, application: a, by: ada, reason: x, expires: 2027-01-01}]":      "is not about changes",
		"waivers: [{rule: HG101, application: a, reason: x, expires: 2027-01-01}]":               "who approves",
		"approvals: []": "no field \"approvals\"",
		"waivers: [":    "yaml",
	} {
		file := filepath.Join(t.TempDir(), "approvals.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		approvals, err := ReadApprovals(file)
		if words == "" && (err != nil || len(approvals) != 1 || !slices.ContainsFunc(approvals[0].Rules, func(id string) bool { return id > "HG100" })) {
			t.Errorf("%q gives %v, %v", text, approvals, err)
		} else if words != "" && (err == nil || !strings.Contains(err.Error(), words)) {
			t.Errorf("%q gives %v, want %q", text, err, words)
		}
	}
	if _, err := ReadApprovals(filepath.Join(t.TempDir(), "none.yaml")); err == nil {
		t.Error("a file that is not there is accepted")
	}
}
