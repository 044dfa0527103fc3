package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The classes: one that every pod has, one that a quarter has, and the others in turn.
const everyClass, quarterClass = "default", "quarter"

func otherClass(i int) string { return fmt.Sprintf("other-%02d", i) }

// classText is a text of a usual size; generation makes it another.
func classText(name string, generation int) string {
	return fmt.Sprintf(`# %s, generation %d
[agent]
  interval = "10s"
  flush_interval = "10s"
  metric_buffer_limit = 10000
[global_tags]
  class = %q
  hostname = "$HOSTNAME"
  nodename = "$NODENAME"
[[outputs.influxdb_v2]]
  urls = ["http://influxdb.monitoring.svc:8086"]
  token = "generation-%d-of-a-token-that-is-as-long-as-tokens-usually-are-in-such-files=="
  organization = "example"
  bucket = %q
  timeout = "5s"
`, name, generation, name, generation, name)
}

func classTexts(n int) map[string]string {
	texts := map[string]string{everyClass: "[global_tags]\n  every = \"0\"\n[[outputs.discard]]\n", quarterClass: classText(quarterClass, 0)}
	for i := range n - 2 {
		texts[otherClass(i)] = classText(otherClass(i), 0)
	}
	return texts
}

// class is the class that pod n has beside the one that all have.
func (b *bench) class(n int) string {
	if n%4 == 0 {
		return quarterClass
	}
	return otherClass(n % (b.classes - 2))
}

func (b *bench) namespace(n int) string { return fmt.Sprintf("load-%02d", n%b.namespaces) }

// makeNamespaces makes the namespaces, and in each what its pods belong to.
func (b *bench) makeNamespaces(ctx context.Context) error {
	for i := range b.namespaces {
		if err := b.makeNamespace(ctx, b.namespace(i), nil); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) makeNamespace(ctx context.Context, name string, labels map[string]string) error {
	client := b.cluster.Client().CoreV1()
	if _, err := client.Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	return within(ctx, time.Minute, func() error {
		_, err := client.ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

// pod is one as a Deployment would have made it, with an owner that is there.
func (b *bench) pod(namespace, name, class string, n int, owner metav1.OwnerReference) *corev1.Pod {
	app := fmt.Sprintf("application-%d", n/10)
	small := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("128Mi")}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, OwnerReferences: []metav1.OwnerReference{owner},
			Labels: map[string]string{"app.kubernetes.io/name": app, "app.kubernetes.io/instance": app + "-production", "app.kubernetes.io/part-of": "load",
				"app.kubernetes.io/managed-by": "Helm", "pod-template-hash": "5d4f8c7b9c", "team": fmt.Sprintf("team-%d", n%12)},
			Annotations: map[string]string{"telegraf.influxdata.com/class": everyClass + "," + class, "telegraf.influxdata.com/port": "8080",
				"telegraf.influxdata.com/global-tag-literal-app": app, "checksum/config": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
		},
		Spec: corev1.PodSpec{NodeName: fmt.Sprintf("node-%d", n%4), TerminationGracePeriodSeconds: new(int64(0)),
			Containers: []corev1.Container{{Name: "app", Image: "registry.example/" + app + ":1.0.0", Ports: []corev1.ContainerPort{{ContainerPort: 8080}},
				Resources: corev1.ResourceRequirements{Requests: small, Limits: small},
				Env:       []corev1.EnvVar{{Name: "LOG_LEVEL", Value: "info"}, {Name: "LISTEN", Value: ":8080"}},
			}}},
	}
}

// owner makes what the pods of a namespace belong to. It is kept from making pods itself by its kind.
func (b *bench) owner(ctx context.Context, namespace string) (metav1.OwnerReference, error) {
	maps := b.cluster.Client().CoreV1().ConfigMaps(namespace)
	o, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "application"}}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		o, err = maps.Get(ctx, "application", metav1.GetOptions{})
	}
	if err != nil {
		return metav1.OwnerReference{}, err
	}
	return metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: o.Name, UID: o.UID, Controller: new(true), BlockOwnerDeletion: new(true)}, nil
}

// makePods makes all pods.
func (b *bench) makePods(ctx context.Context) error {
	owners := make([]metav1.OwnerReference, b.namespaces)
	for i := range owners {
		var err error
		if owners[i], err = b.owner(ctx, b.namespace(i)); err != nil {
			return err
		}
	}
	return b.each(ctx, "pods made", b.pods, b.parallel, func(n int) error {
		ns := b.namespace(n)
		pod := b.pod(ns, fmt.Sprintf("application-%d-5d4f8c7b9c-%05d", n/10, n), b.class(n/b.namespaces), n, owners[n%b.namespaces])
		_, err := b.cluster.Client().CoreV1().Pods(ns).Create(ctx, pod, metav1.CreateOptions{})
		return err
	})
}

// deletePods deletes all pods and returns when they are gone.
func (b *bench) deletePods(ctx context.Context) error {
	return b.each(ctx, "namespaces emptied", b.namespaces, 4, func(n int) error { return b.deleteAll(ctx, b.namespace(n)) })
}

func (b *bench) deleteAll(ctx context.Context, namespace string) error {
	pods := b.cluster.Client().CoreV1().Pods(namespace)
	if err := pods.DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}, metav1.ListOptions{}); err != nil {
		return err
	}
	return within(ctx, 5*time.Minute, func() error {
		list, err := b.meta.Resource(podsResource).Namespace(namespace).List(ctx, metav1.ListOptions{Limit: 1})
		if err == nil && len(list.Items) > 0 {
			err = errors.New("pods are left in " + namespace)
		}
		return err
	})
}

var podsResource = schema.GroupVersionResource{Version: "v1", Resource: "pods"}

// each calls do for 0 to n-1, some at once, and stops after an error. It tells how far it is.
func (b *bench) each(ctx context.Context, what string, n, parallel int, do func(int) error) error {
	var next, done atomic.Int64
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers sync.WaitGroup
	for range parallel {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(i); err != nil {
					cancel(err)
				}
				if d := done.Add(1); d%int64(max(1, n/10)) == 0 {
					log.Printf("%s: %d of %d (load average %s)", what, d, n, loadAverage())
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

// injected counts the pods of the load that have a sidecar.
func (b *bench) injected(ctx context.Context) (n int, err error) {
	for i := range b.namespaces {
		list, err := b.meta.Resource(podsResource).Namespace(b.namespace(i)).List(ctx, metav1.ListOptions{LabelSelector: "sidecar.holdfast.dev/injected=true", ResourceVersion: "0"})
		if err != nil {
			return n, err
		}
		n += len(list.Items)
	}
	return n, nil
}

// quiet is how long the operator must not write for it to have settled.
const quiet = 5 * time.Second

// settle returns when the leader reports this many pods as current with every class of theirs, and has stopped writing.
func (b *bench) settle(ctx context.Context, pods int) error {
	last, since := -1.0, time.Now()
	return within(ctx, 10*time.Minute, func() error {
		m, err := scrape(ctx, b.in.Replicas[0])
		if err != nil {
			return err
		}
		reported, writes := m.sum("holdfast_operator_pods", "class", everyClass, "current", "true"), m.sum("holdfast_operator_writes_total")
		if writes != last || int(reported) != pods {
			last, since = writes, time.Now()
		}
		if time.Since(since) < quiet {
			return fmt.Errorf("the operator reports %.0f of %d pods, after %.0f writes", reported, pods, writes)
		}
		return nil
	})
}

// within polls ok until it returns nil, and fails with its last error.
func within(ctx context.Context, bound time.Duration, ok func() error) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}
