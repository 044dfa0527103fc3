package sidecar_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
	"github.com/holdfast-telemetry/holdfast/operator/class"
	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

const port = "telegraf.influxdata.com/port"

func TestAPodWithoutAnnotationsStaysAsItIs(t *testing.T) {
	for name, annotations := range map[string]map[string]string{
		"none":             nil,
		"another's":        {"example.com/port": "8080"},
		"the operator's":   {sidecar.StatusAnnotation: "of a pod that this one is a copy of"},
		"contains, at all": {"x/telegraf.influxdata.com": "y"},
	} {
		in, _ := inject(t, builder(), pod(annotations))
		if len(in.Patch)+len(in.Warnings)+len(in.Outcomes) > 0 {
			t.Errorf("%s: the pod gets %+v", name, in)
		}
	}
}

func TestASidecarIsNativeWhereTheServerKnowsThat(t *testing.T) {
	for _, native := range []bool{true, false} {
		b := builder()
		b.Native = func() bool { return native }
		_, p := inject(t, b, pod(map[string]string{port: "8080"}))
		list := p.Spec.Containers
		if native {
			list = p.Spec.InitContainers
		}
		c := list[len(list)-1]
		always := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		if c.Name != "telegraf" || always != native {
			t.Errorf("native %v: the last container is %s with restartPolicy Always %v", native, c.Name, always)
		}
	}
}

func TestEachModeCanBeAskedFor(t *testing.T) {
	_, p := inject(t, builder(), pod(map[string]string{port: "1", "holdfast.dev/mode": "container", "x.holdfast.dev/port": "2", "x.holdfast.dev/mode": "native"}))
	if p.Spec.Containers[1].Name != "telegraf" || p.Spec.InitContainers[0].Name != "telegraf-x" {
		t.Errorf("the containers are %v and %v", p.Spec.Containers, p.Spec.InitContainers)
	}
}

func TestAMistakeIsFatalToItsSidecarAlone(t *testing.T) {
	in, p := inject(t, builder(), pod(map[string]string{port: "http", "x.holdfast.dev/port": "8080"}))
	containerOf(t, p, "telegraf-x")
	status := p.Annotations[sidecar.StatusAnnotation]
	if in.Outcomes[0].Reason != sidecar.InvalidAnnotation || in.Outcomes[1].Reason != sidecar.Injected || p.Labels[sidecar.InjectedLabel] != "true" {
		t.Errorf("the outcomes are %+v, the labels %v", in.Outcomes, p.Labels)
	}
	want := `telegraf: not injected, InvalidAnnotation: telegraf.influxdata.com/port: "http" is not a port: a number from 1 to 65535; telegraf-x: injected, class default@`
	if !strings.HasPrefix(status, want) {
		t.Errorf("the status is %q, want %q", status, want)
	}
	if len(in.Warnings) != 1 || !strings.HasPrefix(in.Warnings[0], "no sidecar telegraf: ") {
		t.Errorf("the warnings are %q", in.Warnings)
	}
}

func TestEveryMistakeIsSaidAtOnce(t *testing.T) {
	in, _ := inject(t, builder(), pod(map[string]string{port: "http", "holdfast.dev/scheme": "ftp"}))
	for _, words := range []string{`"http" is not a port`, `"ftp" is neither http nor https`} {
		if !strings.Contains(in.Outcomes[0].Message, words) {
			t.Errorf("%q does not say %q", in.Outcomes[0].Message, words)
		}
	}
}

