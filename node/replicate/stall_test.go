package replicate

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/journal"
)

// S1: EDR sleeps after a restart until the next local write.
func TestS1RestartWithABacklogAndNoNewWriteDrains(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		b.remote.link.set(true)
		for range 50 {
			b.write(10)
		}
		time.Sleep(time.Hour)
		b.stop()
		b.remote.link.set(false)
		b.add()
		b.drained(5 * time.Second)
		b.delivered()
	})
}

// S2: EDR makes no progress when the link is up for less than ten seconds at a time, and sends the same again and again.
func TestS2FlappingLinkMakesProgressInEveryWindow(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.spec.GzipLevel = -1
		b.add()
		b.remote.link.set(true)
		for range 400 {
			b.write(20)
		}
		b.remote.link.rate = 8 << 10
		windows := 0
		for ; windows < 200 && b.status().RemainingBytes > 0; windows++ {
			b.remote.link.set(false)
			b.set.Wake()
			time.Sleep(5 * time.Second)
			b.remote.link.set(true)
			time.Sleep(55 * time.Second)
		}
		b.remote.link.set(false)
		b.drained(2 * time.Minute)
		b.delivered()
		s := b.status()
		again := s.BytesTried - s.BytesSent
		t.Logf("%d windows, %d bytes sent, %d bytes sent again, %d requests cut", windows, s.BytesSent, again, b.remote.broken)
		if windows > 12 || b.remote.broken > windows || again > s.BytesSent/2 {
			t.Errorf("%d windows, %d requests cut, at most one a window is allowed; %d bytes sent again of %d", windows, b.remote.broken, again, s.BytesSent)
		}
		for l, n := range b.remote.lines() {
			if n > 1 {
				t.Errorf("stored %d times: %s", n, l)
			}
		}
	})
}

func TestS2PositionSurvivesARestartWithinAWindow(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.spec.MaxBatchBytes = MinBatchBytes
		b.add()
		b.remote.link.set(true)
		for range 60 {
			b.write(20)
		}
		b.remote.script(always(reply{delay: time.Second}))
		for range 40 {
			b.remote.link.set(false)
			b.restart()
			time.Sleep(3500 * time.Millisecond)
			b.remote.link.set(true)
			time.Sleep(time.Minute)
		}
		b.remote.script(nil)
		b.remote.link.set(false)
		b.drained(2 * time.Minute)
		b.delivered()
		for l, n := range b.remote.lines() {
			if n > 2 {
				t.Errorf("stored %d times: %s", n, l)
			}
		}
	})
}

// S3: EDR stays at a request that is refused with anything but 400.
func TestS3RefusedLineNeverBlocksTheLinesBehindIt(t *testing.T) {
	for _, code := range []int{400, 413, 422} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			inBubble(t, func(b *bench) {
				b.add()
				b.remote.script(refuseLines(code, "n=5i", "n=33i", "n=40i"))
				for range 8 {
					b.write(5)
				}
				b.drained(time.Minute)
				bad := []string{b.sent[4], b.sent[32], b.sent[39]}
				b.delivered(bad...)
				if got := b.dead(); strings.Join(got, "\n") != strings.Join(bad, "\n") {
					t.Errorf("dead letters: %q", got)
				}
			})
		})
	}
}

func TestS3LineThatTheServerStumblesOverNeverBlocksTheLinesBehindIt(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		b.remote.script(refuseLines(500, "n=5i", "n=6i", "n=33i"))
		for range 8 {
			b.write(5)
		}
		b.drained(2 * time.Hour)
		bad := []string{b.sent[4], b.sent[5], b.sent[32]}
		b.delivered(bad...)
		if got := b.dead(); strings.Join(got, "\n") != strings.Join(bad, "\n") {
			t.Errorf("dead letters: %q", got)
		}
	})
}

func TestS3OutageOfServerErrorsMakesNoDeadLetters(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		b.remote.script(func(c *call) reply {
			return reply{code: []int{204, 500}[min(len(c.lines), 1)]} // empty writes work
		})
		for range 100 {
			b.write(5)
			time.Sleep(10 * time.Minute)
		}
		b.remote.script(nil)
		b.drained(5 * time.Minute)
		b.delivered()
		if n := len(b.dead()); n != 0 {
			t.Errorf("%d dead letters from an outage", n)
		}
	})
}

func TestS3RemoteThatDeniesIsProbedSlowlyAndSaysWhy(t *testing.T) {
	for _, code := range []int{401, 403, 404, 302} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			inBubble(t, func(b *bench) {
				b.add()
				b.remote.script(always(reply{code: code, body: `{"code":"unauthorized","message":"unauthorized access"}`}))
				for range 360 {
					b.write(1)
					time.Sleep(10 * time.Second)
				}
				s := b.status()
				if s.State != Refused || s.LatestResponseCode != code || !strings.Contains(s.Reason, fmt.Sprintf("%d %s", code, http.StatusText(code))) {
					t.Errorf("status: %+v", s)
				}
				if n := len(b.remote.requests()); n != 1 {
					t.Errorf("%d requests with lines at a remote that denies, want 1", n)
				}
				if n := b.remote.probed(); n < 10 || n > 25 {
					t.Errorf("%d probes in an hour", n)
				}
				b.remote.script(nil)
				b.drained(10 * time.Minute)
				b.delivered()
			})
		})
	}
}

