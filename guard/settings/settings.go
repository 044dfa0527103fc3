// Package settings reads guard.yaml: what a repository says about itself, so that rules and plans need not guess. It is read whole and
// checked whole; a field that is not known is an error with its line and the one that was most likely meant.
//
// It opens the file and the file of waivers that it names, and nothing else. What approves deletions is kept apart from other waivers: who
// uses it must read the settings from outside of the change.
package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/gobwas/glob"
	"go.yaml.in/yaml/v3"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/render"
	"github.com/holdfast-telemetry/holdfast/guard/rule"
	"github.com/holdfast-telemetry/holdfast/internal/nearest"
)

// Name is the file's, in the root of the repository.
const Name = "guard.yaml"

// MaxSize bounds the file and that of the waivers, in bytes each.
const MaxSize = 1 << 20

// Settings are those of a repository.
type Settings struct {
	Conventions []Convention `yaml:"conventions"`
	// Instance is the beginning of paths that tells Argo CD instances apart.
	Instance string `yaml:"instance"`
	// Repositories are the URLs under which Applications name this repository.
	Repositories []string `yaml:"repositories"`
	// Clusters has the server of each cluster's name.
	Clusters map[string]string `yaml:"clusters"`
	// Ignore are patterns of paths at which nothing is a manifest.
	Ignore []string `yaml:"ignore"`
	// Scopes has "cluster" or "namespace" for kinds, written as GROUP/KIND.
	Scopes map[string]string `yaml:"scopes"`
	// Stateful are kinds, written as GROUP/KIND, that hold state, beside those that are known.
	Stateful []string `yaml:"stateful"`
	// ArgoCDVersion is as "3.2".
	ArgoCDVersion string `yaml:"argocd-version"`
	// KubeVersion and APIVersions are what charts are told of the clusters: a version as "1.34", and what `kubectl api-versions` has beside
	// Kubernetes' own.
	KubeVersion string   `yaml:"kube-version"`
	APIVersions []string `yaml:"api-versions"`
	// Tracking is "annotation" or "label".
	Tracking string `yaml:"tracking"`
	// MaxManifests is a size as "10MiB".
	MaxManifests Size `yaml:"max-manifests"`
	// Quorum are patterns of the names of StatefulSets that need a quorum.
	Quorum []string `yaml:"quorum"`
	// BackupLabels are the labels by which backups are scheduled.
	BackupLabels []string `yaml:"backup-labels"`
	// Rules turn rules off, or make them graver or less grave.
	Rules map[string]Rule `yaml:"rules"`
	// WaiversFile has waivers; it is relative to the settings' folder. Waivers has more.
	WaiversFile string   `yaml:"waivers-file"`
	Waivers     []Waiver `yaml:"waivers"`
	// AllowUnanalysed are patterns of the names of Applications that need not be known: those of remote charts, for one.
	AllowUnanalysed []string `yaml:"allow-unanalysed"`
	// Render says what is rendered into which folders.
	Render []render.Entry `yaml:"render"`
	// MaxDeleted is how many objects a change may delete, and MaxDeletedPercent how much of one Application or cluster. 0 is any number.
	MaxDeleted        *int `yaml:"max-deleted"`
	MaxDeletedPercent *int `yaml:"max-deleted-percent"`

	file      string
	text      []byte
	ignore    []glob.Glob
	allow     []glob.Glob
	own       []*finding.Waiver
	approvals []*finding.Waiver
}

// Convention is rule.Convention.
type Convention struct {
	Path        string `yaml:"path"`
	Application string `yaml:"application"`
	Project     string `yaml:"project"`
	Namespace   string `yaml:"namespace"`
}

// Rule is what the settings say of one.
type Rule struct {
	// Off is why it is turned off.
	Off string `yaml:"off"`
	// Severity is "info", "warning" or "error".
	Severity string `yaml:"severity"`
}

// Waiver lets findings pass until a day.
type Waiver struct {
	Rule        string   `yaml:"rule"`
	Rules       []string `yaml:"rules"`
	Object      string   `yaml:"object"`
	Path        string   `yaml:"path"`
	Application string   `yaml:"application"`
	Reason      string   `yaml:"reason"`
	Expires     string   `yaml:"expires"`
	// By is who approves. Waivers of deletions have it.
	By string `yaml:"by"`

	line int
}

