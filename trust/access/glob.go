package access

import (
	"fmt"
	"slices"
	"strings"
)

// glob is a pattern for a whole string: text for itself, * for anything without a slash, ** for anything, and ${claim} for the value of a
// claim, which is text.
type glob []part

type part struct {
	kind kind
	text string // of literal; the name of claim
	fold bool   // of claim: its value is taken in lower case
}

type kind byte

const (
	literal kind = iota
	star
	doubleStar
	claim
)

const (
	maxPattern = 512 // bytes of a pattern in the rules
	maxClaim   = 255 // bytes of a claim's value that stands in a repository's name
)

// parseGlob reads a pattern. Claims are errors unless they are wanted.
func parseGlob(text string, claims bool) (glob, error) {
	if text == "" || len(text) > maxPattern {
		return nil, fmt.Errorf("a pattern has 1 to %d bytes, not %d", maxPattern, len(text))
	}
	var g glob
	for rest := text; rest != ""; {
		var p part
		switch {
		case strings.HasPrefix(rest, "***"):
			return nil, fmt.Errorf("%q has ***: * matches within a segment, ** across segments", text)
		case strings.HasPrefix(rest, "**"):
			p, rest = part{kind: doubleStar}, rest[2:]
		case rest[0] == '*':
			p, rest = part{kind: star}, rest[1:]
		case strings.HasPrefix(rest, "${"):
			name, after, ok := strings.Cut(rest[2:], "}")
			name, filter, filtered := strings.Cut(name, "|")
			if !ok || name == "" || strings.ContainsAny(name, "${*/ ") || filtered && filter != "lower" {
				return nil, fmt.Errorf("%q has a claim that is not written ${NAME} or ${NAME|lower}", text)
			}
			if !claims {
				return nil, fmt.Errorf("%q has the claim %s, and claims have a value only in the repositories of a rule for oidc", text, name)
			}
			p, rest = part{kind: claim, text: name, fold: filtered}, after
		default:
			end := strings.IndexByte(rest, '*')
			if dollar := strings.Index(rest, "${"); dollar >= 0 && (end < 0 || dollar < end) {
				end = dollar
			}
			if end < 0 {
				end = len(rest)
			}
			p, rest = part{text: rest[:end]}, rest[end:]
		}
		g = append(g, p)
	}
	return g, nil
}

// match says whether the whole of s is as the pattern says. Claims match nothing; bind replaces them.
//
// It goes back at most to the last * and the last **: what an earlier one could take as well cannot make a later part match that does
// not match now. So its time is bounded by the product of both lengths.
func (g glob) match(s string) bool {
	type mark struct{ part, at int }
	none := mark{part: -1}
	single, double := none, none // where to go on after letting the last * or ** take one byte more
	i, at := 0, 0
	for {
		if i == len(g) && at == len(s) {
			return true
		}
		if i < len(g) {
			switch p := g[i]; {
			case p.kind == doubleStar:
				i++
				double, single = mark{i, at}, none
				continue
			case p.kind == star:
				i++
				single = mark{i, at}
				continue
			case p.kind == literal && strings.HasPrefix(s[at:], p.text):
				i, at = i+1, at+len(p.text)
				continue
			}
		}
		switch {
		case single != none && single.at < len(s) && s[single.at] != '/':
			single.at++
			i, at = single.part, single.at
		case double != none && double.at < len(s):
			double.at++
			i, at, single = double.part, double.at, none
		default:
			return false
		}
	}
}

// bind puts the values of claims in their places, as text. A value must be a piece of a repository's path, so that it can neither
// leave the place nor be read as a pattern.
func (g glob) bind(claims map[string]string) (glob, error) {
	bound := slices.Clone(g)
	for i, p := range g {
		if p.kind != claim {
			continue
		}
		value, ok := claims[p.text]
		if !ok {
			return nil, fmt.Errorf("the token has no claim %s that is a string", p.text)
		}
		if p.fold {
			value = strings.ToLower(value)
		}
		if err := checkValue(value); err != nil {
			return nil, fmt.Errorf("the claim %s is %.100q: %w", p.text, value, err)
		}
		bound[i] = part{text: value}
	}
	return bound, nil
}

