package render

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/engine"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// Entry is one of guard.yaml's render list: a source and its output. Where paths have parts in brackets, it stands for every path of the
// tree that Each (or Source, where there is no Each) matches, with the parts filled in everywhere.
type Entry struct {
	Source string `yaml:"source"`
	Output string `yaml:"output"`
	// Each is a pattern of files or folders that say for which parts there is something to render: "clusters/(cluster)/(app).yaml".
	Each    string   `yaml:"each"`
	Recurse bool     `yaml:"recurse"`
	Keep    []string `yaml:"keep"`

	JPath   []string          `yaml:"jpath"`
	ExtStr  map[string]string `yaml:"ext-str"`
	ExtCode map[string]string `yaml:"ext-code"`
	TLAStr  map[string]string `yaml:"tla-str"`
	TLACode map[string]string `yaml:"tla-code"`

	Values      []string `yaml:"values"`
	Set         []string `yaml:"set"`
	SetString   []string `yaml:"set-string"`
	Release     string   `yaml:"release"`
	Namespace   string   `yaml:"namespace"`
	IncludeCRDs bool     `yaml:"include-crds"`
	KubeVersion string   `yaml:"kube-version"`
	APIVersions []string `yaml:"api-versions"`
}

// Fields are the names that an entry has in guard.yaml.
func Fields() []string {
	return strings.Fields("source output each recurse keep jpath ext-str ext-code tla-str tla-code values set set-string " +
		"release namespace include-crds kube-version api-versions")
}

// pattern is what says for which parts an entry stands.
func (e *Entry) pattern() string {
	if e.Each != "" {
		return e.Each
	}
	return e.Source
}

// Check says whether an entry can be used, before there is a tree.
func (e *Entry) Check() error {
	switch {
	case e.Source == "":
		return errors.New("source is missing: what is rendered")
	case e.Output == "":
		return fmt.Errorf("%s: output is missing: the folder that is written to", e.Source)
	}
	p, err := tree.ParsePattern(tree.Clean(e.pattern()), false)
	if err != nil {
		return err
	}
	for _, text := range []string{e.Source, e.Output} {
		if _, err := tree.ParsePattern(text, false); err != nil {
			return err
		}
		for _, name := range tree.PartsOf(text) {
			if !slices.Contains(p.Parts(), name) {
				return fmt.Errorf("%q has the part (%s), which %q does not have", text, name, e.pattern())
			}
		}
	}
	for _, name := range p.Parts() {
		if !slices.Contains(tree.PartsOf(e.Output), name) {
			return fmt.Errorf("%q has the part (%s), which the output %q does not have: several would be written to one folder", e.pattern(), name, e.Output)
		}
	}
	_, err = Parameters(e.Set, e.SetString)
	return err
}

// texts are all that parts are filled into, but for the values of variables.
func (e *Entry) texts() []*string {
	list := []*string{&e.Source, &e.Output, &e.Release, &e.Namespace}
	for _, of := range [][]string{e.JPath, e.Values, e.Set, e.SetString} {
		for n := range of {
			list = append(list, &of[n])
		}
	}
	return list
}

// fill returns the entry for some parts. Brackets of other names are left: code has brackets too.
func (e *Entry) fill(parts map[string]string) *Entry {
	var pairs []string
	for name, value := range parts {
		pairs = append(pairs, "("+name+")", value)
	}
	put := strings.NewReplacer(pairs...)
	filled := *e
	for _, list := range []*[]string{&filled.JPath, &filled.Values, &filled.Set, &filled.SetString} {
		*list = slices.Clone(*list)
	}
	for _, text := range filled.texts() {
		*text = put.Replace(*text)
	}
	for _, of := range []*map[string]string{&filled.ExtStr, &filled.ExtCode, &filled.TLAStr, &filled.TLACode} {
		*of = maps.Clone(*of)
		for name, value := range *of {
			(*of)[name] = put.Replace(value)
		}
	}
	return &filled
}

