package collect

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/models"
	"github.com/influxdata/telegraf/plugins/aggregators"
	"github.com/influxdata/telegraf/plugins/inputs"
	"github.com/influxdata/telegraf/plugins/parsers"
	"github.com/influxdata/telegraf/plugins/processors"
	"github.com/influxdata/telegraf/plugins/secretstores"
	"github.com/influxdata/toml"

	"github.com/holdfast-telemetry/holdfast/internal/nearest"
	"github.com/holdfast-telemetry/holdfast/node/collect/conf"
)

// LoadOptions say how tables become a Config.
type LoadOptions struct {
	// Others are the names of tables that other rooms of the node read; they are skipped.
	Others []string
	// The filters keep only the plugins with these names; an empty one keeps all.
	InputFilter, OutputFilter, ProcessorFilter, AggregatorFilter []string
	// Logger gets what Telegraf's packages log, from now on and for the whole process. nil discards it.
	Logger *slog.Logger
}

// Config is a loaded configuration: plugins that are decoded but not started.
type Config struct {
	// Destinations are what the outputs ask for, in file order.
	Destinations []Destination
	// Notes name settings that were read and have no effect here, for the log.
	Notes []string

	tg       *config.Config
	inputs   []*input
	unsigned bool
	levels   map[string]telegraf.LogLevel
}

// input is a configured input and the table it came from.
type input struct {
	*models.RunningInput
	table *conf.Table
	cfg   *Config
}

// loading serialises loads: Telegraf's loader keeps secrets and sources in variables of its packages.
var loading sync.Mutex

// Load decodes the tables that collecting knows, those of Telegraf, and checks every option. Plugins are not started and
// nothing is contacted.
func Load(tables []*conf.Table, o LoadOptions) (*Config, error) {
	if err := o.checkFilters(tables); err != nil {
		return nil, err
	}
	loading.Lock()
	defer loading.Unlock()
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	c := &Config{tg: config.NewConfig(), levels: map[string]telegraf.LogLevel{}}
	redirectLogs(o.Logger, c.levels)
	// Locked memory pages for secrets run into the small limits of edge machines, and the catalog keeps the tokens anyway.
	config.DisableSecretProtection()
	config.ResetSecrets()
	c.tg.InputFilters = o.InputFilter

	outputs, err := c.loadTables(tables, o)
	if err != nil {
		return nil, err
	}
	if err := c.tg.LoadAll(); err != nil {
		return nil, fmt.Errorf("linking secrets: %w", err)
	}
	if err := c.addDestinations(outputs); err != nil {
		return nil, err
	}
	if c.tg.Agent.Interval <= 0 {
		return nil, fmt.Errorf("agent.interval must be greater than 0, not %s", time.Duration(c.tg.Agent.Interval))
	}
	c.note()
	c.setLevels()
	return c, nil
}

// loadTables loads the agent's and the global tags' tables first, because plugins copy from them, then all others in the order given.
func (c *Config) loadTables(tables []*conf.Table, o LoadOptions) (outputs []*output, err error) {
	global := func(t *conf.Table) bool { return slices.Contains([]string{"agent", "global_tags", "tags"}, t.Path[0]) }
	for _, t := range tables {
		if global(t) {
			if err := c.loadTable(t); err != nil {
				return nil, err
			}
		}
	}
	for _, t := range tables {
		switch {
		case global(t), slices.Contains(o.Others, t.Path[0]), o.leavesOut(t):
		case t.Path[0] == "outputs":
			out, err := decodeOutput(t)
			if err != nil {
				return nil, err
			}
			outputs = append(outputs, out)
		default:
			if err := checkPlugin(t, o.Others); err != nil {
				return nil, err
			}
			if err := c.loadPlugin(t); err != nil {
				return nil, err
			}
		}
	}
	return outputs, nil
}

// leavesOut reports whether a filter says not to use the plugin of a table. Inputs are left to Telegraf's loader, which knows their old names.
func (o LoadOptions) leavesOut(t *conf.Table) bool {
	filter := map[string][]string{"outputs": o.OutputFilter, "processors": o.ProcessorFilter, "aggregators": o.AggregatorFilter}[t.Path[0]]
	return len(filter) > 0 && len(t.Path) == 2 && !slices.Contains(filter, t.Path[1])
}

