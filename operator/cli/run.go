package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/holdfast-telemetry/holdfast/internal/commandline"
	"github.com/holdfast-telemetry/holdfast/operator"
	"github.com/holdfast-telemetry/holdfast/operator/annotation"
	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
	"github.com/holdfast-telemetry/holdfast/operator/recheck"
	"github.com/holdfast-telemetry/holdfast/operator/scope"
	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

// DefaultImage is the image of sidecars. It is the newest release that the tests run.
const DefaultImage = "docker.io/library/telegraf:1.39.1"

// runFlags are the flags as they are written; options makes sense of them.
type runFlags struct {
	o operator.Options

	mode, agent, object       string
	holdfastChecker           string
	deliverAlso               []string
	watch, istioWatch         string
	checker, recheck, invalid string
	logLevel, logFormat       string
	memoryLimit               string
	resources, istioResources map[string]*string
	requireAnnotations        bool
	defaultImage              string
}

// resourceNames are the ends of the flags for requests and limits.
var resourceNames = []string{"requests-cpu", "requests-memory", "limits-cpu", "limits-memory"}

func (a *app) runCommand(use string) *cobra.Command {
	f := &runFlags{resources: map[string]*string{}, istioResources: map[string]*string{}}
	cmd := &cobra.Command{Use: use, Short: "Give annotated pods a metrics sidecar, and keep its configuration current", Args: arguments(0, 0)}
	cmd.Long = cmd.Short + `.

It runs in a cluster; see docs/operator. The flags of telegraf-operator are taken under their old names.

Exit codes of all commands: 1, it failed, or what it checked is not good; 2, the command line was wrong; 3, what was to be checked could not be
read, or the agent not be asked.`
	f.add(cmd.Flags(), a.Getenv)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o, notes, err := f.options(a.Err)
		if err != nil {
			return commandline.Usage(cmd, err)
		}
		for _, note := range notes {
			o.Logger.Warn(note)
		}
		return a.Run(cmd.Context(), o)
	}
	return cmd
}

func (f *runFlags) add(fs *pflag.FlagSet, getenv func(string) string) {
	f.addSidecar(fs)
	o := &f.o
	fs.StringVar(&o.Kubeconfig, "kubeconfig", "", "`file` that says where the API server is (default: the service account)")
	fs.StringVar(&o.Namespace, "namespace", ownNamespace(getenv), "the operator's own `namespace`")
	fs.StringVar(&o.WebhookAddr, "webhook-addr", ":9443", "`address` of the admission webhook")
	fs.StringVar(&o.MetricsAddr, "metrics-addr", ":8080", "`address` of /metrics; 0 for none")
	fs.StringVar(&o.ProbeAddr, "probe-addr", ":8081", "`address` of /healthz and /readyz; 0 for none")
	fs.BoolVar(&o.LeaderElection, "enable-leader-election", true, "let one of several replicas do what only one may")
	fs.StringVar(&o.ClassesDirectory, "telegraf-classes-directory", "", "`folder` whose files are classes")
	fs.StringVar(&o.ClassesSecret, "classes-secret", "", "`Secret` of the operator's namespace whose keys are classes")
	fs.StringSliceVar(&o.DeliveryNamespaces, "delivery-namespaces", nil, "only `namespaces` that classes are delivered to and pods get sidecars in (default: all)")
	fs.StringSliceVar(&f.deliverAlso, "deliver-also", nil, "`NAMESPACE/CLASS` that is delivered to pods which mount it without being injected, such as the chart's DaemonSet")
	fs.StringVar(&f.checker, "checker", "", "what checks classes: unix:`PATH` of a checker, or the path of a telegraf; the built-in check alone without it")
	fs.StringVar(&f.holdfastChecker, "holdfast-checker", "", "what checks classes whose agent is holdfast: unix:`PATH` of a checker, or the path of a holdfast")
	fs.StringVar(&f.invalid, "on-invalid", "admit", "what to do with pods whose sidecar cannot be made: `admit or deny`")
	fs.StringVar(&o.CertDir, "cert-dir", "", "`folder` with tls.crt and tls.key; without it the operator makes its own")
	fs.StringSliceVar(&o.WebhookNames, "webhook-name", []string{"holdfast-operator"}, "`name` of the webhook configuration; repeatable")
	fs.StringVar(&o.ServiceName, "service-name", "holdfast-operator", "`name` of the Service that leads to the webhook")
	fs.StringVar(&o.TLSSecret, "tls-secret", "holdfast-operator-tls", "`Secret` that keeps the operator's own certificates")
	fs.DurationVar(&o.CAValidity, "ca-validity", 365*24*time.Hour, "life of the operator's certificate authority; renewed at two thirds")
	fs.DurationVar(&o.CertValidity, "cert-validity", 90*24*time.Hour, "life of the serving certificate; renewed at two thirds")
	fs.DurationVar(&o.CertSettle, "cert-settle", time.Minute, "how long API servers may work with an old bundle")
	fs.StringSliceVar(&o.CertNames, "cert-name", nil, "further host `name` or address of the webhook; repeatable")
	fs.StringVar(&f.recheck, "recheck", string(recheck.Report), "what to do about annotated pods without a sidecar: `report, evict or off`")
	fs.DurationVar(&o.RecheckInterval, "recheck-interval", 5*time.Minute, "how often to look for them")
	fs.IntVar(&o.RecheckEvictions, "recheck-evictions", 10, "how many pods at most to evict in one look")
	fs.StringVar(&f.memoryLimit, "memory-limit", "64Mi", "`size` that the garbage collector tries to stay under; 0 for none")
	fs.StringVar(&f.logLevel, "log-level", "info", "`debug, info, warn or error`")
	fs.StringVar(&f.logFormat, "log-format", "text", "`text or json`")
	f.addOld(fs)
}

