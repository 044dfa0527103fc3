package report

import (
	"encoding/json"
	"io"
	"strconv"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
)

// Schema is the version of the JSON form. Fields are added under the same number; one that changes its meaning raises it.
const Schema = 1

// document is the JSON form; docs/guard/check.md describes it.
type document struct {
	Schema       int               `json:"schema"`
	Version      string            `json:"version,omitempty"`
	Tree         string            `json:"tree"`
	Applications int               `json:"applications"`
	Objects      int               `json:"objects"`
	Files        int               `json:"files"`
	Counts       map[string]int    `json:"counts"`
	Findings     []found           `json:"findings"`
	Waived       []finding.Waived  `json:"waived"`
	Unanalysed   []Unanalysed      `json:"unanalysed"`
	Fixed        []string          `json:"fixed,omitempty"`
	Off          map[string]string `json:"off,omitempty"`
	Uncounted    []string          `json:"uncounted,omitempty"`
}

// found is a finding with its fingerprint.
type found struct {
	finding.Finding
	Fingerprint string `json:"fingerprint"`
}

// JSON writes the whole check for programs.
func (c *Check) JSON(w io.Writer) error {
	counts := c.Counts()
	d := document{Schema: Schema, Version: c.Version, Tree: c.Tree, Applications: c.Applications, Objects: c.Objects, Files: c.Files, Findings: []found{}, Waived: c.Waived, Unanalysed: c.Unanalysed, Fixed: c.Fixed, Off: c.Off, Uncounted: c.Uncounted,
		Counts: map[string]int{"error": counts[finding.Error], "warning": counts[finding.Warning], "info": counts[finding.Info], "waived": len(c.Waived)}}
	for _, f := range c.Findings {
		d.Findings = append(d.Findings, found{f, f.Fingerprint()})
	}
	if d.Waived == nil {
		d.Waived = []finding.Waived{}
	}
	if d.Unanalysed == nil {
		d.Unanalysed = []Unanalysed{}
	}
	return encode(w, d)
}

func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// quality is an entry of GitLab's code quality report.
type quality struct {
	Description string `json:"description"`
	CheckName   string `json:"check_name"`
	Fingerprint string `json:"fingerprint"`
	Severity    string `json:"severity"`
	Location    struct {
		Path  string `json:"path"`
		Lines struct {
			Begin int `json:"begin"`
		} `json:"lines"`
	} `json:"location"`
}

var gitlabSeverity = map[finding.Severity]string{finding.Error: "critical", finding.Warning: "minor", finding.Info: "info"}

// GitLab writes a code quality report. Its fingerprints are different for each entry, as GitLab wants.
func (c *Check) GitLab(w io.Writer) error {
	entries := []quality{}
	for n, print := range prints(c.Findings) {
		f := &c.Findings[n]
		q := quality{Description: f.Rule + ": " + f.Message, CheckName: f.Rule, Fingerprint: print, Severity: gitlabSeverity[f.Severity]}
		q.Location.Path, q.Location.Lines.Begin = f.Path, max(1, f.Line)
		entries = append(entries, q)
	}
	return encode(w, entries)
}

// prints returns the fingerprints of findings, of equal ones each with its place among them.
func prints(findings []finding.Finding) []string {
	seen := make(map[string]int)
	made := make([]string, 0, len(findings))
	for n := range findings {
		print := findings[n].Fingerprint()
		seen[print]++
		if of := seen[print]; of > 1 {
			print += "-" + strconv.Itoa(of)
		}
		made = append(made, print)
	}
	return made
}
