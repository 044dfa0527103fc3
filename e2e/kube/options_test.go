//go:build e2e

package kube_test

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
)

// get asks the API server for a path and returns the answer without its body.
func get(t *testing.T, config *rest.Config, path string) (*http.Response, error) {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Get(config.Host + path)
	if err == nil {
		err = resp.Body.Close()
	}
	return resp, err
}

// flowHeader is what an answer has when priority and fairness let its request in.
const flowHeader = "X-Kubernetes-Pf-Flowschema-Uid"

func TestOptionsReachTheAPIServer(t *testing.T) {
	other, err := kube.Start(t.Context(), kube.Options{
		WithoutPriorityAndFairness: true, APIServerFlags: []string{"--anonymous-auth=false"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := other.Stop(); err != nil {
			t.Error(err)
		}
	})
	for name, c := range map[string]struct {
		cluster   *kube.Cluster
		flows     bool
		anonymous int
	}{
		"as released": {cluster, true, http.StatusOK}, "with options": {other, false, http.StatusUnauthorized},
	} {
		resp, err := get(t, c.cluster.Config(), "/api/v1/namespaces")
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.Header.Get(flowHeader) != ""; resp.StatusCode != http.StatusOK || got != c.flows {
			t.Errorf("%s: status %d, priority and fairness %v, want 200 and %v", name, resp.StatusCode, got, c.flows)
		}
		if resp, err = get(t, rest.AnonymousClientConfig(c.cluster.Config()), "/readyz"); err != nil || resp.StatusCode != c.anonymous {
			t.Errorf("%s: an anonymous request: %v, %v, want status %d", name, resp, err, c.anonymous)
		}
	}
	if err := other.Stop(); err != nil {
		t.Fatal(err)
	}
	if resp, err := get(t, other.Config(), "/readyz"); err == nil {
		t.Errorf("a stopped cluster answers %s", resp.Status)
	}
	if _, err := os.Stat(other.Kubeconfig()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a stopped cluster's kubeconfig: %v, want that it is gone", err)
	}
}

func TestStartSaysWhatTheAPIServerRefused(t *testing.T) {
	c, err := kube.Start(t.Context(), kube.Options{APIServerFlags: []string{"--no-such-flag"}})
	if err == nil {
		t.Fatal(c.Stop())
	}
	if !strings.Contains(err.Error(), "unknown flag: --no-such-flag") {
		t.Errorf("error %v, want what the API server printed", err)
	}
}
