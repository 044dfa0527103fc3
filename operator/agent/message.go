package agent

import (
	"regexp"
	"strings"

	"github.com/influxdata/toml/ast"
)

var (
	colours = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")
	stamp   = regexp.MustCompile(`^\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d\S*\s+`)
	level   = regexp.MustCompile(`^[EWIDT]! `)
	userOf  = regexp.MustCompile(`://[^/@\s"']*@`)
)

// maxMessage bounds a message in bytes: it goes into conditions and events, whose messages are bounded too.
const maxMessage = 600

// usefulLine is what the agent's log says about the error that it ended with: the last line of level E with what follows it, or the
// start of a crash, or the last line that says anything, without colours, time and level.
func usefulLine(log string) string {
	var found []string
	inError := false
	for line := range strings.Lines(colours.ReplaceAllString(log, "")) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return cut("the agent crashed: " + line)
		}
		stamped := stamp.MatchString(line)
		line = stamp.ReplaceAllString(line, "")
		reason, isError := strings.CutPrefix(line, "E! ")
		if !isError {
			reason, isError = strings.CutPrefix(line, "Error: ") // what holdfast ends with
		}
		switch {
		case isError:
			found, inError = []string{reason}, true
		case inError && !stamped && !level.MatchString(line):
			found = append(found, line)
		case !inError:
			found = []string{level.ReplaceAllString(line, "")}
		}
	}
	return cut(strings.Join(found, " "))
}

func cut(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxMessage], "") + "…"
}

var secretKey = regexp.MustCompile(`(?i)pass|token|secret|credential|auth|dsn|community|private|_key$|^key$`)

// redact takes out of a message what the files give as passwords, tokens and the like: agents quote values that they cannot read.
func redact(message string, files []File) string {
	message = userOf.ReplaceAllString(message, "://…@")
	for _, f := range files {
		if tree, err := parse(f); err == nil {
			eachSecret(tree, false, func(secret string) {
				if len(secret) >= 3 && !strings.HasPrefix(secret, "$") {
					message = strings.ReplaceAll(message, secret, "…")
				}
			})
		}
	}
	return message
}

// eachSecret calls f with every text whose key says that it is secret, or stands in a table whose name does.
func eachSecret(node any, secret bool, f func(string)) {
	switch n := node.(type) {
	case *ast.Table:
		for key, value := range n.Fields {
			eachSecret(value, secret || secretKey.MatchString(key), f)
		}
	case []*ast.Table:
		for _, table := range n {
			eachSecret(table, secret, f)
		}
	case *ast.KeyValue:
		eachSecret(n.Value, secret, f)
	case *ast.Array:
		for _, value := range n.Value {
			eachSecret(value, secret, f)
		}
	case *ast.String:
		if secret {
			f(n.Value)
		}
	case *ast.Integer:
		if secret {
			f(n.Value)
		}
	}
}
