package finding

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gobwas/glob"

	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// WaiveAnnotation waives findings about the object that carries it. Each of its lines is one waiver:
//
//	HG040,HG042 reason=rebuilt from the object store; expires=2026-12-31
//
// A comment of its document does the same, with one waiver (object.WaiveComment).
const WaiveAnnotation = "holdfast.dev/waive"

// Waiver lets findings pass until a day.
type Waiver struct {
	// Rules are the ids that it waives.
	Rules []string `json:"rules"`
	// Object, Path and Application are patterns of what it waives. Those that are empty match everything, and at least one is not.
	// In paths and objects "*" does not cross a slash, and "**" does.
	Object      string `json:"object,omitempty"`
	Path        string `json:"path,omitempty"`
	Application string `json:"application,omitempty"`
	// Reason says why, and Expires until when: the last day that it holds, in UTC.
	Reason  string    `json:"reason"`
	Expires time.Time `json:"expires"`
	// By is who approves, where it is about a deletion.
	By string `json:"by,omitempty"`
	// Place is where it is written.
	Place Place `json:"place"`
	// In is the object that carries it. It is nil for one of the settings.
	In *object.Object `json:"-"`

	object, path, application glob.Glob
}

// Waived is a finding that a waiver lets pass.
type Waived struct {
	Finding
	Waiver *Waiver `json:"waiver"`
}

// maxWaivers bounds the waivers of one annotation.
const maxWaivers = 50

// ParseWaivers reads the annotation of an object.
func ParseWaivers(annotation string) ([]*Waiver, error) {
	var waivers []*Waiver
	for line := range strings.Lines(annotation) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if len(waivers) == maxWaivers {
			return nil, fmt.Errorf("there are more than %d waivers", maxWaivers)
		}
		w, err := parseWaiver(line)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		waivers = append(waivers, w)
	}
	if len(waivers) == 0 {
		return nil, errors.New("it is empty")
	}
	return waivers, nil
}

func parseWaiver(line string) (*Waiver, error) {
	ids, rest, _ := strings.Cut(line, " ")
	w := &Waiver{Rules: strings.Split(ids, ",")}
	var expires string
	for part := range strings.SplitSeq(rest, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		key, value, found := strings.Cut(part, "=")
		switch value = strings.TrimSpace(value); {
		case !found:
			return nil, fmt.Errorf("%q is no KEY=VALUE: write HG040 reason=WHY; expires=YYYY-MM-DD", part)
		case strings.TrimSpace(key) == "reason":
			w.Reason = value
		case strings.TrimSpace(key) == "expires":
			expires = value
		default:
			return nil, fmt.Errorf("%q is neither reason nor expires", strings.TrimSpace(key))
		}
	}
	return w, w.Until(expires)
}

// Until sets the last day of a waiver, and checks the whole.
func (w *Waiver) Until(day string) error {
	if day == "" {
		return errors.New("it has no expires=YYYY-MM-DD: nothing is waived for ever")
	}
	var err error
	if w.Expires, err = time.Parse(time.DateOnly, day); err != nil {
		return fmt.Errorf("expires is %q, and no day such as 2026-12-31", day)
	}
	return w.check()
}

var id = regexp.MustCompile(`^HG[0-9]{3}$`)

func (w *Waiver) check() error {
	if len(w.Rules) == 0 {
		return errors.New("it names no rule")
	}
	for _, r := range w.Rules {
		if !id.MatchString(r) {
			return fmt.Errorf("%q is no id of a rule: they are as HG040", r)
		}
	}
	if w.Reason == "" {
		return errors.New("it has no reason")
	}
	return nil
}

// Compile makes the patterns of a waiver of the settings ready.
func (w *Waiver) Compile() error {
	for _, p := range []struct {
		name, text string
		to         *glob.Glob
	}{{"object", w.Object, &w.object}, {"path", w.Path, &w.path}, {"application", w.Application, &w.application}} {
		if p.text == "" {
			continue
		}
		var err error
		if *p.to, err = glob.Compile(p.text, '/'); err != nil {
			return fmt.Errorf("%s %q is no pattern: %w", p.name, p.text, err)
		}
	}
	if w.object == nil && w.path == nil && w.application == nil {
		return errors.New("it names no object, path or application: to turn a rule off, use rules.ID.off")
	}
	return nil
}

// waives says whether a waiver is about a finding.
func (w *Waiver) waives(f *Finding) bool {
	if w.In != nil {
		return w.In == f.In
	}
	return (w.object == nil || w.object.Match(f.Key.String())) && (w.path == nil || w.path.Match(f.Path)) && (w.application == nil || w.application.Match(f.Application))
}

// Over says whether the waiver's last day is past.
func (w *Waiver) Over(now time.Time) bool { return !now.Before(w.Expires.AddDate(0, 0, 1)) }

// Waive parts findings into those that stand and those that a waiver lets pass. A waiver that is over lets nothing pass. It returns also
// the waivers that were of no use.
func Waive(findings []Finding, waivers []*Waiver, now time.Time) (open []Finding, waived []Waived, unused []*Waiver) {
	type place struct {
		rule string
		in   *object.Object
	}
	index := make(map[place][]*Waiver)
	for _, w := range waivers {
		for _, r := range w.Rules {
			index[place{r, w.In}] = append(index[place{r, w.In}], w)
		}
	}
	used := make(map[*Waiver]bool)
	for _, f := range findings {
		candidates := index[place{f.Rule, nil}]
		if f.In != nil {
			candidates = append(slices.Clip(index[place{f.Rule, f.In}]), candidates...)
		}
		by := slices.IndexFunc(candidates, func(w *Waiver) bool {
			match := w.waives(&f)
			used[w] = used[w] || match
			return match && !w.Over(now)
		})
		if by < 0 {
			open = append(open, f)
		} else {
			waived = append(waived, Waived{f, candidates[by]})
		}
	}
	for _, w := range waivers {
		if !used[w] {
			unused = append(unused, w)
		}
	}
	return open, waived, unused
}
