package sidecar_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/randfill"

	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

var (
	seed = flag.Int64("seed", 0, "seed of the random pods; 0 takes the time")
	pods = flag.Int("pods", 2000, "how many random pods")
)

// TestInjectionOnlyAdds holds for any pod: fields that no program of today knows come through, what was there is not touched, and a
// second injection adds nothing to the first.
func TestInjectionOnlyAdds(t *testing.T) {
	if *seed == 0 {
		*seed = time.Now().UnixNano()
	}
	t.Logf("run again with -seed %d -pods %d", *seed, *pods)
	results := map[sidecar.Reason]int{}
	for n := range *pods {
		g := newGenerator(*seed + int64(n))
		raw := g.pod(t)
		b := builder()
		native := g.chance(2)
		b.Native = func() bool { return native }
		if g.chance(2) {
			b.ClassesObject = sidecar.InConfigMap
		}
		in, err := b.Inject(raw, "ns")
		if err != nil {
			t.Fatalf("pod %d: %v\n%s", n, err, raw)
		}
		for _, o := range in.Outcomes {
			results[o.Reason]++
		}
		if problem := onlyAdds(t, b, raw, in); problem != "" {
			patch, _ := sidecar.Marshal(in.Patch)
			t.Fatalf("pod %d (seed %d): %s\npatch: %s\npod: %s", n, *seed+int64(n), problem, patch, raw)
		}
	}
	t.Logf("sidecars: %v", results)
	for _, reason := range []sidecar.Reason{sidecar.Injected, sidecar.InvalidAnnotation, sidecar.NothingToCollect, sidecar.PodConflict, sidecar.InvalidSidecar} {
		if results[reason] == 0 && *pods >= 1000 {
			t.Errorf("no pod had a sidecar with the result %s: the pods are not random enough", reason)
		}
	}
}

// onlyAdds says what is wrong with an injection, or nothing.
func onlyAdds(t *testing.T, b *sidecar.Builder, raw []byte, in *sidecar.Injection) string {
	t.Helper()
	first, err := sidecar.Marshal(in.Patch)
	if err != nil {
		t.Fatal(err)
	}
	again, err := b.Inject(raw, "ns")
	if err != nil {
		t.Fatal(err)
	}
	if second, err := sidecar.Marshal(again.Patch); err != nil || string(first) != string(second) || !slices.Equal(in.Warnings, again.Warnings) {
		return fmt.Sprintf("the same pod gets another patch: %s", second)
	}
	before, err := tree(raw)
	if err != nil {
		t.Fatal(err)
	}
	if problem := additive(before, in.Patch); problem != "" {
		return problem
	}
	patched := apply(t, raw, in)
	twice, err := b.Inject(patched, "ns")
	if err != nil {
		t.Fatal(err)
	}
	if more, _ := sidecar.Marshal(twice.Patch); more != nil {
		return fmt.Sprintf("a patched pod gets a second patch: %s", more)
	}
	after, err := tree(patched)
	if err != nil {
		t.Fatal(err)
	}
	if problem := wellFormed(t, raw, patched); problem != "" {
		return problem
	}
	removeAdditions(after, before)
	if had, has := encode(t, before), encode(t, after); string(had) != string(has) {
		return fmt.Sprintf("the pod without the additions is another:\n%s\nwas\n%s", has, had)
	}
	return ""
}

var lists = []string{"containers", "initContainers", "volumes"}

// ours are keys that the operator writes, so that one of them which is there already, such as in a pod that is a copy, may be replaced.
func ours(key string) bool {
	return strings.HasPrefix(key, "sidecar.holdfast.dev/") || strings.HasPrefix(key, "class.holdfast.dev/")
}

// additive says which operation of a patch does more than add.
func additive(pod map[string]any, patch []sidecar.Operation) string {
	made := map[string]bool{}
	for _, o := range patch {
		if o.Op != "add" {
			return fmt.Sprintf("an operation is %q", o.Op)
		}
		parts := strings.Split(o.Path, "/")[1:]
		place := ""
		if len(parts) >= 2 {
			place = parts[0] + "/" + parts[1]
		}
		parent, _ := pod[parts[0]].(map[string]any)
		var there any
		if len(parts) >= 2 {
			there = parent[parts[1]]
		}
		isList := parts[0] == "spec" && slices.Contains(lists, parts[len(parts)-1]) || len(parts) == 3 && parts[2] == "-" && slices.Contains(lists, parts[1])
		isMap := place == "metadata/labels" || place == "metadata/annotations"
		switch {
		case len(parts) == 2 && (isList || place == "metadata/labels"):
			if there != nil || made[place] {
				return "an operation replaces " + o.Path
			}
			made[place] = true
		case len(parts) == 3 && parts[2] == "-" && isList:
		case len(parts) == 3 && isMap:
			key := strings.NewReplacer("~1", "/", "~0", "~").Replace(parts[2])
			old, _ := there.(map[string]any)
			if _, had := old[key]; made[o.Path] || had && !ours(key) {
				return "an operation replaces " + o.Path
			}
			made[o.Path] = true
		default:
			return "an operation adds to " + o.Path
		}
	}
	return ""
}

