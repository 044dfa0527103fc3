package cli

import (
	"errors"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/internal/commandline"
)

// RunOptions are what the flags of `run` say. Empty means that the flag was not given: the node's configuration decides.
type RunOptions struct {
	// Config are files or URLs of configuration, ConfigDirectory folders of files ending in .conf and of holdfast.toml; files come first.
	Config, ConfigDirectory []string
	// Data is the data folder; Listen is the HTTP address, host:port.
	Data, Listen string
	// Test gathers each input once, prints the points and ends. TestWait, in seconds, is how long to wait for service inputs then.
	Test     bool
	TestWait int
	// Once gathers each input once, writes to the real outputs and ends.
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

func (a *app) runCommand(use string) *cobra.Command {
	var o RunOptions
	var filters [4]string
	cmd := a.leaf(use, "Start a node", func(cmd *cobra.Command, _ []string) error {
		switch o.WatchConfig {
		case "", "notify", "poll":
		default:
			return usagef(cmd, "--watch-config %q is not understood: it is notify or poll", o.WatchConfig)
		}
		if _, _, err := net.SplitHostPort(o.Listen); o.Listen != "" && err != nil {
			return usagef(cmd, "--listen %q is not understood: it is HOST:PORT, such as 127.0.0.1:8086", o.Listen)
		}
		if o.TestWait < 0 {
			return usagef(cmd, "--test-wait is a number of seconds, 0 or more")
		}
		o.Test = o.Test || o.TestWait > 0
		if o.Test && o.Once {
			return usagef(cmd, "give --test or --once, not both")
		}
		for i, names := range []*[]string{&o.InputFilter, &o.OutputFilter, &o.ProcessorFilter, &o.AggregatorFilter} {
			if filters[i] != "" {
				*names = strings.FieldsFunc(filters[i], func(r rune) bool { return r == ':' })
			}
		}
		err := a.Run(cmd.Context(), o)
		if wrong := new(FlagError); errors.As(err, &wrong) {
			return commandline.Usage(cmd, err)
		}
		return err
	})
	cmd.Long = `Start a node: collect metrics, keep them, answer queries, replicate.

Without --config and without a file in the default places it collects this machine's metrics. The data is in ./holdfast-data and HTTP is
served on 127.0.0.1:8086 unless the configuration or a flag says otherwise. The first start prints a link to set the node up.`
	f := cmd.Flags()
	f.StringArrayVar(&o.Config, "config", nil, "Configuration `file` or URL to load; repeatable")
	f.StringArrayVar(&o.ConfigDirectory, "config-directory", nil, "`Folder` of *.conf files and holdfast.toml to load; repeatable")
	f.StringVar(&o.Data, "data", "", "Data `folder` (default ./holdfast-data)")
	f.StringVar(&o.Listen, "listen", "", "HTTP `address` (default 127.0.0.1:8086)")
	f.BoolVar(&o.Test, "test", false, "Gather metrics once, print them, and exit")
	f.IntVar(&o.TestWait, "test-wait", 0, "Wait up to this many `seconds` for service inputs in test mode; implies --test")
	f.BoolVar(&o.Once, "once", false, "Gather metrics once, write them, and exit")
	f.StringVar(&o.WatchConfig, "watch-config", "", "Load the configuration again when its files change: `notify or poll`")
	f.BoolVar(&o.Quiet, "quiet", false, "Log errors only")
	f.BoolVar(&o.Debug, "debug", false, "Log everything")
	for i, kind := range []string{"input", "output", "processor", "aggregator"} {
		f.StringVar(&filters[i], kind+"-filter", "", "Use only these "+kind+"s, names separated by `:`")
	}
	return cmd
}

// telegraf is the tree under the name of that program: its flags start a node.
func (a *app) telegraf() *cobra.Command {
	cmd := a.runCommand("telegraf")
	start := cmd.RunE
	var showVersion bool
	cmd.Flags().BoolVar(&showVersion, "version", false, "Print the version and exit")
	version := a.versionCommand()
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if showVersion {
			return version.RunE(cmd, args)
		}
		return start(cmd, args)
	}
	cmd.AddCommand(version, a.telegrafConfigCommand())
	return cmd
}

// telegrafConfigCommand is `config check`, which tells whether a node would start with a configuration.
func (a *app) telegrafConfigCommand() *cobra.Command {
	o := RunOptions{Check: true, Quiet: true}
	check := a.leaf("check", "Check configuration files", func(cmd *cobra.Command, _ []string) error { return a.Run(cmd.Context(), o) })
	check.Long = `Load configuration files and check them as a start would, without starting anything. Exit code 1 says that a node would not start.`
	check.Flags().StringArrayVar(&o.Config, "config", nil, "Configuration `file` or URL to check; repeatable")
	check.Flags().StringArrayVar(&o.ConfigDirectory, "config-directory", nil, "`Folder` of *.conf files and holdfast.toml to check; repeatable")
	return a.group("config", "Commands for configuration files", check)
}
