package protect

import (
	"bytes"
	"testing"
)

func TestTheBeltIsTheSameEveryTimeAndOfGoodNamesOnly(t *testing.T) {
	a, err := YAML(Options{Namespaces: []string{"influx"}})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := YAML(Options{Namespaces: []string{"influx"}}); err != nil || !bytes.Equal(a, b) {
		t.Errorf("it differs: %v", err)
	}
	if _, err := YAML(Options{Namespaces: []string{"a'] || true"}}); err == nil {
		t.Error("a name that ends the expression is taken")
	}
	for _, bad := range []string{"", "A.b", "sets.apps/v1", "x.'"} {
		if _, err := ParseKind(bad); err == nil {
			t.Errorf("%q is a kind", bad)
		}
	}
}
