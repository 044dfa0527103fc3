package rule

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
)

func generatorRules() []*Rule {
	return []*Rule{
		{ID: "HG030", Name: "generator-key-no-text", Severity: finding.Error,
			Catches: "A key of a generator's element is `n`, `y`, `on`, `off`, `yes`, `no`, `true`, `false`, `null` or a number, without quotes.",
			Why:     "Argo CD reads such a key as a boolean, and the parameter of that name has no value: the template writes `<no value>` into names and paths, and the Applications of before are deleted.",
			Mend:    "quote the key, or take another word", run: generatorKeys},
		{ID: "HG056", Name: "appset-deletes", Severity: finding.Error,
			Catches: "An ApplicationSet without `preserveResourcesOnDeletion: true`, unless it makes previews of pull requests. One that never deletes Applications (`applicationsSync: create-only` or `create-update`) is a warning.",
			Why:     "An element that leaves a list, a folder that is renamed, or a generator that finds nothing deletes Applications with everything that they have.",
			Mend:    "set spec.syncPolicy.preserveResourcesOnDeletion: true", run: setsThatDelete},
		{ID: "HG057", Name: "appset-name-unstable", Severity: finding.Warning,
			Catches: "An ApplicationSet takes the names of its Applications from the last part of a path alone, where its generators find folders at several places, or from no parameter at all.",
			Why:     "Two folders with the same last part become one name: the set fails, or an Application changes what it reads, and a rename of a folder deletes and creates.",
			Mend:    "put every part of the path that varies into the name", run: unstableNames},
	}
}

// notText are words that YAML 1.1, as Argo CD reads it, takes for something else than a text.
var notText = map[string]bool{"y": true, "n": true, "yes": true, "no": true, "on": true, "off": true, "true": true, "false": true, "null": true, "~": true}

// generatorKeys finds keys that are no text. The objects as they are read do not tell quoted keys from others, so the file is read again.
func generatorKeys(p *pass) {
	for _, s := range p.Sets {
		if strings.HasSuffix(s.Path, ".json") || len(list(s.Object.Body, "spec", "generators")) == 0 {
			continue
		}
		data, err := p.read(s.Path)
		if err != nil {
			p.err = err
			return
		}
		n, before, err := s.Object.Node(data)
		if err != nil {
			p.err = err
			return
		}
		if generators := finding.Value(n, "spec", "generators"); generators != nil {
			p.keys(s.Origin, generators, before, 0)
		}
	}
}

// maxNesting bounds how deep generators are looked into. They nest in each other twice.
const maxNesting = 40

func (p *pass) keys(o inventory.Origin, n *yaml.Node, before, depth int) {
	if depth > maxNesting || n.Kind == yaml.AliasNode {
		return
	}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			if c.Style == 0 && c.Kind == yaml.ScalarNode && (notText[strings.ToLower(c.Value)] || c.Tag == "!!int" || c.Tag == "!!float") {
				f := p.find(o, nil, "the key %s of a generator is no text without quotes, and its parameter has no value", c.Value)
				f.Line, f.Column = before+c.Line, c.Column
			}
			continue
		}
		p.keys(o, c, before, depth+1)
	}
}

// generators returns the generators of a set that have a kind, as "git" or "list", also those inside of others.
func generators(s *inventory.Set, kind string) []any {
	var found []any
	var walk func(l []any, depth int)
	walk = func(l []any, depth int) {
		for _, g := range l {
			if of := get(g, kind); of != nil {
				found = append(found, of)
			}
			if depth < maxNesting {
				walk(list(g, "matrix", "generators"), depth+1)
				walk(list(g, "merge", "generators"), depth+1)
			}
		}
	}
	walk(list(s.Object.Body, "spec", "generators"), 0)
	return found
}

func setsThatDelete(p *pass) {
	for _, s := range p.Sets {
		policy := get(s.Object.Body, "spec", "syncPolicy")
		if get(policy, "preserveResourcesOnDeletion") == true || len(generators(s, "pullRequest")) > 0 {
			continue
		}
		id := "the ApplicationSet " + p.key(s.Origin).Name
		switch of := text(policy, "applicationsSync"); of {
		case "create-only", "create-update":
			f := p.find(s.Origin, way("spec", "syncPolicy", "applicationsSync"), "%s keeps its Applications while it is there, but when it is deleted itself, they go with everything that they have", id)
			p.lower(f, finding.Warning)
		default:
			p.find(s.Origin, way("spec", "syncPolicy", "preserveResourcesOnDeletion"), "%s deletes an Application that its generators no longer give, with everything that it has", id)
		}
	}
}

// unstableNames finds sets whose names can be the same for two folders.
func unstableNames(p *pass) {
	for _, s := range p.Sets {
		name := text(s.Object.Body, "spec", "template", "metadata", "name")
		parameters := parameter.FindAllString(name, -1)
		if len(parameters) == 0 {
			p.find(s.Origin, way("spec", "template", "metadata", "name"), "the ApplicationSet %s gives all its Applications the name %q", p.key(s.Origin).Name, name)
			continue
		}
		if onlyLastPart(parameters) && p.severalPlaces(s) {
			p.find(s.Origin, way("spec", "template", "metadata", "name"), "the ApplicationSet %s names Applications by the last part of their path alone, and its generators find folders at several places", p.key(s.Origin).Name)
		}
	}
}

// onlyLastPart says whether all parameters are the last part of a path.
func onlyLastPart(parameters []string) bool {
	for _, text := range parameters {
		if !strings.Contains(text, "path.basename") {
			return false
		}
	}
	return true
}

// severalPlaces says whether the folders that a set's generators find may have the same last part.
func (p *pass) severalPlaces(s *inventory.Set) bool {
	patterns := 0
	for _, g := range generators(s, "git") {
		for _, field := range []string{"directories", "files"} {
			for _, item := range list(g, field) {
				if get(item, "exclude") == true {
					continue
				}
				patterns++
				folder := text(item, "path")
				if field == "files" {
					folder = parentOf(folder)
				}
				if strings.ContainsAny(parentOf(folder), "*?[") || strings.Contains(folder, "**") {
					return true
				}
			}
		}
	}
	return patterns > 1
}

// optionsOf returns the sync options of a template or an Application, by the way to its specification.
func optionsOf(spec any) argo.Options {
	var texts []string
	for _, item := range list(spec, "syncPolicy", "syncOptions") {
		texts = append(texts, fmt.Sprint(item))
	}
	return argo.OptionsOf(texts)
}
