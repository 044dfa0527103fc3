// Package operator installs the built holdfast-operator into a cluster of tests as its users do, from deploy/, and runs it beside the
// cluster: with the rights of its service account and the arguments of its Deployment.
package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/peer"
)

// Namespace is where the manifests put the operator.
const Namespace = "holdfast-operator"

// Options are what an installation can be made to do differently.
type Options struct {
	// Program is the path of holdfast-operator, Deploy that of the folder deploy.
	Program, Deploy string
	// Manifest is applied instead of the one in Deploy, such as one rendered with other values.
	Manifest string
	// Args come after those of the Deployment, and so win.
	Args []string
	// Classes are the data of the Secret of classes.
	Classes map[string]string
	// Replicas is how many operators run; 1 without it.
	Replicas int
}

// Installation is an operator in a cluster.
type Installation struct {
	cluster  *kube.Cluster
	args     []string
	program  string
	Replicas []*Replica
}

// Replica is one process.
type Replica struct {
	*kube.Program
	// Webhook, Metrics and Probes are host:port.
	Webhook, Metrics, Probes string
}

// Install applies the manifests, and starts operators in place of the Deployment's pods, which would run in name only. The webhook
// configuration leads to the first replica. It returns when pods get their sidecars.
func Install(ctx context.Context, c *kube.Cluster, o Options) (*Installation, error) {
	if o.Manifest == "" {
		manifest, err := os.ReadFile(filepath.Join(o.Deploy, "holdfast-operator.yaml"))
		if err != nil {
			return nil, err
		}
		o.Manifest = string(manifest)
	}
	if out, err := c.Apply(ctx, o.Manifest); err != nil {
		return nil, fmt.Errorf("applying the manifest: %w\n%s", err, out)
	}
	in := &Installation{cluster: c, program: o.Program}
	if err := in.takeOver(ctx); err != nil {
		return nil, err
	}
	in.args = append(in.args, o.Args...)
	if err := in.SetClasses(ctx, o.Classes); err != nil {
		return nil, err
	}
	for range max(o.Replicas, 1) {
		if _, err := in.AddReplica(ctx); err != nil {
			return nil, err
		}
	}
	if err := in.Route(ctx, in.Replicas[0]); err != nil {
		return nil, err
	}
	return in, in.AwaitInjection(ctx)
}

// takeOver keeps the arguments of the Deployment and deletes it.
func (in *Installation) takeOver(ctx context.Context) error {
	deployments := in.cluster.Client().AppsV1().Deployments(Namespace)
	d, err := deployments.Get(ctx, "holdfast-operator", metav1.GetOptions{})
	if err != nil {
		return err
	}
	in.args = operatorArgs(d)
	foreground := metav1.DeletePropagationForeground
	return deployments.Delete(ctx, d.Name, metav1.DeleteOptions{PropagationPolicy: &foreground})
}

func operatorArgs(d *appsv1.Deployment) (args []string) {
	for _, c := range d.Spec.Template.Spec.Containers {
		if c.Name == "operator" {
			args = append(args, c.Args...)
		}
	}
	return args
}

// AddReplica starts one more operator, and returns when its process answers for its health.
func (in *Installation) AddReplica(ctx context.Context) (*Replica, error) {
	telegraf, err := peer.Build(ctx, "telegraf")
	if err != nil {
		return nil, err
	}
	addrs, err := peer.FreeAddrs(3)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "holdfast-operator-")
	if err != nil {
		return nil, err
	}
	kubeconfig, err := in.cluster.ServiceAccountKubeconfig(ctx, dir, Namespace, "holdfast-operator")
	if err != nil {
		return nil, err
	}
	r := &Replica{Webhook: addrs[0], Metrics: addrs[1], Probes: addrs[2]}
	args := []string{"--kubeconfig", kubeconfig, "--namespace", Namespace, "--cert-name", "127.0.0.1",
		"--checker", peer.Executable(telegraf, "telegraf"), "--webhook-addr", r.Webhook, "--metrics-addr", r.Metrics, "--probe-addr", r.Probes}
	r.Program = in.cluster.Program(fmt.Sprintf("holdfast-operator-%d", len(in.Replicas)), in.program, append(args, without(in.args)...)...)
	if err := r.Start(); err != nil {
		return nil, err
	}
	in.Replicas = append(in.Replicas, r)
	return r, r.Await(ctx, "the operator was alive", func(ctx context.Context) error { return ask(ctx, "http://"+r.Probes+"/healthz") })
}

