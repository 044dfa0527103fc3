//go:build e2e

package operator_test

import (
	"regexp"
	"strings"
	"testing"
)

// A pod with much that came to Kubernetes after 1.25, the version that telegraf-operator decodes pods by: whatever that did not know, it
// dropped when it wrote the pod back.
const youngPod = `
apiVersion: v1
kind: Pod
metadata:
  name: NAME
  namespace: NAMESPACE
  annotations: {ANNOTATIONS}
spec:
  hostUsers: false
  schedulingGates: [{name: example.com/wait}]
  securityContext:
    supplementalGroupsPolicy: Strict
    appArmorProfile: {type: RuntimeDefault}
  resources:
    requests: {cpu: "1", memory: 1Gi}
  topologySpreadConstraints:
  - {maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {a: b}}, matchLabelKeys: [c], nodeAffinityPolicy: Ignore, nodeTaintsPolicy: Honor}
  affinity:
    podAntiAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
      - {topologyKey: zone, labelSelector: {matchLabels: {a: b}}, matchLabelKeys: [c], mismatchLabelKeys: [d]}
  initContainers:
  - name: proxy
    image: proxy
    restartPolicy: Always
    startupProbe: {grpc: {port: 9000}}
  containers:
  - name: app
    image: app
    resources: {requests: {cpu: 100m, memory: 100Mi}}
    resizePolicy: [{resourceName: cpu, restartPolicy: NotRequired}, {resourceName: memory, restartPolicy: RestartContainer}]
    livenessProbe: {grpc: {port: 9000}, terminationGracePeriodSeconds: 5}
    lifecycle: {preStop: {sleep: {seconds: 5}}}
    volumeMounts: [{name: data, mountPath: /data, readOnly: true, recursiveReadOnly: IfPossible}]
  volumes:
  - name: data
    emptyDir: {}
  - name: model
    image: {reference: registry.example/model, pullPolicy: IfNotPresent}
  - name: claim
    ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOncePod], resources: {requests: {storage: 1Gi}}, volumeAttributesClassName: fast}}}
`

var tokenVolume = regexp.MustCompile(`kube-api-access-\w+`)

// Was: hooks with sleep were emptied, and the API server then refused the pod for a hook that its author had not written; resizePolicy and
// the like were lost without a word.
func TestProbeFieldsYoungerThanTheOldOperatorsClient(t *testing.T) {
	in := cluster.Namespace(t, nil)
	specs := map[string]string{}
	for name, annotations := range map[string]string{"plain": "", "injected": `telegraf.influxdata.com/port: "8080"`} {
		if out, err := cluster.Apply(t.Context(), strings.NewReplacer("NAMESPACE", in, "NAME", name, "ANNOTATIONS", annotations).Replace(youngPod)); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		specs[name] = tokenVolume.ReplaceAllString(specOf(t, in, name), "kube-api-access-x")
	}
	if specs["plain"] != specs["injected"] {
		t.Errorf("without the annotation:\n%s\nwith it:\n%s", specs["plain"], specs["injected"])
	}
	for _, field := range []string{`"sleep"`, `"resizePolicy"`, `"restartPolicy": "Always"`, `"grpc"`, `"hostUsers"`, `"matchLabelKeys"`, `"recursiveReadOnly"`, `"supplementalGroupsPolicy"`} {
		if !strings.Contains(specs["injected"], field) {
			t.Errorf("this API server has not kept %s in either: the comparison does not speak of it", field)
		}
	}
}
