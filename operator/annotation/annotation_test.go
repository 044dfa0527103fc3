package annotation_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/influxdata/telegraf/config"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/holdfast-telemetry/holdfast/operator/annotation"
)

const (
	telegraf = "telegraf.influxdata.com/"
	holdfast = "holdfast.dev/"
)

// problems are what is said of the annotations, with "!" before what is fatal.
func problems(r *annotation.Request) (all []string) {
	if r == nil {
		return nil
	}
	add := func(of []annotation.Problem) {
		for _, p := range of {
			text := p.String()
			if p.Fatal {
				text = "!" + text
			}
			all = append(all, text)
		}
	}
	add(r.Problems)
	for _, s := range r.Sidecars {
		add(s.Problems)
	}
	return all
}

// TestEveryKeyIsChecked has good and bad values of each key. A message ends the line that it is said in; "" is a good value, and ! a mistake
// that is fatal to the sidecar.
func TestEveryKeyIsChecked(t *testing.T) {
	const quantity = " is not a quantity, such as 100m or 64Mi; the default is used"
	const object = " is not the name of an object: lower case letters, digits, dashes and dots"
	const keyOf = " is not of the form name.key, or name/key for names with dots"
	const field = " is not a field that a container can know: metadata.name, metadata.namespace, metadata.uid, spec.nodeName, spec.serviceAccountName, " +
		"status.hostIP, status.hostIPs, status.podIP, status.podIPs, metadata.labels['KEY'] or metadata.annotations['KEY']"
	class := func(name string) string {
		return "!class " + name + " is not a name: 1 to 63 letters, digits, dashes, dots and underscores, with a letter or digit at both ends"
	}
	table := map[string]map[string]string{
		"class": {"default": "", "a.b_c-D": "", "a, b": "", "a,b,a": `names class "a" twice`, "": "!a class's name is missing", "a,": "!a class's name is missing", "../x": class(`"../x"`),
			"a/b": class(`"a/b"`), "-a": class(`"-a"`), "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p": "", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q": "!names 17 classes; a sidecar has at most 16",
			strings.Repeat("a", 63): "", strings.Repeat("a", 64): class(`"` + strings.Repeat("a", 64) + `"`)},
		"port":  {"8080": "", " 8080 ": "", "": "names no port: nothing is scraped; name one, or take the annotation away", "0": `!"0" is not a port: a number from 1 to 65535`, "65535": "", "65536": `!"65536" is not a port: a number from 1 to 65535`, "http": `!"http" is not a port: a number from 1 to 65535`},
		"ports": {"8080, 9090": "", "1,,1": "", "1,x": `!"x" is not a port: a number from 1 to 65535`},
		"path": {"/m": "", "/a?b=c": "", "metrics": `"metrics" has no leading slash; /metrics is used`,
			"/a b": `!"/a b" is not a path: it has a blank, a quote or a control character; escape those as %20 and the like`,
			`/"`:   `!"/\"" is not a path: it has a blank, a quote or a control character; escape those as %20 and the like`},
		"scheme": {"http": "", "HTTPS": "", "ftp": `!"ftp" is neither http nor https`, "": `!"" is neither http nor https`},
		"interval": {"10s": "", "1m30s": "", "1d": "", "5": "", "0.5": "", "0s": `!"0s" is not a duration above zero`, "-1s": `!"-1s" is not a duration above zero`,
			"soon": `!"soon" is not a duration, such as 10s or 1m30s`, "": `!"" is not a duration, such as 10s or 1m30s`, "inf": `!"inf" is not a duration, such as 10s or 1m30s`},
		"metric-version": {"1": "", "2": "", "3": `!"3" is neither 1 nor 2`},
		"namepass": {`["a*", "b"]`: "", "a*, b": "", `"a"`: "", "['a']": "", `["a`: `!"[\"a" is not a list such as ["go_*", "http_*"]`, "[1]": `!"[1]" is not a list such as ["go_*", "http_*"]`,
			"[\"a\"]\nx = 1": `!"[\"a\"]\nx = 1" is not a list such as ["go_*", "http_*"]`},
		"internal":                   {"true": "", "F": "", "yes": `"yes" is neither "true" nor "false"; the operator's default is used`},
		"inject":                     {"true": "", "no": `!"no" is neither "true" nor "false"`},
		"inputs":                     {"[[inputs.cpu]]": "", "": "", "[": ""}, // its text is read when a sidecar is made
		"scrape":                     {"true": "", "off": `!"off" is neither "true" nor "false"`},
		"scrape-basic-auth-secret":   {"auth": "", "A": `!"A"` + object},
		"scrape-bearer-token-secret": {"token": "", "a.b": "", "a.b/c.d": "", "A": `!"A"` + object, "a/": `!"a/"` + keyOf, "a/?": `!"?" is not a key: letters, digits, dashes, dots and underscores`},
		"scrape-tls-secret":          {"tls": "", "T": `!"T"` + object},
		"scrape-tls-client":          {"false": "", "true": "!needs scrape-tls-secret, which names the Secret with tls.crt and tls.key", "x": `!"x" is neither "true" nor "false"`},
		"scrape-tls-skip-verify":     {"true": "", "x": `!"x" is neither "true" nor "false"`},
		"scrape-tls-server-name":     {"a.example": "", "-": `!"-" is not a host name`},
		"image":                      {"telegraf:1.39": "", "": `!"" is not an image`, "a b": `!"a b" is not an image`},
		"image-pull-policy":          {"Always": "", "ifnotpresent": "", "Sometimes": `!"Sometimes" is none of Always, IfNotPresent, Never`},
		"agent":                      {"telegraf": "", "Holdfast": "", "vector": `!"vector" is none of telegraf, holdfast`},
		"mode":                       {"native": "", "container": "", "auto": `!"auto" is none of native, container`},
		"watch-config":               {"notify": "", "poll": "", "off": "", "inotify": `!"inotify" is none of notify, poll, off`},
		"health-port":                {"0": "", "8888": "", "x": `!"x" is not a port: a number from 1 to 65535, or 0 for no probe`},
		"security-context": {"{}": "", `{"runAsUser": 1}`: "", "": "!is empty; {} is a security context that says nothing",
			`{"user": 1}`: `!is not a container's security context as JSON: error unmarshaling JSON: while decoding JSON: json: unknown field "user"`},
		"buffer-volume":   {"data": "", "D": `!"D" is not the name of a volume`},
		"buffer-size":     {"1Gi": "", "0": `!"0" is not a size, such as 512Mi`, "much": `!"much" is not a size, such as 512Mi`},
		"requests-cpu":    {"1m": "", "": "", "x": `"x"` + quantity, "-1": `"-1"` + quantity},
		"requests-memory": {"1Mi": "", "x": `"x"` + quantity}, "limits-cpu": {"1": "", "x": `"x"` + quantity}, "limits-memory": {"1Gi": "", "x": `"x"` + quantity},
		"istio-requests-cpu": {"1m": "", "x": `"x"` + quantity}, "istio-requests-memory": {"1": ""}, "istio-limits-cpu": {"1": ""}, "istio-limits-memory": {"1": ""},
		"secret-env": {"a": "", "a, b": "", "": `!""` + object, "A": `!"A"` + object},
		"volume-mounts": {`{"a": "/a"}`: "", `{"a": "a"}`: `!"a" is not an absolute path without a colon`, `{"a": "/a:b"}`: `!"/a:b" is not an absolute path without a colon`,
			"a:b": `!is not a JSON object from volumes to paths, such as {"data": "/data"}: invalid character 'a' looking for beginning of value`},
		"env-fieldref-":               {"metadata.name": "", "metadata.labels['a.b/c']": "", "metadata.labels[a]": `!"metadata.labels[a]"` + field, "spec.x": `!"spec.x"` + field},
		"env-literal-":                {"": "", "x": ""},
		"env-configmapkeyref-":        {"a.b.c": "", "a.b/c": "", "a": `!"a"` + keyOf},
		"env-secretkeyref-":           {"a.b": "", "A.b": `!"A"` + object},
		"global-tag-literal-":         {"": "", "x": ""},
		"global-tag-fieldref-":        {"spec.nodeName": "", "x": `!"x"` + field},
		"global-tag-label-":           {"app.kubernetes.io/name": "", "-": `!"-" is not the key of a label`},
		"global-tag-annotation-":      {"a/b": "", "": `!"" is not the key of an annotation`},
		"global-tag-configmapkeyref-": {"a.b": "", "a": `!"a"` + keyOf},
	}
	words, beginnings := annotation.Keys()
	for _, short := range slices.Concat(words, beginnings) {
		if len(table[short]) == 0 {
			t.Errorf("no value of %s is tried", short)
		}
	}
	for short, values := range table {
		key := holdfast + short
		if strings.HasSuffix(short, "-") {
			key += "name"
		}
		for text, want := range values {
			annotations := map[string]string{key: text}
			if short != "port" {
				annotations[holdfast+"ports"] = "1"
			}
			if strings.HasPrefix(short, "scrape-tls-") {
				annotations[holdfast+"scheme"] = "https"
			}
			annotations[key] = text
			got := strings.Join(problems(annotation.Parse(annotations)), "\n")
			fatal, message := strings.HasPrefix(want, "!"), strings.TrimPrefix(want, "!")
			if want != "" {
				message = key + ": " + message
			}
			if fatal {
				message = "!" + message
			}
			if got != message {
				t.Errorf("%s: %q\n says %s\nwant  %s", short, text, got, message)
			}
		}
	}
}