// without leaves out of the Deployment's arguments those whose values are of a pod's own network and folders.
func without(args []string) (kept []string) {
	for _, arg := range args {
		name, _, _ := strings.Cut(arg, "=")
		switch name {
		case "--checker", "--webhook-addr", "--metrics-addr", "--probe-addr":
		default:
			if strings.HasPrefix(arg, "--holdfast-checker=unix:/checker/") {
				continue
			}
			kept = append(kept, arg)
		}
	}
	return kept
}

// Ready asks a replica whether it is ready.
func (r *Replica) Ready(ctx context.Context) error { return ask(ctx, "http://"+r.Probes+"/readyz") }

// Stop ends every replica.
func (in *Installation) Stop() {
	for _, r := range in.Replicas {
		r.Stop()
	}
}

func ask(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}

// Route makes the API server ask a replica. There is no network of pods, so the Service of the manifest leads nowhere.
func (in *Installation) Route(ctx context.Context, r *Replica) error {
	return in.RouteTo(ctx, "https://"+r.Webhook+"/mutate-v1-pod")
}

// RouteTo makes the API server ask at an address, whichever of the webhook configurations makes it ask.
func (in *Installation) RouteTo(ctx context.Context, url string) error {
	for _, arg := range in.args {
		if name, ok := strings.CutPrefix(arg, "--webhook-name="); ok {
			if err := in.route(ctx, name, url); err != nil {
				return err
			}
		}
	}
	return nil
}

func (in *Installation) route(ctx context.Context, name, url string) error {
	hooks := in.cluster.Client().AdmissionregistrationV1().MutatingWebhookConfigurations()
	hook, err := hooks.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	patch := []map[string]any{{"op": "replace", "path": "/webhooks/0/clientConfig/url", "value": url}}
	if hook.Webhooks[0].ClientConfig.Service != nil {
		patch = []map[string]any{
			{"op": "remove", "path": "/webhooks/0/clientConfig/service"},
			{"op": "add", "path": "/webhooks/0/clientConfig/url", "value": url},
		}
	}
	text, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	_, err = hooks.Patch(ctx, name, types.JSONPatchType, text, metav1.PatchOptions{})
	return err
}

// SetClasses makes the data of the Secret of classes be these.
func (in *Installation) SetClasses(ctx context.Context, classes map[string]string) error {
	secrets := in.cluster.Client().CoreV1().Secrets(Namespace)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "holdfast-operator-classes"}, StringData: classes}
	_, err := secrets.Create(ctx, secret, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	old, err := secrets.Get(ctx, secret.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	old.Data, old.StringData = nil, classes
	_, err = secrets.Update(ctx, old, metav1.UpdateOptions{})
	return err
}

// probe is a pod that has a sidecar whatever the classes are.
func probe() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "probe", Annotations: map[string]string{"telegraf.influxdata.com/port": "1"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "app"}}},
	}
}

// AwaitInjection returns when pods of the namespace default reach the webhook. It asks by dry runs.
func (in *Installation) AwaitInjection(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return in.Replicas[0].Await(ctx, "pods were injected", func(ctx context.Context) error {
		pod, err := in.cluster.Client().CoreV1().Pods("default").Create(ctx, probe(), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			return err
		}
		if pod.Labels["sidecar.holdfast.dev/injected"] != "true" {
			return errors.New("a pod came through without a sidecar")
		}
		return nil
	})
}

// Scrape returns the metrics of a replica.
func (r *Replica) Scrape(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Metrics+"/metrics", nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}
