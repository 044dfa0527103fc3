package node

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/journal"
)

// What was gathered waits for room; a node that is told to end does not wait for it.
func TestClosingEndsAWriteThatWaitsForRoom(t *testing.T) {
	log := &records{}
	s := newSetting(t).write("[journal]\n  segment_bytes = 4096\n  max_bytes = 16384\n  policy = \"reject\"\n",
		"[[remote]]\n  name = \"r\"\n  url = \"http://127.0.0.1:1\"\n[[replication]]\n  name = \"x\"\n  remote = \"r\"\n  remote_bucket = \"b\"\n")
	n := s.open(log.logger())
	var full error
	for i := 0; full == nil && i < 10_000; i++ {
		full = n.buckets.Write(t.Context(), n.catalog.Reserved().Bucket, onePoint(t, i))
	}
	if !errors.Is(full, journal.ErrFull) {
		t.Fatalf("the journal does not fill up: %v", full)
	}
	ended := make(chan error, 1)
	go func() { ended <- sink{n}.Write(t.Context(), onePoint(t, 0)) }()
	select {
	case err := <-ended:
		t.Fatalf("the write did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	n.close()
	select {
	case err := <-ended:
		if !errors.Is(err, errClosing) || !strings.Contains(err.Error(), "full") {
			t.Errorf("error %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the write still waits")
	}
}
