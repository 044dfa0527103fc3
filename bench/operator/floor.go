package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/peer"
)

// floor are two webhooks that decide nothing: each reads a review and allows, one without a patch, and the other with the operator's patch
// of such a pod, which it has in memory. No webhook can take less: what the second costs is the API server's own time for a pod with a
// sidecar. It is a process of its own, as the operator is, so that it waits for a processor as the operator does.
type floor struct {
	program *kube.Program
	url     string
	ca      []byte // PEM
	dir     string // of its certificate, key and patch
}

// names of files in floor.dir.
const certFile, keyFile, patchFile = "tls.crt", "tls.key", "patch.json"

// Paths of the floor, below its URL.
const nothingPath, patchPath = "nothing", "patch"

func (b *bench) startFloor(ctx context.Context, patch []byte) (*floor, error) {
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
	if err := os.WriteFile(filepath.Join(dir, patchFile), patch, 0o600); err != nil {
		return nil, err
	}
	f.program = b.cluster.Program("floor", self, "-floor", addrs[0], "-floor-certificate", dir)
	if err := f.program.Start(); err != nil {
		return nil, err
	}
	return f, f.program.Await(ctx, "the webhooks that decide nothing listened", func(context.Context) error {
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
	patch, err := os.ReadFile(filepath.Join(dir, patchFile))
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/"+nothingPath, func(w http.ResponseWriter, r *http.Request) { allow(w, r, nil) })
	mux.HandleFunc("/"+patchPath, func(w http.ResponseWriter, r *http.Request) { allow(w, r, patch) })
	s := &http.Server{Addr: addr, Handler: mux}
	return s.ListenAndServeTLS(filepath.Join(dir, certFile), filepath.Join(dir, keyFile))
}

var tokenVolume = regexp.MustCompile(`kube-api-access-[a-z0-9]{5}`)

func allow(w http.ResponseWriter, r *http.Request, patch []byte) {
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil || review.Request == nil {
		http.Error(w, "no review", http.StatusBadRequest)
		return
	}
	answer := &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	if patch != nil {
		// The volume with the token has a name of its own in each pod.
		answer.Patch = tokenVolume.ReplaceAll(patch, tokenVolume.Find(review.Request.Object.Raw))
		answer.PatchType = new(admissionv1.PatchTypeJSONPatch)
	}
	review.Request, review.Response = nil, answer
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review) // who asked notices
}

// floorLabel is on the namespaces whose pods the floor is asked about; its value is the path.
const floorLabel = "floor"

// register makes the API server ask.
func (f *floor) register(ctx context.Context, b *bench) error {
	config := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "floor"}}
	for _, path := range []string{nothingPath, patchPath} {
		config.Webhooks = append(config.Webhooks, admissionregistrationv1.MutatingWebhook{
			Name:         floorHook(path),
			ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: new(f.url + path), CABundle: f.ca},
			Rules: []admissionregistrationv1.RuleWithOperations{{Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule: admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}}}},
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{floorLabel: path}},
			SideEffects:             new(admissionregistrationv1.SideEffectClassNone),
			FailurePolicy:           new(admissionregistrationv1.Fail),
			AdmissionReviewVersions: []string{"v1"},
		})
	}
	if _, err := b.cluster.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Create(ctx, config, metav1.CreateOptions{}); err != nil {
		return err
	}
	// The API server notices a configuration in its own time.
	return within(ctx, time.Minute, func() error {
		for _, ns := range latencyNamespaces {
			path := ns.labels[floorLabel]
			if path == "" {
				continue
			}
			owner, err := b.owner(ctx, ns.name)
			if err != nil {
				return err
			}
			pod := b.pod(ns.name, "probe", quarterClass, 0, owner)
			if _, err := b.cluster.Client().CoreV1().Pods(ns.name).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
				return err
			}
			m, err := b.apiserver(ctx)
			if err != nil {
				return err
			}
			if m.histogram(admissionDuration, "name", floorHook(path)).count == 0 {
				return fmt.Errorf("the API server does not ask the webhook %s", floorHook(path))
			}
		}
		return nil
	})
}

// floorHook is a webhook of the floor as the API server's metrics name it.
func floorHook(path string) string { return path + ".example.com" }