// source returns what an entry without parts renders.
func (e *Entry) source() (Source, error) {
	s := Source{Path: e.Source, Recurse: e.Recurse, IncludeCRDs: e.IncludeCRDs}
	s.Jsonnet.Libraries = e.JPath
	s.Jsonnet.ExtVars = slices.Concat(variables(e.ExtStr, false), variables(e.ExtCode, true))
	s.Jsonnet.TLAs = slices.Concat(variables(e.TLAStr, false), variables(e.TLACode, true))
	s.Helm = engine.HelmOptions{Release: e.Release, Namespace: e.Namespace, ValueFiles: e.Values, KubeVersion: e.KubeVersion, APIVersions: e.APIVersions}
	var err error
	s.Helm.Parameters, err = Parameters(e.Set, e.SetString)
	return s, err
}

func variables(of map[string]string, code bool) []engine.Variable {
	var list []engine.Variable
	for _, name := range slices.Sorted(maps.Keys(of)) {
		list = append(list, engine.Variable{Name: name, Value: of[name], Code: code})
	}
	return list
}

// Parameters reads --set and --set-string: NAME=VALUE, and several of them with commas between, as Helm does.
func Parameters(set, setString []string) ([]engine.Parameter, error) {
	var list []engine.Parameter
	for n, of := range [][]string{set, setString} {
		for _, text := range of {
			for _, one := range splitSet(text) {
				name, value, found := strings.Cut(one, "=")
				if !found || name == "" {
					return nil, fmt.Errorf("--set: %q is no NAME=VALUE", one)
				}
				list = append(list, engine.Parameter{Name: name, Value: value, Text: n == 1})
			}
		}
	}
	return list, nil
}

// splitSet divides at commas that are neither in braces nor escaped.
func splitSet(text string) []string {
	var list []string
	from, depth := 0, 0
	for n := 0; n < len(text); n++ {
		switch text[n] {
		case '\\':
			n++
		case '{':
			depth++
		case '}':
			depth--
		case ',':
			if depth <= 0 {
				list = append(list, text[from:n])
				from = n + 1
			}
		}
	}
	return append(list, text[from:])
}

// Outputs returns the outputs of entries in a tree, each folder once, in the order of the folders.
func Outputs(entries []Entry, files []tree.File) ([]*Output, error) {
	byFolder := make(map[string]*Output)
	for n := range entries {
		e := &entries[n]
		filled, err := e.each(files)
		if err != nil {
			return nil, fmt.Errorf("render[%d]: %w", n, err)
		}
		for _, one := range filled {
			folder := tree.Clean(one.Output)
			s, err := one.source()
			if err != nil {
				return nil, fmt.Errorf("render[%d]: %w", n, err)
			}
			o := byFolder[folder]
			if o == nil {
				o = &Output{Folder: folder}
				byFolder[folder] = o
			}
			o.Sources = append(o.Sources, s)
			o.Keep = append(o.Keep, one.Keep...)
		}
	}
	var list []*Output
	for _, folder := range slices.SortedFunc(maps.Keys(byFolder), tree.Compare) {
		list = append(list, byFolder[folder])
	}
	return list, nil
}

// each returns the entry for everything that it stands for.
func (e *Entry) each(files []tree.File) ([]*Entry, error) {
	if err := e.Check(); err != nil {
		return nil, err
	}
	p, err := tree.ParsePattern(tree.Clean(e.pattern()), false)
	if err != nil {
		return nil, err
	}
	var filled []*Entry
	for _, name := range paths(files) {
		if parts := p.Of(name); parts != nil {
			filled = append(filled, e.fill(parts))
		}
	}
	if len(filled) == 0 {
		return nil, fmt.Errorf("no file and no folder is %s", e.pattern())
	}
	return filled, nil
}

// paths returns the paths of files and of their folders.
func paths(files []tree.File) []string {
	seen := make(map[string]bool)
	for _, f := range files {
		for at := f.Path; at != "." && !seen[at]; at = path.Dir(at) {
			seen[at] = true
		}
	}
	return slices.SortedFunc(maps.Keys(seen), tree.Compare)
}
