//go:build e2e

package operator_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/operator"
)

// optedIn has an operator in a cluster of its own whose namespaces opt in, and beside the usual classes one with a password.
func optedIn(t *testing.T) (*kube.Cluster, *operator.Installation) {
	t.Helper()
	c := ownCluster(t, 0)
	for _, command := range [][]string{{"label", "namespace", "default", "holdfast.dev/injection=enabled"}, // where the installation looks
		{"create", "namespace", "closed"}, {"label", "namespace", "closed", "holdfast.dev/injection=enabled"}, {"create", "namespace", "nodes"}} {
		if out, err := c.Kubectl(t.Context(), command...); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	in := install(t, c, operator.Options{Manifest: chartWith(t, "injectionMode=opt-in,excludeNamespaces={closed},daemonset.enabled=true,daemonset.namespace=nodes"),
		Classes: map[string]string{"default": classes["default"], "secret": "[[outputs.influxdb]]\n  urls = [\"http://x\"]\n  password = \"s3cret\"\n"}})
	return c, in
}

func enabled() map[string]string { return map[string]string{"holdfast.dev/injection": "enabled"} }

func TestOptInNamespacesAloneGetSidecars(t *testing.T) {
	c, in := optedIn(t)
	shop := c.Namespace(t, enabled())
	for namespace, want := range map[string]string{shop: "true", c.Namespace(t, nil): "", "closed": ""} {
		pod, err := c.Client().CoreV1().Pods(namespace).Create(t.Context(), annotated("p", "port", "8080"), metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := pod.Labels["sidecar.holdfast.dev/injected"]; got != want {
			t.Errorf("in %s the label is %q, want %q", namespace, got, want)
		}
	}
	awaitDelivered(t, c, shop, "default", "stdout")
	t.Run("LabelsBringNoClassElsewhere", func(t *testing.T) { labelsBringNoClass(t, c) })
	t.Run("WhatWasDeliveredIsCollectedWithTheDefinition", func(t *testing.T) { isCollected(t, c, in, shop) })
}

// labelsBringNoClass: before, pods that no webhook had seen named a class in their labels, and its text was delivered to their namespace
// (seen by running it).
func labelsBringNoClass(t *testing.T, c *kube.Cluster) {
	thief := annotated("thief")
	thief.Annotations, thief.Labels = nil, map[string]string{"sidecar.holdfast.dev/injected": "true", "class.holdfast.dev/secret": "x"}
	late := c.Namespace(t, nil)
	outside := []string{late, "closed", "kube-system", "nodes"}
	for _, namespace := range outside {
		awaitTime(t, 20*time.Second, "pods could be created", func(ctx context.Context) error {
			_, err := c.Client().CoreV1().Pods(namespace).Create(ctx, thief, metav1.CreateOptions{})
			return err
		})
		told(t, c, namespace, "thief", "NotDelivered")
	}
	for _, namespace := range outside {
		secret, err := c.Client().CoreV1().Secrets(namespace).Get(t.Context(), "holdfast-classes", metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			t.Errorf("%s has %q, %v", namespace, secret.Data, err)
		}
	}
	agent := annotated("agent")
	agent.Annotations, agent.Labels = nil, map[string]string{"sidecar.holdfast.dev/injected": "true", "class.holdfast.dev/default": ""}
	if _, err := c.Client().CoreV1().Pods("nodes").Create(t.Context(), agent, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	awaitDelivered(t, c, "nodes", "default", "stdout")
	secret, err := c.Client().CoreV1().Secrets("nodes").Get(t.Context(), "holdfast-classes", metav1.GetOptions{})
	if err != nil || len(secret.Data) != 1 {
		t.Errorf("the DaemonSet's namespace has %q, %v: want its class alone", secret.Data, err)
	}
	if out, err := c.Kubectl(t.Context(), "label", "namespace", late, "holdfast.dev/injection=enabled"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	awaitDelivered(t, c, late, "secret", "s3cret") // now anyone there may have the class by an annotation too
}

// isCollected checks that what was delivered goes with the resource definition that owns it: by the garbage collector's hand, for the
// operator is gone by then.
func isCollected(t *testing.T, c *kube.Cluster, in *operator.Installation, namespace string) {
	in.Stop()
	if out, err := c.Kubectl(t.Context(), "delete", "crd", "clustertelegrafclasses.holdfast.dev"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	took := awaitTime(t, 2*time.Minute, "the Secret was gone", func(ctx context.Context) error {
		_, err := c.Client().CoreV1().Secrets(namespace).Get(ctx, "holdfast-classes", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is there: %v", err)
	})
	t.Logf("collected %s after the definition was deleted", took.Round(time.Millisecond))
}
