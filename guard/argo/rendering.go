package argo

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/holdfast-telemetry/holdfast/guard/engine"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// Rendering is one source of an Application that a tool renders.
type Rendering struct {
	Application *Application
	Source      *Source // with what the files of its folder override
	// KubeVersion and APIVersions are the cluster's, where they are known. A source may say others.
	KubeVersion string
	APIVersions []string
}

// revision stands for the commit that Argo CD would render: it is another one at each change, whatever that changes.
const revision = "0000000000000000000000000000000000000000"

// substitute fills in what Argo CD calls the build environment: $NAME and ${NAME}. What it does not know becomes empty, and $$ a dollar.
func (r *Rendering) substitute(text string) string {
	return os.Expand(text, func(name string) string {
		switch name {
		case "$":
			return "$"
		case "ARGOCD_APP_NAME":
			return r.Application.Metadata.Name
		case "ARGOCD_APP_NAMESPACE":
			return r.Application.Spec.Destination.Namespace
		case "ARGOCD_APP_PROJECT_NAME":
			if r.Application.Spec.Project == "" {
				return "default"
			}
			return r.Application.Spec.Project
		case "ARGOCD_APP_REVISION":
			return revision
		case "ARGOCD_APP_REVISION_SHORT":
			return revision[:7]
		case "ARGOCD_APP_REVISION_SHORT_8":
			return revision[:8]
		case "ARGOCD_APP_SOURCE_REPO_URL":
			return r.Source.RepoURL
		case "ARGOCD_APP_SOURCE_PATH":
			return r.Source.Path
		case "ARGOCD_APP_SOURCE_TARGET_REVISION":
			return r.Source.TargetRevision
		}
		return ""
	})
}

// Jsonnet returns how one jsonnet file of a directory source is evaluated.
func (r *Rendering) Jsonnet(file string) (*engine.Spec, error) {
	s := &engine.Spec{Tool: engine.Jsonnet, Path: tree.Clean(r.Source.Path), Jsonnet: engine.JsonnetOptions{File: file}}
	if r.Source.Directory == nil {
		return s, nil
	}
	var o JsonnetOptions
	if err := decodeOptions("directory.jsonnet", r.Source.Directory.Jsonnet, &o); err != nil {
		return nil, err
	}
	for _, lib := range o.Libs {
		folder := path.Join(".", strings.TrimLeft(lib, "/")) // relative to the repository
		if folder == ".." || strings.HasPrefix(folder, "../") {
			return nil, fmt.Errorf("the source's directory.jsonnet.libs: %s is outside of the repository", lib)
		}
		s.Jsonnet.Libraries = append(s.Jsonnet.Libraries, tree.Clean(folder))
	}
	s.Jsonnet.ExtVars, s.Jsonnet.TLAs = r.variables(o.ExtVars), r.variables(o.TLAs)
	return s, nil
}

func (r *Rendering) variables(all []JsonnetVariable) (variables []engine.Variable) {
	for _, v := range all {
		variables = append(variables, engine.Variable{Name: v.Name, Value: r.substitute(v.Value), Code: v.Code})
	}
	return variables
}

// Kustomize returns how the folder of a source is built.
func (r *Rendering) Kustomize() (*engine.Spec, error) {
	var o KustomizeOptions
	if err := decodeOptions("kustomize", r.Source.Kustomize, &o); err != nil {
		return nil, err
	}
	k := engine.KustomizeOptions{
		NamePrefix: o.NamePrefix, NameSuffix: o.NameSuffix, Namespace: o.Namespace,
		ForceLabels: o.ForceCommonLabels, LabelsWithoutSelector: o.LabelWithoutSelector, LabelsInTemplates: o.LabelIncludeTemplates,
		ForceAnnotations: o.ForceCommonAnnotations, Annotations: o.CommonAnnotations,
		Patches: o.Patches, Components: o.Components, IgnoreMissingComponents: o.IgnoreMissingComponents, Labels: r.substituted(o.CommonLabels),
	}
	for _, image := range o.Images {
		k.Images = append(k.Images, r.substitute(image))
	}
	if o.CommonAnnotationsEnvsubst {
		k.Annotations = r.substituted(o.CommonAnnotations)
	}
	for _, replicas := range o.Replicas {
		count, err := strconv.ParseInt(fmt.Sprint(replicas.Count), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the source's kustomize.replicas: %v of %s is no number", replicas.Count, replicas.Name)
		}
		k.Replicas = append(k.Replicas, engine.Replicas{Name: replicas.Name, Count: count})
	}
	return &engine.Spec{Tool: engine.Kustomize, Path: tree.Clean(r.Source.Path), Kustomize: k}, nil
}

func (r *Rendering) substituted(m map[string]string) map[string]string {
	filled := maps.Clone(m)
	for key, value := range m {
		filled[key] = r.substitute(value)
	}
	return filled
}