// S4: EDR sleeps up to 15 minutes although the token was mended or the network is back.
func TestS4MendedTokenIsTriedAtOnce(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		b.remote.script(func(c *call) reply {
			if c.auth != "Token right" {
				return reply{code: 401}
			}
			return reply{}
		})
		b.write(10)
		time.Sleep(time.Hour)
		b.spec.Remote.Token = "right"
		if err := b.set.Update(b.spec); err != nil {
			t.Fatal(err)
		}
		b.drained(time.Second)
		b.delivered()
	})
}

func TestS4LinkThatComesUpIsTriedAtOnce(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		b.remote.link.set(true)
		b.write(10)
		time.Sleep(time.Hour)
		b.remote.link.set(false)
		b.set.Wake()
		b.drained(time.Second)
		b.delivered()
	})
}

func TestS4ChangeOfTheRemoteCutsAHangingRequestShort(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		b.remote.script(func(c *call) reply { return reply{hang: !strings.Contains(c.query, "bucket=other")} })
		b.write(10)
		time.Sleep(time.Second)
		b.spec.RemoteBucketName = "other"
		if err := b.set.Update(b.spec); err != nil {
			t.Fatal(err)
		}
		b.drained(time.Second)
		b.delivered()
		if s := b.status(); s.ConnectionErrors != 0 || s.LatestErrorMessage != "" {
			t.Errorf("the cut is taken for a failure: %+v", s)
		}
	})
}

// S5: EDR tries at every local write, whatever the remote asked for.
func TestS5RetryAfterIsAGateUnderConstantWrites(t *testing.T) {
	const wait = 90 * time.Second
	forms := map[string]func() string{
		"seconds": func() string { return "90" },
		"date":    func() string { return time.Now().Add(wait).UTC().Format(http.TimeFormat) },
	}
	for _, code := range []int{429, 503} {
		for name, form := range forms {
			t.Run(fmt.Sprint(code, name), func(t *testing.T) {
				inBubble(t, func(b *bench) {
					b.add()
					asked := map[int]bool{}
					b.remote.script(func(c *call) reply {
						if minute := int(time.Since(start()) / (10 * time.Minute)); !asked[minute] {
							asked[minute] = true
							return reply{code: code, header: map[string]string{"Retry-After": form()}}
						}
						return reply{}
					})
					for range 3600 {
						b.write(1)
						time.Sleep(500 * time.Millisecond)
						if len(b.sent)%100 == 0 {
							b.set.Wake() // not even this opens it
						}
					}
					b.drained(3 * time.Minute)
					b.delivered()
					calls := b.remote.requests()
					for i := 1; i < len(calls); i++ {
						if calls[i-1].code == code && calls[i].at.Sub(calls[i-1].at) < wait-time.Second {
							t.Errorf("a request %s after one that was told to wait %s", calls[i].at.Sub(calls[i-1].at), wait)
						}
					}
				})
			})
		}
	}
}

// start is when time begins in a bubble.
func start() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

func TestS5BackoffHoldsUnderConstantWritesAndIsCapped(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.add()
		b.remote.script(always(reply{code: 500}))
		for range 3600 {
			b.write(1)
			time.Sleep(time.Second)
		}
		calls := b.remote.requests()
		if len(calls) < 60 || len(calls) > 300 {
			t.Errorf("%d requests in an hour of 500s", len(calls))
		}
		for i := 1; i < len(calls); i++ {
			if gap := calls[i].at.Sub(calls[i-1].at); gap < backoffBase || gap > backoffCap+time.Second {
				t.Errorf("a wait of %s", gap)
			}
		}
		b.remote.script(nil)
		b.drained(2 * time.Minute)
		b.delivered()
	})
}

func TestS5WaitsOfAFleetSpread(t *testing.T) {
	waits := map[time.Duration]bool{}
	now := time.Now()
	for range 100 {
		var g gate
		for range 6 {
			g.backoff(now)
		}
		waits[g.until.Sub(now)] = true
	}
	if len(waits) < 50 {
		t.Errorf("100 senders wait %d different times", len(waits))
	}
}

// S6: EDR reads a map of queues that is changed at the same time. The race detector is the judge.
func TestS6AddRemoveAndAskAtTheSameTime(t *testing.T) {
	inBubble(t, func(b *bench) {
		b.start()
		var wg sync.WaitGroup
		for n := range 4 {
			wg.Go(func() {
				spec := b.spec
				for i := range 20 {
					spec.ID = id.ID(1 + n*100 + i)
					if err := b.set.Add(spec); err != nil {
						t.Error(err)
					}
					spec.Paused = i%2 == 0
					if err := b.set.Update(spec); err != nil {
						t.Error(err)
					}
					b.set.Statuses()
					b.set.Wake()
					if _, err := b.log.Append(b.ctx, journal.Record{Kind: journal.Points, Count: 1, Body: []byte("m a=1i 1\n")}); err != nil {
						t.Error(err)
					}
					if i%3 == 0 {
						continue
					}
					if _, err := b.set.Remove(spec.ID); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if n := len(b.set.Statuses()); n != 4*7 {
			t.Errorf("%d replications left, want 28", n)
		}
	})
}
