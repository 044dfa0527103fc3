package deliver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/holdfast-telemetry/holdfast/operator/agent"
	"github.com/holdfast-telemetry/holdfast/operator/annotation"
	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

// hasInputs is the key under which the cache keeps that a pod brings raw inputs. It is on no pod.
const hasInputs = annotation.Written + "has-inputs"

// maxInspected bounds the answers that are remembered. Pods of one workload share theirs.
const maxInspected = 10000

// inspected remembers what the agent said of a pod's own part, by its hash; empty means accepted.
type inspected struct {
	mu      sync.Mutex
	answers map[string]string
}

func (i *inspected) get(hash string) (answer string, ok bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	answer, ok = i.answers[hash]
	return answer, ok
}

func (i *inspected) put(hash, answer string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.answers == nil || len(i.answers) >= maxInspected {
		i.answers = map[string]string{}
	}
	i.answers[hash] = answer
}

// setupInspect adds what asks the agent about raw inputs. Admission cannot wait for that; a sidecar that will not start is told about
// here, before its author has to look for its log.
func (c *Controller) setupInspect(m manager.Manager) error {
	if c.Checker == nil {
		return nil
	}
	ctl, err := controller.New("inputs", m, controller.Options{Reconciler: reconcile.Func(c.inspect)})
	if err != nil {
		return err
	}
	brings := func(o client.Object) bool {
		_, ok := o.GetAnnotations()[hasInputs]
		return ok && o.GetLabels()[sidecar.InjectedLabel] == "true"
	}
	return ctl.Watch(source.Kind[client.Object](m.GetCache(), podMeta(), &handler.EnqueueRequestForObject{}, predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool {
			return brings(e.Object) && c.Now().Sub(e.Object.GetCreationTimestamp().Time) < noticeAge
		},
		UpdateFunc: func(e event.UpdateEvent) bool {
			return brings(e.ObjectNew) && e.ObjectOld.GetAnnotations()[sidecar.HashAnnotation] != e.ObjectNew.GetAnnotations()[sidecar.HashAnnotation]
		},
		DeleteFunc: func(event.DeleteEvent) bool { return false },
	}))
}

// inspect asks about one pod, unless the answer is known from another.
func (c *Controller) inspect(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	pod := podMeta()
	if err := c.Cache.Get(ctx, req.NamespacedName, pod); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	hash := pod.Annotations[sidecar.HashAnnotation]
	answer, known := c.inspected.get(hash)
	if !known {
		whole := &corev1.Pod{}
		if err := c.Live.Get(ctx, req.NamespacedName, whole); err != nil {
			return reconcile.Result{}, client.IgnoreNotFound(err)
		}
		var err error
		if answer, err = c.ask(ctx, whole); err != nil {
			return reconcile.Result{}, fmt.Errorf("asking the agent about pod %s: %w", req.NamespacedName, err)
		}
		c.inspected.put(whole.Annotations[sidecar.HashAnnotation], answer)
	}
	if answer != "" {
		Tell(c.Recorder, pod, "RefusedByAgent", answer)
	}
	return reconcile.Result{}, nil
}

// ask returns what Telegraf has against the raw inputs of a pod; empty when nothing.
func (c *Controller) ask(ctx context.Context, pod *corev1.Pod) (string, error) {
	for _, container := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		text, ok := pod.Annotations[sidecar.InputsAnnotation(container.Name)]
		if !ok || len(container.Command) == 0 || container.Command[0] != "telegraf" {
			continue
		}
		err := c.Checker.Check(ctx, []agent.File{{Name: "inputs.conf", Text: []byte(text)}})
		var refusal *agent.Refusal
		var unjudged *agent.Unjudged
		switch {
		case errors.As(err, &unjudged): // nothing is known to be wrong
		case errors.As(err, &refusal):
			return fmt.Sprintf("the agent will not start sidecar %s with the annotation inputs: %s", container.Name, strings.TrimSpace(refusal.Error())), nil
		case err != nil:
			return "", err
		}
	}
	return "", nil
}
