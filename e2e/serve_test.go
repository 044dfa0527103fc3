//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// certificate makes a self-signed certificate for the loopback and returns its files.
func certificate(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "holdfast test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	dir := t.TempDir()
	return put(t, dir, "cert.pem", string(text)), put(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))), pool
}

func TestTwoSettingsServeHTTPS(t *testing.T) {
	cert, key, pool := certificate(t)
	central := startNodeOver(t, fmt.Sprintf("tls_cert = %q\ntls_key = %q", cert, key),
		&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}).setup("central", "plant")
	if !strings.Contains(central.printed(), "answers at https://"+central.addr) {
		t.Errorf("printed %q", central.printed())
	}
	if resp, err := http.Get("http://" + central.addr + "/health"); err == nil && resp.StatusCode == http.StatusOK {
		t.Error("the node answers without TLS")
	}
	s := newShell(t, "holdfast")
	s.fails("certificate", "ping", "--host", central.url(""))
	s.run("ping", "--host", central.url(""), "--skip-verify")

	// A remote is verified by the authority that the configuration names, not at all when it says so, and otherwise by the system's.
	edge := startNode(t, fmt.Sprintf(`
[[remote]]
name = "verified"
url = %q
token = %q
org = "central"
tls_ca = %q
[[replication]]
name = "verified"
remote = "verified"
remote_bucket = "plant"
`, central.url(""), central.token, cert)).setup("edge", "plant")
	edge.mustWrite(lines("verified", 0, 10))
	eventually(t, 20*time.Second, func() error { return holds(central, "verified", 10) })

	other := startNode(t, "").setup("other", "plant")
	strict := other.post("/api/v2/remotes", object{"name": "strict", "orgID": other.orgID(), "remoteURL": central.url(""), "remoteAPIToken": central.token,
		"remoteOrgID": central.orgID(), "allowInsecureTLS": false})
	id := other.post("/api/v2/replications", object{"name": "r", "orgID": other.orgID(), "remoteID": strict.ID, "localBucketID": other.bucketID(),
		"remoteBucketID": central.bucketID(), "maxQueueSizeBytes": 67108860, "maxAgeSeconds": 0}).ID
	other.mustWrite(lines("unverified", 0, 10))
	eventually(t, 20*time.Second, func() error {
		if st := other.status(id); st.State == "idle" || !strings.Contains(st.Reason+st.LatestErrorMessage, "certificate") {
			return fmt.Errorf("status %+v", st)
		}
		return nil
	})
	other.call("PATCH", "/api/v2/remotes/"+strict.ID, object{"allowInsecureTLS": true}, http.StatusOK, nil)
	eventually(t, 20*time.Second, func() error { return holds(central, "unverified", 10) })
}

func TestACertificateThatCannotBeReadKeepsTheNodeFromStarting(t *testing.T) {
	dir := t.TempDir()
	path := put(t, dir, "holdfast.toml", fmt.Sprintf("[node]\nlisten = %q\ntls_cert = \"/nonexistent.pem\"\ntls_key = \"/nonexistent.key\"\n", freeAddr(t)))
	newShell(t, "holdfast").fails("/nonexistent.pem", "run", "--config", path, "--data", dir+"/data")
	path = put(t, dir, "holdfast.toml", "[node]\ntls_cert = \"/nonexistent.pem\"\n")
	newShell(t, "holdfast").fails(":2: node.tls_cert and node.tls_key go together", "run", "--config", path, "--data", dir+"/data")
}

// status is how a replication of the node fares.
func (p *process) status(id string) (v thing) {
	p.t.Helper()
	p.call("GET", "/api/holdfast/v1/replications/"+id, nil, http.StatusOK, &v)
	return v
}

// A wrong token was retried every 15 minutes, and mending it changed nothing until then.
func TestAWrongTokenShowsAndIsMendedAtOnce(t *testing.T) {
	edge, central := startNode(t, ""), startNode(t, "")
	s := newShell(t, "holdfast")
	s.onboard(edge, central)
	remote := s.id("remote", "create", "-n", "central", "--remote-url", central.url(""), "--remote-api-token", "wrong",
		"--remote-org-id", s.idOf("org", "list", "-c", "central", "-n", "central"))
	id := s.id("replication", "create", "-n", "to-central", "--remote-id", remote, "--local-bucket-id", s.idOf("bucket", "list", "-n", "plant"), "--remote-bucket", "plant")
	s.run("write", "-b", "plant", "-p", "s", "m v=1 1700000000")
	eventually(t, 20*time.Second, func() error {
		r := s.list("replication", "list")[0]
		var st thing
		s.into(&st, "replication", "status", "-i", id)
		if r.LatestResponseCode != http.StatusUnauthorized || r.RemainingBytesToBeSynced == 0 || st.State != "refused" || !strings.Contains(st.Reason, "unauthorized") {
			return fmt.Errorf("list %+v, status %+v", r, st)
		}
		return nil
	})
	if out := s.run("replication", "status"); !strings.Contains(out, "refused") {
		t.Errorf("replication status: %s", out)
	}
	mended := time.Now()
	s.run("remote", "update", "-i", remote, "--remote-api-token", s.id2token("auth", "create", "-c", "central", "--all-access"))
	eventually(t, 10*time.Second, func() error {
		if got := s.column("SELECT v FROM m", "plant", "central"); !slices.Equal(got, []string{"1"}) {
			return fmt.Errorf("central holds %v", got)
		}
		return nil
	})
	t.Logf("the point arrived %v after the token was mended", time.Since(mended).Round(time.Millisecond))
	eventually(t, 10*time.Second, func() error {
		if r := s.list("replication", "list")[0]; r.LatestResponseCode != http.StatusNoContent || r.LatestErrorMessage != "" {
			return fmt.Errorf("list %+v", r)
		}
		return nil
	})
}

// A request that has begun when the node is told to stop is answered, and what it wrote is there.
func TestStoppingFinishesTheWriteInFlight(t *testing.T) {
	p := startNode(t, "").setup("edge", "plant")
	body, feed := io.Pipe()
	req, err := http.NewRequest("POST", p.url("/api/v2/write?org=edge&bucket=plant"), body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Token "+p.token)
	answered := make(chan error, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusNoContent {
				err = fmt.Errorf("status %d", resp.StatusCode)
			}
		}
		answered <- err
	}()
	half := lines("m", 0, 500)
	if _, err := io.Copy(feed, strings.NewReader(half)); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, func() error {
		if v := p.metric("http_api_write_held_bytes"); v == "" || v == "0" {
			return fmt.Errorf("the node holds %q bytes of the write", v)
		}
		return nil
	})
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, func() error { // it takes no new connections
		if c, err := net.Dial("tcp", p.addr); err == nil {
			_ = c.Close()
			return fmt.Errorf("%s still accepts connections", p.addr)
		}
		return nil
	})
	if _, err := io.Copy(feed, strings.NewReader(lines("m", 500, 1000))); err != nil {
		t.Fatal(err)
	}
	_ = feed.Close() // a pipe's end does not fail
	if err := <-answered; err != nil {
		t.Fatalf("the write in flight: %v", err)
	}
	select {
	case <-p.exited:
	case <-time.After(20 * time.Second):
		t.Fatal("the node did not stop")
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	p.start()
	if err := holds(p, "m", 1000); err != nil {
		t.Error(err)
	}
}