// addSidecar adds the flags that say how sidecars are made, which preview has too.
func (f *runFlags) addSidecar(fs *pflag.FlagSet) {
	d := &f.o.Sidecar
	fs.StringVar(&d.Class, "telegraf-default-class", "default", "`class` of pods that name none")
	fs.StringVar(&f.defaultImage, "telegraf-image", DefaultImage, "`image` of sidecars; pin it by digest")
	fs.StringVar(&d.HoldfastImage, "holdfast-image", "", "`image` of sidecars whose agent is holdfast")
	fs.StringVar(&f.agent, "sidecar-agent", "telegraf", "`telegraf or holdfast`, where neither class nor pod says")
	fs.StringVar(&f.mode, "sidecar-mode", "auto", "`auto, native or container`, where neither class nor pod says")
	fs.StringVar(&f.object, "delivery-object", string(sidecar.InSecret), "what pods have the texts of their classes from: `Secret or ConfigMap`; a ConfigMap is no place for credentials")
	fs.StringVar(&f.watch, "telegraf-watch-config", "notify", "how agents notice a change of their files: `notify, poll or off`; Telegraf polls unless it is off")
	fs.BoolVar(&d.Internal, "enable-default-internal-plugin", false, "collect the agents' own metrics unless a pod says otherwise")
	fs.BoolVar(&d.Istio, "enable-istio-injection", false, "give pods with Istio's proxy a sidecar that scrapes it")
	fs.StringVar(&d.IstioClass, "istio-output-class", "istio", "`class` of the sidecar for Istio's proxy")
	fs.StringVar(&d.IstioSidecar.Image, "istio-telegraf-image", "", "`image` of the sidecar for Istio's proxy (default: as --telegraf-image)")
	fs.StringVar(&f.istioWatch, "istio-telegraf-watch-config", "", "as --telegraf-watch-config, for the sidecar of Istio's proxy")
	defaults := map[string]string{"requests-cpu": "10m", "requests-memory": "10Mi", "limits-cpu": "200m", "limits-memory": "200Mi"}
	for _, name := range resourceNames {
		f.resources[name] = fs.String("telegraf-"+name, defaults[name], "the sidecars' "+strings.ReplaceAll(name, "-", " of ")+"; empty for none")
		f.istioResources[name] = fs.String("istio-telegraf-"+name, "", strings.ReplaceAll(name, "-", " of ")+" for the sidecar of Istio's proxy (default: as --telegraf-"+name+")")
	}
}

