//go:build e2e

package argocd

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// Fate is what became of an object that was there before a change.
type Fate string

// The fates.
const (
	// Deleted objects are gone, and no other has their name.
	Deleted Fate = "deleted"
	// Recreated ones are gone, and another has their name.
	Recreated Fate = "recreated"
	// Deleting ones are asked to go, and something holds them.
	Deleting Fate = "deleting"
	// Kept ones are the same, and still belong to an Application, or never did.
	Kept Fate = "kept"
	// Orphaned ones are the same, but their Application is gone, or no longer counts them as its own.
	Orphaned Fate = "orphaned"
	// AtRisk is never observed. A plan says it where the order of steps, which nothing fixes, decides.
	AtRisk Fate = "at risk"
	// Held is never observed either. A plan says it where the deletion waits for a person: until then the object is there, kept or
	// deleting, and when the case approves it is deleted.
	Held Fate = "held"
)

// Outcome has the fates of objects.
type Outcome map[object.Key]Fate

// Case is a change of a repository and what it does. In the texts and the paths of its trees, $P stands for the name of the case, with
// which all names in the cluster start, $REPO for the URL of the repository and $BRANCH for the branch of the case.
type Case struct {
	// Name is the branch, and the start of all names in the cluster.
	Name string
	// Title is the change in words.
	Title string
	// Always has the case run in make test too.
	Always bool
	// Tracking is how the Argo CD of the case marks objects.
	Tracking Tracking
	// Commits are the trees in their order. The first is deployed and synced whole, each but the last comes to rest before the next comes.
	// What the last does is observed.
	Commits []Files
	// ByHand changes what lives, after the last commit but one has come to rest.
	ByHand func(ctx context.Context, i *Instance, c *Case) error
	// Approve names the Application of which deletions are approved, after the change has come to rest.
	Approve string
	// Want has objects that were there before the last commit, by their fates. All others are kept. Pods of a StatefulSet share its fate, but
	// that they are never orphaned. See key for how objects are named.
	Want map[Fate][]string
	// Racing are objects of which the order of Argo CD's steps decides, which nothing fixes. Their fate is what Want says or Or, and a plan
	// says AtRisk.
	Racing []string
	Or     Fate
	// Remade are objects that go, and that Argo CD makes again by the same name, sooner or later: it tries again at growing distances while
	// a namespace ends. Deleted and Recreated are then one fate.
	Remade []string
	// Says are texts, one of which at least Argo CD must have said in a condition or in the result of a sync: "root: RepeatedResourceWarning".
	Says []string
	// Beyond is the rule of the finding by which the plan says that it cannot know what Want has: it then need not name those objects.
	Beyond string
	// Relayed is that what happens is done by others than the controller of Applications: by that of sets, of StatefulSets, or by the garbage
	// collector. They are waited for longer.
	Relayed bool
	// Silent are beginnings of conditions that Argo CD must not have shown since the last commit.
	Silent []string
}

// restTime is how long nothing may change before a change of the case counts as done.
func (c *Case) restTime() time.Duration {
	if c.Relayed {
		return relayTime
	}
	return restTime
}

// RootFile is the path of the root Application's file. Nobody syncs it: it is applied by hand, once, as one does to begin.
const RootFile = "env/cluster01/root.yaml"

// Trees returns the trees with all names filled in.
func (c *Case) Trees(repository string) []Files {
	names := strings.NewReplacer("$P", c.Name, "$REPO", repository, "$BRANCH", c.Name)
	trees := make([]Files, len(c.Commits))
	for n, commit := range c.Commits {
		trees[n] = make(Files, len(commit))
		for path, text := range commit {
			trees[n][names.Replace(path)] = names.Replace(text)
		}
	}
	return trees
}

// Write commits all trees to the case's branch of a repository, which needs no Argo CD, and returns the commits.
func (c *Case) Write(ctx context.Context, r *Repository) ([]string, error) {
	var commits []string
	for n, tree := range c.Trees(r.URL) {
		commit, err := r.Commit(ctx, c.Name, fmt.Sprintf("%s, step %d: %s", c.Name, n, c.Title), tree)
		if err != nil {
			return nil, err
		}
		commits = append(commits, commit)
	}
	return commits, nil
}

// key reads the name of an object: "StatefulSet app01/app01-db", where the namespace stands for $P-app01; "Application app01-cluster01",
// which is in Argo CD's namespace, and "Namespace app01", both of which stand for names that start with $P-.
func (c *Case) key(text string) (object.Key, error) {
	kind, name, found := strings.Cut(text, " ")
	r := slices.IndexFunc(watched, func(r resource) bool { return r.kind == kind })
	if !found || r < 0 {
		return object.Key{}, fmt.Errorf("case %s: %q names no object that is watched", c.Name, text)
	}
	k := object.Key{Group: watched[r].Group, Kind: kind}
	ns, name, namespaced := strings.Cut(name, "/")
	switch {
	case namespaced:
		k.Namespace, k.Name = c.Name+"-"+ns, name
	case k.Group == object.ArgoGroup:
		k.Namespace, k.Name = namespace, c.Name+"-"+ns
	default:
		k.Name = c.Name + "-" + ns
	}
	return k, nil
}

