package store

import (
	"errors"
	"fmt"
	"strings"
)

// ErrFieldPredicate tells that a delete predicate names a field, which deletes cannot select by.
var ErrFieldPredicate = errors.New("delete predicates on _field are not supported: a delete removes whole points")

// ParsePredicate reads the predicate of a delete request, `_measurement="m" AND tag="v"`, and returns its conditions for a Delete.
// Comparisons are = and !=, joined by AND; names may be bare or in double quotes, values in double or single quotes. An
// empty predicate matches everything. Source of the rules: InfluxDB 2, POST /api/v2/delete.
func ParsePredicate(text string) (measurement *TagMatcher, tags []TagMatcher, err error) {
	p := predicateParser{rest: text}
	if p.space(); p.rest == "" {
		return nil, nil, nil
	}
	for {
		m, err := p.condition()
		if err != nil {
			return nil, nil, fmt.Errorf("bad delete predicate at byte %d: %w", len(text)-len(p.rest), err)
		}
		switch {
		case m.Key == "_field":
			return nil, nil, ErrFieldPredicate
		case m.Key != "_measurement":
			tags = append(tags, m)
		case measurement != nil:
			return nil, nil, errors.New("bad delete predicate: _measurement is compared twice")
		default:
			m.Key = ""
			measurement = &m
		}
		if p.space(); p.rest == "" {
			return measurement, tags, nil
		}
		if err := p.and(); err != nil {
			return nil, nil, fmt.Errorf("bad delete predicate at byte %d: %w", len(text)-len(p.rest), err)
		}
	}
}

type predicateParser struct{ rest string }

func (p *predicateParser) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

func (p *predicateParser) and() error {
	if len(p.rest) < 3 || !strings.EqualFold(p.rest[:3], "and") || len(p.rest) > 3 && bareByte(p.rest[3]) {
		return errors.New("only AND may join comparisons")
	}
	p.rest = p.rest[3:]
	p.space()
	return nil
}

// condition reads `name = "value"` or `name != "value"`.
func (p *predicateParser) condition() (TagMatcher, error) {
	var m TagMatcher
	var err error
	if m.Key, err = p.name(); err != nil {
		return m, err
	}
	p.space()
	switch {
	case strings.HasPrefix(p.rest, "=~"), strings.HasPrefix(p.rest, "!~"):
		return m, errors.New("regular expressions are not supported")
	case strings.HasPrefix(p.rest, "!="):
		m.Op, p.rest = MatchNotEqual, p.rest[2:]
	case strings.HasPrefix(p.rest, "="):
		m.Op, p.rest = MatchEqual, p.rest[1:]
	default:
		return m, fmt.Errorf("expected = or != after %q", m.Key)
	}
	p.space()
	if p.rest == "" {
		return m, errors.New("expected a value")
	}
	if p.rest[0] == '"' || p.rest[0] == '\'' {
		m.Value, err = p.quoted()
	} else {
		m.Value, err = p.bare("a value")
	}
	return m, err
}

func (p *predicateParser) name() (string, error) {
	if p.rest != "" && p.rest[0] == '"' {
		return p.quoted()
	}
	return p.bare("the name of a tag")
}

func bareByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.' || c == '/' || c == ':' || c >= 0x80
}

func (p *predicateParser) bare(what string) (string, error) {
	n := 0
	for n < len(p.rest) && bareByte(p.rest[n]) {
		n++
	}
	if n == 0 {
		return "", errors.New("expected " + what)
	}
	s := p.rest[:n]
	p.rest = p.rest[n:]
	return s, nil
}

// quoted reads a quoted text. A backslash stands before a quote or a backslash that belongs to it.
func (p *predicateParser) quoted() (string, error) {
	quote := p.rest[0]
	var out []byte
	for i := 1; i < len(p.rest); i++ {
		c := p.rest[i]
		if c == '\\' && i+1 < len(p.rest) && (p.rest[i+1] == quote || p.rest[i+1] == '\\') {
			i++
			out = append(out, p.rest[i])
			continue
		}
		if c == quote {
			p.rest = p.rest[i+1:]
			return string(out), nil
		}
		out = append(out, c)
	}
	return "", errors.New("a quote is not closed")
}