// addOld adds flags of telegraf-operator that have another name or no effect here.
func (f *runFlags) addOld(fs *pflag.FlagSet) {
	for _, name := range resourceNames {
		fs.StringVar(f.istioResources[name], "istio-ttelegraf-"+name, "", "misspelt name of --istio-telegraf-"+name)
		hide(fs, "istio-ttelegraf-"+name)
	}
	fs.BoolVar(&f.requireAnnotations, "require-annotations-for-secret", false, "no effect: no Secret is made for a pod")
	fs.StringVar(&f.logLevel, "zap-log-level", "info", "old name of --log-level")
	fs.Bool("zap-devel", false, "no effect")
	fs.StringVar(&f.logFormat, "zap-encoder", "text", "old name of --log-format: json or console")
	fs.String("zap-stacktrace-level", "", "no effect")
	fs.String("zap-time-encoding", "", "no effect")
	for _, name := range []string{"require-annotations-for-secret", "zap-log-level", "zap-devel", "zap-encoder", "zap-stacktrace-level", "zap-time-encoding"} {
		hide(fs, name)
	}
}

func hide(fs *pflag.FlagSet, name string) {
	if err := fs.MarkHidden(name); err != nil {
		panic(err) // of a flag that was added just now
	}
}

// options makes sense of the flags. Notes are for the log.
func (f *runFlags) options(logs io.Writer) (o operator.Options, notes []string, err error) {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	notes = f.sidecar(fail)
	switch f.invalid {
	case "admit", "deny":
		f.o.Deny = f.invalid == "deny"
	default:
		fail("--on-invalid %q is not understood: it is admit or deny", f.invalid)
	}
	switch f.o.Recheck = recheck.Mode(f.recheck); f.o.Recheck {
	case recheck.Off, recheck.Report, recheck.Evict:
	default:
		fail("--recheck %q is not understood: it is report, evict or off", f.recheck)
	}
	if f.o.RecheckInterval <= 0 {
		fail("--recheck-interval is a duration above zero")
	}
	if limit, err := resource.ParseQuantity(f.memoryLimit); err != nil || limit.Sign() < 0 {
		fail("--memory-limit %q is not a size, such as 64Mi", f.memoryLimit)
	} else {
		f.o.MemoryLimit = limit.Value()
	}
	if f.o.Namespace == "" {
		fail("--namespace is needed outside of a cluster: the namespace of the operator")
	}
	for _, text := range f.deliverAlso {
		grant, err := scope.ParseGrant(text)
		if err != nil {
			fail("--deliver-also: %v", err)
		}
		f.o.DeliverAlso = append(f.o.DeliverAlso, grant)
	}
	f.o.Checkers = map[v1alpha1.Agent]string{v1alpha1.AgentTelegraf: f.checker, v1alpha1.AgentHoldfast: f.holdfastChecker}
	if f.requireAnnotations {
		notes = append(notes, "--require-annotations-for-secret has no effect: no Secret is made for a pod")
	}
	if f.o.Logger, err = newLogger(logs, f.logLevel, f.logFormat); err != nil {
		errs = append(errs, err)
	}
	return f.o, notes, errors.Join(errs...)
}