func TestAMisspeltKeyIsToldWhatItCouldBe(t *testing.T) {
	for key, want := range map[string]string{
		telegraf + "clas":                              "is not a key; did you mean class?",
		telegraf + "prot":                              "is not a key; did you mean port?",
		telegraf + "limit-cpu":                         "is not a key; did you mean limits-cpu?",
		telegraf + "env-litteral-TOKEN":                "is not a key; did you mean env-literal-TOKEN?",
		telegraf + "env-configmapkey-A":                "is not a key; did you mean env-configmapkeyref-A?",
		telegraf + "env-secretkey-A":                   "is not a key; did you mean env-secretkeyref-A?",
		telegraf + "nothing-like-it-at-all":            "is not a key",
		telegraf + "env-literal-":                      "is not a key",
		telegraf + "ignore":                            `is a label, not an annotation; to leave a pod alone, set that label or the annotation holdfast.dev/inject to "false"`,
		"x." + holdfast + "istio-limits-cpu":           "is not heeded: Istio's sidecar has one only, and its keys have no NAME. before holdfast.dev/",
		"x." + telegraf + "port":                       "is not heeded: a further sidecar's keys begin with NAME.holdfast.dev/, such as x.holdfast.dev/port",
		"X." + holdfast + "port":                       "is not heeded: before .holdfast.dev/ comes the name of a further sidecar, of lower case letters, digits and dashes",
		"istio." + holdfast + "port":                   "is not heeded: no further sidecar can be called istio; the one for Istio's proxy is the operator's to switch on",
		strings.TrimSuffix(telegraf, "/"):              "is not a key: after a slash comes what is asked for, such as telegraf.influxdata.com/port",
		strings.Repeat("n", 41) + ".holdfast.dev/port": "!the name of the sidecar has 41 characters; it has 40 at most",
	} {
		want = strings.Replace(key+": "+want, ": !", ": ", 1)
		if got := problems(annotation.Parse(map[string]string{key: "1"})); len(got) != 1 || strings.TrimPrefix(got[0], "!") != want {
			t.Errorf("%s: it says %q, want %q", key, got, want)
		}
	}
}

