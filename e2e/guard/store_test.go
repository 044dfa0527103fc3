//go:build e2e

package guard_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/peer"
)

// The account that the object stores of the tests know.
const (
	storeKey    = "holdfast-backup"
	storeSecret = "4fe6c2bd19aa07"
	bucketName  = "backups"
)

// objects is a real S3-compatible server over TLS, with a bucket.
type objects struct {
	*testing.T
	address string
	ca      string // file
	root    string // where its files are
}

func startObjects(t *testing.T) *objects {
	t.Helper()
	dir, err := peer.Build(t.Context(), "versitygw")
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := peer.FreeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	o := &objects{T: t, address: addrs[0], ca: filepath.Join(t.TempDir(), "tls.crt"), root: t.TempDir()}
	key := filepath.Join(t.TempDir(), "tls.key")
	certify(t, o.ca, key)
	if err := os.Mkdir(filepath.Join(o.root, bucketName), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(peer.Executable(dir, "versitygw"), "--port", o.address, "--cert", o.ca, "--key", key, "--iam-dir", t.TempDir(),
		"posix", "--sidecar", t.TempDir(), o.root) // not every file system of /tmp has extended attributes
	cmd.Env = []string{"ROOT_ACCESS_KEY_ID=" + storeKey, "ROOT_SECRET_ACCESS_KEY=" + storeSecret}
	peer.Start(t.Context(), t, cmd, func(line string) bool { return strings.Contains(line, "https://"+o.address) })
	return o
}

// certify writes a certificate for the loopback, which is its own authority.
func certify(t *testing.T, cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: text}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// run starts the program with the account of the store, which it reaches at that address, and returns its exit code and what it says.
func (o *objects) run(address, secret string, args ...string) (int, string) {
	o.Helper()
	ctx, cancel := context.WithTimeout(o.Context(), time.Minute)
	defer cancel()
	out, err := o.command(ctx, address, secret, args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		o.Fatal(err)
	}
	if strings.Contains(string(out), secret) {
		o.Errorf("it prints the credentials: %s", out)
	}
	if exit != nil {
		return exit.ExitCode(), string(out)
	}
	return 0, string(out)
}

func (o *objects) command(ctx context.Context, address, secret string, args ...string) *exec.Cmd {
	cmd := guardCommand(ctx, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+cluster.Kubeconfig(), "AWS_ACCESS_KEY_ID="+storeKey, "AWS_SECRET_ACCESS_KEY="+secret,
		"AWS_ENDPOINT_URL_S3=https://"+address, "AWS_CA_BUNDLE="+o.ca, "AWS_REGION=us-east-1")
	return cmd
}

// taken takes a snapshot, and returns where it is.
func (o *objects) taken(prefix string, more ...string) string {
	o.Helper()
	code, out := o.run(o.address, storeSecret, append([]string{"snapshot", "s3://" + bucketName + "/" + prefix}, more...)...)
	if code != 0 {
		o.Fatalf("snapshot ended with %d:\n%s", code, out)
	}
	return strings.TrimSpace(out)
}

// newest is the snapshot that a recovery would read, or why there is none. It reads and compares every file of it.
func (o *objects) newest(prefix string) string {
	o.Helper()
	code, out := o.run(o.address, storeSecret, "snapshot", "secrets", "--passphrase-file", o.ca, "s3://"+bucketName+"/"+prefix)
	at, ok := strings.CutSuffix(strings.TrimSpace(strings.TrimPrefix(out, "Error: ")), " was taken without the values of Secrets")
	if !ok || code == 0 {
		return out
	}
	return at
}

// folder is where the server keeps the objects of a prefix.
func (o *objects) folder(prefix string) string { return filepath.Join(o.root, bucketName, prefix) }

// names are the folders of a prefix, whole or not.
func (o *objects) names(prefix string) (names []string) {
	o.Helper()
	entries, err := os.ReadDir(o.folder(prefix))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		o.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// line is a connection to the store that breaks after a number of bytes to it.
type line struct {
	net.Listener
	left  atomic.Int64
	stall bool          // it does not break: nothing comes through any more
	over  chan struct{} // closed when it broke
	once  sync.Once
}

// cut makes a line that lets that many bytes through.
func (o *objects) cut(after int64, stall bool) *line {
	o.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		o.Fatal(err)
	}
	o.Cleanup(func() { _ = l.Close() })
	c := &line{Listener: l, stall: stall, over: make(chan struct{})}
	c.left.Store(after)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go c.pass(o.Context(), conn, o.address)
		}
	}()
	return c
}

