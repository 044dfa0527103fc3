package argo

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// Set is what an ApplicationSet says.
type Set struct {
	Metadata struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	Spec struct {
		GoTemplate        bool           `json:"goTemplate"`
		GoTemplateOptions []string       `json:"goTemplateOptions"`
		Generators        []Generator    `json:"generators"`
		Template          map[string]any `json:"template"`
		TemplatePatch     string         `json:"templatePatch"`
		SyncPolicy        struct {
			PreserveResourcesOnDeletion bool   `json:"preserveResourcesOnDeletion"`
			ApplicationsSync            string `json:"applicationsSync"`
		} `json:"syncPolicy"`
	} `json:"spec"`
}

// ParseSet reads an ApplicationSet from an object that was kept whole.
func ParseSet(o *object.Object) (*Set, error) {
	s := new(Set)
	if err := Decode(o.Body, s); err != nil {
		return nil, fmt.Errorf("the ApplicationSet %s: %w", o.Name, err)
	}
	if s.Metadata.Namespace == "" {
		s.Metadata.Namespace = DefaultNamespace
	}
	return s, nil
}

// KeepsApplications says whether the set leaves Applications that it does not generate any more.
func (s *Set) KeepsApplications() bool {
	return slices.Contains([]string{"create-only", "create-update"}, s.Spec.SyncPolicy.ApplicationsSync)
}

// Applications are those that a set generates.
type Applications struct {
	// All are in the order of the generators.
	All []*Application
	// Unanalysed says of what is not known which Applications it makes.
	Unanalysed []string
}

// MaxGenerated is how many Applications one set may generate.
const MaxGenerated = 20_000

// ErrTooMany is a set that generates more than MaxGenerated.
var ErrTooMany = fmt.Errorf("it generates more than %d Applications", MaxGenerated)

// Applications generates the Applications of a set from the files of a tree and the clusters, by name, that Argo CD knows.
func (s *Set) Applications(t tree.Tree, clusters map[string]string) (*Applications, error) {
	g := &generation{set: s, tree: t, clusters: clusters}
	for i := range s.Spec.Generators {
		generator := &s.Spec.Generators[i]
		params, err := g.params(generator, nil)
		var unknown *UnanalysedError
		if errors.As(err, &unknown) {
			g.result.Unanalysed = append(g.result.Unanalysed, unknown.Error())
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("generator %d: %w", i+1, err)
		}
		for _, p := range params {
			err := g.add(generator.template(), p)
			if errors.As(err, &unknown) {
				g.result.Unanalysed = append(g.result.Unanalysed, unknown.Error())
				break
			}
			if err != nil {
				return nil, fmt.Errorf("generator %d: %w", i+1, err)
			}
		}
	}
	return &g.result, nil
}

// UnanalysedError says why something cannot be known from the repository alone.
type UnanalysedError struct{ Why string }

func (e *UnanalysedError) Error() string { return e.Why }

// generation is a set that generates.
type generation struct {
	set      *Set
	tree     tree.Tree
	clusters map[string]string
	result   Applications
}

// add generates one Application.
func (g *generation) add(override map[string]any, p params) error {
	if len(g.result.All) >= MaxGenerated {
		return ErrTooMany
	}
	body, err := g.render(overlay(g.set.Spec.Template, override), p)
	if err != nil {
		return err
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	if g.set.Spec.TemplatePatch != "" {
		if text, err = g.patch(text, p); err != nil {
			return err
		}
	}
	a := new(Application)
	if err := json.Unmarshal(text, a); err != nil {
		return fmt.Errorf("what it generates is no Application: %w", err)
	}
	if a.Metadata.Name == "" || strings.Contains(a.Metadata.Name, "{{") {
		return fmt.Errorf("it generates an Application with the name %q", a.Metadata.Name)
	}
	a.Metadata.Namespace = g.set.Metadata.Namespace
	// The controller adds the finalizer to all it makes, unless the set preserves.
	if !g.set.Spec.SyncPolicy.PreserveResourcesOnDeletion && !a.Cascades() {
		a.Metadata.Finalizers = append(a.Metadata.Finalizers, Finalizer)
	}
	g.result.All = append(g.result.All, a)
	return nil
}

// overlay returns a template with what a generator's own template has.
func overlay(base, over map[string]any) map[string]any {
	if len(over) == 0 {
		return base
	}
	merged := make(map[string]any, len(base))
	for key, value := range base {
		merged[key] = value
	}
	for key, value := range over {
		below, isMap := value.(map[string]any)
		if under, ok := merged[key].(map[string]any); ok && isMap {
			merged[key] = overlay(under, below)
		} else if value != nil && value != "" {
			merged[key] = value
		}
	}
	return merged
}
