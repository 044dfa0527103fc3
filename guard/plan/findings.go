package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// Rule is a rule over what a change does. Its findings of error severity can be approved only from outside the change.
type Rule struct {
	ID, Name  string
	Severity  finding.Severity
	Rationale string
	Fix       string
}

// Rules are the rules over a change.
var Rules = []Rule{
	{"HG100", "many-deleted", finding.Error, "A change that deletes much is seldom meant to.", "split the change, or have it approved"},
	{"HG101", "stateful-removed", finding.Error, "What held state is gone with it, or has to be brought back by hand.", "keep the object, or have its deletion approved outside the change"},
	{"HG102", "app-repointed", finding.Error, "An Application that reads from elsewhere deletes what is not there.", "make a new Application, and move step by step with pruning off"},
	{"HG103", "app-removed", finding.Error, "An Application that leaves git, or gets another name, takes its objects with it.", "take the finalizer off and sync first, so that its objects stay"},
	{"HG104", "protection-removed", finding.Error, "The next change could delete what this one leaves open; a protection that comes with a deletion is too late, and an approval in git asks nobody.", "have it approved outside the change"},
	{"HG105", "handover", finding.Error, "Of two steps that have no order, the one that deletes may come first: when an object moves between Applications, or files together with the path that reads them.", "make it two changes, the second when the first is synced: the object is first in both places, and then in one"},
	{"HG106", "identity-change", finding.Error, "What the API server refuses to change needs the object deleted and made again, and an object under another name or in another namespace is a new one, without what the old one held.", "write a migration plan"},
	{"HG107", "scale-to-zero", finding.Warning, "Nothing runs any more, or less than a quorum where more than half goes, and what held state may not come back by itself.", "have it approved"},
	{"HG108", "crd-removed", finding.Error, "Argo CD keeps a CustomResourceDefinition that leaves git, other tools do not, and with it all objects of its kind go; nor can those stay that are of another scope, or of a version that is not served any more.", "keep the definition in git"},
	{"HG109", "generator-shrink", finding.Error, "An Application that a set does not generate any more is deleted, with what it owns.", "set preserveResourcesOnDeletion first"},
	{"HG110", "unanalysed-source", finding.Warning, "What cannot be read cannot be planned: deletions there are not seen.", "render it into the repository"},
	{"HG111", "settings-weakened", finding.Error, "A change that judges itself by its own settings can let anything pass. It is judged by those of the base; an edit alone is a warning.", "make the edit a change of its own"},
	{"HG112", "rendering-fails", finding.Error, "An Application that Argo CD cannot render deletes nothing until it can again; what is gone by then goes without being seen.", "correct the file"},
	{"HG113", "left-behind", finding.Error, "What leaves git and stays only because pruning is off, or because Argo CD waits, is deleted when that ends, and no later change shows it.", "keep it in git, or protect it with Prune=false and sync first; or have its deletion approved outside the change"},
	{"HG114", "pruning-begins", finding.Error, "An Application or a set that begins to delete also deletes what was left behind before, which two revisions do not show.", "plan with --live, or have it approved outside the change"},
	{"HG115", "operation-in-git", finding.Error, "Argo CD runs an Application's operation at once, whatever its sync policy says, with a source and pruning of its own.", "take it out of git, and sync by hand"},
	{"HG116", "owner-in-git", finding.Error, "An owner is named by a UID, which git cannot know: Kubernetes deletes what has an owner that is not there.", "take metadata.ownerReferences out of git"},
}

// RuleOf returns the rule with that id, nil where there is none.
func RuleOf(id string) *Rule {
	if n := slices.IndexFunc(Rules, func(r Rule) bool { return r.ID == id }); n >= 0 {
		return &Rules[n]
	}
	return nil
}

// Thresholds bound how much a change may delete.
type Thresholds struct {
	// Objects is how many objects a change may delete, and Percent how much of one Application, or of one cluster.
	Objects, Percent int
}

// Findings returns what is wrong with a plan, as the rules of HG100 and above have it. The inventories are those it was made of.
func Findings(p *Plan, base, head *inventory.Inventory, limits Thresholds) []finding.Finding {
	j := judge{plan: p, base: newSide(base), head: newSide(head), limits: limits}
	for i := range p.Changes {
		j.change(&p.Changes[i])
	}
	j.protections()
	j.released()
	j.revisions()
	j.operations()
	j.owners()
	j.broken()
	j.folders()
	j.count()
	return j.findings
}

