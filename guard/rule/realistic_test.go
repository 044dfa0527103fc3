package rule_test

import (
	"fmt"
	"strings"
	"testing"
)

// overlays is a repository in Kustomize's style: bases, overlays for each cluster, a folder of Applications.
func overlays() files {
	f := files{"guard.yaml": "conventions:\n- path: overlays/(cluster)/(app)\n  application: (cluster).(app)\n  project: (cluster)\n", "README.md": "# overlays\n"}
	const kept = "  annotations:\n    argocd.argoproj.io/sync-options: Prune=false,Delete=false\n"
	apps := []string{"etcd", "gateway", "kafka", "storage"}
	for _, app := range apps {
		base := "bases/" + app
		f.add(base, "kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- namespace.yaml\n- workload.yaml\n")
		f.add(base, "namespace.yaml", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: "+app+"\n"+kept)
		f.add(base, "workload.yaml", "apiVersion: apps/v1\nkind: StatefulSet\nmetadata:\n  name: db\n"+kept+"---\napiVersion: v1\nkind: Service\nmetadata:\n  name: db\n")
	}
	for c := range 3 {
		cluster := fmt.Sprintf("eu%d", c+1)
		for _, app := range apps {
			overlay := "overlays/" + cluster + "/" + app
			f.add(overlay, "kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: "+app+"\nresources:\n- ../../../bases/"+app+"\npatches:\n- path: patch.yaml\n")
			f.add(overlay, "patch.yaml", "apiVersion: apps/v1\nkind: StatefulSet\nmetadata:\n  name: db\nspec:\n  replicas: 3\n")
			name := cluster + "." + app
			f.add("apps/"+cluster, "argoproj.io.v1alpha1.Application-argocd."+name+".yaml",
				strings.Replace(application(name, cluster, overlay, app), "server: https://kubernetes.default.svc", "name: "+cluster, 1))
		}
		f.add("apps/"+cluster, "argoproj.io.v1alpha1.AppProject-argocd."+cluster+".yaml", strings.Replace(appProject(cluster, "'*'"), "server: https://kubernetes.default.svc", "name: "+cluster, 1))
	}
	f.add("apps", "argoproj.io.v1alpha1.Application-argocd.root.yaml", strings.Replace(root("root", "apps"), "    path: apps\n", "    directory:\n      recurse: true\n      exclude: '*.root.yaml'\n    path: apps\n", 1))
	f.add("apps", "argoproj.io.v1alpha1.AppProject-argocd.root.yaml", appProject("root", "argocd"))
	return f
}

// charts is a repository of Helm charts and ApplicationSets: one set for the charts of this repository, one for charts of others.
func charts() files {
	f := files{"README.md": "# charts\n", "ct.yaml": "chart-dirs: [charts]\n", "guard.yaml": "conventions: []\n"}
	for _, chart := range []string{"api", "queue", "web"} {
		f.add("charts/"+chart, "Chart.yaml", "apiVersion: v2\nname: "+chart+"\nversion: 0.1.0\n")
		f.add("charts/"+chart, "values.yaml", "replicas: 2\n")
		f.add("charts/"+chart+"/templates", "deployment.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {{ .Release.Name }}\n  {{- with .Values.labels }}\n  labels: {{ toYaml . }}\n  {{- end }}\n")
		f.add("charts/"+chart+"/templates", "service.yaml", "apiVersion: v1\nkind: Service\nmetadata:\n  name: "+chart+"\n")
		for c := range 3 {
			f.add(fmt.Sprintf("values/cluster%d", c+1), chart+".yaml", "replicas: 3\n")
		}
	}
	set := func(name, generators, source, application string) string {
		return `apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata:
  name: ` + name + `
  namespace: argocd
spec:
  goTemplate: true
  goTemplateOptions: ["missingkey=error"]
  generators:
` + generators + `  syncPolicy:
    preserveResourcesOnDeletion: true
  template:
    metadata:
      name: '` + application + `'
    spec:
      destination:
        name: '{{ .cluster }}'
        namespace: apps
      project: apps
` + source + `      syncPolicy:
        syncOptions:
        - FailOnSharedResource=true
`
	}
	clusters := "      - list:\n          elements:\n          - cluster: cluster1\n          - cluster: cluster2\n          - cluster: cluster3\n"
	f.add("sets", "argoproj.io.v1alpha1.ApplicationSet-argocd.charts.yaml", set("charts", "  - matrix:\n      generators:\n      - git:\n          repoURL: "+repository+"\n          revision: main\n          directories:\n          - path: charts/*\n"+clusters,
		"      source:\n        repoURL: "+repository+"\n        path: '{{ .path.path }}'\n        helm:\n          valueFiles:\n          - '../../values/{{ .cluster }}/{{ .path.basename }}.yaml'\n", "{{ .path.basename }}-{{ .cluster }}"))
	f.add("sets", "argoproj.io.v1alpha1.ApplicationSet-argocd.monitoring.yaml", set("monitoring", strings.Replace(clusters, "      - list:\n          elements:\n", "  - list:\n      elements:\n", 1),
		"      sources:\n      - repoURL: https://charts.example.org\n        chart: prometheus\n        targetRevision: 25.1.0\n        helm:\n          valueFiles:\n          - $values/values/{{ .cluster }}/web.yaml\n      - repoURL: "+repository+"\n        ref: values\n", "monitoring-{{ .cluster }}"))
	f["sets/argoproj.io.v1alpha1.ApplicationSet-argocd.monitoring.yaml"] = strings.ReplaceAll(f["sets/argoproj.io.v1alpha1.ApplicationSet-argocd.monitoring.yaml"], "          - cluster:", "      - cluster:")
	f.add("sets", "argoproj.io.v1alpha1.AppProject-argocd.apps.yaml", strings.Replace(strings.Replace(appProject("apps", "apps"), "server: https://kubernetes.default.svc", "name: cluster*", 1), "  sourceRepos:\n", "  sourceRepos:\n  - https://charts.example.org\n", 1))
	return f
}

func TestRepositoriesThatFollowTheirConventionsHaveNoErrors(t *testing.T) {
	for name, f := range map[string]files{"a folder for each app and cluster, rendered from jsonnet": article(6, 3), "Kustomize's bases and overlays": overlays(), "Helm charts and ApplicationSets": charts()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := f.check(t)
			if found := errorsOf(r); len(found) != 0 {
				t.Errorf("errors are\n%s", strings.Join(found, "\n"))
			}
			t.Logf("%d findings that are no errors:\n%s", len(r.Findings), strings.Join(lines(r), "\n"))
		})
	}
}

// BenchmarkCheck measures a check of 20,000 objects in files of their own, reading included.
func BenchmarkCheck(b *testing.B) {
	dir := b.TempDir()
	f := article(125, 20)
	f.write(b, dir)
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		if r := checkFolder(b, dir); len(r.Findings) != 0 {
			b.Fatalf("%d findings, the first is %s", len(r.Findings), line(r.Findings[0]))
		}
	}
	b.ReportMetric(float64(len(f)), "files")
}
