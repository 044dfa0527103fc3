package collect

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// defaultGateway returns the next hop of the default route with the least metric; IPv4 is preferred to IPv6. It
// is invalid when there is none.
func defaultGateway() (netip.Addr, error) {
	dir := filepath.Join(cmp.Or(os.Getenv("HOST_PROC"), "/proc"), "net")
	if a, err := scanRoutes(filepath.Join(dir, "route"), route4); err != nil || a.IsValid() {
		return a, err
	}
	a, err := scanRoutes(filepath.Join(dir, "ipv6_route"), route6)
	if os.IsNotExist(err) {
		err = nil // a kernel without IPv6
	}
	return a, err
}

// scanRoutes returns the gateway with the least metric of those that parse finds in the lines of a table.
func scanRoutes(path string, parse func([]string) (netip.Addr, uint64)) (netip.Addr, error) {
	f, err := os.Open(path)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("reading the routing table: %w", err)
	}
	defer func() { _ = f.Close() }()
	var best netip.Addr
	least := uint64(math.MaxUint64)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if a, metric := parse(strings.Fields(lines.Text())); a.IsValid() && metric < least {
			best, least = a, metric
		}
	}
	return best, lines.Err()
}

const routeViaGateway = 0x3 // RTF_UP | RTF_GATEWAY

// route4 reads a line of /proc/net/route: Iface Destination Gateway Flags RefCnt Use Metric Mask …; addresses are
// hexadecimal in the machine's byte order.
func route4(f []string) (netip.Addr, uint64) {
	if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" || !viaGateway(f[3]) {
		return netip.Addr{}, 0
	}
	gateway, err := strconv.ParseUint(f[2], 16, 32)
	metric, err2 := strconv.ParseUint(f[6], 10, 32)
	if err != nil || err2 != nil {
		return netip.Addr{}, 0
	}
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], uint32(gateway))
	return netip.AddrFrom4(b), metric
}

// route6 reads a line of /proc/net/ipv6_route: destination, its prefix length, source, its prefix length, next hop, metric,
// reference count, use count, flags, interface.
func route6(f []string) (netip.Addr, uint64) {
	if len(f) < 10 || strings.Trim(f[0], "0") != "" || f[1] != "00" || !viaGateway(f[8]) {
		return netip.Addr{}, 0
	}
	raw, err := hex.DecodeString(f[4])
	metric, err2 := strconv.ParseUint(f[5], 16, 64)
	a, ok := netip.AddrFromSlice(raw)
	if err != nil || err2 != nil || !ok {
		return netip.Addr{}, 0
	}
	if a.IsLinkLocalUnicast() {
		a = a.WithZone(f[9])
	}
	return a, metric
}

func viaGateway(flags string) bool {
	n, err := strconv.ParseUint(flags, 16, 64)
	return err == nil && n&routeViaGateway == routeViaGateway
}