func TestAMisspeltKeyAloneAsksForNothing(t *testing.T) {
	if r := annotation.Parse(map[string]string{telegraf + "clas": "x"}); len(r.Sidecars) != 0 {
		t.Errorf("it asks for %+v", r.Sidecars)
	}
}

func TestOtherKeysAskForNothing(t *testing.T) {
	for _, key := range []string{"example.com/port", "x/telegraf.influxdata.com", "holdfast.dev", "sidecar.holdfast.dev/status", "class.holdfast.dev/x", "sidecar.istio.io/status"} {
		if r := annotation.Parse(map[string]string{key: "1"}); r != nil {
			t.Errorf("%s: it asks for %+v", key, r)
		}
	}
}

func TestOurPrefixWins(t *testing.T) {
	r := annotation.Parse(map[string]string{telegraf + "port": "1", holdfast + "port": "2", telegraf + "class": "a"})
	if s := r.Sidecars[0]; !slices.Equal(s.Scrape.Ports, []int{2}) || !slices.Equal(s.Classes, []string{"a"}) {
		t.Errorf("it asks for %+v", s)
	}
}

func TestFurtherSidecarsHaveEverythingOfTheirOwn(t *testing.T) {
	r := annotation.Parse(map[string]string{telegraf + "port": "1", "b.holdfast.dev/port": "2", "a.holdfast.dev/port": "x", "b.holdfast.dev/class": "c"})
	var names []string
	for _, s := range r.Sidecars {
		names = append(names, s.Name)
	}
	if !slices.Equal(names, []string{"", "a", "b"}) || len(r.Sidecars[0].Classes) != 0 || len(r.Sidecars[1].Fatal()) != 1 || len(r.Sidecars[2].Fatal()) != 0 {
		t.Errorf("it asks for %+v", r)
	}
}

