package rule

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/internal/nearest"
)

func protectionRules() []*Rule {
	return []*Rule{
		{ID: "HG040", Name: "stateful-unprotected", Severity: finding.Error, Fixable: true,
			Catches: "A StatefulSet, a PersistentVolumeClaim, a PersistentVolume, a snapshot or a database, also one of a cloud, has neither `Prune=false` nor `Prune=confirm`.",
			Why:     "When it leaves git by whatever mistake, Argo CD deletes it. With the protection on the live object it stays, and the Application is out of sync instead.",
			Mend:    "annotate it with argocd.argoproj.io/sync-options: Prune=false,Delete=false", Setting: "`stateful`; `argocd-version`, for options of whole Applications count from 3.4 on", run: unprotected},
		{ID: "HG041", Name: "namespace-unprotected", Severity: finding.Error, Fixable: true,
			Catches: "A Namespace lacks `Prune=false` or `Delete=false` (or `confirm`).",
			Why:     "A Namespace that is deleted takes everything in it along, also what is protected itself.",
			Mend:    "annotate it with argocd.argoproj.io/sync-options: Prune=false,Delete=false", run: namespaces},
		{ID: "HG042", Name: "delete-unprotected", Severity: finding.Warning, Fixable: true,
			Catches: "An object that holds state is protected from pruning and not from the deletion of its Application.",
			Why:     "`Prune=false` does not survive the deletion of the Application, which deletes everything that has no `Delete=false`.",
			Mend:    "add Delete=false", Setting: "`stateful`", run: func(*pass) {}},
		{ID: "HG043", Name: "child-app-unprotected", Severity: finding.Error, Fixable: true,
			Catches: "An Application that another one applies deletes its objects with itself, and has no protection from pruning on itself.",
			Why:     "When it leaves git, or is renamed, the one above prunes it, and its finalizer deletes its whole workload.",
			Mend:    "annotate the Application with argocd.argoproj.io/sync-options: Prune=confirm, or take its finalizer off", run: children},
		{ID: "HG044", Name: "option-misspelt", Severity: finding.Error,
			Catches: "A sync option that Argo CD does not know: another spelling, upper or lower case, a colon, or a value that the option does not have. One that is like none that is known is a warning.",
			Why:     "Argo CD compares options exactly and says nothing of others: `prune=false` protects nothing.",
			Mend:    "write it as Argo CD does", run: misspelt},
		{ID: "HG045", Name: "option-contradiction", Severity: finding.Error,
			Catches: "A sync option is there twice with two values, or an object's `Prune=true` or `Delete=true` cancels what its Application says.",
			Why:     "Of two values of one option a reader does not know which counts, and an object counts before its Application: a protection that stands there is none.",
			Mend:    "remove the one that is not meant", run: contradictions},
		{ID: "HG046", Name: "false-protection", Severity: finding.Warning,
			Catches: "An object without protection from pruning has something that looks like it: `IgnoreExtraneous`, `helm.sh/resource-policy: keep`, Flux's `prune: disabled`, or the label of another controller.",
			Why:     "None of these keeps Argo CD from pruning.",
			Mend:    "add Prune=false", run: falseProtection},
	}
}

// appOptions returns what an Application says for all its objects, as far as its Argo CD heeds that.
func (c *check) appOptions(a *inventory.Application) argo.Options {
	if a == nil || c.config.Version[0] < 3 || c.config.Version[0] == 3 && c.config.Version[1] < 4 {
		return nil
	}
	return argo.OptionsOf(a.Spec.SyncPolicy.SyncOptions)
}

// guards returns what an object's own option of a key says, or else its Application's.
func (c *check) guards(o *object.Object, a *inventory.Application, key string) argo.Protection {
	own := argo.ParseOptions(o.Annotations[argo.SyncOptions])
	switch {
	case own.Names(key):
		return own.Protects(key)
	case key == "Delete" && o.Annotations[argo.HelmKeep] == "keep":
		return argo.Kept
	}
	return c.appOptions(a).Protects(key)
}

// reader returns the Application that has an object, nil where there is none.
func (c *check) reader(o inventory.Origin) *inventory.Application {
	if a := c.makers[o.Object]; a != nil {
		return a
	}
	if readers := c.readers[o.Path]; len(readers) > 0 {
		return readers[0]
	}
	return nil
}

// isHook says whether an object is made for a sync and not kept by it.
func isHook(o *object.Object) bool {
	return o.Annotations[argo.Hook] != "" || o.Annotations[argo.HelmHook] != ""
}

var optionField = way("metadata", "annotations", argo.SyncOptions)

