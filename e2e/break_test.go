//go:build e2e && linux

package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// smallDisk mounts a file system of its own, so that filling it harms nothing else. It needs root, as the tests' container has.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		t.Fatalf("mount a small disk, which takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// startNodeIn is startNode with its data in the given folder.
func startNodeIn(t *testing.T, dir, extra string) *process {
	t.Helper()
	p := startNode(t, extra)
	p.stop()
	for i, a := range p.args {
		if a == p.dir {
			p.args[i] = dir
		}
	}
	p.dir = dir
	p.start()
	if _, err := os.Stat(filepath.Join(dir, "catalog.db")); err != nil {
		t.Fatalf("the node keeps its data elsewhere: %v", err)
	}
	return p
}

// numbered returns n lines with unique times.
func numbered(from, n int, pad string) string {
	var b strings.Builder
	for i := from; i < from+n; i++ {
		fmt.Fprintf(&b, "disk v=%di,pad=\"%s%d\" %d\n", i, pad, i, chaosEpoch+int64(i)*1e6)
	}
	return b.String()
}

// checkNumbered requires every acknowledged batch, and that a refused one is not there.
func checkNumbered(t *testing.T, p *process, batch int, acked []bool) {
	t.Helper()
	seen := make([]int, len(acked))
	err := p.scan("SELECT v FROM disk", func(r []string) error {
		var v int
		if _, err := fmt.Sscan(r[1], &v); err != nil || v/batch >= len(seen) {
			return fmt.Errorf("a point that nobody wrote: %v", r)
		}
		seen[v/batch]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, ok := range acked {
		if ok && seen[i] != batch {
			t.Errorf("batch %d was acknowledged and %d of its %d points are there", i, seen[i], batch)
		}
		if !ok && seen[i] != 0 {
			t.Errorf("batch %d was refused and %d of its points are there", i, seen[i])
		}
	}
}

func TestFullDiskRefusesWritesAndLosesNothing(t *testing.T) {
	for _, policy := range []string{"drop-oldest", "reject"} {
		t.Run(policy, func(t *testing.T) {
			disk := smallDisk(t, "8m")
			p := startNodeIn(t, filepath.Join(disk, "data"), fmt.Sprintf("[journal]\npolicy = %q\nsegment_bytes = \"256KiB\"\n[store]\nmemtable_bytes = \"256KiB\"", policy)).setup("org", "bucket")
			rng := rand.New(rand.NewPCG(1, 2))
			const batch = 50
			var acked []bool
			refused := 0
			write := func() bool {
				pad := make([]byte, 300)
				for i := range pad {
					pad[i] = byte('a' + rng.IntN(26))
				}
				req, err := http.NewRequest("POST", p.url("/api/v2/write?org=org&bucket=bucket"), strings.NewReader(numbered(len(acked)*batch, batch, string(pad))))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Authorization", "Token "+p.token)
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatalf("the node does not answer: %v", err)
				}
				body, _ := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				switch {
				case resp.StatusCode == http.StatusNoContent:
					acked = append(acked, true)
					return true
				case resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "":
					acked = append(acked, false)
					refused++
				default:
					t.Fatalf("write to a full disk: status %d, Retry-After %q: %s", resp.StatusCode, resp.Header.Get("Retry-After"), body)
				}
				return false
			}
			ballast := filepath.Join(disk, "ballast")
			filled := false
			for refused < 20 {
				ok := write()
				if len(acked) == 40 && !filled {
					filled = true
					f, err := os.Create(ballast)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := io.Copy(f, io.LimitReader(zeros{}, 64<<20)); !errors.Is(err, syscall.ENOSPC) {
						t.Fatalf("the disk takes more than its size: %v", err)
					}
					_ = f.Close()
				}
				if len(acked) > 3000 {
					t.Fatalf("%d writes and the disk is not full (last %v)", len(acked), ok)
				}
			}
			checkNumbered(t, p, batch, acked)
			t.Logf("%d batches accepted before %d were refused", len(acked)-refused, refused)
			p.kill()
			p.start() // on a full disk
			checkNumbered(t, p, batch, acked)
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			eventually(t, 30*time.Second, func() error {
				if !write() {
					return errors.New("writes are still refused")
				}
				return nil
			})
			for range 20 {
				if !write() {
					t.Error("a write is refused after there was space again")
				}
			}
			p.kill()
			p.start()
			checkNumbered(t, p, batch, acked)
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestKillsDuringFlushesAndDeletesLoseNothing(t *testing.T) {
	p := startNode(t, "[journal]\nsegment_bytes = \"128KiB\"\n[store]\nmemtable_bytes = \"64KiB\"").setup("org", "bucket")
	const (
		batch = 100
		kills = 12
	)
	acked := map[int]bool{}
	unknown := map[int]bool{}
	next := 0
	rng := rand.New(rand.NewPCG(3, 4))
	for range kills {
		ctx, cancel := context.WithCancel(t.Context())
		var (
			mu    sync.Mutex
			group sync.WaitGroup
		)
		for range 4 {
			group.Go(func() {
				for ctx.Err() == nil {
					mu.Lock()
					i := next
					next++
					mu.Unlock()
					status, _, err := p.write(ctx, numbered(i*batch, batch, "x"))
					mu.Lock()
					if status == http.StatusNoContent {
						acked[i] = true
					} else {
						unknown[i] = true
					}
					mu.Unlock()
					if err != nil {
						return
					}
				}
			})
		}
		time.Sleep(time.Duration(200+rng.IntN(600)) * time.Millisecond)
		p.kill()
		cancel()
		group.Wait()
		p.start()
		have := map[int]int{}
		if err := p.scan("SELECT v FROM disk", func(r []string) error {
			var v int
			_, err := fmt.Sscan(r[1], &v)
			have[v/batch]++
			return err
		}); err != nil {
			t.Fatal(err)
		}
		for i := range acked {
			if have[i] != batch {
				t.Fatalf("batch %d was acknowledged and %d of its %d points are there", i, have[i], batch)
			}
		}
		for i := range unknown {
			if have[i] != 0 && have[i] != batch {
				t.Fatalf("batch %d is there in part: %d of %d points", i, have[i], batch)
			}
		}
	}
	t.Logf("%d batches of %d points acknowledged, %d without an answer, over %d kills", len(acked), batch, len(unknown), kills)
}

// what a hostile or careless client sends must cost it an error and nobody else anything.
func TestHostileRequestsAreRefusedAndTheNodeLives(t *testing.T) {
	p := startNode(t, "").setup("org", "bucket")
	post := func(path, encoding string, body io.Reader) (int, string) {
		req, err := http.NewRequest("POST", p.url(path), body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Token "+p.token)
		if encoding != "" {
			req.Header.Set("Content-Encoding", encoding)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	const path = "/api/v2/write?org=org&bucket=bucket"
	var bomb bytes.Buffer
	z, _ := gzip.NewWriterLevel(&bomb, gzip.BestCompression)
	if _, err := io.Copy(z, io.LimitReader(zeros{}, 1<<30)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	var series strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&series, "wide,host=h%d v=1\n", i)
	}
	for _, c := range []struct {
		name, encoding string
		body           io.Reader
		want           []int
	}{
		{"a body of 100 MB", "", io.LimitReader(zeros{}, 100<<20), []int{413, 0}},
		{"a bomb of 1 GB", "gzip", bytes.NewReader(bomb.Bytes()), []int{413}},
		{"a torn bomb", "gzip", bytes.NewReader(bomb.Bytes()[:bomb.Len()/100]), []int{400, 413}},
		{"10,000 series", "", strings.NewReader(series.String()), []int{204}},
		{"a string of 1 MiB", "", strings.NewReader(`big s="` + strings.Repeat("x", 1<<20) + `" 1` + "\n"), []int{204}},
		{"a string of 2 MiB", "", strings.NewReader(`big s="` + strings.Repeat("x", 2<<20) + `" 2` + "\n"), []int{422}},
		{"a series key of 100 kB", "", strings.NewReader("key,t=" + strings.Repeat("x", 100<<10) + " v=1 1\n"), []int{400, 422}},
		{"10,000 fields", "", strings.NewReader("m " + strings.TrimSuffix(strings.Repeat("a=1,", 10_000), ",") + " 1\n"), []int{204}},
		{"control bytes", "", strings.NewReader(strings.Repeat("\x01", 1<<10)), []int{400}},
	} {
		status, body := post(path, c.encoding, c.body)
		ok := false
		for _, w := range c.want {
			ok = ok || w == status
		}
		if !ok {
			t.Errorf("%s: status %d, want %v: %.300s", c.name, status, c.want, body)
		}
	}
	// Bytes that are not UTF-8 come back as they are, or as what JSON makes of them; the answer stays readable.
	if status, body := post(path, "", strings.NewReader("utf,t=a\xff v=1,s=\"\xfe\xff\" 5\n")); status != 204 && status != 400 {
		t.Errorf("invalid UTF-8: status %d: %s", status, body)
	}
	if _, err := p.tryQuery("SELECT * FROM utf"); err != nil {
		t.Errorf("query of invalid UTF-8: %v", err)
	}
	for _, q := range []string{
		"SELECT mean(v) FROM wide WHERE time > now() - 365d GROUP BY time(1ns)",
		"SELECT mean(v) FROM wide WHERE time > now() - 365d GROUP BY time(1us), host fill(0)",
		"SELECT * FROM /.*/ WHERE v =~ /(a+)+$/",
		strings.Repeat("(", 100_000),
		"SELECT " + strings.Repeat("(", 5_000) + "v" + strings.Repeat(")", 5_000) + " FROM wide",
		strings.Repeat("SELECT v FROM (", 2_000) + "wide" + strings.Repeat(")", 2_000),
		strings.Repeat("SHOW DATABASES;", 100_000),
	} {
		began := time.Now()
		req := strings.NewReader("db=bucket&q=" + strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(q, "+", "%2B"), ";", "%3B"), " ", "+"))
		hr, _ := http.NewRequest("POST", p.url("/query"), req)
		hr.Header.Set("Authorization", "Token "+p.token)
		hr.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := http.DefaultClient.Do(hr)
		if err != nil {
			t.Errorf("%.60s: %v", q, err)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		took := time.Since(began)
		if err != nil || resp.StatusCode >= 500 || len(body) > 1<<20 || took > 20*time.Second {
			t.Errorf("%.60s: status %d, %d bytes in %v, %v", q, resp.StatusCode, len(body), took, err)
		}
		if strings.Contains(q, "time(1") && !bytes.Contains(body, []byte("error")) {
			t.Errorf("%s: answered with %.200s", q, body)
		}
	}
	p.mustWrite("alive v=1 1\n")
	if rss := p.rss(); rss > 700<<20 {
		t.Errorf("the node holds %d MiB after it", rss>>20)
	}
}

// rss returns the resident bytes of the node.
func (p *process) rss() int64 {
	p.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	var kb int64
	_, after, _ := strings.Cut(string(b), "VmRSS:")
	if _, err := fmt.Sscan(after, &kb); err != nil {
		p.t.Fatal(err)
	}
	return kb << 10
}

func TestSlowClientsDoNotHoldOthersUp(t *testing.T) {
	p := startNode(t, "").setup("org", "bucket")
	var conns []net.Conn
	t.Cleanup(func() {
		for _, c := range conns {
			_ = c.Close()
		}
	})
	for i := range 600 {
		c, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		head := "POST /api/v2/write?org=org&bucket=bucket HTTP/1.1\r\nHost: x\r\n"
		if i%2 == 0 { // half of them never finish their body
			head += "Authorization: Token " + p.token + "\r\nContent-Length: 1048576\r\n\r\ncpu v="
		}
		if _, err := io.WriteString(c, head); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Second)
	for i := range 20 {
		p.mustWrite(fmt.Sprintf("fast v=%di %d\n", i, i+1))
	}
	if err := holds(p, "fast", 20); err != nil {
		t.Error(err)
	}
}

func TestManyWritersAndDeletesAtOnce(t *testing.T) {
	p := startNode(t, "[store]\nmemtable_bytes = \"64KiB\"").setup("org", "bucket")
	var (
		group  sync.WaitGroup
		denied atomic.Int64
	)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 200}}
	const writers, rounds = 200, 20
	for w := range writers {
		group.Go(func() {
			for i := range rounds {
				req, _ := http.NewRequest("POST", p.url("/api/v2/write?org=org&bucket=bucket"), strings.NewReader(fmt.Sprintf("kept,w=w%d v=%di %d\ngone,w=w%d v=%di %d\n", w, w*rounds+i, i+1, w, i, i+1)))
				req.Header.Set("Authorization", "Token "+p.token)
				resp, err := client.Do(req)
				if err != nil {
					t.Errorf("write: %v", err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode != http.StatusNoContent {
					denied.Add(1)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	body, _ := json.Marshal(map[string]string{"start": "1970-01-01T00:00:00Z", "stop": "2100-01-01T00:00:00Z", "predicate": `_measurement="gone"`})
	remove := func() {
		if status, b := p.do("POST", "/api/v2/delete?org=org&bucket=bucket", bytes.NewReader(body)); status != http.StatusNoContent {
			t.Errorf("delete: status %d: %s", status, b)
		}
	}
	for deleting := true; deleting; {
		select {
		case <-done:
			deleting = false
		default:
			remove()
		}
	}
	remove()
	if n := denied.Load(); n > 0 {
		t.Errorf("%d writes were refused", n)
	}
	check := func() {
		if err := holds(p, "kept", writers*rounds); err != nil {
			t.Error(err)
		}
		if rows, err := p.tryQuery("SELECT v FROM gone"); err != nil || len(rows) > 0 {
			t.Errorf("%d deleted points are there, %v", len(rows), err)
		}
	}
	check()
	p.kill()
	p.start()
	check()
}

func TestBucketsComeAndGoWhileTheyAreUsed(t *testing.T) {
	p := startNode(t, "[store]\nmemtable_bytes = \"64KiB\"").setup("org", "bucket")
	org := p.orgID()
	var remote struct{ ID string }
	p.call("POST", "/api/v2/remotes", map[string]any{"name": "r", "orgID": org, "remoteURL": "http://127.0.0.1:1", "remoteAPIToken": "x",
		"remoteOrgID": org, "allowInsecureTLS": false}, http.StatusCreated, &remote)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	var group sync.WaitGroup
	for k := range 2 {
		name := fmt.Sprintf("passing%d", k)
		group.Go(func() {
			for ctx.Err() == nil {
				var b struct{ ID string }
				p.call("POST", "/api/v2/buckets", map[string]any{"name": name, "orgID": org}, http.StatusCreated, &b)
				p.call("POST", "/api/v2/replications", map[string]any{"name": "of " + b.ID, "orgID": org, "remoteID": remote.ID,
					"localBucketID": b.ID, "remoteBucketID": b.ID}, http.StatusCreated, nil)
				time.Sleep(300 * time.Millisecond)
				p.call("DELETE", "/api/v2/buckets/"+b.ID, nil, http.StatusNoContent, nil)
			}
		})
		for range 3 {
			group.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					status, body := p.do("POST", "/api/v2/write?org=org&bucket="+name, strings.NewReader(numbered(i*200, 200, "pad")))
					if status != http.StatusNoContent && status != http.StatusNotFound && status != http.StatusServiceUnavailable {
						t.Errorf("write to a bucket that comes and goes: status %d: %s", status, body)
						return
					}
				}
			})
		}
		group.Go(func() {
			for ctx.Err() == nil {
				if status, body := p.do("GET", "/query?db="+name+"&q=SELECT+count(v)+FROM+disk", nil); status != http.StatusOK || bytes.Contains(body, []byte("internal")) {
					t.Errorf("query of a bucket that comes and goes: status %d: %s", status, body)
					return
				}
			}
		})
	}
	group.Wait()
	for _, room := range []string{"journal", "store"} {
		left, err := os.ReadDir(filepath.Join(p.dir, room))
		if err != nil || len(left) != 1 {
			t.Errorf("in %s is left, beside the bucket that stays: %v, %v", room, left, err)
		}
	}
	if left, err := os.ReadDir(filepath.Join(p.dir, "replication")); err != nil || len(left) != 0 {
		t.Errorf("left of deleted replications: %v, %v", left, err)
	}
	p.stop()
}

func TestEverythingKeptIsForItsOwnerOnly(t *testing.T) {
	before := syscall.Umask(0) // the most careless
	defer syscall.Umask(before)
	edge := startNode(t, "[store]\nmemtable_bytes = \"64KiB\"").setup("edge", "plant")
	central := startNode(t, "").setup("central", "plant")
	central.mustWrite("m v=\"text\" 2\n")
	edge.replicateTo(central, "http://"+central.addr, nil)
	edge.mustWrite("m v=2i 3\n") // of another type there: a dead letter
	for i := 0; i < 20_000; i += 1000 {
		edge.mustWrite(numbered(i, 1000, "a long text that fills the memtable"))
	}
	eventually(t, 20*time.Second, func() error {
		dead, err := filepath.Glob(filepath.Join(edge.dir, "replication", "*", "dead.jsonl"))
		blocks, _ := filepath.Glob(filepath.Join(edge.dir, "store", "*", "*", "*.parquet"))
		if err != nil || len(dead) == 0 || len(blocks) == 0 {
			return fmt.Errorf("%d dead letters' files, %d blocks, %v", len(dead), len(blocks), err)
		}
		return nil
	})
	for _, p := range []*process{edge, central} {
		p.stop()
		files := 0
		err := filepath.WalkDir(p.dir, func(path string, e os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := e.Info()
			if err == nil && info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s may be used by others: %v", path, info.Mode())
			}
			files++
			return err
		})
		if err != nil || files < 10 {
			t.Errorf("%d files, %v", files, err)
		}
	}
}
