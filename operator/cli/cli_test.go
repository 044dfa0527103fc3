package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/holdfast-telemetry/holdfast/operator"
	"github.com/holdfast-telemetry/holdfast/operator/cli"
	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

var update = flag.Bool("update", false, "write the golden files anew")

// result is what a command line did.
type result struct {
	code     int
	out, err string
	ran      *operator.Options
}

// run runs a command line outside of a cluster.
func run(t *testing.T, in string, args ...string) (r result) {
	t.Helper()
	var out, errs bytes.Buffer
	r.code = cli.Main(t.Context(), cli.Options{In: strings.NewReader(in), Out: &out, Err: &errs, Getenv: func(string) string { return "" },
		Run: func(_ context.Context, o operator.Options) error {
			r.ran = &o
			return nil
		}}, args)
	r.out, r.err = out.String(), errs.String()
	return r
}

// preview has the classes of testdata.
func preview(t *testing.T, in string, args ...string) result {
	t.Helper()
	return run(t, in, append([]string{"preview", "--classes", "testdata/classes"}, args...)...)
}

// TestPreviewsReadAsTheyShould compares with files that were read by eye.
func TestPreviewsReadAsTheyShould(t *testing.T) {
	for name, code := range map[string]int{"port": 0, "everything": 0, "several": 1, "mistakes": 1} {
		path := filepath.Join("testdata", name+".yaml")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		args := []string{"-f", path}
		if flags, ok := strings.CutPrefix(string(text), "# flags: "); ok {
			flags, _, _ = strings.Cut(flags, "\n")
			args = append(args, strings.Fields(flags)...)
		}
		got := preview(t, "", args...)
		if got.code != code {
			t.Errorf("%s: the exit code is %d, want %d: %s", name, got.code, code, got.err)
		}
		golden := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(golden, []byte(got.out), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got.out != string(want) {
			t.Errorf("%s: it prints\n%s\nwhich is not what is in %s; read it, and run again with -update", name, got.out, golden)
		}
	}
}

const asking = `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "annotations": {"holdfast.dev/port": "8080"}}, "spec": {"containers": [{"name": "app", "future": 1}]}}`

func TestAPreviewIsAPatch(t *testing.T) {
	r := preview(t, asking, "-f", "-", "-o", "patch")
	var patch []struct{ Op, Path string }
	if err := json.Unmarshal([]byte(r.out), &patch); err != nil || r.code != 0 || len(patch) == 0 || patch[0].Op != "add" {
		t.Errorf("%v: it prints %s", err, r.out)
	}
	if r = preview(t, strings.Replace(asking, "holdfast.dev/port", "x", 1), "-f", "-", "-o", "patch"); r.out != "[]\n" || r.code != 0 {
		t.Errorf("for a pod that asks for nothing it prints %q", r.out)
	}
}

func TestAPreviewIsThePod(t *testing.T) {
	r := preview(t, asking, "-f", "-", "-o", "pod", "-n", "shop")
	var pod corev1.Pod
	if err := yaml.Unmarshal([]byte(r.out), &pod); err != nil || len(pod.Spec.InitContainers) != 1 || !strings.HasPrefix(r.out, "---\n# Pod shop/p\n") || !strings.Contains(r.out, "future: 1") {
		t.Errorf("%v: it prints %s", err, r.out)
	}
}

func TestAPreviewHasTheKindThatIsDelivered(t *testing.T) {
	r := preview(t, asking, "-f", "-", "-o", "pod", "--delivery-object=ConfigMap")
	if !strings.Contains(r.out, "configMap:") || strings.Contains(r.out, "secret:") || !strings.Contains(r.out, "sidecar.holdfast.dev/classes-in: ConfigMap") {
		t.Errorf("it prints %s", r.out)
	}
}

func TestAPreviewIsForPrograms(t *testing.T) {
	r := preview(t, strings.Replace(asking, `"8080"`, `"8080", "holdfast.dev/prot": "x"`, 1), "-f", "-", "-o", "json")
	var got struct {
		Object   string
		Warnings []string
		Sidecars []struct {
			Container, Result string
			Classes, Files    map[string]string
		}
		Patch []any
	}
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatal(err)
	}
	if got.Object != "Pod default/p" || len(got.Warnings) != 1 || len(got.Sidecars) != 1 || got.Sidecars[0].Result != "Injected" || len(got.Sidecars[0].Classes["default"]) != 10 ||
		!strings.Contains(got.Sidecars[0].Files["telegraf.conf"], "8080") || len(got.Patch) == 0 {
		t.Errorf("it prints %s", r.out)
	}
}

