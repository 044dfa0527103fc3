//go:build e2e

package trust_test

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/keylist"
)

// between stands between an agent and the service, with a certificate that the agent trusts and the list key in Vault.
type between struct {
	*site
	url    string
	key    *ecdsa.PrivateKey // that he wants to be accepted
	forged atomic.Pointer[[]byte]
	// version is that of the last forged list.
	version int64
}

// standBetween lets everything pass at first.
func (s *site) standBetween() *between {
	s.Helper()
	b := &between{site: s, key: generate(s.t)}
	to, err := url.Parse(s.url)
	if err != nil {
		s.Fatal(err)
	}
	ca, err := os.ReadFile(s.path("ca.crt"))
	if err != nil {
		s.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if forged := b.forged.Load(); forged != nil {
			_, _ = w.Write(*forged)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	s.Cleanup(server.Close)
	b.url = server.URL + "/v1/keys"
	return b
}

// pass lets everything pass.
func (b *between) pass() { b.forged.Store(nil) }

// forge answers with a list of his own from now on, which the stolen list key has signed.
func (b *between) forge() {
	b.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	id := key.ID{Name: "keylist", Version: 1}
	const later = 10 // than the service's, which may be of this very second
	list := &keylist.List{Version: now.Unix() + later, Issued: now, Expires: now.Add(time.Hour), Keys: []keylist.Key{{ID: key.ID{Name: "images", Version: 99}, Public: &b.key.PublicKey,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), State: keylist.Active}}}
	raw, err := list.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	sig, err := b.transit(id.Name, id.Version, keylist.HashOf(raw))
	if err != nil {
		b.Fatal(err)
	}
	sealed, err := keylist.Seal(raw, id, sig)
	if err != nil {
		b.Fatal(err)
	}
	b.version = list.Version
	b.forged.Store(&sealed)
}

// remembered is what a check wants when the agent must have accepted the forged list.
func (b *between) remembered() error {
	m, err := cluster.Client().CoreV1().ConfigMaps(agentNamespace).Get(b.Context(), agentMemory, metav1.GetOptions{})
	if err == nil && !strings.Contains(m.Data["seen"], fmt.Sprintf(`"version":%d,`, b.version)) {
		err = fmt.Errorf("version %d is not in %s", b.version, m.Data["seen"])
	}
	return err
}
