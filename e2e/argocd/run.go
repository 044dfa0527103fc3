//go:build e2e

package argocd

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/holdfast-telemetry/holdfast/guard/object"
)

const (
	// caseTime is how long one step of a case may take to come to rest.
	caseTime = 5 * time.Minute
	// restTime is how long nothing may change before a change counts as done: waves are two seconds apart, and a sync that self-heal starts
	// follows within five.
	restTime = 10 * time.Second
	// briefly is how long nothing may change where all is known to be synced.
	briefly = 2 * time.Second
	// lookTime lies between two looks, and askTime between two refreshes of an Application.
	lookTime, askTime = 200 * time.Millisecond, 1500 * time.Millisecond
	// stuckTime is how long an object that is asked to go, and does not, holds up the rest.
	stuckTime = time.Minute
)

// Observation is what a case did.
type Observation struct {
	// Commits are those of the case's branch.
	Commits []string
	// Outcome has all objects that were there before the last commit. Owned has those of them that an Application tracked, with its name.
	Outcome Outcome
	Owned   map[object.Key]string
	// Said is all that Argo CD said since the last commit, and not before, in conditions and results of syncs: "application: text".
	Said []string
	// Created are the objects that were not there before.
	Created []object.Key
	// Took is from the last commit until the last object changed.
	Took time.Duration
}

// Run deploys a case, changes it, and returns what became of the objects. Cases of one instance can be run at once, each once.
func (i *Instance) Run(ctx context.Context, c *Case) (*Observation, error) {
	if c.Tracking != i.tracking {
		return nil, fmt.Errorf("case %s is for tracking %q", c.Name, c.Tracking)
	}
	trees, o := c.Trees(i.URL), new(Observation)
	for n, tree := range trees {
		if n == len(trees)-1 {
			break
		}
		if err := i.step(ctx, c, o, n, tree); err != nil {
			return nil, err
		}
	}
	before := i.watch.objects(c.Name)
	i.watch.anew(c.Name)
	begin := time.Now()
	changed, err := i.change(ctx, c, o, trees[len(trees)-1])
	if err != nil {
		return nil, err
	}
	if c.Approve != "" {
		now := time.Now().UTC().Format(time.RFC3339)
		if err := i.watch.annotate(ctx, c.Name+"-"+c.Approve, "argocd.argoproj.io/deletion-approved", now); err != nil {
			return nil, fmt.Errorf("case %s: approving: %w", c.Name, err)
		}
		if changed, err = i.rest(ctx, c, o.Commits[len(o.Commits)-1], restTime, nil); err != nil {
			return nil, err
		}
	}
	o.Took = max(0, changed.Sub(begin))
	o.Said = i.watch.heard(c.Name)
	i.observe(c, o, before)
	return o, nil
}

// step commits a tree before the last and waits until it has come to rest: the first until it is synced.
func (i *Instance) step(ctx context.Context, c *Case, o *Observation, n int, tree Files) error {
	if n > 0 {
		_, err := i.change(ctx, c, o, tree)
		return err
	}
	commit, err := i.Commit(ctx, c.Name, c.Title, tree)
	if err != nil {
		return err
	}
	o.Commits = append(o.Commits, commit)
	if _, err := i.cluster.Apply(ctx, tree[RootFile]); err != nil {
		return fmt.Errorf("case %s: %w", c.Name, err)
	}
	_, err = i.rest(ctx, c, commit, briefly, func() string { return i.unsynced(c, commit) })
	return err
}

// change commits a tree and waits until it has come to rest. It returns when an object last changed.
func (i *Instance) change(ctx context.Context, c *Case, o *Observation, tree Files) (time.Time, error) {
	commit, err := i.Commit(ctx, c.Name, c.Title, tree)
	if err != nil {
		return time.Time{}, err
	}
	o.Commits = append(o.Commits, commit)
	return i.rest(ctx, c, commit, restTime, nil)
}

// unsynced says what is not yet as a commit has it, "" when all is.
func (i *Instance) unsynced(c *Case, commit string) string {
	apps := i.watch.applications(c.Name)
	if len(apps) < 2 {
		return "there are no Applications but the root"
	}
	for name, a := range apps {
		switch {
		case !a.synced || a.phase != "Succeeded":
			return name + " is not synced"
		case slices.ContainsFunc(a.revisions, func(r string) bool { return r != commit }) || len(a.revisions) == 0:
			return name + " is not at the commit"
		}
	}
	live := i.watch.objects(c.Name)
	for _, names := range c.Want {
		for _, name := range names {
			k, err := c.key(name)
			if err != nil {
				return err.Error()
			}
			if _, ok := live[k]; !ok && len(c.Commits) == 2 {
				return "there is no " + k.String()
			}
		}
	}
	for k := range live {
		if k.Kind == "StatefulSet" {
			for n := range replicas {
				if _, ok := live[object.Key{Kind: "Pod", Namespace: k.Namespace, Name: fmt.Sprintf("%s-%d", k.Name, n)}]; !ok {
					return k.String() + " has no pods"
				}
			}
		}
	}
	return ""
}

