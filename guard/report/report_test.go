package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/rule"
)

// sample has something in every part of a report, and texts that each format has to escape.
func sample() *Check {
	key := object.Key{Group: "apps", Kind: "StatefulSet", Namespace: "influx", Name: "kafka"}
	return &Check{
		Tree: "the folder x", Applications: 2, Objects: 30, Files: 31, Version: "1.0.0",
		Findings: []finding.Finding{
			{Rule: "HG001", Severity: finding.Error, Message: "argocd/app01 is defined twice, <100%>\nand \x1b[31m more", Fix: "rename it", Place: finding.Place{Path: "env/a b,c:d.yaml", Line: 20, Column: 3}, Key: key, Loss: 6,
				Related: []finding.Place{{Path: "env/a.yaml", Line: 1, Column: 1}}},
			{Rule: "HG007", Severity: finding.Warning, Message: "two paths", Fix: "rename", Place: finding.Place{Path: "x"}},
			{Rule: "HG007", Severity: finding.Warning, Message: "two paths", Fix: "rename", Place: finding.Place{Path: "x"}},
			{Rule: "HG014", Severity: finding.Info, Message: "nobody reads it", Fix: "delete it", Place: finding.Place{Path: "x", Line: 4, Column: 1}},
		},
		Waived:     []finding.Waived{{Finding: finding.Finding{Rule: "HG040", Severity: finding.Error, Message: "holds state", Place: finding.Place{Path: "y", Line: 1, Column: 1}}, Waiver: &finding.Waiver{Rules: []string{"HG040"}, Reason: "cache", Expires: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}}},
		Unanalysed: []Unanalysed{{Application: "redis", Why: "the chart redis is elsewhere", Place: finding.Place{Path: "z", Line: 1, Column: 1}}},
		Off:        map[string]string{"HG052": "by design"},
	}
}

