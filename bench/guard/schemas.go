package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// specification is where the API of Kubernetes is described, in the module whose programs e2e/peers/kubernetes has.
const specification = "api/openapi-spec/swagger.json"

// schemas writes the schemas of the kinds of Kubernetes as kubeconform looks for them, each with all that it refers to, and returns their
// folder.
func (b *bench) schemas(ctx context.Context) (string, error) {
	dir := filepath.Join(b.scratch(), "schemas")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes")
	cmd.Dir = filepath.Join("..", "e2e", "peers", "kubernetes")
	module, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("finding the module of Kubernetes: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(string(bytes.TrimSpace(module)), filepath.FromSlash(specification)))
	if err != nil {
		return "", err
	}
	var spec struct {
		Definitions map[string]map[string]any `json:"definitions"`
	}
	if err := json.Unmarshal(text, &spec); err != nil {
		return "", err
	}
	for name, definition := range spec.Definitions {
		kinds, _ := definition["x-kubernetes-group-version-kind"].([]any)
		if len(kinds) != 1 { // options of requests belong to many
			continue
		}
		used := make(map[string]any)
		collect(spec.Definitions, name, used)
		schema, err := json.Marshal(map[string]any{"$ref": "#/definitions/" + name, "definitions": used})
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, schemaName(kinds[0].(map[string]any))), schema, 0o644); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// schemaName is kubeconform's pattern: deployment-apps-v1.json, service-v1.json.
func schemaName(gvk map[string]any) string {
	kind, _ := gvk["kind"].(string)
	version, _ := gvk["version"].(string)
	group, _ := gvk["group"].(string)
	name := strings.ToLower(kind)
	if group != "" {
		name += "-" + strings.ToLower(strings.Split(group, ".")[0])
	}
	return name + "-" + strings.ToLower(version) + ".json"
}

// collect adds a definition and all it refers to.
func collect(all map[string]map[string]any, name string, used map[string]any) {
	if used[name] != nil {
		return
	}
	definition := all[name]
	if definition["format"] == "int-or-string" {
		definition = map[string]any{"type": []string{"integer", "string"}}
	}
	used[name] = definition
	for _, to := range references(definition, nil) {
		collect(all, to, used)
	}
}

// references are the names that a schema refers to.
func references(v any, names []string) []string {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if ref, ok := value.(string); ok && key == "$ref" {
				names = append(names, strings.TrimPrefix(ref, "#/definitions/"))
			}
			names = references(value, names)
		}
	case []any:
		for _, value := range v {
			names = references(value, names)
		}
	}
	return names
}
