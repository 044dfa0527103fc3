package rule_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/rule"
	"github.com/holdfast-telemetry/holdfast/guard/settings"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
)

// files are those of a repository, by path.
type files map[string]string

// add adds an object in a file that is named after it.
func (f files) add(folder, name, text string) {
	f[folder+"/"+name] = strings.TrimPrefix(text, "\n")
}

// with returns a copy with other files in it. An empty text takes a file away.
func (f files) with(more files) files {
	f = maps.Clone(f)
	for path, text := range more {
		if f[path] = text; text == "" {
			delete(f, path)
		}
	}
	return f
}

// write writes the files into a folder.
func (f files) write(t testing.TB, dir string) {
	t.Helper()
	for path, text := range f {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// today is the day of the tests.
var today = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// checkFolder runs all rules on a folder, with its guard.yaml.
func checkFolder(t testing.TB, dir string) rule.Result {
	t.Helper()
	s, err := settings.Read(filepath.Join(dir, settings.Name), true)
	if err != nil {
		t.Fatal(err)
	}
	config, err := s.Config()
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.Inventory()
	if err != nil {
		t.Fatal(err)
	}
	folder, err := tree.Folder(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = folder.Close() })
	i, err := inventory.Load(t.Context(), folder, o)
	if err != nil {
		t.Fatal(err)
	}
	findings, waivers, err := rule.Run(t.Context(), i, config)
	if err != nil {
		t.Fatal(err)
	}
	return rule.Waive(findings, append(s.OwnWaivers(), waivers...), config, today)
}

// check writes files and runs all rules on them.
func (f files) check(t testing.TB) rule.Result {
	t.Helper()
	dir := t.TempDir()
	f.write(t, dir)
	return checkFolder(t, dir)
}

// errorsOf returns the findings that are errors, as lines.
func errorsOf(r rule.Result) []string {
	var lines []string
	for _, f := range r.Findings {
		if f.Severity == finding.Error {
			lines = append(lines, line(f))
		}
	}
	return lines
}

func line(f finding.Finding) string {
	return fmt.Sprintf("%s:%d:%d %s %s", f.Path, f.Line, f.Column, f.Rule, f.Message)
}

const repository = "https://git.example.org/infrastructure.git"

// application is an Application as the article's convention has it.
func application(name, project, path, namespace string) string {
	return fmt.Sprintf(`apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  annotations:
    argocd.argoproj.io/sync-options: Prune=confirm
  finalizers:
  - resources-finalizer.argocd.argoproj.io
  name: %s
  namespace: argocd
spec:
  destination:
    namespace: %s
    server: https://kubernetes.default.svc
  project: %s
  source:
    path: %s
    repoURL: %s
    targetRevision: main
  syncPolicy:
    automated:
      prune: true
      selfHeal: true
    syncOptions:
    - CreateNamespace=true
    - FailOnSharedResource=true
`, name, namespace, project, path, repository)
}

// appProject is a project that permits one namespace.
func appProject(name, namespace string) string {
	return fmt.Sprintf(`apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata:
  name: %s
  namespace: argocd
spec:
  clusterResourceWhitelist:
  - group: ""
    kind: Namespace
  destinations:
  - namespace: %s
    server: https://kubernetes.default.svc
  sourceRepos:
  - %s
`, name, namespace, repository)
}

// root is the app of apps of a cluster.
func root(name, path string) string {
	return strings.Replace(application(name, "root", path, "argocd"), "  finalizers:\n  - resources-finalizer.argocd.argoproj.io\n", "", 1)
}

const protected = "  annotations:\n    argocd.argoproj.io/sync-options: Prune=false,Delete=false\n"

// workload adds what an application of the article has: state, and what serves it.
func (f files) workload(folder, app, namespace string) {
	f.add(folder, "v1.Namespace-"+namespace+".yaml", "apiVersion: v1\nkind: Namespace\nmetadata:\n"+protected+"  name: "+namespace+"\n")
	f.add(folder, fmt.Sprintf("apps.v1.StatefulSet-%s.%s-db.yaml", namespace, app), fmt.Sprintf(`
apiVersion: apps/v1
kind: StatefulSet
metadata:
%s  name: %s-db
  namespace: %s
spec:
  replicas: 2
  selector:
    matchLabels:
      app: %s-db
  serviceName: %s-db
  template:
    metadata:
      labels:
        app: %s-db
    spec:
      containers:
      - image: registry.example.org/db:1
        name: db
  volumeClaimTemplates:
  - metadata:
      name: data
    spec:
      accessModes:
      - ReadWriteOnce
      resources:
        requests:
          storage: 10Gi
      storageClassName: retained
`, protected, app, namespace, app, app, app))
	f.add(folder, fmt.Sprintf("v1.PersistentVolumeClaim-%s.%s-shared.yaml", namespace, app), fmt.Sprintf("apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata:\n%s  name: %s-shared\n  namespace: %s\nspec:\n  accessModes:\n  - ReadWriteOnce\n  resources:\n    requests:\n      storage: 1Gi\n  storageClassName: retained\n", protected, app, namespace))
	f.add(folder, fmt.Sprintf("v1.Service-%s.%s-db.yaml", namespace, app), fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata:\n  name: %s-db\n  namespace: %s\nspec:\n  clusterIP: None\n  ports:\n  - port: 80\n  selector:\n    app: %s-db\n", app, namespace, app))
	f.add(folder, fmt.Sprintf("v1.ConfigMap-%s.%s-config.yaml", namespace, app), fmt.Sprintf("apiVersion: v1\ndata:\n  key: value\nkind: ConfigMap\nmetadata:\n  name: %s-config\n  namespace: %s\n", app, namespace))
	f.add(folder, fmt.Sprintf("apps.v1.Deployment-%s.%s-api.yaml", namespace, app), fmt.Sprintf("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: %s-api\n  namespace: %s\nspec:\n  replicas: 2\n  selector:\n    matchLabels:\n      app: %s-api\n  template:\n    metadata:\n      labels:\n        app: %s-api\n    spec:\n      containers:\n      - image: registry.example.org/api:1\n        name: api\n", app, namespace, app, app))
}

// article is a repository in the article's shape: each app in each cluster, one object a file, an app of apps for each cluster.
func article(apps, clusters int) files {
	f := make(files)
	f["README.md"] = "# Infrastructure\n\n    apiVersion: v1\n    kind: Service\n"
	f[".github/workflows/check.yaml"] = "on: push\njobs: {}\n"
	f["jsonnet/app.libsonnet"] = "{ kind: 'Service', apiVersion: 'v1' }\n"
	f.add("bootstrap", "argoproj.io.v1alpha1.AppProject-argocd.root.yaml", appProject("root", "argocd"))
	for c := range clusters {
		cluster := fmt.Sprintf("cluster%02d", c+1)
		control := "env/" + cluster + "/argocd/yml"
		f.add("bootstrap", "argoproj.io.v1alpha1.Application-argocd.root-"+cluster+".yaml", root("root-"+cluster, control))
		for a := range apps {
			app := fmt.Sprintf("app%02d", a+1)
			name := app + "-" + cluster
			namespace := app + "-" + cluster
			folder := "env/" + cluster + "/" + app + "/yml"
			f.add(control, "argoproj.io.v1alpha1.Application-argocd."+name+".yaml", application(name, name, folder, namespace))
			f.add(control, "argoproj.io.v1alpha1.AppProject-argocd."+name+".yaml", appProject(name, namespace))
			f.workload(folder, app, namespace)
		}
	}
	return f
}

// paths returns the paths of files in order.
func (f files) paths() []string { return slices.Sorted(maps.Keys(f)) }
