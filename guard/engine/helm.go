package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/ignore"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/releaseutil"
	"helm.sh/helm/v3/pkg/strvals"
	"sigs.k8s.io/yaml"
)

// renderHelm does what `helm template --include-crds` does.
func renderHelm(r *repository, s *Spec) ([]Document, error) {
	h := &helm{r: r, path: s.Path, o: &s.Helm}
	values, err := h.values()
	if err != nil {
		return nil, err
	}
	c, err := h.load(s.Path)
	if err != nil {
		return nil, err
	}
	if err := h.dependencies(c); err != nil {
		return nil, err
	}
	files, err := h.render(c, values)
	if err != nil {
		return nil, err
	}
	for name := range files {
		if strings.HasSuffix(name, "NOTES.txt") {
			delete(files, name)
		}
	}
	hooks, manifests, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		return nil, h.failed(c, err)
	}
	return h.documents(c, manifests, hooks), nil
}

// helm is a chart that is rendered.
type helm struct {
	r       *repository
	path    string
	o       *HelmOptions
	aliases map[string]string // of dependencies, to the names of their charts
}

// load loads the chart in a folder.
func (h *helm) load(folder string) (*chart.Chart, error) {
	about := path.Join(folder, "Chart.yaml")
	if _, is := h.r.read(about); is != file {
		return nil, refuse(is, about)
	}
	rules := ignore.Empty()
	if data, is := h.r.read(path.Join(folder, ignore.HelmIgnore)); is == file {
		var err error
		if rules, err = ignore.Parse(bytes.NewReader(data)); err != nil {
			return nil, &Error{Path: path.Join(folder, ignore.HelmIgnore), Message: err.Error()}
		}
	}
	rules.AddDefaults()
	files, err := h.files(folder, "", rules)
	if err != nil {
		return nil, err
	}
	c, err := loader.LoadFiles(files)
	if err != nil {
		return nil, &Error{Path: about, Message: err.Error()}
	}
	return c, nil
}

var mark = []byte("\xef\xbb\xbf") // that a file may begin with

// files reads the files below a folder of a chart.
func (h *helm) files(root, below string, rules *ignore.Rules) (all []*loader.BufferedFile, err error) {
	entries, is := h.r.list(path.Join(root, below))
	if is == behind {
		return nil, refuse(is, path.Join(root, below))
	}
	for _, e := range entries {
		name := path.Join(below, e.Name)
		if rules.Ignore(name, info{e}) {
			continue
		}
		if e.Folder {
			more, err := h.files(root, name, rules)
			if err != nil {
				return nil, err
			}
			all = append(all, more...)
			continue
		}
		data, is := h.r.read(path.Join(root, name))
		if is != file {
			return nil, refuse(is, path.Join(root, name))
		}
		if int64(len(data)) > loader.MaxDecompressedFileSize {
			return nil, &Error{Path: path.Join(root, name),
				Message: fmt.Sprintf("it has %d bytes, and Helm takes %d: name it in .helmignore", len(data), loader.MaxDecompressedFileSize)}
		}
		all = append(all, &loader.BufferedFile{Name: name, Data: bytes.TrimPrefix(data, mark)})
	}
	return all, nil
}

// info is an entry as a fs.FileInfo.
type info struct{ of entry }

func (i info) Name() string     { return i.of.Name }
func (info) Size() int64        { return 0 }
func (info) ModTime() time.Time { return time.Time{} }
func (info) Sys() any           { return nil }
func (i info) IsDir() bool      { return i.of.Folder }
func (i info) Mode() fs.FileMode {
	if i.of.Folder {
		return fs.ModeDir | 0o755
	}
	return 0o644
}