func TestAWarningCountsWhenAskedTo(t *testing.T) {
	warned := strings.Replace(asking, `"8080"`, `"8080", "holdfast.dev/prot": "x"`, 1)
	for code, args := range map[int][]string{0: {"-f", "-"}, 1: {"-f", "-", "--strict"}} {
		if r := preview(t, warned, args...); r.code != code || !strings.Contains(r.out, "warning: holdfast.dev/prot: is not a key; did you mean port?") {
			t.Errorf("%q: the exit code is %d: %s", args, r.code, r.out)
		}
	}
}

// agentProgram is a program that answers `config check` for an agent: no when the files have the word.
func agentProgram(t *testing.T, word string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "telegraf")
	script := "#!/bin/sh\nshift 3\nwhile [ $# -gt 0 ]; do grep -q '" + word + "' \"$2\" && { echo \"E! found " + word + "\" >&2; exit 1; }; shift 2; done\nexit 0\n"
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAnAgentIsAskedAboutClassesAndPods(t *testing.T) {
	for word, want := range map[string]string{
		"influxdb.example": "not injected, InvalidClass: the class default (Directory) has no valid text yet: default.conf: found influxdb.example",
		"8080":             "warning: sidecar telegraf: the agent does not take its files together: found 8080",
		"nowhere":          "sidecar telegraf: injected",
	} {
		r := preview(t, asking, "-f", "-", "--agent", agentProgram(t, word))
		if (r.code == 0) != (word == "nowhere") || !strings.Contains(r.out, want) {
			t.Errorf("%s: the exit code is %d: %s", word, r.code, r.out)
		}
	}
}

