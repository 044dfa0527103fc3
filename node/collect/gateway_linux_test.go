package collect

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTheDefaultGatewayHasTheLeastMetric(t *testing.T) {
	const header = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
	for _, c := range []struct{ name, route, route6, want string }{
		{"two defaults",
			header + "wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n" +
				"eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n" +
				"eth0\t0000000A\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n", "", "10.0.0.1"},
		{"a route by device and one that is down",
			header + "ppp0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n" +
				"eth0\t00000000\t0100000A\t0002\t0\t0\t0\t00000000\t0\t0\t0\n", "", "invalid IP"},
		{"half of a default", header + "tun0\t00000000\t0100000A\t0003\t0\t0\t0\t00000080\t0\t0\t0\n", "", "invalid IP"},
		{"IPv6 only", header,
			"00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0\n" +
				"00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200 lo\n",
			"fe80::1%eth0"},
		{"none", header, "", "invalid IP"},
	} {
		t.Run(c.name, func(t *testing.T) {
			proc := t.TempDir()
			t.Setenv("HOST_PROC", proc)
			if err := os.MkdirAll(filepath.Join(proc, "net"), 0o755); err != nil {
				t.Fatal(err)
			}
			for name, text := range map[string]string{"route": c.route, "ipv6_route": c.route6} {
				if err := os.WriteFile(filepath.Join(proc, "net", name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := defaultGateway()
			if err != nil || got.String() != c.want {
				t.Errorf("the gateway is %s, %v; want %s", got, err, c.want)
			}
		})
	}
}

func TestASystemWithoutARoutingTableIsReported(t *testing.T) {
	t.Setenv("HOST_PROC", t.TempDir())
	if _, err := defaultGateway(); err == nil {
		t.Error("no error")
	}
}
