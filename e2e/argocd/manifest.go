//go:build e2e

package argocd

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// replicas is how many pods each StatefulSet of a case has.
const replicas = 2

// manifest is an object of a case's files. Its methods return another.
type manifest struct {
	apiVersion, kind string
	namespace, name  string
	annotations      map[string]string
	finalizers       string
	spec             string // all below metadata
}

// String returns its YAML.
func (m manifest) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: %s\nkind: %s\nmetadata:\n  name: %s\n", m.apiVersion, m.kind, m.name)
	if m.namespace != "" {
		fmt.Fprintf(&b, "  namespace: %s\n", m.namespace)
	}
	if len(m.annotations) > 0 {
		b.WriteString("  annotations:\n")
		for _, key := range slices.Sorted(maps.Keys(m.annotations)) {
			fmt.Fprintf(&b, "    %s: %q\n", key, m.annotations[key])
		}
	}
	if m.finalizers != "" {
		fmt.Fprintf(&b, "  finalizers: %s\n", m.finalizers)
	}
	b.WriteString(m.spec)
	return b.String()
}

// annotate adds an annotation, without Argo CD's domain where it is one of its own.
func (m manifest) annotate(key, value string) manifest {
	if !strings.Contains(key, "/") {
		key = "argocd.argoproj.io/" + key
	}
	m.annotations = maps.Clone(m.annotations)
	if m.annotations == nil {
		m.annotations = make(map[string]string)
	}
	m.annotations[key] = value
	return m
}

// options sets the sync options of the object itself.
func (m manifest) options(text string) manifest { return m.annotate("sync-options", text) }

// in moves the object to the namespace of another application, "" to that of the Application's destination.
func (m manifest) in(app string) manifest {
	if m.namespace = app; app != "" {
		m.namespace = "$P-" + app
	}
	return m
}

// as changes the version of the API.
func (m manifest) as(apiVersion string) manifest {
	m.apiVersion = apiVersion
	return m
}

// documents is a file with several documents.
func documents(ms ...fmt.Stringer) string {
	parts := make([]string, len(ms))
	for n, m := range ms {
		parts[n] = m.String()
	}
	return strings.Join(parts, "---\n")
}

func configMap(app, name string) manifest {
	return manifest{apiVersion: "v1", kind: "ConfigMap", namespace: "$P-" + app, name: name, spec: "data: {key: value}\n"}
}

func service(app, name string) manifest {
	return manifest{apiVersion: "v1", kind: "Service", namespace: "$P-" + app, name: name, spec: "spec:\n  clusterIP: None\n  selector: {app: " + name + "}\n  ports: [{port: 80}]\n"}
}

func claim(app, name string) manifest {
	return manifest{apiVersion: "v1", kind: "PersistentVolumeClaim", namespace: "$P-" + app, name: name,
		spec: "spec:\n  accessModes: [ReadWriteOnce]\n  resources: {requests: {storage: 1Gi}}\n"}
}

func statefulSet(app, name string) manifest {
	return manifest{apiVersion: "apps/v1", kind: "StatefulSet", namespace: "$P-" + app, name: name, spec: fmt.Sprintf(`spec:
  serviceName: %[1]s
  replicas: %[2]d
  podManagementPolicy: Parallel
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      containers: [{name: main, image: "example.org/db:1"}]
  volumeClaimTemplates:
    - metadata: {name: data}
      spec:
        accessModes: [ReadWriteOnce]
        resources: {requests: {storage: 1Gi}}
`, name, replicas)}
}

func namespaceOf(app string) manifest {
	return manifest{apiVersion: "v1", kind: "Namespace", name: "$P-" + app}
}

func clusterRole(name string) manifest {
	return manifest{apiVersion: "rbac.authorization.k8s.io/v1", kind: "ClusterRole", name: "$P-" + name, spec: "rules: []\n"}
}

// definition is a CustomResourceDefinition of a kind that only its case has.
func definition() manifest {
	return manifest{apiVersion: "apiextensions.k8s.io/v1", kind: "CustomResourceDefinition", name: "$P-widgets.example.org", spec: `spec:
  group: example.org
  scope: Namespaced
  names: {plural: $P-widgets, singular: $P-widget, kind: Widget$P}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
`}
}

// autoscaler says only what autoscaling/v1 and v2 have both.
func autoscaler(app, name string) manifest {
	return manifest{apiVersion: "autoscaling/v1", kind: "HorizontalPodAutoscaler", namespace: "$P-" + app, name: name,
		spec: "spec:\n  maxReplicas: 3\n  scaleTargetRef: {apiVersion: apps/v1, kind: StatefulSet, name: none}\n"}
}