// judge gathers findings.
type judge struct {
	plan       *Plan
	base, head *side
	limits     Thresholds
	findings   []finding.Finding
}

func (j *judge) add(id string, at finding.Place, key object.Key, application, format string, args ...any) {
	r := RuleOf(id)
	j.findings = append(j.findings, finding.Finding{Rule: id, Severity: r.Severity, Message: fmt.Sprintf(format, args...), Fix: r.Fix, Place: at, Key: key, Application: application})
}

func (c *Change) place() finding.Place { return finding.Place{Path: c.Path, Line: c.Line} }

// place is where the base has an object. In the head it may not be.
func (e *Effect) place() finding.Place { return finding.Place{Path: e.Path, Line: e.Line} }

// change judges one Application's change.
func (j *judge) change(c *Change) {
	name := c.Application.Name
	losses := Losses(c)
	if len(c.Repointed) > 0 {
		j.add("HG102", c.place(), c.Application, name, "%s changes where it reads from or deploys to (%s)%s", name, strings.Join(c.Repointed, "; "), consequence(losses))
	}
	if c.Fate.Lost() {
		id, what := "HG103", "leaves git"
		if a := j.base.applications[c.Application]; len(a) > 0 && a[0].Set != "" {
			id, what = "HG109", "is not generated any more"
		}
		if c.Fate == Recreated && id == "HG103" {
			what = "is deleted, and made again"
		}
		j.add(id, c.place(), c.Application, name, "the Application %s %s%s", name, what, consequence(losses))
	}
	for _, e := range c.Effects {
		switch {
		case isDefinition(e.Key):
			j.add("HG108", e.place(), e.Key, name, "the CustomResourceDefinition %s leaves git", e.Key.Name)
		case e.Fate.Lost() && e.Stateful:
			j.add("HG101", e.place(), e.Key, name, "%s: %s: %s", name, verb(e.Fate, e.Key), e.Why)
		case e.Fate == AtRisk:
			j.add("HG105", e.place(), e.Key, name, "%s: %s: %s", name, verb(e.Fate, e.Key), e.Why)
		}
	}
	j.left(c)
	j.updates(c)
	j.renamed(c)
	j.share(c)
}

// verb says what becomes of an object.
func verb(f Fate, key object.Key) string {
	switch f {
	case Deleted:
		return key.String() + " would be deleted"
	case Recreated:
		return key.String() + " would be deleted and made again"
	case Held:
		return key.String() + " would be deleted, once approved"
	case AtRisk:
		return key.String() + " may be deleted"
	}
	return key.String() + " would be " + f.String()
}

// consequence says in a clause what is lost.
func consequence(losses string) string {
	if losses == "" {
		return ", and nothing of it is deleted"
	}
	return ": " + losses
}

// target finds an object of an Application.
func (j *judge) target(s *side, application, key object.Key) inventory.Target {
	for _, a := range s.applications[application] {
		if t, ok := a.Standing()[key]; ok {
			return t
		}
	}
	return inventory.Target{}
}

// counts says whether an effect counts for how much a change deletes.
func (e *Effect) counts() bool { return e.Fate.Lost() && !e.Implied && !e.Hook }

// share judges how much of an Application is deleted.
func (j *judge) share(c *Change) {
	lost, all := 0, 0
	for _, e := range c.Effects {
		if e.counts() {
			lost++
		}
	}
	for _, a := range j.base.applications[c.Application] {
		all = max(all, len(a.Targets))
	}
	if limit := j.limits.Percent; limit > 0 && lost > 1 && lost*100 > limit*all {
		j.add("HG100", c.place(), c.Application, c.Application.Name, "%s loses %d of its %d objects, more than %d %%", c.Application.Name, lost, all, limit)
	}
}

// count judges how much is deleted in all.
func (j *judge) count() {
	lost := 0
	for _, c := range j.plan.Changes {
		for _, e := range c.Effects {
			if e.counts() {
				lost++
			}
		}
	}
	if j.limits.Objects > 0 && lost > j.limits.Objects {
		j.add("HG100", finding.Place{}, object.Key{}, "", "the change deletes %d objects, more than %d", lost, j.limits.Objects)
	}
	j.clusters()
	for _, u := range unanalysed(j.base, j.head) {
		j.add("HG110", finding.Place{Path: u.at.Path, Line: u.at.Object.Line}, u.key, u.key.Name, "the deletions of %s are not known: %s", u.key.Name, u.why)
	}
}
