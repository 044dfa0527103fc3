package sidecar_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

// TestWhatIsMostLikelyNotMeantIsWarnedOf has pods that get their sidecar, and a warning that says what to do.
func TestWhatIsMostLikelyNotMeantIsWarnedOf(t *testing.T) {
	for want, annotations := range map[string]map[string]string{
		"port: names no port: nothing is scraped":             {port: "", "holdfast.dev/internal": "true"},
		"ports: names no port: nothing is scraped":            {"holdfast.dev/ports": " , ", "holdfast.dev/internal": "true"},
		"scrape-basic-auth-secret: is not heeded without a":   {"holdfast.dev/scrape-basic-auth-secret": "x", "holdfast.dev/internal": "true"},
		"buffer-volume and buffer-size are not heeded":        {port: "8080", "holdfast.dev/buffer-size": "1Gi", "holdfast.dev/buffer-volume": "none"},
		"volume-mounts: mounts nothing":                       {port: "8080", "holdfast.dev/volume-mounts": "null"},
		"its health port 8080 is also the application's":      {port: "8080", "holdfast.dev/health-port": "8080"},
		`interval: "1ns" is less than 100ms`:                  {port: "8080", "holdfast.dev/interval": "1ns"},
		"telegraf:1.22 is too old to notice any change":       {port: "8080", "holdfast.dev/image": "quay.io/influxdb/telegraf:1.22"},
		"telegraf:1.30.1-alpine is too old to notice a class": {port: "8080", "holdfast.dev/image": "telegraf:1.30.1-alpine"},
	} {
		in, p := inject(t, builder(), pod(annotations))
		if containerOf(t, p, "telegraf"); !strings.Contains(strings.Join(in.Warnings, "\n"), want) {
			t.Errorf("%v: no warning says %q: %q", annotations, want, in.Warnings)
		}
	}
}

func TestWhatIsMeantIsNotWarnedOf(t *testing.T) {
	for _, annotations := range []map[string]string{
		{port: "8080", "holdfast.dev/health-port": "8888"},
		{port: "8080", "holdfast.dev/interval": "100ms"},
		{port: "8080", "holdfast.dev/image": "telegraf:1.32" + digest},
		{port: "8080", "holdfast.dev/image": "registry.example/telegraf-mine:1.2" + digest},
		{port: "8080", "holdfast.dev/agent": "holdfast", "holdfast.dev/buffer-size": "1Gi"},
	} {
		if in, p := inject(t, builder(), pod(annotations)); len(in.Warnings) > 0 {
			t.Errorf("%v: %q; %v", annotations, in.Warnings, p.Labels)
		}
	}
}

func TestTheReleasesThatAreTooOldAreKnownByTheirTags(t *testing.T) {
	for image, old := range map[string]bool{"telegraf:1.24.4": true, "telegraf:1.31": true, "telegraf:1.32.0": false, "telegraf:2.0": false, "telegraf": false,
		"telegraf@sha256:1": false, "docker.io/library/telegraf:1.9@sha256:1": true, "x/mytelegraf:1.2": false} {
		if got := sidecar.OldTelegraf(v1alpha1.AgentTelegraf, image); (got != "") != old {
			t.Errorf("of %s is said %q", image, got)
		}
	}
	if got := sidecar.OldTelegraf(v1alpha1.AgentHoldfast, "x/telegraf:1.2"); got != "" {
		t.Errorf("of another agent is said %q", got)
	}
}

// A slash at the end makes no other place of it.
func TestNothingIsMountedOverTheConfiguration(t *testing.T) {
	p := pod(map[string]string{port: "8080", "holdfast.dev/volume-mounts": `{"data": "/etc/telegraf/"}`})
	p.Spec.Volumes = []corev1.Volume{{Name: "data"}}
	if in, _ := inject(t, builder(), p); in.Outcomes[0].Reason != sidecar.PodConflict {
		t.Errorf("the outcome is %+v", in.Outcomes[0])
	}
}
