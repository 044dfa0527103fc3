package live

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
)

// Limits of an export. Beyond them it is an error, and not read in part.
const (
	MaxDocument  = 8 << 20 // bytes of one object; an API server stores far smaller ones
	MaxDocuments = 200_000
)

// separator ends every object of an export, the last one too: without it the export is not whole.
const separator = "---"

var (
	errNotWhole = errors.New("it ends in the middle of an object, or was changed after argocd admin export wrote it: make a new one")
	errNoExport = fmt.Errorf("it has no ConfigMap %s: it is not what argocd admin export writes", settingsName)
	errConfig   = errors.New("it is a kubeconfig: give it with --kubeconfig, and --live kubeconfig")
	controls    = object.Kinds{argo.ApplicationKind: true, argo.ApplicationSetKind: true, argo.ProjectKind: true, configMapKind: true, secretKind: true}
)

var (
	configMapKind = object.Kind{Kind: "ConfigMap"}
	secretKind    = object.Kind{Kind: "Secret"}
)

// ReadExport reads what argocd admin export wrote. The namespace is Argo CD's own, which an export leaves out; it is argocd by default.
func ReadExport(r io.Reader, namespace string) (*State, error) {
	if namespace == "" {
		namespace = argo.DefaultNamespace
	}
	e := export{namespace: namespace, state: &State{clusters: make(map[string]*contents), names: make(map[string]string)}}
	if err := e.documents(r); err != nil {
		return nil, fmt.Errorf("reading the export: %w", err)
	}
	if e.data == nil {
		return nil, fmt.Errorf("reading the export: %w", errNoExport)
	}
	if err := e.finish(); err != nil {
		return nil, fmt.Errorf("reading the export: %w", err)
	}
	return e.state, nil
}

// export is one that is read.
type export struct {
	namespace string
	state     *State
	data      map[string]string // of the settings, nil until they came
	objects   []*plan.LiveObject
	others    []string
	seen      map[object.Key]bool
}

// documents reads one object after the other.
func (e *export) documents(r io.Reader) error {
	in := bufio.NewReaderSize(r, 1<<16)
	var doc []byte
	for line, first, count := 1, 1, 0; ; line++ {
		text, err := readLine(in, MaxDocument-len(doc))
		whole := err == nil
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("line %d: %w", line, err)
		}
		if whole && strings.TrimRight(string(text), "\r\n") == separator {
			if err := e.document(doc, first); err != nil {
				return err
			}
			if count++; count > MaxDocuments {
				return fmt.Errorf("line %d: there are more than %d objects", line, MaxDocuments)
			}
			doc, first = doc[:0], line+1
			continue
		}
		doc = append(doc, text...)
		if !whole {
			if len(bytes.TrimSpace(doc)) > 0 {
				return e.rest(doc)
			}
			return nil
		}
	}
}

// rest says what a text is that no separator ends.
func (e *export) rest(doc []byte) error {
	if bytes.Contains(doc, []byte("kind: Config\n")) && bytes.Contains(doc, []byte("current-context:")) {
		return errConfig
	}
	return errNotWhole
}

// readLine reads a line with its end, of a length that is bounded.
func readLine(in *bufio.Reader, most int) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > most {
			return nil, fmt.Errorf("one object has more than %d bytes", MaxDocument)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// document takes one object. Errors do not say what is in it: it may be a Secret.
func (e *export) document(doc []byte, line int) error {
	// Argo CD passes over files with its marker, and not over objects.
	doc = bytes.ReplaceAll(doc, []byte(object.SkipMarker), bytes.Repeat([]byte("x"), len(object.SkipMarker)))
	f := object.Read("export.yaml", doc, controls)
	switch {
	case f.Bad != nil:
		return fmt.Errorf("line %d: it is not an object in YAML as an export has it", line+f.Bad.Line-1)
	case len(f.Repeated) > 0:
		return fmt.Errorf("line %d: a key is there twice, which no export has", line+f.Repeated[0].Line-1)
	case len(f.Objects) != 1 || f.Lists:
		return fmt.Errorf("line %d: %d objects are where an export has one", line, len(f.Objects))
	}
	o := &f.Objects[0]
	if o.Namespace == "" {
		o.Namespace = e.namespace
	}
	if e.seen == nil {
		e.seen = make(map[object.Key]bool)
	}
	if e.seen[o.Key] {
		return fmt.Errorf("line %d: %s is there twice", line, o.Key)
	}
	e.seen[o.Key] = true
	e.take(o)
	return nil
}

// take keeps of an object what is needed.
func (e *export) take(o *object.Object) {
	switch kind := o.GroupKind(); {
	case kind == configMapKind && o.Name == settingsName:
		e.data = texts(o.Body["data"])
	case kind == configMapKind:
	case kind == secretKind:
		e.secret(o)
	case controls[kind]:
		live := &plan.LiveObject{Object: *o, Seen: true}
		live.Line, live.Column, live.Document = 0, 0, 0
		slim(live.Body)
		e.objects = append(e.objects, live)
	default:
		e.others = append(e.others, kind.String())
	}
}

// secret takes the name and the server of a cluster, and nothing else.
func (e *export) secret(o *object.Object) {
	metadata, _ := o.Body["metadata"].(map[string]any)
	if texts(metadata["labels"])["argocd.argoproj.io/secret-type"] != "cluster" {
		return
	}
	data := texts(o.Body["data"])
	name, errName := base64.StdEncoding.DecodeString(data["name"])
	server, errServer := base64.StdEncoding.DecodeString(data["server"])
	if errName == nil && errServer == nil && len(name) > 0 && len(server) > 0 {
		e.state.names[string(name)] = strings.TrimSuffix(string(server), "/")
	}
}

// texts reads a mapping of texts.
func texts(v any) map[string]string {
	all := make(map[string]string)
	m, _ := v.(map[string]any)
	for key, value := range m {
		if text, ok := value.(string); ok {
			all[key] = text
		}
	}
	return all
}

// slim takes from a body what no plan asks for.
func slim(body map[string]any) {
	delete(body, "operation")
	metadata, _ := body["metadata"].(map[string]any)
	delete(metadata, "managedFields")
	annotations, _ := metadata["annotations"].(map[string]any)
	for key := range annotations {
		if !object.Retained(key) {
			delete(annotations, key)
		}
	}
}

// finish finds who owns what.
func (e *export) finish() error {
	s := e.state
	var err error
	if s.settings, err = parseSettings(e.namespace, e.data); err != nil {
		return err
	}
	here := s.cluster(argo.Server)
	for kind := range controls {
		here.read[kind] = kind.Group == object.ArgoGroup
	}
	var applications []*controlled
	for _, o := range e.objects {
		metadata, _ := o.Body["metadata"].(map[string]any)
		o.Application, o.Copied = s.settings.owner(o.Key, o.Annotations, texts(metadata["labels"]))
		here.objects = append(here.objects, o)
		if o.GroupKind() == argo.ApplicationKind {
			a, err := control(o)
			if err != nil {
				return err
			}
			applications = append(applications, a)
		}
	}
	s.named(applications)
	s.asked = []string{fmt.Sprintf("an export of Argo CD with %d Applications", len(applications))}
	s.unknown = []string{
		"an export has no objects but Argo CD's own: which objects live is what the status of Applications said when they were last compared, " +
			"and what protects them is from git",
		"an export does not say which ApplicationSet owns an Application, nor what else is in a namespace, nor what claims are bound to",
	}
	if len(e.others) > 0 {
		s.unknown = append(s.unknown, "objects of the export that are passed over: "+some(e.others))
	}
	s.sort()
	return nil
}
