package plan

import (
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/protect"
)

// retained is a field that says what becomes of a volume, of a claim or of a snapshot when its object goes, and what counts without it.
type retained struct {
	kind   object.Kind
	way    []string
	absent string
}

var retention = []retained{
	{object.Kind{Group: "storage.k8s.io", Kind: "StorageClass"}, []string{"reclaimPolicy"}, "Delete"},
	{object.Kind{Kind: "PersistentVolume"}, []string{"spec", "persistentVolumeReclaimPolicy"}, "Retain"},
	{statefulSets, []string{"spec", "persistentVolumeClaimRetentionPolicy", "whenDeleted"}, "Retain"},
	{statefulSets, []string{"spec", "persistentVolumeClaimRetentionPolicy", "whenScaled"}, "Retain"},
	{object.Kind{Group: "snapshot.storage.k8s.io", Kind: "VolumeSnapshotContent"}, []string{"spec", "deletionPolicy"}, ""},
	{object.Kind{Group: "snapshot.storage.k8s.io", Kind: "VolumeSnapshotClass"}, []string{"deletionPolicy"}, ""},
}

// leaves are what has an operator leave a database or a bucket of a cloud when its object goes.
var leaves = []struct {
	way   []string
	value string
}{
	{[]string{"spec", "deletionPolicy"}, "Orphan"},                                            // Crossplane
	{[]string{"metadata", "annotations", "services.k8s.aws/deletion-policy"}, "retain"},       // ACK
	{[]string{"metadata", "annotations", "cnrm.cloud.google.com/deletion-policy"}, "abandon"}, // Config Connector
}

var statefulSets = object.Kind{Group: "apps", Kind: "StatefulSet"}

// deletionApproved on an Application answers Prune=confirm and Delete=confirm of all its objects until the time that it says.
const deletionApproved = "argocd.argoproj.io/deletion-approved"

// kruise is the label by which OpenKruise refuses deletions; its values from none to the strongest.
const kruise = "policy.kruise.io/delete-protection"

var kruiseValues = []string{"", "Cascading", "Always"}

// protections judges what protects objects less than before, approvals that are written into git, and protections that come too late.
func (j *judge) protections() {
	for _, key := range sortedKeys(j.base.applications) {
		before, after := j.base.applications[key], j.head.applications[key]
		var was, is *inventory.Application
		if was = before[len(before)-1]; len(after) > 0 {
			if is = after[len(after)-1]; unchanged(was, is) {
				continue
			}
		}
		j.less(key.Name, was, is)
	}
	j.approvals()
	j.late()
}

// less judges the objects of an Application, nil where the head has none of its name, that stay and have less protection than before.
func (j *judge) less(application string, was, is *inventory.Application) {
	before, after := was.Standing(), make(map[object.Key]inventory.Target)
	if is != nil {
		after = is.Standing()
	}
	for _, k := range slices.SortedFunc(maps.Keys(before), object.Key.Compare) {
		t, stays := after[k]
		switch {
		case isBelt(k):
			j.belt(application, was, before[k], t, stays)
		case stays && before[k].Object != t.Object:
			j.protection(application, k, before[k], t)
		}
	}
}

func (j *judge) protection(application string, key object.Key, was, is inventory.Target) {
	at := finding.Place{Path: is.Path, Line: is.Object.Line}
	for _, p := range []struct {
		name string
		of   func(map[string]string) argo.Protection
	}{{"pruned", argo.PruneProtection}, {"deleted with its Application", argo.DeleteProtection}} {
		if p.of(was.Object.Annotations) > p.of(is.Object.Annotations) {
			j.add("HG104", at, key, application, "%s loses what keeps it from being %s", key, p.name)
		}
	}
	if from, to := was.Object.Labels[kruise], is.Object.Labels[kruise]; slices.Index(kruiseValues, from) > slices.Index(kruiseValues, to) {
		j.add("HG104", at, key, application, "%s loses what keeps it from being deleted (%s: %s)", key, kruise, from)
	}
	from, to := bodyOf(j.base, was), bodyOf(j.head, is)
	for _, f := range retention {
		if f.kind == key.GroupKind() && text(from, f.way, f.absent) == "Retain" && text(to, f.way, f.absent) != "Retain" {
			j.add("HG104", at, key, application, "%s does not retain what it has any more (%s)", key, strings.Join(f.way, "."))
		}
	}
	for _, f := range leaves {
		if text(from, f.way, "") == f.value && text(to, f.way, "") != f.value {
			j.add("HG104", at, key, application, "what %s stands for goes with it now (%s was %s)", key, strings.Join(f.way, "."), f.value)
		}
	}
}

