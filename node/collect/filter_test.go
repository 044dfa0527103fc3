package collect

import (
	"errors"
	"os"
	"testing"

	"github.com/holdfast-telemetry/holdfast/node/collect/conf"
)

func TestAFilterThatNothingFitsIsAnError(t *testing.T) {
	tables, err := conf.Parse("test.conf", []byte("[[inputs.mem]]\n[[plugins.swap]]\n[cpu]\n[[inputs.mem]]\n[[outputs.kafka]]\n[[outputs.influxdb_v2]]\n bucket = \"b\"\n[[processors.clone]]\n"),
		conf.ParseOptions{Env: os.LookupEnv})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		options LoadOptions
		want    string
	}{
		{LoadOptions{InputFilter: []string{"cpu", "nope"}}, `--input-filter: no input of the configuration is called "nope"; it has cpu, mem, swap`},
		{LoadOptions{OutputFilter: []string{"influxdb"}}, `--output-filter: no output of the configuration is called "influxdb"; it has influxdb_v2, kafka`},
		{LoadOptions{ProcessorFilter: []string{"clon"}}, `--processor-filter: no processor of the configuration is called "clon"; it has clone`},
		{LoadOptions{AggregatorFilter: []string{"merge"}}, `--aggregator-filter: no aggregator of the configuration is called "merge"; it has none`},
	} {
		_, err := Load(tables, c.options)
		if wrong := new(FilterError); !errors.As(err, &wrong) || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
	fitting := LoadOptions{InputFilter: []string{"swap", "cpu"}, OutputFilter: []string{"influxdb_v2"}, ProcessorFilter: []string{"clone"}}
	if c, err := Load(tables, fitting); err != nil || c.Inputs() != 2 || len(c.Destinations) != 1 {
		t.Errorf("%v", err)
	}
}