func (c *line) pass(ctx context.Context, from net.Conn, address string) {
	defer func() { _ = from.Close() }()
	var dialer net.Dialer
	to, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	defer func() { _ = to.Close() }()
	go func() { _, _ = io.Copy(from, to) }()
	buffer := make([]byte, 512)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if left := c.left.Add(-int64(n)); left < 0 {
			c.once.Do(func() { close(c.over) })
			if c.stall {
				<-ctx.Done()
			}
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func TestSnapshotsAreKeptInAnObjectStoreAndComparedWhenTheyAreRead(t *testing.T) {
	t.Parallel()
	o := startObjects(t)
	for range 3 {
		o.taken("a/b", "--keep", "2")
	}
	if names := o.names("a/b"); len(names) != 2 {
		t.Errorf("there are %v, and two were to stay", names)
	}
	last := o.taken("a/b", "--keep", "2")
	if got := o.newest("a/b"); got != last {
		t.Errorf("the newest is %s, want %s", got, last)
	}
	manifests := t.TempDir()
	text := "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: stored}}\n"
	if err := os.WriteFile(filepath.Join(manifests, "a.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	plan := func(store, output string) (int, string) {
		return o.run(o.address, storeSecret, "recover", "plan", "--manifests", manifests, "--snapshot", store, "-o", filepath.Join(t.TempDir(), output))
	}
	if code, out := plan(last, "plan.yaml"); code != 0 && code != 4 {
		t.Errorf("a plan from the snapshot ends with %d:\n%s", code, out)
	}
	file := filepath.Join(o.folder("a/b"), filepath.Base(last), "v1.Namespace.jsonl")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(content), "kube-system", "kube-sistem", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out := plan("s3://"+bucketName+"/a/b", "changed.yaml"); code != 3 || !strings.Contains(out, "not as the snapshot was written") {
		t.Errorf("a file that was changed ends with %d:\n%s", code, out)
	}
}

func TestAnUploadThatIsCutOrKilledHalfWayLeavesNoSnapshot(t *testing.T) {
	t.Parallel()
	o := startObjects(t)
	var half atomic.Int64
	t.Run("each", func(t *testing.T) {
		for name, c := range map[string]struct {
			percent int64
			killed  bool
		}{"cut in the middle": {60, false}, "cut at the end": {96, false}, "killed in the middle": {60, true}, "killed at the end": {96, true}} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				each := *o
				each.T = t
				half.Add(each.broken(strings.ReplaceAll(name, " ", "-"), c.percent, c.killed))
			})
		}
	})
	if half.Load() == 0 {
		t.Error("no run got as far as a file: nothing was shown")
	}
}

// broken takes a snapshot over a line that breaks, and wants it not to be there. It returns how many files of it are.
func (o *objects) broken(prefix string, percent int64, killed bool) (files int64) {
	before := ""
	for broke := false; !broke; { // the cluster may have got smaller since it was measured
		whole := o.cut(1<<40, false)
		code, out := o.run(whole.Addr().String(), storeSecret, "snapshot", "s3://"+bucketName+"/"+prefix)
		if code != 0 {
			o.Fatalf("snapshot ended with %d:\n%s", code, out)
		}
		before = strings.TrimSpace(out)
		broke = o.breaks(prefix, (1<<40-whole.left.Load())*percent/100, killed)
	}
	if got := o.newest(prefix); got != before {
		o.Errorf("the newest is %s, want %s", got, before)
	}
	for _, n := range o.names(prefix) {
		if has := o.names(prefix + "/" + n); n != filepath.Base(before) {
			files += int64(len(has))
			if slices.Contains(has, "snapshot.json") {
				o.Errorf("%s has a header", n)
			}
		}
	}
	if next := o.taken(prefix); o.newest(prefix) != next {
		o.Error("the next one is not read")
	}
	return files
}

