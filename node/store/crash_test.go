package store

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

const crashDir = "HOLDFAST_STORE_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := crashChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// crashRecord is the journal record at a position: lines, or now and then a delete. It depends on the position only.
func crashRecord(pos uint64) (string, *Delete) {
	r := rand.New(rand.NewPCG(pos, 99))
	if pos%17 == 0 {
		from := day(1).Add(time.Duration(r.IntN(48)) * time.Hour)
		return "", &Delete{Range: span(from, from.Add(time.Hour)), Tags: []TagMatcher{{Key: "h", Value: strconv.Itoa(r.IntN(4))}}}
	}
	var text strings.Builder
	for range 20 {
		at := day(1).UnixNano() + int64(r.IntN(48*3600))*1e9
		fmt.Fprintf(&text, "m%d,h=%d f=%d,i=%di %d\n", r.IntN(2), r.IntN(4), r.IntN(1e6), pos, at)
	}
	return text.String(), nil
}

func crashOpen(dir string) (*Store, *Bucket, error) {
	s, err := Open(Options{Dir: dir, Now: newClock(day(3)).now, Manual: true})
	if err != nil {
		return nil, nil, err
	}
	s.wideValues = 500
	b, err := s.Bucket(testBucket, BucketOptions{ShardDuration: 24 * time.Hour})
	return s, b, err
}

// crashApply applies the record at a position.
func crashApply(b *Bucket, pos uint64) error {
	text, del := crashRecord(pos)
	if del != nil {
		b.ApplyDelete(pos, *del)
		return nil
	}
	var p line.Parser
	var batch line.Batch
	if err := p.Parse(&batch, []byte(text), line.Options{Precision: line.Nanosecond}); err != nil {
		return err
	}
	b.Apply(pos, &batch)
	return nil
}

// crashChild applies records, flushes and merges until it is killed, and prints each flushed position.
func crashChild(dir string) error {
	_, b, err := crashOpen(dir)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() {
		for {
			if err := b.Compact(context.Background()); err != nil {
				failed <- err
				return
			}
		}
	}()
	fmt.Println(b.Flushed())
	for pos := b.Flushed() + 1; ; pos++ {
		if err := crashApply(b, pos); err != nil {
			return err
		}
		if pos%5 != 0 {
			continue
		}
		if err := b.Flush(context.Background()); err != nil {
			return err
		}
		fmt.Println(b.Flushed())
		select {
		case err := <-failed:
			return err
		default:
		}
	}
}

func TestKilledStoreHasWhatItSaidWasFlushed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	r := rand.New(rand.NewPCG(1, 2))
	var flushed uint64
	m := model{}
	modelled := uint64(0)
	for round := range rounds {
		if said := crashRun(t, dir, 1+r.IntN(25)); said > flushed {
			flushed = said
		}
		s, b, err := crashOpen(dir)
		must(t, err)
		if b.Flushed() < flushed {
			t.Fatalf("round %d: flushed position %d after the kill, but %d was said", round, b.Flushed(), flushed)
		}
		flushed = b.Flushed()
		for modelled < flushed {
			modelled++
			crashModel(t, m, modelled)
		}
		compareDumps(t, fmt.Sprintf("round %d, flushed up to %d", round, flushed), dump(t, b, allTime, false), m.dump(allTime))
		if found, err := b.Verify(context.Background()); err != nil || len(found) > 0 {
			t.Fatalf("round %d: verify: %v %v", round, found, err)
		}
		must(t, s.Close())
	}
	t.Logf("%d kills, %d records, %d values", rounds, flushed, len(m.dump(allTime)))
}

// crashModel applies the record at a position to the model.
func crashModel(t *testing.T, m model, pos uint64) {
	t.Helper()
	text, del := crashRecord(pos)
	if del != nil {
		m.delete(del)
		return
	}
	batch := parse(t, text)
	for i := range batch.Points {
		p := &batch.Points[i]
		for _, f := range p.Fields {
			m.write(string(p.Series), p.Time, string(f.Key), string(line.AppendValue(nil, f.Value)))
		}
	}
}

// crashRun starts a child, kills it after it has said n flushed positions, at some moment of its further work, and returns the last
// position it said.
func crashRun(t *testing.T, dir string, n int) uint64 {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	var last uint64
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		pos, err := strconv.ParseUint(lines.Text(), 10, 64)
		must(t, err)
		last = pos
		if n--; n == 0 {
			must(t, cmd.Process.Kill())
		}
	}
	if err := cmd.Wait(); err == nil || n > 0 {
		t.Fatalf("the child ended by itself: %v", err)
	}
	return last
}