// TestASidecarThatCannotBeLeavesThePodItsOwn has what the API server would refuse the pod for, and other reasons to leave a sidecar out.
func TestASidecarThatCannotBeLeavesThePodItsOwn(t *testing.T) {
	volume := func(name string) corev1.Volume { return corev1.Volume{Name: name} }
	with := func(change func(*corev1.Pod), annotations ...string) *corev1.Pod {
		p := pod(map[string]string{port: "8080"})
		for i := 0; i < len(annotations); i += 2 {
			p.Annotations["holdfast.dev/"+annotations[i]] = annotations[i+1]
		}
		if change != nil {
			change(p)
		}
		return p
	}
	windows := func(p *corev1.Pod) { p.Spec.OS = &corev1.PodOS{Name: corev1.Windows} }
	for _, c := range []struct {
		reason  sidecar.Reason
		message string
		pod     *corev1.Pod
	}{
		{sidecar.ContainerExists, "has a container of that name", with(func(p *corev1.Pod) { p.Spec.Containers[0].Name = "telegraf" })},
		{sidecar.ContainerExists, "has a container of that name", with(func(p *corev1.Pod) { p.Spec.InitContainers = []corev1.Container{{Name: "telegraf"}} })},
		{sidecar.PodConflict, `volume "telegraf-config" already`, with(func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{volume("telegraf-config")} })},
		{sidecar.PodConflict, `no volume "data" to mount at /data`, with(nil, "volume-mounts", `{"data": "/data"}`)},
		{sidecar.PodConflict, "two volumes would be mounted at /etc/telegraf", with(func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{volume("data")} }, "volume-mounts", `{"data": "/etc/telegraf"}`)},
		{sidecar.PodConflict, `no volume "journal" to keep the buffer in`, with(nil, "agent", "holdfast", "buffer-volume", "journal")},
		{sidecar.UnknownClass, "there is no class nowhere", with(nil, "class", "nowhere")},
		{sidecar.InvalidClass, "the class bad (Secret) has no valid text yet", with(nil, "class", "bad")},
		{sidecar.NothingToCollect, "nothing to collect", with(func(p *corev1.Pod) { p.Annotations = map[string]string{"holdfast.dev/class": "default"} })},
		{sidecar.InvalidAnnotation, "the annotation inputs:1: ", with(nil, "inputs", "[inputs")},
		{sidecar.InvalidAnnotation, "names 17 classes", with(nil, "class", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q")},
		{sidecar.InvalidSidecar, "request of 300m cpu is above the limit of 200m", with(nil, "requests-cpu", "300m")},
		{sidecar.InvalidSidecar, "allowPrivilegeEscalation", with(nil, "security-context", `{"privileged": true, "allowPrivilegeEscalation": false}`)},
		{sidecar.InvalidSidecar, "number of a user or group", with(nil, "security-context", `{"runAsUser": -1}`)},
		{sidecar.InvalidSidecar, "fields of Linux", with(windows, "security-context", `{"runAsUser": 1}`)},
		{sidecar.TooLarge, "256", with(nil, "inputs", "[[inputs.cpu]]\n#"+strings.Repeat("x", 140<<10))},
	} {
		in, p := inject(t, builder(), c.pod)
		if o := in.Outcomes[0]; o.Reason != c.reason || !strings.Contains(o.Message, strings.Replace(c.message, "256", "262144 bytes", 1)) {
			t.Errorf("the outcome is %s: %s; want %s: %s", o.Reason, o.Message, c.reason, c.message)
		}
		if len(p.Spec.Containers) != len(c.pod.Spec.Containers) || len(p.Spec.InitContainers) != len(c.pod.Spec.InitContainers) || len(p.Spec.Volumes) != len(c.pod.Spec.Volumes) {
			t.Errorf("%s: the pod has something of the sidecar", c.message)
		}
		if p.Labels[sidecar.InjectedLabel] != "false" || !strings.HasPrefix(p.Annotations[sidecar.StatusAnnotation], "telegraf: not injected, "+string(c.reason)) {
			t.Errorf("%s: the pod says %v and %q", c.message, p.Labels, p.Annotations[sidecar.StatusAnnotation])
		}
	}
}

// from is a class whose one variable has a source.
func from(source corev1.EnvVarSource) v1alpha1.SidecarSpec {
	return v1alpha1.SidecarSpec{Env: []corev1.EnvVar{{Name: "A", ValueFrom: &source}}}
}

