package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	kubetesting "k8s.io/client-go/testing"
)

func TestReadySaysWhatIsWrong(t *testing.T) {
	c := newCluster(t)
	s := NewServing(nil)
	s.Now = c.clock
	if err := s.Ready(); !errors.Is(err, ErrNoCertificate) {
		t.Errorf("without a certificate: %v", err)
	}
	if _, err := s.GetCertificate(nil); !errors.Is(err, ErrNoCertificate) || !s.NotAfter().IsZero() {
		t.Errorf("without a certificate: %v, %s", err, s.NotAfter())
	}
	c.ensure(c.rotator())
	if err := s.Update(c.secret()); err != nil {
		t.Fatal(err)
	}
	end := s.NotAfter()
	for _, test := range []struct {
		at   time.Time
		want string
	}{
		{c.now, ""},
		{end.Add(-time.Second), ""},
		{end, "expired at 2026-05-30T12:00:00Z"},
		{c.now.Add(-time.Hour), "not valid before 2026-03-01T11:55:00Z"},
	} {
		c.now = test.at
		err := s.Ready()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("at %s: %v, want %q", test.at, err, test.want)
		}
	}
}

func TestBadSecretLeavesThePresentCertificate(t *testing.T) {
	c, other := newCluster(t), newCluster(t)
	c.ensure(c.rotator())
	other.ensure(other.rotator())
	s := NewServing(c.registry)
	s.Now = c.clock
	if err := s.Update(c.secret()); err != nil {
		t.Fatal(err)
	}
	first, _ := s.GetCertificate(nil)
	broken := 0
	for _, key := range []string{KeyBundle, KeyCertificate, KeyServingKey} {
		for _, value := range [][]byte{nil, []byte("x"), other.secret().Data[key]} {
			secret := c.secret()
			secret.Data[key] = value
			err := s.Update(secret)
			if err == nil {
				t.Errorf("%s as %.10q was taken", key, value)
				continue
			}
			broken++
			leaks(t, err.Error(), secret)
		}
	}
	if now, _ := s.GetCertificate(nil); now != first || s.Ready() != nil {
		t.Error("the present certificate has gone")
	}
	if got := c.metric("errors_total", "load"); got != float64(broken) {
		t.Errorf("errors_total %v, want %d", got, broken)
	}
	if got := c.metric("expiry_timestamp_seconds", "serving"); got != float64(s.NotAfter().Unix()) {
		t.Errorf("expiry %v", got)
	}
	if got := c.metric("expiry_timestamp_seconds", "ca"); got != float64(c.state().cas[0].NotAfter.Unix()) {
		t.Errorf("expiry of the authority %v", got)
	}
}

func TestExpiredCertificateDoesNotReplaceAValidOne(t *testing.T) {
	c := newCluster(t)
	r := c.rotator()
	c.ensure(r)
	old := c.secret()
	c.advance(80 * 24 * time.Hour)
	c.ensure(r)
	s := NewServing(nil)
	s.Now = c.clock
	if err := s.Update(c.secret()); err != nil {
		t.Fatal(err)
	}
	c.advance(11 * 24 * time.Hour)
	if err := s.Update(old); err == nil || s.Ready() != nil {
		t.Errorf("error %v, ready %v", err, s.Ready())
	}
}

func TestConfigureKeepsWhatTheCallerChose(t *testing.T) {
	s := NewServing(nil)
	c := &tls.Config{NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS13}
	s.Configure(c)
	if c.MinVersion != tls.VersionTLS13 || !slices.Equal(c.NextProtos, []string{"http/1.1"}) {
		t.Errorf("%x %q", c.MinVersion, c.NextProtos)
	}
	c = &tls.Config{}
	s.Configure(c)
	if c.MinVersion != tls.VersionTLS12 || c.NextProtos != nil {
		t.Errorf("%x %q", c.MinVersion, c.NextProtos)
	}
	insecure := tls.InsecureCipherSuites()
	for _, id := range c.CipherSuites {
		if slices.ContainsFunc(insecure, func(s *tls.CipherSuite) bool { return s.ID == id }) {
			t.Errorf("%s is insecure", tls.CipherSuiteName(id))
		}
	}
}

func TestSecretWatchFollowsOneSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		s := NewServing(nil)
		s.Now = c.clock
		w := NewSecretWatch(c.secretClient(), s)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Start(ctx) }()
		synctest.Wait()
		r := c.rotator()
		c.ensure(r)
		synctest.Wait()
		if err := s.Ready(); err != nil {
			t.Error(err)
		}
		c.advance(80 * 24 * time.Hour)
		c.ensure(r)
		synctest.Wait()
		if got, want := s.NotAfter(), c.state().leaf.NotAfter; !got.Equal(want) {
			t.Errorf("serving until %s, want %s", got, want)
		}
		if err := c.fake.Tracker().Delete(secretsResource, testNamespace, testSecret); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if err := s.Ready(); err != nil {
			t.Errorf("after the Secret was removed: %v", err)
		}
		for _, action := range c.fake.Actions() {
			if watch, ok := action.(kubetesting.WatchAction); ok && (watch.GetWatchRestrictions().Fields.String() != "metadata.name="+testSecret || watch.GetNamespace() != testNamespace) {
				t.Errorf("watches %q of namespace %q", watch.GetWatchRestrictions().Fields, watch.GetNamespace())
			}
			if list, ok := action.(kubetesting.ListAction); ok && list.GetListRestrictions().Fields.String() != "metadata.name="+testSecret {
				t.Errorf("lists %q", list.GetListRestrictions().Fields)
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Start's clock is the bubble's: it jumps whenever all wait.
func TestStartRotatesByTimeAndByTrigger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		if err := c.fake.Tracker().Delete(webhooksResource, "", testWebhook); err != nil {
			t.Fatal(err)
		}
		r := c.rotator()
		r.Now = time.Now
		r.Logger = slog.New(slog.DiscardHandler)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Start(ctx) }()
		time.Sleep(10 * time.Minute)
		if got := c.metric("errors_total", "rotate"); got < 10 || got > 20 {
			t.Errorf("%v attempts in 10 minutes without a webhook configuration", got)
		}
		c.putWebhooks(webhookConfiguration())
		time.Sleep(2 * time.Second)
		if hooks := c.webhooks(); !bytes.Equal(hooks.Webhooks[0].ClientConfig.CABundle, c.secret().Data[KeyBundle]) {
			t.Error("two seconds after the webhook configuration appeared it has no bundle")
		}
		secret := c.secret()
		clear(secret.Data)
		c.putSecret(secret)
		time.Sleep(2 * time.Second)
		if c.state().leaf == nil {
			t.Error("two seconds after the Secret was emptied it still is")
		}
		first := c.state().leaf
		time.Sleep(61 * 24 * time.Hour)
		if c.state().leaf.Equal(first) {
			t.Error("not renewed after two thirds of the life")
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestStartRefusesWrongFields(t *testing.T) {
	r := newCluster(t).rotator()
	r.Service = ""
	if err := r.Start(t.Context()); err == nil {
		t.Error("started")
	}
}

// mount lays out a pair as kubelet mounts a Secret: the files are links into a folder that a link swaps.
func mount(t *testing.T, dir, version string, data map[string][]byte) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(dir, version), 0o700))
	for _, name := range []string{KeyCertificate, KeyServingKey} {
		must(os.WriteFile(filepath.Join(dir, version, name), data[name], 0o600))
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			must(os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)))
		}
	}
	must(os.Symlink(version, filepath.Join(dir, "..tmp")))
	must(os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")))
}

func TestFolderWatchFollowsMountedFiles(t *testing.T) {
	c := newCluster(t)
	r := c.rotator()
	c.ensure(r)
	dir := t.TempDir()
	s := NewServing(nil)
	s.Now = c.clock
	w := NewFolderWatch(dir, s)
	for i, want := range []bool{true, false, false} {
		if err := w.look(); (err != nil) != want {
			t.Errorf("look %d at an empty folder: %v", i, err)
		}
	}
	mount(t, dir, "..1", c.secret().Data)
	if err := w.look(); err != nil || s.Ready() != nil {
		t.Fatalf("error %v, ready %v", err, s.Ready())
	}
	first := s.NotAfter()

	bad := c.secret()
	bad.Data[KeyServingKey] = bad.Data[KeyAuthorityKey]
	mount(t, dir, "..2", bad.Data)
	err := w.look()
	if err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a bad pair: %v", err)
	} else {
		leaks(t, err.Error(), bad)
	}
	if err := w.look(); err != nil {
		t.Errorf("reported again: %v", err)
	}
	if err := s.Ready(); err != nil || !s.NotAfter().Equal(first) {
		t.Errorf("the present certificate was not kept: %v", err)
	}

	c.advance(80 * 24 * time.Hour)
	c.ensure(r)
	mount(t, dir, "..3", c.secret().Data)
	if err := w.look(); err != nil || !s.NotAfter().After(first) {
		t.Errorf("a new pair was not taken: %v", err)
	}
	c.advance(91 * 24 * time.Hour)
	if err := s.Ready(); err == nil {
		t.Error("ready with an expired certificate")
	}
}

func TestFolderWatchStartLooksAtOnceAndAgain(t *testing.T) {
	c := newCluster(t)
	c.ensure(c.rotator())
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := NewServing(nil)
		s.Now = c.clock
		w := NewFolderWatch(dir, s)
		var log bytes.Buffer
		w.Logger = slog.New(slog.NewTextHandler(&log, nil))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Start(ctx) }()
		time.Sleep(time.Minute)
		mount(t, dir, "..1", c.secret().Data)
		time.Sleep(w.Interval)
		synctest.Wait()
		if err := s.Ready(); err != nil {
			t.Error(err)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if got := strings.Count(log.String(), "level=WARN"); got != 1 {
			t.Errorf("%d warnings of one missing folder:\n%s", got, log.String())
		}
	})
}
