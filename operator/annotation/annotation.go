// Package annotation reads what a pod's annotations ask for.
//
// The keys are telegraf-operator's, telegraf.influxdata.com/KEY, and the same under holdfast.dev/KEY, which win. Keys under
// NAME.holdfast.dev/ ask for a further sidecar of that name, with everything of its own.
//
// Every value is checked. A mistake that would make another sidecar than the one asked for is fatal to that sidecar, not to the pod
// and not to its other sidecars. What telegraf-operator mended silently (a quantity that is none) stays mended, with a warning.
// Nothing here depends on the order of a map: the same annotations give the same Request.
package annotation

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/holdfast-telemetry/holdfast/internal/nearest"
)

// The prefixes of keys.
const (
	// Telegraf is telegraf-operator's prefix.
	Telegraf = "telegraf.influxdata.com/"
	// Holdfast is our own. It wins over Telegraf.
	Holdfast = "holdfast.dev/"
	// further ends the prefix of a further sidecar's keys.
	further = "." + Holdfast
	// Written is the prefix of what the operator itself writes on a pod. Such keys ask for nothing.
	Written = "sidecar.holdfast.dev/"
	// ClassLabel is the prefix of the labels that name the hash of each class that a pod has.
	ClassLabel = "class.holdfast.dev/"
	// istio cannot be the name of a further sidecar: the one for Istio's proxy has it.
	istio = "istio"
)

// Problem is something to tell the author of an annotation.
type Problem struct {
	// Key is the whole key, with its prefix.
	Key string
	// Message says what is wrong and how to mend it.
	Message string
	// Fatal problems keep their sidecar from being made.
	Fatal bool
}

func (p Problem) String() string { return p.Key + ": " + p.Message }

// Request is what the annotations of a pod ask for.
type Request struct {
	// Sidecars are the telegraf sidecars, the one without a name first, the others by name.
	Sidecars []Sidecar
	// Istio are the resources of the sidecar that scrapes Istio's proxy, whose other settings are the operator's. NoIstio is set when the
	// pod is not to have it: the first sidecar's switch is that of both.
	Istio   Resources
	NoIstio bool
	// Problems belong to no sidecar: keys that mean nothing.
	Problems []Problem
}

// Sidecar is what the annotations ask of one sidecar.
type Sidecar struct {
	// Name is empty for the first sidecar.
	Name string
	// Classes are the names of the classes, in their order; empty means the operator's default.
	Classes []string
	// Inputs is a text in Telegraf's format, kept as it is.
	Inputs string
	// Scrape is the Prometheus input to generate, nil when no port is named.
	Scrape *Scrape
	// Interval is how often the generated input gathers or, without one, the agent. Empty means as the class says.
	Interval string
	// Internal asks for the agent's own metrics; nil means as the operator's flag says.
	Internal *bool
	// Tags are added to every point, by name.
	Tags []Tag
	// Env and EnvFrom are the variables of the container, in the order of their kinds and then of their names.
	Env     []corev1.EnvVar
	EnvFrom []corev1.EnvFromSource
	// Mounts are volumes of the pod to mount, by name.
	Mounts []corev1.VolumeMount
	// Container is how the container is made.
	Container Container
	// Problems are what is wrong with the keys of this sidecar.
	Problems []Problem
}

// Fatal returns the problems for which the sidecar must not be made.
func (s *Sidecar) Fatal() (fatal []Problem) {
	for _, p := range s.Problems {
		if p.Fatal {
			fatal = append(fatal, p)
		}
	}
	return fatal
}

// Scrape is a Prometheus input to generate.
type Scrape struct {
	// Ports are in ascending order, each once.
	Ports []int
	// Scheme is http or https, Path begins with a slash.
	Scheme, Path string
	// MetricVersion is 0 when not said, NamePass is nil when not said.
	MetricVersion int
	NamePass      []string
	// BasicAuthSecret is a Secret with the keys username and password, TLSSecret one with ca.crt and, when TLSClient is set,
	// tls.crt and tls.key. BearerTokenSecret and BearerTokenKey are a Secret and its key. All are in the pod's namespace.
	BasicAuthSecret                   string
	BearerTokenSecret, BearerTokenKey string
	TLSSecret                         string
	TLSClient, TLSSkipVerify          bool
	TLSServerName                     string
}