// removeAdditions takes out of a pod what was added to before.
func removeAdditions(after, before map[string]any) {
	spec, old := after["spec"].(map[string]any), before["spec"].(map[string]any)
	for _, list := range lists {
		had, _ := old[list].([]any)
		if has, ok := spec[list].([]any); ok {
			spec[list] = has[:min(len(had), len(has))]
		}
		restore(spec, old, list, len(had) == 0)
	}
	meta, oldMeta := after["metadata"].(map[string]any), before["metadata"].(map[string]any)
	for _, of := range []string{"labels", "annotations"} {
		has, _ := meta[of].(map[string]any)
		had, _ := oldMeta[of].(map[string]any)
		maps.DeleteFunc(has, func(key string, _ any) bool { return ours(key) })
		for key, value := range had {
			if ours(key) {
				has[key] = value
			}
		}
		restore(meta, oldMeta, of, len(has) == 0)
	}
}

// restore makes an empty list or map be what it was before: empty, null or not there.
func restore(in, old map[string]any, key string, empty bool) {
	if !empty {
		return
	}
	if was, had := old[key]; had {
		in[key] = was
	} else {
		delete(in, key)
	}
}

// shape is what wellFormed looks at.
type shape struct {
	Metadata struct{ Labels, Annotations map[string]string }
	Spec     struct {
		InitContainers, Containers []struct {
			Name              string
			Env, VolumeMounts []struct{ Name string }
		}
		Volumes []struct{ Name string }
	}
}

// wellFormed says for which of the API server's rules it would refuse a patched pod that it would have taken before.
func wellFormed(t *testing.T, raw, patched []byte) string {
	t.Helper()
	var before, after shape
	if err := errors.Join(json.Unmarshal(raw, &before), json.Unmarshal(patched, &after)); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	volumes := map[string]bool{}
	for i, v := range after.Spec.Volumes {
		if i >= len(before.Spec.Volumes) && (volumes[v.Name] || len(validation.IsDNS1123Label(v.Name)) > 0) {
			return fmt.Sprintf("volume %q is there twice, or no name", v.Name)
		}
		volumes[v.Name] = true
	}
	added := slices.Concat(after.Spec.InitContainers[len(before.Spec.InitContainers):], after.Spec.Containers[len(before.Spec.Containers):])
	for _, c := range slices.Concat(before.Spec.InitContainers, before.Spec.Containers) {
		names[c.Name] = true
	}
	for _, c := range added {
		if names[c.Name] || len(validation.IsDNS1123Label(c.Name)) > 0 {
			return fmt.Sprintf("container %q is there twice, or no name", c.Name)
		}
		names[c.Name] = true
		for _, m := range c.VolumeMounts {
			if !volumes[m.Name] {
				return fmt.Sprintf("container %s mounts volume %q, which is not there", c.Name, m.Name)
			}
		}
		for i, e := range c.Env {
			if len(validation.IsEnvVarName(e.Name)) > 0 || slices.Contains(c.Env[:i], e) {
				return fmt.Sprintf("container %s has variable %q twice, or it is no name", c.Name, e.Name)
			}
		}
	}
	for _, m := range []map[string]string{after.Metadata.Labels, after.Metadata.Annotations} {
		for key := range m {
			if ours(key) && len(validation.IsQualifiedName(key)) > 0 {
				return fmt.Sprintf("%q is not a key", key)
			}
		}
	}
	for key, value := range after.Metadata.Labels {
		if ours(key) && len(validation.IsValidLabelValue(value)) > 0 {
			return fmt.Sprintf("%q is not a label's value", value)
		}
	}
	if size(before.Metadata.Annotations) <= 256<<10 && size(after.Metadata.Annotations) > 256<<10 {
		return "the annotations have become larger than an object's may be"
	}
	return ""
}

func size(m map[string]string) (n int) {
	for key, value := range m {
		n += len(key) + len(value)
	}
	return n
}

// generator makes random pods.
type generator struct {
	*rand.Rand
	fill *randfill.Filler
}

