package recovery

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/holdfast-telemetry/holdfast/guard/tree/treetest"
)

func released(name, ns, claim, uid string) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: "7", Annotations: map[string]string{boundByController: "yes", "other": "kept"}},
		Spec: corev1.PersistentVolumeSpec{
			ClaimRef:               &corev1.ObjectReference{Namespace: ns, Name: claim, UID: "old", ResourceVersion: "3"},
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "d", VolumeHandle: "disk-" + name}},
		},
	}
}

func TestAReservationKeepsTheClaimsNameAndTestsWhatItChanges(t *testing.T) {
	b, err := json.Marshal(reservation(released("pv", "a", "data-etcd-0", "old"), "a", "data-etcd-0"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, want := range []string{`"op":"test","path":"/metadata/resourceVersion","value":"7"`, `"op":"test","path":"/spec/claimRef/name","value":"data-etcd-0"`,
		`"op":"remove","path":"/spec/claimRef/uid"`, `"op":"remove","path":"/spec/claimRef/resourceVersion"`, `"/metadata/annotations/pv.kubernetes.io~1bound-by-controller"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the patch lacks %s: %s", want, text)
		}
	}
	if strings.Contains(text, `"remove","path":"/spec/claimRef"`) || strings.Contains(text, "other") {
		t.Errorf("the patch takes too much: %s", text)
	}
}

func TestADiskIsKnownByItsHandleAndMadeUpFromIt(t *testing.T) {
	local := released("pv", "a", "c", "")
	local.Spec.PersistentVolumeSource = corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: "/disks/1"}}
	for _, pv := range []*corev1.PersistentVolume{released("pv", "a", "c", ""), local} {
		h := handle(pv)
		s, err := source(h)
		if err != nil {
			t.Fatal(err)
		}
		again, err := typed[corev1.PersistentVolume]((&Step{Volume: "x", Spec: s}).volume())
		if err != nil || handle(again) != h {
			t.Errorf("%s becomes %s: %v", h, handle(again), err)
		}
	}
}

const etcdSet = `apiVersion: apps/v1
kind: StatefulSet
metadata: {name: etcd, namespace: a}
spec:
  replicas: 2
  selector: {matchLabels: {app: etcd}}
  template: {spec: {containers: [{name: c, readinessProbe: {}}]}}
  volumeClaimTemplates: [{metadata: {name: data}, spec: {resources: {requests: {storage: 1Gi}}}}]
`

func TestTwoManifestsOfOneObjectAreAnErrorThatNamesBoth(t *testing.T) {
	files := treetest.Folder(t, map[string]string{"a.yaml": etcdSet, "b.yml": "# a comment\n" + strings.Replace(etcdSet, "apps/v1", "apps/v1beta1", 1)})
	_, err := ReadManifests(files, "", "x", "")
	if err == nil || !strings.Contains(err.Error(), "a.yaml:1") || !strings.Contains(err.Error(), "b.yml:2") {
		t.Errorf("it says %v", err)
	}
}

func TestWhatArgoCDPassesOverIsNotAppliedAndIsNamed(t *testing.T) {
	m, err := ReadManifests(treetest.Folder(t, map[string]string{
		"app/set.yaml": etcdSet, "app/notes.txt": "no", "app/values.yaml": "a: 1\n", "app/marked.yaml": "# +argocd:skip-file-rendering\n" + etcdSet,
		"app/more/list.json": `{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}},
			{"apiVersion":"example.org/v1","kind":"Topic","metadata":{"name":"t"},"spec":{"bytes":9223372036854775807}}]}`,
		"app/hooks.yaml": "{apiVersion: batch/v1, kind: Job, metadata: {generateName: j-}}\n---\n" +
			"{apiVersion: batch/v1, kind: Job, metadata: {name: k, annotations: {argocd.argoproj.io/hook: PreSync}}}\n",
		"app/crd.yaml":   "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: topics.example.org}, spec: {group: example.org, scope: Cluster, names: {kind: Topic}}}\n",
		"elsewhere.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {}\n",
	}), "app", "x", "ns")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range m.objects {
		got = append(got, o.Origin+" "+o.GetKind()+" "+o.GetNamespace())
	}
	want := []string{"app/crd.yaml:1 CustomResourceDefinition ", "app/set.yaml:1 StatefulSet a", "app/more/list.json:2 Topic ", "app/more/list.json:1 ConfigMap ns"}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the objects are %q", got)
	}
	if len(m.Skipped) != 4 {
		t.Errorf("passed over: %q", m.Skipped)
	}
	topic := m.find(Ref{APIVersion: "example.org/v1", Kind: "Topic", Name: "t"})
	if n, ok, err := unstructured.NestedInt64(topic.Object, "spec", "bytes"); n != math.MaxInt64 || !ok || err != nil {
		t.Errorf("a large number is %d: %v", n, err)
	}
}

func TestManifestsThatArgoCDWouldFailOnAreNotReadInPart(t *testing.T) {
	for name, text := range map[string]string{
		"a key twice": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  name: b\n", "no name": "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n", "no YAML": "apiVersion: v1\nkind: [\nmetadata: {}\n",
	} {
		if _, err := ReadManifests(treetest.Folder(t, map[string]string{"a.yaml": etcdSet, "b.yaml": text}), "", "x", ""); err == nil || !strings.Contains(err.Error(), "b.yaml") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadManifests(treetest.Folder(t, map[string]string{"a/a.yaml": etcdSet}), "b", "x", ""); err == nil {
		t.Error("a folder without manifests is read")
	}
}

func TestAClaimOfNobodyIsAQuestionAndOneOfASetIsNot(t *testing.T) {
	m, err := ReadManifests(treetest.Folder(t, map[string]string{"a.yaml": etcdSet}), "", "x", "")
	if err != nil {
		t.Fatal(err)
	}
	a := &assessment{namespaces: []string{"a"}}
	if err := a.wants(m.objects); err != nil {
		t.Fatal(err)
	}
	b := &builder{Inputs: Inputs{Manifests: m}}
	a.claimed([]*corev1.PersistentVolume{released("p0", "a", "data-etcd-0", ""), released("p1", "a", "other", ""), released("p7", "a", "data-etcd-7", ""),
		released("q", "b", "data-etcd-0", "")}, nil)
	for key, question := range map[string]bool{"a/data-etcd-0": false, "a/other": true, "a/data-etcd-7": false} {
		if v := a.judge(key, b.sets()); (v.question != nil) != question || len(v.claim.Volumes) != 1 {
			t.Errorf("%s: %+v", key, v)
		}
	}
	if len(a.volumes) != 3 {
		t.Errorf("a volume of another namespace is in the plan: %v", a.volumes)
	}
}

func TestAJournalCutsOffATornLineAndRefusesAnotherPlan(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, err := openJournal(path, "one")
	if err != nil {
		t.Fatal(err)
	}
	if err := j.write(Entry{Event: "done", Step: "s"}); err != nil {
		t.Fatal(err)
	}
	if _, err := openJournal(path, "one"); err == nil || !strings.Contains(err.Error(), "another holdfast-guard") {
		t.Errorf("two have it: %v", err)
	}
	if _, err := j.file.WriteString(`{"event":"done","st`); err != nil {
		t.Fatal(err)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	if j, err = openJournal(path, "one"); err != nil {
		t.Fatal(err)
	}
	if _, done := j.was("s"); !done {
		t.Error("what was done is lost")
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || !strings.HasSuffix(string(b), "}\n") {
		t.Errorf("the torn line is there: %q %v", b, err)
	}
	if _, err := openJournal(path, "two"); err == nil || !strings.Contains(err.Error(), "another plan") {
		t.Errorf("it is opened for another plan: %v", err)
	}
}

func TestAnAnswerMakesNoOtherPlan(t *testing.T) {
	p := &Plan{APIVersion: APIVersion, Kind: KindPlan, Cluster: "u", Questions: []Question{{ID: "q", Choices: []Choice{{"a", "b"}}}}}
	before, err := p.ID()
	if err != nil {
		t.Fatal(err)
	}
	p.Questions[0].Answer = "a"
	if after, err := p.ID(); err != nil || after != before {
		t.Errorf("the id is %s and was %s: %v", after, before, err)
	}
	p.Cluster = "v"
	if after, err := p.ID(); err != nil || after == before {
		t.Errorf("another cluster's plan has the same id: %v", err)
	}
}

func TestAPolicyIsCheckedWhole(t *testing.T) {
	for text, want := range map[string]string{
		"surge: 0.5": "surge", "quiet: soon": "quiet", "rules: [{class: queen}]": "class", "rules: [{class: log, probes: maybe}]": "probes",
		"rules: [{class: log, names: ['[']}]": "rules[0]", "freeze: [{kind: Pod, name: x}]": "freeze[0].kind", "nonsense: 1": "nonsense",
		"surge: many": "not a policy: surge: a string is there, where a number is wanted", "freeze: all": "not a policy: freeze: a string is there, where a list is wanted",
	} {
		if _, err := ParsePolicy([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("apiVersion: guard.holdfast.dev/v1\nkind: RecoveryPlan\ncluster: u\nmanifests: {}\nnamespaces: []\nquestions: []\nvolumes: []\nphases: []\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			return
		}
		again, err := p.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(again); err != nil {
			t.Fatalf("what was written is not read: %v\n%s", err, again)
		}
	})
}

func FuzzReadManifests(f *testing.F) {
	f.Add([]byte(etcdSet))
	f.Add([]byte("{kind: List, apiVersion: v1, items: [{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}]}"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		m := &Manifests{byKey: map[string]int{}}
		if m.read("a.yaml", b) != nil || m.finish("ns") != nil {
			return
		}
		_ = (&assessment{namespaces: []string{"ns"}}).wants(m.objects)
	})
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte("rules: [{class: log, names: ['*']}]"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if p, err := ParsePolicy(b); err == nil {
			p.rule("StatefulSet", "a", "b", nil)
		}
	})
}
