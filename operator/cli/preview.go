package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/spf13/cobra"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/holdfast-telemetry/holdfast/internal/commandline"
	"github.com/holdfast-telemetry/holdfast/operator/agent"
	v1alpha1 "github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
	"github.com/holdfast-telemetry/holdfast/operator/class"
	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

// preview is what the flags of the command say.
type preview struct {
	runFlags
	files     []string
	classes   []string
	namespace string
	output    string
	strict    bool
	agent     string
	holdfast  string
}

func (a *app) previewCommand() *cobra.Command {
	p := &preview{}
	p.resources, p.istioResources = map[string]*string{}, map[string]*string{}
	cmd := &cobra.Command{Use: "preview -f FILE --classes FOLDER", Short: "Show what pods would get, without a cluster", Args: arguments(0, 0)}
	cmd.Long = cmd.Short + `.

FILE holds pods, or what makes pods (Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob), as YAML or JSON; - is the standard
input. FOLDER holds classes: files whose names are the classes', and manifests (.yaml, .yml, .json) with Secrets of classes, TelegrafClasses and
ClusterTelegrafClasses. For each pod it prints what becomes of every sidecar, the warnings, the files of the configuration and the patch. The exit code is 1
when a sidecar cannot be made, and with --strict when there is a warning; it is 3 when something could not be read or the agent not be asked.`
	f := cmd.Flags()
	f.StringArrayVarP(&p.files, "filename", "f", nil, "`file` with pods or workloads; repeatable")
	f.StringArrayVar(&p.classes, "classes", nil, "`folder` of classes, or a file; repeatable")
	f.StringVarP(&p.namespace, "namespace", "n", "default", "`namespace` of objects that name none")
	f.StringVarP(&p.output, "output", "o", "text", "`text`, patch (JSON), pod (YAML) or json (everything)")
	f.BoolVar(&p.strict, "strict", false, "exit with 1 when there is a warning about a pod")
	f.StringVar(&p.agent, "agent", "", "`path` of a telegraf that checks the classes and the pods' own parts")
	f.StringVar(&p.holdfast, "holdfast-agent", "", "`path` of a holdfast that does so for sidecars of that agent")
	p.addSidecar(f)
	cmd.RunE = checking(func(cmd *cobra.Command, _ []string) error { return a.preview(cmd, p) })
	return cmd
}

func (a *app) preview(cmd *cobra.Command, p *preview) error {
	var errs []error
	notes := p.sidecar(func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) })
	if len(p.files) == 0 {
		errs = append(errs, errors.New("name a file with pods by -f"))
	}
	if !slices.Contains([]string{"text", "patch", "pod", "json"}, p.output) {
		errs = append(errs, fmt.Errorf("-o %q is not understood: it is text, patch, pod or json", p.output))
	}
	if err := errors.Join(errs...); err != nil {
		return commandline.Usage(cmd, err)
	}
	registry, err := class.Offline(cmd.Context(), class.Options{Checkers: checkersOf(p.agent, p.holdfast), DefaultAgent: p.o.Sidecar.Sidecar.Agent}, p.namespace, p.classes...)
	if err != nil {
		return fmt.Errorf("the classes: %w", err)
	}
	b := &sidecar.Builder{Defaults: p.o.Sidecar, Classes: registry.Resolve, Native: func() bool { return true }}
	var pods []previewed
	for _, file := range p.files {
		found, err := a.readPods(file, p.namespace)
		if err != nil {
			return err
		}
		pods = append(pods, found...)
	}
	if len(pods) == 0 {
		return fmt.Errorf("%s: there is no pod and nothing that makes pods", strings.Join(p.files, ", "))
	}
	for _, note := range notes {
		_, _ = fmt.Fprintf(a.Err, "Warning: %s\n", note)
	}
	bad := false
	for _, pod := range pods {
		good, err := a.look(cmd.Context(), p, pod, b, registry)
		if err != nil {
			return err
		}
		bad = bad || !good
	}
	if bad {
		return silentError{errors.New("some sidecar cannot be made")}
	}
	return nil
}

