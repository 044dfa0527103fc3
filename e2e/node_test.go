//go:build e2e

// Package e2e drives the built programs from outside: over HTTP, by command, and with the peers that its users know.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/e2e/peer"
)

// program is the built holdfast. `make e2e` builds it first; HOLDFAST_BIN names another.
func program(t testing.TB) string {
	t.Helper()
	if p := os.Getenv("HOLDFAST_BIN"); p != "" {
		return p
	}
	p, err := filepath.Abs("../bin/holdfast")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(p); err != nil {
		t.Fatalf("%v: run `make build` first", err)
	}
	return p
}

// process is a running node.
type process struct {
	t      testing.TB
	dir    string // data folder
	config string // path of its configuration
	addr   string
	token  string
	org    string
	bucket string
	args   []string     // of the program
	work   string       // the folder it runs in; empty is the test's
	env    []string     // added to the test's environment
	tls    *http.Client // of a node that serves HTTPS
	cmd    *exec.Cmd
	exited chan struct{}
	log    *os.File
}

// startNode starts a node that collects nothing, with extra configuration lines, on a free port of the loopback.
func startNode(t testing.TB, extra string) *process { return startNodeOver(t, extra, nil) }

// startNodeOver starts a node that serves HTTPS when there is a client for that.
func startNodeOver(t testing.TB, extra string, client *http.Client) *process {
	t.Helper()
	dir := t.TempDir()
	p := &process{t: t, dir: filepath.Join(dir, "data"), config: filepath.Join(dir, "holdfast.toml"), addr: freeAddr(t), tls: client}
	text := fmt.Sprintf("[node]\nlisten = %q\n%s\n", p.addr, extra)
	if err := os.WriteFile(p.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.args = []string{"run", "--config", p.config, "--data", p.dir}
	p.logTo(filepath.Join(dir, "log"))
	p.start()
	return p
}

// logTo has what the node prints written to a file, and shown when the test fails. The node is stopped with the test.
func (p *process) logTo(path string) {
	p.t.Helper()
	logFile, err := os.Create(path)
	if err != nil {
		p.t.Fatal(err)
	}
	p.log = logFile
	p.t.Cleanup(func() {
		p.kill()
		if p.t.Failed() {
			b := p.printed()
			p.t.Logf("log of node %s (its last 8 kB):\n%s", p.addr, b[max(0, len(b)-8192):])
		}
		_ = logFile.Close()
	})
}

// printed is all that the node has printed so far.
func (p *process) printed() string {
	p.t.Helper()
	b, err := os.ReadFile(p.log.Name())
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

// freeAddr returns an address that a test can listen at, give up, and listen at again.
func freeAddr(t testing.TB) string {
	t.Helper()
	addrs, err := peer.FreeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	return addrs[0]
}

func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.Command(program(p.t), p.args...)
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Dir, p.cmd.Env = p.log, p.log, p.work, append(os.Environ(), p.env...)
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.exited = make(chan struct{})
	go func(c *exec.Cmd, done chan struct{}) { _ = c.Wait(); close(done) }(p.cmd, p.exited)
	p.waitReady()
}

func (p *process) waitReady() {
	p.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		resp, err := p.client().Get(p.url("/ready"))
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-p.exited:
			p.t.Fatalf("the node ended: %s", p.printed())
		default:
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("node %s is not ready after 30 s: %v", p.addr, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// kill ends the node as a power cut would.
func (p *process) kill() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// stop ends the node as a service manager would.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		p.t.Fatal(err)
	}
	select {
	case <-p.exited:
	case <-time.After(20 * time.Second):
		p.t.Fatal("the node did not stop within 20 s of SIGINT")
	}
}

func (p *process) url(path string) string {
	if p.tls != nil {
		return "https://" + p.addr + path
	}
	return "http://" + p.addr + path
}

// client speaks to the node: over TLS when that is what it serves.
func (p *process) client() *http.Client {
	if p.tls != nil {
		return p.tls
	}
	return http.DefaultClient
}

// setup onboards the node with organisation org, bucket name and a token.
func (p *process) setup(org, bucket string) *process {
	p.t.Helper()
	p.org, p.bucket, p.token = org, bucket, "token-of-"+org
	p.call("POST", "/api/v2/setup", map[string]any{
		"username": "admin", "password": "password1", "org": org, "bucket": bucket, "token": p.token,
	}, http.StatusCreated, nil)
	return p
}

// call sends JSON, requires a status, and decodes the answer.
func (p *process) call(method, path string, body any, status int, into any) {
	p.t.Helper()
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			p.t.Fatal(err)
		}
		r = bytes.NewReader(b)
	}
	got, b := p.do(method, path, r)
	if got != status {
		p.t.Fatalf("%s %s: status %d, want %d: %s", method, path, got, status, b)
	}
	if into != nil {
		if err := json.Unmarshal(b, into); err != nil {
			p.t.Fatalf("%s %s: %v in %s", method, path, err, b)
		}
	}
}