func TestAStoreThatRefusesIsNamedAndCredentialsAreNot(t *testing.T) {
	t.Parallel()
	o := startObjects(t)
	for _, c := range []struct {
		name, location, secret, want string
		more                         []string
	}{
		{"another secret", bucketName + "/x", "not-that-secret", "access denied", nil},
		{"a bucket that is not there", "elsewhere/x", storeSecret, "bucket does not exist", nil},
		{"a certificate that nobody vouches for", bucketName + "/x", storeSecret, "certificate", []string{"--s3-ca", filepath.Join("testdata", "..", "..", "..", "deploy", "image", "testdata", "ca.crt")}},
		{"no TLS", bucketName + "/x", storeSecret, "is not https", []string{"--s3-endpoint", "http://" + o.address}},
	} {
		for _, args := range [][]string{{"snapshot"}, {"snapshot", "secrets", "--passphrase-file", o.ca}} {
			code, out := o.run(o.address, c.secret, append(append(args, "s3://"+c.location), c.more...)...)
			if code == 0 || !strings.Contains(strings.ToLower(out), c.want) {
				t.Errorf("%s: %v ends with %d: %s", c.name, args, code, out)
			}
		}
	}
	if names := o.names("x"); len(names) != 0 {
		t.Errorf("something was written: %v", names)
	}
}

// breaks takes a snapshot over a line that breaks after that many bytes, and says whether it did.
func (o *objects) breaks(prefix string, after int64, killed bool) bool {
	o.Helper()
	l := o.cut(after, killed)
	cmd := o.command(o.Context(), l.Addr().String(), storeSecret, "snapshot", "--timeout=20s", "s3://"+bucketName+"/"+prefix)
	if err := cmd.Start(); err != nil {
		o.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			o.Fatal(err)
		}
		return false
	case <-l.over:
	}
	if killed {
		_ = cmd.Process.Kill()
	} else {
		_ = l.Close()
	}
	if err := <-ended; err == nil {
		o.Error("it is taken although its connection broke")
	}
	return true
}

// rights applies the deployment's manifest but its pod, and returns the kubeconfig of its account.
func (o *objects) rights() string {
	o.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "holdfast-guard-snapshot.yaml"))
	if err != nil {
		o.Fatal(err)
	}
	before, _, _ := strings.Cut(string(text), "---\napiVersion: apps/v1\n")
	if _, err := cluster.Apply(o.Context(), before); err != nil {
		o.Fatal(err)
	}
	path, err := cluster.ServiceAccountKubeconfig(o.Context(), o.TempDir(), "holdfast-guard", "holdfast-guard-snapshot")
	if err != nil {
		o.Fatal(err)
	}
	return path
}

func TestSnapshotsGoOnWithTheRightsOfTheManifestWhileTheStoreComesAndGoes(t *testing.T) {
	t.Parallel()
	o := startObjects(t)
	addrs, err := peer.FreeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	l := o.cut(1<<40, false)
	cmd := o.command(t.Context(), l.Addr().String(), storeSecret, "snapshot", "--kubeconfig", o.rights(), "--every", "1s", "--timeout", "3s", "--keep", "3",
		"--listen", addrs[0], "s3://"+bucketName+"/regular")
	p := peer.Start(t.Context(), t, cmd, func(line string) bool { return strings.Contains(line, "snapshot taken") })
	o.metric(addrs[0], `attempts_total{result="done"} 4`)
	if names := o.names("regular"); len(names) != 3 && len(names) != 4 { // one may be on its way
		t.Errorf("there are %v", names)
	}
	l.left.Store(0) // nothing comes through
	o.metric(addrs[0], `attempts_total{result="failed"} 1`)
	l.left.Store(1 << 40)
	newest := o.newest("regular")
	o.await("a newer snapshot is there", func() bool { return o.newest("regular") > newest })
	if strings.Contains(p.Log(), storeSecret) {
		t.Errorf("the log has the credentials: %s", p.Log())
	}
}

// metric waits until the metrics have a line.
func (o *objects) metric(address, want string) {
	o.Helper()
	o.await("the metrics say "+want, func() bool {
		r, err := http.Get("http://" + address + "/metrics")
		if err != nil {
			return false
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		return err == nil && strings.Contains(string(b), "holdfast_guard_snapshot_"+want+"\n")
	})
}

func (o *objects) await(what string, ok func() bool) {
	o.Helper()
	kube.Eventually(o.T, patience, what, func(context.Context) error {
		if !ok() {
			return errors.New("no")
		}
		return nil
	})
}
