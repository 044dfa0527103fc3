package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"slices"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-telemetry/holdfast/e2e/operator"
)

// admissionDuration is the API server's own measurement of a webhook's answer, its call included.
const admissionDuration = "apiserver_admission_webhook_admission_duration_seconds"

// answerDuration is the operator's own measurement of the same, without the call.
const answerDuration = "controller_runtime_webhook_latency_seconds"

// apiserverName is the program that answers for creations.
const apiserverName = "kube-apiserver"

// latencyNamespaces are measured in turn, so that a change of the machine's speed meets all.
var latencyNamespaces = []struct {
	what, name string
	labels     map[string]string
}{
	{"without a webhook", "latency-none", map[string]string{"holdfast.dev/injection": "disabled"}},
	{"with a webhook that does nothing", "latency-nothing", map[string]string{"holdfast.dev/injection": "disabled", floorLabel: nothingPath}},
	{"with the operator's patch from memory", "latency-patch", map[string]string{"holdfast.dev/injection": "disabled", floorLabel: patchPath}},
	{"with the operator", "latency-operator", nil},
}

// Indexes of latencyNamespaces.
const patchedNamespace, operatorNamespace = 2, 3

// extra is how much admission may take at its 99th percentile beyond the API server's own time.
const extra = 10 * time.Millisecond

// latency measures the creation of the same pod in each of the namespaces, at the rate that was asked for.
func (b *bench) latency(ctx context.Context) error {
	for _, ns := range latencyNamespaces {
		if err := b.makeNamespace(ctx, ns.name, ns.labels); err != nil {
			return err
		}
	}
	review, err := b.review(ctx)
	if err != nil {
		return err
	}
	own, err := b.ownAsker(ctx)
	if err != nil {
		return err
	}
	answer, err := own.ask(ctx, review)
	if err != nil {
		return err
	}
	f, err := b.startFloor(ctx, answer.Patch)
	if err != nil {
		return err
	}
	defer f.stop()
	if err := f.register(ctx, b); err != nil {
		return err
	}
	before, err := b.apiserver(ctx)
	if err != nil {
		return err
	}
	ownBefore, err := scrape(ctx, b.in.Replicas[0])
	if err != nil {
		return err
	}
	times := make([][][]time.Duration, len(latencyNamespaces)) // by namespace and round
	server := make([][]time.Duration, len(latencyNamespaces))  // CPU of the API server for each creation
	var cpu time.Duration
	for round := range b.rounds {
		for i, ns := range latencyNamespaces {
			before, own := b.others(), b.leader().cpu()
			t, err := b.creations(ctx, ns.name, round)
			if err != nil {
				return fmt.Errorf("creating pods %s: %w", ns.what, err)
			}
			each := b.others().since(before)[apiserverName] / time.Duration(len(t))
			log.Printf("%s: p50 %.1f ms, p99 %.1f ms, CPU of the API server %.1f ms each (load average %s)", ns.what, ms(percentile(t, 50)), ms(percentile(t, 99)), ms(each), loadAverage())
			times[i], server[i] = append(times[i], t), append(server[i], each)
			if i == operatorNamespace {
				cpu += b.leader().cpu() - own
			}
		}
	}
	after, err := b.apiserver(ctx)
	if err != nil {
		return err
	}
	ownAfter, err := scrape(ctx, b.in.Replicas[0])
	if err != nil {
		return err
	}
	for i, ns := range latencyNamespaces {
		b.table.row(fmt.Sprintf("creation of a pod at %d/s %s, p50 and p99 (medians of rounds)", b.rate, ns.what), "%.1f ms, %.1f ms (CPU of the API server %.1f ms)",
			ms(middle(times[i], 50)), ms(middle(times[i], 99)), ms(median(server[i], func(d time.Duration) time.Duration { return d })))
	}
	more := middle(times[operatorNamespace], 99) - middle(times[patchedNamespace], 99)
	b.table.target(more < extra, "< 10 ms", "p99 of it with the operator, above that with its patch from memory", "%.1f ms", ms(more))
	for _, name := range []string{floorHook(nothingPath), floorHook(patchPath), hook} {
		h := after.histogram(admissionDuration, "name", name).since(before.histogram(admissionDuration, "name", name))
		b.table.row("API server's time for the call of "+name, "mean %.2f ms; %.1f %% within 5 ms, p99 within %.0f ms", 1000*h.sum/float64(h.count),
			h.percent(0.005), 1000*h.bound(0.99))
	}
	h := ownAfter.histogram(answerDuration).since(ownBefore.histogram(answerDuration))
	b.table.target(h.bound(0.99) <= extra.Seconds(), "p99 < 10 ms", "the operator's own time for an answer meanwhile", "mean %.2f ms; %.2f %% within 10 ms",
		1000*h.sum/float64(h.count), h.percent(0.01))
	// A minute's creations end up as pods of the operator; they would be in the way of what follows.
	b.table.row("CPU of the operator for each of its creations", "%.2f ms", ms(cpu)/float64(len(slices.Concat(times[operatorNamespace]...))))
	for _, ns := range latencyNamespaces {
		if err := b.deleteAll(ctx, ns.name); err != nil {
			return err
		}
	}
	if err := b.settle(ctx, b.pods); err != nil {
		return err
	}
	return b.direct(ctx, review, newAsker(f.url+nothingPath, f.ca), own)
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func percentile(times []time.Duration, p int) time.Duration {
	t := slices.Sorted(slices.Values(times))
	return t[min(len(t)-1, len(t)*p/100)]
}

// middle is the median of the rounds' percentiles.
func middle(rounds [][]time.Duration, p int) time.Duration {
	return median(rounds, func(t []time.Duration) time.Duration { return percentile(t, p) })
}

// creations makes pods at the rate, whether or not earlier ones are done, and returns how long each took. Nobody schedules them: what
// nodes report of running pods would be work for the same API server, at the same time, that is not creation.
func (b *bench) creations(ctx context.Context, namespace string, round int) ([]time.Duration, error) {
	owner, err := b.owner(ctx, namespace)
	if err != nil {
		return nil, err
	}
	return b.paced(int(b.slice.Seconds()*float64(b.rate)), func(n int) error {
		pod := b.pod(namespace, fmt.Sprintf("pod-%d-%d", round, n), quarterClass, 0, owner) // all alike, for one patch fits them all
		pod.Spec.NodeName, pod.Spec.SchedulerName = "", "nobody"
		_, err := b.cluster.Client().CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{})
		return err
	})
}

