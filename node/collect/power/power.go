// Package power is an input plugin that tells where the machine's power comes from: mains, battery, UPS. It is registered as
// inputs.power.
//
// Measurement `power`, tags `name` and `type` of the supply, and the fields that the supply has:
//
//	online    integer  1 while a mains or USB supply delivers
//	present   integer  1 while a battery is in place
//	status    string   Charging, Discharging, Not charging, Full, Unknown
//	capacity  integer  percent
//	voltage   float    V
//	current   float    A
//	power     float    W
//	energy, energy_full   float  Wh
//	charge, charge_full   float  Ah
//	time_to_empty, time_to_full  integer  s
//	temp      float    °C
//	cycles    integer
//	health    string
//
// A machine without supplies yields nothing. Linux and Windows are supported; elsewhere the plugin yields nothing.
package power

import (
	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/plugins/inputs"
)

// Input is the plugin. It has no options.
type Input struct {
	Log telegraf.Logger `toml:"-"`
}

// SampleConfig returns the plugin's configuration with comments.
func (*Input) SampleConfig() string {
	return "# Where the machine's power comes from\n[[inputs.power]]\n  # no options\n"
}

// Gather adds one metric for each supply.
func (*Input) Gather(acc telegraf.Accumulator) error {
	supplies, err := read()
	for _, s := range supplies {
		if len(s.fields) > 0 {
			acc.AddGauge("power", s.fields, map[string]string{"name": s.name, "type": s.kind})
		}
	}
	return err
}

// supply is one source of power.
type supply struct {
	name, kind string
	fields     map[string]any
}

func init() {
	inputs.Add("power", func() telegraf.Input { return &Input{} })
}