func checkValue(value string) error {
	if len(value) > maxClaim {
		return fmt.Errorf("at most %d bytes can be part of a repository's name", maxClaim)
	}
	for i := range len(value) {
		if c := value[i]; 'A' <= c && c <= 'Z' {
			return fmt.Errorf("capitals cannot be part of a repository's name; ${NAME|lower} takes the value in lower case")
		} else if !pathByte(c) {
			return fmt.Errorf("%q cannot be part of a repository's name", c)
		}
	}
	return checkSegments(value)
}

// parseRepositories reads a pattern for repositories. It is completed as the name of a repository is: what has no registry is on Docker
// Hub, and one segment there is under library/.
func parseRepositories(text string, claims bool) (glob, error) {
	registry, path, found := strings.Cut(text, "/")
	first := registry
	hosted := found && (registry == "localhost" || strings.ContainsAny(registry, ".:") && !strings.Contains(registry, "**"))
	switch {
	case strings.Contains(text, "@"):
		return nil, fmt.Errorf("%q has a digest: a rule grants repositories", text)
	case hosted && strings.Contains(registry, "${"):
		return nil, fmt.Errorf("%q takes the registry from a claim: write the registry out", text)
	case !hosted && strings.Contains(text, "${"):
		return nil, fmt.Errorf("%q has a claim and no registry: write the registry before it, as in reg.example/${repository}", text)
	case hosted && (registry == "docker.io" || registry == "index.docker.io"):
		registry = "index.docker.io"
	case hosted:
	case strings.Contains(first, "**"):
		registry, path = "", text // any registry
	default:
		registry, path = "index.docker.io", text
	}
	if registry == "index.docker.io" && !strings.Contains(path, "/") && !strings.Contains(path, "**") && !strings.Contains(path, "${") {
		path = "library/" + path
	}
	for i := range len(registry) {
		if c := registry[i]; !registryByte(c) && c != '*' {
			return nil, fmt.Errorf("%q cannot match: %q is not part of a registry's name, which is in lower case", text, c)
		}
	}
	whole := path
	if registry != "" {
		whole = registry + "/" + path
	}
	g, err := parseGlob(whole, claims)
	if err != nil {
		return nil, err
	}
	for i, p := range g {
		if p.kind != literal {
			continue
		}
		t := p.text
		if i == 0 {
			t = strings.TrimPrefix(t, registry)
		}
		if c, bad := firstBad(t, registry == "" || i > 0 && strings.Contains(registry, "*")); bad {
			return nil, fmt.Errorf("%q cannot match: %q is not part of a repository's name, which is in lower case and here without a tag", text, c)
		}
	}
	if err := checkSegments(whole); err != nil {
		return nil, fmt.Errorf("%q cannot match: %w", text, err)
	}
	return g, nil
}

// Repositories are patterns for repositories, as those of rules are.
type Repositories []glob

// ParseRepositories reads patterns. Claims are errors in them.
func ParseRepositories(patterns []string) (Repositories, error) {
	var all Repositories
	for _, text := range patterns {
		g, err := parseRepositories(text, false)
		if err != nil {
			return nil, err
		}
		all = append(all, g)
	}
	return all, nil
}

// Match says whether one of the patterns is for a repository, which is named as ParseRepository names it.
func (r Repositories) Match(repository string) bool {
	return slices.ContainsFunc(r, func(g glob) bool { return g.match(repository) })
}

// firstBad finds a byte that no repository has; in a piece that may belong to the registry, the registry's bytes are good.
func firstBad(text string, registry bool) (byte, bool) {
	for i := range len(text) {
		if c := text[i]; !pathByte(c) && !(registry && registryByte(c)) {
			return c, true
		}
	}
	return 0, false
}
