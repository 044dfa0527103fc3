//go:build e2e

package argocd

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-telemetry/holdfast/e2e/peer"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// SameByGit is the one case by hand about which git alone is right, and a plan that takes every mark on a live object for one of Argo CD's
// is not.
const SameByGit = "h07"

// handTime is how long a change by hand may take until it is seen.
const handTime = time.Minute

// Kubeconfig is the file that reaches the cluster as an administrator.
func (i *Instance) Kubeconfig() string { return i.cluster.Kubeconfig() }

// Export has Argo CD's own program write what argocd admin export writes.
func (i *Instance) Export(ctx context.Context, file string) error {
	if err := i.applyWanted(ctx); err != nil {
		return err
	}
	dir, err := peer.Build(ctx, "argocd")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, peer.Executable(dir, "argocd"), "admin", "export", "--kubeconfig", i.Kubeconfig(), "--namespace", namespace, "--out", file)
	cmd.Args[0] = "argocd" // it acts by the name it is called with
	cmd.Env = append(os.Environ(), "HOME="+i.dir, "TMPDIR="+filepath.Join(i.dir, "tmp"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("argocd admin export: %w: %s", err, out)
	}
	return nil
}

// applyWanted applies the ConfigMaps that an export wants to be there.
func (i *Instance) applyWanted(ctx context.Context) error {
	i.exporting.Lock()
	defer i.exporting.Unlock()
	for _, name := range []string{"argocd-cmd-params-cm", "argocd-rbac-cm", "argocd-ssh-known-hosts-cm", "argocd-tls-certs-cm"} {
		if _, err := i.cluster.Apply(ctx, fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {namespace: %s, name: %s}}", namespace, name)); err != nil {
			return err
		}
	}
	return nil
}

// ByHandCases are changes of what lives beside git, and then of git: a plan from git alone is wrong about each but SameByGit. Nothing heals
// itself in them.
func ByHandCases() []Case {
	const prunes = "{prune: true}"
	quiet := start().with(RootFile, root().syncs(prunes)).with(app01File, app("app01").syncs(prunes))
	guardedSet := guarded("app01", map[string]string{"StatefulSet": "Prune=false"})
	noSet := quiet.with(objects01File, four("app01")[1:]...)
	leaves := quiet.without(app01File)
	set, config, application := "StatefulSet app01/app01-db", "ConfigMap app01/app01-config", "Application app01-cluster01"
	return []Case{
		{
			Name: "h01", Title: "the live StatefulSet is protected by hand, and leaves git", Always: true,
			Commits: []Files{quiet, noSet}, ByHand: hand(set, options("Prune=false")), Says: []string{"app01-cluster01: PruneSkipped StatefulSet"},
		},
		{
			Name: "h02", Title: "the live StatefulSet loses its protection by hand, and leaves git, which has it", Always: true,
			Commits: []Files{quiet.with(objects01File, guardedSet...), noSet}, ByHand: hand(set, options("")), Want: map[Fate][]string{Deleted: {set}},
		},
		{
			Name: "h03", Title: "the live Application loses its finalizer by hand, and leaves git", Always: true,
			Commits: []Files{quiet, leaves}, ByHand: hand(application, `{"metadata":{"finalizers":null}}`),
			Want: map[Fate][]string{Deleted: {application}, Orphaned: all("app01")},
		},
		{
			Name: "h04", Title: "the live Applications stop to prune by hand, and objects leave git",
			Commits: []Files{quiet, quiet.with(objects01File, four("app01")[1:2]...)},
			ByHand: func(ctx context.Context, i *Instance, c *Case) error {
				if err := hand("Application root", `{"spec":{"syncPolicy":{"automated":null}}}`)(ctx, i, c); err != nil {
					return err
				}
				return hand(application, `{"spec":{"syncPolicy":{"automated":{"prune":false}}}}`)(ctx, i, c)
			},
		},
		{
			Name: "h05", Title: "a live object loses its label by hand, and its Application leaves git", Tracking: ByLabel,
			Commits: []Files{quiet, leaves}, ByHand: hand(config, `{"metadata":{"labels":{"app.kubernetes.io/instance":null}}}`),
			Want: map[Fate][]string{Deleted: append(all("app01"), application)}, Racing: []string{config}, Or: Kept,
		},
		{
			Name: "h06", Title: "an object that is made by hand has the label of an Application, which then gets another object", Tracking: ByLabel,
			Commits: []Files{quiet, quiet.with(in("app01", "more.yaml"), configMap("app01", "app01-more"))},
			ByHand:  made(configMap("app01", "app01-byhand"), Deleted, `{"metadata":{"labels":{"app.kubernetes.io/instance":"$P-app01-cluster01"}}}`),
			Want:    map[Fate][]string{},
		},
		{
			Name: "h07", Title: "a copy of an object has its tracking data, and both the object and another leave git",
			Commits: []Files{quiet, quiet.with(objects01File, four("app01")[:2]...)},
			ByHand: made(configMap("app01", "app01-copy"), Kept,
				`{"metadata":{"annotations":{"argocd.argoproj.io/tracking-id":"$P-app01-cluster01:/ConfigMap:$P-app01/app01-config"}}}`),
			Want: map[Fate][]string{Deleted: {config, "PersistentVolumeClaim app01/app01-shared"}},
		},
		{
			Name: "h08", Title: "a copy of an object has its tracking data, and the Application leaves git", Always: true,
			Commits: []Files{quiet, leaves},
			ByHand: made(configMap("app01", "app01-copy"), Deleted,
				`{"metadata":{"annotations":{"argocd.argoproj.io/tracking-id":"$P-app01-cluster01:/ConfigMap:$P-app01/app01-config"}}}`),
			Want: map[Fate][]string{Deleted: append(all("app01"), application)},
		},
	}
}

