package node

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/holdfast-telemetry/holdfast/internal/version"
	"github.com/holdfast-telemetry/holdfast/node/collect"
	"github.com/holdfast-telemetry/holdfast/node/collect/conf"
	"github.com/holdfast-telemetry/holdfast/node/settings"
)

// RunOptions are the arguments of `holdfast run`.
type RunOptions struct {
	// Config are files or URLs of configuration, ConfigDirectory folders of files ending in .conf and of holdfast.toml; files come first.
	Config, ConfigDirectory []string
	// Data is the data folder; Listen is the HTTP address, host:port. They win over the configuration.
	Data, Listen string
	// Test gathers each input once, prints the points and ends. TestWait, in seconds, is how long to wait for service inputs then.
	Test     bool
	TestWait int
	// Once gathers each input once, stores and replicates the points, and ends.
	Once bool
	// Check loads the configuration and checks it as a start would, and ends. Nothing is started or written.
	Check bool
	// WatchConfig is "notify" or "poll": the configuration is loaded again when its files change.
	WatchConfig string
	// Quiet logs errors only, Debug everything.
	Quiet, Debug bool
	// The filters are the names of the plugins to use; empty means all that are configured.
	InputFilter, OutputFilter, ProcessorFilter, AggregatorFilter []string
}

// Build is what the program says of itself.
type Build = version.Build

// configuration is what a node is started with.
type configuration struct {
	settings settings.Settings
	inputs   *collect.Config
	logger   *slog.Logger
}

// sources is where the configuration is: where the options say, or else in the default places.
func (o RunOptions) sources() conf.Sources {
	env := conf.Lookup(os.LookupEnv)
	s := conf.Sources{Files: o.Config, Directories: o.ConfigDirectory, Parse: conf.ParseOptions{Env: env}}
	if len(s.Files)+len(s.Directories) == 0 {
		s.Files, s.Directories = conf.DefaultSources(env)
	}
	return s
}

// load reads the configuration from where the options say, or else from the default places, or else makes the default one. Without a
// logger it makes the one that the configuration asks for.
func load(ctx context.Context, o RunOptions, logger *slog.Logger) (c configuration, err error) {
	sources := o.sources()
	tables, warnings, err := conf.Read(ctx, sources)
	if err != nil {
		return c, err
	}
	if len(sources.Files)+len(sources.Directories) == 0 {
		text, notes := collect.DefaultText()
		warnings = append(warnings, notes...)
		if tables, err = conf.Parse("default configuration", []byte(text), sources.Parse); err != nil {
			return c, err
		}
	}
	if c.settings, err = settings.Decode(tables); err != nil {
		return c, err
	}
	if err := complete(&c.settings, o); err != nil {
		return c, fmt.Errorf("data folder: %w", err)
	}
	if c.logger = logger; logger == nil {
		c.logger = newLogger(c.settings.Node, o)
		slog.SetDefault(c.logger) // Telegraf's packages log through the standard logger
	}
	for _, w := range warnings {
		c.logger.Warn(w)
	}
	c.inputs, err = collect.Load(tables, collect.LoadOptions{
		Others: settings.Tables, Logger: c.logger,
		InputFilter: o.InputFilter, OutputFilter: o.OutputFilter, ProcessorFilter: o.ProcessorFilter, AggregatorFilter: o.AggregatorFilter,
	})
	if err != nil {
		return c, err
	}
	for _, note := range c.inputs.Notes {
		c.logger.Warn(note)
	}
	if err := c.inputs.Check(); err != nil {
		return c, err
	}
	return c, nil
}

// What holds where the configuration is silent. Loopback: what is not asked for is not reachable.
const (
	defaultListen       = "127.0.0.1:8086"
	defaultData         = "holdfast-data"
	defaultJournalBytes = 1 << 30
)

// complete fills in defaults and what the command line says.
func complete(s *settings.Settings, o RunOptions) (err error) {
	for _, v := range []struct {
		set     *string
		command string
		normal  string
	}{
		{&s.Node.Listen, o.Listen, defaultListen},
		{&s.Node.Data, o.Data, defaultData},
	} {
		if v.command != "" {
			*v.set = v.command
		} else if *v.set == "" {
			*v.set = v.normal
		}
	}
	if s.Journal.MaxBytes == 0 {
		s.Journal.MaxBytes = defaultJournalBytes
	}
	s.Node.Data, err = filepath.Abs(s.Node.Data)
	return err
}

// newLogger logs to the standard error output; the command line wins over the configuration.
func newLogger(s settings.Node, o RunOptions) *slog.Logger {
	var level slog.Level
	switch {
	case o.Debug:
		level = slog.LevelDebug
	case o.Quiet:
		level = slog.LevelError
	default:
		_ = level.UnmarshalText([]byte(s.LogLevel)) // it was checked; empty leaves info
	}
	h := &slog.HandlerOptions{Level: level}
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, h))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, h))
}
