package sidecar

import (
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/json"
)

// pod is the little of a pod that decides. It is only ever read: nothing is encoded from it.
type pod struct {
	Metadata struct {
		Name        string            `json:"name"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec *struct {
		Containers     []container `json:"containers"`
		InitContainers []container `json:"initContainers"`
		Volumes        []volume    `json:"volumes"`
		Automount      *bool       `json:"automountServiceAccountToken"`
		OS             *struct {
			Name string `json:"name"`
		} `json:"os"`
		SecurityContext *struct {
			RunAsUser *int64 `json:"runAsUser"`
		} `json:"securityContext"`
		Resources *struct {
			Limits   map[string]any `json:"limits"`
			Requests map[string]any `json:"requests"`
		} `json:"resources"`
	} `json:"spec"`
}

type container struct {
	Name         string  `json:"name"`
	VolumeMounts []mount `json:"volumeMounts"`
}

type mount struct {
	Name      string `json:"name"`
	MountPath string `json:"mountPath"`
}

type volume struct {
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
	if p.Spec == nil {
		return nil, errors.New("the pod has no spec")
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

// tokenVolume is the volume with the service account's token that the API server has given to the containers; empty when it gives none.
func (p *pod) tokenVolume() string {
	if p.Spec.Automount != nil && !*p.Spec.Automount {
		return ""
	}
	for _, c := range p.Spec.Containers {
		for _, m := range c.VolumeMounts {
			if m.MountPath == tokenDirectory && strings.HasPrefix(m.Name, tokenVolumePrefix) && p.hasVolume(m.Name) {
				return m.Name
			}
		}
	}
	return ""
}

func (p *pod) windows() bool { return p.Spec.OS != nil && p.Spec.OS.Name == "windows" }

// add notes a sidecar of the patch, so that the next one does not take its names.
func (p *pod) add(c corev1.Container, volumes []corev1.Volume) {
	p.Spec.Containers = append(p.Spec.Containers, container{Name: c.Name})
	for _, v := range volumes {
		p.Spec.Volumes = append(p.Spec.Volumes, volume{v.Name})
	}
}

// shares says whether the pod has an amount of a resource for all of its containers together.
func (p *pod) shares(resource corev1.ResourceName) bool {
	if p.Spec.Resources == nil {
		return false
	}
	_, limit := p.Spec.Resources.Limits[string(resource)]
	_, request := p.Spec.Resources.Requests[string(resource)]
	return limit || request
}

// ours says whether a container of this name is one that was injected: its configuration is on the pod then.
func (p *pod) ours(name string) bool {
	_, ok := p.Metadata.Annotations[ConfigAnnotation(name)]
	return ok && p.hasContainer(name)
}

// sidecars are the names of the containers that were injected.
func (p *pod) sidecars() (names []string) {
	for _, list := range [][]container{p.Spec.Containers, p.Spec.InitContainers} {
		for _, c := range list {
			if p.ours(c.Name) {
				names = append(names, c.Name)
			}
		}
	}
	return names
}
