//go:build e2e

package operator_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/operator"
)

// The classes of the tests.
var classes = map[string]string{
	"default": "[[outputs.file]]\n  files = [\"stdout\"]\n",
	"app": `[[outputs.influxdb]]
  urls = ["http://influxdb.influxdb:8086"]
[[outputs.file]]
  files = ["stdout"]
[global_tags]
  hostname = "$HOSTNAME"
  nodename = "$NODENAME"
  type = "app"
`,
	"audit": "[[outputs.file]]\n  files = [\"stderr\"]\n[global_tags]\n  env = \"audit\"\n",
	"istio": "[[outputs.file]]\n  files = [\"stdout\"]\n[global_tags]\n  mesh = \"yes\"\n",
	"node":  "[[inputs.mem]]\n[[outputs.file]]\n  files = [\"stdout\"]\n",
}

// What all tests share: one control plane with nodes, and an operator installed from deploy/.
var (
	cluster   *kube.Cluster
	installed *operator.Installation
)

func TestMain(m *testing.M) {
	os.Exit(kube.Main(m, 2, func(ctx context.Context, c *kube.Cluster) (func(), error) {
		cluster = c
		program, err := holdfastOperator()
		if err != nil {
			return nil, err
		}
		installed, err = operator.Install(ctx, cluster, operator.Options{Program: program, Deploy: deploy, Classes: classes,
			Args: []string{"--enable-istio-injection", "--recheck-interval=3s", "--holdfast-image=registry.example/holdfast@sha256:" + digest}})
		if err != nil {
			return nil, err
		}
		return installed.Stop, nil
	}))
}

// digest is one that no image has.
const digest = "0000000000000000000000000000000000000000000000000000000000000000"

// holdfastOperator is the built program. `make e2e` builds it first; HOLDFAST_OPERATOR_BIN names another.
func holdfastOperator() (string, error) {
	path := os.Getenv("HOLDFAST_OPERATOR_BIN")
	if path == "" {
		path = "../../bin/holdfast-operator"
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("the program to test is missing; run make build: %w", err)
	}
	return path, nil
}
