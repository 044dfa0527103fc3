package collect

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

var getBestRoute = windows.NewLazySystemDLL("iphlpapi.dll").NewProc("GetBestRoute")

// ipForwardRow is MIB_IPFORWARDROW of ipmib.h; addresses are in network byte order.
type ipForwardRow struct {
	dest, mask, policy, nextHop, ifIndex, kind, proto, age, nextHopAS uint32
	metrics                                                           [5]uint32
}

// anywhere is an address that no closer route leads to: 192.0.2.1 is kept for documentation (RFC 5737).
var anywhere = binary.NativeEndian.Uint32([]byte{192, 0, 2, 1})

// defaultGateway returns the next hop of the route to anywhere, which is invalid when there is none.
func defaultGateway() (netip.Addr, error) {
	var row ipForwardRow
	status, _, _ := getBestRoute.Call(uintptr(anywhere), 0, uintptr(unsafe.Pointer(&row)))
	switch syscall.Errno(status) {
	case 0:
	case windows.ERROR_NOT_FOUND, windows.ERROR_CAN_NOT_COMPLETE, windows.ERROR_NETWORK_UNREACHABLE, windows.ERROR_NO_DATA:
		return netip.Addr{}, nil
	default:
		return netip.Addr{}, fmt.Errorf("reading the routing table: %w", syscall.Errno(status))
	}
	if row.nextHop == 0 {
		return netip.Addr{}, nil
	}
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], row.nextHop)
	return netip.AddrFrom4(b), nil
}
