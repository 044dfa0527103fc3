package certs

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubetesting "k8s.io/client-go/testing"
)

func TestFirstStart(t *testing.T) {
	c := newCluster(t)
	r := c.rotator()
	next := c.ensure(r)
	if want := []string{"patch secrets", "update secrets", "patch mutatingwebhookconfigurations"}; !slices.Equal(c.writes, want) {
		t.Errorf("writes %q, want %q", c.writes, want)
	}
	s := c.state()
	ca, leaf := s.cas[0], s.leaf
	if !ca.IsCA || ca.MaxPathLen != 0 || !ca.MaxPathLenZero || ca.KeyUsage != x509.KeyUsageCertSign {
		t.Error("the authority may sign more than serving certificates")
	}
	if !slices.Equal(leaf.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}) || leaf.IsCA {
		t.Error("the serving certificate is for more than serving")
	}
	wantNames := []string{"holdfast-operator", "holdfast-operator.holdfast-operator", "holdfast-operator.holdfast-operator.svc", "holdfast-operator.holdfast-operator.svc.cluster.local"}
	if !slices.Equal(leaf.DNSNames, wantNames) || len(leaf.IPAddresses) != 1 {
		t.Errorf("serving certificate is for %q and %v", leaf.DNSNames, leaf.IPAddresses)
	}
	if got := ca.NotAfter.Sub(c.now); got != 365*24*time.Hour {
		t.Errorf("the authority ends in %s", got)
	}
	if got := leaf.NotAfter.Sub(c.now); got != 90*24*time.Hour {
		t.Errorf("the serving certificate ends in %s", got)
	}
	if got := c.now.Sub(leaf.NotBefore); got != 5*time.Minute {
		t.Errorf("the serving certificate is backdated by %s", got)
	}
	if got := c.now.Add(next); !got.Equal(renewAt(leaf)) {
		t.Errorf("next at %s, want two thirds of the serving certificate's life, %s", got, renewAt(leaf))
	}
	c.ensure(r)
	if len(c.writes) != 3 {
		t.Errorf("a second Ensure wrote: %q", c.writes[3:])
	}
}

func TestNewAuthorityIsPublishedAndSettlesBeforeItIssues(t *testing.T) {
	c := newCluster(t)
	r := c.rotator()
	r.CertValidity = r.CAValidity
	c.ensure(r)
	before := c.state()
	c.advance(renewAt(before.cas[0]).Sub(c.now) - time.Second)
	c.ensure(r)
	if len(c.writes) != 3 {
		t.Fatalf("wrote before two thirds of the life: %q", c.writes)
	}
	c.advance(time.Second)
	if next := c.ensure(r); next != r.Settle {
		t.Errorf("next in %s, want the settle time", next)
	}
	if want := []string{"update secrets", "patch mutatingwebhookconfigurations"}; !slices.Equal(c.writes[3:], want) {
		t.Fatalf("writes %q, want %q", c.writes[3:], want)
	}
	during := c.state()
	if len(during.cas) != 2 || !during.cas[1].Equal(before.cas[0]) || !during.leaf.Equal(before.leaf) {
		t.Fatal("the new authority is not in front of the old one, or the serving certificate has changed")
	}
	c.advance(r.Settle - time.Second)
	if next := c.ensure(r); next != time.Second || len(c.writes) != 5 {
		t.Fatalf("before the settle time: writes %q, next in %s", c.writes[5:], next)
	}
	c.advance(time.Second)
	c.ensure(r)
	after := c.state()
	if after.issuer() != 0 || len(after.cas) != 2 {
		t.Fatal("the serving certificate is not by the new authority, or the old one has gone")
	}
	c.advance(before.cas[0].NotAfter.Sub(c.now))
	c.ensure(r)
	if got := c.state().cas; len(got) != 1 || !got[0].Equal(after.cas[0]) {
		t.Error("the old authority outlived its end in the bundle")
	}
}