// look shows one pod, and says whether everything that it asks for can be had.
func (a *app) look(ctx context.Context, p *preview, pod previewed, b *sidecar.Builder, registry *class.Registry) (good bool, err error) {
	in, err := b.Inject(pod.raw, pod.namespace)
	if err != nil {
		return false, fmt.Errorf("%s: %w", pod.title, err)
	}
	good = true
	for i := range in.Outcomes {
		o := &in.Outcomes[i]
		if o.Reason != sidecar.Injected {
			good = good && (o.Reason == sidecar.ContainerExists || o.Reason == sidecar.NothingAsked)
			continue
		}
		for _, c := range o.Classes {
			v, _ := registry.Verdict(c.Key())
			if v.Reason == class.ReasonNotChecked {
				return false, notAsked(cmp.Or(p.agent, p.holdfast), fmt.Errorf("class %s: %s", c.Name, v.Message))
			}
			if v.Warning != "" {
				in.Warnings = append(in.Warnings, fmt.Sprintf("class %s: %s", c.Name, strings.TrimSpace(v.Message+" "+v.Warning)))
			}
		}
		path := p.program(o.Agent)
		err := askAgent(ctx, path, o)
		var refusal *agent.Refusal
		var unjudged *agent.Unjudged
		switch {
		case err == nil, errors.As(err, &unjudged):
		case !errors.As(err, &refusal):
			return false, notAsked(path, err)
		default:
			in.Warnings = append(in.Warnings, fmt.Sprintf("sidecar %s: the agent does not take its files together: %v", o.Container, err))
			good = false
		}
	}
	good = good && (!p.strict || len(in.Warnings) == 0)
	return good, a.show(p, pod, in)
}

// program is the one that checks for an agent; empty for none.
func (p *preview) program(of v1alpha1.Agent) string {
	if of == v1alpha1.AgentHoldfast {
		return p.holdfast
	}
	return p.agent
}

// askAgent has an agent check all files of a sidecar, as it will read them.
func askAgent(ctx context.Context, path string, o *sidecar.Outcome) error {
	if path == "" {
		return nil
	}
	var files []agent.File
	for _, f := range o.Folder() {
		files = append(files, agent.File{Name: f.Name, Text: []byte(f.Text)})
	}
	return agent.NewExec(path).Check(ctx, files)
}

// previewed is a pod to look at.
type previewed struct {
	title, namespace string
	raw              []byte
}

// object is the little of any object that tells where its pod is.
type object struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name, GenerateName, Namespace string
	} `json:"metadata"`
	Spec struct {
		Template    json.RawMessage `json:"template"`
		JobTemplate struct {
			Spec struct {
				Template json.RawMessage `json:"template"`
			} `json:"spec"`
		} `json:"jobTemplate"`
	} `json:"spec"`
	Items []json.RawMessage `json:"items"`
}

func (a *app) readPods(file, namespace string) (pods []previewed, err error) {
	in := a.In
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	decoder := utilyaml.NewYAMLOrJSONDecoder(in, 1<<16)
	for n := 1; ; n++ {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); errors.Is(err, io.EOF) {
			return pods, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s, document %d: %w", file, n, err)
		}
		if len(raw) == 0 || string(raw) == "null" {
			continue
		}
		found, err := podsOf(raw, namespace)
		if err != nil {
			return nil, fmt.Errorf("%s, document %d: %w", file, n, err)
		}
		pods = append(pods, found...)
	}
}