// sidecar reads the flags that say how sidecars are made.
func (f *runFlags) sidecar(fail func(string, ...any)) (notes []string) {
	d := &f.o.Sidecar
	d.Sidecar.Image = f.defaultImage
	if err := annotation.ValidClass(d.Class); err != nil {
		fail("--telegraf-default-class: %v", err)
	}
	switch f.mode {
	case "auto", "":
	case string(v1alpha1.ModeNative), string(v1alpha1.ModeContainer):
		d.Sidecar.Mode = v1alpha1.Mode(f.mode)
	default:
		fail("--sidecar-mode %q is not understood: it is auto, native or container", f.mode)
	}
	switch d.Sidecar.Agent = v1alpha1.Agent(f.agent); d.Sidecar.Agent {
	case v1alpha1.AgentTelegraf, v1alpha1.AgentHoldfast:
	default:
		fail("--sidecar-agent %q is not understood: it is telegraf or holdfast", f.agent)
	}
	switch d.ClassesObject = sidecar.ClassesObject(f.object); d.ClassesObject {
	case sidecar.InSecret, sidecar.InConfigMap:
	default:
		fail("--delivery-object %q is not understood: it is Secret or ConfigMap", f.object)
	}
	d.Sidecar.WatchConfig = watchWord("telegraf-watch-config", f.watch, v1alpha1.WatchOff, fail)
	d.IstioSidecar.WatchConfig = watchWord("istio-telegraf-watch-config", f.istioWatch, "", fail)
	d.Sidecar.Resources = requirements("telegraf-", f.resources, fail)
	d.IstioSidecar.Resources = requirements("istio-telegraf-", f.istioResources, fail)
	for _, f := range []struct{ name, image string }{
		{"telegraf-image", d.Sidecar.Image}, {"holdfast-image", d.HoldfastImage}, {"istio-telegraf-image", d.IstioSidecar.Image},
	} {
		if f.image != "" && !strings.Contains(f.image, "@sha256:") {
			notes = append(notes, fmt.Sprintf("--%s %s is not pinned by digest: what runs beside pods can change without anyone's doing", f.name, f.image))
		}
		if old := sidecar.OldTelegraf(d.Sidecar.Agent, f.image); old != "" && f.name != "holdfast-image" {
			notes = append(notes, "--"+f.name+": "+old)
		}
	}
	return notes
}

// watchWord reads a word of telegraf-operator or of ours; none is what it meant there.
func watchWord(flag, word string, none v1alpha1.WatchConfig, fail func(string, ...any)) v1alpha1.WatchConfig {
	switch word {
	case "":
		return none
	case "inotify", string(v1alpha1.WatchNotify):
		return v1alpha1.WatchNotify
	case string(v1alpha1.WatchPoll), string(v1alpha1.WatchOff):
		return v1alpha1.WatchConfig(word)
	}
	fail("--%s %q is not understood: it is notify, poll or off", flag, word)
	return ""
}

func requirements(prefix string, amounts map[string]*string, fail func(string, ...any)) corev1.ResourceRequirements {
	rr := corev1.ResourceRequirements{Requests: corev1.ResourceList{}, Limits: corev1.ResourceList{}}
	for _, name := range resourceNames {
		if *amounts[name] == "" {
			continue
		}
		q, err := resource.ParseQuantity(*amounts[name])
		if err != nil || q.Sign() < 0 {
			fail("--%s%s %q is not a quantity, such as 100m or 64Mi", prefix, name, *amounts[name])
			continue
		}
		kind, of, _ := strings.Cut(name, "-")
		if kind == "limits" {
			rr.Limits[corev1.ResourceName(of)] = q
		} else {
			rr.Requests[corev1.ResourceName(of)] = q
		}
	}
	return rr
}

func newLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	// The words that zap's flag has beside ours: verbosities, and one that logs the least.
	if n, err := strconv.Atoi(level); err == nil && n > 0 {
		level = "debug"
	} else if level == "panic" {
		level = "error"
	}
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return slog.New(slog.DiscardHandler), fmt.Errorf("--log-level %q is not understood: it is debug, info, warn or error", level)
	}
	o := &slog.HandlerOptions{Level: l}
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	case "text", "console":
		return slog.New(slog.NewTextHandler(w, o)), nil
	}
	return slog.New(slog.DiscardHandler), fmt.Errorf("--log-format %q is not understood: it is text or json", format)
}

// ownNamespace is the namespace of the pod that this process runs in; empty outside of a cluster.
func ownNamespace(getenv func(string) string) string {
	if ns := getenv("POD_NAMESPACE"); ns != "" {
		return ns
	}
	text, err := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
