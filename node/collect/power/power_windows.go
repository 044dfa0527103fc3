package power

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

var getSystemPowerStatus = windows.NewLazySystemDLL("kernel32.dll").NewProc("GetSystemPowerStatus")

// systemPowerStatus is SYSTEM_POWER_STATUS of winbase.h.
type systemPowerStatus struct {
	acLine       byte // 0 offline, 1 online, 255 unknown
	flags        byte // 8 charging, 128 no battery, 255 unknown
	percent      byte // 255 unknown
	saver        byte
	lifeTime     uint32 // s; all ones unknown
	fullLifeTime uint32
}

const (
	unknown     = 255
	charging    = 8
	noBattery   = 128
	unknownLife = 1<<32 - 1
)

// read returns the mains and, when there is one, the sum of all batteries.
func read() ([]supply, error) {
	var s systemPowerStatus
	if ok, _, err := getSystemPowerStatus.Call(uintptr(unsafe.Pointer(&s))); ok == 0 {
		return nil, fmt.Errorf("reading the power status: %w", err)
	}
	var all []supply
	if s.acLine != unknown {
		all = append(all, supply{name: "AC", kind: "Mains", fields: map[string]any{"online": int64(s.acLine)}})
	}
	if s.flags != unknown && s.flags&noBattery == 0 {
		all = append(all, supply{name: "battery", kind: "Battery", fields: s.battery()})
	}
	return all, nil
}

func (s *systemPowerStatus) battery() map[string]any {
	fields := map[string]any{"present": int64(1)}
	switch {
	case s.flags&charging != 0:
		fields["status"] = "Charging"
	case s.acLine == 0:
		fields["status"] = "Discharging"
	case s.acLine == 1 && s.percent == 100:
		fields["status"] = "Full"
	case s.acLine == 1:
		fields["status"] = "Not charging"
	default:
		fields["status"] = "Unknown"
	}
	if s.percent != unknown {
		fields["capacity"] = int64(s.percent)
	}
	if s.lifeTime != unknownLife {
		fields["time_to_empty"] = int64(s.lifeTime)
	}
	return fields
}