// unprotected finds objects that hold state and may be pruned. It speaks for HG042 too.
func unprotected(p *pass) {
	deletes := &pass{p.check, ruleOf(protectionRules(), "HG042")}
	_, off := p.config.Off["HG042"]
	p.each(func(o inventory.Origin) {
		if !p.holdsState(o.Object.GroupKind()) || isHook(o.Object) {
			return
		}
		a := p.reader(o)
		if p.guards(o.Object, a, "Prune") == argo.Open {
			p.find(o, optionField, "%s holds state, and nothing keeps it from being pruned", p.key(o))
		} else if !off && p.guards(o.Object, a, "Delete") == argo.Open {
			deletes.find(o, optionField, "%s is kept from pruning, and not from the deletion of its Application", p.key(o))
		}
	})
}

func ruleOf(rules []*Rule, id string) *Rule {
	return rules[slices.IndexFunc(rules, func(r *Rule) bool { return r.ID == id })]
}

func namespaces(p *pass) {
	p.each(func(o inventory.Origin) {
		if o.Object.GroupKind() != (object.Kind{Kind: "Namespace"}) || isHook(o.Object) {
			return
		}
		var lacks []string
		for _, key := range []string{"Prune", "Delete"} {
			if p.guards(o.Object, p.reader(o), key) == argo.Open {
				lacks = append(lacks, key+"=false")
			}
		}
		if len(lacks) > 0 {
			p.find(o, optionField, "%s has no %s: when it goes, everything in it goes", p.key(o), strings.Join(lacks, " and no "))
		}
	})
}

func children(p *pass) {
	for _, a := range p.Applications {
		if a.Set != "" || len(a.Parents) == 0 || !a.Cascades() {
			continue
		}
		if p.guards(a.Object, a.Parents[0], "Prune") == argo.Open {
			p.find(a.Origin, optionField, "%s/%s has the finalizer that deletes everything that it has, and nothing keeps %s from pruning it", a.Metadata.Namespace, a.Metadata.Name, a.Parents[0].Metadata.Name)
		}
	}
}

// values are the options that Argo CD knows, with their values. Any value will do where there is none.
var values = map[string][]string{
	"Prune": {"true", "false", "confirm"}, "Delete": {"true", "false", "confirm"}, "PruneLast": {"true", "false"}, "Replace": {"true", "false"}, "Force": {"true", "false"},
	"ServerSideApply": {"true", "false"}, "FailOnSharedResource": {"true", "false"}, "CreateNamespace": {"true", "false"}, "ApplyOutOfSyncOnly": {"true", "false"},
	"RespectIgnoreDifferences": {"true", "false"}, "Validate": {"true", "false"}, "SkipDryRunOnMissingResource": {"true", "false"}, "ClientSideApplyMigration": {"true", "false"},
	"PrunePropagationPolicy": {"foreground", "background", "orphan"},
}

// options are the names of all options, in a fixed order, for suggestions.
var options = func() []string {
	var names []string
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}()

// annotations of Argo CD that protect, or that waive, for suggestions.
var protecting = []string{argo.SyncOptions, argo.CompareOptions, finding.WaiveAnnotation}

// misspelt finds options that Argo CD does not know.
func misspelt(p *pass) {
	meant := make(map[string]string) // by the key, for there are few keys and many objects
	p.each(func(o inventory.Origin) {
		for key := range o.Object.Annotations {
			near, ok := meant[key]
			if !ok {
				near = meantAnnotation(key)
				meant[key] = near
			}
			if near != "" {
				p.find(o, way("metadata", "annotations", key), "%s is an annotation that nobody knows: %s is meant", key, near)
			}
		}
		p.spelling(o, optionField, argo.ParseOptions(o.Object.Annotations[argo.SyncOptions]))
	})
	for _, a := range p.Applications {
		if a.Set == "" {
			p.spelling(a.Origin, way("spec", "syncPolicy", "syncOptions"), argo.OptionsOf(a.Spec.SyncPolicy.SyncOptions))
		}
	}
	for _, s := range p.Sets {
		p.spelling(s.Origin, way("spec", "template", "spec", "syncPolicy", "syncOptions"), optionsOf(get(s.Object.Body, "spec", "template", "spec")))
	}
}

// meantAnnotation returns the annotation that protects and that somebody meant who wrote another one, "" where that is not so.
func meantAnnotation(key string) string {
	near := nearest.Of(key, protecting)
	prefix, _, _ := strings.Cut(near, "/")
	if near == key || len(key) <= len(near)-3 || !strings.HasPrefix(key, prefix+"/") || knownAnnotation[key] {
		return ""
	}
	return near
}

