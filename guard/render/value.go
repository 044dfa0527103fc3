package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	sigs "sigs.k8s.io/yaml"

	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// parse reads a text of one document, JSON or YAML, as the API server's clients do. Numbers are as encode wants them.
func parse(data []byte) (any, error) {
	if first := bytes.TrimLeft(data, " \t\r\n"); len(first) == 0 {
		return nil, nil
	} else if first[0] == '{' || first[0] == '[' {
		if v, err := parseJSON(data); err == nil {
			return v, nil
		} // it may be YAML all the same
	}
	text, err := sigs.YAMLToJSON(data)
	if err != nil {
		return nil, fmt.Errorf("it is not YAML: %w", err)
	}
	return parseJSON(text)
}

func parseJSON(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON value")
	}
	return numbers(v)
}

// numbers makes numbers of the texts that encoding/json leaves them as, in place: whole numbers stay whole, and exact.
func numbers(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if v[key], err = numbers(value); err != nil {
				return nil, err
			}
		}
	case []any:
		for n := range v {
			if v[n], err = numbers(v[n]); err != nil {
				return nil, err
			}
		}
	case json.Number:
		return number(string(v))
	}
	return v, nil
}

func number(text string) (any, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return n, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, fmt.Errorf("the number %.40s is too large", text)
	}
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 { // 1e6 is no whole number to the API server in YAML, and 1000000 is
		return int64(f), nil
	}
	return f, nil
}

// found is an object in a text.
type found struct {
	body map[string]any
	way  string
	item int // of a list, from 1
}

// objects finds the objects of a value: itself, the items of a list, and the values of what only holds others, at any depth.
func objects(v any, way string, depth int, add func(found)) error {
	if depth > maxNesting {
		return fmt.Errorf("%s is more than %d levels deep, and no object was met on the way", way, maxNesting)
	}
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		for n, item := range v {
			if err := objects(item, fmt.Sprintf("%s[%d]", way, n), depth+1, add); err != nil {
				return err
			}
		}
		return nil
	case map[string]any:
		return objectsOf(v, way, depth, add)
	}
	return fmt.Errorf("%s no object: a mapping with apiVersion, kind and metadata is wanted, a list of them, or a mapping of them", is(way))
}

// maxNesting is how deep an object may be in what holds objects.
const maxNesting = 32

func objectsOf(m map[string]any, way string, depth int, add func(found)) error {
	kind, hasKind := m["kind"]
	_, hasVersion := m["apiVersion"]
	if hasKind || hasVersion {
		items, list := m["items"]
		if name, _ := kind.(string); !list || !strings.HasSuffix(name, "List") {
			add(found{body: m, way: way})
			return nil
		}
		return listItems(items, way, add)
	}
	if _, ok := m["metadata"]; ok {
		return fmt.Errorf("%s no object, though it has metadata: apiVersion and kind are missing", is(way))
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if err := objects(m[key], way+field(key), depth+1, add); err != nil {
			return err
		}
	}
	return nil
}

// listItems finds the items of a list, which are objects.
func listItems(items any, way string, add func(found)) error {
	list, ok := items.([]any)
	if !ok && items != nil {
		return fmt.Errorf("%s a list whose items are none", is(way))
	}
	for n, item := range list {
		here := fmt.Sprintf("%s.items[%d]", way, n)
		body, ok := item.(map[string]any)
		if !ok {
			return fmt.Errorf("%s no object", is(here))
		}
		add(found{body: body, way: here, item: n + 1})
	}
	return nil
}

func field(key string) string {
	if strings.ContainsAny(key, "./[] ") || key == "" {
		return fmt.Sprintf("[%q]", key)
	}
	return "." + key
}

func is(way string) string {
	if way == "" {
		return "it is"
	}
	return way + " is"
}

// identity reads what an object is called. Generated says that the API server gives the rest of its name.
func identity(body map[string]any) (k object.Key, version string, generated bool, err error) {
	apiVersion, err := textOf(body, "apiVersion")
	if err != nil {
		return k, "", false, err
	}
	if k.Kind, err = textOf(body, "kind"); err != nil {
		return k, "", false, err
	}
	metadata, ok := body["metadata"].(map[string]any)
	if !ok {
		return k, "", false, fmt.Errorf("the %s has no metadata", k.Kind)
	}
	var generate string
	for _, of := range []struct {
		name string
		to   *string
	}{{"name", &k.Name}, {"namespace", &k.Namespace}, {"generateName", &generate}} {
		switch v := metadata[of.name].(type) {
		case nil:
		case string:
			*of.to = v
		default:
			return k, "", false, fmt.Errorf("metadata.%s of the %s is %v, and no text: quote it", of.name, k.Kind, v)
		}
	}
	if generated = k.Name == ""; generated {
		k.Name = generate
	}
	k.Group = object.Group(apiVersion)
	version = strings.TrimPrefix(apiVersion[len(k.Group):], "/")
	return k, version, generated, checkIdentity(k, version)
}

func textOf(body map[string]any, field string) (string, error) {
	text, ok := body[field].(string)
	if !ok || text == "" {
		return "", fmt.Errorf("%s is missing, or no text", field)
	}
	return text, nil
}
