// Package snapshot exports what a recovery needs from a cluster into a folder or an S3-compatible object store, and reads it again.
//
// A snapshot holds volumes, claims, sets, classes, attachments, namespaces and Argo CD's own objects as the API server had them, and of
// each Secret its name, type and key names. Values of Secrets are in it only when they were asked for, and then encrypted (age) in a
// file of their own. Environment variables that are written in a set's template are part of the set: a snapshot is as confidential as
// the manifests are.
//
// A snapshot appears whole or not at all: its header is written last, and has the digest of every file. What a crash leaves behind is no
// snapshot, and is removed by a Take that removes old ones, a day later. Files have one object in a line, sorted, so that two snapshots can
// be compared with diff.
//
// The objects are not taken at one instant: each kind is listed by itself.
package snapshot

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Version is that of the layout of a snapshot.
const Version = 1

// Kind is one kind that snapshots have.
type Kind struct {
	schema.GroupVersionResource
	Name string // CamelCase
	// Optional kinds are those whose definition a cluster may lack.
	Optional bool
}

// Kinds are those that a snapshot has, in the order of their files.
var Kinds = []Kind{
	{schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, "Namespace", false},
	{schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumes"}, "PersistentVolume", false},
	{schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumeclaims"}, "PersistentVolumeClaim", false},
	{schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "statefulsets"}, "StatefulSet", false},
	{schema.GroupVersionResource{Group: "storage.k8s.io", Version: "v1", Resource: "storageclasses"}, "StorageClass", false},
	{schema.GroupVersionResource{Group: "storage.k8s.io", Version: "v1", Resource: "volumeattachments"}, "VolumeAttachment", false},
	{schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}, "Application", true},
	{schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applicationsets"}, "ApplicationSet", true},
	{schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "appprojects"}, "AppProject", true},
}

// File is the name of a kind's file in the folder.
func (k Kind) File() string {
	return strings.TrimPrefix(k.Group+"."+k.Version+"."+k.Name+".jsonl", ".")
}

// Secret is what a snapshot says of a Secret: all but the values.
type Secret struct {
	Namespace string   `json:"namespace"`
	Name      string   `json:"name"`
	Type      string   `json:"type"`
	Keys      []string `json:"keys"`
}

// Header is the file snapshot.json of a snapshot.
type Header struct {
	Version int       `json:"version"`
	Taken   time.Time `json:"taken"`
	// Cluster is the UID of the namespace kube-system.
	Cluster string         `json:"cluster"`
	Counts  map[string]int `json:"counts"` // of objects by file
	// Digests are the SHA-256 of the files, in hexadecimal: a file that was changed is refused.
	Digests map[string]string `json:"digests"`
	// Missing are kinds that the cluster does not define.
	Missing []string `json:"missing,omitempty"`
}

// Snapshot is one that was read.
type Snapshot struct {
	Header
	Path    string                                  // of the folder, or s3://bucket/prefix/name
	Objects map[string][]*unstructured.Unstructured // by the kind's name
	Secrets []Secret

	store Store
	name  string
}

// Secret returns what is known of one Secret, nil when it is not in the snapshot.
func (s *Snapshot) Secret(namespace, name string) *Secret {
	i := slices.IndexFunc(s.Secrets, func(x Secret) bool { return x.Namespace == namespace && x.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Secrets[i]
}

// A VersionError tells that a snapshot was written by a program that knew another layout.
type VersionError struct {
	Path string
	Got  int
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("%s has version %d, and this program reads version %d", e.Path, e.Got, Version)
}
