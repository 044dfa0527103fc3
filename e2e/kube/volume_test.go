package kube

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func ptr[T any](v T) *T { return &v }

var (
	meta      = func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "ns", Name: name} }
	telegraf  = &corev1.Secret{ObjectMeta: meta("telegraf"), Data: map[string][]byte{"telegraf.conf": []byte("[agent]\n"), "token": []byte("t")}}
	extra     = &corev1.ConfigMap{ObjectMeta: meta("extra"), Data: map[string]string{"a": "1"}, BinaryData: map[string][]byte{"b": {0, 1}}}
	reference = func(name string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: name} }
)

// texts are files without their modes.
func texts(files map[string]File) map[string]string {
	m := map[string]string{}
	for name, f := range files {
		m[name] = string(f.Data)
	}
	return m
}

func TestVolumeFilesAreWhatTheKubeletWouldProject(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: "web", UID: "u-1", Labels: map[string]string{"b": "2", "a": "say \"1\""}, Annotations: map[string]string{"x/y": "z"},
	}}
	pod.Spec.Containers = []corev1.Container{{Name: "app", Resources: corev1.ResourceRequirements{
		Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1500m"), corev1.ResourceMemory: resource.MustParse("64Mi")},
	}}}
	fields := func(paths map[string]string) (items []corev1.DownwardAPIVolumeFile) {
		for name, p := range paths {
			items = append(items, corev1.DownwardAPIVolumeFile{Path: name, FieldRef: &corev1.ObjectFieldSelector{FieldPath: p}})
		}
		return items
	}
	limit := func(name, divisor string) corev1.DownwardAPIVolumeFile {
		return corev1.DownwardAPIVolumeFile{Path: name, ResourceFieldRef: &corev1.ResourceFieldSelector{
			ContainerName: "app", Resource: name, Divisor: resource.MustParse(divisor),
		}}
	}
	tests := []struct {
		name   string
		source corev1.VolumeSource
		want   map[string]string
		err    string // part of it
	}{
		{"all keys of a secret", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "telegraf"}},
			map[string]string{"telegraf.conf": "[agent]\n", "token": "t"}, ""},
		{"named keys of a secret", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
			SecretName: "telegraf", Items: []corev1.KeyToPath{{Key: "telegraf.conf", Path: "telegraf.d/a.conf"}},
		}}, map[string]string{"telegraf.d/a.conf": "[agent]\n"}, ""},
		{"a key that is missing", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
			SecretName: "telegraf", Items: []corev1.KeyToPath{{Key: "no", Path: "no"}},
		}}, nil, `secret telegraf has no key "no"`},
		{"an optional key that is missing", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
			SecretName: "telegraf", Items: []corev1.KeyToPath{{Key: "no", Path: "no"}}, Optional: ptr(true),
		}}, map[string]string{}, ""},
		{"a secret that is missing", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "no"}}, nil, `"no" not found`},
		{"an optional secret that is missing", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "no", Optional: ptr(true)}},
			map[string]string{}, ""},
		{"a configmap", corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: reference("extra")}},
			map[string]string{"a": "1", "b": "\x00\x01"}, ""},
		{"the downward API's fields", corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: fields(map[string]string{
			"name": "metadata.name", "in/namespace": "metadata.namespace", "uid": "metadata.uid", "labels": "metadata.labels",
			"a": "metadata.labels['a']", "xy": "metadata.annotations['x/y']", "all": "metadata.annotations", "none": "metadata.labels['no']",
		})}}, map[string]string{
			"name": "web", "in/namespace": "ns", "uid": "u-1", "labels": "a=\"say \\\"1\\\"\"\nb=\"2\"",
			"a": "say \"1\"", "xy": "z", "all": `x/y="z"`, "none": "",
		}, ""},
		{"a field that is no file", corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{
			Items: fields(map[string]string{"ip": "status.podIP"}),
		}}, nil, "unsupported fieldPath: status.podIP"},
		{"the downward API's resources", corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: []corev1.DownwardAPIVolumeFile{
			limit("limits.cpu", "0"), limit("limits.memory", "1Mi"), limit("requests.cpu", "1m"), limit("limits.ephemeral-storage", "1Ti"),
		}}}, map[string]string{"limits.cpu": "2", "limits.memory": "64", "requests.cpu": "0", "limits.ephemeral-storage": "40"}, ""},
		{"all in one, the later wins", corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{Secret: &corev1.SecretProjection{LocalObjectReference: reference("telegraf")}},
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: reference("extra"), Items: []corev1.KeyToPath{{Key: "a", Path: "token"}}}},
			{Secret: &corev1.SecretProjection{LocalObjectReference: reference("no"), Optional: ptr(true)}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: fields(map[string]string{"name": "metadata.name"})}},
		}}}, map[string]string{"telegraf.conf": "[agent]\n", "token": "1", "name": "web"}, ""},
		{"something else", corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}, nil, "not a kind of volume"},
	}
	client := fake.NewClientset(telegraf, extra)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pod := pod.DeepCopy()
			pod.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: tt.source}}
			files, err := VolumeFiles(t.Context(), client, pod, "v")
			switch {
			case tt.err == "" && err != nil:
				t.Fatal(err)
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Fatalf("error %v, want %q in it", err, tt.err)
			case tt.err == "" && !maps.Equal(texts(files), tt.want):
				t.Errorf("files %q, want %q", texts(files), tt.want)
			}
		})
	}
}

