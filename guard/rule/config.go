package rule

import (
	"fmt"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/render"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// Config is what a repository says about itself.
type Config struct {
	// Conventions join folders and names. The first whose path matches counts.
	Conventions []Convention
	// Instance is the beginning of paths that tells Argo CD instances apart, as in "env/(cluster)". Without it there is one.
	Instance string
	// Clusters has the server of each cluster's name.
	Clusters map[string]string
	// Version is Argo CD's, as {3, 2}: some options count only from one on.
	Version [2]int
	// LabelTracking says that Argo CD knows its objects by a label, and not by an annotation.
	LabelTracking bool
	// Stateful are kinds that hold state, beside those of Kubernetes.
	Stateful []object.Kind
	// MaxManifests is how many bytes of manifests Argo CD takes for one Application.
	MaxManifests int64
	// Quorum are patterns of the names of StatefulSets whose pods are ready only when most of them run.
	Quorum []string
	// BackupLabels are labels by which a backup schedule selects. Without any, HG063 finds nothing.
	BackupLabels []string
	// Render says what is rendered into which folders.
	Render []render.Entry
	// Off has the rules that are turned off, and why.
	Off map[string]string
	// Severities has those of rules that are not as grave here as in the catalogue, or graver.
	Severities map[string]finding.Severity
}

// Convention is how a folder and what deploys it are named. Parts in brackets, as in "env/(cluster)/(app)/yml", stand for the same text
// everywhere; "(cluster)" is the name of the destination.
type Convention struct {
	// Path is the folder of an Application.
	Path string
	// Application and Project are its names. An empty one is free.
	Application, Project string
	// Namespace is the destination's. An empty one is free.
	Namespace string
}

// Default returns the settings of a repository that has none: the conventions of the article, and Argo CD 3.2.
func Default() *Config {
	return &Config{
		Conventions:  []Convention{{Path: "env/(cluster)/(app)/yml", Application: "(app)-(cluster)", Project: "(app)-(cluster)"}},
		Version:      [2]int{3, 2},
		Stateful:     DatabaseKinds(),
		MaxManifests: 10 << 20,
		Quorum:       []string{"*etcd*", "*zookeeper*", "zk", "zk-*", "*-zk", "*kafka*", "*consul*", "*vault*", "*mongo*", "*rabbitmq*", "*cockroach*", "*nats*"},
	}
}

// Check says whether the settings can be used.
func (c *Config) Check() error {
	for n, convention := range c.Conventions {
		p, err := tree.ParsePattern(convention.Path, false)
		if err != nil {
			return fmt.Errorf("conventions[%d].path: %w", n, err)
		}
		known := make(map[string]string)
		for _, name := range p.Parts() {
			known[name] = "x"
		}
		for _, text := range []string{convention.Application, convention.Project, convention.Namespace} {
			for _, name := range tree.PartsOf(text) {
				if known[name] == "" {
					return fmt.Errorf("conventions[%d]: %q has the part (%s), which the path %q does not have", n, text, name, convention.Path)
				}
			}
		}
	}
	_, err := tree.ParsePattern(c.Instance, true)
	return err
}