func TestInjectionCanBeSwitchedOff(t *testing.T) {
	r := annotation.Parse(map[string]string{telegraf + "port": "x", holdfast + "inject": "false", "x.holdfast.dev/port": "1"})
	if len(r.Sidecars) != 1 || r.Sidecars[0].Name != "x" || !r.NoIstio {
		t.Errorf("it asks for %+v", r)
	}
}

func TestPortsAreOneListInOrder(t *testing.T) {
	r := annotation.Parse(map[string]string{telegraf + "port": "9090", telegraf + "ports": "10000, 80,9090,"})
	if got := r.Sidecars[0].Scrape.URLs(); !slices.Equal(got, []string{"http://127.0.0.1:80/metrics", "http://127.0.0.1:9090/metrics", "http://127.0.0.1:10000/metrics"}) {
		t.Errorf("the URLs are %q", got)
	}
}

// Telegraf reads a number of seconds and days in its own options, and not in an input's interval.
func TestAnIntervalIsWrittenSoThatEveryOptionTakesIt(t *testing.T) {
	for text, want := range map[string]string{"5": "5s", "0.5": "500ms", "1d": "24h0m0s", "1.5d2h": "38h0m0s", "90s": "90s", " 1m30s ": "1m30s"} {
		r := annotation.Parse(map[string]string{holdfast + "port": "1", holdfast + "interval": text})
		if got := r.Sidecars[0].Interval; got != want {
			t.Errorf("%q is written %q, want %q", text, got, want)
		}
	}
}

func TestWithoutAPortNothingIsScraped(t *testing.T) {
	r := annotation.Parse(map[string]string{holdfast + "path": "/m", holdfast + "scheme": "ftp", holdfast + "interval": "1m", holdfast + "inputs": "[[inputs.cpu]]"})
	want := []string{holdfast + "path: is not heeded without a port", holdfast + "scheme: is not heeded without a port"}
	if got := problems(r); !slices.Equal(got, want) || r.Sidecars[0].Scrape != nil || r.Sidecars[0].Interval != "1m" {
		t.Errorf("it says %q and asks for %+v", got, r.Sidecars[0])
	}
}

