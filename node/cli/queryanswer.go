package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// answerSeries is one series, or a part of one, in the answer to a query.
type answerSeries struct {
	Name    string            `json:"name"`
	Tags    map[string]string `json:"tags"`
	Columns []string          `json:"columns"`
	Values  [][]any           `json:"values"`
	// Partial tells that the series goes on in the next document.
	Partial bool `json:"partial"`
}

type answerResult struct {
	Statement int            `json:"statement_id"`
	Series    []answerSeries `json:"series"`
	Messages  []struct {
		Level string `json:"level"`
		Text  string `json:"text"`
	} `json:"messages"`
	Error string `json:"error"`
}

// seriesWriter prints series one after the other. continued tells that the series began before.
type seriesWriter interface {
	series(s *answerSeries, continued bool) error
	message(level, text string) error
}

// printAnswer prints the documents of an answer as they arrive. Errors of statements are returned after everything else is printed.
func printAnswer(body io.Reader, out seriesWriter) error {
	dec := json.NewDecoder(body)
	dec.UseNumber() // 64-bit integers do not fit a float
	var failed []error
	continued := false
	for {
		var document struct {
			Results []answerResult `json:"results"`
			Error   string         `json:"error"`
		}
		err := dec.Decode(&document)
		if errors.Is(err, io.EOF) {
			return errors.Join(failed...)
		}
		if err != nil {
			return fmt.Errorf("reading the answer: %w", err)
		}
		if document.Error != "" {
			failed = append(failed, errors.New(document.Error))
		}
		for _, result := range document.Results {
			if result.Error != "" {
				failed = append(failed, fmt.Errorf("statement %d: %s", result.Statement+1, result.Error))
			}
			for _, m := range result.Messages {
				if err := out.message(m.Level, m.Text); err != nil {
					return err
				}
			}
			for i := range result.Series {
				if err := out.series(&result.Series[i], continued); err != nil {
					return err
				}
				continued = result.Series[i].Partial
			}
		}
	}
}

type discardSeries struct{}

func (discardSeries) series(*answerSeries, bool) error { return nil }
func (discardSeries) message(string, string) error     { return nil }

// columnWriter prints each series as a table under its name and tags.
type columnWriter struct {
	out         io.Writer
	hideHeaders bool
	// begun tells that something stands above, from which a blank line separates.
	begun bool
}

func (c *columnWriter) message(level, text string) error {
	_, err := fmt.Fprintf(c.out, "%s: %s\n", level, text)
	return err
}

func (c *columnWriter) series(s *answerSeries, continued bool) error {
	if !continued {
		if err := c.head(s); err != nil {
			return err
		}
	}
	w := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
	if !c.hideHeaders && !continued {
		rules := make([]string, len(s.Columns))
		for i, name := range s.Columns {
			rules[i] = strings.Repeat("-", len(name))
		}
		if err := writeCells(w, s.Columns, rules); err != nil {
			return err
		}
	}
	cells := make([]string, 0, len(s.Columns))
	for _, row := range s.Values {
		cells = cells[:0]
		for _, v := range row {
			cells = append(cells, valueText(v))
		}
		if err := writeCells(w, cells); err != nil {
			return err
		}
	}
	return w.Flush()
}

func (c *columnWriter) head(s *answerSeries) error {
	var b bytes.Buffer
	if c.begun {
		b.WriteByte('\n')
	}
	c.begun = true
	if s.Name != "" && !c.hideHeaders {
		fmt.Fprintf(&b, "name: %s\n", cellText(s.Name))
	}
	if len(s.Tags) > 0 && !c.hideHeaders {
		pairs := make([]string, 0, len(s.Tags))
		for key, value := range s.Tags {
			pairs = append(pairs, cellText(key+"="+value))
		}
		slices.Sort(pairs)
		fmt.Fprintf(&b, "tags: %s\n", strings.Join(pairs, ", "))
	}
	_, err := b.WriteTo(c.out)
	return err
}

// writeCells writes rows whose last column is not padded.
func writeCells(w io.Writer, rows ...[]string) error {
	for _, cells := range rows {
		if _, err := fmt.Fprintln(w, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return nil
}

// valueText prints a value; null is nothing.
func valueText(v any) string {
	if v == nil {
		return ""
	}
	return cellText(v)
}