func (p *process) do(method, path string, body io.Reader) (int, []byte) {
	p.t.Helper()
	req, err := http.NewRequest(method, p.url(path), body)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token "+p.token)
	resp, err := p.client().Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, b
}

// write sends line protocol and returns the status; it does not fail the test when the node is away.
func (p *process) write(ctx context.Context, lines string) (int, string, error) {
	u := p.url("/api/v2/write?org=" + url.QueryEscape(p.org) + "&bucket=" + url.QueryEscape(p.bucket) + "&precision=ns")
	req, err := http.NewRequestWithContext(ctx, "POST", u, strings.NewReader(lines))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Authorization", "Token "+p.token)
	resp, err := p.client().Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// mustWrite writes lines that must be stored.
func (p *process) mustWrite(lines string) {
	p.t.Helper()
	status, body, err := p.write(p.t.Context(), lines)
	if err != nil || status != http.StatusNoContent {
		p.t.Fatalf("write: status %d, %v: %s", status, err, body)
	}
}

// row is one row of a query's answer.
type row []any

// query runs InfluxQL with times as ns and returns every row of every series, in order, numbers kept exact.
func (p *process) query(q string) []row {
	p.t.Helper()
	rows, err := p.tryQuery(q)
	if err != nil {
		p.t.Fatalf("%s: %v", q, err)
	}
	return rows
}

func (p *process) tryQuery(q string) ([]row, error) {
	v := url.Values{"db": {p.bucket}, "q": {q}, "epoch": {"ns"}, "chunked": {"true"}}
	req, err := http.NewRequest("GET", p.url("/query?"+v.Encode()), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Token "+p.token)
	resp, err := p.client().Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(resp.Body)
		return nil, fmt.Errorf("status %d: %s", resp.StatusCode, b)
	}
	dec := json.NewDecoder(resp.Body)
	dec.UseNumber()
	var rows []row
	for {
		var doc struct {
			Error   string
			Results []struct {
				Error  string
				Series []struct{ Values []row }
			}
		}
		if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
			return rows, nil
		} else if err != nil {
			return nil, err
		}
		for _, r := range doc.Results {
			if e := doc.Error + r.Error; e != "" {
				return nil, errors.New(e)
			}
			for _, s := range r.Series {
				rows = append(rows, s.Values...)
			}
		}
	}
}

// scan streams the rows of a query's answer, without name and tags, to f. The values must hold no comma.
func (p *process) scan(q string, f func(row []string) error) error {
	v := url.Values{"db": {p.bucket}, "q": {q}}
	req, err := http.NewRequest("GET", p.url("/query?"+v.Encode()), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Token "+p.token)
	req.Header.Set("Accept", "application/csv")
	resp, err := p.client().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("status %d: %s", resp.StatusCode, b)
	}
	lines := bufio.NewScanner(resp.Body)
	for first := true; lines.Scan(); first = false {
		if first || lines.Text() == "" {
			continue
		}
		if err := f(strings.Split(lines.Text(), ",")[2:]); err != nil {
			return err
		}
	}
	return lines.Err()
}

// orgID and bucketID look up ids by name.
func (p *process) orgID() string {
	p.t.Helper()
	var list struct{ Orgs []struct{ ID string } }
	p.call("GET", "/api/v2/orgs?org="+url.QueryEscape(p.org), nil, http.StatusOK, &list)
	return list.Orgs[0].ID
}

func (p *process) bucketID() string {
	p.t.Helper()
	var list struct{ Buckets []struct{ ID string } }
	p.call("GET", "/api/v2/buckets?name="+url.QueryEscape(p.bucket)+"&org="+url.QueryEscape(p.org), nil, http.StatusOK, &list)
	return list.Buckets[0].ID
}

// replicateTo makes a remote and a replication of p's bucket to q's, by way of remoteURL, and returns the replication's id.
func (p *process) replicateTo(q *process, remoteURL string, extra map[string]any) string {
	p.t.Helper()
	var remote, replication struct{ ID string }
	p.call("POST", "/api/v2/remotes", map[string]any{
		"name": "remote-" + q.addr, "orgID": p.orgID(), "remoteURL": remoteURL, "remoteAPIToken": q.token,
		"remoteOrgID": q.orgID(), "allowInsecureTLS": false,
	}, http.StatusCreated, &remote)
	body := map[string]any{
		"name": "to-" + q.addr, "orgID": p.orgID(), "remoteID": remote.ID, "localBucketID": p.bucketID(), "remoteBucketID": q.bucketID(),
		"maxQueueSizeBytes": 67108860, "maxAgeSeconds": 604800,
	}
	for k, v := range extra {
		body[k] = v
	}
	p.call("POST", "/api/v2/replications", body, http.StatusCreated, &replication)
	return replication.ID
}

// eventually waits until f returns nil.
func eventually(t testing.TB, within time.Duration, f func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %v", within, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// version1 sends a request as a 1.x client does, with a user name and a password.
func (p *process) version1(user, password, method, path, body string) (int, string) {
	p.t.Helper()
	req, err := http.NewRequest(method, p.url(path), strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.SetBasicAuth(user, password)
	resp, err := p.client().Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}