// Helm returns how the chart in the folder of a source is rendered. An *UnanalysedError says that a value file is not in the tree;
// elsewhere says so of another source, and why.
func (r *Rendering) Helm(elsewhere func(*Source) string) (*engine.Spec, error) {
	var o HelmOptions
	if err := decodeOptions("helm", r.Source.Helm, &o); err != nil {
		return nil, err
	}
	if o.Version != "" && o.Version != "v3" {
		return nil, fmt.Errorf("the source's helm.version: %q is none that Argo CD has: leave it out", o.Version)
	}
	h := engine.HelmOptions{
		Release: first(o.ReleaseName, r.Application.Metadata.Name), Namespace: first(o.Namespace, r.Application.Spec.Destination.Namespace),
		Values: o.Values, IgnoreMissing: o.IgnoreMissingValueFiles, KubeVersion: first(o.KubeVersion, r.KubeVersion), APIVersions: o.APIVersions,
		SkipCRDs: o.SkipCrds, SkipTests: o.SkipTests, SkipSchemaValidation: o.SkipSchemaValidation,
	}
	if len(h.APIVersions) == 0 {
		h.APIVersions = r.APIVersions
	}
	if given(o.ValuesObject) {
		values, err := yaml.JSONToYAML(o.ValuesObject)
		if err != nil {
			return nil, fmt.Errorf("the source's helm.valuesObject: %w", err)
		}
		h.Values = string(values)
	}
	for _, name := range o.ValueFiles {
		file, err := r.valueFile(name, elsewhere)
		if err != nil {
			return nil, fmt.Errorf("the source's helm.valueFiles: %w", err)
		}
		h.ValueFiles = append(h.ValueFiles, file)
	}
	for _, p := range o.Parameters {
		h.Parameters = set(h.Parameters, engine.Parameter{Name: p.Name, Value: escaped(r.substitute(p.Value)), Text: p.ForceString})
	}
	for _, p := range o.FileParameters {
		file, err := r.valueFile(p.Path, elsewhere)
		if err != nil {
			return nil, fmt.Errorf("the source's helm.fileParameters: %w", err)
		}
		h.FileParameters = set(h.FileParameters, engine.Parameter{Name: p.Name, Value: file})
	}
	return &engine.Spec{Tool: engine.Helm, Path: tree.Clean(r.Source.Path), Helm: h}, nil
}

func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// set adds a parameter. One of the same name and type is replaced: Argo CD keeps them in a mapping.
func set(all []engine.Parameter, p engine.Parameter) []engine.Parameter {
	if n := slices.IndexFunc(all, func(q engine.Parameter) bool { return q.Name == p.Name && q.Text == p.Text }); n >= 0 {
		all[n] = p
		return all
	}
	return append(all, p)
}

// escaped has Helm take a comma as a comma, unless the value is a list in Helm's form.
func escaped(value string) string {
	if strings.HasPrefix(value, "{") && strings.HasSuffix(value, "}") {
		return value
	}
	var b strings.Builder
	var before rune
	for _, c := range value {
		if c == ',' && before != '\\' {
			b.WriteByte('\\')
		}
		b.WriteRune(c)
		before = c
	}
	return b.String()
}

// valueFile returns where in the tree a value file is: relative to the chart, from the top where it begins with a slash, and in another
// source of the Application where it begins with a dollar and its name.
func (r *Rendering) valueFile(name string, elsewhere func(*Source) string) (string, error) {
	folder := tree.Clean(r.Source.Path)
	if strings.HasPrefix(name, "$") && len(r.Application.Spec.Sources) > 0 {
		ref, rest, _ := strings.Cut(name, "/")
		other, err := r.referenced(ref)
		if err != nil {
			return "", err
		}
		if why := elsewhere(other); why != "" {
			return "", &UnanalysedError{fmt.Sprintf("the value file %s: %s", name, why)}
		}
		return within("", "/"+r.substitute(rest), name)
	}
	return within(folder, r.substitute(name), name)
}

// referenced returns the source that a reference like "$values" names.
func (r *Rendering) referenced(ref string) (*Source, error) {
	var names []string
	for n := range r.Application.Spec.Sources {
		s := &r.Application.Spec.Sources[n]
		switch {
		case s.Ref == "":
			continue
		case "$"+s.Ref != ref:
			names = append(names, "$"+s.Ref)
			continue
		case s.Chart != "":
			return nil, fmt.Errorf("%s is a chart, in which Argo CD takes no value files", ref)
		}
		return s, nil
	}
	return nil, fmt.Errorf("no source of the Application has the ref of %s (there are: %s)", ref, strings.Join(names, ", "))
}

func within(folder, file, name string) (string, error) {
	if u, err := url.Parse(file); err == nil && u.Scheme != "" {
		if u.Scheme == "https" || u.Scheme == "http" {
			return "", &UnanalysedError{fmt.Sprintf("the value file %s is fetched from the network", name)}
		}
		return "", fmt.Errorf("%s has the scheme %s, which Argo CD does not fetch", name, u.Scheme)
	}
	if strings.HasPrefix(file, "/") {
		folder = ""
	}
	joined := path.Join(".", folder, strings.TrimLeft(file, "/"))
	if joined == "." || joined == ".." || strings.HasPrefix(joined, "../") {
		return "", fmt.Errorf("%s is outside of the repository", name)
	}
	return joined, nil
}
