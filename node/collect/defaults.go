package collect

import (
	"fmt"
	"net"
	"os/exec"
	"runtime"
	"strings"

	_ "github.com/holdfast-telemetry/holdfast/node/collect/power" // inputs.power
)

// DefaultName is what the built-in configuration is called in errors and logs.
const DefaultName = "built-in configuration"

const hostMetrics = `[agent]
  interval = "10s"

[[inputs.cpu]]
  percpu = true
  totalcpu = true

[[inputs.disk]]
  ignore_fs = ["tmpfs", "devtmpfs", "devfs", "iso9660", "overlay", "aufs", "squashfs"]

[[inputs.diskio]]

[[inputs.mem]]

[[inputs.net]]
  ignore_protocol_stats = true

[[inputs.power]]

[[inputs.swap]]

[[inputs.system]]
`

const pingGateway = `
# The default gateway of this machine when the node started
[[inputs.ping]]
  alias = "gateway"
  urls = [%q]
  method = %q
  count = 1
  deadline = 5
`

// DefaultText returns the configuration used when there is none: host metrics, power state, and a ping of the default gateway
// where the routing table names one and the process may ping. Notes say what had to be left out and how to mend it.
func DefaultText() (text string, notes []string) {
	var b strings.Builder
	b.WriteString(hostMetrics)
	if runtime.GOOS == "linux" {
		b.WriteString("\n[[inputs.kernel]]\n")
	}
	if runtime.GOOS != "windows" {
		b.WriteString("\n[[inputs.processes]]\n")
	}
	gateway, err := defaultGateway()
	method := pingMethod()
	switch {
	case err != nil:
		notes = append(notes, fmt.Sprintf("the default gateway is not pinged: %v", err))
	case !gateway.IsValid():
		notes = append(notes, "the default gateway is not pinged: this machine has no default route")
	case method == "":
		notes = append(notes, "the default gateway is not pinged: the process may not open a raw socket and there is no ping command; "+
			"run as root, grant CAP_NET_RAW, or install ping")
	default:
		fmt.Fprintf(&b, pingGateway, gateway, method)
	}
	return b.String(), notes
}

// pingMethod returns how inputs.ping can work in this process: native with raw sockets, exec with the system's command, or not at all.
func pingMethod() string {
	if raw, err := net.ListenPacket("ip4:icmp", "0.0.0.0"); err == nil {
		_ = raw.Close()
		return "native"
	}
	if _, err := exec.LookPath("ping"); err == nil {
		return "exec"
	}
	return ""
}
