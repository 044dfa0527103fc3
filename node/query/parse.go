package query

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/influxdata/influxql"
)

// ParseError tells that a request is no InfluxQL, or that its parameters are not what they must be. Nothing was executed;
// over HTTP it is a 400.
type ParseError struct{ Err error }

func (e *ParseError) Error() string { return "failed to parse query: " + e.Err.Error() }

func (e *ParseError) Unwrap() error { return e.Err }

const (
	defaultMaxQueryBytes = 1 << 20
	// maxQueryDepth is how deep parentheses may nest: the parser, and all that walks its tree, recurse.
	maxQueryDepth = 200
	// maxQueryOperators bounds chains like a OR b OR c…: the parser takes time with the square of their length (about 2 s here).
	maxQueryOperators = 3000
)

// parse reads the statements of a request.
func parse(text string, params []byte, maxBytes int) (influxql.Statements, error) {
	if maxBytes <= 0 {
		maxBytes = defaultMaxQueryBytes
	}
	if len(text) > maxBytes {
		return nil, &ParseError{fmt.Errorf("the query has %d bytes, more than the limit of %d", len(text), maxBytes)}
	}
	if strings.TrimSpace(text) == "" {
		return nil, &ParseError{errors.New("missing required parameter \"q\"")}
	}
	if err := checkDepth(text); err != nil {
		return nil, &ParseError{err}
	}
	p := influxql.NewParser(strings.NewReader(text))
	if len(bytes.TrimSpace(params)) > 0 {
		values, err := parseParams(params)
		if err != nil {
			return nil, &ParseError{fmt.Errorf("error parsing query parameters: %w", err)}
		}
		p.SetParams(values)
	}
	q, err := p.ParseQuery()
	if err != nil {
		return nil, &ParseError{err}
	}
	return q.Statements, nil
}

// parseParams reads the JSON object that gives $names their values. Numbers with a point are floats, others integers.
func parseParams(text []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var values map[string]any
	if err := d.Decode(&values); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	for k, v := range values {
		n, ok := v.(json.Number)
		if !ok {
			continue
		}
		var err error
		if strings.ContainsAny(n.String(), ".eE") {
			values[k], err = n.Float64()
		} else {
			values[k], err = n.Int64()
		}
		if err != nil {
			return nil, fmt.Errorf("parameter %q: %w", k, err)
		}
	}
	return values, nil
}

// checkDepth refuses text whose tree would be so deep that walking it could exhaust the stack, which ends a Go process.
func checkDepth(text string) error {
	s := influxql.NewScanner(strings.NewReader(text))
	depth, operators := 0, 0
	for {
		tok, _, _ := s.Scan()
		switch {
		case tok == influxql.EOF:
			return nil
		case tok == influxql.LPAREN:
			depth++
		case tok == influxql.RPAREN:
			depth--
		case tok == influxql.SEMICOLON:
			operators = 0
		case tok >= influxql.ADD && tok <= influxql.GTE:
			operators++
		}
		if depth > maxQueryDepth {
			return fmt.Errorf("parentheses nest deeper than %d", maxQueryDepth)
		}
		if operators > maxQueryOperators {
			return fmt.Errorf("a statement has more than %d operators", maxQueryOperators)
		}
	}
}
