package replicate

import (
	"testing"
	"testing/synctest"
	"time"
)

// W7: EDR has no rate limit, no order, no pause and no estimate.
func TestW7BandwidthLimitHolds(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.spec.BytesPerSecond, b.spec.GzipLevel, b.spec.Paused = 2000, -1, true
		b.add()
		for range 50 {
			b.write(50)
		}
		total := b.status().RemainingBytes
		b.spec.Paused = false
		if err := b.set.Update(b.spec); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		b.until(time.Minute, "estimating", func() bool { return b.status().ETA > 0 })
		b.drained(time.Hour)
		took := time.Since(began)
		b.delivered()
		least := time.Duration(float64(total)/2000*float64(time.Second)) - time.Second
		if took < least || took > 2*least {
			t.Errorf("%d bytes at 2000 a second took %s", total, took)
		}
	})
}

func TestW7NewestFirstSendsWhatArrivesBeforeTheBacklog(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.spec.Order, b.spec.MaxBatchBytes, b.spec.GzipLevel = NewestFirst, MinBatchBytes, -1
		b.add()
		b.remote.link.set(true)
		for range 100 {
			b.write(30)
			time.Sleep(time.Second)
		}
		b.remote.link.set(false)
		b.remote.link.rate = 4000
		b.set.Wake()
		time.Sleep(5 * time.Second)
		for i := range 10 {
			line := b.write(1)[0]
			b.until(4*time.Second, "sent before the backlog", func() bool { return b.remote.lines()[line] > 0 })
			if b.status().RemainingBytes < 10_000 {
				t.Fatalf("the backlog is gone after %d writes: the test shows nothing", i)
			}
			if i == 4 {
				b.restart() // both positions are durable
			}
		}
		if s := b.status(); s.Lag < time.Minute {
			t.Errorf("lag of %s leaves the backlog out", s.Lag)
		}
		b.remote.link.rate = 0
		b.drained(10 * time.Minute)
		b.delivered()
		again := 0
		for _, n := range b.remote.lines() {
			again += n - 1
		}
		if again > 100 {
			t.Errorf("%d lines were sent again", again)
		}
		if s := b.status(); s.Position != s.LastPosition {
			t.Errorf("position %d of %d", s.Position, s.LastPosition)
		}
	})
}

func TestW7PauseStopsAndResumeGoesOn(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		b.write(3)
		b.drained(time.Second)
		b.spec.Paused = true
		if err := b.set.Update(b.spec); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		before := len(b.remote.requests())
		b.write(3)
		time.Sleep(time.Hour)
		if s := b.status(); s.State != Paused || len(b.remote.requests()) != before || s.Lag < 59*time.Minute {
			t.Errorf("paused: %+v", s)
		}
		b.restart()
		time.Sleep(time.Minute)
		b.spec.Paused = false
		if err := b.set.Update(b.spec); err != nil {
			t.Fatal(err)
		}
		b.drained(time.Second)
		b.delivered()
	})
}

// W10 and W11: the bound of the queue counts what is unsent, and what leaves it is filled later.
func TestW11QueueCountsOnlyWhatIsUnsent(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		for range 20 {
			b.write(100)
		}
		b.drained(time.Minute)
		if s := b.status(); s.QueueBytes != 0 || s.RemainingBytes != 0 {
			t.Errorf("synced, and yet %d bytes in the queue, %d remaining", s.QueueBytes, s.RemainingBytes)
		}
	})
}

// Whoever pauses or resumes is answered before the stream has looked at its orders.
func TestStatusHasAPauseAsSoonAsItIsAskedFor(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		b.write(1)
		b.drained(time.Minute)
		for _, step := range []struct {
			paused bool
			state  State
		}{{true, Paused}, {false, Idle}, {true, Paused}} {
			b.spec.Paused = step.paused
			if err := b.set.Update(b.spec); err != nil {
				t.Fatal(err)
			}
			if s := b.status(); s.State != step.state {
				t.Errorf("with paused %t the state is %s, want %s", step.paused, s.State, step.state)
			}
			time.Sleep(time.Second)
			if s := b.status(); s.State != step.state {
				t.Errorf("with paused %t the state is %s a second later, want %s", step.paused, s.State, step.state)
			}
		}
		b.write(1)
		b.spec.Paused = false
		if err := b.set.Update(b.spec); err != nil {
			t.Fatal(err)
		}
		if s := b.status(); s.State != Sending {
			t.Errorf("with something to send the state is %s", s.State)
		}
	})
}