func TestAClassCanHaveEveryFieldAndUnitThatThereIs(t *testing.T) {
	for _, source := range []corev1.EnvVarSource{
		{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.hostIPs"}},
		{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.annotations['a/b']"}},
		{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.cpu", Divisor: resource.MustParse("1000m")}},
		{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.memory", Divisor: resource.MustParse("1Mi")}},
		{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "requests.ephemeral-storage"}},
	} {
		b := builder()
		b.Classes = func(string, string) (*class.Class, error) { return newClass("default", "", from(source)), nil }
		if in, _ := inject(t, b, pod(map[string]string{port: "8080"})); in.Outcomes[0].Reason != sidecar.Injected {
			t.Errorf("%v: %+v", source, in.Outcomes[0])
		}
	}
}

func TestAClassThatAsksForAnInvalidContainerRefusesNoPod(t *testing.T) {
	for name, spec := range map[string]v1alpha1.SidecarSpec{
		"is not the name of a variable":            {Env: []corev1.EnvVar{{Name: "a b"}}},
		"has both a value and valueFrom":           {Env: []corev1.EnvVar{{Name: "A", Value: "b", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "spec.nodeName"}}}}},
		"valueFrom has 0 sources":                  {Env: []corev1.EnvVar{{Name: "A", ValueFrom: &corev1.EnvVarSource{}}}},
		"is not the name of a Secret":              {EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{}}}},
		"a ConfigMap or a Secret":                  {EnvFrom: []corev1.EnvFromSource{{}}},
		"cannot have the resource":                 {Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("1")}}},
		"has blanks around it":                     {Image: " x"},
		`fieldRef: "spec.nodename" is not a field`: from(corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "spec.nodename"}}),
		`apiVersion "v2"`:                          from(corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v2", FieldPath: "spec.nodeName"}}),
		"divisor 2, which is none of 1m":           from(corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.cpu", Divisor: resource.MustParse("2")}}),
		"has hostProcess":                          {SecurityContext: &corev1.SecurityContext{WindowsOptions: &corev1.WindowsSecurityContextOptions{HostProcess: new(true)}}},
		"seccompProfile.type":                      {SecurityContext: &corev1.SecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: "x"}}},
	} {
		b := builder()
		b.Classes = func(string, string) (*class.Class, error) { return newClass("default", "", spec), nil }
		in, _ := inject(t, b, pod(map[string]string{port: "8080"}))
		if o := in.Outcomes[0]; o.Reason != sidecar.InvalidSidecar || !strings.Contains(o.Message, name) {
			t.Errorf("the outcome is %s: %s; want InvalidSidecar: %s", o.Reason, o.Message, name)
		}
	}
}

func TestSidecarsDoNotTakeEachOthersNames(t *testing.T) {
	// The volume of the first is telegraf-buffer-…, unless it is called config: then both would be telegraf-config-buffer.
	in, p := inject(t, builder(), pod(map[string]string{"buffer.holdfast.dev/port": "1", "config.holdfast.dev/port": "2", "config.holdfast.dev/agent": "holdfast"}))
	containerOf(t, p, "telegraf-buffer")
	if in.Outcomes[1].Reason != sidecar.PodConflict {
		t.Errorf("the outcomes are %+v", in.Outcomes)
	}
}

func TestTwoSidecarsCannotAnswerOnOnePort(t *testing.T) {
	in, _ := inject(t, builder(), pod(map[string]string{port: "1", "holdfast.dev/health-port": "9000", "x.holdfast.dev/port": "1", "x.holdfast.dev/health-port": "9000"}))
	if o := in.Outcomes[1]; o.Reason != sidecar.PodConflict || !strings.Contains(o.Message, "sidecar telegraf has the health port 9000") {
		t.Errorf("the outcome is %+v", o)
	}
}

func TestTheLongestNameFitsEverything(t *testing.T) {
	for n, reason := range map[int]sidecar.Reason{40: sidecar.Injected, 41: sidecar.InvalidAnnotation} {
		name := strings.Repeat("n", n)
		in, p := inject(t, builder(), pod(map[string]string{name + ".holdfast.dev/port": "1", name + ".holdfast.dev/agent": "holdfast", name + ".holdfast.dev/inputs": "[[inputs.cpu]]",
			name + ".holdfast.dev/scrape-bearer-token-secret": "a"}))
		if in.Outcomes[0].Reason != reason {
			t.Errorf("%d characters: %+v", n, in.Outcomes[0])
		}
		for _, v := range p.Spec.Volumes {
			if len(v.Name) > 63 {
				t.Errorf("the volume %s has %d characters", v.Name, len(v.Name))
			}
		}
	}
}

func TestAnnotationsThatFillTheBoundAreNotMadeLarger(t *testing.T) {
	const bound = 256 << 10
	for _, free := range []int{0, 20, 200, 2000} {
		p := pod(map[string]string{port: "http"})
		p.Annotations["filler"] = strings.Repeat("x", bound-free-len(port)-len("http")-len("filler"))
		_, patched := inject(t, builder(), p)
		if n := size(patched.Annotations); n > bound {
			t.Errorf("with %d bytes free, the annotations come to take %d", free, n)
		}
		if patched.Labels[sidecar.InjectedLabel] != "false" {
			t.Errorf("with %d bytes free, the label says %v", free, patched.Labels)
		}
	}
}

