package live

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gobwas/glob"
	"sigs.k8s.io/yaml"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// settingsName is the ConfigMap with Argo CD's settings.
const settingsName = "argocd-cm"

// settings are what Argo CD's ConfigMap says about which objects it counts as its own.
type settings struct {
	namespace    string // of Argo CD
	byLabel      bool
	label        string
	installation string
	exclusions   []filter
	inclusions   []filter
}

// filter selects kinds of clusters.
type filter struct {
	APIGroups []string `json:"apiGroups"`
	Kinds     []string `json:"kinds"`
	Clusters  []string `json:"clusters"`
}

// parseSettings reads the data of the ConfigMap.
func parseSettings(namespace string, data map[string]string) (settings, error) {
	s := settings{namespace: namespace, label: argo.InstanceLabel, installation: data["installationID"]}
	switch method := data["application.resourceTrackingMethod"]; method {
	case "", "annotation", "annotation+label":
	case "label":
		s.byLabel = true
	default:
		return s, fmt.Errorf("%s has application.resourceTrackingMethod %q: annotation, annotation+label and label are the methods", settingsName, method)
	}
	if key := data["application.instanceLabelKey"]; key != "" {
		s.label = key
	}
	for _, of := range []struct {
		key  string
		into *[]filter
	}{{"resource.exclusions", &s.exclusions}, {"resource.inclusions", &s.inclusions}} {
		if err := yaml.Unmarshal([]byte(data[of.key]), of.into); err != nil {
			return s, fmt.Errorf("%s has a %s that cannot be read: %w", settingsName, of.key, err)
		}
	}
	return s, nil
}

// matches says whether a kind of a cluster is selected. A list that is empty selects all.
func (f filter) matches(k object.Kind, cluster string) bool {
	return anyOf(f.APIGroups, k.Group) && (len(f.Kinds) == 0 || slices.Contains(f.Kinds, "*") || slices.Contains(f.Kinds, k.Kind)) && f.in(cluster)
}

func (f filter) in(cluster string) bool { return anyOf(f.Clusters, cluster) }

func anyOf(patterns []string, text string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool {
		g, err := glob.Compile(p)
		return err == nil && g.Match(text)
	})
}

// excludes says whether Argo CD does not look at a kind in a cluster at all.
func (s *settings) excludes(k object.Kind, cluster string) bool {
	if slices.ContainsFunc(s.exclusions, func(f filter) bool { return f.matches(k, cluster) }) {
		return true
	}
	if slices.ContainsFunc(s.inclusions, func(f filter) bool { return f.matches(k, cluster) }) {
		return false
	}
	return slices.ContainsFunc(s.inclusions, func(f filter) bool { return f.in(cluster) })
}

// owner returns the Application that Argo CD counts an object to, and whether its tracking data is a copy of another object's.
func (s *settings) owner(k object.Key, annotations, labels map[string]string) (application object.Key, copied bool) {
	if s.byLabel {
		return s.instance(labels[s.label]), false
	}
	if annotations[argo.InstallationID] != s.installation {
		return object.Key{}, false
	}
	name, rest, _ := strings.Cut(annotations[argo.TrackingID], ":")
	kind, id, found := strings.Cut(rest, ":")
	parts, place := strings.Split(kind, "/"), strings.Split(id, "/")
	if !found || len(parts) != 2 || len(place) != 2 {
		return object.Key{}, false
	}
	same := (k.Namespace == "" || k.Namespace == place[0]) && k.Name == place[1] && k.Group == parts[0] && k.Kind == parts[1]
	return s.instance(name), !same
}

// instance returns the Application of a name in tracking data: one outside Argo CD's namespace has its own namespace before it.
func (s *settings) instance(name string) object.Key {
	if name == "" {
		return object.Key{}
	}
	namespace, rest, found := strings.Cut(name, "_")
	if !found {
		namespace, rest = s.namespace, name
	}
	return object.Key{Group: object.ArgoGroup, Kind: "Application", Namespace: namespace, Name: rest}
}

// retained keeps what of annotations or labels says something about deletion and ownership, and one key beside it.
func retained(all map[string]string, beside string) map[string]string {
	var kept map[string]string
	for key, value := range all {
		if object.Retained(key) || key == beside {
			if kept == nil {
				kept = make(map[string]string)
			}
			kept[key] = value
		}
	}
	return kept
}
