package manifest_test

import (
	"context"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/holdfast-telemetry/holdfast/deploy/manifest"
	"github.com/holdfast-telemetry/holdfast/operator"
	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
	"github.com/holdfast-telemetry/holdfast/operator/cli"
	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

func TestOperatorTakesTheManifestsFlags(t *testing.T) {
	c := manifest.Find[*appsv1.Deployment](read(t, "holdfast-operator.yaml"), operatorName).Spec.Template.Spec.Containers[0]
	var got *operator.Options
	o := cli.Options{
		Out: t.Output(), Err: t.Output(),
		Getenv: func(name string) string { return map[string]string{"POD_NAMESPACE": operatorName}[name] },
		Run: func(_ context.Context, o operator.Options) error {
			got = &o
			return nil
		},
	}
	if code := cli.Main(t.Context(), o, c.Args); code != cli.ExitDone || got == nil {
		t.Fatalf("exit code %d for %v", code, c.Args)
	}
	if got.ClassesSecret != "holdfast-operator-classes" || got.TLSSecret != "holdfast-operator-tls" || got.Namespace != operatorName ||
		!slices.Equal(got.WebhookNames, []string{operatorName}) || got.ServiceName != operatorName {
		t.Errorf("names %+v", got)
	}
	if got.Sidecar.ClassesObject != sidecar.InSecret {
		t.Errorf("classes are delivered in a %s, which the rules do not let the operator write", got.Sidecar.ClassesObject)
	}
	if got.Checkers[v1alpha1.AgentTelegraf] != "unix:/checker/check.sock" {
		t.Errorf("checkers %v", got.Checkers)
	}
	limit := c.Resources.Limits.Memory().Value()
	if got.MemoryLimit <= 0 || got.MemoryLimit > limit*3/4 {
		t.Errorf("the garbage collector aims at %d bytes, of %d that the container may have", got.MemoryLimit, limit)
	}
}
