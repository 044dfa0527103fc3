package argo

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"sigs.k8s.io/yaml"

	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// JsonnetOptions are those of a directory source's jsonnet files.
type JsonnetOptions struct {
	ExtVars []JsonnetVariable `json:"extVars"`
	TLAs    []JsonnetVariable `json:"tlas"`
	Libs    []string          `json:"libs"`
}

// JsonnetVariable is a text for jsonnet, or code.
type JsonnetVariable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Code  bool   `json:"code"`
}

// HelmOptions are a source's for Helm.
type HelmOptions struct {
	ReleaseName             string          `json:"releaseName"`
	Namespace               string          `json:"namespace"`
	Version                 string          `json:"version"`
	ValueFiles              []string        `json:"valueFiles"`
	IgnoreMissingValueFiles bool            `json:"ignoreMissingValueFiles"`
	Values                  string          `json:"values"`
	ValuesObject            json.RawMessage `json:"valuesObject"`
	Parameters              []HelmParameter `json:"parameters"`
	FileParameters          []HelmParameter `json:"fileParameters"`
	KubeVersion             string          `json:"kubeVersion"`
	APIVersions             []string        `json:"apiVersions"`
	SkipCrds                bool            `json:"skipCrds"`
	SkipTests               bool            `json:"skipTests"`
	SkipSchemaValidation    bool            `json:"skipSchemaValidation"`
}

// HelmParameter is a value for Helm, or the path of the file that has it.
type HelmParameter struct {
	Name        string `json:"name"`
	Value       string `json:"value"`
	Path        string `json:"path"`
	ForceString bool   `json:"forceString"`
}

// KustomizeOptions are a source's for Kustomize.
type KustomizeOptions struct {
	NamePrefix                string            `json:"namePrefix"`
	NameSuffix                string            `json:"nameSuffix"`
	Namespace                 string            `json:"namespace"`
	Images                    []string          `json:"images"`
	Replicas                  []Replicas        `json:"replicas"`
	CommonLabels              map[string]string `json:"commonLabels"`
	ForceCommonLabels         bool              `json:"forceCommonLabels"`
	LabelWithoutSelector      bool              `json:"labelWithoutSelector"`
	LabelIncludeTemplates     bool              `json:"labelIncludeTemplates"`
	CommonAnnotations         map[string]string `json:"commonAnnotations"`
	ForceCommonAnnotations    bool              `json:"forceCommonAnnotations"`
	CommonAnnotationsEnvsubst bool              `json:"commonAnnotationsEnvsubst"`
	Patches                   []any             `json:"patches"`
	Components                []string          `json:"components"`
	IgnoreMissingComponents   bool              `json:"ignoreMissingComponents"`
}

// Replicas is how many of a workload are wanted: a number, or a text of one.
type Replicas struct {
	Name  string `json:"name"`
	Count any    `json:"count"`
}