func newGenerator(seed int64) *generator {
	g := &generator{Rand: rand.New(rand.NewSource(seed))}
	g.fill = randfill.NewWithSeed(seed).NilChance(0.8).NumElements(1, 2).MaxDepth(10).Funcs(
		func(q *resource.Quantity, c randfill.Continue) {
			*q = *resource.NewMilliQuantity(c.Int63n(1e9), resource.DecimalSI)
		},
		func(at *metav1.Time, c randfill.Continue) { at.Time = time.Unix(c.Int63n(1<<32), 0).UTC() },
		func(f *metav1.FieldsV1, _ randfill.Continue) { f.SetRawBytes([]byte(`{"f:spec":{}}`)) },
		func(v *intstr.IntOrString, c randfill.Continue) { *v = intstr.FromInt32(c.Int31()) },
	)
	return g
}

// chance is true once in n times.
func (g *generator) chance(n int) bool { return g.Intn(n) == 0 }

func pick[T any](g *generator, from []T) T { return from[g.Intn(len(from))] }

// pod is one as an API server would send it, of fields that are known today and others.
func (g *generator) pod(t *testing.T) []byte {
	p := &corev1.Pod{}
	g.fill.Fill(&p.ObjectMeta)
	g.fill.Fill(&p.Spec)
	p.APIVersion, p.Kind = "v1", "Pod"
	p.Spec.OS = pick(g, []*corev1.PodOS{nil, nil, nil, {Name: corev1.Linux}, {Name: corev1.Windows}})
	for i := range p.Spec.Containers {
		p.Spec.Containers[i].Name = g.name("app", i)
	}
	for i := range p.Spec.InitContainers {
		p.Spec.InitContainers[i].Name = g.name("init", i)
	}
	for i := range p.Spec.Volumes {
		p.Spec.Volumes[i].Name = pick(g, []string{"data", "cache", "telegraf-config", "telegraf-x-buffer"}) + fmt.Sprint(i)
		if g.chance(8) && i == 0 {
			p.Spec.Volumes[i].Name = "telegraf-config"
		}
	}
	if p.Annotations == nil || g.chance(2) {
		p.Annotations = map[string]string{}
	}
	g.annotate(p.Annotations)
	if g.chance(60) {
		p.Annotations["filler"] = strings.Repeat("x", max(0, 256<<10-size(p.Annotations)-g.Intn(4000)))
	}
	if g.chance(3) {
		p.Labels = nil
	} else if g.chance(20) {
		p.Labels = map[string]string{"class.holdfast.dev/default": "0123456789", sidecar.InjectedLabel: "false"}
	}
	all, err := tree(encode(t, p))
	if err != nil {
		t.Fatal(err)
	}
	spec := all["spec"].(map[string]any)
	for _, list := range lists {
		if g.chance(10) {
			spec[list] = pick(g, []any{nil, []any{}})
		} else if g.chance(10) {
			delete(spec, list)
		}
	}
	meta := all["metadata"].(map[string]any)
	labels, annotations := meta["labels"], meta["annotations"]
	delete(meta, "labels")
	delete(meta, "annotations")
	g.sprinkle(all)
	meta["labels"], meta["annotations"] = labels, annotations
	if labels == nil && g.chance(2) {
		delete(meta, "labels")
	}
	return encode(t, all)
}

// name is a container's: sometimes one that a sidecar needs.
func (g *generator) name(kind string, i int) string {
	if i == 0 && g.chance(12) {
		return pick(g, []string{"telegraf", "telegraf-x", "telegraf-istio"})
	}
	return fmt.Sprint(kind, i)
}

// sprinkle adds fields that nobody knows to every object in a tree.
func (g *generator) sprinkle(node any) {
	switch n := node.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(n)) {
			g.sprinkle(n[key])
		}
		if g.chance(2) {
			n[fmt.Sprint("future", g.Intn(100))] = pick(g, []any{nil, true, "text", "a/b~c \u00e9\u2028<>&", json.Number("12345678901234567890"), json.Number("1.50"),
				[]any{}, []any{map[string]any{"a": "b"}}, map[string]any{}, map[string]any{"Containers": []any{nil}, "x/y": json.Number("1e3")}})
		}
	case []any:
		for _, element := range n {
			g.sprinkle(element)
		}
	}
}

