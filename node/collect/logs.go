package collect

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/logger"
)

// logTarget is where the lines of Telegraf's logger go: it is one for the process, and importing it redirects the standard
// library's logger to it. The logger that was given last gets them, one line each.
var logTarget atomic.Pointer[logBridge]

// logBridge passes Telegraf's log lines to slog.
type logBridge struct {
	log *slog.Logger
	// levels holds what plugins set with log_level, by the logger's source: `inputs.cpu`, `inputs.cpu::alias`.
	levels map[string]telegraf.LogLevel
}

var slogLevels = map[telegraf.LogLevel]slog.Level{
	telegraf.Error: slog.LevelError,
	telegraf.Warn:  slog.LevelWarn,
	telegraf.Info:  slog.LevelInfo,
	telegraf.Debug: slog.LevelDebug,
	telegraf.Trace: slog.LevelDebug - 4,
}

// Without a sink Telegraf's logger keeps every line in memory for one that is set up later, so it gets one before anything
// can be logged.
func init() {
	logger.RedirectLogging(io.Discard)
	if _, err := logger.AddCallback(forwardLog); err != nil {
		logger.RedirectLogging(os.Stderr)
	}
}

func redirectLogs(l *slog.Logger, levels map[string]telegraf.LogLevel) {
	if fmt.Sprintf("%T", l.Handler()) == "*slog.defaultHandler" {
		// It prints through the standard library's logger, which would lead back here.
		log.SetOutput(os.Stderr)
	}
	logTarget.Store(&logBridge{log: l, levels: levels})
}

func forwardLog(level telegraf.LogLevel, at time.Time, source string, _ map[string]any, args ...any) {
	b := logTarget.Load()
	if b == nil {
		_, _ = fmt.Fprintln(os.Stderr, oneLine(fmt.Sprint(args...))) // nothing was loaded yet
		return
	}
	ctx := context.Background()
	to := slogLevels[level]
	if limit, set := b.levels[source]; set {
		if !limit.Includes(level) {
			return
		}
	} else if !b.log.Enabled(ctx, to) {
		return
	}
	record := slog.NewRecord(at, to, oneLine(fmt.Sprint(args...)), 0)
	if source != "" {
		record.AddAttrs(slog.String("plugin", source))
	}
	_ = b.log.Handler().Handle(ctx, record) // there is nowhere left to report that logging failed
}

var (
	colours     = regexp.MustCompile("\x1b\\[[0-9;]*m")
	credentials = regexp.MustCompile(`://[^/\s@"']+@`)
	parameters  = regexp.MustCompile(`(?i)\b(token|password|passwd|secret|api_?key|p)=([^&\s"']+)`)
	authHeader  = regexp.MustCompile(`(?i)\b(Token|Bearer|Basic) [A-Za-z0-9+/=_.~-]{8,}`)
)

// oneLine takes line ends, colours and what looks like credentials out of a message.
func oneLine(s string) string {
	s = colours.ReplaceAllString(s, "")
	s = credentials.ReplaceAllString(s, "://[secret]@")
	s = parameters.ReplaceAllString(s, "$1=[secret]")
	s = authHeader.ReplaceAllString(s, "$1 [secret]")
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
