package annotation

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
)

// container reads how the container is made.
func (p *parser) container() (c Container) {
	if v, ok := p.get("image"); ok {
		if c.Image = strings.TrimSpace(v.text); c.Image == "" || strings.ContainsFunc(c.Image, unicode.IsSpace) {
			p.fail(v, "%s is not an image", quote(v.text))
		}
	}
	c.PullPolicy = corev1.PullPolicy(p.word("image-pull-policy", string(corev1.PullAlways), string(corev1.PullIfNotPresent), string(corev1.PullNever)))
	c.Agent = v1alpha1.Agent(p.word("agent", string(v1alpha1.AgentTelegraf), string(v1alpha1.AgentHoldfast)))
	c.Mode = v1alpha1.Mode(p.word("mode", string(v1alpha1.ModeNative), string(v1alpha1.ModeContainer)))
	c.WatchConfig = v1alpha1.WatchConfig(p.word("watch-config", string(v1alpha1.WatchNotify), string(v1alpha1.WatchPoll), string(v1alpha1.WatchOff)))
	if v, ok := p.get("health-port"); ok {
		n := 0
		var err error
		if text := strings.TrimSpace(v.text); text != "0" {
			if n, err = port(text); err != nil {
				p.fail(v, "%v, or 0 for no probe", err)
			}
		}
		c.HealthPort = new(int32(n))
	}
	if v, ok := p.get("security-context"); ok {
		if err := yaml.UnmarshalStrict([]byte(v.text), &c.SecurityContext); err != nil {
			p.fail(v, "is not a container's security context as JSON: %s", shorten(err.Error()))
		} else if c.SecurityContext == nil {
			p.fail(v, "is empty; {} is a security context that says nothing")
		}
	}
	if v, ok := p.get("buffer-volume"); ok {
		if c.BufferVolume = strings.TrimSpace(v.text); len(validation.IsDNS1123Label(c.BufferVolume)) > 0 {
			p.fail(v, "%s is not the name of a volume", quote(v.text))
		}
	}
	if v, ok := p.get("buffer-size"); ok {
		q, err := resource.ParseQuantity(strings.TrimSpace(v.text))
		if err != nil || q.Sign() <= 0 {
			p.fail(v, "%s is not a size, such as 512Mi", quote(v.text))
		}
		c.BufferSize = &q
	}
	c.Resources = p.resources("")
	return c
}

// word reads one of some words.
func (p *parser) word(short string, words ...string) string {
	v, ok := p.get(short)
	if !ok {
		return ""
	}
	for _, w := range words {
		if strings.EqualFold(w, strings.TrimSpace(v.text)) {
			return w
		}
	}
	p.fail(v, "%s is none of %s", quote(v.text), strings.Join(words, ", "))
	return ""
}

// resources reads requests and limits. What is no quantity leaves the default standing, as in telegraf-operator; empty text means none.
func (p *parser) resources(prefix string) Resources {
	r := Resources{}
	for _, name := range []string{"limits-cpu", "limits-memory", "requests-cpu", "requests-memory"} {
		v, ok := p.get(prefix + name)
		if !ok {
			continue
		}
		text := strings.TrimSpace(v.text)
		if text == "" {
			r[name] = Amount{None: true}
			continue
		}
		q, err := resource.ParseQuantity(text)
		if err != nil || q.Sign() < 0 {
			p.warn(v, "%s is not a quantity, such as 100m or 64Mi; the default is used", quote(v.text))
			continue
		}
		r[name] = Amount{Quantity: q}
	}
	return r
}

// named calls read for each annotation whose key begins with prefix, in the order of what follows it.
func (p *parser) named(prefix string, read func(name string, v value)) {
	for _, short := range slices.Sorted(maps.Keys(p.values)) {
		if name, ok := strings.CutPrefix(short, prefix); ok && name != "" {
			read(name, p.values[short])
		}
	}
}

// env reads the variables: field references, literals, ConfigMaps and Secrets. Of two of a name the later kind wins, as in
// telegraf-operator.
func (p *parser) env() (env []corev1.EnvVar) {
	keys := map[string]string{}
	add := func(name string, v value, e corev1.EnvVar) {
		if len(validation.IsEnvVarName(name)) > 0 {
			p.fail(v, "%q is not the name of a variable: letters, digits, dashes, dots and underscores, without a digit at the beginning", name)
			return
		}
		if first, twice := keys[name]; twice {
			p.warn(v, "gives variable %q, which %s gives too; this one is used", name, first)
			env = slices.DeleteFunc(env, func(e corev1.EnvVar) bool { return e.Name == name })
		}
		e.Name, keys[name] = name, v.key
		env = append(env, e)
	}
	p.named("env-fieldref-", func(name string, v value) {
		add(name, v, corev1.EnvVar{ValueFrom: p.fieldRef(v)})
	})
	p.named("env-literal-", func(name string, v value) {
		add(name, v, corev1.EnvVar{Value: v.text})
	})
	p.named("env-configmapkeyref-", func(name string, v value) {
		add(name, v, corev1.EnvVar{ValueFrom: p.configMapKey(v)})
	})
	p.named("env-secretkeyref-", func(name string, v value) {
		object, key, err := keyOf(v.text)
		if err != nil {
			p.fail(v, "%v", err)
		}
		add(name, v, corev1.EnvVar{ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: object}, Key: key}}})
	})
	return env
}