// values are good and bad values of the keys; a key may have any of another's too.
var values = map[string][]string{
	"class": {"default", "team", "default,team", "nowhere", "bad", "../x", "", "team, default", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q"},
	"port":  {"8080", "8080, 9090", "0", "http", "65535", ""}, "ports": {"1,2,3", "9,,9", "70000"},
	"path": {"/m", "metrics", "/a b", `/"`, ""}, "scheme": {"http", "https", "HTTPS", "ftp"},
	"interval": {"10s", "1d", "5", "-1s", "soon"}, "metric-version": {"1", "2", "3"}, "namepass": {`["a*"]`, "a, b", `["a`, `"a"`, "[1]"},
	"inputs":   {"[[inputs.cpu]]\n", "[inputs", "  ", "[global_tags]\n  a = \"b\"\n", "[[inputs.exec]]\n  commands = [\"é\u2028\"]\n"},
	"internal": {"true", "false", "yes"}, "inject": {"true", "false", "no way"}, "scrape": {"true", "false"},
	"scrape-basic-auth-secret": {"auth", "AUTH"}, "scrape-bearer-token-secret": {"token", "token.key", "token/a.b"},
	"scrape-tls-secret": {"tls"}, "scrape-tls-client": {"true"}, "scrape-tls-skip-verify": {"true", "x"}, "scrape-tls-server-name": {"app.example", "-"},
	"image": {"telegraf:1", "telegraf" + digest, "", "a b"}, "image-pull-policy": {"Always", "never", "Sometimes"}, "agent": {"holdfast", "telegraf", "x"},
	"mode": {"native", "container", "x"}, "watch-config": {"notify", "poll", "off", "x"}, "health-port": {"0", "9001", "9002", "x"},
	"security-context": {`{"runAsUser": 1000}`, `{"privileged": true, "allowPrivilegeEscalation": false}`, `{"runasuser": 1}`, "", "{}", `{"runAsUser": -1}`},
	"buffer-volume":    {"data0", "cache1", "UP"}, "buffer-size": {"1Gi", "0", "x"},
	"requests-cpu": {"1m", "1", "", "x"}, "limits-cpu": {"100m", "", "-1"}, "requests-memory": {"1Gi"}, "limits-memory": {"1Gi", "much"},
	"istio-requests-cpu": {"1m", "9", ""}, "secret-env": {"a, b", "A"}, "volume-mounts": {`{"data0": "/data"}`, `{"data0": "/etc/telegraf"}`, `{"none": "/x"}`, `{`, `{"data0": "x"}`},
	"env-literal-A": {"", "b"}, "env-fieldref-A": {"metadata.name", "spec.x"}, "env-configmapkeyref-B": {"a.b", "a"}, "env-secretkeyref-C": {"a/b.c", "A.b"},
	"env-literal-1A": {"x"}, "env-literal-NODENAME": {"x"}, "env-literal-TEAM": {"x"},
	"global-tag-literal-a": {"b", "\"\n\\$X"}, "global-tag-fieldref-b": {"spec.nodeName", "metadata.labels['a.b/c']", "x"}, "global-tag-label-c": {"app", "-"},
	"global-tag-annotation-d": {"x/y"}, "global-tag-configmapkeyref-a": {"m.k"},
	"ignore": {"true"}, "clas": {"x"}, "env-literl-x": {"x"},
}

var keys = slices.Sorted(maps.Keys(values))

func (g *generator) annotate(annotations map[string]string) {
	prefixes := []string{"telegraf.influxdata.com/", "telegraf.influxdata.com/", "holdfast.dev/", "holdfast.dev/", "x.holdfast.dev/", "istio.holdfast.dev/",
		"config.holdfast.dev/", "buffer.holdfast.dev/", strings.Repeat("n", 40) + ".holdfast.dev/", strings.Repeat("n", 41) + ".holdfast.dev/", "X.holdfast.dev/", "a.telegraf.influxdata.com/"}
	if g.chance(2) {
		prefixes = prefixes[:g.Intn(4)+1]
	}
	for range g.Intn(10) {
		key := pick(g, keys)
		of := key
		if g.chance(20) {
			of = pick(g, keys)
		}
		text := values[of][0] // good ones come first
		if g.chance(3) {
			text = pick(g, values[of])
		}
		if g.chance(200) {
			text = strings.Repeat(pick(g, []string{"x", "\u00e9", "[", "\"", "\x00"}), 1<<g.Intn(18))
		}
		annotations[pick(g, prefixes)+key] = text
	}
	if g.chance(2) {
		annotations[pick(g, prefixes)+"port"] = pick(g, []string{"8080", "1,2"})
	}
	if g.chance(5) {
		annotations["sidecar.istio.io/status"] = "{}"
	}
	if g.chance(15) {
		annotations[pick(g, []string{sidecar.StatusAnnotation, sidecar.HashAnnotation, sidecar.ConfigAnnotation("telegraf"), sidecar.InputsAnnotation("telegraf-x")})] = "of another pod"
	}
}
