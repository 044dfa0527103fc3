package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	source = "https://github.com/holdfast-telemetry/holdfast"
	binDir = "usr/local/bin"
	// nonroot is the user and the group that the program runs as. Kubernetes wants it as a number to see that it is not root.
	nonroot = 65532
)

// Spec says what is in an image.
type Spec struct {
	Name        string // of the program
	Version     string
	Revision    string // commit
	Description string
	Created     time.Time // of every file and of the image, to the second
	Programs    []Program // one for each platform
	// Certificates are CA certificates in PEM; nil for an image without.
	Certificates []byte
}

// Index assembles the images of all platforms.
func (s Spec) Index() (v1.ImageIndex, error) {
	labels := s.labels()
	var adds []mutate.IndexAddendum
	for _, p := range s.Programs {
		img, err := s.image(p, labels)
		if err != nil {
			return nil, fmt.Errorf("assembling %s for %s: %w", s.Name, p.Platform, err)
		}
		adds = append(adds, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &p.Platform}})
	}
	idx := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), adds...)
	return mutate.Annotations(idx, labels).(v1.ImageIndex), nil
}

func (s Spec) image(p Program, labels map[string]string) (v1.Image, error) {
	files, err := s.layer(p)
	if err != nil {
		return nil, err
	}
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	config := &v1.ConfigFile{
		OS: p.Platform.OS, Architecture: p.Platform.Architecture, Variant: p.Platform.Variant,
		Created: v1.Time{Time: s.Created},
		Config: v1.Config{
			User:       fmt.Sprintf("%d:%d", nonroot, nonroot),
			Env:        []string{"PATH=/" + binDir},
			Entrypoint: []string{"/" + binDir + "/" + s.Name},
			WorkingDir: "/",
			Labels:     labels,
		},
		RootFS: v1.RootFS{Type: "layers"},
	}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		return nil, err
	}
	img, err = mutate.Append(img, mutate.Addendum{
		Layer:   files,
		History: v1.History{Created: v1.Time{Time: s.Created}, CreatedBy: "deploy/image", Comment: s.Name + " " + s.Version},
	})
	if err != nil {
		return nil, err
	}
	return mutate.Annotations(img, labels).(v1.Image), nil
}

// labels are the keys of the OCI image specification that are known, as labels and as annotations.
func (s Spec) labels() map[string]string {
	l := map[string]string{
		"org.opencontainers.image.title":    s.Name,
		"org.opencontainers.image.version":  s.Version,
		"org.opencontainers.image.created":  s.Created.Format(time.RFC3339),
		"org.opencontainers.image.source":   source,
		"org.opencontainers.image.url":      source,
		"org.opencontainers.image.licenses": "Apache-2.0",
	}
	if s.Revision != "" {
		l["org.opencontainers.image.revision"] = s.Revision
	}
	if s.Description != "" {
		l["org.opencontainers.image.description"] = s.Description
	}
	return l
}

// imageFor returns the image of a platform.
func imageFor(idx v1.ImageIndex, p v1.Platform) (v1.Image, error) {
	m, err := idx.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, d := range m.Manifests {
		if d.Platform.Satisfies(p) {
			return idx.Image(d.Digest)
		}
	}
	return nil, fmt.Errorf("there is no image for %s", p)
}

// writeLayout replaces the OCI layout in dir. A folder that holds anything else is left alone.
func writeLayout(dir string, idx v1.ImageIndex, version string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "oci-layout")); err != nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty and no OCI layout; it is left alone", dir)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("replacing the layout: %w", err)
	}
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return fmt.Errorf("writing the layout: %w", err)
	}
	if err := path.AppendIndex(idx, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": version})); err != nil {
		return fmt.Errorf("writing the layout: %w", err)
	}
	return nil
}
