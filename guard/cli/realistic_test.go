package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// repository is a GitOps repository: texts by their paths.
type repository map[string]string

const origin = "https://git.example.org/deploy.git"

// object adds an object in a file of its own. Its metadata and the rest are lines of YAML; of an object without a namespace the Application's
// destination counts, and the file is named after that.
func (r repository) object(folder, apiVersion, kind, namespace, destination, name, meta, rest string) string {
	where := destination
	text := "apiVersion: " + apiVersion + "\nkind: " + kind + "\nmetadata:\n  name: " + name + "\n"
	if namespace != "" {
		where = namespace
		text += "  namespace: " + namespace + "\n"
	}
	if where != "" {
		where += "."
	}
	path := folder + "/" + strings.ReplaceAll(apiVersion, "/", ".") + "." + kind + "-" + where + name + ".yaml"
	r[path] = text + meta + rest
	return path
}

const (
	kept       = "  annotations:\n    argocd.argoproj.io/sync-options: Prune=false,Delete=false\n"
	confirmed  = "  annotations:\n    argocd.argoproj.io/sync-options: Prune=confirm\n"
	syncPolicy = "  syncPolicy:\n    automated:\n      prune: true\n      selfHeal: true\n    syncOptions:\n    - FailOnSharedResource=true\n" +
		"    - PruneLast=true\n"
)

// application adds an Application with its project. more are lines of its source.
func (r repository) application(folder, name, project, path, namespace, cluster, more string) {
	r.object(folder, "argoproj.io/v1alpha1", "Application", "argocd", "", name, confirmed, fmt.Sprintf("spec:\n  destination:\n    name: %s\n"+
		"    namespace: %s\n  project: %s\n"+
		"  source:\n    path: %s\n    repoURL: %s\n    targetRevision: main\n%s%s", cluster, namespace, project, path, origin, more, syncPolicy))
	r.project(folder, project, namespace, cluster)
}

func (r repository) project(folder, name, namespace, cluster string) {
	r.object(folder, "argoproj.io/v1alpha1", "AppProject", "argocd", "", name, "", fmt.Sprintf("spec:\n  clusterResourceWhitelist:\n  - group: '*'\n"+
		"    kind: '*'\n"+
		"  destinations:\n  - name: '%s'\n    namespace: '%s'\n  sourceRepos:\n  - %s\n", cluster, namespace, origin))
}

func pods(app, image string) string {
	return fmt.Sprintf("  selector:\n    matchLabels:\n      app: %[1]s\n  template:\n    metadata:\n      labels:\n        app: %[1]s\n    spec:\n"+
		"      containers:\n      - name: main\n        image: registry.example.org/%[1]s:%s\n", app, image)
}

// database adds a StatefulSet with its Service, which is headless and takes part before its pods are ready.
func (r repository) database(folder, namespace, destination, name, meta string) {
	r.object(folder, "apps/v1", "StatefulSet", namespace, destination, name, kept+meta, "spec:\n  replicas: 3\n  podManagementPolicy: Parallel\n"+
		"  serviceName: "+name+"\n"+pods(name, "1.0")+
		"  volumeClaimTemplates:\n  - metadata:\n      name: data\n    spec:\n      accessModes:\n      - ReadWriteOnce\n"+
		"      storageClassName: retained\n      resources:\n        requests:\n          storage: 10Gi\n")
	r.object(folder, "v1", "Service", namespace, destination, name, meta, "spec:\n  clusterIP: None\n  publishNotReadyAddresses: true\n  ports:\n"+
		"  - port: 80\n  selector:\n    app: "+name+"\n")
}

// web adds what an app without state has, with hooks before and after its sync.
func (r repository) web(folder, namespace, destination, name, meta string) {
	r.object(folder, "apps/v1", "Deployment", namespace, destination, name, meta, "spec:\n  replicas: 2\n"+pods(name, "1.0"))
	r.object(folder, "v1", "Service", namespace, destination, name, meta, "spec:\n  ports:\n  - port: 80\n  selector:\n    app: "+name+"\n")
	r.object(folder, "policy/v1", "PodDisruptionBudget", namespace, destination, name, meta, "spec:\n  maxUnavailable: 1\n  selector:\n"+
		"    matchLabels:\n      app: "+name+"\n")
	r.object(folder, "batch/v1", "Job", namespace, destination, name+"-migrate", "  annotations:\n    argocd.argoproj.io/hook: PreSync\n"+
		"    argocd.argoproj.io/hook-delete-policy: BeforeHookCreation\n    argocd.argoproj.io/sync-wave: '-5'\n",
		"spec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers:\n      - name: main\n"+
			"        image: registry.example.org/migrate:1.0\n")
}

