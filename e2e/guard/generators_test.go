//go:build e2e

package guard_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

const setDefinition = `
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: applicationsets.argoproj.io}, spec: {
  group: argoproj.io, scope: Namespaced, names: {kind: ApplicationSet, plural: applicationsets, singular: applicationset, listKind: ApplicationSetList},
  versions: [{name: v1alpha1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}
`

const pruningSet = `{apiVersion: argoproj.io/v1alpha1, kind: ApplicationSet, metadata: {namespace: argocd, name: made}, spec: {
  generators: [{list: {elements: [{a: b}]}}], template: {metadata: {name: x}, spec: {destination: {namespace: made}, syncPolicy: {automated: {prune: true, selfHeal: true}}}}}}
`

// The controller of ApplicationSets gives Applications the sync of their template as soon as it runs: neither it nor a set may come before a
// person has said so, and never before scheduled work.
func TestNoSetMakesApplicationsBeforeAPersonSaysSo(t *testing.T) {
	e := live(t, "made", tiny)
	e.apply(setDefinition)
	e.kubectl("wait", "--for=condition=Established", "crd/applicationsets.argoproj.io", "--timeout=2m")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the test's is over
		defer cancel()
		if _, err := cluster.Kubectl(ctx, "-n", "argocd", "delete", "applicationsets.argoproj.io", "made", "--ignore-not-found"); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(e.path("manifests/set.yaml"), []byte(pruningSet), 0o600); err != nil {
		t.Fatal(err)
	}
	e.lose()
	out := e.plan(4)
	if !strings.Contains(out, "sets/run") {
		t.Errorf("nobody is asked about the set: %s", out)
	}
	e.answerAll("")
	if out := e.recover(4); !strings.Contains(out, "ApplicationSet argocd/made: its Applications sync by themselves, and prune") {
		t.Errorf("it stops with %s", out)
	}
	set := func() string {
		return e.kubectl("-n", "argocd", "get", "applicationsets.argoproj.io", "-o", "jsonpath={.items[*].metadata.name}")
	}
	pods := func(controller string) string {
		return e.kubectl("-n", "argocd", "get", controller, "-o", "jsonpath={.spec.replicas}")
	}
	if set() != "" || pods("deployment/argocd-applicationset-controller") != "0" || pods("statefulset/argocd-application-controller") != "1" {
		t.Errorf("before the answer there are the sets %q, %s pods of their controller and %s of the other", set(), pods("deployment/argocd-applicationset-controller"),
			pods("statefulset/argocd-application-controller"))
	}
	e.whole()
	e.answer("sets/run", "run")
	e.recover(0)
	if set() != "made" || pods("deployment/argocd-applicationset-controller") != "1" {
		t.Errorf("after the answer there are the sets %q and %s pods of their controller", set(), pods("deployment/argocd-applicationset-controller"))
	}
	e.guard(0, "recover", "verify", "--kubeconfig", cluster.Kubeconfig(), e.path("plan.yaml"))
}
