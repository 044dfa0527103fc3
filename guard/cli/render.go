package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/guard/engine"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/render"
	"github.com/holdfast-telemetry/holdfast/guard/settings"
	"github.com/holdfast-telemetry/holdfast/guard/tree"
	"github.com/holdfast-telemetry/holdfast/internal/commandline"
)

func init() { commands = append(commands, (*app).renderCommand) }

// rendering is the render command with its flags.
type rendering struct {
	*app
	cmd        *cobra.Command
	repository string
	settings   string
	output     string

	check, dryRun, prune bool
	renderFlags
}

// renderFlags say how sources on the command line are rendered. guard.yaml has its own.
type renderFlags struct {
	recurse                          bool
	keep, jpath                      []string
	extStr, extCode, tlaStr, tlaCode []string
	values, set, setString           []string
	release, namespace, kubeVersion  string
	apiVersions                      []string
	includeCRDs                      bool
}

func (a *app) renderCommand() *cobra.Command {
	r := rendering{app: a}
	cmd := &cobra.Command{
		Use:   "render [SOURCE]... [-o FOLDER]",
		Short: "Render jsonnet, Kustomize, Helm and plain files into one file for each object",
		Long: `Render jsonnet, Kustomize, Helm and plain files into one file for each object, named after it.

A SOURCE is a .jsonnet, .yaml, .yml or .json file, or a folder with a chart, a kustomization or such files; it is in the
repository. Without one, all that guard.yaml lists under render is rendered.

Exit codes: 0 done, with --check: all files are what rendering gives; 1 something could not be rendered or written, with
--check: files differ; 2 the command line or the settings are wrong; 3 something could not be read.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			r.cmd = cmd
			return r.run(cmd.Context(), args)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&r.output, "output", "o", "", "the folder to write to, with a SOURCE")
	flags.StringVar(&r.repository, "repo", "", "the repository (default the nearest folder upwards that has guard.yaml or .git, else this one)")
	flags.StringVar(&r.settings, "settings", "", "the settings (default guard.yaml in the repository)")
	flags.BoolVar(&r.check, "check", false, "write nothing, and fail where a file is not what rendering gives")
	flags.BoolVar(&r.dryRun, "dry-run", false, "write nothing, and say what would be written")
	flags.BoolVar(&r.prune, "prune-output", false, "remove files of objects that are no longer rendered")
	r.renderFlags.add(cmd)
	return cmd
}

func (f *renderFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.recurse, "recurse", false, "render the files in a folder's own folders too")
	flags.StringArrayVar(&f.keep, "keep", nil, "a pattern of names in the output that are another's; can be given again, as all that follow")
	flags.StringArrayVarP(&f.jpath, "jpath", "J", nil, "jsonnet: a folder of libraries")
	flags.StringArrayVarP(&f.extStr, "ext-str", "V", nil, "jsonnet: an external variable, NAME=TEXT, or NAME for that of the environment")
	flags.StringArrayVar(&f.extCode, "ext-code", nil, "jsonnet: an external variable, NAME=CODE")
	flags.StringArrayVarP(&f.tlaStr, "tla-str", "A", nil, "jsonnet: an argument of the file's function, NAME=TEXT")
	flags.StringArrayVar(&f.tlaCode, "tla-code", nil, "jsonnet: an argument of the file's function, NAME=CODE")
	flags.StringArrayVarP(&f.values, "values", "f", nil, "Helm: a file of values")
	flags.StringArrayVar(&f.set, "set", nil, "Helm: values, NAME=VALUE[,NAME=VALUE]")
	flags.StringArrayVar(&f.setString, "set-string", nil, "Helm: values that are texts, NAME=VALUE[,NAME=VALUE]")
	flags.StringVar(&f.release, "release", "", "Helm: the release's name (default the name of the chart's folder)")
	flags.StringVar(&f.namespace, "namespace", "", "Helm: the release's namespace")
	flags.StringVar(&f.kubeVersion, "kube-version", "", "Helm: the cluster's version (default "+engine.DefaultKubeVersion+")")
	flags.StringArrayVar(&f.apiVersions, "api-versions", nil, "Helm: an API version that the cluster has")
	flags.BoolVar(&f.includeCRDs, "include-crds", false, "Helm: with the chart's crds folder")
}

// forSources are the flags that make sense with a source on the command line only.
var forSources = strings.Fields("output recurse keep jpath ext-str ext-code tla-str tla-code values set set-string " +
	"release namespace kube-version api-versions include-crds")

func (r *rendering) run(ctx context.Context, args []string) error {
	if err := r.usage(args); err != nil {
		return commandline.Usage(r.cmd, err)
	}
	if err := r.findRepository(); err != nil {
		return unknown(err)
	}
	s, err := r.read()
	if err != nil {
		return &exitError{ExitUsage, err}
	}
	t, err := tree.Folder(r.repository)
	if err != nil {
		return unknown(err)
	}
	defer func() { _ = t.Close() }() // it was only read
	outputs, err := r.outputs(t, s, args)
	if err != nil {
		return &exitError{ExitUsage, err}
	}
	options, err := s.Inventory()
	if err != nil {
		return &exitError{ExitUsage, err}
	}
	e := engine.New(engine.Options{})
	defer func() { _ = e.Close() }() // its workers end with this process in any case
	renderer := &render.Renderer{Tree: t, Engine: e, Scopes: object.Scopes{Custom: options.Scopes}}
	return r.report(outputs, r.all(ctx, renderer, outputs))
}

func (r *rendering) usage(args []string) error {
	switch {
	case len(args) > 0 && r.output == "":
		return errors.New("-o is missing: the folder to write to")
	case r.check && r.dryRun, r.check && r.prune:
		return errors.New("--check writes nothing: it goes neither with --dry-run nor with --prune-output")
	}
	for _, name := range forSources {
		if len(args) == 0 && r.cmd.Flags().Changed(name) {
			return fmt.Errorf("--%s is for a SOURCE on the command line; what guard.yaml lists has its own", name)
		}
	}
	return nil
}

// findRepository finds the folder that sources are in, and all that they import.
func (r *rendering) findRepository() error {
	here, err := filepath.Abs(cmp.Or(r.repository, "."))
	if err != nil || r.repository != "" {
		r.repository = here
		return err
	}
	r.repository = here
	for at := here; ; at = filepath.Dir(at) {
		for _, name := range []string{settings.Name, ".git"} {
			if _, err := os.Lstat(filepath.Join(at, name)); err == nil {
				r.repository = at
				return nil
			}
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

func (r *rendering) read() (*settings.Settings, error) {
	if r.settings != "" {
		return settings.Read(r.settings, false)
	}
	return settings.Read(filepath.Join(r.repository, settings.Name), true)
}

// outputs are those of the command line, or of the settings.
func (r *rendering) outputs(t tree.Tree, s *settings.Settings, args []string) ([]*render.Output, error) {
	if len(args) == 0 {
		outputs, err := s.Outputs(t)
		if err == nil && len(outputs) == 0 {
			err = fmt.Errorf("there is nothing to render: %s has no render list, and no SOURCE is named", settings.Name)
		}
		return outputs, err
	}
	o := &render.Output{Keep: r.keep}
	var err error
	if o.Folder, err = r.within(r.output); err != nil {
		o.Outside = true
		if o.Folder, err = filepath.Abs(r.output); err != nil {
			return nil, err
		}
	}
	source, err := r.source()
	if err != nil {
		return nil, err
	}
	for _, arg := range args {
		if source.Path, err = r.within(arg); err != nil {
			return nil, err
		}
		o.Sources = append(o.Sources, *source)
	}
	return []*render.Output{o}, nil
}

// within returns the path of something in the repository.
func (r *rendering) within(name string) (string, error) {
	whole, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(r.repository, whole)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return "", fmt.Errorf("%s is not in the repository %s: name another one with --repo", name, r.repository)
	}
	return tree.Clean(filepath.ToSlash(rel)), nil
}

// source is what the flags say of all sources.
func (r *rendering) source() (*render.Source, error) {
	s := &render.Source{Recurse: r.recurse, IncludeCRDs: r.includeCRDs}
	s.Helm = engine.HelmOptions{Release: r.release, Namespace: r.namespace, KubeVersion: r.kubeVersion, APIVersions: r.apiVersions}
	for _, of := range []struct {
		from []string
		to   *[]string
	}{{r.jpath, &s.Jsonnet.Libraries}, {r.values, &s.Helm.ValueFiles}} {
		for _, name := range of.from {
			p, err := r.within(name)
			if err != nil {
				return nil, err
			}
			*of.to = append(*of.to, p)
		}
	}
	slices.Reverse(s.Jsonnet.Libraries) // the last -J is looked at first
	for _, of := range []struct {
		flag string
		from []string
		code bool
		to   *[]engine.Variable
	}{{"ext-str", r.extStr, false, &s.Jsonnet.ExtVars}, {"ext-code", r.extCode, true, &s.Jsonnet.ExtVars},
		{"tla-str", r.tlaStr, false, &s.Jsonnet.TLAs}, {"tla-code", r.tlaCode, true, &s.Jsonnet.TLAs}} {
		for _, text := range of.from {
			name, value, found := strings.Cut(text, "=")
			if !found {
				if value = r.Getenv(name); value == "" {
					return nil, fmt.Errorf("--%s %s: the environment has no %s", of.flag, name, name)
				}
			}
			*of.to = append(*of.to, engine.Variable{Name: name, Value: value, Code: of.code})
		}
	}
	var err error
	s.Helm.Parameters, err = render.Parameters(r.set, r.setString)
	return s, err
}

// result is what came of one output.
type result struct {
	*render.Outcome
	err error
}

// all renders outputs side by side.
func (r *rendering) all(ctx context.Context, renderer *render.Renderer, outputs []*render.Output) []result {
	results := make([]result, len(outputs))
	progress := r.progress(len(outputs))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(outputs)) {
		wg.Go(func() {
			for n := range next {
				progress.begin(outputs[n].Folder)
				results[n].Outcome, results[n].err = r.one(ctx, renderer, outputs[n])
				progress.done()
			}
		})
	}
	for n := range outputs {
		next <- n
	}
	close(next)
	wg.Wait()
	progress.clear()
	return results
}

// one renders one output.
func (r *rendering) one(ctx context.Context, renderer *render.Renderer, o *render.Output) (_ *render.Outcome, err error) {
	base, folder := r.repository, o.Folder
	if o.Outside {
		base, folder = filepath.Split(filepath.Clean(o.Folder))
	}
	f, err := render.OpenFolder(base, folder)
	if err != nil {
		return nil, unknown(err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if r.check || r.dryRun {
		return renderer.Compare(ctx, o, f)
	}
	return renderer.Write(ctx, o, f, r.prune)
}