// An interrupted wait starts again: a webhook configuration that lost the bundle meanwhile, by someone who applied it, may be cached.
func TestWaitStartsAgainWhenTheBundleWasRemoved(t *testing.T) {
	c := newCluster(t)
	r := c.rotator()
	c.ensure(r)
	c.advance(renewAt(c.state().cas[0]).Sub(c.now))
	c.ensure(r) // issues by the old authority, the serving certificate having expired, and makes the new one
	old := c.state().leaf
	c.advance(r.Settle - time.Second)
	c.putWebhooks(webhookConfiguration())
	c.ensure(r)
	c.advance(time.Second)
	c.ensure(r)
	if !c.state().leaf.Equal(old) {
		t.Fatal("issued before the webhook configuration carried the bundle for the settle time")
	}
	c.advance(r.Settle)
	c.ensure(r)
	if c.state().issuer() != 0 {
		t.Fatal("not issued after the settle time")
	}
}

func TestDamagedSecretIsReplaced(t *testing.T) {
	const sameCA, sameLeaf = true, true
	other := newCluster(t)
	other.ensure(other.rotator())
	for _, test := range []struct {
		name         string
		damage       func(map[string][]byte)
		reason       string
		keepCA, keep bool // the authority (in first place), the serving certificate
	}{
		{"empty", func(d map[string][]byte) { clear(d) }, "ca.crt is missing", !sameCA, !sameLeaf},
		{"bad PEM in the bundle", func(d map[string][]byte) { d[KeyBundle] = []byte("-----BEGIN") }, "not PEM", !sameCA, !sameLeaf},
		{"authority's key lost", func(d map[string][]byte) { delete(d, KeyAuthorityKey) }, "ca.key: the key is missing", !sameCA, sameLeaf},
		{"authority's key of another", func(d map[string][]byte) { d[KeyAuthorityKey] = other.secret().Data[KeyAuthorityKey] }, "does not match", !sameCA, sameLeaf},
		{"serving key of another", func(d map[string][]byte) { d[KeyServingKey] = other.secret().Data[KeyServingKey] }, "does not match", sameCA, !sameLeaf},
		{"serving certificate of another authority", func(d map[string][]byte) {
			d[KeyCertificate], d[KeyServingKey] = other.secret().Data[KeyCertificate], other.secret().Data[KeyServingKey]
		}, "not signed by any authority", sameCA, !sameLeaf},
		{"serving key garbage", func(d map[string][]byte) { d[KeyServingKey] = []byte("x") }, "failed to find any PEM data", sameCA, !sameLeaf},
		{"text after the bundle", func(d map[string][]byte) { d[KeyBundle] = append(d[KeyBundle], "x"...) }, "ends in something", sameCA, sameLeaf},
		{"key in the bundle", func(d map[string][]byte) { d[KeyBundle] = append(d[KeyBundle], d[KeyAuthorityKey]...) }, "other than certificates", sameCA, sameLeaf},
		{"serving certificate in the bundle", func(d map[string][]byte) { d[KeyBundle] = append(d[KeyBundle], d[KeyCertificate]...) }, "not an authority's", sameCA, sameLeaf},
		{"serving certificate as the authority", func(d map[string][]byte) {
			d[KeyBundle], d[KeyAuthorityKey] = d[KeyCertificate], d[KeyServingKey]
		}, "not an authority's", !sameCA, !sameLeaf},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCluster(t)
			r := c.rotator()
			c.ensure(r)
			before, secret := c.state(), c.secret()
			test.damage(secret.Data)
			secret.Data["kept"] = []byte("by someone else")
			damaged := *secret.DeepCopy()
			c.putSecret(secret)
			c.log.Reset()
			c.ensure(r)
			after := c.state()
			if !strings.Contains(c.log.String(), test.reason) || !strings.Contains(c.log.String(), "level=WARN") {
				t.Errorf("the log does not warn of %q:\n%s", test.reason, c.log.String())
			}
			if got := after.cas[0].Equal(before.cas[0]); got != test.keepCA {
				t.Errorf("authority kept: %t", got)
			}
			if got := after.leaf.Equal(before.leaf); got != test.keep {
				t.Errorf("serving certificate kept: %t", got)
			}
			if after.bundleFault != nil || after.serves(r.subjects(), c.now) != nil {
				t.Errorf("not repaired: %v, %v", after.bundleFault, after.serves(r.subjects(), c.now))
			}
			if string(c.secret().Data["kept"]) != "by someone else" {
				t.Error("a key that is not the Rotator's was changed")
			}
			if !bytes.Equal(c.webhooks().Webhooks[1].ClientConfig.CABundle, encodeCertificates(after.cas...)) {
				t.Error("the bundle is not published")
			}
			for _, text := range []*corev1.Secret{&damaged, c.secret()} {
				leaks(t, c.log.String(), text)
			}
			leaks(t, string(c.webhooks().Webhooks[0].ClientConfig.CABundle), &damaged)
			c.advance(r.Settle)
			c.ensure(r)
			if c.state().issuer() != 0 {
				t.Error("after the settle time the serving certificate is not by the current authority")
			}
		})
	}
}

