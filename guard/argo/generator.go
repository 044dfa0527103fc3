package argo

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// Generator is one generator of a set; one of its fields is set.
type Generator struct {
	List     *ListGenerator  `json:"list"`
	Clusters *ClusterGen     `json:"clusters"`
	Git      *GitGenerator   `json:"git"`
	Matrix   *MatrixGen      `json:"matrix"`
	Merge    *MergeGen       `json:"merge"`
	Selector json.RawMessage `json:"selector"`
}

// ListGenerator has its elements written out.
type ListGenerator struct {
	Elements     []map[string]any `json:"elements"`
	ElementsYAML string           `json:"elementsYaml"`
	Template     map[string]any   `json:"template"`
}

// ClusterGen makes one Application for each cluster.
type ClusterGen struct {
	Selector struct {
		MatchLabels      map[string]string `json:"matchLabels"`
		MatchExpressions []any             `json:"matchExpressions"`
	} `json:"selector"`
	Values   map[string]string `json:"values"`
	Template map[string]any    `json:"template"`
	FlatList bool              `json:"flatList"`
}

// GitGenerator makes one Application for each folder, or for each file.
type GitGenerator struct {
	RepoURL     string `json:"repoURL"`
	Revision    string `json:"revision"`
	Directories []struct {
		Path    string `json:"path"`
		Exclude bool   `json:"exclude"`
	} `json:"directories"`
	Files []struct {
		Path    string `json:"path"`
		Exclude bool   `json:"exclude"`
	} `json:"files"`
	PathParamPrefix string            `json:"pathParamPrefix"`
	Values          map[string]string `json:"values"`
	Template        map[string]any    `json:"template"`
}

// MatrixGen combines each result of one generator with each of another.
type MatrixGen struct {
	Generators []Generator    `json:"generators"`
	Template   map[string]any `json:"template"`
}

// MergeGen lays the results of generators over each other, by keys.
type MergeGen struct {
	Generators []Generator    `json:"generators"`
	MergeKeys  []string       `json:"mergeKeys"`
	Template   map[string]any `json:"template"`
}

// template returns the generator's own template.
func (gen *Generator) template() map[string]any {
	switch {
	case gen.List != nil:
		return gen.List.Template
	case gen.Clusters != nil:
		return gen.Clusters.Template
	case gen.Git != nil:
		return gen.Git.Template
	case gen.Matrix != nil:
		return gen.Matrix.Template
	case gen.Merge != nil:
		return gen.Merge.Template
	}
	return nil
}

// params returns what a generator gives, its own texts filled from outer.
func (g *generation) params(gen *Generator, outer params) ([]params, error) {
	if len(gen.Selector) > 0 && string(gen.Selector) != "null" {
		return nil, &UnanalysedError{"a generator has a selector over what it gives"}
	}
	switch {
	case gen.List != nil:
		return g.list(gen.List, outer)
	case gen.Clusters != nil:
		return g.ofClusters(gen.Clusters, outer)
	case gen.Git != nil:
		return g.git(gen.Git, outer)
	case gen.Matrix != nil:
		return g.matrix(gen.Matrix, outer)
	case gen.Merge != nil:
		return g.merge(gen.Merge, outer)
	}
	return nil, &UnanalysedError{"a generator asks something outside the repository (a pull request, a provider, a plugin)"}
}

// list returns the elements of a list.
func (g *generation) list(l *ListGenerator, outer params) ([]params, error) {
	elements := l.Elements
	if l.ElementsYAML != "" {
		text, err := g.text(l.ElementsYAML, outer)
		if err != nil {
			return nil, err
		}
		var more []map[string]any
		if err := yaml.Unmarshal([]byte(text), &more); err != nil {
			return nil, fmt.Errorf("elementsYaml: %w", err)
		}
		elements = slices.Concat(elements, more)
	}
	var all []params
	for _, e := range elements {
		all = append(all, g.of(e))
	}
	return all, nil
}

