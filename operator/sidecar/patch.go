package sidecar

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// patch collects operations that only add.
type patch struct {
	pod        *pod
	operations []Operation
	lists      map[string]bool // those that exist, or that an operation makes
	labels     map[string]string
	// size is that of all annotations but those that finish writes, keys and values, in bytes.
	size int
}

func newPatch(p *pod) *patch {
	made := &patch{pod: p, labels: maps.Clone(p.Metadata.Labels), lists: map[string]bool{
		"containers": p.Spec.Containers != nil, "initContainers": p.Spec.InitContainers != nil, "volumes": p.Spec.Volumes != nil}}
	for key, value := range p.Metadata.Annotations {
		if key != StatusAnnotation && key != HashAnnotation && key != SourceAnnotation {
			made.size += len(key) + len(value)
		}
	}
	return made
}

func (p *patch) add(path string, value any) {
	p.operations = append(p.operations, Operation{"add", path, value})
}

// append adds an element to a list of the pod's specification.
func (p *patch) append(list string, element any) {
	if p.lists[list] {
		p.add("/spec/"+list+"/-", element)
		return
	}
	p.lists[list] = true
	p.add("/spec/"+list, []any{element})
}

// annotate adds annotations that differ from the pod's, in the order of their keys. The pod has some already, or it would not be here.
func (p *patch) annotate(annotations map[string]string) {
	p.size = p.sizeWith(annotations)
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if p.pod.Metadata.Annotations[key] == annotations[key] {
			continue
		}
		p.add("/metadata/annotations/"+escape(key), annotations[key])
	}
}

func (p *patch) label(key, value string) {
	if have, ok := p.labels[key]; ok && have == value {
		return
	}
	if p.labels == nil {
		p.labels = map[string]string{}
		p.add("/metadata/labels", map[string]string{})
	}
	p.labels[key] = value
	p.add("/metadata/labels/"+escape(key), value)
}

// sizeWith is the size with annotations that no earlier operation has added.
func (p *patch) sizeWith(annotations map[string]string) int {
	size := p.size
	for key, value := range annotations {
		if old, ok := p.pod.Metadata.Annotations[key]; ok {
			size -= len(key) + len(old)
		}
		size += len(key) + len(value)
	}
	return size
}

var pointer = strings.NewReplacer("~", "~0", "/", "~1")

// escape makes a key part of a JSON pointer (RFC 6901).
func escape(key string) string { return pointer.Replace(key) }

// Marshal encodes a patch; nil for one without operations.
func Marshal(operations []Operation) ([]byte, error) {
	if len(operations) == 0 {
		return nil, nil
	}
	return json.Marshal(operations)
}
