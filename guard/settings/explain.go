package settings

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/holdfast-telemetry/holdfast/internal/nearest"
)

var (
	unknown   = regexp.MustCompile(`field (\S+) not found in type \S+`)
	wrongType = regexp.MustCompile("^line ([0-9]+): cannot unmarshal !!\\w+(?: (`.*`))? into (\\S+)$")
	fieldName = regexp.MustCompile(`^[\s-]*([\w-]+):`)
)

// explain says what the decoder says of its types in the words of a settings file, with the field that was meant.
func explain(err error, text []byte, known []string) error {
	var types *yaml.TypeError
	if !errors.As(err, &types) {
		return err
	}
	var all []string
	for _, one := range types.Errors {
		if found := wrongType.FindStringSubmatch(one); found != nil {
			one = noValue(text, found[1], found[2], found[3])
		}
		all = append(all, unknown.ReplaceAllStringFunc(one, func(found string) string {
			return noField(unknown.FindStringSubmatch(found)[1], known)
		}))
	}
	return errors.New(strings.Join(all, "\n"))
}

// noValue says of a value in a line what it is to be.
func noValue(text []byte, line, value, kind string) string {
	lines := bytes.Split(text, []byte("\n"))
	where := "line " + line
	if n, _ := strconv.Atoi(line); n > 0 && n <= len(lines) {
		if name := fieldName.FindSubmatch(lines[n-1]); name != nil {
			where += ": " + string(name[1])
		}
	}
	if value == "" {
		value = "this"
	}
	return fmt.Sprintf("%s: %s is not %s", where, value, wantedOf(kind))
}

// wantedOf says what a Go type is in YAML.
func wantedOf(kind string) string {
	switch {
	case strings.HasPrefix(kind, "[]"):
		return "a list"
	case strings.HasPrefix(kind, "int"), strings.HasPrefix(kind, "uint"):
		return "a whole number"
	case strings.HasPrefix(kind, "float"):
		return "a number"
	case kind == "bool":
		return "true or false"
	case kind == "string":
		return "a text"
	}
	return "a mapping of fields to values"
}

func noField(field string, known []string) string {
	text := fmt.Sprintf("there is no field %q here", field)
	if near := nearest.Of(field, known); near != "" && near != field {
		text += ": did you mean " + near + "?"
	}
	return text
}