func TestFilesForTLSNeedIt(t *testing.T) {
	r := annotation.Parse(map[string]string{telegraf + "port": "1", holdfast + "scrape-tls-secret": "tls"})
	if got := problems(r); !slices.Equal(got, []string{holdfast + "scrape-tls-secret: is not heeded with scheme http"}) {
		t.Errorf("it says %q", got)
	}
}

func TestTheInputCanBeSwitchedOff(t *testing.T) {
	r := annotation.Parse(map[string]string{telegraf + "port": "1", holdfast + "scrape": "false"})
	if len(r.Sidecars) != 1 || r.Sidecars[0].Scrape != nil {
		t.Errorf("it asks for %+v", r)
	}
}

func TestNamepassIsAListOrWords(t *testing.T) {
	for text, want := range map[string][]string{`["a*", 'b']`: {"a*", "b"}, `"a*", "b"`: {"a*", "b"}, "a*, b c": {"a*", "b", "c"}, "[]": {}} {
		r := annotation.Parse(map[string]string{telegraf + "port": "1", telegraf + "namepass": text})
		if got := r.Sidecars[0].Scrape.NamePass; !slices.Equal(got, want) {
			t.Errorf("%s is %q, want %q", text, got, want)
		}
	}
}

func TestIntervalsAreTheAgents(t *testing.T) {
	for _, text := range []string{"10s", "1d", "1d2h", "1.5d", "5", "0.5", "1h30m", "soon", "1w", "d", "1dd", "5 s", "10S", "1e3"} {
		var agents config.Duration
		err := agents.UnmarshalText([]byte(text))
		ours := problems(annotation.Parse(map[string]string{telegraf + "port": "1", telegraf + "interval": text}))
		if (err == nil) != (len(ours) == 0) {
			t.Errorf("%q: the agent says %v, we say %q", text, err, ours)
		}
	}
}

func TestVariablesAreInTheOrderOfKindsAndNames(t *testing.T) {
	r := annotation.Parse(map[string]string{telegraf + "env-secretkeyref-S": "s.k", telegraf + "env-literal-B": "2", telegraf + "env-literal-A": "1",
		telegraf + "env-configmapkeyref-M": "m.k.l", telegraf + "env-fieldref-F": "metadata.name", telegraf + "env-fieldref-B": "metadata.uid"})
	var got []string
	for _, e := range r.Sidecars[0].Env {
		got = append(got, e.Name)
	}
	if !slices.Equal(got, []string{"F", "A", "B", "M", "S"}) {
		t.Errorf("the variables are %q", got)
	}
	if want := telegraf + `env-literal-B: gives variable "B", which telegraf.influxdata.com/env-fieldref-B gives too; this one is used`; !slices.Equal(problems(r), []string{want}) {
		t.Errorf("it says %q", problems(r))
	}
	if ref := r.Sidecars[0].Env[3].ValueFrom.ConfigMapKeyRef; ref.Name != "m" || ref.Key != "k.l" {
		t.Errorf("m.k.l is %+v", ref)
	}
}

func TestAVariablesNameIsOneEverywhere(t *testing.T) {
	// Kubernetes before 1.34 refuses a pod with such a variable.
	r := annotation.Parse(map[string]string{telegraf + "port": "1", telegraf + "env-literal-1A": "x"})
	if len(r.Sidecars[0].Fatal()) != 1 {
		t.Errorf("it says %q", problems(r))
	}
}

func TestOneTagHasOneValue(t *testing.T) {
	r := annotation.Parse(map[string]string{telegraf + "port": "1", telegraf + "global-tag-literal-a": "x", holdfast + "global-tag-label-a": "app"})
	want := holdfast + `global-tag-label-a: gives tag "a", which telegraf.influxdata.com/global-tag-literal-a gives too`
	if got := problems(r); !slices.Equal(got, []string{"!" + want}) {
		t.Errorf("it says %q", got)
	}
}

func TestAnEmptyAmountLeavesTheResourceOut(t *testing.T) {
	r := annotation.Parse(map[string]string{telegraf + "port": "1", telegraf + "limits-cpu": "", telegraf + "limits-memory": "1Gi"})
	got := r.Sidecars[0].Container.Resources
	if memory := got["limits-memory"]; !got["limits-cpu"].None || memory.Quantity.String() != "1Gi" {
		t.Errorf("the resources are %+v", got)
	}
}

