package manifest_test

import (
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestReadmeExplainsEveryValue(t *testing.T) {
	for _, chart := range []string{"holdfast-operator", "holdfast-trust", "holdfast-trust-sync"} {
		t.Run(chart, func(t *testing.T) {
			text, err := os.ReadFile("../helm/" + chart + "/values.yaml")
			if err != nil {
				t.Fatal(err)
			}
			readme, err := os.ReadFile("../helm/" + chart + "/README.md")
			if err != nil {
				t.Fatal(err)
			}
			var values map[string]any
			if err := yaml.UnmarshalStrict(text, &values); err != nil {
				t.Fatal(err)
			}
			delete(values, "global") // Helm's
			checkExplained(t, string(readme), "", values)
		})
	}
}

// checkExplained looks for each value, or for a table that it is in.
func checkExplained(t *testing.T, readme, prefix string, values map[string]any) {
	t.Helper()
	for key, value := range values {
		path := prefix + key
		if strings.Contains(readme, "`"+path+"`") {
			continue
		}
		if table, ok := value.(map[string]any); ok && len(table) > 0 {
			checkExplained(t, readme, path+".", table)
			continue
		}
		t.Errorf("README.md does not explain %s", path)
	}
}