func TestWhatIsSaidOnAPodIsBounded(t *testing.T) {
	in, p := inject(t, builder(), pod(map[string]string{port: strings.Repeat("\x00", 100<<10)}))
	if n := len(p.Annotations[sidecar.StatusAnnotation]); n > 1100 {
		t.Errorf("the status has %d bytes", n)
	}
	for _, w := range in.Warnings {
		if len(w) > 250 || strings.ContainsFunc(w, func(r rune) bool { return r < ' ' }) {
			t.Errorf("the warning %q is longer than 250 bytes or has a control character", w)
		}
	}
}

func TestASidecarSharesTheResourcesOfItsPod(t *testing.T) {
	p := pod(map[string]string{port: "1"})
	p.Spec.Resources = &corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}}
	_, p = inject(t, builder(), p)
	c := containerOf(t, p, "telegraf")
	if _, has := c.Resources.Limits[corev1.ResourceCPU]; has || c.Resources.Limits.Memory().IsZero() {
		t.Errorf("the sidecar has %v: the limit of cpu is the pod's, which 200m would exceed", c.Resources)
	}
}

// The API server mounts the token into every container; where it does so, the sidecar has it from the start.
func TestASidecarHasTheTokenThatTheOthersHave(t *testing.T) {
	const path = "/var/run/secrets/kubernetes.io/serviceaccount"
	token := func(volume string, change func(*corev1.Pod)) []corev1.VolumeMount {
		p := pod(map[string]string{port: "1"})
		p.Spec.Volumes = []corev1.Volume{{Name: volume}}
		p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: volume, MountPath: path, ReadOnly: true}}
		change(p)
		_, p = inject(t, builder(), p)
		return containerOf(t, p, "telegraf").VolumeMounts[1:]
	}
	as := func(*corev1.Pod) {}
	want := []corev1.VolumeMount{{Name: "kube-api-access-abcde", MountPath: path, ReadOnly: true}}
	if got := token("kube-api-access-abcde", as); !reflect.DeepEqual(got, want) {
		t.Errorf("the sidecar has %v", got)
	}
	if got := token("my-token", as); len(got) > 0 {
		t.Errorf("a volume that the pod's author chose is mounted: %v", got)
	}
	if got := token("kube-api-access-abcde", func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = new(false) }); len(got) > 0 {
		t.Errorf("the pod wants no token mounted: %v", got)
	}
	if got := token("kube-api-access-abcde", func(p *corev1.Pod) { p.Spec.Containers[0].VolumeMounts = nil }); len(got) > 0 {
		t.Errorf("no other container has it: %v", got)
	}
}

func TestIstiosProxyIsScraped(t *testing.T) {
	proxy := map[string]string{port: "1", "sidecar.istio.io/status": "{}", "telegraf.influxdata.com/istio-limits-cpu": "1", "telegraf.influxdata.com/istio-limits-memory": ""}
	_, p := inject(t, builder(), pod(proxy))
	c := containerOf(t, p, "telegraf-istio")
	if _, limited := c.Resources.Limits[corev1.ResourceMemory]; limited || c.Resources.Limits.Cpu().String() != "1" {
		t.Errorf("the limits are %v", c.Resources.Limits)
	}
	if conf := p.Annotations[sidecar.ConfigAnnotation("telegraf-istio")]; !strings.Contains(conf, "127.0.0.1:15090/stats/prometheus") {
		t.Errorf("the file is %q", conf)
	}
	proxy["holdfast.dev/inject"] = "false"
	if in, _ := inject(t, builder(), pod(proxy)); len(in.Patch) > 0 {
		t.Error("a pod that is to be left alone gets Istio's sidecar")
	}
}

func TestAClassesSettingsCountUnlessThePodSaysOtherwise(t *testing.T) {
	_, p := inject(t, builder(), pod(map[string]string{"holdfast.dev/class": "team"}))
	c := containerOf(t, p, "telegraf")
	if c.LivenessProbe == nil || c.LivenessProbe.HTTPGet.Port.IntValue() != 9001 || !slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == "TEAM" && e.Value == "a" }) {
		t.Errorf("the container is %+v", c)
	}
	_, p = inject(t, builder(), pod(map[string]string{"holdfast.dev/class": "team", "holdfast.dev/health-port": "0", "holdfast.dev/env-literal-TEAM": "b"}))
	c = containerOf(t, p, "telegraf")
	if c.LivenessProbe != nil || !slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == "TEAM" && e.Value == "b" }) {
		t.Errorf("the container is %+v", c)
	}
}

