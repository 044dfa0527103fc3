package sidecar

import (
	"errors"
	"fmt"

	"sigs.k8s.io/json"
)

// pod is the little of a pod that decides. It is only ever read: nothing is encoded from it.
type pod struct {
	Metadata struct {
		Name        string            `json:"name"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec struct {
		Containers     []container `json:"containers"`
		InitContainers []container `json:"initContainers"`
		Volumes        []struct {
			Name string `json:"name"`
		} `json:"volumes"`
		OS *struct {
			Name string `json:"name"`
		} `json:"os"`
		SecurityContext *struct {
			RunAsUser *int64 `json:"runAsUser"`
		} `json:"securityContext"`
	} `json:"spec"`
}

type container struct {
	Name string `json:"name"`
}

// readPod decodes what is needed of a pod; field names are case sensitive, as they are for the API server.
func readPod(raw []byte) (*pod, error) {
	if len(raw) == 0 {
		return nil, errors.New("the request has no pod")
	}
	p := &pod{}
	if err := json.UnmarshalCaseSensitivePreserveInts(raw, p); err != nil {
		return nil, fmt.Errorf("reading the pod: %w", err)
	}
	return p, nil
}

// hasContainer looks at init containers too: a native sidecar is one of them.
func (p *pod) hasContainer(name string) bool {
	for _, list := range [][]container{p.Spec.Containers, p.Spec.InitContainers} {
		for _, c := range list {
			if c.Name == name {
				return true
			}
		}
	}
	return false
}

func (p *pod) hasVolume(name string) bool {
	for _, v := range p.Spec.Volumes {
		if v.Name == name {
			return true
		}
	}
	return false
}

func (p *pod) windows() bool { return p.Spec.OS != nil && p.Spec.OS.Name == "windows" }

// ours says whether a container of this name is one that was injected: its configuration is on the pod then.
func (p *pod) ours(name string) bool {
	_, ok := p.Metadata.Annotations[ConfigAnnotation(name)]
	return ok && p.hasContainer(name)
}

// sidecars is the number of containers that were injected.
func (p *pod) sidecars() (n int) {
	for _, list := range [][]container{p.Spec.Containers, p.Spec.InitContainers} {
		for _, c := range list {
			if p.ours(c.Name) {
				n++
			}
		}
	}
	return n
}
