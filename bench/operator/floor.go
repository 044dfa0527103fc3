package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/peer"
)

// floor is a webhook that does nothing: it reads a review and allows. No webhook can take less. It is a process of its own, as the
// operator is, so that it waits for a processor as the operator does.
type floor struct {
	program *kube.Program
	url     string
	ca      []byte // PEM
	dir     string // of its certificate and key
}

// names of files in floor.dir.
const certFile, keyFile = "tls.crt", "tls.key"

func (b *bench) startFloor(ctx context.Context) (*floor, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	addrs, err := peer.FreeAddrs(1)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "floor-")
	if err != nil {
		return nil, err
	}
	f := &floor{url: "https://" + addrs[0] + "/", dir: dir}
	if err := f.makeCertificate(); err != nil {
		return nil, err
	}
	f.program = b.cluster.Program("floor", self, "-floor", addrs[0], "-floor-certificate", dir)
	if err := f.program.Start(); err != nil {
		return nil, err
	}
	return f, f.program.Await(ctx, "the webhook that does nothing listened", func(context.Context) error {
		c, err := net.Dial("tcp", addrs[0])
		if err != nil {
			return err
		}
		return c.Close()
	})
}

func (f *floor) makeCertificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(2 * bound), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	f.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(filepath.Join(f.dir, certFile), f.ca, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(f.dir, keyFile), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600)
}

func (f *floor) stop() {
	f.program.Stop()
	_ = os.RemoveAll(f.dir)
}

// serveFloor is the process.
func serveFloor(addr, dir string) error {
	s := &http.Server{Addr: addr, Handler: http.HandlerFunc(allow)}
	return s.ListenAndServeTLS(filepath.Join(dir, certFile), filepath.Join(dir, keyFile))
}

func allow(w http.ResponseWriter, r *http.Request) {
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.Request == nil {
		http.Error(w, "no review", http.StatusBadRequest)
		return
	}
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	review.Request = nil
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review) // who asked notices
}

// floorLabel is on the namespaces whose pods the webhook is asked about.
const floorLabel = "floor"

// register makes the API server ask.
func (f *floor) register(ctx context.Context, b *bench) error {
	h := admissionregistrationv1.MutatingWebhook{
		Name:         "floor.example.com",
		ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &f.url, CABundle: f.ca},
		Rules: []admissionregistrationv1.RuleWithOperations{{Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
			Rule: admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}}}},
		NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{floorLabel: "true"}},
		SideEffects:             new(admissionregistrationv1.SideEffectClassNone),
		FailurePolicy:           new(admissionregistrationv1.Fail),
		AdmissionReviewVersions: []string{"v1"},
	}
	config := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "floor"}, Webhooks: []admissionregistrationv1.MutatingWebhook{h}}
	if _, err := b.cluster.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Create(ctx, config, metav1.CreateOptions{}); err != nil {
		return err
	}
	// The API server notices a configuration in its own time.
	return within(ctx, time.Minute, func() error {
		m, err := b.apiserver(ctx)
		if err != nil {
			return err
		}
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "probe"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}}}
		if _, err := b.cluster.Client().CoreV1().Pods(latencyNamespaces[1].name).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
			return err
		}
		if m.histogram(admissionDuration, "name", "floor.example.com").count == 0 {
			return errors.New("the API server does not ask the webhook that does nothing")
		}
		return nil
	})
}