// dependencies adds charts that `helm dependency build` would: those of this repository. What it would fetch is refused.
func (h *helm) dependencies(c *chart.Chart) error {
	if c.Metadata.Type != "" && c.Metadata.Type != "application" {
		return &Error{Path: path.Join(h.path, "Chart.yaml"), Message: fmt.Sprintf("a chart of the type %s renders nothing: read one that uses it", c.Metadata.Type)}
	}
	h.aliases = make(map[string]string)
	for _, d := range c.Metadata.Dependencies {
		if d.Alias != "" {
			h.aliases[d.Alias] = d.Name // Helm forgets it
		}
		if slices.ContainsFunc(c.Dependencies(), func(there *chart.Chart) bool { return there.Name() == d.Name }) {
			continue
		}
		local, ok := strings.CutPrefix(d.Repository, "file://")
		if !ok {
			return &Error{Fault: OfReach, Path: path.Join(h.path, "Chart.yaml"), Message: fmt.Sprintf("the dependency %s is not in charts/, and "+
				"is fetched from %s: run `helm dependency build` and commit charts/ to have it analysed", d.Name, d.Repository)}
		}
		folder := path.Join(h.path, local)
		if path.IsAbs(local) {
			return refuse(outside, local)
		}
		dependency, err := h.load(folder)
		if err != nil {
			return err
		}
		if dependency.Name() != d.Name || !chartutil.IsCompatibleRange(d.Version, dependency.Metadata.Version) {
			return &Error{Path: path.Join(h.path, "Chart.yaml"), Message: fmt.Sprintf("the dependency %s %s is not what %s has: %s %s",
				d.Name, d.Version, folder, dependency.Name(), dependency.Metadata.Version)}
		}
		c.AddDependency(dependency)
	}
	return nil
}

// values merges what the chart is given beside its own values.
func (h *helm) values() (map[string]any, error) {
	values := map[string]any{}
	merge := func(path string, text []byte) error {
		var more map[string]any
		if err := yaml.Unmarshal(text, &more); err != nil {
			return &Error{Path: path, Line: lineOf(err), Message: fmt.Sprintf("it has no values: %v", err)}
		}
		values = merged(values, more)
		return nil
	}
	for _, name := range h.o.ValueFiles {
		data, is := h.r.read(name)
		switch {
		case is == missing && h.o.IgnoreMissing:
			continue
		case is == missing:
			return nil, &Error{Path: name, Message: "there is no such value file: add it, take it out of helm.valueFiles, or set helm.ignoreMissingValueFiles"}
		case is != file:
			return nil, refuse(is, name)
		}
		if err := merge(name, data); err != nil {
			return nil, err
		}
	}
	if err := merge("the values of the source", []byte(h.o.Values)); err != nil {
		return nil, err
	}
	return values, h.parameters(values)
}

// parameters sets single values: first those of any type, then texts, then files.
func (h *helm) parameters(values map[string]any) error {
	for _, texts := range []bool{false, true} {
		parse := strvals.ParseInto
		if texts {
			parse = strvals.ParseIntoString
		}
		for _, p := range h.o.Parameters {
			if p.Text != texts {
				continue
			}
			if err := parse(p.Name+"="+p.Value, values); err != nil {
				return &Error{Path: h.path, Message: fmt.Sprintf("the parameter %s cannot be set to %q: %v", p.Name, p.Value, err)}
			}
		}
	}
	for _, p := range h.o.FileParameters {
		var refused error
		err := strvals.ParseIntoFile(p.Name+"="+strings.ReplaceAll(p.Value, ",", `\,`), values, func(name []rune) (any, error) {
			data, is := h.r.read(string(name))
			if is != file {
				refused = refuse(is, string(name))
			}
			return string(data), refused
		})
		if refused != nil {
			return refused
		}
		if err != nil {
			return &Error{Path: h.path, Message: fmt.Sprintf("the parameter %s cannot be set to the file %s: %v", p.Name, p.Value, err)}
		}
	}
	return nil
}

// merged returns what two mappings say, the second one over the first.
func merged(a, b map[string]any) map[string]any {
	both := make(map[string]any, len(a))
	for key, value := range a {
		both[key] = value
	}
	for key, value := range b {
		over, isMap := value.(map[string]any)
		if under, both2 := both[key].(map[string]any); isMap && both2 {
			value = merged(under, over)
		}
		both[key] = value
	}
	return both
}

