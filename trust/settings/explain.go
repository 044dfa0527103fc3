package settings

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/holdfast-telemetry/holdfast/internal/nearest"
)

// fields are the names of all fields, to find the one that was meant.
var fields = strings.Fields("data listen sign-listen admin-listen tls certificate key client-ca keys images list folder vault path passphrase-file key-file credential " +
	"address namespace ca mount token-file token-env kubernetes approle role jwt-file role-id-file secret-id-file state file config-map name kubeconfig timing active " +
	"lifetime poll slack resign sources access rules tokens audit registry plain every repositories deployed in-cluster selftest repository")

var (
	unknown   = regexp.MustCompile(`field (\S+) not found in type \S+`)
	noYAML    = regexp.MustCompile(`(?s)^yaml: (line \d+: )?(.*)$`)
	wrongType = regexp.MustCompile("cannot unmarshal !!(\\w+)(?: `(.*)`)? into (\\S+)")
)

// explain says what the library's words mean.
func explain(err error) error {
	var wrong *yaml.TypeError
	if !errors.As(err, &wrong) {
		if m := noYAML.FindStringSubmatch(err.Error()); m != nil {
			return fmt.Errorf("%sthis is no YAML: %s", m[1], m[2])
		}
		return err // a value's own
	}
	var all []error
	for _, text := range wrong.Errors {
		text = unknown.ReplaceAllStringFunc(text, func(found string) string { return noField(unknown.FindStringSubmatch(found)[1]) })
		text = wrongType.ReplaceAllStringFunc(text, func(found string) string {
			m := wrongType.FindStringSubmatch(found)
			return fmt.Sprintf("there is %s, and %s is wanted", written(m[1], m[2]), kind(m[3]))
		})
		all = append(all, errors.New(text))
	}
	return errors.Join(all...)
}

func noField(field string) string {
	text := fmt.Sprintf("there is no field %q here", field)
	if near := nearest.Of(field, fields); near != "" && near != field {
		text += ": did you mean " + near + "?"
	}
	return text
}

// written is a YAML value as its writer would call it.
func written(tag, text string) string {
	switch {
	case tag == "map":
		return "a table"
	case tag == "seq":
		return "a list"
	}
	return strconv.Quote(text)
}

// kind is a type of the settings, as their writer would call it.
func kind(of string) string {
	switch {
	case strings.HasPrefix(of, "[]"):
		return "a list"
	case of == "string":
		return "a text"
	case of == "bool":
		return "true or false"
	case of == "int", of == "int64":
		return "a number"
	}
	return "a table of fields"
}

var atLine = regexp.MustCompile(`(?m)^line (\d+): `)

// located has each line of an error say where in a file it is wrong.
func located(file string, err error) error {
	text := atLine.ReplaceAllString(err.Error(), strings.ReplaceAll(file, "$", "$$")+":$1: ")
	if text == err.Error() {
		text = file + ": " + text
	}
	return errors.New(text)
}
