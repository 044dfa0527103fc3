package rule

import (
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

func syncRules() []*Rule {
	return []*Rule{
		{ID: "HG050", Name: "shared-check-off", Severity: finding.Error, Fixable: true,
			Catches: "An Application, or the template of an ApplicationSet, without `FailOnSharedResource=true`.",
			Why:     "With it, a sync that would take over an object of another Application that is there fails. It must be on all of them, for it works for the one that comes second. It does not see two definitions of one name, nor two Applications that share no object.",
			Mend:    "add FailOnSharedResource=true to spec.syncPolicy.syncOptions", run: sharedCheck},
		{ID: "HG051", Name: "allow-empty", Severity: finding.Error,
			Catches: "`allowEmpty: true` on an Application that has other Applications, Namespaces or objects that hold state.",
			Why:     "It takes away the one check that stops an automatic sync from deleting everything at once.",
			Mend:    "remove allowEmpty", Setting: "`stateful`", run: allowEmpty},
		{ID: "HG052", Name: "auto-prune-stateful", Severity: finding.Warning,
			Catches: "An Application prunes by itself, and has objects that hold state and nothing that keeps them from being pruned.",
			Why:     "A mistake in git is a deletion a moment later, before anybody can read of it.",
			Mend:    "turn automated.prune off for it, or protect the objects", Setting: "`stateful`", run: autoPrune},
		{ID: "HG053", Name: "destructive-sync", Severity: finding.Error,
			Catches: "`Replace=true` or `Force=true` for an object that holds state, of its own or by its Application.",
			Why:     "Argo CD then replaces it, or deletes it and makes it again, where others patch it.",
			Mend:    "remove the option", Setting: "`stateful`", run: destructive},
		{ID: "HG054", Name: "cascade-finalizer", Severity: finding.Warning,
			Catches: "An Application deletes its objects with itself, and some of those hold state and have no `Delete=false`.",
			Why:     "Whoever deletes the Application, by hand or by a rename in git, deletes the state.",
			Mend:    "take the finalizer off, or add Delete=false or Delete=confirm to the objects", Setting: "`stateful`", run: cascades},
		{ID: "HG055", Name: "tracking-in-git", Severity: finding.Error,
			Catches: "What Argo CD writes to know its objects is written in git: a tracking id, an installation id, or the label `app.kubernetes.io/instance` with the name of another Application. The label is an error only where Argo CD tracks by it.",
			Why:     "An object that says that it is another Application's is pruned by that one.",
			Mend:    "remove it", Setting: "`tracking`", run: tracking},
	}
}

func sharedCheck(p *pass) {
	const option = "FailOnSharedResource"
	for _, a := range p.Applications {
		if a.Set == "" && !argo.OptionsOf(a.Spec.SyncPolicy.SyncOptions).Has(option, "true") {
			p.find(a.Origin, way("spec", "syncPolicy", "syncOptions"), "%s/%s takes over objects of other Applications: it has no %s=true", a.Metadata.Namespace, a.Metadata.Name, option)
		}
	}
	for _, s := range p.Sets {
		if !optionsOf(get(s.Object.Body, "spec", "template", "spec")).Has(option, "true") {
			p.find(s.Origin, way("spec", "template", "spec", "syncPolicy", "syncOptions"), "the Applications of the set %s take over objects of others: its template has no %s=true", p.key(s.Origin).Name, option)
		}
	}
}

func allowEmpty(p *pass) {
	for _, a := range p.Applications {
		if automated := a.Spec.SyncPolicy.Automated; automated == nil || !automated.AllowEmpty || a.Set != "" {
			continue
		}
		for _, t := range a.Targets {
			k := t.Object.GroupKind()
			if p.holdsState(k) || isControl(t.Object) || k == (object.Kind{Kind: "Namespace"}) {
				p.find(a.Origin, way("spec", "syncPolicy", "automated", "allowEmpty"), "%s/%s may delete everything that it has by itself, %s for one", a.Metadata.Namespace, a.Metadata.Name, t.Key)
				break
			}
		}
	}
}

func autoPrune(p *pass) {
	for _, a := range p.Applications {
		if !a.Spec.SyncPolicy.Prunes() || a.Set != "" {
			continue
		}
		for _, t := range p.stateful(a) {
			if p.guards(t.Object, a, "Prune") == argo.Open && !isHook(t.Object) {
				p.find(a.Origin, way("spec", "syncPolicy", "automated", "prune"), "%s/%s prunes by itself, and %s of it is not kept", a.Metadata.Namespace, a.Metadata.Name, t.Key)
				break
			}
		}
	}
}

func destructive(p *pass) {
	p.each(func(o inventory.Origin) {
		if !p.holdsState(o.Object.GroupKind()) {
			return
		}
		own := argo.ParseOptions(o.Object.Annotations[argo.SyncOptions])
		for _, key := range []string{"Replace", "Force"} {
			if own.Has(key, "true") {
				p.find(o, optionField, "%s=true on %s, which holds state", key, p.key(o))
			}
		}
		a := p.reader(o)
		if a != nil && !own.Names("Replace") && argo.OptionsOf(a.Spec.SyncPolicy.SyncOptions).Has("Replace", "true") {
			p.find(o, way("kind"), "%s holds state, and Replace=true of %s is for it too", p.key(o), a.Metadata.Name)
		}
	})
}

func cascades(p *pass) {
	for _, a := range p.Applications {
		if !a.Cascades() || a.Set != "" {
			continue
		}
		for _, t := range p.stateful(a) {
			if p.guards(t.Object, a, "Delete") == argo.Open && !isHook(t.Object) {
				p.find(a.Origin, way("metadata", "finalizers"), "%s/%s deletes its objects with itself, and %s has nothing against that", a.Metadata.Namespace, a.Metadata.Name, t.Key)
				break
			}
		}
	}
}

func tracking(p *pass) {
	apps := make(map[string]bool)
	for _, a := range p.Applications {
		apps[a.Metadata.Name] = true
	}
	p.each(func(o inventory.Origin) {
		for _, key := range []string{argo.TrackingID, argo.InstallationID} {
			if value := o.Object.Annotations[key]; value != "" {
				p.find(o, way("metadata", "annotations", key), "%s has the %s %q in git", p.key(o), key, value)
			}
		}
		label := o.Object.Labels[argo.InstanceLabel]
		if a := p.reader(o); label != "" && a != nil && label != a.Metadata.Name && apps[label] {
			f := p.find(o, way("metadata", "labels", argo.InstanceLabel), "%s is in %s, and its label says that it is in %s", p.key(o), a.Metadata.Name, label)
			if !p.config.LabelTracking {
				p.lower(f, finding.Warning)
			}
		}
	})
	for _, a := range p.Applications {
		for _, field := range []string{"annotations", "labels"} {
			m, _ := get(a.Object.Body, "spec", "syncPolicy", "managedNamespaceMetadata", field).(map[string]any)
			for key := range m {
				if a.Set == "" && (key == argo.TrackingID || key == argo.InstanceLabel && strings.HasPrefix(field, "l")) {
					p.find(a.Origin, way("spec", "syncPolicy", "managedNamespaceMetadata", field, key), "%s/%s makes its namespace one of its objects, which it then prunes", a.Metadata.Namespace, a.Metadata.Name)
				}
			}
		}
	}
}
