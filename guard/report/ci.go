package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/rule"
)

// The parts of JUnit's XML that CI systems read.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Skipped  int          `xml:"skipped,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name      string         `xml:"name,attr"`
		ClassName string         `xml:"classname,attr"`
		File      string         `xml:"file,attr,omitempty"`
		Line      int            `xml:"line,attr,omitempty"`
		Failure   *junitFailure  `xml:"failure"`
		Skipped   *junitSkipped  `xml:"skipped"`
		Out       *junitVerbatim `xml:"system-out"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
	junitSkipped struct {
		Message string `xml:"message,attr"`
	}
	junitVerbatim struct {
		Text string `xml:",chardata"`
	}
)

// JUnit writes a suite for each rule: a test that passes where it finds nothing, one that fails for each error, and one that passes, with
// the message as its output, for each of the others. What is waived or turned off is skipped.
func (c *Check) JUnit(w io.Writer) error {
	open, waived := make(map[string][]*finding.Finding), make(map[string][]*finding.Waived)
	for n := range c.Findings {
		open[c.Findings[n].Rule] = append(open[c.Findings[n].Rule], &c.Findings[n])
	}
	for n := range c.Waived {
		waived[c.Waived[n].Rule] = append(waived[c.Waived[n].Rule], &c.Waived[n])
	}
	var all junitSuites
	for _, r := range rule.Catalogue() {
		s := junitSuite{Name: r.ID + " " + r.Name}
		for _, f := range open[r.ID] {
			s.Cases = append(s.Cases, junitOf(r, f))
		}
		for _, f := range waived[r.ID] {
			s.Cases = append(s.Cases, junitCase{Name: f.Place.String(), ClassName: r.ID, File: f.Path, Line: f.Line, Skipped: &junitSkipped{"waived: " + f.Waiver.Reason}})
		}
		if len(s.Cases) == 0 {
			empty := junitCase{Name: r.Name, ClassName: r.ID}
			if why := c.Off[r.ID]; why != "" {
				empty.Skipped = &junitSkipped{"off: " + why}
			}
			s.Cases = append(s.Cases, empty)
		}
		for _, one := range s.Cases {
			s.Tests++
			if one.Failure != nil {
				s.Failures++
			}
			if one.Skipped != nil {
				s.Skipped++
			}
		}
		all.Tests, all.Failures, all.Skipped = all.Tests+s.Tests, all.Failures+s.Failures, all.Skipped+s.Skipped
		all.Suites = append(all.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func junitOf(r *rule.Rule, f *finding.Finding) junitCase {
	c := junitCase{Name: f.Place.String(), ClassName: r.ID, File: f.Path, Line: f.Line}
	if f.Severity == finding.Error {
		c.Failure = &junitFailure{Message: f.Message, Type: f.Severity.String(), Text: fmt.Sprintf("%s\n%s\nto mend: %s", f.Place, f.Message, f.Fix)}
	} else {
		c.Out = &junitVerbatim{f.Severity.String() + ": " + f.Message}
	}
	return c
}

var githubLevel = map[finding.Severity]string{finding.Error: "error", finding.Warning: "warning", finding.Info: "notice"}

// Workflow commands have their own escapes, and properties some more.
var (
	githubText     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// GitHub writes workflow commands, which GitHub Actions shows as annotations of the lines.
func (c *Check) GitHub(w io.Writer) error {
	out := &writer{Writer: w}
	for n := range c.Findings {
		f := &c.Findings[n]
		out.printf("::%s file=%s,line=%d,col=%d,title=%s::%s\n", githubLevel[f.Severity], githubProperty.Replace(f.Path), max(1, f.Line), max(1, f.Column), githubProperty.Replace(f.Rule), githubText.Replace(f.Message+" (to mend: "+f.Fix+")"))
	}
	for _, u := range c.Unanalysed {
		if !u.Allowed {
			out.printf("::notice file=%s,line=%d,title=not analysed::%s\n", githubProperty.Replace(u.Place.Path), max(1, u.Place.Line), githubText.Replace(u.Application+": "+u.Why))
		}
	}
	counts := c.Counts()
	out.printf("%s, %s, %d waived\n", many(counts[finding.Error], "error"), many(counts[finding.Warning], "warning"), len(c.Waived))
	return out.err
}
