package power

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
)

// gauges is an accumulator of gauges: by `name/type`, the fields.
type gauges struct {
	telegraf.Accumulator
	all map[string]map[string]any
}

func (g *gauges) AddGauge(measurement string, fields map[string]any, tags map[string]string, _ ...time.Time) {
	if g.all == nil {
		g.all = map[string]map[string]any{}
	}
	g.all[measurement+" "+tags["name"]+"/"+tags["type"]] = fields
}

func supplyDir(t *testing.T, sys, name string, files map[string]string) {
	t.Helper()
	dir := filepath.Join(sys, "class", "power_supply", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSuppliesBecomeMetrics(t *testing.T) {
	sys := t.TempDir()
	t.Setenv("HOST_SYS", sys)
	supplyDir(t, sys, "AC", map[string]string{"type": "Mains", "online": "1"})
	supplyDir(t, sys, "BAT0", map[string]string{
		"type": "Battery", "status": "Discharging", "capacity": "93", "voltage_now": "12345000", "energy_now": "40000000",
		"temp": "305", "cycle_count": "12", "present": "1", "capacity_level": "Normal", "power_now": "broken",
	})
	supplyDir(t, sys, "empty", map[string]string{"type": "UPS"})
	var acc gauges
	if err := (&Input{}).Gather(&acc); err != nil {
		t.Fatal(err)
	}
	want := map[string]map[string]any{
		"power AC/Mains":     {"online": int64(1)},
		"power BAT0/Battery": {"status": "Discharging", "capacity": int64(93), "voltage": 12.345, "energy": 40.0, "temp": 30.5, "cycles": int64(12), "present": int64(1)},
	}
	if !maps.EqualFunc(acc.all, want, maps.Equal[map[string]any, map[string]any]) {
		t.Errorf("got  %v\nwant %v", acc.all, want)
	}
}

func TestAMachineWithoutSuppliesYieldsNothing(t *testing.T) {
	t.Setenv("HOST_SYS", t.TempDir())
	var acc gauges
	if err := (&Input{}).Gather(&acc); err != nil {
		t.Fatal(err)
	}
	if len(acc.all) != 0 {
		t.Errorf("got %v", acc.all)
	}
}