// podsOf returns the pods that an object is, has or makes; none for other objects.
func podsOf(raw json.RawMessage, namespace string) ([]previewed, error) {
	var o object
	if err := json.Unmarshal(raw, &o); err != nil {
		return nil, err
	}
	if o.Metadata.Namespace != "" {
		namespace = o.Metadata.Namespace
	}
	p := previewed{title: o.Kind + " " + namespace + "/" + o.Metadata.Name + o.Metadata.GenerateName, namespace: namespace, raw: raw}
	switch o.Kind {
	case "Pod":
		return []previewed{p}, nil
	case "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job":
		p.raw = o.Spec.Template
	case "CronJob":
		p.raw = o.Spec.JobTemplate.Spec.Template
	case "List", "PodList":
		var all []previewed
		for _, item := range o.Items {
			pods, err := podsOf(item, namespace)
			if err != nil {
				return nil, err
			}
			all = append(all, pods...)
		}
		return all, nil
	default:
		return nil, nil
	}
	if len(p.raw) == 0 {
		return nil, fmt.Errorf("%s has no pod template", p.title)
	}
	return []previewed{p}, nil
}

// show prints one pod.
func (a *app) show(p *preview, pod previewed, in *sidecar.Injection) error {
	patch, err := sidecar.Marshal(in.Patch)
	if err != nil {
		return err
	}
	switch p.output {
	case "patch":
		if patch == nil {
			patch = []byte("[]")
		}
		_, err = fmt.Fprintf(a.Out, "%s\n", patch)
		return err
	case "json":
		out, err := json.Marshal(map[string]any{"object": pod.title, "warnings": in.Warnings, "sidecars": outcomes(in), "patch": in.Patch})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.Out, "%s\n", out)
		return err
	case "pod":
		text, err := patched(pod.raw, patch)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.Out, "---\n# %s\n%s", pod.title, text)
		return err
	}
	return a.showText(pod, in, patch)
}

// outcome is an outcome as JSON has it.
type outcome struct {
	Container string            `json:"container"`
	Result    sidecar.Reason    `json:"result"`
	Message   string            `json:"message,omitempty"`
	Classes   map[string]string `json:"classes,omitempty"`
	Files     map[string]string `json:"files,omitempty"`
}

func outcomes(in *sidecar.Injection) []outcome {
	all := []outcome{}
	for _, o := range in.Outcomes {
		out := outcome{Container: o.Container, Result: o.Reason, Message: o.Message, Classes: map[string]string{}, Files: map[string]string{}}
		for _, c := range o.Classes {
			out.Classes[c.Name] = c.Hash
		}
		for _, f := range o.Files {
			out.Files[f.Name] = f.Text
		}
		all = append(all, out)
	}
	return all
}

func (a *app) showText(pod previewed, in *sidecar.Injection, patch []byte) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n", pod.title)
	if len(in.Outcomes) == 0 {
		fmt.Fprintf(&b, "  no annotation asks for a sidecar\n")
	}
	for _, w := range in.Warnings {
		if !strings.HasPrefix(w, "no sidecar ") { // which is said below, at length
			fmt.Fprintf(&b, "  warning: %s\n", w)
		}
	}
	for _, o := range in.Outcomes {
		if o.Reason != sidecar.Injected {
			fmt.Fprintf(&b, "  sidecar %s: not injected, %s: %s\n", o.Container, o.Reason, o.Message)
			continue
		}
		fmt.Fprintf(&b, "  sidecar %s: injected\n", o.Container)
		for _, c := range o.Classes {
			fmt.Fprintf(&b, "    class %s@%s, %s\n", c.Name, c.Hash, c.Source)
		}
		for _, f := range o.Files {
			fmt.Fprintf(&b, "    file %s\n%s", f.Name, indent(f.Text))
		}
	}
	if patch != nil {
		text, err := yaml.JSONToYAML(patch)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "  patch\n%s", indent(string(text)))
	}
	_, err := a.Out.Write(b.Bytes())
	return err
}

func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		if strings.TrimSpace(line) != "" {
			b.WriteString("      ")
		}
		b.WriteString(line)
	}
	return b.String()
}

// patched is the pod with the patch applied, as YAML.
func patched(raw, patch []byte) ([]byte, error) {
	if patch != nil {
		p, err := jsonpatch.DecodePatch(patch)
		if err != nil {
			return nil, err
		}
		if raw, err = p.Apply(raw); err != nil {
			return nil, err
		}
	}
	return yaml.JSONToYAML(raw)
}