// render renders the templates of a chart and of its dependencies.
func (h *helm) render(c *chart.Chart, values map[string]any) (map[string]string, error) {
	fail := func(err error) (map[string]string, error) { return nil, h.failed(c, err) }
	if err := chartutil.ValidateReleaseName(h.o.Release); err != nil {
		return nil, &Error{Path: h.path, Message: fmt.Sprintf("the release name %q: %v (set helm.releaseName)", h.o.Release, err)}
	}
	if err := chartutil.ProcessDependenciesWithMerge(c, values); err != nil {
		return fail(err)
	}
	capabilities := chartutil.DefaultCapabilities.Copy()
	version := h.o.KubeVersion
	if version == "" {
		version = DefaultKubeVersion
	}
	kube, err := chartutil.ParseKubeVersion(version)
	if err != nil {
		return nil, &Error{Path: h.path, Message: fmt.Sprintf("the version %q of Kubernetes is none: %v", version, err)}
	}
	capabilities.KubeVersion = *kube
	capabilities.APIVersions = append(capabilities.APIVersions, h.o.APIVersions...)
	release := chartutil.ReleaseOptions{Name: h.o.Release, Namespace: h.o.Namespace, Revision: 1, IsInstall: true}
	if release.Namespace == "" {
		release.Namespace = "default"
	}
	all, err := chartutil.ToRenderValuesWithSchemaValidation(c, values, release, capabilities, true)
	if err != nil {
		return fail(err)
	}
	if given, ok := all["Values"].(chartutil.Values); ok && !h.o.SkipSchemaValidation {
		if err := validate(c, given); err != nil {
			return fail(err)
		}
	}
	if wants := c.Metadata.KubeVersion; wants != "" && !chartutil.IsCompatibleRange(wants, kube.Version) {
		return fail(fmt.Errorf("the chart wants Kubernetes %s, and %s is what it is told", wants, kube.Version))
	}
	files, err := engine.Engine{}.Render(c, all)
	if err != nil {
		return fail(err)
	}
	return files, nil
}

// documents are first the definitions of kinds, then manifests, then hooks.
func (h *helm) documents(c *chart.Chart, manifests []releaseutil.Manifest, hooks []*release.Hook) (documents []Document) {
	add := func(name, text string) {
		if strings.TrimSpace(text) != "" {
			// Helm ends each with a line: a text that stands last in one has it too.
			documents = append(documents, Document{Data: []byte(text + "\n"), Origin: h.origin(c, name), Line: 1})
		}
	}
	if !h.o.SkipCRDs {
		for _, crd := range c.CRDObjects() {
			add(crd.Filename, string(crd.File.Data))
		}
	}
	for _, m := range manifests {
		add(m.Name, m.Content)
	}
	for _, hook := range hooks {
		if h.o.SkipTests && slices.Contains(hook.Events, release.HookTest) {
			continue
		}
		add(hook.Path, hook.Manifest)
	}
	return documents
}

// origin returns the path of a template, whose name begins with that of the chart. Of one in an archive it is the archive.
func (h *helm) origin(c *chart.Chart, name string) string {
	rest, ok := strings.CutPrefix(name, c.Name()+"/")
	if !ok {
		return path.Join(h.path, "Chart.yaml")
	}
	if sub, below, ok := strings.Cut(strings.TrimPrefix(rest, "charts/"), "/"); ok && h.aliases[sub] != "" && strings.HasPrefix(rest, "charts/") {
		rest = path.Join("charts", h.aliases[sub], below)
	}
	if at := path.Join(h.path, rest); h.r.stat(at) == file {
		return at
	}
	if sub, ok := strings.CutPrefix(rest, "charts/"); ok {
		sub, _, _ = strings.Cut(sub, "/")
		entries, _ := h.r.list(path.Join(h.path, "charts"))
		for _, e := range entries {
			if strings.HasPrefix(e.Name, sub+"-") && strings.HasSuffix(e.Name, ".tgz") {
				return path.Join(h.path, "charts", e.Name)
			}
		}
	}
	return path.Join(h.path, "Chart.yaml")
}

// templatePlace finds a template and its place in Helm's messages.
var templatePlace = regexp.MustCompile(`([^\s:"()]+/templates/[^\s:"()]+?\.[A-Za-z]+)(?::(\d+))?(?::(\d+))?`)

// failed says where a chart fails to render.
func (h *helm) failed(c *chart.Chart, err error) error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	failed := &Error{Path: path.Join(h.path, "Chart.yaml"), Message: err.Error()}
	if m := templatePlace.FindStringSubmatch(failed.Message); m != nil {
		failed.Path = h.origin(c, m[1])
		failed.Line, _ = strconv.Atoi(m[2]) // 0 where there is none
		failed.Column, _ = strconv.Atoi(m[3])
	}
	return failed
}

var yamlLine = regexp.MustCompile(`\bline (\d+)`)

// lineOf returns the line that a message of the YAML parser names, and 0 where there is none.
func lineOf(err error) int {
	m := yamlLine.FindStringSubmatch(err.Error())
	if m == nil {
		return 0
	}
	line, _ := strconv.Atoi(m[1]) // it has digits
	return line
}
