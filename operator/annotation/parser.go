package annotation

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	v1alpha1 "github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
)

// known are the keys that are whole words; prefixes are those that a name follows.
var (
	known = []string{
		"class", "inputs", "internal", "interval", "inject",
		"port", "ports", "path", "scheme", "metric-version", "namepass",
		"scrape", "scrape-basic-auth-secret", "scrape-bearer-token-secret", "scrape-tls-secret", "scrape-tls-client",
		"scrape-tls-skip-verify", "scrape-tls-server-name",
		"image", "image-pull-policy", "agent", "mode", "watch-config", "health-port", "security-context", "buffer-volume", "buffer-size",
		"requests-cpu", "requests-memory", "limits-cpu", "limits-memory",
		"istio-requests-cpu", "istio-requests-memory", "istio-limits-cpu", "istio-limits-memory",
		"secret-env", "volume-mounts",
	}
	prefixes = []string{
		"env-fieldref-", "env-literal-", "env-configmapkeyref-", "env-secretkeyref-",
		"global-tag-literal-", "global-tag-fieldref-", "global-tag-label-", "global-tag-annotation-", "global-tag-configmapkeyref-",
	}
)

// Container is how a sidecar's container is made. Empty means as the class or the operator says.
type Container struct {
	Image           string
	PullPolicy      corev1.PullPolicy
	Agent           v1alpha1.Agent
	Mode            v1alpha1.Mode
	WatchConfig     v1alpha1.WatchConfig
	HealthPort      *int32
	SecurityContext *corev1.SecurityContext
	BufferVolume    string
	BufferSize      *resource.Quantity
	Resources       Resources
}

// Resources are requests and limits by name, such as requests-cpu.
type Resources map[string]Amount

// Amount is a quantity; None means that the request or limit is to be left out.
type Amount struct {
	Quantity resource.Quantity
	None     bool
}

// parser reads the annotations of one sidecar.
type parser struct {
	values  map[string]value
	sidecar Sidecar
	// known is set when some key asks for the sidecar; one that is misspelt does not.
	known bool
	// off is set when injection is switched off.
	off bool
}

func (p *parser) parse() {
	p.unknown()
	p.classes()
	p.sidecar.Scrape = p.scrape()
	p.sidecar.Inputs = p.inputs()
	p.sidecar.Interval = p.interval()
	p.sidecar.Internal = p.internal()
	p.sidecar.Tags = p.tags()
	p.sidecar.Env, p.sidecar.EnvFrom = p.env(), p.envFrom()
	p.sidecar.Mounts = p.mounts()
	p.sidecar.Container = p.container()
	p.name()
	p.inject()
}

// get returns the value of a key.
func (p *parser) get(short string) (value, bool) {
	v, ok := p.values[short]
	return v, ok
}

// fail reports a value for which the sidecar cannot be made as asked.
func (p *parser) fail(v value, format string, args ...any) {
	p.sidecar.Problems = append(p.sidecar.Problems, Problem{Key: v.key, Message: fmt.Sprintf(format, args...), Fatal: true})
}

// warn reports a value that is not used, or not as written.
func (p *parser) warn(v value, format string, args ...any) {
	p.sidecar.Problems = append(p.sidecar.Problems, Problem{Key: v.key, Message: fmt.Sprintf(format, args...)})
}

// unknown warns about keys that mean nothing, and notes whether some key means something.
func (p *parser) unknown() {
	for _, short := range slices.Sorted(maps.Keys(p.values)) {
		v := p.values[short]
		switch {
		case slices.Contains(known, short):
			if strings.HasPrefix(short, "istio-") && p.sidecar.Name != "" {
				p.warn(v, "is not heeded: Istio's sidecar has one only, and its keys have no NAME. before holdfast.dev/")
				continue
			}
			p.known = p.known || !strings.HasPrefix(short, "istio-")
		case short == "ignore":
			p.warn(v, "is a label, not an annotation; to leave a pod alone, set that label or the annotation %sinject to \"false\"", Holdfast)
		case slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(short, prefix) && len(short) > len(prefix) }):
			p.known = true
		case strings.HasPrefix(short, "env-configmapkey-"), strings.HasPrefix(short, "env-secretkey-"):
			p.warn(v, "is not a key; did you mean %s?", strings.Replace(short, "key-", "keyref-", 1))
		default:
			p.warn(v, "is not a key%s", suggest(short))
		}
	}
}

// MaxName bounds the name of a further sidecar, in bytes: with what is put around it, it names containers, volumes and annotations, which
// have 63 at most.
const MaxName = 40

// name refuses names that are too long.
func (p *parser) name() {
	if n := len(p.sidecar.Name); p.known && n > MaxName {
		v := p.values[slices.Min(slices.Collect(maps.Keys(p.values)))]
		p.fail(v, "the name of the sidecar has %d characters; it has %d at most", n, MaxName)
	}
}

// inject heeds the word that turns injection off; on is what any other key means already.
func (p *parser) inject() {
	v, ok := p.get("inject")
	if !ok {
		return
	}
	switch on, err := boolean(v.text); {
	case err != nil:
		p.fail(v, "%v", err)
	case !on:
		p.known, p.off = false, true
		p.sidecar.Problems = nil
	}
}

func (p *parser) classes() {
	v, ok := p.get("class")
	if !ok {
		return
	}
	for name := range strings.SplitSeq(v.text, ",") {
		name = strings.TrimSpace(name)
		switch err := ValidClass(name); {
		case err != nil:
			p.fail(v, "%v", err)
		case slices.Contains(p.sidecar.Classes, name):
			p.warn(v, "names class %q twice", name)
		default:
			p.sidecar.Classes = append(p.sidecar.Classes, name)
		}
	}
	if len(p.sidecar.Classes) > MaxClasses {
		p.fail(v, "names %d classes; a sidecar has at most %d", len(p.sidecar.Classes), MaxClasses)
	}
}

// MaxClasses bounds the classes of one sidecar.
const MaxClasses = 16

func (p *parser) inputs() string {
	v, ok := p.get("inputs")
	if !ok || strings.TrimSpace(v.text) == "" {
		return ""
	}
	return v.text
}

func (p *parser) interval() string {
	v, ok := p.get("interval")
	if !ok {
		return ""
	}
	text := strings.TrimSpace(v.text)
	d, err := interval(text)
	switch {
	case err != nil:
		p.fail(v, "%v", err)
		return text
	case d < shortest:
		p.warn(v, "%s is less than %s: the sidecar would do nothing else; write a number with its unit, such as 10s", quote(text), shortest)
	}
	if _, err := time.ParseDuration(text); err != nil {
		return d.String() // an input's own interval has neither days nor plain numbers in Telegraf
	}
	return text
}

// internal warns about other words, as they left the operator's default standing in telegraf-operator.
func (p *parser) internal() *bool {
	v, ok := p.get("internal")
	if !ok {
		return nil
	}
	on, err := boolean(v.text)
	if err != nil {
		p.warn(v, "%v; the operator's default is used", err)
		return nil
	}
	return &on
}