// leaks looks for lines of the private keys.
func leaks(t *testing.T, text string, secret *corev1.Secret) {
	t.Helper()
	for _, key := range []string{KeyAuthorityKey, KeyServingKey} {
		for line := range strings.Lines(string(secret.Data[key])) {
			if line = strings.TrimSpace(line); len(line) > 10 && !strings.HasPrefix(line, "-----") && strings.Contains(text, line) {
				t.Errorf("a line of %s is told", key)
			}
		}
		if all := base64.StdEncoding.EncodeToString(secret.Data[key]); len(all) > 10 && strings.Contains(text, all) {
			t.Errorf("%s is told", key)
		}
	}
}

func TestRecoveryAfterTheOperatorWasOff(t *testing.T) {
	for _, test := range []struct {
		name   string
		off    time.Duration
		writes []string // none of them after a wait
		keepCA bool
	}{
		{"serving certificate expired", 100 * 24 * time.Hour, []string{"update secrets"}, true},
		{"serving certificate expired, authority due", 300 * 24 * time.Hour, []string{"update secrets", "update secrets", "patch mutatingwebhookconfigurations"}, false},
		{"all expired", 500 * 24 * time.Hour, []string{"update secrets", "patch mutatingwebhookconfigurations"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCluster(t)
			r := c.rotator()
			c.ensure(r)
			before := c.state()
			c.advance(test.off)
			c.writes = nil
			c.ensure(c.rotator())
			if !slices.Equal(c.writes, test.writes) {
				t.Errorf("writes %q, want %q", c.writes, test.writes)
			}
			after := c.state()
			if after.cas[0].Equal(before.cas[0]) != test.keepCA {
				t.Error("authority kept or not, against what was expected")
			}
			roots, _ := decodeBundle(c.webhooks().Webhooks[0].ClientConfig.CABundle)
			if err := verify(after.leaf, roots, r.subjects().primary, c.now); err != nil {
				t.Error(err)
			}
		})
	}
}

// A clock that was set back makes all certificates look as if they were still to come. Which clock is right is unknown, so API servers
// that see them as valid are not cut off.
func TestClockSetBackRenewsWithOverlap(t *testing.T) {
	c := newCluster(t)
	r := c.rotator()
	c.ensure(r)
	before := c.state()
	c.advance(-24 * time.Hour)
	if next := c.ensure(r); next != r.Settle {
		t.Errorf("next in %s", next)
	}
	during := c.state()
	if !during.leaf.Equal(before.leaf) || len(during.cas) != 2 {
		t.Fatal("cut off those whose clock is right")
	}
	c.advance(r.Settle)
	c.ensure(r)
	after := c.state()
	for _, now := range []time.Time{c.now, c.now.Add(25 * time.Hour)} {
		if err := verify(after.leaf, after.cas[:1], r.subjects().primary, now); err != nil {
			t.Errorf("at %s: %v", now, err)
		}
	}
}

func TestClockSetBackLittleChangesNothing(t *testing.T) {
	c := newCluster(t)
	r := c.rotator()
	c.ensure(r)
	c.advance(-4 * time.Minute)
	c.ensure(r)
	if len(c.writes) != 3 {
		t.Errorf("writes %q", c.writes[3:])
	}
}

