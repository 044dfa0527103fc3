package recovery

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// Class is what a workload is to the others, which decides when it starts.
type Class string

// The classes, in the order of their start.
const (
	Coordination Class = "coordination" // etcd: metadata before data
	Quorum       Class = "quorum"       // ZooKeeper: what the log needs
	Log          Class = "log"          // Kafka: accepts writes before the storage can
	Writer       Class = "writer"       // takes writes into the log
	Storage      Class = "storage"      // reads the log
	Reader       Class = "reader"       // everything that serves people, and what is not said to be anything else
	Scheduled    Class = "scheduled"    // CronJobs, Jobs, and what runs tasks
)

// Classes are all of them, in order.
var Classes = []Class{Coordination, Quorum, Log, Writer, Storage, Reader, Scheduled}

// Policy says what is special about an environment. The zero value is what most have.
type Policy struct {
	// Freeze are workloads that change others and stop first, beside Argo CD's: operators, autoscalers, what prunes backups.
	Freeze []Target `json:"freeze,omitempty"`
	// Rules say which class a workload is of. The first that matches counts; the built-in ones come last.
	Rules []Rule `json:"rules,omitempty"`
	// Quiet is how long nothing may change before the plan trusts what it sees.
	Quiet string `json:"quiet,omitempty"`
	// Timeout is how long a step may take, unless its rule says another.
	Timeout string `json:"timeout,omitempty"`
	// Surge is by how much the writers are scaled up before storage is there; 1 leaves them as they are.
	Surge float64 `json:"surge,omitempty"`
	// GroupLabel is the label with a storage set's partition group.
	GroupLabel string `json:"groupLabel,omitempty"`
}

