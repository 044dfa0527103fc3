package engine

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"
)

// renderKustomize does what `kustomize build` does, after the edits that the options ask for.
func renderKustomize(r *repository, s *Spec) ([]Document, error) {
	system := &mount{r: r, over: make(map[string][]byte)}
	root, text, err := kustomization(r, s.Path)
	if err != nil {
		return nil, err
	}
	edited, tracked, err := edit(r, s, root, text)
	if err != nil {
		return nil, err
	}
	system.over[root] = edited
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionUnspecified // as the program, where no flag says another
	resources, err := krusty.MakeKustomizer(options).Run(system, mounted+s.Path)
	if err != nil {
		return nil, kustomizeError(root, system, err)
	}
	origins := make([]Document, 0, resources.Size())
	for _, o := range resources.Resources() {
		origins = append(origins, Document{Origin: origin(o, s.Path, root)})
	}
	if tracked {
		if err := resources.RemoveOriginAnnotations(); err != nil {
			return nil, kustomizeError(root, system, err)
		}
	}
	for n, o := range resources.Resources() {
		if origins[n].Data, err = o.AsYAML(); err != nil {
			return nil, kustomizeError(root, system, err)
		}
	}
	return origins, nil
}

// kustomization finds the root of a folder.
func kustomization(r *repository, folder string) (at string, text []byte, err error) {
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		p := path.Join(folder, name)
		data, is := r.read(p)
		switch {
		case is == missing:
			continue
		case is != file:
			return "", nil, refuse(is, p)
		case at != "":
			return "", nil, &Error{Path: p, Message: "the folder has a second kustomization, " + at + ": Kustomize wants one"}
		}
		at, text = p, data
	}
	if at == "" {
		return "", nil, &Error{Path: path.Join(folder, konfig.DefaultKustomizationFileName()), Message: "there is no kustomization"}
	}
	return at, text, nil
}

// origin returns where an object is from: its file, or the kustomization that generates it.
func origin(o *resource.Resource, folder, root string) string {
	from, err := o.GetOrigin()
	if err != nil || from == nil {
		return root
	}
	name := from.Path
	if name == "" {
		name = from.ConfiguredIn
	}
	if name == "" || from.Repo != "" {
		return root
	}
	return path.Join(folder, name)
}

// edit makes the edits of the options, and has Kustomize note where objects come from. tracked says that it would not otherwise.
func edit(r *repository, s *Spec, at string, text []byte) (edited []byte, tracked bool, err error) {
	var k types.Kustomization
	if err := k.Unmarshal(text); err != nil {
		return nil, false, &Error{Path: at, Line: max(1, lineOf(err)), Message: err.Error()}
	}
	if tracked = !slices.Contains(k.BuildMetadata, types.OriginAnnotations); tracked {
		k.BuildMetadata = append(k.BuildMetadata, types.OriginAnnotations)
	}
	whole := map[string]any{}
	if s.Kustomize.empty() {
		if err := yaml.Unmarshal(text, &whole); err != nil {
			return nil, false, &Error{Path: at, Line: max(1, lineOf(err)), Message: err.Error()}
		}
		for key := range whole { // fields are found whatever the case of their letters
			if strings.EqualFold(key, "buildMetadata") {
				delete(whole, key)
			}
		}
		whole["buildMetadata"] = k.BuildMetadata
		edited, err = yaml.Marshal(whole)
		return edited, tracked, err
	}
	k.FixKustomization()
	if err := s.Kustomize.apply(r, s.Path, &k); err != nil {
		return nil, false, &Error{Path: at, Line: 1, Message: err.Error()}
	}
	if edited, err = yaml.Marshal(k); err != nil {
		return nil, false, err
	}
	if err := yaml.Unmarshal(edited, &whole); err != nil {
		return nil, false, err
	}
	if len(s.Kustomize.Patches) > 0 {
		patches, _ := whole["patches"].([]any)
		whole["patches"] = append(patches, s.Kustomize.Patches...)
	}
	if err := s.Kustomize.commonLabels(whole); err != nil {
		return nil, false, &Error{Path: at, Line: 1, Message: err.Error()}
	}
	edited, err = yaml.Marshal(whole)
	return edited, tracked, err
}

func (o *KustomizeOptions) empty() bool {
	return o.NamePrefix == "" && o.NameSuffix == "" && o.Namespace == "" && len(o.Images) == 0 && len(o.Replicas) == 0 && len(o.Labels) == 0 &&
		len(o.Annotations) == 0 && len(o.Patches) == 0 && len(o.Components) == 0
}

// apply edits a kustomization as Argo CD has `kustomize edit` do it.
func (o *KustomizeOptions) apply(r *repository, folder string, k *types.Kustomization) error {
	if o.NamePrefix != "" {
		k.NamePrefix = o.NamePrefix
	}
	if o.NameSuffix != "" {
		k.NameSuffix = o.NameSuffix
	}
	if o.Namespace != "" {
		k.Namespace = o.Namespace
	}
	if err := o.images(k); err != nil {
		return err
	}
	for _, replicas := range o.Replicas {
		k.Replicas = slices.DeleteFunc(k.Replicas, func(have types.Replica) bool { return have.Name == replicas.Name })
		k.Replicas = append(k.Replicas, types.Replica{Name: replicas.Name, Count: replicas.Count})
	}
	if err := o.labels(k); err != nil {
		return err
	}
	if len(o.Annotations) > 0 && k.CommonAnnotations == nil {
		k.CommonAnnotations = make(map[string]string)
	}
	if err := put(k.CommonAnnotations, o.Annotations, o.ForceAnnotations, "annotation", "forceCommonAnnotations"); err != nil {
		return err
	}
	for _, c := range o.Components {
		if slices.Contains(k.Components, c) || o.IgnoreMissingComponents && r.stat(path.Join(folder, c)) == missing {
			continue
		}
		k.Components = append(k.Components, c)
	}
	return nil
}

