package collect

import (
	"fmt"
	"slices"
	"strings"

	"github.com/influxdata/telegraf/plugins/inputs"

	"github.com/holdfast-telemetry/holdfast/node/collect/conf"
)

// FilterError tells of a filter that names no plugin of the configuration.
type FilterError struct {
	// Kind is input, output, processor or aggregator.
	Kind, Name string
	// Has are the plugins of that kind that are configured.
	Has []string
}

// Error names the flag that the filter comes from.
func (e *FilterError) Error() string {
	has := "has none"
	if len(e.Has) > 0 {
		has = "has " + strings.Join(e.Has, ", ")
	}
	return fmt.Sprintf("--%s-filter: no %s of the configuration is called %q; it %s", e.Kind, e.Kind, e.Name, has)
}

// checkFilters returns an error for a filter that nothing fits: of a name that was mistyped, nothing would be gathered in silence.
func (o LoadOptions) checkFilters(tables []*conf.Table) error {
	for _, f := range []struct {
		kind   string
		filter []string
	}{{"input", o.InputFilter}, {"output", o.OutputFilter}, {"processor", o.ProcessorFilter}, {"aggregator", o.AggregatorFilter}} {
		if len(f.filter) == 0 {
			continue
		}
		has := configured(tables, f.kind)
		for _, name := range f.filter {
			if !slices.Contains(has, name) {
				return &FilterError{f.kind, name, has}
			}
		}
	}
	return nil
}

// configured returns the names of the plugins of a kind, sorted. Inputs can also stand under [plugins], or at the top as in very old files.
func configured(tables []*conf.Table, kind string) (names []string) {
	for _, t := range tables {
		_, old := inputs.Inputs[t.Path[0]]
		switch {
		case len(t.Path) == 2 && (t.Path[0] == kind+"s" || kind == "input" && t.Path[0] == "plugins"):
			names = append(names, t.Path[1])
		case kind == "input" && old:
			names = append(names, t.Path[0])
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
