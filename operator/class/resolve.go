package class

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-telemetry/holdfast/internal/nearest"
)

// view is everything that callers can ask for. It never changes; each change makes another.
type view struct {
	classes  map[Key]held
	verdicts []Verdict // sorted by key
}

// held is what is known of one key.
type held struct {
	class   *Class // in use, or nil
	sure    bool   // nothing is left to ask about the class in use
	uid     types.UID
	present bool // in its source now
	verdict Verdict
}

// Problem is why a name has no class.
type Problem string

// The problems.
const (
	ProblemInvalidName Problem = "InvalidName"
	ProblemUnknown     Problem = "UnknownClass"
	ProblemNeverValid  Problem = "NeverValid"
	ProblemChecking    Problem = "Checking"
)

// ResolveError is why Resolve has no class.
type ResolveError struct {
	Problem         Problem
	Namespace, Name string
	// Nearest are the known names that are like the one asked for, the most alike first; Known are the names that the namespace can use,
	// sorted, at most 10 of KnownTotal. Both are for an unknown class.
	Nearest, Known []string
	KnownTotal     int
	// Message is the verdict on a class that never had a valid text.
	Message string
	// Key is the class found, unless it is unknown.
	Key Key
}

// Error says what is wrong and what could be meant.
func (e *ResolveError) Error() string {
	switch e.Problem {
	case ProblemInvalidName:
		return e.Message
	case ProblemNeverValid:
		return fmt.Sprintf("the class %s (%s) has no valid text yet: %s", e.Name, e.Key.Kind, e.Message)
	case ProblemChecking:
		return fmt.Sprintf("the class %s (%s) is new and being checked; a pod that is created in some seconds gets it", e.Name, e.Key.Kind)
	}
	text := fmt.Sprintf("there is no class %s for namespace %s", e.Name, e.Namespace)
	if len(e.Nearest) > 0 {
		text += fmt.Sprintf("; did you mean %s?", strings.Join(e.Nearest, " or "))
	}
	sep := "; known: "
	if len(e.Nearest) > 0 {
		sep = " Known: "
	}
	switch {
	case e.KnownTotal == 0:
		return text + "; there are no classes"
	case e.KnownTotal > len(e.Known):
		return text + fmt.Sprintf("%s%s and %d more", sep, strings.Join(e.Known, ", "), e.KnownTotal-len(e.Known))
	}
	return text + sep + strings.Join(e.Known, ", ")
}

// Resolve returns the class that a new pod of the namespace gets for the name, with its last good text. A TelegrafClass of the namespace
// wins over a ClusterTelegrafClass, and that over the Secret and the folder; a class that wins and has no valid text is an error, not a
// reason to look further, for the author of a class must not get another's without knowing. The error is a *ResolveError.
func (r *Registry) Resolve(namespace, name string) (*Class, error) {
	if err := ValidName(name); err != nil {
		return nil, &ResolveError{Problem: ProblemInvalidName, Namespace: namespace, Name: name, Message: err.Error()}
	}
	v := r.view.Load()
	for _, key := range candidates(namespace, name) {
		h, found := v.classes[key]
		switch {
		case !found || !h.present:
			continue
		case h.class != nil:
			return h.class, nil
		case h.verdict.Reason == ReasonChecking:
			return nil, &ResolveError{Problem: ProblemChecking, Namespace: namespace, Name: name, Key: key}
		}
		return nil, &ResolveError{Problem: ProblemNeverValid, Namespace: namespace, Name: name, Key: key, Message: h.verdict.Message}
	}
	return nil, v.unknown(namespace, name)
}

// Delivered returns the class whose text pods of the namespace that run with the name are to have: the one that Resolve returns, and
// where that has none, the last good text of a class that is gone, or of one that the winning class hides without a valid text of its
// own. Running pods keep what they have when an author errs or a class is removed. The error is that of Resolve.
func (r *Registry) Delivered(namespace, name string) (*Class, error) {
	class, err := r.Resolve(namespace, name)
	if err == nil {
		return class, nil
	}
	v := r.view.Load()
	for _, present := range []bool{true, false} {
		for _, key := range candidates(namespace, name) {
			if h := v.classes[key]; h.class != nil && h.present == present {
				return h.class, nil
			}
		}
	}
	return nil, err
}

// Retained are the keys of classes that are gone from their source and whose texts are kept for running pods; see Forget.
func (r *Registry) Retained() []Key {
	var keys []Key
	for key, h := range r.view.Load().classes {
		if !h.present {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, compareKeys)
	return keys
}

// Verdicts are those on every class that is in a source, sorted by key. The slice is the caller's.
func (r *Registry) Verdicts() []Verdict { return slices.Clone(r.view.Load().verdicts) }

// Verdict is the one on a class, or false for a class that is in no source.
func (r *Registry) Verdict(key Key) (Verdict, bool) {
	h, found := r.view.Load().classes[key]
	return h.verdict, found && h.present
}

func candidates(namespace, name string) []Key {
	return []Key{{KindTelegrafClass, namespace, name}, {KindClusterTelegrafClass, "", name}, {KindSecret, "", name}, {KindDirectory, "", name}}
}

const (
	maxKnown   = 10
	maxNearest = 3
	// maxCompared bounds the names that a suggestion is sought among: it is sought while a pod waits.
	maxCompared = 200
)

func (v *view) unknown(namespace, name string) *ResolveError {
	var names []string
	for key, h := range v.classes {
		if h.present && key.visible(namespace) && h.verdict.Reason != ReasonInvalidName {
			names = append(names, key.Name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	e := &ResolveError{Problem: ProblemUnknown, Namespace: namespace, Name: name, Known: names[:min(len(names), maxKnown)], KnownTotal: len(names)}
	rest := slices.Clone(names[:min(len(names), maxCompared)])
	for len(e.Nearest) < maxNearest {
		near := nearest.Of(name, rest)
		if near == "" {
			break
		}
		e.Nearest = append(e.Nearest, near)
		rest = slices.DeleteFunc(rest, func(n string) bool { return n == near })
	}
	return e
}
