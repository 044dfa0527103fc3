package access

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/holdfast-telemetry/holdfast/internal/nearest"
)

// Bounds of a rules file.
const (
	maxRulesFile    = 1 << 20 // bytes
	maxRules        = 1000
	maxRepositories = 100 // of a rule
	maxIssuers      = 50
	maxClaims       = 20 // of a rule
	maxErrors       = 20 // that are told at once
)

// RulesError is what is wrong in a rules file, and where.
type RulesError struct {
	File string
	Line int // from 1
	Text string
}

// Error is FILE:LINE: and the text.
func (e *RulesError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text) }

// ParseRules reads a rules file. Files that it names are looked for from its folder, and are read when they are needed. The error joins a
// *RulesError for each thing that is wrong.
func ParseRules(file string, text []byte) (*Rules, error) {
	p := parser{file: file}
	r := p.parse(text)
	if len(p.errs) > 0 {
		return nil, errors.Join(p.errs...)
	}
	return r, nil
}

type parser struct {
	file string
	errs []error
}

func (p *parser) fail(n *yaml.Node, format string, args ...any) {
	p.failAt(max(n.Line, 1), format, args...)
}

func (p *parser) failAt(line int, format string, args ...any) {
	if len(p.errs) < maxErrors {
		p.errs = append(p.errs, &RulesError{p.file, line, fmt.Sprintf(format, args...)})
	}
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// failYAML takes the line out of the library's error.
func (p *parser) failYAML(err error) {
	text, line := err.Error(), 1
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		text = text[len(m[0]):]
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = max(n, 1)
		}
	}
	p.failAt(line, "this is no YAML: %s", text)
}

func (p *parser) parse(text []byte) *Rules {
	if len(text) > maxRulesFile {
		p.failAt(1, "the file has %d bytes, and at most %d are read", len(text), maxRulesFile)
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var document, more yaml.Node
	if err := dec.Decode(&document); errors.Is(err, io.EOF) {
		p.failAt(1, "the file is empty: it needs rules:, which may be []")
		return nil
	} else if err != nil {
		p.failYAML(err)
		return nil
	}
	if err := dec.Decode(&more); err == nil {
		p.fail(&more, "a second document starts here; a rules file has one")
		return nil
	} else if !errors.Is(err, io.EOF) {
		p.failYAML(err)
		return nil
	}
	fields := p.mapping(document.Content[0], "a rules file", "issuers", "rules")
	r := &Rules{issuers: make(map[string]*Issuer)}
	if n := fields["issuers"]; n != nil {
		for _, n := range p.list(n, "issuers", maxIssuers) {
			if issuer := p.issuer(n); issuer != nil {
				if r.issuers[issuer.URL] != nil {
					p.fail(n, "the issuer %q is there twice", issuer.URL)
				}
				r.issuers[issuer.URL] = issuer
			}
		}
	}
	n := fields["rules"]
	if n == nil {
		if fields != nil {
			p.fail(document.Content[0], "rules: is missing; it may be []")
		}
		return nil
	}
	names := make(map[string]bool)
	for _, n := range p.list(n, "rules", maxRules) {
		rule := p.rule(n, r.issuers)
		if rule.name != "" && names[rule.name] {
			p.fail(n, "there are two rules %q", rule.name)
		}
		names[rule.name] = true
		r.rules = append(r.rules, rule)
	}
	return r
}

func (p *parser) issuer(n *yaml.Node) *Issuer {
	fields := p.mapping(n, "an issuer", "url", "audience", "keys_file", "ca_file")
	if fields == nil {
		return nil
	}
	url, audience := p.text(n, fields, "an issuer", "url"), p.text(n, fields, "an issuer", "audience")
	if url == "" || audience == "" {
		return nil
	}
	if err := checkURL(url); err != nil {
		p.fail(fields["url"], "the issuer %q: %v", url, err)
		return nil
	}
	issuer := NewIssuer(url, audience)
	for key, path := range map[string]*string{"keys_file": &issuer.KeysFile, "ca_file": &issuer.CAFile} {
		if fields[key] == nil {
			continue
		}
		*path = p.text(n, fields, "an issuer", key)
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(filepath.Dir(p.file), *path)
		}
	}
	if issuer.KeysFile != "" && issuer.CAFile != "" {
		p.fail(fields["ca_file"], "ca_file is for asking the issuer for its keys, and keys_file says not to: leave one out")
	}
	return issuer
}

