package replicate

import (
	"testing"
	"time"
)

func TestReplicationSendsWhatTheJournalHolds(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.write(3) // before the replication: not its business
		before := b.sent
		b.sent = nil
		b.add()
		for range 20 {
			b.write(5)
			time.Sleep(20 * time.Millisecond)
		}
		b.drained(10 * time.Second)
		b.delivered()
		for _, l := range before {
			if b.remote.lines()[l] > 0 {
				t.Errorf("a line from before the replication was sent: %s", l)
			}
		}
		s := b.status()
		if s.PointsSent != 100 || s.PointsRead != 100 || s.LatestResponseCode != 204 || s.LatestErrorMessage != "" {
			t.Errorf("status is wrong: %+v", s)
		}
		c := b.remote.requests()[0]
		if c.query != "/base/api/v2/write?bucket=there&org=&precision=ns" || c.auth != "Token secret-token" {
			t.Errorf("request is wrong: %+v", c)
		}
	})
}

func TestReplicationResumesAfterRemoteOutage(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		b.write(10)
		b.drained(5 * time.Second)
		b.remote.link.set(true)
		for range 100 {
			b.write(10)
			time.Sleep(3 * time.Second)
		}
		if s := b.status(); s.State != Waiting || s.LatestResponseCode != 0 || s.LatestErrorMessage == "" || s.Lag < 4*time.Minute {
			t.Errorf("status in the outage: %+v", s)
		}
		b.remote.link.set(false)
		b.drained(2 * time.Minute)
		b.delivered()
	})
}
