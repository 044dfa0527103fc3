package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
)

// planned is a plan of many Applications that lose many objects each, and an approval of each kind.
func planned(applications, objects int, name string) *Planned {
	p := &Planned{Plan: &plan.Plan{Base: "the revision main", Head: "the revision pr"}}
	root := object.Key{Group: object.ArgoGroup, Kind: "Application", Namespace: "argocd", Name: "root"}
	p.Tree = []plan.Node{{Application: root}}
	for a := range applications {
		app := object.Key{Group: object.ArgoGroup, Kind: "Application", Namespace: "argocd", Name: fmt.Sprintf("%s%04d", name, a)}
		c := plan.Change{Application: app, Path: "env/apps.yaml", Line: a + 1, Repointed: []string{"path: a -> b"}, Notes: []string{"a note about " + name}}
		for o := range objects {
			key := object.Key{Group: "apps", Kind: "StatefulSet", Namespace: "influx", Name: fmt.Sprintf("%s-%d", name, o)}
			c.Effects = append(c.Effects, plan.Effect{Key: key, Fate: plan.Deleted, Why: "because of " + name, Stateful: true})
			p.Findings = append(p.Findings, finding.Finding{Rule: "HG101", Severity: finding.Error, Message: app.Name + ": " + key.String() + " would be deleted", Application: app.Name, Key: key, Place: finding.Place{Path: name + ".yaml", Line: 1}})
		}
		c.Created = []object.Key{{Kind: "Service", Namespace: "influx", Name: name}}
		p.Changes = append(p.Changes, c)
		p.Tree = append(p.Tree, plan.Node{Application: app, Parents: []object.Key{root}})
	}
	w := &finding.Waiver{Rules: []string{"HG103"}, Application: "app-of-" + name, By: "ada " + name, Reason: "it moves " + name, Expires: time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC), Place: finding.Place{Path: "approvals.yaml", Line: 7}}
	p.Approved = []finding.Waived{{Finding: finding.Finding{Rule: "HG103", Severity: finding.Error, Message: "it leaves git " + name, Application: "other"}, Waiver: w}}
	p.Expired, p.Unused, p.Unanalysed = []*finding.Waiver{w}, []*finding.Waiver{w}, []string{"the chart " + name}
	return p
}

func TestASummaryHasTenLinesAtMostWhateverTheSize(t *testing.T) {
	for _, n := range []int{0, 1, 5, 8, 9, 300} {
		for _, objects := range []int{1, 40} {
			p := planned(n, objects, strings.Repeat("app", 20))
			lines := p.Summary()
			if len(lines) > SummaryLines || len(lines) == 0 {
				t.Errorf("%d Applications give %d lines", n, len(lines))
			}
			for _, line := range lines {
				if utf8.RuneCountInString(line) > SummaryWidth || strings.Contains(line, "\n") {
					t.Errorf("a line has %d characters: %.80q", utf8.RuneCountInString(line), line)
				}
			}
			var b bytes.Buffer
			if err := PlanText(&b, p, false); err != nil || strings.Count(b.String(), "\n") > SummaryLines {
				t.Errorf("the text has %d lines, %v", strings.Count(b.String(), "\n"), err)
			}
			if err := PlanText(&b, p, true); err != nil || n > 0 && strings.Count(b.String(), "\n") < n*objects*2 {
				t.Errorf("the full text has %d lines of %d objects, %v", strings.Count(b.String(), "\n"), n*objects, err)
			}
			if n == 300 && !strings.HasPrefix(lines[5], "… and 295 more Applications") || n > 0 && !strings.Contains(strings.Join(lines, "\n"), fmt.Sprintf("In all %d object", n*objects)) {
				t.Errorf("the summary of %d is\n%s", n, strings.Join(lines, "\n"))
			}
		}
	}
}

func TestASummarySaysWhoApprovedAndUntilWhen(t *testing.T) {
	text := strings.Join(planned(1, 1, "app").Summary(), "\n")
	for _, words := range []string{"Refused: HG101 stateful-removed", "Approved: HG103 app-removed, by ada app until 2027-01-02 (it moves app; approvals.yaml:7)", "1 approval is over, as approvals.yaml:7 of ada app since 2027-01-02; 1 approval is of no use here"} {
		if !strings.Contains(text, words) {
			t.Errorf("it does not say %q:\n%s", words, text)
		}
	}
}

// written is what a form writes of a plan.
func writtenPlan(t *testing.T, write func(io.Writer, *Planned) error, p *Planned) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, p); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestACommentStaysWithinWhatGitHubTakesAndSaysThatItIsCut(t *testing.T) {
	for _, name := range []string{"app", strings.Repeat("ä|`", 100)} {
		for _, n := range []int{1, 40, 300} {
			text := writtenPlan(t, PlanMarkdown, planned(n, 12, name))
			size := utf8.RuneCountInString(text)
			if size > MarkdownSize {
				t.Errorf("%d Applications have %d characters", n, size)
			}
			cut := strings.Contains(text, "**This comment is cut: ")
			if cut != (n == 300 || n == 40 && len(name) > 3) || cut && !regexp.MustCompile(`\*\*This comment is cut: the whole has [0-9]+ rows more\. .holdfast-guard diff --full. shows it\.\*\*\n$`).MatchString(text) {
				t.Errorf("%d Applications of %.3s with %d characters end with %q", n, name, size, text[max(0, len(text)-150):])
			}
			for line := range strings.Lines(text) { // a row is whole or not there
				if strings.HasPrefix(line, "|") && !strings.HasSuffix(line, "|\n") {
					t.Errorf("a row is cut: %.80q", line)
				}
			}
		}
	}
}

