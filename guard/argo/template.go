package argo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	jsonpatch "github.com/evanphx/json-patch/v5"
	"sigs.k8s.io/yaml"
)

// params are what a generator gives to a template. Without Go templates they are flat: "path.basename".
type params map[string]any

// render fills a template's texts, the keys of mappings too.
func (g *generation) render(v any, p params) (any, error) {
	switch v := v.(type) {
	case string:
		return g.text(v, p)
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			rendered, err := g.render(item, p)
			if err != nil {
				return nil, err
			}
			list[i] = rendered
		}
		return list, nil
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, value := range v {
			k, err := g.text(key, p)
			if err != nil {
				return nil, err
			}
			if m[k], err = g.render(value, p); err != nil {
				return nil, err
			}
		}
		return m, nil
	}
	return v, nil
}

// MaxText bounds, in bytes, what one template text may become.
const MaxText = 1 << 20

func (g *generation) text(text string, p params) (string, error) {
	if !strings.Contains(text, "{{") {
		return text, nil
	}
	if !g.set.Spec.GoTemplate {
		return placeholder.ReplaceAllStringFunc(text, func(found string) string {
			if value, ok := p[strings.TrimSpace(found[2:len(found)-2])]; ok {
				return fmt.Sprint(value)
			}
			return found // as Argo CD leaves what it does not know
		}), nil
	}
	t, err := template.New("").Option(g.set.Spec.GoTemplateOptions...).Funcs(functions).Parse(text)
	if err != nil {
		return "", fmt.Errorf("the template %q: %w", text, err)
	}
	out := bounded{left: MaxText}
	if err := t.Execute(&out, map[string]any(p)); err != nil {
		return "", fmt.Errorf("the template %q: %w", text, err)
	}
	return out.String(), nil
}

var placeholder = regexp.MustCompile(`\{\{[^{}]*\}\}`)

// bounded is a buffer that refuses to grow beyond a size.
type bounded struct {
	bytes.Buffer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, fmt.Errorf("it becomes longer than %d bytes", MaxText)
	}
	return b.Buffer.Write(p)
}

// functions are those that Argo CD gives to templates: no environment, no files, no names from the network.
var functions = func() template.FuncMap {
	all := sprig.TxtFuncMap()
	for _, name := range []string{"env", "expandenv", "getHostByName"} {
		delete(all, name)
	}
	all["normalize"] = normalise
	all["slugify"] = func(args ...any) string { return normalise(fmt.Sprint(args[len(args)-1])) }
	all["toYaml"] = func(v any) (string, error) {
		text, err := yaml.Marshal(v)
		return strings.TrimSuffix(string(text), "\n"), err
	}
	all["fromYaml"] = func(text string) (m map[string]any, err error) { return m, yaml.Unmarshal([]byte(text), &m) }
	all["fromYamlArray"] = func(text string) (l []any, err error) { return l, yaml.Unmarshal([]byte(text), &l) }
	return all
}()

var (
	invalid = regexp.MustCompile(`[^-a-z0-9.]`)
	ends    = regexp.MustCompile(`^[-.]+|[-.]+$`)
)

// normalise makes a text fit for a name, as Argo CD's "basenameNormalized" does.
func normalise(text string) string {
	text = invalid.ReplaceAllString(strings.ToLower(text), "-")
	return ends.ReplaceAllString(text[:min(len(text), 253)], "")
}

// patch merges a set's templatePatch into an Application.
func (g *generation) patch(application []byte, p params) ([]byte, error) {
	text, err := g.text(g.set.Spec.TemplatePatch, p)
	if err != nil {
		return nil, err
	}
	patch, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("templatePatch: %w", err)
	}
	if !json.Valid(patch) || string(patch) == "null" {
		return application, nil
	}
	var body any
	if err := json.Unmarshal(patch, &body); err != nil {
		return nil, fmt.Errorf("templatePatch: %w", err)
	}
	if d := directive(body); d != "" {
		return nil, &UnanalysedError{"its templatePatch has the directive " + d}
	}
	merged, err := jsonpatch.MergePatch(application, patch)
	if err == nil {
		merged, err = keepFinalizers(application, merged)
	}
	if err != nil {
		return nil, fmt.Errorf("templatePatch: %w", err)
	}
	return merged, nil
}

// directive finds an instruction of strategic merge patches: "$patch", "$retainKeys" and the like.
func directive(v any) string {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if strings.HasPrefix(key, "$") {
				return key
			}
			if d := directive(v[key]); d != "" {
				return d
			}
		}
	case []any:
		for _, item := range v {
			if d := directive(item); d != "" {
				return d
			}
		}
	}
	return ""
}

// keepFinalizers gives a patched Application those that it had: a strategic merge adds to that list, and takes none away.
func keepFinalizers(before, merged []byte) ([]byte, error) {
	var was Application
	if err := json.Unmarshal(before, &was); err != nil || len(was.Metadata.Finalizers) == 0 {
		return merged, err
	}
	var body map[string]any
	if err := json.Unmarshal(merged, &body); err != nil {
		return nil, err
	}
	metadata, ok := body["metadata"].(map[string]any)
	if !ok {
		return merged, nil
	}
	finalizers, _ := metadata["finalizers"].([]any)
	for _, f := range was.Metadata.Finalizers {
		if !slices.Contains(finalizers, any(f)) {
			finalizers = append(finalizers, f)
		}
	}
	metadata["finalizers"] = finalizers
	return json.Marshal(body)
}
