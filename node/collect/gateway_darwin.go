package collect

import (
	"fmt"
	"net/netip"
	"syscall"

	"golang.org/x/net/route"
)

// defaultGateway returns the next hop of the first default route for IPv4, which is invalid when there is none.
func defaultGateway() (netip.Addr, error) {
	rib, err := route.FetchRIB(syscall.AF_INET, route.RIBTypeRoute, 0)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("reading the routing table: %w", err)
	}
	messages, err := route.ParseRIB(route.RIBTypeRoute, rib)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("reading the routing table: %w", err)
	}
	for _, m := range messages {
		r, ok := m.(*route.RouteMessage)
		if !ok || r.Flags&syscall.RTF_GATEWAY == 0 || len(r.Addrs) <= syscall.RTAX_GATEWAY {
			continue
		}
		to, ok := r.Addrs[syscall.RTAX_DST].(*route.Inet4Addr)
		via, ok2 := r.Addrs[syscall.RTAX_GATEWAY].(*route.Inet4Addr)
		if ok && ok2 && to.IP == [4]byte{} {
			return netip.AddrFrom4(via.IP), nil
		}
	}
	return netip.Addr{}, nil
}