// UnmarshalYAML reads it with its line. The decoder of the file does not know of fields here, so they are looked at first.
func (w *Waiver) UnmarshalYAML(n *yaml.Node) error {
	type plain Waiver
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: a waiver is a mapping", n.Line)
	}
	fields := []string{"rule", "rules", "object", "path", "application", "reason", "expires", "by"}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key := n.Content[i]; !slices.Contains(fields, key.Value) {
			return fmt.Errorf("line %d: %s", key.Line, noField(key.Value, fields))
		}
	}
	err := n.Decode((*plain)(w))
	w.line = n.Line
	return err
}

// Size is a number of bytes.
type Size int64

var size = regexp.MustCompile(`^([0-9]{1,12})(KiB|MiB|GiB|B)?$`)

// UnmarshalYAML reads 10MiB and its like.
func (s *Size) UnmarshalYAML(n *yaml.Node) error {
	m := size.FindStringSubmatch(n.Value)
	if m == nil {
		return fmt.Errorf("line %d: %q is no size: 10MiB is one", n.Line, n.Value)
	}
	number, err := strconv.ParseInt(m[1], 10, 64)
	*s = Size(number << map[string]int{"KiB": 10, "MiB": 20, "GiB": 30}[m[2]])
	return err
}

// Read reads a file. Where it is not there, and may be missing, the settings are the defaults.
func Read(file string, mayBeMissing bool) (*Settings, error) {
	text, err := readFile(file)
	if errors.Is(err, os.ErrNotExist) && mayBeMissing {
		return Parse(nil)
	} else if err != nil {
		return nil, fmt.Errorf("reading the settings: %w", err)
	}
	s, err := parse(file, text, func(name string) ([]byte, error) { return readFile(filepath.Join(filepath.Dir(file), name)) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return s, nil
}

func readFile(file string) ([]byte, error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(in, MaxSize+1))
	if err == nil && len(text) > MaxSize {
		err = fmt.Errorf("%s has more than %d bytes", file, MaxSize)
	}
	return text, err
}

// Parse reads the text of settings that name no other file.
func Parse(text []byte) (*Settings, error) {
	return parse(Name, text, func(name string) ([]byte, error) { return nil, fmt.Errorf("waivers-file: %s is not read here", name) })
}

func parse(file string, text []byte, open func(string) ([]byte, error)) (*Settings, error) {
	s := &Settings{file: filepath.Base(file), text: text}
	if err := decode(text, s, fields); err != nil {
		return nil, err
	}
	if err := s.waivers(s.file, s.Waivers); err != nil {
		return nil, err
	}
	if s.WaiversFile != "" {
		more, err := open(s.WaiversFile)
		if err != nil {
			return nil, fmt.Errorf("reading the waivers: %w", err)
		}
		list, err := waiversOf(s.WaiversFile, more)
		if err != nil {
			return nil, err
		}
		if err := s.waivers(s.WaiversFile, list); err != nil {
			return nil, err
		}
	}
	if err := s.compile(); err != nil {
		return nil, err
	}
	if err := s.checkRender(); err != nil {
		return nil, err
	}
	_, err := s.Config()
	return s, err
}

// decode reads one document of which every field is known.
func decode(text []byte, into any, known []string) error {
	if len(text) > MaxSize {
		return fmt.Errorf("there are more than %d bytes", MaxSize)
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return explain(err, text, known)
	}
	if err := d.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return errors.New("there is a second document, which nothing would read")
	}
	return nil
}

// fields are the names of all fields, to find the one that was meant.
var fields = append(render.Fields(), strings.Fields("conventions instance repositories clusters ignore scopes stateful argocd-version kube-version api-versions tracking "+
	"max-manifests quorum backup-labels rules waivers-file waivers "+
	"allow-unanalysed max-deleted max-deleted-percent path application project namespace off severity render")...)

// compile makes the patterns ready, and checks the numbers.
func (s *Settings) compile() error {
	if n := s.MaxDeleted; n != nil && *n < 0 {
		return fmt.Errorf("max-deleted is %d: it is a number of objects, and 0 is any", *n)
	}
	if n := s.MaxDeletedPercent; n != nil && (*n < 0 || *n > 100) {
		return fmt.Errorf("max-deleted-percent is %d: it is between 0 and 100, and 0 is any", *n)
	}
	for _, of := range []struct {
		name  string
		texts []string
		to    *[]glob.Glob
	}{{"ignore", s.Ignore, &s.ignore}, {"allow-unanalysed", s.AllowUnanalysed, &s.allow}} {
		for _, text := range of.texts {
			g, err := glob.Compile(text, '/')
			if err != nil {
				return fmt.Errorf("%s: %q is no pattern: %w", of.name, text, err)
			}
			*of.to = append(*of.to, g)
		}
	}
	return nil
}

