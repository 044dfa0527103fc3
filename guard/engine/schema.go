package engine

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"helm.sh/helm/v3/pkg/chart"
)

// validate holds values against the schemas of a chart and of its dependencies. Helm's own validation fetches schemas, and reads files of
// the machine.
func validate(c *chart.Chart, values map[string]any) error {
	if c.Schema != nil {
		if err := validateOne(c, values); err != nil {
			return err
		}
	}
	for _, sub := range c.Dependencies() {
		given, ok := values[sub.Name()].(map[string]any)
		if !ok {
			if values[sub.Name()] != nil {
				return fmt.Errorf("the values of %s are no mapping", sub.Name())
			}
			continue
		}
		if err := validate(sub, given); err != nil {
			return err
		}
	}
	return nil
}

const schemaName = "file:///values.schema.json"

func validateOne(c *chart.Chart, values map[string]any) error {
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(c.Schema))
	if err != nil {
		return fmt.Errorf("the values.schema.json of %s is no JSON: %w", c.Name(), err)
	}
	compiler := jsonschema.NewCompiler()
	loader := &schemas{}
	compiler.UseLoader(loader)
	if err := compiler.AddResource(schemaName, schema); err != nil {
		return fmt.Errorf("the values.schema.json of %s: %w", c.Name(), err)
	}
	compiled, err := compiler.Compile(schemaName)
	if loader.refused != nil {
		return loader.refused
	}
	if err != nil {
		return fmt.Errorf("the values.schema.json of %s: %w", c.Name(), err)
	}
	if err := compiled.Validate(values); err != nil {
		return fmt.Errorf("the values do not fit the values.schema.json of %s: %s", c.Name(), strings.TrimPrefix(err.Error(), "jsonschema "))
	}
	return nil
}

// schemas refuses the schemas that others name.
type schemas struct{ refused *Error }

// Load implements jsonschema.URLLoader.
func (s *schemas) Load(url string) (any, error) {
	s.refused = &Error{Fault: OfReach, Message: fmt.Sprintf("a values.schema.json needs %s, which is not fetched: "+
		"set helm.skipSchemaValidation, or write it into the schema", url)}
	return nil, s.refused
}
