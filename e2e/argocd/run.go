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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-telemetry/holdfast/guard/object"
)

const (
	// caseTime is how long one step of a case may take to come to rest.
	caseTime = 5 * time.Minute
	// restTime is how long nothing may change before a change counts as done: waves are two seconds apart, and a sync that self-heal starts
	// follows within five.
	restTime = 10 * time.Second
	// relayTime is restTime of a case in which others than the controller of Applications have to act in turn, at their own times.
	relayTime = 40 * time.Second
	// briefly is how long nothing may change where all is known to be synced.
	briefly = 2 * time.Second
	// lookTime lies between two looks, and askTime between two refreshes of an Application.
	lookTime, askTime = 200 * time.Millisecond, 1500 * time.Millisecond
	// idleTime is how long an Application that is not synced must do nothing to count as one that does not act, and idleRounds how often it
	// must have been compared since: on a busy machine a comparison takes long, and what follows from it as well.
	idleTime, idleRounds = 20 * time.Second, 5
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
	if c.ByHand != nil {
		if err := c.ByHand(ctx, i, c); err != nil {
			return nil, fmt.Errorf("case %s: by hand: %w", c.Name, err)
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
		if _, err := i.watch.annotate(ctx, c.Name+"-"+c.Approve, "argocd.argoproj.io/deletion-approved", now); err != nil {
			return nil, fmt.Errorf("case %s: approving: %w", c.Name, err)
		}
		if changed, err = i.rest(ctx, c, o.Commits[len(o.Commits)-1], c.restTime(), nil); err != nil {
			return nil, err
		}
	}
	o.Took = changed.Sub(begin)
	o.Said = i.watch.heard(c.Name)
	i.observe(c, o, before)
	return o, i.retire(ctx, c)
}

// retire deletes the sets and the Applications of a case, and nothing with them, so that Argo CD has no more work with it.
func (i *Instance) retire(ctx context.Context, c *Case) error {
	for _, r := range []schema.GroupVersionResource{applicationSets, applications} {
		client := i.watch.client.Resource(r).Namespace(namespace)
		list, err := client.List(ctx, metav1.ListOptions{})
		if err != nil {
			return fmt.Errorf("case %s: retiring it: %w", c.Name, err)
		}
		for _, o := range list.Items {
			if !strings.HasPrefix(o.GetName(), c.Name+"-") {
				continue
			}
			_, err := client.Patch(ctx, o.GetName(), types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
			if err == nil {
				orphan := metav1.DeletePropagationOrphan
				err = client.Delete(ctx, o.GetName(), metav1.DeleteOptions{PropagationPolicy: &orphan})
			}
			if err != nil && !apierrors.IsNotFound(err) {
				return fmt.Errorf("case %s: retiring it: %w", c.Name, err)
			}
		}
	}
	return nil
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
	return i.rest(ctx, c, commit, c.restTime(), nil)
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
	for _, names := range append(slices.Collect(maps.Values(c.Want)), c.Racing) {
		for _, name := range names {
			k, err := c.key(name)
			if err != nil {
				return err.Error()
			}
			if _, ok := live[k]; !ok {
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

// rest refreshes all Applications of a case again and again until the root has acted upon the commit, every other has acted upon what the
// root made of it, and no object has come, gone or been asked to go for some time. It returns when that last happened, or when it was
// called if nothing did. What missing names is waited for too.
func (i *Instance) rest(ctx context.Context, c *Case, commit string, quiet time.Duration, missing func() string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, caseTime)
	defer cancel()
	now := time.Now()
	r := &resting{instance: i, c: c, commit: commit, changed: now, since: now, apps: make(map[string]*acting)}
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
		} else if time.Since(r.since) >= quiet && time.Since(r.changed) >= quiet {
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
	apps     map[string]*acting
	root     bool // has acted
	live     map[object.Key]item
	changed  time.Time // when live last changed
	since    time.Time // when there was last a reason to wait
}

// acting is an Application that acts upon a commit.
type acting struct {
	asked    time.Time // when it was last asked to be refreshed
	version  uint64    // at which it was
	rounds   int       // how often it was, since it is waited for
	state    string    // of its last look
	standing time.Time // since when it is so
	idle     int       // how often it was compared since
}

// look refreshes, and says what is to be waited for.
func (r *resting) look(ctx context.Context) (string, error) {
	live := r.instance.watch.objects(r.c.Name)
	if r.live != nil && !maps.EqualFunc(r.live, live, func(a, b item) bool { return a.uid == b.uid && a.deleting == b.deleting }) {
		r.changed = time.Now()
	}
	r.live = live
	apps := r.instance.watch.applications(r.c.Name)
	for name, a := range apps {
		if err := r.refresh(ctx, name, a); err != nil {
			return "", fmt.Errorf("case %s: refreshing %s: %w", r.c.Name, name, err)
		}
	}
	name := r.c.Name + "-root"
	root, ok := apps[name]
	if !ok {
		return "there is no root", nil
	}
	if !r.root {
		if why := r.acted(name, root); why != "" {
			return why, nil
		}
		// What the others did so far may have been upon what they were before.
		r.root, r.apps = true, map[string]*acting{name: r.apps[name]}
	}
	for name, a := range apps {
		if why := r.acted(name, a); why != "" {
			return why, nil
		}
	}
	for k, o := range live {
		if o.deleting && time.Since(r.changed) < stuckTime {
			return k.String() + " is being deleted", nil
		}
	}
	return "", nil
}

// refresh asks for a comparison, when the last has come.
func (r *resting) refresh(ctx context.Context, name string, a application) error {
	s := r.apps[name]
	if s == nil {
		s = new(acting)
		r.apps[name] = s
	}
	if state := fmt.Sprint(a.revisions, a.synced, a.phase, a.operated, a.results, a.pending); state != s.state {
		s.state, s.standing, s.idle = state, time.Now(), 0
	}
	if a.refresh || a.deleting || time.Since(s.asked) < askTime || a.version < s.version {
		return nil
	}
	if !s.asked.IsZero() {
		s.rounds++
		s.idle++
	}
	s.asked = time.Now()
	version, err := r.instance.watch.refresh(ctx, name)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	s.version = version
	return nil
}

// acted says why an Application has yet to act upon the commit. One that neither has what git has nor does anything about it for some
// time has acted.
func (r *resting) acted(name string, a application) string {
	s := r.apps[name]
	switch {
	case a.deleting:
		return ""
	case s == nil || s.rounds < 2: // the first may have been asked for before
		return name + " has not been compared often enough"
	case a.pending:
		return name + " has yet to begin what it is asked to do"
	case time.Since(s.standing) >= idleTime && s.idle > idleRounds: // the first may have been asked for before
		return ""
	case !slices.Contains(a.revisions, r.commit):
		return name + " has not compared the commit"
	case !a.synced && (!slices.Contains(a.operated, r.commit) || a.phase == "Running"):
		return name + " is not synced"
	}
	return ""
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