func (r repository) namespace(folder, name string) {
	r.object(folder, "v1", "Namespace", "", "", name, kept, "")
}

const topics = "spec:\n  group: queue.example.org\n  names:\n    kind: Topic\n    plural: topics\n  scope: Namespaced\n  versions:\n  - name: v1\n" +
	"    served: true\n    storage: true\n    schema:\n      openAPIV3Schema:\n        type: object\n"

// flat has a folder for each app, one cluster, and an app of apps. Every other app leaves its objects' namespaces to the Application.
func flat() repository {
	r := repository{"guard.yaml": "conventions:\n- path: apps/(app)\n  application: (app)\n  project: (app)\n", "README.md": "# apps\n"}
	r.application("argocd", "root", "root", "argocd", "argocd", "in-cluster", "")
	r.application("argocd", "platform", "platform", "apps/platform", "platform", "in-cluster", "")
	r.namespace("apps/platform", "platform")
	r.object("apps/platform", "storage.k8s.io/v1", "StorageClass", "", "", "retained", "", "provisioner: disks.example.org\nreclaimPolicy: Retain\n")
	r.object("apps/platform", "apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "", "topics.queue.example.org", "  annotations:\n"+
		"    argocd.argoproj.io/sync-wave: '-10'\n", topics)
	r.object("apps/platform", "rbac.authorization.k8s.io/v1", "ClusterRole", "", "", "reader", "", "rules:\n- apiGroups: ['']\n  resources: [pods]\n"+
		"  verbs: [get, list]\n")
	for i, app := range []string{"billing", "chat", "ingest", "ledger", "mail", "search", "sessions", "storage"} {
		folder, namespace := "apps/"+app, app
		if i%2 == 0 {
			namespace = ""
		}
		r.application("argocd", app, app, folder, app, "in-cluster", "")
		r.namespace(folder, app)
		r.web(folder, namespace, app, app+"-web", "")
		r.database(folder, namespace, app, app+"-db", "")
		r.object(folder, "queue.example.org/v1", "Topic", namespace, app, app+"-events", "  annotations:\n"+
			"    argocd.argoproj.io/sync-wave: '3'\n", "spec:\n  partitions: 12\n")
	}
	return r
}

// fleet has sets that make the Applications of three clusters: one from the folders of apps, one with a list of what all clusters have.
func fleet() repository {
	r := repository{"guard.yaml": "conventions:\n- path: env/(cluster)/(app)/yml\n  application: (app)-(cluster)\n  project: (cluster)\nclusters:\n" +
		"  eu1: https://eu1.example.org\n  eu2: https://eu2.example.org\n  us1: https://us1.example.org\n"}
	r.application("argocd", "root", "root", "argocd", "argocd", "in-cluster", "")
	set := func(name, generators, application, project, path, namespace string) {
		r.object("argocd", "argoproj.io/v1alpha1", "ApplicationSet", "argocd", "", name, confirmed, "spec:\n  goTemplate: true\n"+
			"  goTemplateOptions: [missingkey=error]\n  generators:\n"+generators+
			"  syncPolicy:\n    preserveResourcesOnDeletion: true\n  template:\n    metadata:\n      name: '"+application+"'\n    spec:\n"+
			"      project: '"+project+"'\n      destination:\n        name: '"+strings.ReplaceAll(project, "base-", "")+
			"'\n        namespace: '"+namespace+"'\n      source:\n        repoURL: "+origin+"\n        targetRevision: main\n"+
			"        path: '"+path+"'\n"+strings.ReplaceAll("\n"+strings.TrimSuffix(syncPolicy, "\n"), "\n", "\n    ")[1:]+"\n")
	}
	set("apps", "  - git:\n      repoURL: "+origin+"\n      revision: main\n      directories:\n      - path: env/*/*/yml\n",
		"{{ index .path.segments 2 }}-{{ index .path.segments 1 }}", "{{ index .path.segments 1 }}", "{{ .path.path }}", "{{ index .path.segments 2 }}")
	base := "  - list:\n      elements:\n"
	for _, cluster := range []string{"eu1", "eu2", "us1"} {
		base += "      - cluster: " + cluster + "\n"
		r.project("argocd", cluster, "*", cluster)
		for _, app := range []string{"gateway", "kafka", "metrics", "queryd", "zookeeper"} {
			folder := "env/" + cluster + "/" + app + "/yml"
			r.namespace(folder, app)
			if app == "gateway" || app == "queryd" || app == "metrics" {
				r.web(folder, app, app, app, "  labels:\n    cluster: "+cluster+"\n")
			} else {
				r.database(folder, app, app, app, "  labels:\n    cluster: "+cluster+"\n")
			}
		}
	}
	set("base", base, "base-{{ .cluster }}", "{{ .cluster }}", "base/manifests", "platform")
	r.namespace("base/manifests", "platform")
	r.object("base/manifests", "storage.k8s.io/v1", "StorageClass", "", "", "retained", "", "provisioner: disks.example.org\nreclaimPolicy: Retain\n")
	r.object("base/manifests", "v1", "ConfigMap", "", "platform", "limits", "", "data:\n  pods: '100'\n")
	return r
}

