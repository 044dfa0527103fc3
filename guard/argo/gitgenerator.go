package argo

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// git returns the folders or the files of the repository that match.
func (g *generation) git(gen *GitGenerator, outer params) ([]params, error) {
	if commitName.MatchString(gen.Revision) {
		return nil, &UnanalysedError{"the git generator reads the commit " + gen.Revision}
	}
	var all []params
	if len(gen.Directories) > 0 {
		for _, folder := range folders(g.tree.Files()) {
			if listed, err := g.selected(gen, folder, outer); err != nil {
				return nil, err
			} else if listed {
				all = append(all, g.pathParams(gen.PathParamPrefix, folder, ""))
			}
		}
	}
	if len(gen.Files) > 0 {
		more, err := g.files(gen, outer)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	for _, p := range all {
		if err := g.values(p, gen.Values, outer); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// folders returns all folders of a tree in order, without hidden ones.
func folders(files []tree.File) []string {
	seen := make(map[string]bool)
	for _, f := range files {
		for folder := path.Dir(f.Path); folder != "." && !seen[folder]; folder = path.Dir(folder) {
			seen[folder] = true
		}
	}
	maps.DeleteFunc(seen, func(folder string, _ bool) bool {
		return strings.HasPrefix(folder, ".") || strings.Contains(folder, "/.")
	})
	return slices.Sorted(maps.Keys(seen))
}

// selected says whether a folder matches a pattern, and none that excludes it.
func (g *generation) selected(gen *GitGenerator, folder string, outer params) (bool, error) {
	included := false
	for _, d := range gen.Directories {
		pattern, err := g.text(d.Path, outer)
		if err != nil {
			return false, err
		}
		match, err := path.Match(pattern, folder)
		if err != nil {
			return false, fmt.Errorf("the pattern %q: %w", pattern, err)
		}
		if match && d.Exclude {
			return false, nil
		}
		included = included || match
	}
	return included, nil
}

// pathParams are the params of a folder, and of a file in it.
func (g *generation) pathParams(prefix, folder, file string) params {
	base := path.Base(folder)
	if g.set.Spec.GoTemplate {
		at := map[string]any{"path": folder, "basename": base, "basenameNormalized": normalise(base), "segments": anys(strings.Split(folder, "/"))}
		if file != "" {
			at["filename"], at["filenameNormalized"] = file, normalise(file)
		}
		if prefix != "" {
			return params{prefix: map[string]any{"path": at}}
		}
		return params{"path": at}
	}
	way := join(prefix, "path")
	p := params{way: folder, way + ".basename": base, way + ".basenameNormalized": normalise(base)}
	for i, segment := range strings.Split(folder, "/") {
		p[fmt.Sprintf("%s[%d]", way, i)] = segment
	}
	if file != "" {
		p[way+".filename"], p[way+".filenameNormalized"] = file, normalise(file)
	}
	return p
}

func anys(texts []string) []any {
	list := make([]any, len(texts))
	for i, text := range texts {
		list[i] = text
	}
	return list
}

// files returns what the files that match have, each an object or a list of them.
func (g *generation) files(gen *GitGenerator, outer params) ([]params, error) {
	var in, out []*regexp.Regexp
	for _, f := range gen.Files {
		pattern, err := g.text(f.Path, outer)
		if err != nil {
			return nil, err
		}
		to := &in
		if f.Exclude {
			to = &out
		}
		*to = append(*to, pathspec(pattern))
	}
	matches := func(list []*regexp.Regexp, p string) bool {
		return slices.ContainsFunc(list, func(r *regexp.Regexp) bool { return r.MatchString(p) })
	}
	var all []params
	for _, f := range g.tree.Files() {
		if !matches(in, f.Path) || matches(out, f.Path) {
			continue
		}
		more, err := g.file(gen, f)
		if err != nil {
			return nil, err
		}
		if all = append(all, more...); len(all) > MaxGenerated {
			return nil, ErrTooMany
		}
	}
	return all, nil
}

// pathspec is a pattern as git's pathspecs read it: a star crosses slashes.
func pathspec(pattern string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString("^")
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '*':
			b.WriteString(".*")
		case '?':
			b.WriteString(".")
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	return regexp.MustCompile(b.String() + "$")
}

func (g *generation) file(gen *GitGenerator, f tree.File) ([]params, error) {
	data, err := g.tree.Read(f)
	if err != nil {
		return nil, err
	}
	var content any
	if err := yaml.Unmarshal(data, &content); err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	items, isList := content.([]any)
	if !isList {
		items = []any{content}
	}
	var all []params
	for _, item := range items {
		m, ok := item.(map[string]any)
		if !ok && item != nil {
			return nil, fmt.Errorf("%s has no mapping, nor a list of them", f.Path)
		}
		p := g.of(m)
		if p == nil {
			p = make(params)
		}
		maps.Copy(p, g.pathParams(gen.PathParamPrefix, path.Dir(f.Path), path.Base(f.Path)))
		all = append(all, p)
	}
	return all, nil
}