// The files of a sidecar cannot be called the same: a class can have the name of one of the pod's own.
func TestTheAgentIsGivenTheFilesUnderTheirNamesInTheSidecar(t *testing.T) {
	classes := t.TempDir()
	for _, name := range []string{"telegraf", "inputs"} {
		if err := os.WriteFile(filepath.Join(classes, name), []byte("[[outputs.file]]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pod := `{kind: Pod, metadata: {annotations: {holdfast.dev/port: "1", holdfast.dev/class: "telegraf,inputs", holdfast.dev/inputs: "[[inputs.cpu]]"}}, spec: {containers: [{name: a}]}}`
	r := run(t, pod, "preview", "-f", "-", "--classes", classes, "--agent", agentProgram(t, "nowhere"))
	if r.code != 0 {
		t.Errorf("the exit code is %d: %s%s", r.code, r.out, r.err)
	}
}

func TestEachAgentIsAskedAboutItsOwnSidecars(t *testing.T) {
	pod := `{kind: Pod, metadata: {annotations: {holdfast.dev/port: "8080", holdfast.dev/agent: holdfast}}, spec: {containers: [{name: a}]}}`
	for flag, code := range map[string]int{"--agent": 0, "--holdfast-agent": 1} {
		r := preview(t, pod, "-f", "-", "--holdfast-image", "holdfast", flag, agentProgram(t, "8080"))
		if r.code != code {
			t.Errorf("%s: the exit code is %d: %s%s", flag, r.code, r.out, r.err)
		}
	}
}

// A pipeline whose image lacks the agent must not be green.
func TestAnAgentThatCannotBeAskedIsNotAGoodAnswer(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	for what, r := range map[string]result{
		"preview": preview(t, asking, "-f", "-", "--agent", none),
		"check":   run(t, "", "check", "--agent", none, "testdata/classes/default"),
	} {
		if r.code != 3 || !strings.Contains(r.err, none+", of --agent, a telegraf?") {
			t.Errorf("%s: the exit code is %d: %s", what, r.code, r.err)
		}
	}
	if r := run(t, "", "check", "--agent", none, "testdata/classes"); r.code != 1 {
		t.Errorf("for a class that is not good, the exit code is %d: %s", r.code, r.out)
	}
}

func TestWhatCannotBePreviewedIsSaid(t *testing.T) {
	for want, c := range map[string]struct {
		in   string
		args []string
		code int
	}{
		"name a file with pods by -f":                       {code: 2},
		"is not understood: it is text, patch, pod or json": {args: []string{"-f", "-", "-o", "xml"}, code: 2},
		"there is no pod and nothing that makes pods":       {in: "kind: Service\n", args: []string{"-f", "-"}, code: 3},
		"-, document 2: ":                                   {in: "kind: Service\n---\n- [\n", args: []string{"-f", "-"}, code: 3},
		"Deployment default/d has no pod template":          {in: "{kind: Deployment, metadata: {name: d}}", args: []string{"-f", "-"}, code: 3},
		"no such file":                                      {args: []string{"-f", "none.yaml"}, code: 3},
		"Pod default/: the pod has no spec":                 {in: "kind: Pod", args: []string{"-f", "-"}, code: 3},
		"--telegraf-limits-cpu \"much\" is not a quantity":  {args: []string{"-f", "-", "--telegraf-limits-cpu", "much"}, code: 2},
		"the classes: ":                                     {in: asking, args: []string{"-f", "-", "--classes", "none"}, code: 3},
	} {
		if r := preview(t, c.in, c.args...); r.code != c.code || !strings.Contains(r.err, want) {
			t.Errorf("%q: the exit code is %d: %s; want %d: %s", c.args, r.code, r.err, c.code, want)
		}
	}
}

func TestClassesAreCheckedOneByOne(t *testing.T) {
	r := run(t, "", "check", "testdata/classes")
	want := `TelegrafClass shop/team: ok (syntax)
ClusterTelegrafClass audit: ok (syntax)
Secret istio: ok (syntax)
broken: SyntaxError (syntax): broken.conf:1: invalid TOML syntax
default: ok (syntax)
`
	if r.code != 1 || r.out != want {
		t.Errorf("the exit code is %d: %s, want\n%s", r.code, r.out, want)
	}
	r = run(t, "", "check", "--agent", agentProgram(t, "audit.example"), "testdata/classes/default", "testdata/classes/resources.yaml")
	if r.code != 1 || !strings.Contains(r.out, "ClusterTelegrafClass audit: RefusedByAgent (agent): audit.conf: found audit.example\n") || !strings.Contains(r.out, "\ndefault: ok (agent)\n") {
		t.Errorf("with an agent, the exit code is %d: %s", r.code, r.out)
	}
	if r = run(t, "", "check", "testdata/classes/default"); r.code != 0 {
		t.Errorf("for a good class the exit code is %d: %s", r.code, r.out)
	}
	if r = run(t, "", "check", t.TempDir()); r.code != 3 || !strings.Contains(r.err, "there is no class") {
		t.Errorf("for an empty folder the exit code is %d: %s", r.code, r.err)
	}
	if r = run(t, "", "check"); r.code != 2 {
		t.Errorf("without a path the exit code is %d", r.code)
	}
}

// old are the flags of telegraf-operator 1.3.11, with the values that its chart or its documents give them.
var old = []string{"-metrics-addr=:8081", "-enable-leader-election", "-enable-default-internal-plugin=true", "-require-annotations-for-secret=true", "-telegraf-classes-directory=/etc/telegraf-operator",
	"-cert-dir=/etc/certs", "-telegraf-default-class=infra", "-telegraf-image=telegraf:1.22", "-telegraf-watch-config=inotify", "-telegraf-requests-cpu=1m", "-telegraf-requests-memory=2Mi",
	"-telegraf-limits-cpu=3m", "-telegraf-limits-memory=4Mi", "-enable-istio-injection=true", "-istio-output-class=mesh", "-istio-telegraf-image=telegraf:1.21", "-istio-telegraf-watch-config=poll",
	"-istio-telegraf-requests-cpu=5m", "-istio-ttelegraf-requests-memory=6Mi", "-istio-ttelegraf-limits-cpu=7m", "-istio-ttelegraf-limits-memory=8Mi",
	"-zap-devel=true", "-zap-encoder=console", "-zap-log-level=2", "-zap-stacktrace-level=error", "-zap-time-encoding=epoch"}

func TestTheFlagsOfTelegrafOperatorMeanWhatTheyMeant(t *testing.T) {
	doubled := make([]string, len(old))
	separate := []string{}
	for i, f := range old {
		doubled[i] = "-" + f
		if name, value, ok := strings.Cut(f, "="); ok && value != "true" {
			separate = append(separate, name, value)
		} else {
			separate = append(separate, f)
		}
	}
	for _, args := range [][]string{old, doubled, separate, append([]string{"run"}, old...)} {
		r := run(t, "", append(args, "--namespace", "x")...)
		if r.code != 0 || r.ran == nil {
			t.Fatalf("the exit code is %d: %s", r.code, r.err)
		}
		o := r.ran
		s, i := o.Sidecar.Sidecar, o.Sidecar.IstioSidecar
		got := []string{o.MetricsAddr, o.ClassesDirectory, o.CertDir, o.Sidecar.Class, s.Image, string(s.WatchConfig), s.Resources.Requests.Cpu().String(), s.Resources.Requests.Memory().String(),
			s.Resources.Limits.Cpu().String(), s.Resources.Limits.Memory().String(), o.Sidecar.IstioClass, i.Image, string(i.WatchConfig), i.Resources.Requests.Cpu().String(),
			i.Resources.Requests.Memory().String(), i.Resources.Limits.Cpu().String(), i.Resources.Limits.Memory().String()}
		want := []string{":8081", "/etc/telegraf-operator", "/etc/certs", "infra", "telegraf:1.22", "notify", "1m", "2Mi", "3m", "4Mi", "mesh", "telegraf:1.21", "poll", "5m", "6Mi", "7m", "8Mi"}
		if !slices.Equal(got, want) || !o.LeaderElection || !o.Sidecar.Internal || !o.Sidecar.Istio || !o.Logger.Enabled(t.Context(), -4) {
			t.Errorf("it runs with %q, want %q: %+v", got, want, o)
		}
		if !strings.Contains(r.err, "--require-annotations-for-secret has no effect") || !strings.Contains(r.err, "--telegraf-image telegraf:1.22 is not pinned by digest") {
			t.Errorf("the log is %s", r.err)
		}
	}
}

func TestWithoutFlagsTheDefaultsAreThose(t *testing.T) {
	r := run(t, "", "--namespace", "x")
	if r.ran == nil {
		t.Fatal(r.err)
	}
	o := r.ran
	if o.Deny || !o.LeaderElection || o.Recheck != "report" || o.MemoryLimit != 64<<20 || o.Sidecar.Class != "default" || o.Sidecar.Sidecar.Image != cli.DefaultImage || o.Sidecar.Sidecar.Mode != "" ||
		o.Sidecar.Sidecar.Resources.Limits.Memory().String() != "200Mi" || o.ClassesSecret != "" || o.Sidecar.ClassesObject != sidecar.InSecret || o.CertDir != "" {
		t.Errorf("it runs with %+v", o)
	}
}

func TestABadFlagIsNamed(t *testing.T) {
	for arg, want := range map[string]string{
		"--on-invalid=maybe":                `--on-invalid "maybe" is not understood: it is admit or deny`,
		"--recheck=x":                       `--recheck "x" is not understood: it is report, evict or off`,
		"--recheck-interval=0s":             "--recheck-interval is a duration above zero",
		"--memory-limit=much":               `--memory-limit "much" is not a size, such as 64Mi`,
		"--sidecar-mode=x":                  `--sidecar-mode "x" is not understood: it is auto, native or container`,
		"--delivery-object=configmap":       `--delivery-object "configmap" is not understood: it is Secret or ConfigMap`,
		"--sidecar-agent=x":                 `--sidecar-agent "x" is not understood: it is telegraf or holdfast`,
		"--telegraf-watch-config=x":         `--telegraf-watch-config "x" is not understood: it is notify, poll or off`,
		"--istio-telegraf-watch-config=x":   `--istio-telegraf-watch-config "x" is not understood: it is notify, poll or off`,
		"--telegraf-default-class=../x":     `--telegraf-default-class: class "../x" is not a name`,
		"--telegraf-requests-cpu=-1":        `--telegraf-requests-cpu "-1" is not a quantity, such as 100m or 64Mi`,
		"--istio-ttelegraf-limits-memory=x": `--istio-telegraf-limits-memory "x" is not a quantity, such as 100m or 64Mi`,
		"--log-level=x":                     `--log-level "x" is not understood: it is debug, info, warn or error`,
		"--log-format=x":                    `--log-format "x" is not understood: it is text or json`,
		"--namespace=":                      "--namespace is needed outside of a cluster",
		"--telegraf-imge=x":                 "unknown flag: --telegraf-imge",
		"--recheck-evictions=x":             `--recheck-evictions "x" is not understood: it is a whole number`,
		"frobnicate":                        "frobnicate",
	} {
		r := run(t, "", "--namespace", "x", arg)
		if r.code != 2 || r.ran != nil || !strings.Contains(r.err, want) || !strings.Contains(r.err, "--help") {
			t.Errorf("%s: the exit code is %d: %s; want %s", arg, r.code, r.err, want)
		}
	}
	r := run(t, "", "--recheck", "x", "--log-level", "y")
	if !strings.Contains(r.err, "--recheck") || !strings.Contains(r.err, "--log-level") || !strings.Contains(r.err, "--namespace") {
		t.Errorf("not every mistake is said: %s", r.err)
	}
}

func TestAFailureOfTheOperatorIsAFailureOfTheCommand(t *testing.T) {
	var errs bytes.Buffer
	code := cli.Main(t.Context(), cli.Options{Out: &errs, Err: &errs, Getenv: func(name string) string { return map[string]string{"POD_NAMESPACE": "own"}[name] },
		Run: func(_ context.Context, o operator.Options) error {
			return errors.New("no API server for " + o.Namespace)
		}}, nil)
	if code != 1 || !strings.Contains(errs.String(), "Error: no API server for own") {
		t.Errorf("the exit code is %d: %s", code, errs.String())
	}
}

func TestTheVersionIsPrinted(t *testing.T) {
	if r := run(t, "", "version"); r.code != 0 || !strings.HasPrefix(r.out, "holdfast-operator ") {
		t.Errorf("the exit code is %d: %s", r.code, r.out)
	}
}