// rendered has what Helm and Kustomize made of charts and overlays, committed: Helm's labels and comments, its hooks beside Argo CD's, names
// with hashes of their content.
func rendered() repository {
	r := repository{"guard.yaml": "conventions:\n- path: rendered/(cluster)/(app)\n  application: (cluster).(app)\n  project: (cluster).(app)\n",
		"charts/db/Chart.yaml": "apiVersion: v2\nname: db\nversion: 1.4.2\n", "charts/db/values.yaml": "replicas: 3\n",
		"charts/db/templates/set.yaml": "apiVersion: apps/v1\nkind: StatefulSet\nmetadata:\n  name: {{ .Release.Name }}\n",
		"overlays/prod/web/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- ../../../base\n" +
			"configMapGenerator:\n- name: settings\n  literals: [a=b]\n",
		"base/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- web.yaml\n",
		"base/web.yaml":           "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n"}
	r.application("clusters", "root", "root", "clusters", "argocd", "in-cluster", "    directory:\n      recurse: true\n")
	for _, cluster := range []string{"prod", "stage"} {
		for _, app := range []string{"db", "queue", "shop", "web"} {
			folder, namespace := "rendered/"+cluster+"/"+app, app+"-"+cluster
			helm := fmt.Sprintf("  labels:\n    app.kubernetes.io/name: %s\n    app.kubernetes.io/managed-by: Helm\n    helm.sh/chart: %[1]s-1.4.2\n", app)
			r.application("clusters/"+cluster, cluster+"."+app, cluster+"."+app, folder, namespace, cluster, "")
			r.namespace(folder, namespace)
			r.database(folder, "", namespace, app, helm)
			for path, text := range r {
				if strings.HasPrefix(path, folder+"/") && !strings.HasPrefix(text, "#") {
					r[path] = "# Source: " + app + "/templates/" + filepath.Base(path) + "\n" + text
				}
			}
			r.web(folder, namespace, namespace, app+"-api", helm)
			r.object(folder, "v1", "ConfigMap", namespace, namespace, "settings-7b9dk2h4mc", "", "data:\n  a: b\n")
			r.object(folder, "v1", "Secret", namespace, namespace, "release", "  annotations:\n    helm.sh/hook: pre-install,pre-upgrade\n"+
				"    helm.sh/hook-weight: '-1'\n", "type: Opaque\n")
			r.object(folder, "v1", "Pod", namespace, namespace, app+"-test", "  annotations:\n    helm.sh/hook: test\n", "spec:\n  containers:\n"+
				"  - name: main\n    image: registry.example.org/test:1.0\n")
		}
	}
	return r
}