// knownAnnotation are the other annotations of Argo CD: none of them is a spelling of one that protects.
var knownAnnotation = func() map[string]bool {
	known := make(map[string]bool)
	for _, name := range strings.Fields(`sync-wave hook hook-delete-policy skip-reconcile tracking-id installation-id deletion-approved refresh hydrate
		manifest-generate-paths ignore-healthcheck ignore-default-links ignore-resource-updates managed-by-url application-set-refresh
		client-side-apply-migration-manager auto-label-cluster-info kubernetes-version secret-type`) {
		known["argocd.argoproj.io/"+name] = true
	}
	return known
}()

// spelling looks at a list of options. field is the annotation, or the list, whose items have options of their own.
func (p *pass) spelling(o inventory.Origin, field []string, given argo.Options) {
	for n, option := range given {
		at := field
		if field[len(field)-1] == "syncOptions" {
			at = append(slices.Clip(field), fmt.Sprintf("[%d]", n))
		}
		written := strings.TrimSuffix(option.Key+"="+option.Value, "=")
		known, ok := values[option.Key]
		switch {
		case written == "" || strings.Contains(written, "{{"):
		case ok && (slices.Contains(known, option.Value)):
		case ok:
			p.find(o, at, "the sync option %q says nothing to Argo CD: %s is %s", written, option.Key, strings.Join(known, " or "))
		default:
			key, _, _ := strings.Cut(strings.TrimSpace(option.Key), ":")
			f := p.find(o, at, "the sync option %q says nothing to Argo CD", written)
			if near := nearest.Of(strings.TrimSpace(key), options); near != "" {
				f.Message += ": " + near + "=" + values[near][0] + " is an option, exactly so"
				continue
			}
			p.lower(f, finding.Warning)
		}
	}
}

func contradictions(p *pass) {
	p.each(func(o inventory.Origin) {
		given := argo.ParseOptions(o.Object.Annotations[argo.SyncOptions])
		p.twice(o, optionField, given)
		a := p.reader(o)
		if a == nil {
			return
		}
		above := argo.OptionsOf(a.Spec.SyncPolicy.SyncOptions)
		for _, key := range []string{"Prune", "Delete"} {
			if given.Has(key, "true") && given.Protects(key) == argo.Open && above.Protects(key) != argo.Open {
				p.find(o, optionField, "%s=true of %s cancels the protection that %s gives by its own %s option", key, p.key(o), a.Metadata.Name, key)
			}

		}
	})
	for _, a := range p.Applications {
		if a.Set == "" {
			p.twice(a.Origin, way("spec", "syncPolicy", "syncOptions"), argo.OptionsOf(a.Spec.SyncPolicy.SyncOptions))
		}
	}
	for _, s := range p.Sets {
		p.twice(s.Origin, way("spec", "template", "spec", "syncPolicy", "syncOptions"), optionsOf(get(s.Object.Body, "spec", "template", "spec")))
	}
}

// twice finds options with two values.
func (p *pass) twice(o inventory.Origin, field []string, given argo.Options) {
	if len(given) < 2 {
		return
	}
	seen := make(map[string]string, len(given))
	for _, option := range given {
		before, ok := seen[option.Key]
		if !ok {
			seen[option.Key] = option.Value
			continue
		}
		if before != option.Value {
			p.find(o, field, "%s is %s and then %s: Argo CD asks for each value it knows, and false keeps", option.Key, before, option.Value)
		}
	}
}

// looksProtected are annotations and labels that are taken for protection from pruning.
var looksProtected = []struct{ key, value string }{
	{argo.CompareOptions, "IgnoreExtraneous"}, {argo.HelmKeep, "keep"}, {"kustomize.toolkit.fluxcd.io/prune", "disabled"}, {"policy.kruise.io/delete-protection", ""},
}

func falseProtection(p *pass) {
	p.each(func(o inventory.Origin) {
		if len(o.Object.Annotations)+len(o.Object.Labels) == 0 || isHook(o.Object) || p.guards(o.Object, p.reader(o), "Prune") != argo.Open {
			return
		}
		for _, looks := range looksProtected {
			field := "annotations"
			value, ok := o.Object.Annotations[looks.key]
			if !ok {
				field = "labels"
				value, ok = o.Object.Labels[looks.key]
			}
			if ok && strings.Contains(value, looks.value) {
				p.find(o, way("metadata", field, looks.key), "%s of %s does not keep Argo CD from pruning it", looks.key, p.key(o))
			}
		}
	})
}