func given(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// decodeOptions reads a source's options, where there are any.
func decodeOptions(name string, raw json.RawMessage, into any) error {
	if !given(raw) {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("the source's %s: %w", name, err)
	}
	return nil
}

// What Argo CD looks at to say that a source's options for a tool say something (IsZero of its types). Others count only beside one of these.
var (
	helmFields = []string{"version", "releaseName", "valueFiles", "parameters", "fileParameters", "values", "passCredentials",
		"ignoreMissingValueFiles", "skipCrds", "skipTests", "skipSchemaValidation", "kubeVersion", "apiVersions", "namespace"}
	kustomizeFields = []string{"namePrefix", "nameSuffix", "version", "namespace", "images", "replicas", "commonLabels", "commonAnnotations",
		"patches", "components", "kubeVersion", "apiVersions", "ignoreMissingComponents"}
	jsonnetFields = []string{"extVars", "tlas", "libs"}
)

// normal returns a source without options that say nothing: Argo CD takes them away where an Application has one source, and detects the
// tool then.
func (s Source) normal() Source {
	if !filled(s.Kustomize, kustomizeFields) {
		s.Kustomize = nil
	}
	if !filled(s.Helm, helmFields) && !hasValues(s.Helm) {
		s.Helm = nil
	}
	if d := s.Directory; d != nil && !d.Recurse && d.Include == "" && d.Exclude == "" && !filled(d.Jsonnet, jsonnetFields) {
		s.Directory = nil
	}
	return s
}

// hasValues says whether options of Helm have a valuesObject. It counts whatever its values are: they may switch something off.
func hasValues(raw json.RawMessage) bool {
	var o HelmOptions
	return given(raw) && json.Unmarshal(raw, &o) == nil && given(o.ValuesObject)
}

// filled says whether one of some fields of options is not empty. Options that cannot be read are, for whoever reads them says why.
func filled(raw json.RawMessage, fields []string) bool {
	if !given(raw) {
		return false
	}
	var options map[string]any
	if json.Unmarshal(raw, &options) != nil {
		return true
	}
	return slices.ContainsFunc(fields, func(field string) bool { return !empty(options[field]) })
}

// empty says whether a field of options is not there, or has nothing in it. What is in a list or a mapping counts, be it empty itself.
func empty(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	case string:
		return v == ""
	case bool:
		return !v
	}
	return v == nil
}

// ErrTools is a source that says more than one tool.
var ErrTools = errors.New("the source names several tools, of which Argo CD takes one: ")

// Explicit returns the tool that a source names, whatever its files are, and an empty one where it names none.
func (s *Source) Explicit() (Tool, error) {
	var named []string
	for _, t := range []struct {
		tool  Tool
		given bool
	}{{KustomizeTool, given(s.Kustomize)}, {HelmTool, given(s.Helm)}, {DirectoryTool, s.Directory != nil}, {PluginTool, given(s.Plugin)}} {
		if t.given {
			named = append(named, string(t.tool))
		}
	}
	switch len(named) {
	case 0:
		return "", nil
	case 1:
		return Tool(named[0]), nil
	}
	return "", fmt.Errorf("%w%s", ErrTools, strings.Join(named, ", "))
}

// Overrides are the files in a source's folder that Argo CD merges over it: one for all Applications, and one for each by its name.
func Overrides(folder, application string) []string {
	folder = tree.Clean(folder)
	return []string{tree.Clean(folder + "/.argocd-source.yaml"), tree.Clean(folder + "/.argocd-source-" + application + ".yaml")}
}

// Overridden returns a source with what the files of its folder say.
func (s Source) Overridden(t tree.Tree, application string) (Source, error) {
	for _, path := range Overrides(s.Path, application) {
		f, ok := tree.Find(t.Files(), path)
		if !ok {
			continue
		}
		text, err := t.Read(f)
		if err == nil {
			s, err = s.merge(text)
		}
		if err != nil {
			return s, fmt.Errorf("%s: %w", path, err)
		}
	}
	return s, nil
}

// merge merges a file over a source. It can set, and not take away; where the source is from stays.
func (s Source) merge(text []byte) (Source, error) {
	var patch map[string]any
	if err := yaml.Unmarshal(text, &patch); err != nil {
		return s, err
	}
	over, err := json.Marshal(withoutNulls(patch))
	if err != nil {
		return s, err
	}
	own, err := json.Marshal(s)
	if err != nil {
		return s, err
	}
	both, err := jsonpatch.MergePatch(own, over)
	if err != nil {
		return s, err
	}
	var merged Source
	if err := json.Unmarshal(both, &merged); err != nil {
		return s, err
	}
	merged.RepoURL, merged.Path, merged.TargetRevision, merged.Chart = s.RepoURL, s.Path, s.TargetRevision, s.Chart
	return merged, nil
}

func withoutNulls(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	for key, value := range m {
		if value == nil {
			delete(m, key)
		} else {
			m[key] = withoutNulls(value)
		}
	}
	return m
}
