package power

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// attribute is a file of a supply in sysfs (Documentation/ABI/testing/sysfs-class-power) and the field made of it.
type attribute struct {
	file, field string
	// unit divides the file's integer into a float field; 0 keeps the integer, and text keeps the text.
	unit float64
	text bool
}

var attributes = []attribute{
	{file: "online", field: "online"},
	{file: "present", field: "present"},
	{file: "status", field: "status", text: true},
	{file: "capacity", field: "capacity"},
	{file: "voltage_now", field: "voltage", unit: 1e6},
	{file: "current_now", field: "current", unit: 1e6},
	{file: "power_now", field: "power", unit: 1e6},
	{file: "energy_now", field: "energy", unit: 1e6},
	{file: "energy_full", field: "energy_full", unit: 1e6},
	{file: "charge_now", field: "charge", unit: 1e6},
	{file: "charge_full", field: "charge_full", unit: 1e6},
	{file: "time_to_empty_now", field: "time_to_empty"},
	{file: "time_to_full_now", field: "time_to_full"},
	{file: "temp", field: "temp", unit: 10},
	{file: "cycle_count", field: "cycles"},
	{file: "health", field: "health", text: true},
}

// read returns the supplies under /sys/class/power_supply, or under $HOST_SYS in a container. An attribute that
// cannot be read is left out: drivers answer ENODATA while a battery settles.
func read() ([]supply, error) {
	dir := filepath.Join(cmp.Or(os.Getenv("HOST_SYS"), "/sys"), "class", "power_supply")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing power supplies: %w", err)
	}
	var all []supply
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		s := supply{name: e.Name(), kind: cmp.Or(readText(path, "type"), "Unknown"), fields: map[string]any{}}
		for _, a := range attributes {
			if v, ok := a.value(readText(path, a.file)); ok {
				s.fields[a.field] = v
			}
		}
		all = append(all, s)
	}
	return all, nil
}

func readText(dir, file string) string {
	b, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func (a attribute) value(text string) (any, bool) {
	if a.text {
		return text, text != ""
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, false
	}
	if a.unit != 0 {
		return float64(n) / a.unit, true
	}
	return n, true
}
