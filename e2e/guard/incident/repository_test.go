//go:build e2e

// Package incident_test holds the built holdfast-guard against the commit that deleted a production environment, and against the ways in
// which the same loss can come about. It needs git, and no cluster.
package incident_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// files are those of a repository, by path.
type files map[string]string

// and returns the files with others; an empty text takes one away.
func (f files) and(more files) files {
	all := maps.Clone(f)
	maps.Copy(all, more)
	maps.DeleteFunc(all, func(_, text string) bool { return text == "" })
	return all
}

// The paths of the article's shape.
const (
	control  = "env/cluster01/argocd/yml"
	apps     = control + "/apps.yaml"
	path01   = "env/cluster01/app01/yml"
	path02   = "env/cluster01/app02/yml"
	manifest = path01 + "/app01.yaml" // all of app01 in one file, as on that day
	app01    = "app01-cluster01"
	remote   = "https://git.example.org/infrastructure.git"
)

// application is an Application as the automation wrote it.
func application(name, path, namespace string) string {
	return fmt.Sprintf(`apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: %s
  namespace: argocd
  finalizers: [resources-finalizer.argocd.argoproj.io]
spec:
  project: %s
  source: {repoURL: "%s", targetRevision: main, path: %s}
  destination: {server: "https://kubernetes.default.svc", namespace: %s}
  syncPolicy:
    automated: {prune: true, selfHeal: true}
    syncOptions: [CreateNamespace=true]
`, name, name, remote, path, namespace)
}

func project(name string) string {
	return fmt.Sprintf(`apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: %s, namespace: argocd}
spec:
  sourceRepos: ["%s"]
  clusterResourceWhitelist: [{group: "", kind: Namespace}]
  destinations: [{server: "https://kubernetes.default.svc", namespace: "*"}]
`, name, remote)
}

// both are a project and its Application.
func both(name, path, namespace string) string {
	return project(name) + "---\n" + application(name, path, namespace)
}

// object is one that is short, with a line of its metadata.
func object(apiVersion, kind, namespace, name, more string) string {
	metadata := "name: " + name
	if namespace != "" {
		metadata += ", namespace: " + namespace
	}
	return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata: {%s%s}\n", apiVersion, kind, metadata, more)
}

// set is a StatefulSet with a claim for each of its replicas.
func set(apiVersion, namespace, name string, replicas int, more string) string {
	return object(apiVersion, "StatefulSet", namespace, name, more) + fmt.Sprintf(`spec:
  replicas: %d
  serviceName: %[2]s
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s}}
    spec: {containers: [{name: %[2]s, image: "registry.example.org/%[2]s:1"}]}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], storageClassName: retained, resources: {requests: {storage: 10Gi}}}
`, replicas, name)
}

// claim is a PersistentVolumeClaim that no StatefulSet makes.
func claim(namespace, name, more string) string {
	return object("v1", "PersistentVolumeClaim", namespace, name, more) + "spec: {accessModes: [ReadWriteOnce], storageClassName: retained, resources: {requests: {storage: 1Gi}}}\n"
}

// The stateful sets of app01 and their replicas, and what serves them.
var (
	sets     = []string{"etcd", "zookeeper", "kafka", "storage"}
	services = []string{"gateway", "query", "queryd"}
)

// production are the objects of app01 by name: a namespace, four sets with three replicas, two claims, and ten that hold no state. options
// are the annotations of those that hold state.
func production(options string) map[string]string {
	of := map[string]string{"0-namespace": object("v1", "Namespace", "", "influx", options)}
	for _, name := range sets {
		of["1-"+name] = set("apps/v1", "influx", name, 3, options)
		of["3-service-"+name] = object("v1", "Service", "influx", name, "") + "spec: {clusterIP: None, publishNotReadyAddresses: true, selector: {app: " + name + "}, ports: [{port: 80}]}\n"
	}
	for _, name := range []string{"backups", "snapshots"} {
		of["2-"+name] = claim("influx", name, options)
	}
	for _, name := range services {
		of["4-"+name] = object("apps/v1", "Deployment", "influx", name, "") + fmt.Sprintf("spec:\n  selector: {matchLabels: {app: %[1]s}}\n  template: {metadata: {labels: {app: %[1]s}}, spec: {containers: [{name: %[1]s, image: \"registry.example.org/%[1]s:1\"}]}}\n", name)
		of["5-"+name] = object("v1", "ConfigMap", "influx", name, "") + "data: {key: value}\n"
	}
	return of
}

// prune are the annotations with those options.
func prune(options string) string {
	return ", annotations: {argocd.argoproj.io/sync-options: '" + options + "'}"
}

// loss is what goes with app01: 17 objects that git has, and the claims of the sets, which go with the namespace.
const loss = "29 objects, 19 of them stateful (Namespace influx; apps/StatefulSet influx/etcd, influx/kafka, influx/storage, influx/zookeeper; PersistentVolumeClaim influx/backups, "

// document joins objects into one file, in the order of their names.
func document(of map[string]string) string {
	var texts []string
	for _, name := range sorted(of) {
		texts = append(texts, of[name])
	}
	return strings.Join(texts, "---\n")
}