func TestTheClassesFilesAreInOrder(t *testing.T) {
	_, p := inject(t, builder(), pod(map[string]string{"holdfast.dev/class": "team,default", "holdfast.dev/inputs": "[[inputs.cpu]]"}))
	var files []string
	for _, s := range p.Spec.Volumes[0].Projected.Sources {
		if s.Secret != nil {
			if s.Secret.Name != sidecar.ClassesName || !*s.Secret.Optional {
				t.Errorf("the Secret is %+v: it is %s, and may be missing", s.Secret, sidecar.ClassesName)
			}
			for _, item := range s.Secret.Items {
				files = append(files, item.Key+" as "+item.Path)
			}
		} else {
			for _, item := range s.DownwardAPI.Items {
				files = append(files, item.Path)
			}
		}
	}
	want := []string{"telegraf.conf", "inputs.conf", "team.conf as class-00-team.conf", "default.conf as class-01-default.conf"}
	if !slices.Equal(files, want) {
		t.Errorf("the files are %q, want %q", files, want)
	}
	if slices.Max([]string{"class-00-team.conf", "class-15-x.conf", "inputs.conf", "telegraf.conf"}) != "telegraf.conf" {
		t.Error("telegraf.conf, with the annotations' tags, is not the last in the order of names")
	}
}

// mounted are the kinds of object that a pod's volumes have classes from, with what is wrong with them.
func mounted(p *corev1.Pod) (all []string) {
	for _, v := range p.Spec.Volumes {
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			switch {
			case s.Secret != nil && s.Secret.Name == sidecar.ClassesName && *s.Secret.Optional && len(s.Secret.Items) > 0:
				all = append(all, "Secret")
			case s.ConfigMap != nil && s.ConfigMap.Name == sidecar.ClassesName && *s.ConfigMap.Optional && len(s.ConfigMap.Items) > 0:
				all = append(all, "ConfigMap")
			case s.DownwardAPI == nil:
				all = append(all, fmt.Sprintf("%+v", s))
			}
		}
	}
	return all
}

func TestPodsMountTheirClassesFromTheKindThatIsDelivered(t *testing.T) {
	stale := pod(map[string]string{port: "1"})
	stale.Labels = map[string]string{sidecar.ClassesInLabel: "ConfigMap"} // as a copy of another pod has it
	for _, tt := range []struct {
		in   sidecar.ClassesObject
		pod  *corev1.Pod
		want sidecar.ClassesObject
	}{
		{"", pod(map[string]string{port: "1"}), sidecar.InSecret},
		{sidecar.InSecret, pod(map[string]string{port: "1"}), sidecar.InSecret},
		{sidecar.InSecret, stale, sidecar.InSecret},
		{sidecar.InConfigMap, pod(map[string]string{port: "1"}), sidecar.InConfigMap},
		{sidecar.InConfigMap, stale, sidecar.InConfigMap},
	} {
		b := builder()
		b.ClassesObject = tt.in
		_, p := inject(t, b, tt.pod)
		if got := mounted(p); !slices.Equal(got, []string{string(tt.want)}) || sidecar.ClassesIn(p.Labels) != tt.want {
			t.Errorf("delivered in %q: it mounts %q, and the labels are %v", tt.in, got, p.Labels)
		}
	}
}

func TestAPodKeepsTheKindThatItsSidecarsMount(t *testing.T) {
	for _, kinds := range [][2]sidecar.ClassesObject{{sidecar.InSecret, sidecar.InConfigMap}, {sidecar.InConfigMap, sidecar.InSecret}} {
		old, b := builder(), builder()
		old.ClassesObject, b.ClassesObject = kinds[0], kinds[1]
		_, p := inject(t, old, pod(map[string]string{port: "1"}))
		p.Annotations["audit.holdfast.dev/port"] = "2"
		_, again := inject(t, b, p) // another replica is asked after another step of admission
		want := []string{string(kinds[0]), string(kinds[0])}
		if got := mounted(again); !slices.Equal(got, want) || sidecar.ClassesIn(again.Labels) != kinds[0] {
			t.Errorf("it mounts %q, want %q; the labels are %v", got, want, again.Labels)
		}
		again.Annotations[port] = "3"
		if fresh, err := b.Refresh(encode(t, again), "ns"); err != nil || fresh.Problem != "" {
			t.Errorf("an edit is not followed: %v, %+v", err, fresh)
		}
	}
}

