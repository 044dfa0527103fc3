package peer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// FreeAddrs returns n different addresses of the loopback, as host:port, that a program can be told to listen at, give up, and
// listen at again. Their ports are below those that the system gives to outgoing connections, one of which could otherwise take
// a port in between.
func FreeAddrs(n int) ([]string, error) {
	addrs := make([]string, 0, n)
	for range 100 + n {
		if len(addrs) == n {
			return addrs, nil
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000)))
		if err != nil {
			continue
		}
		defer l.Close() // only then, so that no address comes twice
		addrs = append(addrs, l.Addr().String())
	}
	return nil, errors.New("too few ports between 20000 and 32000 are free")
}