// without returns objects without some.
func without(of map[string]string, names ...string) map[string]string {
	of = maps.Clone(of)
	for _, name := range names {
		delete(of, name)
	}
	return of
}

// only returns those objects.
func only(of map[string]string, names ...string) map[string]string {
	some := make(map[string]string)
	for _, name := range names {
		some[name] = of[name]
	}
	return some
}

// newcomer are the objects of app02, which is to come to the cluster.
func newcomer(namespace string) string {
	return object("apps/v1", "Deployment", namespace, "app02", "") + "spec:\n  selector: {matchLabels: {app: app02}}\n  template: {metadata: {labels: {app: app02}}, spec: {containers: [{name: app02, image: \"registry.example.org/app02:1\"}]}}\n---\n" +
		object("v1", "ConfigMap", namespace, "app02", "") + "data: {key: value}\n"
}

// guardYAML turns off what nobody had on that day: one object a file, and protections. What is left has to see the incident.
const guardYAML = `clusters: {cluster02: "https://cluster02.example.org"}
rules:
  HG020: {off: all of an application is in one file}
  HG021: {off: all of an application is in one file}
  HG040: {off: nothing is protected on that day}
  HG041: {off: nothing is protected on that day}
  HG042: {off: nothing is protected on that day}
  HG043: {off: nothing is protected on that day}
  HG050: {off: nothing is protected on that day}
  HG052: {off: everything prunes on that day}
  HG056: {off: sets delete on that day}
  HG054: {off: everything has its finalizer on that day}
`

// production01 is the repository before the commit: the apps of apps of two clusters, app01 in both, and telegraf beside it.
func production01() files {
	second := strings.NewReplacer("cluster01", "cluster02", `server: "https://kubernetes.default.svc"`, "name: cluster02")
	root := func(cluster string) string {
		return strings.Replace(application("root-"+cluster, "env/"+cluster+"/argocd/yml", "argocd"), "  finalizers: [resources-finalizer.argocd.argoproj.io]\n", "", 1)
	}
	telegraf := object("apps/v1", "DaemonSet", "telegraf", "telegraf", "") + "spec:\n  selector: {matchLabels: {app: telegraf}}\n  template: {metadata: {labels: {app: telegraf}}, spec: {containers: [{name: telegraf, image: \"registry.example.org/telegraf:1\"}]}}\n"
	return files{
		"guard.yaml":               guardYAML,
		"README.md":                "# Infrastructure\n",
		"bootstrap/cluster01.yaml": project("root-cluster01") + "---\n" + root("cluster01"),
		"bootstrap/cluster02.yaml": project("root-cluster02") + "---\n" + root("cluster02"),
		apps:                       both(app01, path01, "influx") + "---\n" + both("telegraf-cluster01", "env/cluster01/telegraf/yml", "telegraf"),
		manifest:                   document(production("")),
		"env/cluster01/telegraf/yml/telegraf.yaml": telegraf,
		second.Replace(apps):                       second.Replace(both(app01, path01, "influx")),
		second.Replace(manifest):                   document(production(prune("Prune=false,Delete=false"))),
	}
}

// theCommit is what deleted production: the objects of app02 and, under app01's name, its project and its Application.
func theCommit(namespace string) files {
	before := production01()
	return files{apps: before[apps] + "---\n" + both(app01, path02, namespace), path02 + "/app02.yaml": newcomer(namespace)}
}

// repository is one that git has.
type repository struct {
	testing.TB
	dir string
}

func newRepository(t testing.TB) *repository {
	t.Helper()
	r := &repository{t, t.TempDir()}
	r.git("init", "--quiet", "--initial-branch", "main")
	return r
}

func (r *repository) git(args ...string) string {
	r.Helper()
	cmd := exec.CommandContext(r.Context(), "git", append([]string{"-C", r.dir, "-c", "user.name=ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.Fatalf("git %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit makes the files the whole of the repository, and returns the commit.
func (r *repository) commit(f files) string {
	r.Helper()
	r.git("rm", "-r", "--quiet", "--ignore-unmatch", ".")
	for path, text := range f {
		path = filepath.Join(r.dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			r.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			r.Fatal(err)
		}
	}
	r.git("add", "--all")
	r.git("commit", "--quiet", "--allow-empty", "--message", "change")
	return r.git("rev-parse", "HEAD")
}

// guard runs the built program in the repository, and returns its exit code and what it prints.
func (r *repository) guard(args ...string) (code int, out string) {
	r.Helper()
	program, err := filepath.Abs(filepath.Join("..", "..", "..", "bin", "holdfast-guard"))
	if err != nil {
		r.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(r.dir, ".git", "cache"), "NO_COLOR=1")
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), b.String()
	} else if err != nil {
		r.Fatal(err)
	}
	return 0, b.String()
}

// write writes a file outside of the repository.
func (r *repository) write(name, text string) string {
	r.Helper()
	file := filepath.Join(r.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		r.Fatal(err)
	}
	return file
}