func (p *parser) rule(n *yaml.Node, issuers map[string]*Issuer) rule {
	var r rule
	fields := p.mapping(n, "a rule", "name", OIDC, Token, Certificate, "repositories")
	if fields == nil {
		return r
	}
	if r.name = p.text(n, fields, "a rule", "name"); r.name != "" {
		if err := checkName(r.name); err != nil {
			p.fail(fields["name"], "%v", err)
		}
	}
	for _, kind := range []string{OIDC, Token, Certificate} {
		if fields[kind] == nil {
			continue
		}
		if r.kind != "" {
			p.fail(fields[kind], "the rule is for %s and %s: it is for one of oidc, token and certificate", r.kind, kind)
		}
		r.kind = kind
	}
	switch r.kind {
	case "":
		p.fail(n, "the rule is for nobody: it needs one of oidc, token and certificate")
	case OIDC:
		p.oidc(fields[OIDC], &r, issuers)
	case Token:
		if r.token = p.text(n, fields, "a rule", Token); r.token != "" {
			if err := checkName(r.token); err != nil {
				p.fail(fields[Token], "%v", err)
			}
		}
	case Certificate:
		if text := p.text(n, fields, "a rule", Certificate); text != "" {
			r.certificate = p.glob(fields[Certificate], text)
		}
	}
	list := fields["repositories"]
	if list == nil {
		p.fail(n, "the rule has no repositories")
		return r
	}
	nodes := p.list(list, "repositories", maxRepositories)
	if len(nodes) == 0 && list.Kind == yaml.SequenceNode {
		p.fail(list, "the rule has no repositories")
	}
	for _, n := range nodes {
		text, ok := p.scalar(n, "a repository")
		if !ok {
			continue
		}
		g, err := parseRepositories(text, r.kind == OIDC)
		if err != nil {
			p.fail(n, "%v", err)
			continue
		}
		r.repositories = append(r.repositories, g)
	}
	return r
}

func (p *parser) oidc(n *yaml.Node, r *rule, issuers map[string]*Issuer) {
	fields := p.mapping(n, OIDC, "issuer", "claims")
	if fields == nil {
		return
	}
	if r.issuer = p.text(n, fields, OIDC, "issuer"); r.issuer != "" && issuers[r.issuer] == nil {
		known := slices.Sorted(maps.Keys(issuers))
		p.fail(fields["issuer"], "issuers: has no %q%s", r.issuer, meant(r.issuer, known))
	}
	claims := fields["claims"]
	if claims == nil {
		p.fail(n, "the rule is for everybody who has a token of the issuer: it needs claims")
		return
	}
	values := p.mapping(claims, "claims")
	if values != nil && len(values) == 0 {
		p.fail(claims, "the rule is for everybody who has a token of the issuer: it needs claims")
	}
	if len(values) > maxClaims {
		p.fail(claims, "there are %d claims, and a rule has at most %d", len(values), maxClaims)
		return
	}
	r.claims = make(map[string]glob)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if text, ok := p.scalar(values[name], "the claim "+name); ok {
			r.claims[name] = p.glob(values[name], text)
			r.order = append(r.order, name)
		}
	}
}

func (p *parser) glob(n *yaml.Node, text string) glob {
	g, err := parseGlob(text, false)
	if err != nil {
		p.fail(n, "%v", err)
	}
	return g
}

// mapping returns the values of a mapping by their keys. It is nil when there is none. Keys must be among the known, when those are given.
func (p *parser) mapping(n *yaml.Node, what string, known ...string) map[string]*yaml.Node {
	if n.Kind != yaml.MappingNode {
		p.fail(n, "%s must be a mapping, with %s", what, listed(known))
		return nil
	}
	fields := make(map[string]*yaml.Node)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case k.Kind != yaml.ScalarNode:
			p.fail(k, "a key of %s must be a word", what)
		case len(known) > 0 && !slices.Contains(known, k.Value):
			p.fail(k, "%s has no %q%s", what, k.Value, meant(k.Value, known))
		case fields[k.Value] != nil:
			p.fail(k, "%s has %q twice", what, k.Value)
		default:
			fields[k.Value] = v
		}
	}
	return fields
}

func listed(words []string) string {
	if len(words) == 0 {
		return "names and values"
	}
	return strings.Join(words, ", ")
}

func meant(word string, known []string) string {
	if near := nearest.Of(word[:min(len(word), 100)], known); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}

func (p *parser) list(n *yaml.Node, what string, most int) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		p.fail(n, "%s must be a list", what)
		return nil
	}
	if len(n.Content) > most {
		p.fail(n, "%s has %d entries, and can have %d", what, len(n.Content), most)
		return nil
	}
	return n.Content
}

// text returns a field that must be there and be a string; "" when that was told.
func (p *parser) text(n *yaml.Node, fields map[string]*yaml.Node, what, key string) string {
	v := fields[key]
	if v == nil {
		p.fail(n, "%s needs %s", what, key)
		return ""
	}
	text, _ := p.scalar(v, key)
	return text
}

func (p *parser) scalar(n *yaml.Node, what string) (string, bool) {
	switch {
	case n.Kind == yaml.AliasNode:
		p.fail(n, "%s is an alias: write it out", what)
	case n.Kind != yaml.ScalarNode:
		p.fail(n, "%s must be a string", what)
	case n.Tag != "!!str":
		p.fail(n, "%s must be a string: write it in quotes", what)
	case n.Value == "":
		p.fail(n, "%s is empty", what)
	default:
		return n.Value, true
	}
	return "", false
}

// maxName bounds the names of rules and tokens, in bytes.
const maxName = 63

// checkName says whether a rule or a token can have a name: it goes into logs and file names of others.
func checkName(name string) error {
	ok := name != "" && len(name) <= maxName && name[0] != '-'
	for _, c := range name {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.')
	}
	if !ok {
		return fmt.Errorf("%.100q cannot be a name: letters, digits, hyphens, underscores and dots are wanted, at most %d", name, maxName)
	}
	return nil
}