// project permits what its Applications do in some namespaces, and Namespaces.
func project(name string, namespaces ...string) manifest {
	var to strings.Builder
	for _, ns := range namespaces {
		fmt.Fprintf(&to, "    - {server: https://kubernetes.default.svc, namespace: $P-%s}\n", ns)
	}
	return manifest{apiVersion: "argoproj.io/v1alpha1", kind: "AppProject", namespace: namespace, name: "$P-" + name,
		spec: "spec:\n  sourceRepos: [\"*\"]\n  destinations:\n" + to.String() + "  clusterResourceWhitelist: [{group: \"*\", kind: \"*\"}]\n"}
}

// child is an Application of the root, or the root. Its methods return another.
type child struct {
	manifest
	project, destination string
	source               string // YAML of source or sources
	automated            string // YAML of syncPolicy.automated
	syncOptions          []string
}

const (
	finalizer = "[resources-finalizer.argocd.argoproj.io]"
	// pruning is what automation is set to unless a case says otherwise.
	pruning = "{prune: true, selfHeal: true}"
)

// app is the Application of one application: it reads the folder that has its name, deploys to the namespace that has it, and is in the
// project that has it.
func app(name string) child {
	c := child{project: "$P-" + name, destination: "$P-" + name, automated: pruning, syncOptions: []string{"CreateNamespace=true"}}
	c.manifest = manifest{apiVersion: "argoproj.io/v1alpha1", kind: "Application", namespace: namespace, name: "$P-" + name + "-cluster01", finalizers: finalizer}
	return c.reads(name)
}

// root reads the folder with the Applications.
func root() child {
	c := app("argocd").called("root").of("default")
	c.destination = namespace
	c.syncOptions, c.finalizers = nil, ""
	return c
}

// reads sets the folder that it reads, and more of the source: ", directory: {recurse: true}".
func (c child) reads(app string, more ...string) child {
	c.source = "source: " + source(app, more...)
	return c
}

// source is one source of an Application.
func source(app string, more ...string) string {
	return "{repoURL: $REPO, targetRevision: $BRANCH, path: " + folder(app) + strings.Join(more, "") + "}"
}

// sources sets several.
func (c child) sources(list ...string) child {
	c.source = "sources: [" + strings.Join(list, ", ") + "]"
	return c
}

func (c child) called(name string) child       { c.name = "$P-" + name; return c }
func (c child) into(app string) child          { c.destination = "$P-" + app; return c }
func (c child) of(project string) child        { c.project = project; return c }
func (c child) syncs(automated string) child   { c.automated = automated; return c }
func (c child) bare() child                    { c.finalizers = ""; return c }
func (c child) protected(options string) child { c.manifest = c.options(options); return c }
func (c child) with(option string) child {
	c.syncOptions = append(slices.Clone(c.syncOptions), option)
	return c
}

// String returns its YAML.
func (c child) String() string {
	m := c.manifest
	m.spec = "spec:\n" + indent(c.body())
	return m.String()
}

// body is the specification.
func (c child) body() string {
	var b strings.Builder
	fmt.Fprintf(&b, "project: %s\ndestination: {server: https://kubernetes.default.svc, namespace: %s}\n%s\n", c.project, c.destination, c.source)
	fmt.Fprintf(&b, "syncPolicy:\n  syncOptions: [%s]\n", strings.Join(c.syncOptions, ", "))
	if c.automated != "" {
		fmt.Fprintf(&b, "  automated: %s\n", c.automated)
	}
	return b.String()
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ") + "\n"
}

// folder is where the files of an application are, and in the folder of argocd those of the root.
func folder(app string) string { return "env/cluster01/$P-" + app + "/yml" }

// in is the path of a file of an application.
func in(app, file string) string { return folder(app) + "/" + file }

// with returns the files with one more, or another in its place.
func (f Files) with(path string, ms ...fmt.Stringer) Files { return f.write(path, documents(ms...)) }

// write is like with, for any text.
func (f Files) write(path, text string) Files {
	f = maps.Clone(f)
	f[path] = text
	return f
}

// without returns the files without some.
func (f Files) without(paths ...string) Files {
	f = maps.Clone(f)
	for _, p := range paths {
		delete(f, p)
	}
	return f
}

// move returns the files with one in another place.
func (f Files) move(from, to string) Files { return f.without(from).write(to, f[from]) }
