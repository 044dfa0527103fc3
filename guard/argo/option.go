package argo

import (
	"slices"
	"strings"
)

// Annotations that Argo CD reads on objects.
const (
	SyncOptions      = "argocd.argoproj.io/sync-options"
	CompareOptions   = "argocd.argoproj.io/compare-options"
	SyncWave         = "argocd.argoproj.io/sync-wave"
	Hook             = "argocd.argoproj.io/hook"
	HookDeletePolicy = "argocd.argoproj.io/hook-delete-policy"
	TrackingID       = "argocd.argoproj.io/tracking-id"
	InstallationID   = "argocd.argoproj.io/installation-id"
	HelmHook         = "helm.sh/hook"
	HelmKeep         = "helm.sh/resource-policy"
	InstanceLabel    = "app.kubernetes.io/instance"

	HelmHookDeletePolicy = "helm.sh/hook-delete-policy"
	HelmHookWeight       = "helm.sh/hook-weight"
)

// Options are sync options: of an object, or of an Application.
type Options []Option

// Option is one sync option as it is written: Argo CD compares key and value exactly.
type Option struct{ Key, Value string }

// ParseOptions reads the annotation of an object: options are apart by commas, and blanks around them are nothing.
func ParseOptions(annotation string) Options {
	if annotation == "" {
		return nil
	}
	return OptionsOf(strings.Split(annotation, ","))
}

// OptionsOf reads the list of an Application.
func OptionsOf(list []string) Options {
	var options Options
	for _, text := range list {
		key, value, _ := strings.Cut(strings.TrimSpace(text), "=")
		options = append(options, Option{key, value})
	}
	return options
}

// Has says whether an option is there with that value, whatever else the list says of it: so Argo CD asks for each value that it knows.
func (o Options) Has(key, value string) bool { return slices.Contains(o, Option{key, value}) }

// Names says whether an option is there, with any value.
func (o Options) Names(key string) bool {
	return slices.ContainsFunc(o, func(option Option) bool { return option.Key == key })
}

// Protection is what stands between an object and its deletion.
type Protection int

const (
	// Open objects are deleted.
	Open Protection = iota
	// Confirmed ones are deleted when a person has approved it, and hold back the whole sync until then.
	Confirmed
	// Kept ones are not deleted.
	Kept
)

// Protects says what the options protect from, "Prune" or "Delete": "false" keeps, also beside another value.
func (o Options) Protects(key string) Protection {
	switch {
	case o.Has(key, "false"):
		return Kept
	case o.Has(key, "confirm"):
		return Confirmed
	}
	return Open
}

// PruneProtection returns what protects an object from pruning by its own annotations. Argo CD reads those of the live object.
func PruneProtection(annotations map[string]string) Protection {
	return ParseOptions(annotations[SyncOptions]).Protects("Prune")
}

// DeleteProtection returns what protects an object when its Application is deleted.
func DeleteProtection(annotations map[string]string) Protection {
	p := ParseOptions(annotations[SyncOptions]).Protects("Delete")
	if p == Open && annotations[HelmKeep] == "keep" {
		return Kept
	}
	return p
}
