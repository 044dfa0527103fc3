package annotation

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/BurntSushi/toml"
	"k8s.io/apimachinery/pkg/util/validation"
)

// scrape reads the Prometheus input to generate: nil without a port, or when it is switched off.
func (p *parser) scrape() *Scrape {
	if v, ok := p.get("scrape"); ok {
		on, err := boolean(v.text)
		if err != nil {
			p.fail(v, "%v", err)
		}
		if !on {
			return nil
		}
	}
	_, one := p.get("port")
	_, several := p.get("ports")
	if !one && !several {
		p.portless("is not heeded without a port")
		return nil
	}
	s := &Scrape{Ports: p.ports(), Scheme: p.scheme(), Path: p.path(), MetricVersion: p.metricVersion(), NamePass: p.namePass()}
	p.credentials(s)
	if len(s.Ports) == 0 {
		p.noPort()
		return nil
	}
	return s
}

// noPort warns of a list of ports that has none, and of what is said of them.
func (p *parser) noPort() {
	if len(p.sidecar.Fatal()) > 0 {
		return // something is wrong that is said already
	}
	for _, short := range []string{"port", "ports"} {
		if v, ok := p.get(short); ok {
			p.warn(v, "names no port: nothing is scraped; name one, or take the annotation away")
		}
	}
	p.portless("is not heeded without a port")
}

// portless warns of what is said of a scrape that there is not.
func (p *parser) portless(message string) {
	for _, short := range []string{"path", "scheme", "metric-version", "namepass", "scrape-basic-auth-secret", "scrape-bearer-token-secret",
		"scrape-tls-secret", "scrape-tls-client", "scrape-tls-skip-verify", "scrape-tls-server-name"} {
		if v, ok := p.get(short); ok {
			p.warn(v, "%s", message)
		}
	}
}

// ports reads port and ports together.
func (p *parser) ports() (ports []int) {
	for _, short := range []string{"port", "ports"} {
		v, ok := p.get(short)
		if !ok {
			continue
		}
		for text := range strings.SplitSeq(v.text, ",") {
			if text = strings.TrimSpace(text); text == "" {
				continue
			}
			n, err := port(text)
			if err != nil {
				p.fail(v, "%v", err)
				continue
			}
			ports = append(ports, n)
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

func (p *parser) scheme() string {
	v, ok := p.get("scheme")
	if !ok {
		return "http"
	}
	scheme := strings.ToLower(strings.TrimSpace(v.text))
	if scheme != "http" && scheme != "https" {
		p.fail(v, "%s is neither http nor https", quote(v.text))
	}
	return scheme
}

func (p *parser) path() string {
	v, ok := p.get("path")
	if !ok {
		return "/metrics"
	}
	path := strings.TrimSpace(v.text)
	if strings.ContainsFunc(path, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) || r == '"' }) {
		p.fail(v, "%s is not a path: it has a blank, a quote or a control character; escape those as %%20 and the like", quote(v.text))
		return ""
	}
	if !strings.HasPrefix(path, "/") {
		p.warn(v, "%s has no leading slash; /%s is used", quote(v.text), shorten(path))
		path = "/" + path
	}
	return path
}

func (p *parser) metricVersion() int {
	v, ok := p.get("metric-version")
	if !ok {
		return 0
	}
	switch strings.TrimSpace(v.text) {
	case "1":
		return 1
	case "2":
		return 2
	}
	p.fail(v, "%s is neither 1 nor 2", quote(v.text))
	return 0
}

// namePass reads a list of patterns as the agent's file has it, ["a*", "b"], or its words with commas between them.
func (p *parser) namePass() []string {
	v, ok := p.get("namepass")
	if !ok {
		return nil
	}
	text := strings.TrimSpace(v.text)
	if !strings.HasPrefix(text, "[") && !strings.ContainsAny(text, `"'`) {
		names := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
		return names
	}
	if !strings.HasPrefix(text, "[") {
		text = "[" + text + "]"
	}
	var list struct{ Names []string }
	if meta, err := toml.Decode("names = "+text, &list); err != nil || len(meta.Keys()) != 1 {
		p.fail(v, `%s is not a list such as ["go_*", "http_*"]`, quote(v.text))
	}
	return list.Names
}

func (p *parser) credentials(s *Scrape) {
	s.BasicAuthSecret = p.objectName("scrape-basic-auth-secret")
	s.TLSSecret = p.objectName("scrape-tls-secret")
	s.TLSClient = p.flag("scrape-tls-client")
	s.TLSSkipVerify = p.flag("scrape-tls-skip-verify")
	if v, ok := p.get("scrape-tls-server-name"); ok {
		if s.TLSServerName = strings.TrimSpace(v.text); len(validation.IsDNS1123Subdomain(s.TLSServerName)) > 0 {
			p.fail(v, "%s is not a host name", quote(v.text))
		}
	}
	if v, ok := p.get("scrape-bearer-token-secret"); ok {
		text := strings.TrimSpace(v.text)
		if !strings.ContainsAny(text, "/.") {
			text += "/token"
		}
		var err error
		if s.BearerTokenSecret, s.BearerTokenKey, err = keyOf(text); err != nil {
			p.fail(v, "%v", err)
		}
	}
	if v, ok := p.get("scrape-tls-client"); ok && s.TLSClient && s.TLSSecret == "" {
		p.fail(v, "needs scrape-tls-secret, which names the Secret with tls.crt and tls.key")
	}
	for _, short := range []string{"scrape-tls-secret", "scrape-tls-skip-verify", "scrape-tls-server-name"} {
		if v, ok := p.get(short); ok && s.Scheme == "http" {
			p.warn(v, "is not heeded with scheme http")
		}
	}
}

// objectName reads the name of a Secret.
func (p *parser) objectName(short string) string {
	v, ok := p.get(short)
	if !ok {
		return ""
	}
	name := strings.TrimSpace(v.text)
	if err := object(name); err != nil {
		p.fail(v, "%v", err)
	}
	return name
}

func (p *parser) flag(short string) bool {
	v, ok := p.get(short)
	if !ok {
		return false
	}
	on, err := boolean(v.text)
	if err != nil {
		p.fail(v, "%v", err)
	}
	return on
}

// URLs are what the input scrapes.
func (s *Scrape) URLs() []string {
	urls := make([]string, len(s.Ports))
	for i, port := range s.Ports {
		urls[i] = fmt.Sprintf("%s://127.0.0.1:%d%s", s.Scheme, port, s.Path)
	}
	return urls
}