// bodyOf returns an object whole, nil where no field of its kind protects.
func bodyOf(s *side, t inventory.Target) map[string]any {
	kind := t.Key.GroupKind()
	if t.Object.Body == nil && !slices.ContainsFunc(retention, func(f retained) bool { return f.kind == kind }) {
		return nil
	}
	body, _ := s.Body(t.Origin)
	return body
}

// text returns a field that is a text, or what counts where it is absent.
func text(body map[string]any, way []string, absent string) string {
	if s, ok := field(body, way...).(string); ok && s != "" {
		return s
	}
	return absent
}

// isBelt says whether an object is the policy that refuses deletions in the cluster, or its binding.
func isBelt(key object.Key) bool {
	policy := key.Kind == "ValidatingAdmissionPolicy" || key.Kind == "ValidatingAdmissionPolicyBinding"
	return policy && key.Name == protect.Name && key.Group == "admissionregistration.k8s.io"
}

// belt judges the policy of an Application, or its binding: it leaves git, or does not refuse all that it did.
func (j *judge) belt(application string, a *inventory.Application, was, is inventory.Target, stays bool) {
	if !stays {
		if is, stays = j.moved(a, was.Key); !stays {
			at := finding.Place{Path: was.Path, Line: was.Object.Line}
			j.add("HG104", at, was.Key, application, "%s, which refuses deletions in the cluster, leaves git", was.Key)
			return
		}
	}
	if was.Object == is.Object {
		return
	}
	before, _ := j.base.Body(was.Origin)
	after, _ := j.head.Body(is.Origin)
	if why := weaker(before, after); why != "" {
		at := finding.Place{Path: is.Path, Line: is.Object.Line}
		j.add("HG104", at, was.Key, application, "%s may not refuse all deletions any more that it did: %s", was.Key, why)
	}
}

// moved finds an object that another Application of the same cluster has in the head.
func (j *judge) moved(a *inventory.Application, key object.Key) (inventory.Target, bool) {
	cluster := a.Spec.Destination.Cluster(j.base.Options.Clusters)
	for _, other := range j.head.apps() {
		if other.Spec.Destination.Cluster(j.head.Options.Clusters) != cluster {
			continue
		}
		if t, ok := other.Standing()[key]; ok {
			return t, true
		}
	}
	return inventory.Target{}, false
}

// approvals judges what approves deletions and is written into git, where nobody is asked any more.
func (j *judge) approvals() {
	for _, key := range sortedKeys(j.head.applications) {
		after, before := j.head.applications[key], j.base.applications[key]
		is := after[len(after)-1]
		var was *inventory.Application
		standing := make(map[object.Key]inventory.Target)
		approved := ""
		if len(before) > 0 {
			if was = before[len(before)-1]; unchanged(was, is) {
				continue
			}
			standing, approved = was.Standing(), was.Metadata.Annotations[deletionApproved]
		}
		if until := is.Metadata.Annotations[deletionApproved]; until != "" && until != approved {
			at := finding.Place{Path: is.Path, Line: is.Object.Line}
			j.add("HG104", at, key, key.Name, "git answers beforehand whoever would be asked to confirm a deletion of %s (%s: %s)", key.Name, deletionApproved, until)
		}
		for n := range is.Targets {
			t := &is.Targets[n]
			until := t.Object.Annotations[protect.Approval]
			if until == "" || standing[t.Key].Object != nil && standing[t.Key].Object.Annotations[protect.Approval] == until {
				continue
			}
			at := finding.Place{Path: t.Path, Line: t.Object.Line}
			j.add("HG104", at, t.Key, key.Name, "git approves the deletion of %s, which a person does in the cluster (%s: %s)", t.Key, protect.Approval, until)
		}
	}
}