// Tag is a tag of every point. Either Literal is set, or From says where the kubelet takes the value from.
type Tag struct {
	Name    string
	Literal string
	From    *corev1.EnvVarSource
}

// Parse reads annotations. It returns nil when they ask for nothing, not even by mistake.
func Parse(annotations map[string]string) *Request {
	groups, strays := group(annotations)
	if len(groups) == 0 && len(strays) == 0 {
		return nil
	}
	r := &Request{Problems: strays}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		p := &parser{values: groups[name], sidecar: Sidecar{Name: name}}
		p.parse()
		if name == "" {
			r.Istio, r.NoIstio = p.resources("istio-"), p.off
		}
		if p.known || len(p.sidecar.Fatal()) > 0 {
			r.Sidecars = append(r.Sidecars, p.sidecar)
		} else {
			r.Problems = append(r.Problems, p.sidecar.Problems...)
		}
	}
	return r
}

// value is one annotation: where it was found and what it says.
type value struct{ key, text string }

// group sorts annotations by sidecar and then by what follows the prefix.
func group(annotations map[string]string) (groups map[string]map[string]value, strays []Problem) {
	groups = map[string]map[string]value{}
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		name, short, ok := split(key)
		if !ok {
			if p := stray(key); p != nil {
				strays = append(strays, *p)
			}
			continue
		}
		if groups[name] == nil {
			groups[name] = map[string]value{}
		}
		// "holdfast.dev/" sorts before "telegraf.influxdata.com/", so what is there already wins.
		if _, taken := groups[name][short]; !taken {
			groups[name][short] = value{key, annotations[key]}
		}
	}
	return groups, strays
}

// split returns the sidecar that a key speaks of, and the key without its prefix.
func split(key string) (sidecar, short string, ok bool) {
	if strings.HasPrefix(key, Written) || strings.HasPrefix(key, ClassLabel) {
		return "", "", false
	}
	prefix, short, ok := strings.Cut(key, "/")
	switch prefix += "/"; {
	case !ok:
		return "", "", false
	case prefix == Holdfast, prefix == Telegraf:
		return "", short, true
	}
	name, ok := strings.CutSuffix(prefix, further)
	if !ok || name == istio || len(validation.IsDNS1123Label(name)) > 0 {
		return "", "", false
	}
	return name, short, true
}

// Asks says whether a key is one that a pod asks for something with.
func Asks(key string) bool {
	_, _, ok := split(key)
	return ok
}

// stray says what is wrong with a key that looks like one of ours and is not; nil when it does not look like one.
func stray(key string) *Problem {
	prefix, short, _ := strings.Cut(key, "/")
	switch {
	case strings.HasPrefix(key, Written), strings.HasPrefix(key, ClassLabel):
		return nil
	case key == prefix && key+"/" == Telegraf:
		return &Problem{Key: key, Message: "is not a key: after a slash comes what is asked for, such as " + Telegraf + "port"}
	case strings.HasSuffix(prefix, "telegraf.influxdata.com"):
		return &Problem{Key: key, Message: "is not heeded: a further sidecar's keys begin with NAME.holdfast.dev/, such as " +
			strings.SplitN(prefix, ".", 2)[0] + further + short}
	case prefix+"/" == istio+further:
		return &Problem{Key: key, Message: "is not heeded: no further sidecar can be called istio; the one for Istio's proxy is the operator's to switch on"}
	case strings.HasSuffix(prefix, further[:len(further)-1]):
		return &Problem{Key: key, Message: "is not heeded: before .holdfast.dev/ comes the name of a further sidecar, of lower case letters, digits and dashes"}
	}
	return nil
}

// suggest is the end of a message about a key that is not known.
func suggest(short string) string {
	if near := nearest.Of(short, known); near != "" {
		return "; did you mean " + near + "?"
	}
	for i, c := range short[:max(len(short)-1, 0)] {
		if c != '-' {
			continue
		}
		if near := nearest.Of(short[:i+1], prefixes); near != "" {
			return "; did you mean " + near + short[i+1:] + "?"
		}
	}
	return ""
}