// harmless is a change as there are many each day: another image, more replicas, another hook, settings under another hash, objects and an
// app that are new, comments.
func (r repository) harmless() repository {
	after := maps.Clone(r)
	for _, path := range slices.Sorted(maps.Keys(r)) {
		text := r[path]
		switch {
		case strings.Contains(path, "Deployment"), strings.Contains(path, "StatefulSet-") && strings.Contains(path, "prod"), strings.Contains(path, "Job-"):
			after[path] = strings.ReplaceAll(text, ":1.0", ":1.1")
		case strings.Contains(path, "StatefulSet-"):
			after[path] = "# More, for the sale.\n" + strings.Replace(text, "replicas: 3", "replicas: 5", 1)
		case strings.Contains(path, "settings-7b9dk2h4mc"):
			delete(after, path)
			after[strings.ReplaceAll(path, "7b9dk2h4mc", "9t2hg6f5kb")] = strings.NewReplacer("7b9dk2h4mc", "9t2hg6f5kb", "a: b", "a: c").Replace(text)
		}
	}
	return after
}

// commit makes a repository's files the newest commit of a folder.
func (r repository) commit(t *testing.T, dir string) {
	t.Helper()
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"rm", "-rqf", "--ignore-unmatch", "."}} {
		git(t, dir, args...)
	}
	for path, text := range r {
		path = filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	git(t, dir, "add", "-A")
	git(t, dir, "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "change")
}

func git(t *testing.T, dir string, args ...string) {
	t.Helper()
	if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
}

func TestRepositoriesThatFollowTheirConventionsHaveNoErrorsAndNeitherHasAHarmlessChange(t *testing.T) {
	for name, c := range map[string]struct {
		repository
		app     func(repository) // a new one
		objects int
	}{
		"a folder for each app": {flat(), func(r repository) {
			r.application("argocd", "fresh", "fresh", "apps/fresh", "fresh", "in-cluster", "")
			r.namespace("apps/fresh", "fresh")
			r.database("apps/fresh", "", "fresh", "fresh-db", "")
		}, 80},
		"ApplicationSets for three clusters": {fleet(), func(r repository) {
			r.namespace("env/us1/fresh/yml", "fresh")
			r.web("env/us1/fresh/yml", "fresh", "fresh", "fresh", "")
		}, 60},
		"what Helm and Kustomize rendered": {rendered(), func(r repository) {
			r.application("clusters/prod", "prod.fresh", "prod.fresh", "rendered/prod/fresh", "fresh-prod", "prod", "")
			r.namespace("rendered/prod/fresh", "fresh-prod")
			r.web("rendered/prod/fresh", "", "fresh-prod", "fresh", "")
		}, 90},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c.commit(t, dir)
			checked(t, dir, c.objects)
			after := c.harmless()
			c.app(after)
			after.commit(t, dir)
			checked(t, dir, c.objects)
			code, out, errs := command(t, "diff", "HEAD~1..HEAD", "--repo", dir, "--cache", t.TempDir())
			if code != ExitDone || !strings.Contains(out, "creat") {
				t.Errorf("the harmless change ends with %d: %s\n%s", code, errs, out)
			}
			for path, text := range after {
				if strings.Contains(path, "apps.v1.StatefulSet") {
					after[path] = strings.Replace(text, kept, "", 1)
				}
			}
			after.commit(t, dir)
			if code, out, errs := command(t, "diff", "HEAD~1..HEAD", "--repo", dir, "--cache", t.TempDir()); code != ExitFailed || !strings.Contains(out, "HG104") {
				t.Errorf("databases without protection end with %d: %s\n%s", code, errs, out)
			}
		})
	}
}

// checked wants a repository to be read whole, and without a finding of error severity.
func checked(t *testing.T, dir string, objects int) {
	t.Helper()
	code, out, errs := command(t, "check", "-o", "json", dir)
	var r struct {
		Objects    int
		Counts     map[string]int
		Findings   []struct{ Rule, Severity, Message string }
		Unanalysed []any
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v: %s", err, errs)
	}
	for _, f := range r.Findings {
		if f.Severity == "error" {
			t.Errorf("%s %s", f.Rule, f.Message)
		}
	}
	if code != ExitDone || r.Objects < objects || len(r.Unanalysed) > 0 {
		t.Errorf("check ends with %d, with %d objects, and %v is not analysed: %s", code, r.Objects, r.Unanalysed, errs)
	}
}