func TestThePodSaysWhatItHas(t *testing.T) {
	_, p := inject(t, builder(), pod(map[string]string{port: "1", "holdfast.dev/class": "team,default"}))
	want := map[string]string{sidecar.InjectedLabel: "true", "class.holdfast.dev/team": classes["team"].Hash, "class.holdfast.dev/default": classes["default"].Hash}
	if !maps.Equal(p.Labels, want) {
		t.Errorf("the labels are %v, want %v", p.Labels, want)
	}
	if len(p.Annotations[sidecar.HashAnnotation]) != 10 {
		t.Errorf("the hash is %q", p.Annotations[sidecar.HashAnnotation])
	}
}

func TestAGeneratedFileIsWhatWasAskedForWhateverTheText(t *testing.T) {
	odd := "q\"uo\nte \\ \u2028 \x07 é"
	_, p := inject(t, builder(), pod(map[string]string{port: "1", "holdfast.dev/global-tag-literal-a.b": odd, "holdfast.dev/path": "/m?x[]=\\"}))
	var file struct {
		GlobalTags map[string]string `toml:"global_tags"`
		Inputs     struct{ Prometheus []struct{ URLs []string } }
	}
	if _, err := toml.Decode(p.Annotations[sidecar.ConfigAnnotation("telegraf")], &file); err != nil {
		t.Fatal(err)
	}
	if file.GlobalTags["a.b"] != odd || file.Inputs.Prometheus[0].URLs[0] != `http://127.0.0.1:1/m?x[]=\` {
		t.Errorf("the file says %+v", file)
	}
}

func TestCredentialsAreNamedAndNotWritten(t *testing.T) {
	_, p := inject(t, builder(), pod(map[string]string{port: "1", "holdfast.dev/scheme": "https", "holdfast.dev/scrape-basic-auth-secret": "auth",
		"holdfast.dev/scrape-bearer-token-secret": "bearer/key", "holdfast.dev/scrape-tls-secret": "tls", "holdfast.dev/scrape-tls-client": "true"}))
	conf := p.Annotations[sidecar.ConfigAnnotation("telegraf")]
	for _, words := range []string{`password = "${HOLDFAST_SCRAPE_PASSWORD}"`, `bearer_token = "/etc/telegraf-scrape/bearer/token"`, `tls_ca = "/etc/telegraf-scrape/tls/ca.crt"`, `tls_key = "/etc/telegraf-scrape/tls/tls.key"`} {
		if !strings.Contains(conf, words) {
			t.Errorf("the file does not say %s:\n%s", words, conf)
		}
	}
	secrets := map[string]bool{}
	for _, v := range p.Spec.Volumes {
		if v.Secret != nil {
			secrets[v.Secret.SecretName] = true
		}
	}
	for _, e := range containerOf(t, p, "telegraf").Env {
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			secrets[e.ValueFrom.SecretKeyRef.Name] = true
		}
	}
	if !maps.Equal(secrets, map[string]bool{"auth": true, "bearer": true, "tls": true}) {
		t.Errorf("the sidecar has the Secrets %v", secrets)
	}
}

func TestWhatIsNoPodIsAnError(t *testing.T) {
	for _, raw := range []string{"", "{", "[]", `{"spec": []}`, `{"metadata": {"annotations": {"a": 1}}}`, `{"metadata": {}}`, "null"} {
		if in, err := builder().Inject([]byte(raw), "ns"); err == nil {
			t.Errorf("%q gets %+v", raw, in)
		}
	}
}

func TestAnEditThatDoesNotFitIsNotFollowed(t *testing.T) {
	b := builder()
	_, p := inject(t, b, pod(map[string]string{"holdfast.dev/inputs": "[[inputs.cpu]]\n"}))
	for n, followed := range map[int]bool{10 << 10: true, 140 << 10: false} {
		p.Annotations["holdfast.dev/inputs"] = "[[inputs.cpu]]\n#" + strings.Repeat("x", n)
		fresh, err := b.Refresh(encode(t, p), "ns")
		if err != nil {
			t.Fatal(err)
		}
		if (fresh.Problem == "") != followed || (len(fresh.Annotations) > 1) != followed {
			t.Errorf("%d bytes: %q, %d annotations", n, fresh.Problem, len(fresh.Annotations))
		}
	}
}