// Allows says whether an Application need not be analysed.
func (s *Settings) Allows(application string) bool {
	return slices.ContainsFunc(s.allow, func(g glob.Glob) bool { return g.Match(application) })
}

// Config returns what rules heed.
func (s *Settings) Config() (*rule.Config, error) {
	c := rule.Default()
	if s.Conventions != nil {
		c.Conventions = nil
	}
	for _, convention := range s.Conventions {
		c.Conventions = append(c.Conventions, rule.Convention(convention))
	}
	c.Instance, c.Clusters, c.BackupLabels, c.Render = s.Instance, s.Clusters, s.BackupLabels, s.Render
	if s.Quorum != nil {
		c.Quorum = s.Quorum
	}
	if s.MaxManifests != 0 {
		c.MaxManifests = int64(s.MaxManifests)
	}
	for _, text := range s.Stateful {
		c.Stateful = append(c.Stateful, kind(text))
	}
	switch s.Tracking {
	case "", "annotation", "annotation+label":
	case "label":
		c.LabelTracking = true
	default:
		return nil, fmt.Errorf("tracking is %q: annotation, annotation+label and label are the methods", s.Tracking)
	}
	if s.KubeVersion != "" && !kubeVersion.MatchString(s.KubeVersion) {
		return nil, fmt.Errorf("kube-version is %q: 1.34 and 1.34.2 are versions", s.KubeVersion)
	}
	if s.ArgoCDVersion != "" {
		if _, err := fmt.Sscanf(strings.TrimPrefix(s.ArgoCDVersion, "v")+".", "%d.%d.", &c.Version[0], &c.Version[1]); err != nil {
			return nil, fmt.Errorf("argocd-version is %q: 3.2 is one", s.ArgoCDVersion)
		}
	}
	if err := s.rules(c); err != nil {
		return nil, err
	}
	return c, c.Check()
}

func (s *Settings) rules(c *rule.Config) error {
	c.Off, c.Severities = make(map[string]string), make(map[string]finding.Severity)
	for _, id := range slices.Sorted(maps.Keys(s.Rules)) {
		r := s.Rules[id]
		if !slices.Contains(rule.IDs(), id) {
			return fmt.Errorf("rules: there is no rule %q: %s is near to it", id, nearest.Of(id, rule.IDs()))
		}
		switch {
		case r.Off != "" && len(strings.Fields(r.Off)) < 2:
			return fmt.Errorf("rules.%s.off is %q: it is the reason why the rule is turned off, in some words", id, r.Off)
		case r.Off != "":
			c.Off[id] = r.Off
		case r.Severity == "":
			return fmt.Errorf("rules.%s says nothing: off or severity is wanted", id)
		}
		if r.Severity != "" {
			var severity finding.Severity
			if err := severity.UnmarshalText([]byte(r.Severity)); err != nil {
				return fmt.Errorf("rules.%s.severity: %w", id, err)
			}
			c.Severities[id] = severity
		}
	}
	return nil
}

// kind reads GROUP/KIND, or KIND in the core group.
func kind(text string) object.Kind {
	group, name, found := strings.Cut(text, "/")
	if !found {
		return object.Kind{Kind: text}
	}
	return object.Kind{Group: group, Kind: name}
}

var kubeVersion = regexp.MustCompile(`^v?[0-9]+\.[0-9]+(\.[0-9]+)?$`)

// Inventory returns how a tree is to be read.
func (s *Settings) Inventory() (inventory.Options, error) {
	c, err := s.Config()
	if err != nil {
		return inventory.Options{}, err
	}
	o := inventory.Options{Keep: rule.Keep(c), Repositories: s.Repositories, Clusters: s.Clusters, Scopes: make(map[object.Kind]bool),
		KubeVersion: s.KubeVersion, APIVersions: s.APIVersions}
	for text, scope := range s.Scopes {
		if scope != "cluster" && scope != "namespace" {
			return o, fmt.Errorf("scopes.%s is %q: cluster and namespace are the scopes", text, scope)
		}
		o.Scopes[kind(text)] = scope == "namespace"
	}
	own := []string{s.file, s.WaiversFile}
	o.Ignore = func(path string) bool {
		return slices.Contains(own, path) || slices.ContainsFunc(s.ignore, func(g glob.Glob) bool { return g.Match(path) })
	}
	return o, nil
}