func (c *Config) loadPlugin(t *conf.Table) error {
	t.NumbersToDurations("interval", "collection_jitter", "collection_offset")
	before := len(c.tg.Inputs)
	if err := c.loadTable(t); err != nil {
		return err
	}
	for _, in := range c.tg.Inputs[before:] {
		if in.Config.Interval < 0 || in.Config.CollectionJitter < 0 {
			return t.Errorf("interval", "%s: interval and collection_jitter must not be negative", t.Name())
		}
		c.inputs = append(c.inputs, &input{RunningInput: in, table: t, cfg: c})
	}
	return nil
}

// loadTable hands one table to Telegraf's loader. A string that is only a reference to the environment is converted when the
// option wants a number.
func (c *Config) loadTable(t *conf.Table) error {
	for {
		err := c.tg.LoadConfigData(t.Text(), t.File)
		if err == nil {
			return nil
		}
		le := new(toml.LineError)
		if errors.As(err, &le) && t.ConvertReferences(le.Line) {
			continue
		}
		if len(c.tg.UnusedFields) > 0 {
			return c.unknownOptions(t)
		}
		if text := err.Error(); strings.HasSuffix(text, "parser not found") || strings.Contains(text, "undefined but requested parser") {
			return t.Errorf("data_format", "%s.data_format names a format that this build does not have; it has %s", t.Name(),
				strings.Join(slices.Sorted(maps.Keys(parsers.Parsers)), ", "))
		}
		return t.Wrap(err)
	}
}

// unknownOptions says which options of t nobody knows.
func (c *Config) unknownOptions(t *conf.Table) error {
	known := knownOptions(t.Path)
	var all []error
	for _, key := range slices.Sorted(maps.Keys(c.tg.UnusedFields)) {
		err := &conf.UnknownKeyError{Table: t.Name(), Key: key, Nearest: nearest.Of(key, known)}
		all = append(all, &conf.Error{File: t.File, Line: t.LineOf(key), Err: err})
	}
	return errors.Join(all...)
}

// commonOptions are options that Telegraf's loader takes for every input; others take most of them.
var commonOptions = []string{
	"alias", "interval", "precision", "collection_jitter", "collection_offset", "time_source", "name_override", "name_prefix",
	"name_suffix", "tags", "log_level", "startup_error_behavior", "namepass", "namedrop", "tagpass", "tagdrop", "metricpass",
	"fieldinclude", "fieldexclude", "taginclude", "tagexclude", "data_format", "order", "period", "delay", "grace", "drop_original",
}

func knownOptions(path []string) []string {
	if len(path) < 2 {
		return conf.Keys(reflect.TypeFor[config.AgentConfig]())
	}
	var plugin any
	switch name := path[1]; path[0] {
	case "inputs", "plugins":
		plugin = inputs.Inputs[name]()
	case "processors":
		plugin = processors.Processors[name]()
		if p, ok := plugin.(processors.HasUnwrap); ok {
			plugin = p.Unwrap()
		}
	case "aggregators":
		plugin = aggregators.Aggregators[name]()
	}
	keys := slices.Clone(commonOptions)
	if plugin != nil {
		keys = append(keys, conf.Keys(reflect.TypeOf(plugin))...)
	}
	return keys
}

// checkPlugin tells whether the table names something that this build carries.
func checkPlugin(t *conf.Table, others []string) error {
	var known []string
	switch t.Path[0] {
	case "inputs", "plugins":
		known = slices.Sorted(maps.Keys(inputs.Inputs))
	case "processors":
		known = slices.Sorted(maps.Keys(processors.Processors))
	case "aggregators":
		known = slices.Sorted(maps.Keys(aggregators.Aggregators))
	case "secretstores":
		known = slices.Sorted(maps.Keys(secretstores.SecretStores))
	default:
		return checkTopLevel(t, others)
	}
	if len(t.Path) < 2 {
		return t.Errorf("", "[%s] needs the name of a plugin, as in [[%s.%s]]", t.Path[0], t.Path[0], known[0])
	}
	if slices.Contains(known, t.Path[1]) {
		return nil
	}
	if near := nearest.Of(t.Path[1], known); near != "" {
		return t.Errorf("", "there is no plugin %s; did you mean %s.%s?", t.Name(), t.Path[0], near)
	}
	return t.Errorf("", "there is no plugin %s in this build; it has %s", t.Name(), strings.Join(known, ", "))
}

