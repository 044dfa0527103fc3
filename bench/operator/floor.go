package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// floor is a webhook that does nothing: it reads a review and allows. No webhook can take less.
type floor struct {
	server *http.Server
	ended  chan struct{}
	url    string
	ca     []byte // PEM
}

func startFloor() (*floor, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(2 * bound), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"h2"}})
	if err != nil {
		return nil, err
	}
	f := &floor{server: &http.Server{Handler: http.HandlerFunc(allow)}, ended: make(chan struct{}), url: "https://" + l.Addr().String() + "/",
		ca: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
	go func() {
		defer close(f.ended)
		_ = f.server.Serve(l) // until it is closed
	}()
	return f, nil
}

func (f *floor) stop() {
	_ = f.server.Close()
	<-f.ended
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
