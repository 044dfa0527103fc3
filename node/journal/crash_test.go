package journal

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// crashDir tells a re-executed test binary that it is the child that is to be killed, and where its journal is.
const crashDir = "HOLDFAST_JOURNAL_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := appendUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

var crashOptions = Options{SegmentBytes: 32 << 10, MaxBytes: 1 << 30}

// appendUntilKilled appends from many goroutines and prints the position and seed of each record after it was acknowledged.
func appendUntilKilled(dir string) error {
	o := crashOptions
	o.Dir = dir
	j, err := Open(o)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	errs := make(chan error, 8)
	for w := range cap(errs) {
		wg.Go(func() {
			for i := 0; ; i++ {
				seed := int(rand.Uint32())
				p, err := j.Append(context.Background(), points(seed, 1+(i+w)%20))
				if err != nil {
					errs <- err
					return
				}
				mu.Lock()
				fmt.Printf("%d %d %d\n", p, seed, 1+(i+w)%20)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return <-errs
}

func TestKilledProcessLosesNoAcknowledgedRecord(t *testing.T) {
	dir := t.TempDir()
	acked := map[Position]Record{}
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		killChild(t, dir, time.Duration(20+rand.IntN(150))*time.Millisecond, acked)
		o := crashOptions
		o.Dir = dir
		j := open(t, o)
		got := readAll(t, j, 1)
		for i, g := range got {
			if g.gap != nil {
				t.Fatalf("round %d: %v", round, g.gap)
			}
			if want, ok := acked[Position(i+1)]; ok {
				if err := same(g.Record, want, Position(i+1)); err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
			} else if g.Position != Position(i+1) {
				t.Fatalf("round %d: position %d follows %d", round, g.Position, i)
			}
		}
		for p := range acked {
			if int(p) > len(got) {
				t.Fatalf("round %d: record %d was acknowledged, %d are there", round, p, len(got))
			}
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		t.Logf("round %d: %d acknowledged, %d there", round, len(acked), len(got))
	}
	if len(acked) == 0 {
		t.Fatal("the child never appended")
	}
}

// killChild runs the child until it has acknowledged something and the given time has passed, kills it, and notes what
// it had acknowledged.
func killChild(t *testing.T, dir string, after time.Duration, acked map[Position]Record) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), crashDir+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var timer *time.Timer
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // the last line may be cut short: it was acknowledged all the same, but to nobody
		}
		if timer == nil {
			timer = time.AfterFunc(after, func() { _ = child.Process.Kill() })
		}
		p, r := parseAck(t, line)
		acked[p] = r
	}
	if err := child.Wait(); err == nil {
		t.Fatal("the child ended by itself")
	}
}

func parseAck(t *testing.T, line string) (Position, Record) {
	t.Helper()
	var n [3]int
	fields := strings.Fields(line)
	if len(fields) != len(n) {
		t.Fatalf("the child printed %q", line)
	}
	for i, f := range fields {
		v, err := strconv.Atoi(f)
		if err != nil {
			t.Fatalf("the child printed %q", line)
		}
		n[i] = v
	}
	return Position(n[0]), points(n[1], n[2])
}
