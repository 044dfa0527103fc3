package report

import (
	"io"
	"net/url"
	"slices"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/rule"
)

// The parts of SARIF 2.1.0 (OASIS Standard, 27 March 2020) that are written. Field names are the standard's.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool struct {
			Driver sarifDriver `json:"driver"`
		} `json:"tool"`
		ColumnKind  string            `json:"columnKind"`
		Invocations []sarifInvocation `json:"invocations"`
		Results     []sarifResult     `json:"results"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version,omitempty"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID                   string       `json:"id"`
		Name                 string       `json:"name"`
		ShortDescription     sarifText    `json:"shortDescription"`
		FullDescription      sarifText    `json:"fullDescription"`
		Help                 sarifText    `json:"help"`
		HelpURI              string       `json:"helpUri"`
		DefaultConfiguration sarifDefault `json:"defaultConfiguration"`
	}
	sarifDefault struct {
		Level string `json:"level"`
	}
	sarifText struct {
		Text     string `json:"text"`
		Markdown string `json:"markdown,omitempty"`
	}
	sarifInvocation struct {
		ExecutionSuccessful        bool                `json:"executionSuccessful"`
		ToolExecutionNotifications []sarifNotification `json:"toolExecutionNotifications,omitempty"`
	}
	sarifNotification struct {
		Level     string          `json:"level"`
		Message   sarifText       `json:"message"`
		Locations []sarifLocation `json:"locations"`
	}
	sarifResult struct {
		RuleID              string             `json:"ruleId"`
		RuleIndex           int                `json:"ruleIndex"`
		Level               string             `json:"level"`
		Message             sarifText          `json:"message"`
		Locations           []sarifLocation    `json:"locations"`
		RelatedLocations    []sarifLocation    `json:"relatedLocations,omitempty"`
		PartialFingerprints map[string]string  `json:"partialFingerprints"`
		Suppressions        []sarifSuppression `json:"suppressions,omitempty"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Status        string `json:"status"`
		Justification string `json:"justification"`
	}
	sarifLocation struct {
		ID               int           `json:"id,omitempty"`
		PhysicalLocation sarifPhysical `json:"physicalLocation"`
		Message          *sarifText    `json:"message,omitempty"`
	}
	sarifPhysical struct {
		ArtifactLocation sarifArtifact `json:"artifactLocation"`
		Region           *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI       string `json:"uri"`
		URIBaseID string `json:"uriBaseId"`
	}
	sarifRegion struct {
		StartLine   int `json:"startLine"`
		StartColumn int `json:"startColumn,omitempty"`
	}
)

// Links of the report.
const (
	schemaURI = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
	home      = "https://github.com/holdfast-telemetry/holdfast"
	rulesURI  = home + "/blob/main/docs/guard/rules.md#"
)

var sarifLevel = map[finding.Severity]string{finding.Error: "error", finding.Warning: "warning", finding.Info: "note"}

// SARIF writes a log of SARIF 2.1.0. What was waived is there as suppressed; what was not analysed is a notification of the run.
func (c *Check) SARIF(w io.Writer) error {
	rules := rule.Catalogue()
	run := sarifRun{ColumnKind: "unicodeCodePoints", Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: "holdfast-guard", Version: c.Version, InformationURI: home, Rules: []sarifRule{}}
	for _, r := range rules {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{ID: r.ID, Name: r.Name, ShortDescription: sarifText{Text: r.Catches}, FullDescription: sarifText{Text: r.Why},
			Help: sarifText{Text: r.Mend}, HelpURI: rulesURI + Anchor(r), DefaultConfiguration: sarifDefault{sarifLevel[r.Severity]}})
	}
	invocation := sarifInvocation{ExecutionSuccessful: true}
	for _, u := range c.Unanalysed {
		invocation.ToolExecutionNotifications = append(invocation.ToolExecutionNotifications, sarifNotification{Level: "warning", Message: sarifText{Text: u.Application + " is not analysed: " + u.Why}, Locations: []sarifLocation{locate(u.Place)}})
	}
	run.Invocations = []sarifInvocation{invocation}
	for n := range c.Findings {
		run.Results = append(run.Results, result(rules, &c.Findings[n]))
	}
	for n := range c.Waived {
		r := result(rules, &c.Waived[n].Finding)
		kind := "external"
		if c.Waived[n].Waiver.In != nil {
			kind = "inSource"
		}
		r.Suppressions = []sarifSuppression{{Kind: kind, Status: "accepted", Justification: c.Waived[n].Waiver.Reason}}
		run.Results = append(run.Results, r)
	}
	return encode(w, sarifLog{Schema: schemaURI, Version: "2.1.0", Runs: []sarifRun{run}})
}

// Anchor is where a rule is in docs/guard/rules.md.
func Anchor(r *rule.Rule) string { return r.Name }

func result(rules []*rule.Rule, f *finding.Finding) sarifResult {
	r := sarifResult{RuleID: f.Rule, RuleIndex: slices.IndexFunc(rules, func(r *rule.Rule) bool { return r.ID == f.Rule }), Level: sarifLevel[f.Severity], Message: sarifText{Text: f.Message},
		Locations: []sarifLocation{locate(f.Place)}, PartialFingerprints: map[string]string{"ruleAndObject/v1": f.Fingerprint()}}
	for n, p := range f.Related {
		l := locate(p)
		l.ID, l.Message = n+1, &sarifText{Text: "see also"}
		r.RelatedLocations = append(r.RelatedLocations, l)
	}
	return r
}

func locate(p finding.Place) sarifLocation {
	l := sarifLocation{PhysicalLocation: sarifPhysical{ArtifactLocation: sarifArtifact{(&url.URL{Path: p.Path}).String(), "%SRCROOT%"}}}
	if p.Line > 0 {
		l.PhysicalLocation.Region = &sarifRegion{p.Line, p.Column}
	}
	return l
}