func TestLongValuesAreShownShortened(t *testing.T) {
	words, beginnings := annotation.Keys()
	for _, short := range slices.Concat(words, beginnings) {
		r := annotation.Parse(map[string]string{telegraf + "ports": "1", telegraf + strings.TrimSuffix(short, "-") + "-x": "", telegraf + short + "a": "", telegraf + short: strings.Repeat("\x01", 10000), holdfast + short: strings.Repeat("\x01", 10000)})
		for _, p := range problems(r) {
			if len(p) > 1000 {
				t.Errorf("%s: a message of %d bytes: %.100s", short, len(p), p)
			}
		}
	}
}

// FuzzParse holds for any annotations: what is asked for without a fatal problem is sound, and the same is asked for again.
func FuzzParse(f *testing.F) {
	words, beginnings := annotation.Keys()
	for _, short := range slices.Concat(words, beginnings) {
		f.Add(telegraf+short, "1", holdfast+short+"a", `["a"]`, "x.holdfast.dev/"+short, "a.b")
	}
	f.Fuzz(func(t *testing.T, key1, text1, key2, text2, key3, text3 string) {
		annotations := map[string]string{key1: text1, key2: text2, key3: text3, telegraf + "port": "8080"}
		r := annotation.Parse(annotations)
		if again := annotation.Parse(maps.Clone(annotations)); !reflect.DeepEqual(r, again) {
			t.Fatalf("it asks for %+v, then for %+v", r, again)
		}
		for _, s := range r.Sidecars {
			if len(s.Fatal()) > 0 {
				continue
			}
			if err := sound(s); err != nil {
				raw, _ := json.Marshal(annotations)
				t.Fatalf("%v: %s", err, raw)
			}
		}
	})
}

func sound(s annotation.Sidecar) error {
	if s.Scrape != nil {
		for i, port := range s.Scrape.Ports {
			if port < 1 || port > 65535 || i > 0 && port <= s.Scrape.Ports[i-1] {
				return fmt.Errorf("the ports are %v", s.Scrape.Ports)
			}
		}
		if s.Scrape.Path == "" || s.Scrape.Path[0] != '/' || s.Scrape.Scheme != "http" && s.Scrape.Scheme != "https" || s.Scrape.MetricVersion > 2 {
			return fmt.Errorf("it scrapes %+v", *s.Scrape)
		}
	}
	for _, e := range s.Env {
		if len(validation.IsEnvVarName(e.Name)) > 0 || e.Value != "" && e.ValueFrom != nil {
			return fmt.Errorf("a variable is %+v", e)
		}
	}
	seen := map[string]bool{}
	for _, tag := range s.Tags {
		if tag.Name == "" || seen[tag.Name] || tag.Literal != "" && tag.From != nil {
			return fmt.Errorf("the tags are %+v", s.Tags)
		}
		seen[tag.Name] = true
	}
	if len(s.Classes) > annotation.MaxClasses || slices.ContainsFunc(s.Classes, func(name string) bool { return annotation.ValidClass(name) != nil }) {
		return fmt.Errorf("the classes are %q", s.Classes)
	}
	for _, m := range s.Mounts {
		if !strings.HasPrefix(m.MountPath, "/") {
			return fmt.Errorf("the mounts are %+v", s.Mounts)
		}
	}
	if len(s.Name) > annotation.MaxName || s.Name != "" && len(validation.IsDNS1123Label(s.Name)) > 0 {
		return fmt.Errorf("the name is %q", s.Name)
	}
	switch s.Container.PullPolicy {
	case "", corev1.PullAlways, corev1.PullNever, corev1.PullIfNotPresent:
	default:
		return fmt.Errorf("the pull policy is %q", s.Container.PullPolicy)
	}
	return nil
}