// checkTopLevel lets the very old style through, where an input's table is called by the plugin's name alone.
func checkTopLevel(t *conf.Table, others []string) error {
	if _, ok := inputs.Inputs[t.Path[0]]; ok {
		return nil
	}
	tables := append([]string{"agent", "global_tags", "inputs", "outputs", "processors", "aggregators", "secretstores"}, others...)
	if near := nearest.Of(t.Path[0], tables); near != "" {
		return t.Errorf("", "there is no table [%s]; did you mean [%s]?", t.Name(), near)
	}
	return t.Errorf("", "there is no table [%s]; there are %s", t.Name(), strings.Join(tables, ", "))
}

// note records what of the agent's table has no effect here.
func (c *Config) note() {
	a, d := c.tg.Agent, config.NewConfig().Agent
	for _, s := range []struct {
		name string
		set  bool
	}{
		{"flush_interval", a.FlushInterval != d.FlushInterval}, {"flush_jitter", a.FlushJitter != d.FlushJitter},
		{"metric_batch_size", a.MetricBatchSize != 0}, {"metric_buffer_limit", a.MetricBufferLimit != 0},
		{"buffer_strategy", a.BufferStrategy != ""}, {"buffer_directory", a.BufferDirectory != ""},
		{"buffer_disk_sync", a.BufferDiskSync != nil},
	} {
		if s.set {
			c.Notes = append(c.Notes, "agent."+s.name+" has no effect: points go to the journal at once and are sent from there")
		}
	}
	if a.Statefile != "" {
		c.Notes = append(c.Notes, "agent.statefile has no effect: the state of plugins is not kept")
	}
}

func (c *Config) setLevels() {
	set := func(name, level string) {
		if level != "" {
			c.levels[name] = telegraf.LogLevelFromString(level)
		}
	}
	for _, p := range c.inputs {
		set(p.LogName(), p.Config.LogLevel)
	}
	for _, p := range c.tg.Processors {
		set(p.LogName(), p.Config.LogLevel)
	}
	for _, p := range c.tg.Aggregators {
		set(p.LogName(), p.Config.LogLevel)
	}
}

// fresh decodes the input's table again: a plugin whose start failed is not started a second time.
func (in *input) fresh() (*models.RunningInput, error) {
	loading.Lock()
	defer loading.Unlock()
	again := &Config{tg: config.NewConfig()}
	agent := *in.cfg.tg.Agent
	again.tg.Agent, again.tg.Tags, again.tg.SecretStores = &agent, maps.Clone(in.cfg.tg.Tags), in.cfg.tg.SecretStores
	if err := again.loadTable(in.table); err != nil {
		return nil, err
	}
	if err := again.tg.LinkSecrets(); err != nil {
		return nil, err
	}
	return again.tg.Inputs[0], nil
}

// Inputs returns how many inputs are configured.
func (c *Config) Inputs() int { return len(c.inputs) }

// Check initialises every input on a copy that is thrown away, and returns what each found wrong with its options. Nothing is
// started. Use it to refuse a new configuration; a running Collector keeps trying an input that fails.
func (c *Config) Check() error {
	var all []error
	for _, in := range c.inputs {
		fresh, err := in.fresh()
		if err == nil {
			err = guard(fresh.Init)
		}
		if err != nil {
			all = append(all, in.table.Wrap(fmt.Errorf("%s: %w", in.LogName(), err)))
		}
	}
	return errors.Join(all...)
}

// guard runs f and returns its error, or its panic as an error.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = newPanic(p)
		}
	}()
	return f()
}
