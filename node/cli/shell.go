package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/holdfast-telemetry/holdfast/node/cli/client"
)

const shellHelp = `Statements of InfluxQL are sent to the server. Commands of the shell:
  use DB[.RP]                  choose database and retention policy of what follows
  insert [into DB[.RP]] LINE   write one line of line protocol
  precision UNIT               show and write times as rfc3339, ns, u, ms, s, m or h
  clear database|rp            forget the database or the retention policy
  settings                     show what is chosen
  help, exit, quit
`

func (a *app) shellCommand() *cobra.Command {
	cmd := a.online("shell", "Start an InfluxQL shell", func(ctx context.Context, s *session) error {
		columns := columnWriter{out: s.Out, hideHeaders: s.hideHeaders}
		return (&shell{session: s, precision: "rfc3339", columns: columns}).run(ctx)
	})
	cmd.Long = "Start an InfluxQL shell, which reads statements from lines of stdin.\n\n" + shellHelp
	return cmd
}

// shell reads lines and answers them.
type shell struct {
	*session
	db, rp, precision string
	columns           columnWriter
}

// run ends with the input, the context, or the word exit. Where nobody types, the first error ends it too.
func (sh *shell) run(ctx context.Context) error {
	build, version, err := sh.client.Ping(ctx)
	if err != nil {
		return fmt.Errorf("unable to connect: %w", err)
	}
	file, ok := sh.In.(*os.File)
	typed := ok && term.IsTerminal(int(file.Fd()))
	if typed {
		if _, err := fmt.Fprintf(sh.Out, "Connected to %s %s at %s; help lists the commands\n", build, version, sh.client.Host()); err != nil {
			return err
		}
	}
	in := &prompter{in: bufio.NewReader(sh.In)}
	for {
		if typed {
			if _, err := fmt.Fprintf(sh.Out, "%s> ", sh.place()); err != nil {
				return err
			}
		}
		text, err := in.await(ctx, in.line)
		if errors.Is(err, io.EOF) || errors.Is(err, context.Canceled) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the statements: %w", err)
		}
		done, err := sh.do(ctx, strings.TrimSpace(text))
		if done {
			return nil
		}
		if err == nil {
			continue
		}
		if !typed {
			return err
		}
		if _, err := fmt.Fprintf(sh.Err, "ERR: %v\n", sh.explain(err)); err != nil {
			return err
		}
	}
}

func (sh *shell) place() string {
	if sh.rp != "" {
		return sh.db + "." + sh.rp
	}
	return sh.db
}

func (sh *shell) do(ctx context.Context, text string) (done bool, err error) {
	word, rest, _ := strings.Cut(strings.TrimSuffix(text, ";"), " ")
	rest = strings.TrimSpace(rest)
	switch strings.ToLower(word) {
	case "":
		return false, nil
	case "exit", "quit":
		return true, nil
	case "help":
		_, err = io.WriteString(sh.Out, shellHelp)
	case "settings":
		_, err = fmt.Fprintf(sh.Out, "database: %s\nretention policy: %s\nprecision: %s\n", sh.db, sh.rp, sh.precision)
	case "use":
		err = sh.use(rest)
	case "clear":
		err = sh.clear(rest)
	case "precision":
		err = sh.setPrecision(rest)
	case "insert":
		err = sh.insert(ctx, rest)
	default:
		err = sh.ask(ctx, text)
	}
	return false, err
}

// place of a statement: a database, and behind a dot a retention policy, each in quotes if need be.
var placeForm = regexp.MustCompile(`^(?:"([^"]+)"|([^\s".]+))(?:\.(?:"([^"]+)"|([^\s".]+)))?(?:\s+|$)`)

// cutPlace splits the place off the text's beginning.
func cutPlace(text string) (db, rp, rest string, ok bool) {
	m := placeForm.FindStringSubmatch(text)
	if m == nil {
		return "", "", text, false
	}
	return m[1] + m[2], m[3] + m[4], text[len(m[0]):], true
}

func (sh *shell) use(text string) error {
	db, rp, rest, ok := cutPlace(text)
	if !ok || rest != "" {
		return errors.New("write: use DB or use DB.RP, with quotes around names that hold spaces or dots")
	}
	sh.db, sh.rp = db, rp
	return nil
}

func (sh *shell) clear(what string) error {
	switch strings.ToLower(what) {
	case "database", "db":
		sh.db, sh.rp = "", ""
	case "retention policy", "rp":
		sh.rp = ""
	default:
		return errors.New("write: clear database, or clear rp")
	}
	return nil
}

func (sh *shell) setPrecision(unit string) error {
	switch unit = strings.ToLower(unit); unit {
	case "rfc3339", "ns", "u", "ms", "s", "m", "h":
		sh.precision = unit
		return nil
	case "us":
		sh.precision = "u"
		return nil
	}
	return fmt.Errorf("precision %q is not understood: it is rfc3339, ns, u, ms, s, m or h", unit)
}

// epoch is the precision as the server knows it: it has no word for RFC 3339.
func (sh *shell) epoch() string {
	if sh.precision == "rfc3339" {
		return ""
	}
	return sh.precision
}

var intoWord = regexp.MustCompile(`(?i)^into\s+`)

func (sh *shell) insert(ctx context.Context, text string) error {
	db, rp := sh.db, sh.rp
	if into := intoWord.FindString(text); into != "" {
		var ok bool
		if db, rp, text, ok = cutPlace(text[len(into):]); !ok {
			return errors.New("write: insert into DB or DB.RP, then a line of line protocol")
		}
	}
	if db == "" {
		return errors.New("no database is chosen: write use DB, or insert into DB")
	}
	return sh.client.WriteV1(ctx, db, rp, sh.epoch(), []byte(text+"\n"))
}

func (sh *shell) ask(ctx context.Context, text string) (err error) {
	body, err := sh.client.Query(ctx, client.InfluxQL{Query: text, DB: sh.db, RP: sh.rp, Epoch: sh.epoch(), Chunked: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	if sh.json {
		_, err = io.Copy(sh.Out, body)
		return err
	}
	return printAnswer(body, &sh.columns)
}