// Target names workloads by globs. An empty namespace is every one.
type Target struct {
	Kind      string `json:"kind"` // Deployment or StatefulSet
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// Rule gives a class to workloads.
type Rule struct {
	Class Class `json:"class"`
	// Kinds, Names (globs), Namespaces (globs) and Labels (globs of values) must all match; what is not said matches.
	Kinds      []string          `json:"kinds,omitempty"`
	Names      []string          `json:"names,omitempty"`
	Namespaces []string          `json:"namespaces,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	// Probes is off, keep or auto. Auto takes them off where a set of several pods waits for the readiness of each.
	Probes string `json:"probes,omitempty"`
	// Start is together or one-at-a-time.
	Start string `json:"start,omitempty"`
	// Check is a command that ends well when the workload does its work. {namespace}, {name}, {replicas} and {pod} stand for the
	// workload's, and the last pod that was started.
	Check []string `json:"check,omitempty"`
	// Timeout is how long the workload may take to be ready.
	Timeout string `json:"timeout,omitempty"`
}

// globs make names that are one of these, or begin or end with it as a word.
func globs(words ...string) (all []string) {
	for _, w := range words {
		all = append(all, w, w+"-*", "*-"+w, "*-"+w+"-*")
	}
	return all
}

// builtIn are the rules for what has a name of its own in this field.
func builtIn() []Rule {
	return []Rule{
		{Class: Scheduled, Kinds: []string{"CronJob", "Job"}},
		{Class: Coordination, Kinds: []string{"StatefulSet"}, Names: globs("etcd", "consul"), Probes: "auto", Start: "together"},
		{Class: Quorum, Kinds: []string{"StatefulSet"}, Names: globs("zookeeper", "zk"), Probes: "auto", Start: "together"},
		{Class: Log, Kinds: []string{"StatefulSet"}, Names: globs("kafka", "redpanda"), Probes: "off", Start: "one-at-a-time"},
		{Class: Writer, Names: globs("gateway-write", "writer", "write", "ingest", "ingester", "router")},
		{Class: Scheduled, Names: globs("task", "tasks", "scheduler", "compactor")},
		{Class: Storage, Kinds: []string{"StatefulSet"}},
		{Class: Reader},
	}
}

var wrongType = regexp.MustCompile(`cannot unmarshal (\w+) into Go struct field \w+\.(\S+) of type (\S+)`)

// wantedOf says what a Go type is in YAML.
func wantedOf(kind string) string {
	switch {
	case strings.HasPrefix(kind, "[]"):
		return "a list"
	case strings.HasPrefix(kind, "float"), strings.HasPrefix(kind, "int"):
		return "a number"
	case kind == "string", kind == "recovery.Class":
		return "a text"
	}
	return "a mapping of fields to values"
}

// ParsePolicy reads a policy. Unknown keys are errors.
func ParsePolicy(b []byte) (*Policy, error) {
	p := &Policy{}
	if err := yaml.UnmarshalStrict(b, p); err != nil {
		if found := wrongType.FindStringSubmatch(err.Error()); found != nil {
			return nil, fmt.Errorf("not a policy: %s: a %s is there, where %s is wanted", found[2], found[1], wantedOf(found[3]))
		}
		return nil, fmt.Errorf("not a policy: %w", err)
	}
	return p, p.complete()
}

// complete fills what was left out and checks the whole.
func (p *Policy) complete() error {
	p.Quiet = orElse(p.Quiet, "2m")
	p.Timeout = orElse(p.Timeout, "10m")
	p.GroupLabel = orElse(p.GroupLabel, "guard.holdfast.dev/partition-group")
	if p.Surge == 0 {
		p.Surge = 2
	}
	var errs []error
	if p.Surge < 1 || p.Surge > 100 || math.IsNaN(p.Surge) {
		errs = append(errs, fmt.Errorf("surge: %v is not between 1 and 100", p.Surge))
	}
	for name, d := range map[string]string{"quiet": p.Quiet, "timeout": p.Timeout} {
		errs = append(errs, checkDuration(name, d))
	}
	for i, t := range p.Freeze {
		if t.Kind != "Deployment" && t.Kind != "StatefulSet" {
			errs = append(errs, fmt.Errorf("freeze[%d].kind: %q is not Deployment or StatefulSet", i, t.Kind))
		}
		errs = append(errs, checkGlobs(fmt.Sprintf("freeze[%d]", i), t.Name, t.Namespace))
	}
	for i, r := range p.Rules {
		errs = append(errs, r.check(fmt.Sprintf("rules[%d]", i)))
	}
	return errors.Join(errs...)
}

func (r Rule) check(at string) error {
	var errs []error
	if !slices.Contains(Classes, r.Class) {
		errs = append(errs, fmt.Errorf("%s.class: %q is none of %v", at, r.Class, Classes))
	}
	if !slices.Contains([]string{"", "off", "keep", "auto"}, r.Probes) {
		errs = append(errs, fmt.Errorf("%s.probes: %q is not off, keep or auto", at, r.Probes))
	}
	if !slices.Contains([]string{"", "together", "one-at-a-time"}, r.Start) {
		errs = append(errs, fmt.Errorf("%s.start: %q is not together or one-at-a-time", at, r.Start))
	}
	if r.Timeout != "" {
		errs = append(errs, checkDuration(at+".timeout", r.Timeout))
	}
	globs := slices.Concat(r.Names, r.Namespaces, slices.Collect(maps.Values(r.Labels)))
	return errors.Join(append(errs, checkGlobs(at, globs...))...)
}

func checkDuration(at, s string) error {
	d, err := time.ParseDuration(s)
	if err == nil && (d < 0 || d > 24*time.Hour) {
		err = fmt.Errorf("%s is not between 0 and 24 hours", s)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	return nil
}

func checkGlobs(at string, globs ...string) error {
	for _, g := range globs {
		if _, err := path.Match(g, ""); err != nil {
			return fmt.Errorf("%s: %q: %w", at, g, err)
		}
	}
	return nil
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// rule finds the one of a workload.
func (p *Policy) rule(kind, namespace, name string, labels map[string]string) Rule {
	for _, r := range slices.Concat(p.Rules, builtIn()) {
		if r.matches(kind, namespace, name, labels) {
			return r
		}
	}
	return Rule{Class: Reader}
}

func (r Rule) matches(kind, namespace, name string, labels map[string]string) bool {
	if len(r.Kinds) > 0 && !slices.Contains(r.Kinds, kind) || len(r.Names) > 0 && !anyGlob(r.Names, name) || len(r.Namespaces) > 0 && !anyGlob(r.Namespaces, namespace) {
		return false
	}
	for k, glob := range r.Labels {
		if v, ok := labels[k]; !ok || !anyGlob([]string{glob}, v) {
			return false
		}
	}
	return true
}

func anyGlob(globs []string, s string) bool {
	return slices.ContainsFunc(globs, func(g string) bool {
		ok, _ := path.Match(g, s) // checked when the policy was read
		return ok
	})
}

// argoCD are the controllers that put back what a recovery changes.
var argoCD = []struct{ kind, component string }{
	{"StatefulSet", "argocd-application-controller"},
	{"Deployment", "argocd-application-controller"}, // with dynamic distribution of clusters
	{"Deployment", "argocd-applicationset-controller"},
}
