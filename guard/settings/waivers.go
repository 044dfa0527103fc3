package settings

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/rule"
)

// waiversOf reads a file of waivers.
func waiversOf(file string, text []byte) ([]Waiver, error) {
	var of struct {
		Waivers []Waiver `yaml:"waivers"`
	}
	if err := decode(text, &of, []string{"waivers"}); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return of.Waivers, nil
}

// waivers adds waivers of a file.
func (s *Settings) waivers(file string, list []Waiver) error {
	for _, w := range list {
		if err := s.waiver(file, w); err != nil {
			return fmt.Errorf("the waiver at %s:%d: %w", file, w.line, err)
		}
	}
	return nil
}

// waiver adds one waiver: to those of one revision what it says of their rules, and to the approvals what it says of changes.
func (s *Settings) waiver(file string, w Waiver) error {
	ids := w.Rules
	if w.Rule != "" {
		ids = append([]string{w.Rule}, ids...)
	}
	made := finding.Waiver{
		Rules: ids, Object: w.Object, Path: w.Path, Application: w.Application, Reason: w.Reason, By: w.By,
		Place: finding.Place{Path: file, Line: w.line, Column: 1},
	}
	if err := made.Until(w.Expires); err != nil {
		return err
	}
	if err := made.Compile(); err != nil {
		return err
	}
	approval := made
	made.Rules, approval.Rules = nil, nil
	for _, id := range ids {
		switch {
		case slices.Contains(rule.IDs(), id):
			made.Rules = append(made.Rules, id)
		case ofChanges.MatchString(id):
			approval.Rules = append(approval.Rules, id)
		default:
			return fmt.Errorf("there is no rule %s", id)
		}
	}
	if len(made.Rules) > 0 {
		s.own = append(s.own, &made)
	}
	if len(approval.Rules) == 0 {
		return nil
	}
	s.approvals = append(s.approvals, &approval)
	return approves(&approval)
}

// ofChanges are the ids of the rules that look at changes and not at one inventory.
var ofChanges = regexp.MustCompile(`^HG1[01][0-9]$`)

// ofSettings is the rule about the settings themselves, which are no object.
const ofSettings = "HG111"

// approves says what a waiver lacks to approve a deletion: who does, and of what.
func approves(w *finding.Waiver) error {
	if w.Object == "" && w.Application == "" && !slices.Equal(w.Rules, []string{ofSettings}) {
		return fmt.Errorf("%s is about a change, and this names neither an object nor an application", w.Rules[0])
	}
	if w.By == "" {
		return fmt.Errorf("%s is about a change, and this does not say who approves it (by)", w.Rules[0])
	}
	return nil
}

// OwnWaivers returns the waivers of the settings, without the approvals.
func (s *Settings) OwnWaivers() []*finding.Waiver { return s.own }

// Approvals returns what the settings approve of changes. Those of the revision that makes the change approve nothing: it is for the
// caller to read them from elsewhere.
func (s *Settings) Approvals() []*finding.Waiver { return s.approvals }

// ReadApprovals reads a file of waivers, and returns those that are about changes.
func ReadApprovals(file string) ([]*finding.Waiver, error) {
	text, err := readFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the approvals: %w", err)
	}
	list, err := waiversOf(file, text)
	if err != nil {
		return nil, err
	}
	s := new(Settings)
	if err := s.waivers(file, list); err != nil {
		return nil, err
	}
	if len(s.own) > 0 {
		w := s.own[0]
		return nil, fmt.Errorf("the waiver at %s: %s is not about changes, and is waived in the settings", w.Place, w.Rules[0])
	}
	return s.approvals, nil
}