func TestVolumeFilesHaveTheirOwnModeOrTheVolumes(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: meta("web")}
	pod.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		DefaultMode: ptr(int32(0o440)),
		Sources: []corev1.VolumeProjection{
			{Secret: &corev1.SecretProjection{LocalObjectReference: reference("telegraf"), Items: []corev1.KeyToPath{
				{Key: "token", Path: "token", Mode: ptr(int32(0o400))}, {Key: "telegraf.conf", Path: "telegraf.conf"},
			}}},
		},
	}}}}
	files, err := VolumeFiles(t.Context(), fake.NewClientset(telegraf), pod, "v")
	if err != nil {
		t.Fatal(err)
	}
	if files["token"].Mode != 0o400 || files["telegraf.conf"].Mode != 0o440 {
		t.Errorf("modes %v and %v, want 0400 and 0440", files["token"].Mode, files["telegraf.conf"].Mode)
	}
}

// tree is all that a folder has, links as what they point at, with the name of the current folder replaced by T.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	current, err := os.Readlink(filepath.Join(dir, dataLink))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	err = fs.WalkDir(os.DirFS(dir), ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || p == ".":
			return err
		case d.Type() == fs.ModeSymlink:
			to, err := os.Readlink(filepath.Join(dir, p))
			all = append(all, p+" -> "+to)
			return err
		case d.IsDir():
			all = append(all, p+"/")
			return nil
		}
		b, err := os.ReadFile(filepath.Join(dir, p))
		all = append(all, p+" = "+string(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		all[i] = strings.ReplaceAll(all[i], current, "T")
	}
	slices.Sort(all)
	return all
}

func file(text string) File { return File{Data: []byte(text), Mode: 0o644} }

func TestWriteVolumeReplacesAllFilesAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "v")
	steps := []struct {
		files map[string]File
		want  []string
	}{
		{map[string]File{"a.conf": file("1"), "d/x.conf": file("2"), "d/y.conf": file("3")},
			[]string{"..data -> T", "T/", "T/a.conf = 1", "T/d/", "T/d/x.conf = 2", "T/d/y.conf = 3", "a.conf -> ..data/a.conf", "d -> ..data/d"}},
		{map[string]File{"a.conf": file("4"), "d/x.conf": file("2")},
			[]string{"..data -> T", "T/", "T/a.conf = 4", "T/d/", "T/d/x.conf = 2", "a.conf -> ..data/a.conf", "d -> ..data/d"}},
		{map[string]File{"b.conf": file("5")}, []string{"..data -> T", "T/", "T/b.conf = 5", "b.conf -> ..data/b.conf"}},
		{nil, []string{"..data -> T", "T/"}},
	}
	for i, s := range steps {
		if err := WriteVolume(dir, s.files); err != nil {
			t.Fatal(err)
		}
		if got := tree(t, dir); !slices.Equal(got, s.want) {
			t.Errorf("after step %d:\n%q, want\n%q", i+1, got, s.want)
		}
	}
}

func TestWriteVolumeLeavesWhatIsTheSame(t *testing.T) {
	dir := t.TempDir()
	before := ""
	for range 2 {
		if err := WriteVolume(dir, map[string]File{"a": file("1"), "d/b": file("2")}); err != nil {
			t.Fatal(err)
		}
		now, err := os.Readlink(filepath.Join(dir, dataLink))
		if err != nil {
			t.Fatal(err)
		}
		if before != "" && now != before {
			t.Errorf("the same contents were written again: %s, then %s", before, now)
		}
		before = now
	}
}

func TestWriteVolumeGivesFilesTheirModes(t *testing.T) {
	dir := t.TempDir()
	if err := WriteVolume(dir, map[string]File{"key": {Data: []byte("k"), Mode: 0o400}, "all": {Data: []byte("k"), Mode: 0o666}}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"key": 0o400, "all": 0o666} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has the mode %v, want %v", name, info.Mode(), want)
		}
	}
}

func TestWriteVolumeRefusesPathsOutsideIt(t *testing.T) {
	for _, name := range []string{"", "/a", "..", "../a", "a/../../b", "..data", "..data/a"} {
		dir := t.TempDir()
		if err := WriteVolume(dir, map[string]File{name: file("1")}); err == nil {
			t.Errorf("path %q was taken", name)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("path %q left %v, %v", name, left, err)
		}
	}
}