// paced calls do n times at the rate, and returns how long each call took.
func (b *bench) paced(n int, do func(int) error) ([]time.Duration, error) {
	times, errs := make([]time.Duration, n), make([]error, n)
	tick := time.NewTicker(time.Second / time.Duration(b.rate))
	defer tick.Stop()
	var calls sync.WaitGroup
	for i := range n {
		<-tick.C
		calls.Go(func() {
			begin := time.Now()
			errs[i] = do(i)
			times[i] = time.Since(begin)
		})
	}
	calls.Wait()
	return times, errors.Join(errs...)
}

// direct asks the webhook that does nothing and the operator as the API server does, over a connection that is there already: what is left is their own time.
func (b *bench) direct(ctx context.Context, review []byte, askers ...*asker) error {
	times := make([][][]time.Duration, len(askers))
	var cpu time.Duration
	for range b.rounds {
		for i, a := range askers {
			own := b.leader().cpu()
			t, err := b.paced(int(b.slice.Seconds()*float64(b.rate)), func(int) error {
				_, err := a.ask(ctx, review)
				return err
			})
			if err != nil {
				return err
			}
			times[i] = append(times[i], t)
			if i == 1 {
				cpu += b.leader().cpu() - own
			}
		}
	}
	for i, name := range []string{"a webhook that does nothing", "the operator"} {
		p99 := middle(times[i], 99)
		what := fmt.Sprintf("answer of %s at %d/s, asked directly, p50 and p99 (medians of rounds)", name, b.rate)
		if i == 0 {
			b.table.row(what, "%.2f ms, %.2f ms", ms(middle(times[i], 50)), ms(p99))
			continue
		}
		b.table.target(p99 < extra, "p99 < 10 ms", what, "%.2f ms, %.2f ms", ms(middle(times[i], 50)), ms(p99))
	}
	b.table.row("CPU of the operator for each answer", "%.2f ms", ms(cpu)/float64(len(slices.Concat(times[1]...))))
	return nil
}

// ownAsker asks the operator's first replica.
func (b *bench) ownAsker(ctx context.Context) (*asker, error) {
	config, err := b.cluster.Client().AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, "holdfast-operator", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return newAsker(webhookURL(b.in.Replicas[0]), config.Webhooks[0].ClientConfig.CABundle), nil
}

func webhookURL(r *operator.Replica) string { return "https://" + r.Webhook + "/mutate-v1-pod" }

// review is what the API server asks about a pod of the load, as a dry run.
func (b *bench) review(ctx context.Context) ([]byte, error) {
	ns := latencyNamespaces[0].name // where nothing is added to it
	owner, err := b.owner(ctx, ns)
	if err != nil {
		return nil, err
	}
	pod, err := b.cluster.Client().CoreV1().Pods(ns).Create(ctx, b.pod(ns, "review", quarterClass, 0, owner), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return nil, err
	}
	pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	pod.Namespace = latencyNamespaces[operatorNamespace].name
	raw, err := json.Marshal(pod)
	if err != nil {
		return nil, err
	}
	return json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{UID: types.UID("b0f2e5a4-5f0e-4e0b-9a8c-1d1b7f6f3a11"), Kind: metav1.GroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod")),
			Resource: metav1.GroupVersionResource(corev1.SchemeGroupVersion.WithResource("pods")), Name: pod.Name, Namespace: pod.Namespace, Operation: admissionv1.Create,
			Object: runtime.RawExtension{Raw: raw}, DryRun: new(true)},
	})
}

// asker asks a webhook.
type asker struct {
	url    string
	client http.Client
}

func newAsker(url string, ca []byte) *asker {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &asker{url: url, client: http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}, Timeout: 5 * time.Second}}
}

func (a *asker) ask(ctx context.Context, review []byte) (*admissionv1.AdmissionResponse, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, bytes.NewReader(review))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	var got admissionv1.AdmissionReview
	if err := json.Unmarshal(answer, &got); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", a.url, resp.Status, err)
	}
	if got.Response == nil || !got.Response.Allowed {
		return nil, fmt.Errorf("%s does not allow: %s", a.url, answer)
	}
	return got.Response, nil
}
