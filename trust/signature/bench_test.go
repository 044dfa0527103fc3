package signature

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	fake "github.com/google/go-containerregistry/pkg/registry"

	"github.com/holdfast-telemetry/holdfast/trust/key"
)

func benchKey(b *testing.B) (key.Public, Signer) {
	b.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	return key.Public{ID: key.ID{Name: "images", Version: 7}, Key: &k.PublicKey}, func(_ context.Context, hashes []key.Hash) (out [][]byte, err error) {
		for _, h := range hashes {
			sig, err := ecdsa.SignASN1(rand.Reader, k, h[:])
			if err != nil {
				return nil, err
			}
			out = append(out, sig)
		}
		return out, nil
	}
}

// BenchmarkBuild makes one signature, ready to be written: payload, signature, manifest.
func BenchmarkBuild(b *testing.B) {
	public, sign := benchKey(b)
	p := Payload{Reference: "reg.example/app/web", Digest: digestOf([]byte("image")), Issued: time.Unix(1767607200, 0), Key: public.ID}
	b.ReportAllocs()
	for b.Loop() {
		text, err := p.Marshal()
		if err != nil {
			b.Fatal(err)
		}
		sigs, err := sign(b.Context(), []key.Hash{sha256.Sum256(text)})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := writeManifest(writeLayer(text, sigs[0], p.Issued)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerify verifies one signature, from the bytes of manifest and payload.
func BenchmarkVerify(b *testing.B) {
	public, sign := benchKey(b)
	p := Payload{Reference: "reg.example/app/web", Digest: digestOf([]byte("image")), Issued: time.Unix(1767607200, 0), Key: public.ID}
	text, err := p.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	sigs, err := sign(b.Context(), []key.Hash{sha256.Sum256(text)})
	if err != nil {
		b.Fatal(err)
	}
	manifest, err := writeManifest(writeLayer(text, sigs[0], p.Issued))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		m, err := parseManifest(manifest)
		if err != nil {
			b.Fatal(err)
		}
		_, h, err := m.Layers[0].signer([]key.Public{public})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := m.Layers[0].payload(text, p.Digest, h); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMany signs into a registry of this process, over loopback: one op is one image.
func BenchmarkMany(b *testing.B) {
	s := httptest.NewServer(fake.New(fake.Logger(log.New(io.Discard, "", 0))))
	defer s.Close()
	c, err := NewClient(Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	repo, err := name.NewRepository(strings.TrimPrefix(s.URL, "http://") + "/third-party")
	if err != nil {
		b.Fatal(err)
	}
	public, sign := benchKey(b)
	other, _ := benchKey(b)
	var targets []Target
	for i := range b.N {
		targets = append(targets, Target{Image: repo.Digest(digestOf([]byte(fmt.Sprint(i))).String())})
	}
	b.ReportAllocs()
	b.ResetTimer()
	if _, err := (&Many{Writer: &Legacy{Client: c}}).Sign(b.Context(), targets, Order{Key: public, Sign: sign, Keep: []key.Public{other}}); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "images/s")
	b.ReportMetric(float64(c.Requests())/float64(b.N), "requests/image")
}
