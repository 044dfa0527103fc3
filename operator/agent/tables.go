package agent

import (
	"fmt"
	"maps"
	"slices"

	"github.com/influxdata/toml/ast"

	"github.com/holdfast-telemetry/holdfast/internal/nearest"
)

// Tables is what kinds of tables a text has: the names of its plugins, sorted and each once.
type Tables struct {
	Inputs, Outputs, Processors, Aggregators, SecretStores []string
	// Agent is whether there is [agent]; GlobalTags whether there is [global_tags], or [tags] as it was called.
	Agent, GlobalTags bool
	// Holdfast are the tables that only the agent holdfast knows, such as journal.
	Holdfast []string
}

// Empty is whether there is neither a plugin nor a setting.
func (t Tables) Empty() bool {
	return len(t.Inputs)+len(t.Outputs)+len(t.Processors)+len(t.Aggregators)+len(t.SecretStores)+len(t.Holdfast) == 0 && !t.Agent && !t.GlobalTags
}

// holdfastTables are the tables of the agent holdfast that Telegraf does not have.
var holdfastTables = []string{"node", "journal", "store", "query", "remote", "replication", "outage", "check"}

// knownTables are the tables that may stand at the top. Telegraf takes any other for an input whose [[inputs.]] was left out, as files
// of before 2015 did; a class written today that has one is misspelt.
var knownTables = append([]string{"agent", "global_tags", "tags", "inputs", "plugins", "outputs", "processors", "aggregators", "secretstores"}, holdfastTables...)

// problem is what is wrong, and in which line.
type problem struct {
	line    int
	message string
}

// tablesOf reads the top of a parsed text. Of several problems it returns the one that comes first in the text.
func tablesOf(top *ast.Table) (Tables, *problem) {
	var t Tables
	var first *problem
	report := func(line int, format string, args ...any) {
		if first == nil || line < first.line {
			first = &problem{line, fmt.Sprintf(format, args...)}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(top.Fields)) {
		value := top.Fields[name]
		if kv, ok := value.(*ast.KeyValue); ok {
			report(kv.Line, "the option %s stands outside of any table; write a table such as [agent] or [[outputs.influxdb_v2]] above it", name)
			continue
		}
		switch name {
		case "agent":
			t.Agent = true
			plainTable(name, value, report)
		case "global_tags", "tags":
			t.GlobalTags = true
			if table := plainTable(name, value, report); table != nil {
				checkTags(name, table, report)
			}
		case "inputs", "plugins":
			t.Inputs = merge(t.Inputs, plugins(name, value, true, report))
		case "outputs":
			t.Outputs = plugins(name, value, true, report)
		case "processors":
			t.Processors = plugins(name, value, false, report)
		case "aggregators":
			t.Aggregators = plugins(name, value, false, report)
		case "secretstores":
			t.SecretStores = plugins(name, value, false, report)
		default:
			if slices.Contains(holdfastTables, name) {
				t.Holdfast = append(t.Holdfast, name)
				continue
			}
			hint := fmt.Sprintf("if it is an input, write [[inputs.%s]]", name)
			if word := nearest.Of(name, knownTables); word != "" {
				hint = fmt.Sprintf("did you mean %s?", word)
			}
			report(lineOf(value), "there is no table %s; %s", name, hint)
		}
	}
	return t, first
}

// plainTable is the table [name], or nil after reporting that it is [[name]].
func plainTable(name string, value any, report func(int, string, ...any)) *ast.Table {
	table, ok := value.(*ast.Table)
	if !ok {
		report(lineOf(value), "[[%s]] must be written [%s]", name, name)
	}
	return table
}

// checkTags reports tags that are not text: the agent does not start with them.
func checkTags(name string, table *ast.Table, report func(int, string, ...any)) {
	for _, tag := range slices.Sorted(maps.Keys(table.Fields)) {
		kv, ok := table.Fields[tag].(*ast.KeyValue)
		if !ok {
			report(lineOf(table.Fields[tag]), "the tag %s in [%s] is a table; a tag is text", tag, name)
		} else if _, ok := kv.Value.(*ast.String); !ok {
			report(kv.Line, "the tag %s in [%s] is not text; write its value in quotes", tag, name)
		}
	}
}

// plugins are the names under [kind]. Single tables, [inputs.cpu] for [[inputs.cpu]], are allowed where the agent still allows them.
func plugins(kind string, value any, single bool, report func(int, string, ...any)) []string {
	table := plainTable(kind, value, report)
	if table == nil {
		return nil
	}
	for name, plugin := range table.Fields {
		switch p := plugin.(type) {
		case []*ast.Table:
		case *ast.Table:
			if !single {
				report(p.Line, "[%s.%s] must be written [[%s.%s]]", kind, name, kind, name)
			}
		default:
			report(lineOf(plugin), "%s in [%s] is not a table; a plugin is written [[%s.NAME]]", name, kind, kind)
		}
	}
	return slices.Sorted(maps.Keys(table.Fields))
}

func merge(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

func lineOf(value any) int {
	switch v := value.(type) {
	case *ast.KeyValue:
		return v.Line
	case *ast.Table:
		return v.Line
	case []*ast.Table:
		if len(v) > 0 {
			return v[0].Line
		}
	}
	return 0
}