// options is the patch that sets the sync options of an object.
func options(text string) string {
	value := "null"
	if text != "" {
		value = strconv.Quote(text)
	}
	return `{"metadata":{"annotations":{"argocd.argoproj.io/sync-options":` + value + `}}}`
}

// hand patches an object, and waits until it is seen.
func hand(name, patch string) func(context.Context, *Instance, *Case) error {
	return func(ctx context.Context, i *Instance, c *Case) error {
		k, err := c.key(name)
		if err != nil {
			return err
		}
		r := watched[slices.IndexFunc(watched, func(r resource) bool { return r.kind == k.Kind && r.Group == k.Group })]
		client := i.watch.client.Resource(r.GroupVersionResource).Namespace(k.Namespace)
		is, err := client.Patch(ctx, k.Name, types.MergePatchType, []byte(strings.ReplaceAll(patch, "$P", c.Name)), metav1.PatchOptions{})
		if err != nil {
			return fmt.Errorf("patching %s: %w", k, err)
		}
		return i.watch.sees(ctx, r, k, is.GetResourceVersion())
	}
}

// made makes an object, and patches it. The case wants that fate of it.
func made(m manifest, fate Fate, patch string) func(context.Context, *Instance, *Case) error {
	return func(ctx context.Context, i *Instance, c *Case) error {
		if _, err := i.cluster.Apply(ctx, strings.ReplaceAll(m.String(), "$P", c.Name)); err != nil {
			return err
		}
		name := m.kind + " " + strings.TrimPrefix(m.namespace, "$P-") + "/" + m.name
		if fate != Kept {
			c.Want = maps.Clone(c.Want)
			c.Want[fate] = append(slices.Clone(c.Want[fate]), name)
		}
		return hand(name, patch)(ctx, i, c)
	}
}

// sees waits until the watch has an object at a version, or at a later one.
func (w *watch) sees(ctx context.Context, r resource, k object.Key, version string) error {
	ctx, cancel := context.WithTimeout(ctx, handTime)
	defer cancel()
	want, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return fmt.Errorf("%s has the version %q: %w", k, version, err)
	}
	for {
		if w.at(r, k) >= want && (k.Group != object.ArgoGroup || k.Kind != "Application" || w.applicationAt(k) >= want) {
			return nil
		}
		select {
		case <-time.After(lookTime):
		case <-ctx.Done():
			return fmt.Errorf("%s was not seen as it was made by hand: %w", k, ctx.Err())
		}
	}
}

// at returns the version at which the watch has an object, 0 where it has none.
func (w *watch) at(r resource, k object.Key) uint64 {
	return versionOf(w.informers[r].GetStore().GetByKey(storeKey(k)))
}

// applicationAt is at, of the Applications that are watched whole.
func (w *watch) applicationAt(k object.Key) uint64 {
	return versionOf(w.apps.GetStore().GetByKey(storeKey(k)))
}

func storeKey(k object.Key) string { return strings.TrimPrefix(k.Namespace+"/"+k.Name, "/") }

func versionOf(o any, exists bool, err error) uint64 {
	if err != nil || !exists {
		return 0
	}
	m, err := meta.Accessor(o)
	if err != nil {
		return 0
	}
	version, _ := strconv.ParseUint(m.GetResourceVersion(), 10, 64)
	return version
}
