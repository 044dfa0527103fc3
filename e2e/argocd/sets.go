//go:build e2e

package argocd

import "strings"

// appSet is an ApplicationSet that makes, for each {app: NAME} of a generator, the Application of that application.
func appSet(generators, more string) manifest {
	a := app("{{.app}}")
	m := manifest{apiVersion: "argoproj.io/v1alpha1", kind: "ApplicationSet", namespace: namespace, name: "$P-set"}
	m.spec = "spec:\n  goTemplate: true\n  generators:\n" + indent(generators) + more +
		"  template:\n    metadata: {name: '" + a.name + "'}\n    spec:\n" + indent(indent(indent(quoted(a.body()))))
	return m
}

// quoted quotes what a template has, so that it is YAML before it is filled in.
func quoted(body string) string {
	body = strings.ReplaceAll(body, "project: $P-{{.app}}", "project: '$P-{{.app}}'")
	body = strings.ReplaceAll(body, "namespace: $P-{{.app}}", "namespace: '$P-{{.app}}'")
	return strings.ReplaceAll(body, "path: "+folder("{{.app}}"), "path: '"+folder("{{.app}}")+"'")
}

// listSet has its elements in a list.
func listSet(more string, elements ...string) manifest {
	var list strings.Builder
	list.WriteString("- list:\n    elements:\n")
	for _, e := range elements {
		list.WriteString("      - {app: " + e + "}\n")
	}
	return appSet(list.String(), more)
}