// fields are the downward API's fields that a variable can have.
var fields = []string{"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
	"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"}

// ValidField says what is wrong with the path of a field that a variable is to have, such as metadata.name or metadata.labels['app'].
func ValidField(path string) error {
	ok := slices.Contains(fields, path)
	for _, of := range []string{"metadata.labels['", "metadata.annotations['"} {
		key, found := strings.CutPrefix(path, of)
		key, ends := strings.CutSuffix(key, "']")
		ok = ok || found && ends && len(validation.IsQualifiedName(key)) == 0
	}
	if !ok {
		return fmt.Errorf("%s is not a field that a container can know: %s, metadata.labels['KEY'] or metadata.annotations['KEY']", quote(path), strings.Join(fields, ", "))
	}
	return nil
}

// fieldRef reads a field of the pod.
func (p *parser) fieldRef(v value) *corev1.EnvVarSource {
	text := strings.TrimSpace(v.text)
	if err := ValidField(text); err != nil {
		p.fail(v, "%v", err)
	}
	return fieldSource(text)
}

func fieldSource(path string) *corev1.EnvVarSource {
	return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path}}
}

func (p *parser) configMapKey(v value) *corev1.EnvVarSource {
	name, key, err := keyOf(v.text)
	if err != nil {
		p.fail(v, "%v", err)
	}
	return &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: key}}
}

// envFrom reads the Secrets whose keys all become variables. They may be missing, as in telegraf-operator.
func (p *parser) envFrom() (from []corev1.EnvFromSource) {
	v, ok := p.get("secret-env")
	if !ok {
		return nil
	}
	for name := range strings.SplitSeq(v.text, ",") {
		name = strings.TrimSpace(name)
		if err := object(name); err != nil {
			p.fail(v, "%v", err)
			continue
		}
		from = append(from, corev1.EnvFromSource{SecretRef: &corev1.SecretEnvSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: name}, Optional: new(true)}})
	}
	return from
}

// mounts reads a JSON object from volumes to the places where they are mounted.
func (p *parser) mounts() (mounts []corev1.VolumeMount) {
	v, ok := p.get("volume-mounts")
	if !ok {
		return nil
	}
	var places map[string]string
	if err := json.Unmarshal([]byte(v.text), &places); err != nil {
		p.fail(v, `is not a JSON object from volumes to paths, such as {"data": "/data"}: %v`, err)
		return nil
	}
	if len(places) == 0 {
		p.warn(v, `mounts nothing: write {"VOLUME": "/path"}, or take the annotation away`)
	}
	for _, volume := range slices.Sorted(maps.Keys(places)) {
		place := places[volume]
		if !path.IsAbs(place) || strings.Contains(place, ":") {
			p.fail(v, "%s is not an absolute path without a colon", quote(place))
			continue
		}
		mounts = append(mounts, corev1.VolumeMount{Name: volume, MountPath: place})
	}
	return mounts
}

// tags reads the tags of every point.
func (p *parser) tags() (tags []Tag) {
	taken := map[string]string{}
	add := func(name string, v value, tag Tag) {
		if first, ok := taken[name]; ok {
			p.fail(v, "gives tag %q, which %s gives too", name, first)
			return
		}
		taken[name] = v.key
		tag.Name = name
		tags = append(tags, tag)
	}
	p.named("global-tag-literal-", func(name string, v value) { add(name, v, Tag{Literal: v.text}) })
	p.named("global-tag-fieldref-", func(name string, v value) { add(name, v, Tag{From: p.fieldRef(v)}) })
	for _, of := range []string{"label", "annotation"} {
		p.named("global-tag-"+of+"-", func(name string, v value) {
			key := strings.TrimSpace(v.text)
			if len(validation.IsQualifiedName(key)) > 0 {
				p.fail(v, "%s is not the key of %s", quote(v.text), map[string]string{"label": "a label", "annotation": "an annotation"}[of])
			}
			add(name, v, Tag{From: fieldSource(fmt.Sprintf("metadata.%ss['%s']", of, key))})
		})
	}
	p.named("global-tag-configmapkeyref-", func(name string, v value) { add(name, v, Tag{From: p.configMapKey(v)}) })
	slices.SortFunc(tags, func(a, b Tag) int { return strings.Compare(a.Name, b.Name) })
	return tags
}