// Expected returns what Want says of the objects that were there: those that it does not name are kept.
func (c *Case) Expected(before Outcome) (Outcome, error) {
	want := make(Outcome, len(before))
	for k := range before {
		want[k] = Kept
	}
	for fate, names := range c.Want {
		for _, name := range names {
			k, err := c.key(name)
			if err != nil {
				return nil, err
			}
			if _, ok := before[k]; !ok {
				return nil, fmt.Errorf("case %s: there was no %s", c.Name, name)
			}
			want[k] = fate
			if k.Kind == "StatefulSet" && fate != Orphaned {
				for pod := range before {
					if pod.Kind == "Pod" && pod.Namespace == k.Namespace && strings.HasPrefix(pod.Name, k.Name+"-") {
						want[pod] = fate
					}
				}
			}
		}
	}
	return want, nil
}

// Surprises says where an observation differs from what the case says.
func (c *Case) Surprises(observed Outcome) ([]string, error) {
	want, err := c.Expected(observed)
	if err != nil {
		return nil, err
	}
	racing, err := c.keys(c.Racing, observed)
	if err != nil {
		return nil, err
	}
	remade, err := c.keys(c.Remade, observed)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, k := range slices.SortedFunc(maps.Keys(observed), object.Key.Compare) {
		switch got := observed[k]; {
		case got == want[k], racing[k] && got == c.Or, remade[k] && got.gone():
		case k.Kind == "Pod" && racing[k] && got == Kept && c.Or == Orphaned:
		default:
			all = append(all, fmt.Sprintf("%s is %s, want %s", k, got, want[k]))
		}
	}
	return all, nil
}

// gone says whether the object itself is no more, whatever has its name.
func (f Fate) gone() bool { return f == Deleted || f == Recreated }

// keys returns the objects that are named, with the pods of StatefulSets.
func (c *Case) keys(names []string, observed Outcome) (map[object.Key]bool, error) {
	named := make(map[object.Key]bool)
	for _, name := range names {
		k, err := c.key(name)
		if err != nil {
			return nil, err
		}
		named[k] = true
		for pod := range observed {
			if k.Kind == "StatefulSet" && pod.Kind == "Pod" && pod.Namespace == k.Namespace && strings.HasPrefix(pod.Name, k.Name+"-") {
				named[pod] = true
			}
		}
	}
	return named, nil
}

// Named has the objects that the case names, each as kept.
func (c *Case) Named() (Outcome, error) {
	all := make(Outcome)
	for _, names := range slices.Concat(slices.Collect(maps.Values(c.Want)), [][]string{c.Racing, c.Remade}) {
		for _, name := range names {
			k, err := c.key(name)
			if err != nil {
				return nil, err
			}
			all[k] = Kept
		}
	}
	return all, nil
}

// Disagreements says where a prediction differs from what was observed. An object that it says nothing about is predicted to be kept. An
// object at risk agrees when the case says so, whatever became of it, and where the case says so nothing else agrees: to have guessed right
// is no prediction.
func (c *Case) Disagreements(observed, predicted Outcome) ([]string, error) {
	racing, err := c.keys(c.Racing, observed)
	if err != nil {
		return nil, err
	}
	remade, err := c.keys(c.Remade, observed)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, k := range slices.SortedFunc(maps.Keys(predicted), object.Key.Compare) {
		if _, ok := observed[k]; !ok {
			all = append(all, fmt.Sprintf("%s: predicted %s, but it was not there", k, predicted[k]))
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(observed), object.Key.Compare) {
		fate := observed[k]
		if racing[k] {
			fate = AtRisk
		}
		p, named := predicted[k]
		switch {
		case !named && fate != Kept:
			all = append(all, fmt.Sprintf("%s: nothing was predicted, but Argo CD had it %s", k, fate))
		case !named, p == fate, remade[k] && p.gone() && fate.gone(), p == Held && c.waits(fate):
		default:
			all = append(all, fmt.Sprintf("%s: predicted %s, but Argo CD had it %s", k, p, fate))
		}
	}
	return all, nil
}

// waits says whether a fate is that of an object of which the deletion waits for a person.
func (c *Case) waits(f Fate) bool {
	if c.Approve != "" {
		return f == Deleted
	}
	return f == Kept || f == Deleting
}
