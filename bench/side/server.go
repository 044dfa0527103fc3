package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// server is a program under measurement, limited to one core.
type server struct {
	name  string
	addr  string
	dir   string // what counts as its data on disk
	write string // path and query of its write endpoint
	token string
	cmd   *exec.Cmd
	start func() *exec.Cmd
	ready string
	// settle changes the configuration so that the next start writes everything to its blocks soon.
	settle func() error
	log    bytes.Buffer
	boot   time.Duration
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func newHoldfast(program, dir, extra string) (*server, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "holdfast.toml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "[node]\nlisten = %q\n%s", addr, extra), 0o600); err != nil {
		return nil, err
	}
	s := &server{name: "holdfast", addr: addr, dir: filepath.Join(dir, "data"), ready: "/ready", token: "benchmark",
		write: "/api/v2/write?org=o&bucket=bench"}
	s.start = func() *exec.Cmd { return exec.Command(program, "run", "--config", config, "--data", s.dir) }
	s.settle = func() error {
		return os.WriteFile(config, fmt.Appendf(nil, "[node]\nlisten = %q\n[store]\nflush_age = \"2s\"\n", addr), 0o600)
	}
	return s, nil
}

func newInfluxd(program, dir string) (*server, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	rpc, err := freeAddr()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "influxd.conf")
	text := fmt.Sprintf(`reporting-disabled = true
bind-address = %q
[meta]
dir = %q
[data]
dir = %q
wal-dir = %q
index-version = "tsi1"
query-log-enabled = false
[monitor]
store-enabled = false
[http]
bind-address = %q
log-enabled = false
[logging]
level = "error"
`, rpc, filepath.Join(dir, "meta"), filepath.Join(dir, "data"), filepath.Join(dir, "wal"), addr)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	s := &server{name: "influxdb 1.8.10", addr: addr, dir: filepath.Join(dir, "data"), ready: "/ping", write: "/write?db=bench"}
	s.start = func() *exec.Cmd { return exec.Command(program, "-config", config) }
	s.settle = func() error {
		quick := "[data]\ncache-snapshot-write-cold-duration = \"2s\"\ncompact-full-write-cold-duration = \"4s\""
		return os.WriteFile(config, []byte(strings.Replace(text, "[data]", quick, 1)), 0o600)
	}
	return s, nil
}

// run starts the server and waits until it answers.
func (s *server) run() error {
	s.cmd = s.start()
	s.cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	begin := time.Now()
	if err := s.cmd.Start(); err != nil {
		return err
	}
	for time.Since(begin) < 30*time.Second {
		resp, err := http.Get("http://" + s.addr + s.ready)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode < 300 {
				s.boot = time.Since(begin)
				return nil
			}
		}
		time.Sleep(time.Millisecond)
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	return fmt.Errorf("%s does not answer: %s", s.name, s.log.String())
}

func (s *server) stop() {
	_ = s.cmd.Process.Signal(os.Interrupt)
	done := make(chan struct{})
	go func() { _ = s.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		_ = s.cmd.Process.Kill()
		<-done
	}
}

// cpu returns the user and system time the process has used.
func (s *server) cpu() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond // the kernel's clock tick in /proc
}

// memory returns a figure of /proc/PID/status in bytes: VmRSS, VmHWM.
func (s *server) memory(figure string) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, figure+":"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb * 1024
		}
	}
	return 0
}

func (s *server) post(path, contentType string, body []byte, status ...int) ([]byte, error) {
	req, err := http.NewRequest("POST", "http://"+s.addr+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if s.token != "" {
		req.Header.Set("Authorization", "Token "+s.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	for _, want := range status {
		if resp.StatusCode == want {
			return b, nil
		}
	}
	return nil, fmt.Errorf("%s: POST %s: status %d: %s", s.name, path, resp.StatusCode, b)
}

// prepare makes the bucket that the load goes to.
func (s *server) prepare() error {
	if s.token != "" {
		_, err := s.post("/api/v2/setup", "application/json",
			[]byte(`{"username":"u","password":"password1","org":"o","bucket":"bench","token":"`+s.token+`"}`), http.StatusCreated)
		return err
	}
	_, err := s.post("/query?q="+url.QueryEscape(`CREATE DATABASE bench`), "", nil, http.StatusOK)
	return err
}

// disk returns the bytes of files below dir whose name ends so, "" for all.
func disk(dir, suffix string) (int64, error) {
	var n int64
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, suffix) {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}