// of returns the params of a mapping: flat without Go templates.
func (g *generation) of(m map[string]any) params {
	if g.set.Spec.GoTemplate {
		return params(m)
	}
	p := make(params)
	flatten(p, "", m)
	return p
}

func flatten(p params, prefix string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			flatten(p, join(prefix, key), value)
		}
	case []any:
		for i, value := range v {
			flatten(p, join(prefix, strconv.Itoa(i)), value)
		}
	case nil:
		p[prefix] = ""
	default:
		p[prefix] = v
	}
}

func join(prefix, key string) string {
	if prefix == "" {
		return key
	}
	return prefix + "." + key
}

// ofClusters returns the clusters that the settings name. Which labels they have is not known.
func (g *generation) ofClusters(c *ClusterGen, outer params) ([]params, error) {
	if len(c.Selector.MatchLabels)+len(c.Selector.MatchExpressions) > 0 {
		return nil, &UnanalysedError{"the clusters generator selects by labels, which only Argo CD knows"}
	}
	if c.FlatList {
		return nil, &UnanalysedError{"the clusters generator gives a flat list"}
	}
	clusters := maps.Clone(g.clusters)
	if clusters == nil {
		return nil, &UnanalysedError{"the clusters generator gives the clusters that Argo CD knows: name them in the settings"}
	}
	clusters[InCluster] = Server
	var all []params
	for _, name := range slices.Sorted(maps.Keys(clusters)) {
		p := params{"name": name, "nameNormalized": normalise(name), "server": clusters[name]}
		if err := g.values(p, c.Values, outer); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// values adds the generator's own values.
func (g *generation) values(p params, values map[string]string, outer params) error {
	if len(values) == 0 {
		return nil
	}
	known := maps.Clone(p)
	maps.Copy(known, outer)
	own := make(map[string]any)
	for key, value := range values {
		text, err := g.text(value, known)
		if err != nil {
			return err
		}
		own[key] = text
		if !g.set.Spec.GoTemplate {
			p["values."+key] = text
		}
	}
	if g.set.Spec.GoTemplate {
		p["values"] = own
	}
	return nil
}

// matrix combines two generators; the second may use what the first gives.
func (g *generation) matrix(m *MatrixGen, outer params) ([]params, error) {
	if len(m.Generators) != 2 {
		return nil, errors.New("a matrix has two generators")
	}
	first, err := g.params(&m.Generators[0], outer)
	if err != nil {
		return nil, err
	}
	var all []params
	for _, a := range first {
		second, err := g.params(&m.Generators[1], a)
		if err != nil {
			return nil, err
		}
		for _, b := range second {
			both := params(overlay(a, b))
			if all = append(all, both); len(all) > MaxGenerated {
				return nil, ErrTooMany
			}
		}
	}
	return all, nil
}

// merge lays the later generators' results over those of the first with the same keys.
func (g *generation) merge(m *MergeGen, outer params) ([]params, error) {
	if len(m.Generators) < 2 || len(m.MergeKeys) == 0 {
		return nil, errors.New("a merge has two generators or more, and keys")
	}
	base, err := g.params(&m.Generators[0], outer)
	if err != nil {
		return nil, err
	}
	for i := range m.Generators[1:] {
		over, err := g.params(&m.Generators[i+1], outer)
		if err != nil {
			return nil, err
		}
		byKey := make(map[string]params, len(over))
		for _, p := range over {
			byKey[mergeKey(p, m.MergeKeys)] = p
		}
		for n, p := range base {
			if more, ok := byKey[mergeKey(p, m.MergeKeys)]; ok {
				base[n] = params(overlay(p, more))
			}
		}
	}
	return base, nil
}

func mergeKey(p params, keys []string) string {
	var b strings.Builder
	for _, key := range keys {
		fmt.Fprintf(&b, "%v\x00", p[key])
	}
	return b.String()
}
