package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/node/cli/client"
)

type queryFlags struct {
	org                    orgFlags
	file, bucket, db, rp   string
	epoch                  string
	raw, csv, json, hidden bool
}

func (a *app) queryCommand() *cobra.Command {
	var conn connection
	var f queryFlags
	cmd := a.leaf("query [InfluxQL | @file | -]", "Execute an InfluxQL query", func(cmd *cobra.Command, args []string) error {
		s, err := a.open(cmd, &conn, printer{})
		if err != nil {
			return err
		}
		s.args = args
		return s.explain(s.query(cmd.Context(), f))
	})
	cmd.Long = `Execute an InfluxQL query given as the argument, in a file, or on stdin. Flux is not supported yet.

A bucket is the database of its own name; of a bucket named db/rp, db is the database and rp the retention policy. The answer is a table for
each series; --raw prints what the server sends (JSON lines), --json one JSON document, --csv the server's CSV.`
	cmd.Example = `  holdfast query --bucket telegraf 'SELECT mean(usage_user) FROM cpu WHERE time > now() - 1h GROUP BY time(5m), host'
  holdfast query 'SHOW DATABASES'`
	cmd.Args = oneArgument
	conn.addTo(cmd)
	conn.addTokenTo(cmd)
	f.addTo(cmd)
	return cmd
}

func (f *queryFlags) addTo(cmd *cobra.Command) {
	f.org.addTo(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&f.file, "file", "f", "", "Path to query `file`")
	flags.StringVarP(&f.bucket, "bucket", "b", "", "The name of the bucket to query")
	fromEnv(cmd, "bucket", "BUCKET_NAME")
	flags.StringVar(&f.db, "db", "", "The v1 database to query, instead of a bucket")
	flags.StringVar(&f.rp, "rp", "", "The v1 retention policy to query")
	rivals(cmd, "db", "bucket")
	flags.StringVar(&f.epoch, "epoch", "", "Print times as numbers of ns, u, ms, s, m or h since the epoch")
	flags.BoolVarP(&f.raw, "raw", "r", false, "Display raw query results")
	flags.BoolVar(&f.csv, "csv", false, "Output data as CSV")
	flags.BoolVar(&f.json, "json", false, "Output data as JSON")
	fromEnv(cmd, "json", "OUTPUT_JSON")
	flags.BoolVar(&f.hidden, "hide-headers", false, "Hide the table headers in output data")
	fromEnv(cmd, "hide-headers", "HIDE_HEADERS")
}

func (s *session) query(ctx context.Context, f queryFlags) (err error) {
	text, err := s.queryText(f.file)
	if err != nil {
		return err
	}
	if isFlux(text) {
		return usagef(s.cmd, "Flux is not supported yet: write the query in InfluxQL, for example SELECT mean(usage_user) FROM cpu WHERE time > now() - 1h GROUP BY time(5m)")
	}
	q := client.InfluxQL{Query: text, DB: f.db, RP: f.rp, Epoch: f.epoch, CSV: f.csv, Chunked: !f.json}
	if f.db != "" && f.bucket != "" {
		return usagef(s.cmd, "give --db or --bucket, not both")
	}
	if f.db == "" && f.bucket != "" {
		db, rp, _ := strings.Cut(f.bucket, "/")
		q.DB, q.RP = db, orElse(f.rp, rp)
	}
	body, err := s.client.Query(ctx, q)
	if err != nil {
		return fmt.Errorf("failed to execute query: %w", err)
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	switch {
	case f.raw || f.csv:
		if _, err := io.Copy(s.Out, body); err != nil {
			return fmt.Errorf("reading the answer: %w", err)
		}
		return nil
	case f.json:
		return s.printIndented(body)
	}
	return printAnswer(body, &columnWriter{out: s.Out, hideHeaders: f.hidden})
}

// queryText reads the query from the argument, a file or stdin.
func (s *session) queryText(file string) (string, error) {
	argument := ""
	if len(s.args) == 1 {
		argument = s.args[0]
	}
	if name, ok := strings.CutPrefix(argument, "@"); ok && file == "" {
		file, argument = name, ""
	}
	var text []byte
	var err error
	switch {
	case file != "" && argument != "":
		return "", usagef(s.cmd, "give the query as an argument or in a file, not both")
	case file != "":
		text, err = os.ReadFile(file)
	case argument == "" || argument == "-":
		text, err = io.ReadAll(s.In)
	default:
		text = []byte(argument)
	}
	if err != nil {
		return "", fmt.Errorf("reading the query: %w", err)
	}
	if text = bytes.TrimSpace(text); len(text) == 0 {
		return "", usagef(s.cmd, "no query provided")
	}
	return string(text), nil
}

// fluxForms are beginnings and operators that Flux has and InfluxQL has not.
var fluxForms = regexp.MustCompile(`\|>|(?i)^\s*(import\s+"|from\s*\(|buckets\s*\(\s*\)|option\s+\w+\s*=|\w+\s*=[^=~])`)

func isFlux(text string) bool { return fluxForms.MatchString(text) }

// printIndented prints one JSON document; errors of statements in it become the command's.
func (s *session) printIndented(body io.Reader) error {
	text, err := io.ReadAll(body)
	if err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, bytes.TrimSpace(text), "", "\t"); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	indented.WriteByte('\n')
	if _, err := indented.WriteTo(s.Out); err != nil {
		return err
	}
	return printAnswer(bytes.NewReader(text), discardSeries{})
}
