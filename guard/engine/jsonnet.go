package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/google/go-jsonnet"
	"github.com/google/go-jsonnet/ast"
)

// renderJsonnet evaluates one file.
func renderJsonnet(r *repository, s *Spec) ([]Document, error) {
	o := &s.Jsonnet
	vm := jsonnet.MakeVM()
	caught := new(caughtError)
	vm.ErrorFormatter = caught
	importer := &importer{r: r, contents: make(map[string]jsonnet.Contents), folders: append([]string{s.Path}, o.Libraries...)}
	vm.Importer(importer)
	for _, v := range o.ExtVars {
		set(v, vm.ExtVar, vm.ExtCode)
	}
	for _, v := range o.TLAs {
		set(v, vm.TLAVar, vm.TLACode)
	}
	if o.Multi {
		texts, err := vm.EvaluateFileMulti(o.File)
		if err != nil {
			return nil, jsonnetError(o.File, caught.err, importer)
		}
		var documents []Document
		for _, name := range slices.Sorted(maps.Keys(texts)) {
			documents = append(documents, Document{Data: []byte(texts[name]), Origin: name})
		}
		return documents, nil
	}
	text, err := vm.EvaluateFile(o.File)
	if err != nil {
		return nil, jsonnetError(o.File, caught.err, importer)
	}
	return objectsOf(o.File, text)
}

func set(v Variable, text, code func(name, value string)) {
	if v.Code {
		code(v.Name, v.Value)
	} else {
		text(v.Name, v.Value)
	}
}

// objectsOf returns the objects of what a file evaluates to. Argo CD takes an object, or an array of them that is not nested.
func objectsOf(file, text string) ([]Document, error) {
	var items []json.RawMessage
	if err := json.Unmarshal([]byte(text), &items); err != nil {
		items = []json.RawMessage{[]byte(text)}
	}
	var documents []Document
	for n, item := range items {
		switch first := item[0]; {
		case string(item) == "null" && len(items) > 1:
		case first == '[':
			message := fmt.Sprintf("item %d of the array that it evaluates to is an array: Argo CD takes no nested ones; flatten it", n+1)
			return nil, &Error{Path: file, Line: 1, Message: message}
		case first != '{':
			return nil, &Error{Path: file, Line: 1, Message: "it evaluates to neither an object nor an array of objects"}
		default:
			documents = append(documents, Document{Data: item, Origin: file, Line: 1})
		}
	}
	return documents, nil
}

// importer finds what jsonnet imports: beside the file that imports, then in the folders from the last one, as Argo CD's does.
type importer struct {
	r        *repository
	folders  []string
	contents map[string]jsonnet.Contents
	refused  *Error
}

// Import implements jsonnet.Importer.
func (i *importer) Import(from, name string) (jsonnet.Contents, string, error) {
	if path.IsAbs(name) {
		i.refused = refuse(outside, name)
		return jsonnet.Contents{}, "", i.refused
	}
	ways := []string{path.Join(path.Dir(from), name)}
	if from == "" {
		ways[0] = name
	}
	for n := len(i.folders) - 1; n >= 0; n-- {
		ways = append(ways, path.Join(i.folders[n], name))
	}
	escaped := ""
	for _, way := range ways {
		if c, ok := i.contents[way]; ok {
			return c, way, nil
		}
		data, is := i.r.read(way)
		switch is {
		case file:
			c := jsonnet.MakeContentsRaw(data)
			i.contents[way] = c
			return c, way, nil
		case link, folder, behind:
			i.refused = refuse(is, way)
			return jsonnet.Contents{}, "", i.refused
		case outside:
			escaped = way
		}
	}
	if escaped != "" {
		i.refused = refuse(outside, escaped)
		return jsonnet.Contents{}, "", i.refused
	}
	return jsonnet.Contents{}, "", fmt.Errorf("there is no file %s in %s", name, strings.Join(folders(ways), ", "))
}

func folders(ways []string) []string {
	var all []string
	for _, way := range ways {
		if folder := path.Dir(way); !slices.Contains(all, folder) {
			all = append(all, folder)
		}
	}
	return all
}

// caughtError is an error formatter that keeps the error.
type caughtError struct{ err error }

func (c *caughtError) Format(err error) string                { c.err = err; return err.Error() }
func (*caughtError) SetMaxStackTraceSize(int)                 {}
func (*caughtError) SetColorFormatter(jsonnet.ColorFormatter) {}

// jsonnetError says where jsonnet failed.
func jsonnetError(file string, err error, i *importer) error {
	failed := &Error{Path: file}
	if i.refused != nil {
		failed.Fault = i.refused.Fault
	}
	if err == nil {
		err = errors.New("it cannot be evaluated")
	}
	failed.Message = err.Error()
	var runtime jsonnet.RuntimeError
	var static interface{ Loc() ast.LocationRange }
	var at ast.LocationRange
	switch {
	case errors.As(err, &runtime):
		failed.Message = runtime.Msg
		for n := len(runtime.StackTrace) - 1; n >= 0 && at.FileName == ""; n-- { // the innermost that is in a file
			if runtime.StackTrace[n].Loc.FileName != "<std>" {
				at = runtime.StackTrace[n].Loc
			}
		}
	case errors.As(err, &static):
		at = static.Loc()
		if _, after, found := strings.Cut(failed.Message, " "); found && strings.HasPrefix(failed.Message, at.FileName) {
			failed.Message = after
		}
	}
	if at.FileName != "" && at.Begin.Line > 0 {
		failed.Path, failed.Line, failed.Column = at.FileName, at.Begin.Line, at.Begin.Column
	}
	return failed
}
