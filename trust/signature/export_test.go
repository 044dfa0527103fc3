package signature

import (
	"context"
	"net"
)

// WritingNow is how many tags are being written, or waited for.
func WritingNow() int {
	writing.mu.Lock()
	defer writing.mu.Unlock()
	return len(writing.names)
}

// DialTo leads all connections of a client to one address, whatever host they are for.
func (c *Client) DialTo(address string) {
	c.wire.inner.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
}

// Remembered is how much a client remembers of registries, sessions and uploads.
func (c *Client) Remembered() (registries, sessions, uploaded int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.registries {
		r.mu.Lock()
		sessions += len(r.sessions)
		uploaded += len(r.uploaded)
		r.mu.Unlock()
	}
	return len(c.registries), sessions, uploaded
}

// Bounds of what is remembered.
const (
	MaxRegistries = maxRegistries
	MaxSessions   = maxSessions
	MaxUploaded   = maxUploaded
)