func written(t *testing.T, format string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := sample().Write(&b, format); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestTheTextBeginsWithTheGravestFindingAndMovesNoTerminal(t *testing.T) {
	text := string(written(t, "text"))
	if !strings.HasPrefix(text, "ERROR HG001: argocd/app01 is defined twice, <100%>?and ?[31m more\n") {
		t.Errorf("it begins with %.100q", text)
	}
	if strings.Contains(text, "\x1b") {
		t.Error("it has an escape")
	}
	for _, part := range []string{"20:3  error    HG001", "see env/a.yaml:1", "to mend: rename it", "waived until 2027-01-01: y:1: HG040 holds state (cache)", "not analysed: z:1: redis: the chart redis is elsewhere", "2 Applications, 30 objects, 31 files in the folder x: 1 error, 2 warnings, 1 waived"} {
		if !strings.Contains(text, part) {
			t.Errorf("it does not have %q:\n%s", part, text)
		}
	}
	var b bytes.Buffer
	if err := sample().Text(&b, true); err != nil || !strings.Contains(b.String(), red) || strings.LastIndex(b.String(), "\x1b") != strings.LastIndex(b.String(), plain) {
		t.Errorf("in colour it is %q, %v", b.String(), err)
	}
}

func TestTheJSONHasEverything(t *testing.T) {
	var d struct {
		Schema     int
		Counts     map[string]int
		Findings   []map[string]any
		Waived     []map[string]any
		Unanalysed []map[string]any
	}
	if err := json.Unmarshal(written(t, "json"), &d); err != nil {
		t.Fatal(err)
	}
	if d.Schema != Schema || d.Counts["error"] != 1 || d.Counts["warning"] != 2 || d.Counts["info"] != 1 || d.Counts["waived"] != 1 || len(d.Findings) != 4 || len(d.Waived) != 1 || len(d.Unanalysed) != 1 {
		t.Errorf("%+v", d)
	}
	if f := d.Findings[0]; f["rule"] != "HG001" || f["severity"] != "error" || f["loss"] != 6.0 || f["fingerprint"] == "" || f["place"].(map[string]any)["line"] != 20.0 {
		t.Errorf("the first finding is %v", f)
	}
}

// TestTheSARIFKeepsToTheStandard holds the log against what the standard's schema requires of the objects that are used: no property that
// it does not know, those that it requires, and values from its lists.
func TestTheSARIFKeepsToTheStandard(t *testing.T) {
	data := written(t, "sarif")
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var log sarifLog
	if err := d.Decode(&log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || len(log.Runs) != 1 {
		t.Fatalf("%s, %d runs", log.Version, len(log.Runs))
	}
	run := log.Runs[0]
	if run.Tool.Driver.Name == "" || len(run.Tool.Driver.Rules) != len(rule.Catalogue()) {
		t.Errorf("the driver is %s with %d rules", run.Tool.Driver.Name, len(run.Tool.Driver.Rules))
	}
	levels := []string{"none", "note", "warning", "error"}
	for _, r := range run.Tool.Driver.Rules {
		if r.ID == "" || r.ShortDescription.Text == "" || r.FullDescription.Text == "" || r.Help.Text == "" || !slices.Contains(levels, r.DefaultConfiguration.Level) {
			t.Errorf("a rule is %+v", r)
		}
	}
	if len(run.Results) != 5 {
		t.Errorf("%d results", len(run.Results))
	}
	for _, r := range run.Results {
		if r.RuleIndex < 0 || run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID || !slices.Contains(levels, r.Level) || r.Message.Text == "" || len(r.Locations) == 0 || len(r.PartialFingerprints["ruleAndObject/v1"]) != 32 {
			t.Errorf("a result is %+v", r)
		}
		for _, l := range append(r.Locations, r.RelatedLocations...) {
			if p := l.PhysicalLocation; p.ArtifactLocation.URI == "" || strings.ContainsAny(p.ArtifactLocation.URI, " ") || p.Region != nil && (p.Region.StartLine < 1 || p.Region.StartColumn < 0) {
				t.Errorf("a place is %+v", l)
			}
		}
	}
	if s := run.Results[4].Suppressions; len(s) != 1 || s[0].Kind != "external" || s[0].Status != "accepted" || s[0].Justification != "cache" {
		t.Errorf("what is waived is suppressed by %+v", s)
	}
	if n := run.Invocations[0].ToolExecutionNotifications; len(n) != 1 || !strings.Contains(n[0].Message.Text, "redis") {
		t.Errorf("notifications are %+v", n)
	}
}

func TestTheJUnitCountsWhatItHas(t *testing.T) {
	var all junitSuites
	if err := xml.Unmarshal(written(t, "junit"), &all); err != nil {
		t.Fatal(err)
	}
	cases, failures, skipped := 0, 0, 0
	for _, s := range all.Suites {
		for _, c := range s.Cases {
			cases++
			if c.Failure != nil {
				failures++
			}
			if c.Skipped != nil {
				skipped++
			}
		}
	}
	if failures != 1 || skipped != 2 || all.Tests != cases || all.Failures != failures || all.Skipped != skipped || len(all.Suites) != len(rule.Catalogue()) {
		t.Errorf("%d tests, %d failures, %d skipped in %d suites; it says %d, %d, %d", cases, failures, skipped, len(all.Suites), all.Tests, all.Failures, all.Skipped)
	}
}

func TestAnnotationsOfGitHubAreOneLineEach(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(string(written(t, "github"))), "\n")
	if len(lines) != 6 || lines[0] != "::error file=env/a b%2Cc%3Ad.yaml,line=20,col=3,title=HG001::argocd/app01 is defined twice, <100%25>%0Aand \x1b[31m more (to mend: rename it)" || !strings.HasPrefix(lines[1], "::warning file=x,line=1,") || !strings.HasPrefix(lines[4], "::notice file=z") {
		t.Errorf("%d lines:\n%s", len(lines), strings.Join(lines, "\n"))
	}
}

func TestEntriesOfGitLabHaveFingerprintsOfTheirOwn(t *testing.T) {
	var entries []quality
	if err := json.Unmarshal(written(t, "gitlab"), &entries); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, e := range entries {
		if seen[e.Fingerprint] || e.Location.Lines.Begin < 1 || !slices.Contains([]string{"info", "minor", "major", "critical", "blocker"}, e.Severity) {
			t.Errorf("%+v", e)
		}
		seen[e.Fingerprint] = true
	}
	if len(entries) != 4 {
		t.Errorf("%d entries", len(entries))
	}
}

func TestEveryFormatReportsAWriterThatFails(t *testing.T) {
	for _, format := range Formats() {
		if err := sample().Write(failing{}, format); err == nil {
			t.Errorf("%s does not", format)
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, bytes.ErrTooLarge }
