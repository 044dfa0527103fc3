package rule

import (
	"fmt"
	"strings"

	"github.com/gobwas/glob"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

func storageRules() []*Rule {
	return []*Rule{
		{ID: "HG060", Name: "reclaim-delete", Severity: finding.Error, Fixable: true,
			Catches: "A StorageClass or a PersistentVolume whose reclaim policy is not `Retain`. A StorageClass that names none deletes.",
			Why:     "With it the disk goes when its claim goes. With Retain there is a way back from every deletion of objects.",
			Mend:    "set reclaimPolicy: Retain (of a PersistentVolume: persistentVolumeReclaimPolicy), and patch the volumes that are there", run: reclaim},
		{ID: "HG061", Name: "sts-retention-delete", Severity: finding.Error,
			Catches: "A StatefulSet deletes its claims when it is deleted or scaled down (`persistentVolumeClaimRetentionPolicy`).",
			Why:     "Claims that a StatefulSet made stay when it is deleted by mistake: they are what it is brought back with.",
			Mend:    "set whenDeleted and whenScaled to Retain", run: retention},
		{ID: "HG062", Name: "claim-without-class", Severity: finding.Warning,
			Catches: "A claim, or a StatefulSet's template of one, names no storage class.",
			Why:     "It gets the one that is the default on the day that it is made: on the day of the recovery that may be another, and one that deletes.",
			Mend:    "name the storage class", run: classes},
		{ID: "HG063", Name: "no-backup-label", Severity: finding.Warning,
			Catches: "An object that holds state has none of the labels by which backups are scheduled.",
			Why:     "What is in no schedule is not in any backup.",
			Mend:    "add one of the labels", Setting: "`backup-labels`; without them this rule finds nothing", run: backups},
		{ID: "HG064", Name: "restart-deadlock", Severity: finding.Warning,
			Catches: "A StatefulSet of a store that needs a quorum starts its pods one after the other and waits until each is ready, or its headless Service hides pods that are not ready.",
			Why:     "When all its pods are gone, the first one waits for a quorum that only the others can make, and they wait for the first: it never starts again without help.",
			Mend:    "set podManagementPolicy: Parallel, and publishNotReadyAddresses: true on its Service", Setting: "`quorum`", run: deadlocks},
	}
}

var (
	statefulSet  = object.Kind{Group: "apps", Kind: "StatefulSet"}
	claimKind    = object.Kind{Kind: "PersistentVolumeClaim"}
	volumeKind   = object.Kind{Kind: "PersistentVolume"}
	storageClass = object.Kind{Group: "storage.k8s.io", Kind: "StorageClass"}
)

func reclaim(p *pass) {
	p.each(func(o inventory.Origin) {
		var field []string
		switch o.Object.GroupKind() {
		case storageClass:
			field = way("reclaimPolicy")
		case volumeKind:
			field = way("spec", "persistentVolumeReclaimPolicy")
		default:
			return
		}
		switch policy := text(o.Object.Body, field...); {
		case policy == "Retain", policy == "" && len(field) == 2: // a volume that somebody makes by hand is kept unless it says otherwise
		case policy == "":
			p.find(o, field, "%s names no reclaim policy, and so deletes disks with their claims", p.key(o))
		default:
			p.find(o, field, "%s has the reclaim policy %s: disks go with their claims", p.key(o), policy)
		}
	})
}

func retention(p *pass) {
	p.each(func(o inventory.Origin) {
		if o.Object.GroupKind() != statefulSet {
			return
		}
		for _, when := range []string{"whenDeleted", "whenScaled"} {
			if text(o.Object.Body, "spec", "persistentVolumeClaimRetentionPolicy", when) == "Delete" {
				p.find(o, way("spec", "persistentVolumeClaimRetentionPolicy", when), "%s deletes its claims (%s)", p.key(o), when)
			}
		}
	})
}

func classes(p *pass) {
	p.each(func(o inventory.Origin) {
		switch o.Object.GroupKind() {
		case claimKind:
			if text(o.Object.Body, "spec", "volumeName") == "" && get(o.Object.Body, "spec", "storageClassName") == nil {
				p.find(o, way("spec", "storageClassName"), "%s names no storage class", p.key(o))
			}
		case statefulSet:
			for n, template := range list(o.Object.Body, "spec", "volumeClaimTemplates") {
				if get(template, "spec", "storageClassName") == nil {
					p.find(o, way("spec", "volumeClaimTemplates", fmt.Sprintf("[%d]", n), "spec", "storageClassName"), "the claim template %s of %s names no storage class", text(template, "metadata", "name"), p.key(o))
				}
			}
		}
	})
}

func backups(p *pass) {
	if len(p.config.BackupLabels) == 0 {
		return
	}
	p.each(func(o inventory.Origin) {
		if !p.holdsState(o.Object.GroupKind()) {
			return
		}
		for _, label := range p.config.BackupLabels {
			if get(o.Object.Body, "metadata", "labels", label) != nil {
				return
			}
		}
		p.find(o, way("metadata", "labels"), "%s is in no backup schedule: it has none of the labels %s", p.key(o), strings.Join(p.config.BackupLabels, ", "))
	})
}

// deadlocks finds StatefulSets that do not start again by themselves.
func deadlocks(p *pass) {
	p.each(func(o inventory.Origin) {
		if o.Object.GroupKind() != statefulSet || !matchesAny(p.quorum, o.Object.Name) || !several(o.Object.Body) {
			return
		}
		if text(o.Object.Body, "spec", "podManagementPolicy") != "Parallel" && hasReadiness(o.Object.Body) {
			p.find(o, way("spec", "podManagementPolicy"), "%s starts one pod after the other, and none is ready before most of them run", p.key(o))
		}
		p.headless(o)
	})
}

func matchesAny(patterns []glob.Glob, name string) bool {
	for _, g := range patterns {
		if g.Match(name) {
			return true
		}
	}
	return false
}

// several says whether a StatefulSet has more pods than one.
func several(body any) bool {
	replicas, ok := get(body, "spec", "replicas").(float64)
	return ok && replicas > 1
}

func hasReadiness(body any) bool {
	for _, container := range list(body, "spec", "template", "spec", "containers") {
		if get(container, "readinessProbe") != nil {
			return true
		}
	}
	return false
}

// headless looks at the Service that gives a StatefulSet's pods their names. Bodies of Services are not kept: it is read again.
func (p *pass) headless(o inventory.Origin) {
	a, name := p.reader(o), text(o.Object.Body, "spec", "serviceName")
	if a == nil || name == "" {
		return
	}
	if p.services[a] == nil {
		p.services[a] = make(map[object.Key]inventory.Origin)
		for _, t := range a.Targets {
			if t.Object.GroupKind() == (object.Kind{Kind: "Service"}) {
				p.services[a][t.Key] = t.Origin
			}
		}
	}
	service, ok := p.services[a][object.Key{Kind: "Service", Namespace: p.key(o).Namespace, Name: name}]
	if !ok {
		return
	}
	data, err := p.read(service.Path)
	if err != nil {
		p.err = err
		return
	}
	n, _, err := service.Object.Node(data)
	if err != nil {
		p.err = err
		return
	}
	if address := finding.Value(n, "spec", "clusterIP"); address == nil || address.Value != "None" {
		return
	}
	if publish := finding.Value(n, "spec", "publishNotReadyAddresses"); publish == nil || publish.Value != "true" {
		f := p.find(service, way("spec", "publishNotReadyAddresses"), "%s hides pods of %s that are not ready, which they need to find each other", p.key(service), o.Object)
		f.Related = []finding.Place{place(o)}
	}
}
