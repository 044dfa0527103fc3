package replicate

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/id"
)

// W1: EDR sends one request for each local write, one after the other.
func TestW1SmallWritesOverALongRoundTripStayWithinSeconds(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.spec.MaxDelay = 0 // the default
		b.add()
		b.remote.script(always(reply{delay: 200 * time.Millisecond}))
		for i := range 3000 {
			b.writeLines(fmt.Sprintf("m,host=a,pad=%s n=%di %d", strings.Repeat("p", 150), i, time.Now().UnixNano()))
			time.Sleep(10 * time.Millisecond)
			if lag := b.status().Lag; i%100 == 0 && lag > 3*time.Second {
				t.Fatalf("lag of %s after %d writes", lag, i)
			}
		}
		b.drained(5 * time.Second)
		b.delivered()
		if n := len(b.remote.requests()); n > 40 {
			t.Errorf("%d requests for 30 s of writes", n)
		}
	})
}

// W2: EDR opens a connection for each request and leaves it behind.
func TestW2OneConnectionServesManyRequestsAndReplications(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		for range 200 {
			b.write(1)
			time.Sleep(time.Second)
		}
		other := b.spec
		other.ID, other.RemoteBucketName = other.ID+1, "elsewhere"
		if err := b.set.Add(other); err != nil {
			t.Fatal(err)
		}
		for range 50 {
			b.write(1)
			time.Sleep(time.Second)
		}
		if n := len(b.remote.requests()); n != 300 {
			t.Errorf("%d requests, want 300", n)
		}
		if n := b.remote.link.dialed(); n > 2 {
			t.Errorf("%d connections for two replications to one remote", n)
		}
	})
}

// W3: EDR writes and syncs a copy of every payload for each replication, while the writer waits.
func TestW3ManyReplicationsNeitherCopyPayloadsNorHoldWritersUp(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		b.remote.script(always(reply{hang: true}))
		for n := range 20 {
			spec := b.spec
			spec.ID += id.ID(n)
			if err := b.set.Add(spec); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		for range 100 {
			b.write(100)
			synctest.Wait()
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("writers waited %s", took)
		}
		var size int64
		err := filepath.Walk(b.dir, func(_ string, info os.FileInfo, err error) error {
			if err == nil && !info.IsDir() {
				size += info.Size()
			}
			return err
		})
		if err != nil || size > 20*1024 {
			t.Errorf("%d bytes in the folders of 20 replications, %v", size, err)
		}
	})
}

// W4: EDR updates its database at every request.
func TestW4StateIsNotWrittenAtEveryRequest(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		b.write(1)
		b.drained(time.Minute)
		state := filepath.Join(b.dir, testReplication.String(), stateName)
		if err := os.Remove(state); err != nil {
			t.Fatal(err)
		}
		advances := b.memory.advanced()
		for range 25 {
			b.write(1)
			time.Sleep(time.Second)
		}
		if _, err := os.Stat(state); !os.IsNotExist(err) {
			t.Errorf("state was written within 25 s of plain sending: %v", err)
		}
		if n := b.memory.advanced() - advances; n != 25 {
			t.Errorf("position advanced %d times for 25 requests", n)
		}
	})
}

// W5: EDR compresses each tiny write by itself.
func TestW5ManySmallRecordsCompressTogether(t *testing.T) {
	for _, level := range []int{-1, 0, 1, 9} {
		inBubble(t, func(b *bench) {
			b.spec.GzipLevel = level
			b.spec.Paused = true
			b.add()
			for range 500 {
				b.write(1)
			}
			b.spec.Paused = false
			if err := b.set.Update(b.spec); err != nil {
				t.Fatal(err)
			}
			b.drained(time.Minute)
			b.delivered()
			s := b.status()
			ratio := float64(s.BytesRead) / float64(s.BytesSent)
			if level == -1 && ratio != 1 || level != -1 && ratio < 4 {
				t.Errorf("level %d: ratio %.1f", level, ratio)
			}
		})
	}
}

// W6: EDR gives every request 2 minutes and never makes it smaller.
func TestW6ThinLinkGetsSmallerRequestsAndEnoughTime(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.spec.GzipLevel = -1
		b.add()
		b.remote.link.rate = 1200
		for range 200 {
			b.write(100)
		}
		b.drained(time.Hour)
		b.delivered()
		s := b.status()
		if again := s.BytesTried - s.BytesSent; again > s.BytesSent/2 {
			t.Errorf("%d bytes sent, %d in vain", s.BytesSent, again)
		}
	})
}

func TestW6RequestsShrinkToWhatTheRemoteTakes(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		b.remote.script(func(c *call) reply {
			if size := len(strings.Join(c.lines, "\n")); size > 10_000 {
				return reply{code: 413, body: `{"error":"Request Entity Too Large"}`}
			}
			return reply{}
		})
		for range 100 {
			b.write(200)
		}
		b.drained(time.Minute)
		b.delivered()
		if n := len(b.dead()); n != 0 {
			t.Errorf("%d dead letters", n)
		}
		refused := 0
		for _, c := range b.remote.requests() {
			if c.code == 413 {
				refused++
			}
		}
		if refused > 20 {
			t.Errorf("%d requests were too large", refused)
		}
	})
}
