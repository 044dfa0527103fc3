package rule

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/argo"
	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

func identityRules() []*Rule {
	return []*Rule{
		{ID: "HG001", Name: "duplicate-control-object", Severity: finding.Error,
			Catches: "The same Application, ApplicationSet or AppProject is defined twice, anywhere in the repository.",
			Why:     "All of them live in one namespace of the control cluster, whatever folder they come from. Argo CD keeps the last one, puts a warning on the parent, and syncs: an Application that reads another folder from one moment to the next has everything pruned that the new folder does not have. This is how a production environment was deleted.",
			Mend:    "give the second one its own name, or delete it",
			Setting: "`instance`, where the folders belong to different Argo CD instances", run: duplicateControl},
		{ID: "HG002", Name: "duplicate-object", Severity: finding.Error,
			Catches: "One Application has the same object twice: the same group, kind, namespace and name, whatever the version, in different files or documents.",
			Why:     "Argo CD applies the last one in order and says nothing that stops it: what the first one says is lost. Where a later source of an Application repeats an object of an earlier one, it is a warning, for that is how values of others are overridden.",
			Mend:    "remove one of the two", run: duplicateObjects},
		{ID: "HG003", Name: "duplicate-alias", Severity: finding.Error,
			Catches: "One Application has the same object under an old API group and under its new one.",
			Why:     "To the API server they are one object. Argo CD takes them for two, and each sync writes them over one another.",
			Mend:    "keep the one in the new group", run: func(*pass) {}},
		{ID: "HG004", Name: "shared-object", Severity: finding.Error,
			Catches: "Two Applications have the same object in the same cluster.",
			Why:     "Each sync of one takes the object from the other, and when either of them stops having it, it is pruned: also for the one that still has it.",
			Mend:    "let one Application have it", run: sharedObjects},
		{ID: "HG005", Name: "default-namespace-collision", Severity: finding.Error,
			Catches: "Two objects of an Application are the same one only because the first names the namespace that the second gets from the destination.",
			Why:     "No comparison of texts shows it. Argo CD keeps the last one.",
			Mend:    "remove one of the two, and write the namespace into the other", run: func(*pass) {}},
		{ID: "HG006", Name: "duplicate-yaml-key", Severity: finding.Error,
			Catches: "A key stands twice in one YAML mapping.",
			Why:     "Argo CD takes the last one without a word. What the first one says, a protection for one, is not there.",
			Mend:    "remove the one that is not meant", run: repeatedKeys},
		{ID: "HG007", Name: "case-or-normalised-path-clash", Severity: finding.Warning,
			Catches: "Two paths differ only in upper and lower case, or in how their accents are encoded.",
			Why:     "On a file system that does not tell them apart one of them overwrites the other at checkout, and what is committed from there deletes it.",
			Mend:    "rename one of the two", run: pathClashes},
	}
}

// duplicateControl finds resources of Argo CD that are defined twice.
func duplicateControl(p *pass) {
	duplicateGenerated(p)
	for _, d := range p.all {
		defined := p.controls[d.control]
		if len(defined) < 2 || defined[0] != d {
			continue
		}
		oneReader := !slices.ContainsFunc(defined, func(o *definition) bool { return o.reader != d.reader })
		if oneReader && d.reader != nil {
			defined = slices.Clone(defined)
			slices.SortStableFunc(defined, func(a, b *definition) int { return a.order - b.order })
		}
		last := defined[len(defined)-1]
		what, loss := p.afterwards(defined, last)
		first := "the last one"
		if !oneReader {
			first = "different Applications apply them, and when the one that applies the last of them is the later,"
		}
		f := p.find(last.Origin, way("metadata", "name"), "%s is defined %s; %s, %s, %s", named(d), times(len(defined)), first, last.Origin, what)
		f.Key, f.Loss = d.Key, loss
		if now := p.application(last); now != nil {
			f.Risk = len(now.Targets)
		}
		for _, o := range defined[:len(defined)-1] {
			f.Related = append(f.Related, place(o.Origin))
		}
	}
}

// duplicateGenerated finds Applications that a set generates and that something else defines too.
func duplicateGenerated(p *pass) {
	type at struct {
		cluster string
		key     object.Key
	}
	first := make(map[at]*inventory.Application)
	for _, a := range p.Applications {
		id := at{p.instance(a.Path), a.Key()}
		before, ok := first[id]
		if !ok {
			first[id] = a
			continue
		}
		if before.Set == "" && a.Set == "" { // both are written out, and reported as definitions
			continue
		}
		f := p.find(a.Origin, way("metadata", "name"), "%s/%s is made twice: by %s and by %s; each overwrites the other, and whenever it then reads %s, what only %s has is pruned", a.Metadata.Namespace, a.Metadata.Name, maker(before), maker(a), sources(a), sources(before))
		f.Key, f.Application, f.Related = a.Key(), a.Metadata.Name, []finding.Place{place(before.Origin)}
		f.Loss = len(missing(before, a))
	}
}