func TestRenamedServiceIsReplacedAtOnce(t *testing.T) {
	c := newCluster(t)
	c.ensure(c.rotator())
	r := c.rotator()
	r.Service = "sidecars"
	c.ensure(r)
	roots, _ := decodeBundle(c.webhooks().Webhooks[0].ClientConfig.CABundle)
	if err := verify(c.state().leaf, roots, "sidecars.holdfast-operator.svc", c.now); err != nil {
		t.Error(err)
	}
	if !strings.Contains(c.log.String(), "not authorized to sign for this name") {
		t.Errorf("the log does not say why:\n%s", c.log.String())
	}
}

func TestAddedNameIsTakenUpWithOverlap(t *testing.T) {
	c := newCluster(t)
	c.ensure(c.rotator())
	before := c.state()
	r := c.rotator()
	r.DNSNames, r.IPs = []string{"hooks.example.org", "*.example.net"}, append(r.IPs, net.ParseIP("fd00::1"))
	c.ensure(r)
	if !c.state().leaf.Equal(before.leaf) {
		t.Fatal("the serving certificate was replaced before its authority had settled")
	}
	c.advance(r.Settle)
	c.ensure(r)
	for _, name := range []string{"hooks.example.org", "a.example.net", "fd00::1", "127.0.0.1", r.subjects().primary} {
		if err := verify(c.state().leaf, c.state().cas[:1], name, c.now); err != nil {
			t.Error(err)
		}
	}
	c.ensure(c.rotator()) // fewer names need no new authority
	if after := c.state(); after.issuer() != 0 || len(after.leaf.DNSNames) != 4 {
		t.Errorf("names that were taken away are still served: %q", after.leaf.DNSNames)
	}
}