// hostile is a name that each format could take for its own.
const hostile = "`x`|<script>alert(1)</script>\n# h [l](http://evil.example) ![i](//evil.example/a.png) @team #1 &lt; \"'\x1b[31m\\|"

func TestNamesAreNoMarkdown(t *testing.T) {
	text := writtenPlan(t, PlanMarkdown, planned(2, 5, hostile))
	for _, bad := range []string{"<script", "\n# h", "![", "@team", " #1", "\x1b", "http://"} {
		if strings.Contains(text, bad) {
			t.Errorf("it has %q", bad)
		}
	}
	bare := regexp.MustCompile("(^|[^\\\\])(\\\\\\\\)*[`\\[]")
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "|") {
			cells := len(regexp.MustCompile(`(^|[^\\])(\\\\)*\|`).FindAllString(line, -1))
			if cells != 5 && cells != 7 {
				t.Errorf("a row has %d separators: %s", cells, line)
			}
		}
		if !strings.Contains(line, "This comment is cut") && bare.MatchString(line) {
			t.Errorf("a backtick or bracket is not escaped: %s", line)
		}
	}
}

func TestThePageFetchesNothingAndItsPolicyPermitsItsStyleAlone(t *testing.T) {
	text := writtenPlan(t, PlanHTML, planned(200, 3, hostile))
	policy := regexp.MustCompile(`http-equiv="Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(text)
	style := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindAllStringSubmatch(text, -1)
	if policy == nil || len(style) != 1 {
		t.Fatal("there is no policy, or not one style")
	}
	sum := sha256.Sum256([]byte(style[0][1]))
	if want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"; strings.NewReplacer("&#39;", "'", "&#43;", "+").Replace(policy[1]) != want {
		t.Errorf("the policy is %s, want %s", policy[1], want)
	}
	for _, bad := range []string{"<script", "<link", "<img", " src=", " href=", " style=", "url(", "@import", "\x1b"} {
		if strings.Contains(text, bad) {
			t.Errorf("it has %q", bad)
		}
	}
}

func TestThePictureHasAllThatIsWorstAndStaysSmall(t *testing.T) {
	d := draw(planned(200, 3, strings.Repeat("long-name-", 9)).Plan)
	if len(d.Boxes) != 1+maxSiblings+1 || len(d.Lines) != maxSiblings+1 {
		t.Errorf("%d boxes and %d lines", len(d.Boxes), len(d.Lines))
	}
	last := d.Boxes[maxSiblings]
	if last.Name != "and 176 Applications more" || last.Class != "deleted" || !strings.HasPrefix(last.Count, "528 deleted") {
		t.Errorf("the rest is %+v", last)
	}
	for i, a := range d.Boxes {
		if utf8.RuneCountInString(a.Name) > longestName || a.X+a.W > d.Width || a.Y+a.H > d.Height {
			t.Errorf("%+v is not in a picture of %d by %d", a, d.Width, d.Height)
		}
		for _, b := range d.Boxes[i+1:] {
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("%s and %s overlap", a.Name, b.Name)
			}
		}
	}
}

func TestAPictureOfApplicationsThatDefineOneAnotherEnds(t *testing.T) {
	key := func(n int) object.Key { return object.Key{Kind: "Application", Name: fmt.Sprint(n)} }
	p := &plan.Plan{}
	for n := range 100 {
		p.Tree = append(p.Tree, plan.Node{Application: key(n), Parents: []object.Key{key((n + 1) % 100), key((n + 99) % 100)}})
	}
	if d := draw(p); len(d.Boxes) == 0 || len(d.Boxes) > 100 || d.Width > 14*(longestName*letter+margin+columnGap) {
		t.Errorf("%d boxes, %d pixels wide", len(d.Boxes), d.Width)
	}
}

func TestThePageIsWellFormed(t *testing.T) {
	text := writtenPlan(t, PlanHTML, planned(3, 5, hostile))
	d := xml.NewDecoder(strings.NewReader(text[strings.Index(text, "<svg"):strings.LastIndex(text, "</svg>")] + "</svg>"))
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheJSONOfAPlanHasItsSummary(t *testing.T) {
	var p struct {
		Schema  int
		Refused bool
		Summary []string
		Changes []any
		Expired []struct{ By string }
	}
	if err := json.Unmarshal([]byte(writtenPlan(t, PlanJSON, planned(3, 2, "app"))), &p); err != nil {
		t.Fatal(err)
	}
	if p.Schema != Schema || !p.Refused || len(p.Summary) == 0 || len(p.Changes) != 3 || len(p.Expired) != 1 || p.Expired[0].By != "ada app" {
		t.Errorf("%+v", p)
	}
}