// rest refreshes all Applications of a case again and again until the root has compared the commit, every other has twice been compared
// after that, and no object has come, gone or been asked to go for some time. It returns when that last happened. What missing names is
// waited for too.
func (i *Instance) rest(ctx context.Context, c *Case, commit string, quiet time.Duration, missing func() string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, caseTime)
	defer cancel()
	r := &resting{instance: i, c: c, commit: commit, asked: make(map[string]time.Time), rounds: make(map[string]int)}
	r.changed = time.Now()
	begin := r.changed
	tick := time.NewTicker(lookTime)
	defer tick.Stop()
	for {
		why, err := r.look(ctx)
		if err != nil {
			return r.changed, err
		}
		if why == "" && missing != nil {
			why = missing()
		}
		if why != "" {
			r.since = time.Now()
		} else if since := r.since; time.Since(since) >= quiet && time.Since(r.changed) >= quiet {
			if r.first {
				return begin, nil
			}
			return r.changed, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return r.changed, fmt.Errorf("case %s did not come to rest: %s\n%s", c.Name, why, strings.Join(i.watch.heard(c.Name), "\n"))
		}
	}
}

// resting is a case that comes to rest.
type resting struct {
	instance *Instance
	c        *Case
	commit   string
	asked    map[string]time.Time // when an Application was last asked to be refreshed
	rounds   map[string]int       // how often it was, since the root has compared the commit
	live     map[object.Key]item
	changed  time.Time // when live last changed
	first    bool      // it has not since the beginning
	since    time.Time // when there was last a reason to wait
}

// look refreshes, and says what is to be waited for.
func (r *resting) look(ctx context.Context) (string, error) {
	live := r.instance.watch.objects(r.c.Name)
	if r.live == nil {
		r.first = true
	} else if !maps.EqualFunc(r.live, live, func(a, b item) bool { return a.uid == b.uid && a.deleting == b.deleting }) {
		r.changed, r.first = time.Now(), false
	}
	r.live = live
	apps := r.instance.watch.applications(r.c.Name)
	root, ok := apps[r.c.Name+"-root"]
	reached := ok && slices.Contains(root.revisions, r.commit)
	why := ""
	if !reached {
		why = "the root has not compared the commit"
	}
	for name, a := range apps {
		if a.deleting {
			continue
		}
		if !a.refresh && time.Since(r.asked[name]) >= askTime {
			if _, before := r.asked[name]; before && reached {
				r.rounds[name]++
			}
			if err := r.instance.watch.refresh(ctx, name); err != nil && !apierrors.IsNotFound(err) {
				return "", fmt.Errorf("case %s: refreshing %s: %w", r.c.Name, name, err)
			}
			r.asked[name] = time.Now()
		}
		// The first may have been asked for before the root had compared the commit.
		if r.rounds[name] < 3 {
			why = name + " has not been compared often enough"
		}
	}
	for k, o := range live {
		if o.deleting && k.Group != object.ArgoGroup && time.Since(r.changed) < stuckTime {
			why = k.String() + " is being deleted"
		}
	}
	return why, nil
}

// observe compares what lives with what lived.
func (i *Instance) observe(c *Case, o *Observation, before map[object.Key]item) {
	after, apps := i.watch.objects(c.Name), i.watch.applications(c.Name)
	o.Outcome, o.Owned = make(Outcome, len(before)), make(map[object.Key]string)
	for k, b := range before {
		if b.owner != "" {
			o.Owned[k] = b.owner
		}
		a, ok := after[k]
		app, there := apps[a.owner]
		switch {
		case !ok:
			o.Outcome[k] = Deleted
		case a.uid != b.uid:
			o.Outcome[k] = Recreated
		case a.deleting:
			o.Outcome[k] = Deleting
		case b.owner != "" && !(there && app.resources[k]):
			o.Outcome[k] = Orphaned
		default:
			o.Outcome[k] = Kept
		}
	}
	for k := range after {
		if _, ok := before[k]; !ok {
			o.Created = append(o.Created, k)
		}
	}
	slices.SortFunc(o.Created, object.Key.Compare)
}
