//go:build e2e

package argocd

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/holdfast-telemetry/holdfast/e2e/peer"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// crds are the kinds that Argo CD has to have.
var crds = []string{"application", "applicationset", "appproject"}

// everything is the project for Applications that belong to no other, as argocd-server makes it.
const everything = `apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: default, namespace: argocd}
spec:
  sourceRepos: ["*"]
  destinations: [{server: "*", namespace: "*"}]
  clusterResourceWhitelist: [{group: "*", kind: "*"}]
`

// install makes what the controllers expect to find in the cluster.
func (i *Instance) install(ctx context.Context) error {
	source, err := peer.Source(ctx, "argocd", module)
	if err != nil {
		return err
	}
	apply := []string{"apply", "--server-side"}
	for _, name := range crds {
		apply = append(apply, "-f", filepath.Join(source, "manifests", "crds", name+"-crd.yaml"))
	}
	for _, args := range [][]string{apply, {"create", "namespace", namespace}} {
		if _, err := i.cluster.Kubectl(ctx, args...); err != nil {
			return err
		}
	}
	if err := i.served(ctx); err != nil {
		return err
	}
	if err := i.settings(ctx, filepath.Join(source, "manifests", "base", "config", "argocd-cm.yaml")); err != nil {
		return err
	}
	_, err = i.cluster.Apply(ctx, everything)
	return err
}

// served waits until the API server serves Argo CD's kinds.
func (i *Instance) served(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	tick := time.NewTicker(lookTime)
	defer tick.Stop()
	for {
		kinds, err := i.cluster.Client().Discovery().ServerResourcesForGroupVersion(object.ArgoGroup + "/v1alpha1")
		if err == nil && !slices.ContainsFunc(crds, func(name string) bool {
			return !slices.ContainsFunc(kinds.APIResources, func(r metav1.APIResource) bool { return r.SingularName == name })
		}) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting until the API server serves the kinds of Argo CD: %w: %v", ctx.Err(), err)
		}
	}
}

// settings makes the ConfigMap of the release, with the tracking method, and the Secret that argocd-server would make.
func (i *Instance) settings(ctx context.Context, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the settings of Argo CD: %w", err)
	}
	var released corev1.ConfigMap
	if err := yaml.Unmarshal(text, &released); err != nil {
		return fmt.Errorf("reading the settings of Argo CD: %s: %w", file, err)
	}
	if i.tracking != ByAnnotation {
		released.Data["application.resourceTrackingMethod"] = string(i.tracking)
	}
	client := i.cluster.Client().CoreV1()
	if _, err := client.ConfigMaps(namespace).Create(ctx, &released, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("making the settings of Argo CD: %w", err)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "argocd-secret", Labels: released.Labels},
		StringData: map[string]string{"server.secretkey": "signs nothing: there is no server"},
	}
	if _, err := client.Secrets(namespace).Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("making the secret of Argo CD: %w", err)
	}
	return nil
}

func port(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}