func put[V string | any](into map[string]V, more map[string]string, force bool, what, option string) error {
	for key, value := range more {
		if _, there := into[key]; there && !force {
			return fmt.Errorf("it has the %s %s already, which the source wants to set: set kustomize.%s", what, key, option)
		}
		into[key] = any(value).(V)
	}
	return nil
}

const forceLabels = "forceCommonLabels"

// labels sets the labels that are no selectors.
func (o *KustomizeOptions) labels(k *types.Kustomization) error {
	if len(o.Labels) == 0 || !o.LabelsWithoutSelector {
		return nil
	}
	n := slices.IndexFunc(k.Labels, func(l types.Label) bool { return !l.IncludeSelectors && l.IncludeTemplates == o.LabelsInTemplates })
	if n < 0 {
		k.Labels = append(k.Labels, types.Label{IncludeTemplates: o.LabelsInTemplates})
		n = len(k.Labels) - 1
	}
	if k.Labels[n].Pairs == nil {
		k.Labels[n].Pairs = make(map[string]string)
	}
	return put(k.Labels[n].Pairs, o.Labels, o.ForceLabels, "label", forceLabels)
}

// commonLabels sets the labels that are selectors too, in a field that Kustomize has given up and Argo CD has not.
func (o *KustomizeOptions) commonLabels(whole map[string]any) error {
	switch {
	case len(o.Labels) == 0 || o.LabelsWithoutSelector:
		return nil
	case o.LabelsInTemplates:
		return errors.New("the source's kustomize.labelIncludeTemplates needs labelWithoutSelector")
	}
	common, ok := whole["commonLabels"].(map[string]any)
	if !ok {
		common = make(map[string]any)
		whole["commonLabels"] = common
	}
	return put(common, o.Labels, o.ForceLabels, "label", forceLabels)
}

// images sets images. A part that is "*" stays as it is.
func (o *KustomizeOptions) images(k *types.Kustomization) error {
	for _, text := range o.Images {
		image, err := parseImage(text)
		if err != nil {
			return err
		}
		var before types.Image
		k.Images = slices.DeleteFunc(k.Images, func(have types.Image) bool {
			if have.Name == image.Name {
				before = have
			}
			return have.Name == image.Name
		})
		for _, part := range []struct{ is, was *string }{{&image.NewName, &before.NewName}, {&image.NewTag, &before.NewTag}, {&image.Digest, &before.Digest}} {
			if *part.is == "*" {
				*part.is = *part.was
			}
		}
		k.Images = append(k.Images, image)
	}
	slices.SortStableFunc(k.Images, func(a, b types.Image) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// parseImage reads [name=]image[:tag][@digest].
func parseImage(text string) (types.Image, error) {
	key, value, named := strings.Cut(text, "=")
	if !named {
		key, value = "", text
	}
	rest, digest, _ := strings.Cut(value, "@")
	name, tag := rest, ""
	if n := strings.LastIndexByte(rest, ':'); n > strings.LastIndexByte(rest, '/') {
		name, tag = rest[:n], rest[n+1:]
	}
	if name == text {
		return types.Image{}, fmt.Errorf("the source's kustomize.images: %q sets nothing: [name=]image[:tag][@digest] is wanted", text)
	}
	if !named {
		return types.Image{Name: name, NewTag: tag, Digest: digest}, nil
	}
	return types.Image{Name: key, NewName: name, NewTag: tag, Digest: digest}, nil
}

// beyond are words in Kustomize's messages about what Argo CD may be able to do, and this engine is not: by the network, by git, or with
// options for all builds.
var beyond = regexp.MustCompile(regexp.QuoteMeta(errNetwork.Error()) +
	`|no 'git' program|--enable-helm|--enable-alpha-plugins|--enable-exec|external plugins disabled|security; file '`)

var quotedPath = regexp.MustCompile(regexp.QuoteMeta(mounted) + `([^'":\s]*)`)

// kustomizeError says why Kustomize fails.
func kustomizeError(root string, m *mount, err error) error {
	message := err.Error()
	failed := &Error{Path: root, Line: 1}
	switch {
	case m.refused != nil:
		failed.Fault, failed.Path, failed.Line = m.refused.Fault, m.refused.Path, 0
		message = m.refused.Message + ": " + message
	case beyond.MatchString(message):
		failed.Fault = OfReach
		message += " (Argo CD may be told to allow it by kustomize.buildOptions, or fetches it: what is rendered here is in the repository, and " +
			"needs no option)"
	}
	failed.Message = quotedPath.ReplaceAllString(message, "$1")
	return failed
}