// maker says what makes an Application.
func maker(a *inventory.Application) string {
	if a.Set != "" {
		return "the set " + a.Set + " in " + a.Origin.String()
	}
	return a.Origin.String()
}

// named is what a person calls a resource of Argo CD.
func named(d *definition) string {
	name := d.Namespace + "/" + d.Name
	if d.Kind != "Application" {
		name = "the " + d.Kind + " " + name
	}
	return name
}

func times(n int) string {
	if n == 2 {
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}

// afterwards says what the last definition makes of what the others define, and how many objects that deletes.
func (p *pass) afterwards(defined []*definition, last *definition) (string, int) {
	switch last.GroupKind() {
	case argo.ApplicationKind:
		return p.lost(defined, last)
	case argo.ProjectKind:
		return "decides what the Applications of the project may deploy: objects that it does not permit are orphaned, or pruned before it is applied", 0
	}
	return "decides which Applications there are: those that only the others generate would be deleted with their objects", 0
}

// application returns the Application that a definition makes, nil where it cannot be one.
func (p *pass) application(d *definition) *inventory.Application {
	if found := p.byOrigin[d.Object]; len(found) > 0 {
		return found[0]
	}
	return nil
}

// lost says what is pruned when the last definition of an Application replaces the others.
func (p *pass) lost(defined []*definition, last *definition) (string, int) {
	now := p.application(last)
	if now == nil {
		return "is refused by the API server, and the others are applied or not by chance", 0
	}
	if p.proper(now) {
		if other := p.firstOther(defined, last, now); other != nil {
			return fmt.Sprintf("stands, and what %s says is never applied; if their order changes, everything of %s would be pruned", other.Origin, p.called(now)), 0
		}
	}
	before := p.firstOther(defined, last, now)
	if before == nil {
		return "is the one that counts, and the others are never applied", 0
	}
	lost := before.Targets
	if p.cluster(before) == p.cluster(now) {
		lost = missing(before, now)
	}
	if len(lost) == 0 {
		return fmt.Sprintf("makes it read %s instead of %s", sources(now), sources(before)), 0
	}
	return fmt.Sprintf("makes it read %s: %s %s", sources(now), p.everything(before, lost, p.precious(lost)), pruned(now)), len(lost)
}

// firstOther returns the definition before the last that reads something else.
func (p *pass) firstOther(defined []*definition, last *definition, now *inventory.Application) *inventory.Application {
	var other *inventory.Application
	for _, d := range defined {
		if a := p.application(d); d != last && a != nil && (sources(a) != sources(now) || p.cluster(a) != p.cluster(now)) && (other == nil || p.proper(a)) {
			other = a
		}
	}
	return other
}

// missing returns what stands in one Application and not in another.
func missing(before, now *inventory.Application) []inventory.Target {
	var lost []inventory.Target
	stands := now.Standing()
	for _, t := range before.Targets {
		if _, ok := stands[t.Key]; !ok {
			lost = append(lost, t)
		}
	}
	return lost
}

// precious returns the objects that hold state, or whose deletion deletes state.
func (p *pass) precious(targets []inventory.Target) []inventory.Target {
	var held []inventory.Target
	for _, t := range targets {
		if p.holdsState(t.Object.GroupKind()) || t.Object.GroupKind() == (object.Kind{Kind: "Namespace"}) {
			held = append(held, t)
		}
	}
	return held
}

// everything says how much of an Application is lost.
func (p *pass) everything(a *inventory.Application, lost, held []inventory.Target) string {
	var b strings.Builder
	if len(lost) == len(a.Targets) {
		fmt.Fprintf(&b, "everything of %s (%s", p.called(a), count(len(lost), "object"))
	} else {
		fmt.Fprintf(&b, "%d of the %s of %s (", len(lost), count(len(a.Targets), "object"), p.called(a))
	}
	if len(held) > 0 {
		if len(lost) == len(a.Targets) {
			b.WriteString(", ")
		}
		keys := make([]object.Key, 0, len(held))
		for _, t := range held {
			keys = append(keys, t.Key)
		}
		b.WriteString("among them " + object.Listing(keys, 4))
	} else if len(lost) != len(a.Targets) {
		b.WriteString("none of them holds state")
	}
	b.WriteByte(')')
	return b.String()
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// pruned says when that happens.
func pruned(now *inventory.Application) string {
	switch {
	case now.Broken != nil:
		return "would be pruned as soon as it renders again"
	case len(now.Unanalysed) > 0:
		return "would be pruned, except what its sources have that are not known here"
	case !now.Spec.SyncPolicy.Prunes():
		return "would be pruned by the next sync that prunes"
	case len(now.Targets) == 0 && !now.Spec.SyncPolicy.Automated.AllowEmpty:
		return "would be left to nobody, and pruned by the next sync by hand, for only automatic syncs stop before they delete everything"
	}
	return "would be pruned"
}

// called is how people call an Application: by the part of its folder, or else by its name.
func (p *pass) called(a *inventory.Application) string {
	for _, s := range a.Spec.AllSources() {
		if home, ok := p.conventional(clean(s.Path)); ok && home.parts["app"] != "" {
			return home.parts["app"]
		}
	}
	return a.Metadata.Name
}

// sources are the folders that an Application reads.
func sources(a *inventory.Application) string {
	var paths []string
	for _, s := range a.Spec.AllSources() {
		switch {
		case s.Chart != "":
			paths = append(paths, "the chart "+s.Chart)
		case s.Path != "" || s.Ref == "":
			paths = append(paths, cleanOr(s.Path))
		}
	}
	return strings.Join(paths, " and ")
}

// duplicateObjects finds objects that one Application has twice. It speaks for HG003 and HG005 too, for one walk finds all three.
func duplicateObjects(p *pass) {
	rules := map[string]*Rule{"HG002": p.rule}
	for _, r := range identityRules() {
		rules[r.ID] = r
	}
	for _, a := range p.Applications {
		seen := make(map[object.Key]inventory.Target, len(a.Targets))
		for _, t := range a.Targets {
			if t.Object.Generated || isControl(t.Object) {
				continue
			}
			key := p.Scopes.Normalise(t.Key.Canonical(), a.Spec.Destination.Namespace)
			if before, ok := seen[key]; ok && before.Origin != t.Origin {
				p.repeats(rules, a, before, t)
			}
			seen[key] = t
		}
	}
}

// repeats reports an object that an Application has twice, under the rule that says how it came to that.
func (p *pass) repeats(rules map[string]*Rule, a *inventory.Application, before, t inventory.Target) {
	name := a.Metadata.Name
	id, message := "HG002", fmt.Sprintf("%s is twice in %s: of %s and this one Argo CD applies the last, and the other is lost", t.Key, name, before.Origin)
	switch {
	case before.Key != t.Key:
		id, message = "HG003", fmt.Sprintf("%s of %s is the same object as %s in %s, under another group: they overwrite one another", t.Key, name, before.Key, before.Origin)
	case before.Source != t.Source:
		message = fmt.Sprintf("%s of %s overrides the one in %s, of another source", t.Key, name, before.Origin)
	case before.Object.Namespace != t.Object.Namespace && p.Scopes.Namespaced(t.Object.GroupKind()):
		id, message = "HG005", fmt.Sprintf("%s is twice in %s: one of %s and this one names no namespace and gets %s from the destination; Argo CD applies the last", t.Key, name, before.Origin, t.Key.Namespace)
	}
	if _, off := p.config.Off[id]; off {
		return
	}
	q := &pass{p.check, rules[id]}
	f := q.find(t.Origin, way("metadata", "name"), "%s", message)
	f.Key, f.Application, f.Related = t.Key, name, []finding.Place{place(before.Origin)}
	if before.Source != t.Source {
		q.lower(f, finding.Warning)
	}
}

// sharedObjects finds objects that two Applications have.
func sharedObjects(p *pass) {
	type where struct {
		cluster string
		key     object.Key
	}
	type owner struct {
		a *inventory.Application
		o inventory.Origin
	}
	first := make(map[where]owner)
	for _, a := range p.Applications {
		cluster := p.cluster(a)
		for _, t := range a.Targets {
			if t.Object.Generated || isControl(t.Object) {
				continue
			}
			at := where{cluster, p.Scopes.Normalise(t.Key.Canonical(), a.Spec.Destination.Namespace)}
			before, ok := first[at]
			if !ok {
				first[at] = owner{a, t.Origin}
				continue
			}
			if before.a.Key() == a.Key() || before.o == t.Origin { // the same Application twice is HG001's, the same file HG012's
				continue
			}
			f := p.find(t.Origin, way("metadata", "name"), "%s is in %s and, in %s, in %s: each takes it from the other, and the first that stops having it deletes it", t.Key, a.Metadata.Name, before.o, before.a.Metadata.Name)
			f.Key, f.Application, f.Related = t.Key, a.Metadata.Name, []finding.Place{place(before.o)}
		}
	}
}
