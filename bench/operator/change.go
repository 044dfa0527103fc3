package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// arrival is how long a change of a class may take until everything that it concerns has followed.
const arrival = 15 * time.Second

// change changes a class that a quarter of the pods has, and one that every pod has. Then it writes a label on every pod itself, as the
// operator does: no program can make the labels follow sooner than that.
func (b *bench) change(ctx context.Context) error {
	for _, class := range []string{quarterClass, everyClass} {
		var all []followed
		for range b.repeats {
			f, err := b.follow(ctx, class)
			if err != nil {
				return err
			}
			log.Printf("class %s: %.1f s until every Secret had the text, %.1f s until every one of %d labels; CPU %.1f s, of others %s (load average %s)",
				class, f.secrets.Seconds(), f.labels.Seconds(), f.pods, f.cpu.Seconds(), f.others, loadAverage())
			all = append(all, f)
		}
		middle := func(get func(followed) time.Duration) float64 { return median(all, get).Seconds() }
		secrets, labels := middle(func(f followed) time.Duration { return f.secrets }), middle(func(f followed) time.Duration { return f.labels })
		name := fmt.Sprintf("class of %d pods changed, ", all[0].pods)
		b.table.target(secrets < arrival.Seconds(), "< 15 s", name+"until all Secrets", "%.1f s (the first after %.1f)", secrets, middle(func(f followed) time.Duration { return f.first }))
		b.table.target(labels < arrival.Seconds(), "< 15 s", name+"until all pods' labels", "%.1f s", labels)
		b.table.row(name+"CPU of the operator", "%.1f s", middle(func(f followed) time.Duration { return f.cpu }))
		b.table.row(name+"CPU of others until then", "%s", all[len(all)-1].others)
	}
	if err := b.write(ctx); err != nil {
		return err
	}
	return b.memory(ctx, "after the changes")
}

// write writes a label on all pods, as many at once as the operator does.
func (b *bench) write(ctx context.Context) error {
	list, err := b.meta.Resource(podsResource).List(ctx, metav1.ListOptions{LabelSelector: labelOf(everyClass), ResourceVersion: "0"})
	if err != nil {
		return err
	}
	begin, others := time.Now(), b.others()
	err = b.each(ctx, "labels written", len(list.Items), labelers, func(n int) error {
		p := &list.Items[n]
		patch := fmt.Appendf(nil, `{"metadata":{"uid":%q,"labels":{"floor.example.com/label":"0123456789abcdef"}}}`, p.UID)
		_, err := b.meta.Resource(podsResource).Namespace(p.Namespace).Patch(ctx, p.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
		return err
	})
	if err != nil {
		return err
	}
	b.table.row("the same labels written by the benchmark itself", "%.1f s (CPU of others: %s)", time.Since(begin).Seconds(), b.others().since(others))
	return b.settle(ctx, b.pods)
}

// labelers is how many pods the operator writes on at once.
const labelers = 16

func median[T any](all []T, get func(T) time.Duration) time.Duration {
	var v []time.Duration
	for _, one := range all {
		v = append(v, get(one))
	}
	slices.Sort(v)
	return v[len(v)/2]
}

// followed is how a change of a class arrived: when the first and the last Secret had it, and the last label.
type followed struct {
	first, secrets, labels time.Duration
	cpu                    time.Duration
	others                 used
	pods                   int
}

// follow changes a class and watches until everything has followed.
func (b *bench) follow(ctx context.Context, class string) (f followed, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	secrets, err := b.watchSecrets(ctx)
	if err != nil {
		return f, err
	}
	defer secrets.Stop()
	pods, old, err := b.watchPods(ctx, class)
	if err != nil {
		return f, err
	}
	defer pods.Stop()
	f.pods = len(old)
	b.changes++
	text := classText(class, b.changes)
	if class == everyClass {
		text = fmt.Sprintf("[global_tags]\n  every = \"%d\"\n[[outputs.discard]]\n", b.changes)
	}
	b.texts[class] = text
	cpu, others, begin := b.leader().cpu(), b.others(), time.Now()
	if err := b.in.SetClasses(ctx, b.texts); err != nil {
		return f, err
	}
	waiting := map[string]bool{}
	for i := range b.namespaces {
		waiting[b.namespace(i)] = true
	}
	for len(waiting) > 0 || len(old) > 0 {
		select {
		case <-ctx.Done():
			return f, fmt.Errorf("%d Secrets and %d labels have not followed: %w", len(waiting), len(old), ctx.Err())
		case e, ok := <-secrets.ResultChan():
			if !ok {
				return f, errors.New("the watch of Secrets ended")
			}
			s, ok := e.Object.(*corev1.Secret)
			if !ok || !waiting[s.Namespace] || string(s.Data[class+".conf"]) != text {
				continue
			}
			delete(waiting, s.Namespace)
			if f.secrets = time.Since(begin); f.first == 0 {
				f.first = f.secrets
			}
		case e, ok := <-pods.ResultChan():
			if !ok {
				return f, errors.New("the watch of pods ended")
			}
			p, ok := e.Object.(*metav1.PartialObjectMetadata)
			if !ok {
				continue
			}
			if hash, mine := old[p.Namespace+"/"+p.Name]; mine && p.Labels[labelOf(class)] != hash {
				delete(old, p.Namespace+"/"+p.Name)
				f.labels = time.Since(begin)
			}
		}
	}
	f.others = b.others().since(others)
	if err := b.settle(ctx, b.pods); err != nil {
		return f, err
	}
	f.cpu = b.leader().cpu() - cpu
	return f, nil
}

func labelOf(class string) string { return "class.holdfast.dev/" + class }

func (b *bench) watchSecrets(ctx context.Context) (watch.Interface, error) {
	secrets := b.cluster.Client().CoreV1().Secrets("")
	o := metav1.ListOptions{FieldSelector: "metadata.name=holdfast-classes"}
	list, err := secrets.List(ctx, o)
	if err != nil {
		return nil, err
	}
	o.ResourceVersion = list.ResourceVersion
	return secrets.Watch(ctx, o)
}

// watchPods also returns the hashes that the pods' labels have now.
func (b *bench) watchPods(ctx context.Context, class string) (watch.Interface, map[string]string, error) {
	o := metav1.ListOptions{LabelSelector: labelOf(class), ResourceVersion: "0"}
	list, err := b.meta.Resource(podsResource).List(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	hashes := map[string]string{}
	for _, p := range list.Items {
		if strings.HasPrefix(p.Namespace, "load-") {
			hashes[p.Namespace+"/"+strings.Clone(p.Name)] = p.Labels[labelOf(class)]
		}
	}
	o.ResourceVersion = list.ResourceVersion
	w, err := b.meta.Resource(podsResource).Watch(ctx, o)
	return w, hashes, err
}