func TestReplicasThatStartTogetherAgree(t *testing.T) {
	c := newCluster(t)
	c.beforeWrite = func() { c.ensure(c.rotator()) }
	r := c.rotator()
	c.ensure(r)
	if want := []string{"patch secrets", "update secrets", "patch mutatingwebhookconfigurations", "patch secrets"}; !slices.Equal(c.writes, want) {
		t.Errorf("writes %q, want the other's and one that makes what is there: %q", c.writes, want)
	}

	together := newCluster(t)
	var replicas sync.WaitGroup
	for range 4 {
		r := together.rotator()
		r.Logger = NewServing(nil).Logger
		replicas.Go(func() {
			if _, err := r.Ensure(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	replicas.Wait()
	if got := together.webhooks().Webhooks[0].ClientConfig.CABundle; !bytes.Equal(got, together.secret().Data[KeyBundle]) || len(together.state().cas) != 1 {
		t.Error("the Secret and the webhook configuration differ")
	}
}

func TestOthersChangesAreReadAgain(t *testing.T) {
	c := newCluster(t)
	c.ensure(c.rotator())
	c.advance(renewAt(c.state().leaf).Sub(c.now))
	c.beforeWrite = func() { c.ensure(c.rotator()) }
	c.ensure(c.rotator())
	if got := len(c.writes); got != 4 {
		t.Errorf("writes %q: the second leader renewed what the first just had", c.writes)
	}
	c.beforeWrite = func() {
		if err := c.fake.Tracker().Delete(secretsResource, testNamespace, testSecret); err != nil {
			t.Error(err)
		}
	}
	c.advance(renewAt(c.state().leaf).Sub(c.now))
	c.ensure(c.rotator())
	if c.state().empty {
		t.Error("the removed Secret was not made again")
	}
}

// A leader that lost its lease while it was suspended must not put back a bundle without the new authority.
func TestOldBundleIsNeverPublishedOverANewerOne(t *testing.T) {
	c := newCluster(t)
	c.ensure(c.rotator())
	c.putWebhooks(webhookConfiguration()) // so that the suspended leader has something to publish
	c.advance(renewAt(c.state().cas[0]).Sub(c.now) - time.Second)
	c.ensure(c.rotator())
	c.putWebhooks(webhookConfiguration())
	c.beforeWrite = func() {
		c.advance(time.Second)
		c.ensure(c.rotator())
	}
	seen := 0
	c.afterWrite = func() {
		if bundle, _ := decodeBundle(c.webhooks().Webhooks[0].ClientConfig.CABundle); len(bundle) < seen {
			t.Error("the bundle has shrunk")
		} else {
			seen = len(bundle)
		}
	}
	c.ensure(c.rotator())
	if seen != 2 {
		t.Errorf("%d authorities published, want 2", seen)
	}
}

func TestOnlyTheBundleIsPatched(t *testing.T) {
	c := newCluster(t)
	before := c.webhooks()
	r := c.rotator()
	c.ensure(r)
	after := c.webhooks()
	for i := range after.Webhooks {
		if !bytes.Equal(after.Webhooks[i].ClientConfig.CABundle, c.secret().Data[KeyBundle]) {
			t.Errorf("webhook %d has another bundle", i)
		}
		after.Webhooks[i].ClientConfig.CABundle = nil
	}
	for _, conf := range []*admissionv1.MutatingWebhookConfiguration{before, after} { // what every write changes
		conf.ResourceVersion, conf.ManagedFields = "", nil
	}
	if !equality.Semantic.DeepEqual(before, after) {
		t.Errorf("more than the bundle has changed:\n%v\n%v", before, after)
	}

	hooks := c.webhooks()
	hooks.Webhooks[1].ClientConfig.CABundle = []byte("other")
	c.putWebhooks(hooks)
	c.fake.ClearActions()
	c.ensure(r)
	for _, action := range c.fake.Actions() {
		if patch, ok := action.(kubetesting.PatchAction); ok {
			var ops []operation
			if err := json.Unmarshal(patch.GetPatch(), &ops); err != nil || len(ops) != 2 || ops[0].Op != "test" || ops[1].Path != "/webhooks/1/clientConfig/caBundle" {
				t.Errorf("patch %s", patch.GetPatch())
			}
		}
	}
}

func TestMissingWebhookConfigurationIsReportedAndNotFatal(t *testing.T) {
	c := newCluster(t)
	if err := c.fake.Tracker().Delete(webhooksResource, "", testWebhook); err != nil {
		t.Fatal(err)
	}
	r := c.rotator()
	_, err := r.Ensure(context.Background())
	if !apierrors.IsNotFound(err) || !strings.Contains(err.Error(), testWebhook) {
		t.Errorf("error %v", err)
	}
	if got := c.metric("errors_total", "rotate"); got != 1 {
		t.Errorf("errors_total %v", got)
	}
	if c.state().leaf == nil {
		t.Error("no certificate was made meanwhile")
	}
	c.putWebhooks(&admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: testWebhook}, Webhooks: webhookConfiguration().Webhooks})
	c.ensure(r)
	if !bytes.Equal(c.webhooks().Webhooks[0].ClientConfig.CABundle, c.secret().Data[KeyBundle]) {
		t.Error("not published when it appeared")
	}
	for kind, want := range map[string]float64{"ca": 1, "serving": 1, "bundle": 1} {
		if got := c.metric("rotations_total", kind); got != want {
			t.Errorf("rotations_total of %s: %v", kind, got)
		}
	}
}

func TestRefusedBundleIsAnErrorAndNotTriedForEver(t *testing.T) {
	c := newCluster(t)
	c.fake.PrependReactor("patch", "*", func(kubetesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewInvalid(admissionv1.SchemeGroupVersion.WithKind("MutatingWebhookConfiguration").GroupKind(), testWebhook, nil)
	})
	if _, err := c.rotator().Ensure(context.Background()); !apierrors.IsInvalid(err) {
		t.Errorf("error %v", err)
	}
}

func TestValidate(t *testing.T) {
	for _, test := range []struct {
		name string
		set  func(*Rotator)
		want string
	}{
		{"defaults", func(*Rotator) {}, ""},
		{"no service", func(r *Rotator) { r.Service = "" }, "the name of the service is empty"},
		{"short authority", func(r *Rotator) { r.CAValidity = 2 * time.Minute }, "six times the settle time"},
		{"short certificate", func(r *Rotator) { r.CertValidity, r.Settle = time.Second, 0 }, "a minute at least"},
		{"settle below zero", func(r *Rotator) { r.Settle = -1 }, "settle time"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newCluster(t).rotator()
			test.set(r)
			err := r.Validate()
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}
