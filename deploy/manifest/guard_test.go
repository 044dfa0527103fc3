package manifest_test

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/holdfast-telemetry/holdfast/deploy/manifest"
	"github.com/holdfast-telemetry/holdfast/guard/cli"
	"github.com/holdfast-telemetry/holdfast/guard/snapshot"
)

const guardFile = "holdfast-guard-snapshot.yaml"

func TestSnapshotsOfTheManifestReadWhatASnapshotHasAndNothingElse(t *testing.T) {
	want := []string{"get namespaces", "list secrets"}
	for _, k := range snapshot.Kinds {
		want = append(want, strings.TrimSuffix("list "+k.Resource+"."+k.Group, "."))
	}
	var got []string
	for _, r := range rules(t, read(t, guardFile)) {
		for _, resource := range r.Resources {
			for _, verb := range r.Verbs {
				got = append(got, strings.TrimSuffix(verb+" "+resource+"."+r.APIGroups[0], "."))
				if verb == "get" && !slices.Equal(r.ResourceNames, []string{"kube-system"}) {
					t.Errorf("%s %s of %v", verb, resource, r.ResourceNames)
				}
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the rights are\n%v, want\n%v", got, want)
	}
}

func TestSnapshotsPodMeetsPodSecurityRestrictedAndItsFlagsAreTaken(t *testing.T) {
	docs := read(t, guardFile)
	if ns := manifest.Find[*corev1.Namespace](docs, "holdfast-guard"); ns.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
		t.Errorf("the namespace's labels are %v", ns.Labels)
	}
	pod := manifest.Find[*appsv1.Deployment](docs, "holdfast-guard-snapshot").Spec.Template
	checkTight(t, pod.Spec)
	args := slices.Clone(pod.Spec.Containers[0].Args)
	args[len(args)-1] = "s3://bucket/cluster01"
	var said strings.Builder
	o := cli.Options{Out: t.Output(), Err: &said, Getenv: func(string) string { return "" }}
	// Without a cluster it gets as far as looking for one.
	if code := cli.Main(t.Context(), o, append(args, "--kubeconfig", t.TempDir()+"/none")); code != cli.ExitUnknown || !strings.Contains(said.String(), "finding the API server") {
		t.Errorf("exit code %d for %v: %s", code, args, said.String())
	}
}
