package class

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
)

// Usage is how many pods and namespaces use a class.
type Usage struct {
	// Namespaces that the text is delivered to, Pods that have a sidecar of the class, CurrentPods of them that have the text in use.
	Namespaces, Pods, CurrentPods int32
}

// Recorder is what the Reporter needs of client-go's record.EventRecorder.
type Recorder interface {
	Event(object runtime.Object, eventtype, reason, message string)
}

// Reporter tells authors of classes what became of them: on the status of resources, and by events. Only one replica runs it: the leader.
type Reporter struct {
	Registry *Registry
	// Client reads resources, from a cache if it likes, and writes their status.
	Client client.Client
	Events Recorder
	// ClassesObject is what events about classes that are no resource are attached to, such as the Secret of classes; without it there
	// are none.
	ClassesObject *corev1.ObjectReference
	Logger        *slog.Logger
	// Interval is the least time between two writes to one resource; Retry that after a failed one.
	Interval, Retry time.Duration

	mu    sync.Mutex
	usage map[Key]Usage
	due   map[Key]time.Time // classes to look at, and when

	poke  chan struct{}
	last  map[Key]time.Time // of the last write; of the goroutine of Run alone, as is told
	told  map[Key]Verdict   // what events about classes that are no resource said last
	start bool              // the first round: nothing is news yet
}

// NewReporter returns a reporter that writes to one resource at most every 3 s.
func NewReporter(registry *Registry, c client.Client, events Recorder, logger *slog.Logger) *Reporter {
	return &Reporter{
		Registry: registry, Client: c, Events: events, Logger: logger, Interval: 3 * time.Second, Retry: 15 * time.Second,
		usage: map[Key]Usage{}, due: map[Key]time.Time{}, poke: make(chan struct{}, 1), last: map[Key]time.Time{}, told: map[Key]Verdict{},
	}
}

// SetUsage sets the numbers on the status of a class. It may be called by any replica, at any rate; those of classes that are no resource
// are not kept.
func (r *Reporter) SetUsage(key Key, u Usage) {
	if key.Kind != KindTelegrafClass && key.Kind != KindClusterTelegrafClass {
		return
	}
	r.mu.Lock()
	before, known := r.usage[key]
	r.usage[key] = u
	r.mu.Unlock()
	if !known || before != u {
		r.look(time.Now(), key)
	}
}

// look has the classes looked at, at that time at the latest.
func (r *Reporter) look(at time.Time, keys ...Key) {
	r.mu.Lock()
	for _, key := range keys {
		if due, waits := r.due[key]; !waits || at.Before(due) {
			r.due[key] = at
		}
	}
	r.mu.Unlock()
	select {
	case r.poke <- struct{}{}:
	default:
	}
}

// Run reports every verdict that there is, and then every change, until ctx ends.
func (r *Reporter) Run(ctx context.Context) error {
	defer r.Registry.Subscribe(func(keys []Key) { r.look(time.Now(), keys...) })()
	select {
	case <-ctx.Done():
		return nil
	case <-r.Registry.Synced():
	}
	r.start = true
	for _, v := range r.Registry.Verdicts() {
		r.look(time.Now(), v.Key)
	}
	for ctx.Err() == nil {
		wait := time.NewTimer(r.round(ctx))
		r.start = false
		select {
		case <-ctx.Done():
		case <-r.poke:
		case <-wait.C:
		}
		wait.Stop()
	}
	return nil
}

// round looks at the classes that are due, and returns the time until the next is.
func (r *Reporter) round(ctx context.Context) time.Duration {
	now, wait := time.Now(), time.Hour
	var keys []Key
	r.mu.Lock()
	for key, at := range r.due {
		if allowed := r.last[key].Add(r.Interval); allowed.After(at) {
			at = allowed
		}
		if at.After(now) {
			wait = min(wait, at.Sub(now))
			continue
		}
		keys = append(keys, key)
		delete(r.due, key)
	}
	r.mu.Unlock()
	for _, key := range keys {
		if err := r.report(ctx, key); err != nil && ctx.Err() == nil {
			r.Logger.Error("the status of a class could not be written", "class", key.String(), "error", err)
			r.look(now.Add(r.Retry), key)
		}
	}
	return wait
}

func (r *Reporter) report(ctx context.Context, key Key) error {
	verdict, present := r.Registry.Verdict(key)
	if !present {
		r.mu.Lock()
		delete(r.usage, key)
		r.mu.Unlock()
		delete(r.last, key)
		delete(r.told, key)
		return nil
	}
	switch key.Kind {
	case KindTelegrafClass:
		object := &v1alpha1.TelegrafClass{}
		return r.write(ctx, key, verdict, object, &object.Status)
	case KindClusterTelegrafClass:
		object := &v1alpha1.ClusterTelegrafClass{}
		return r.write(ctx, key, verdict, object, &object.Status)
	}
	r.tell(key, verdict)
	return nil
}

// tell makes an event about a class that is no resource, unless the last one said the same. When the reporter starts, a class in use is
// no news; one that is refused is said again.
func (r *Reporter) tell(key Key, verdict Verdict) {
	before, known := r.told[key]
	if verdict.Reason == ReasonChecking || known && before.Reason == verdict.Reason && before.Hash == verdict.Hash && before.Message == verdict.Message {
		return
	}
	r.told[key] = verdict
	if r.ClassesObject == nil || verdict.Valid && r.start {
		return
	}
	r.event(r.ClassesObject, verdict, "class "+key.Name+": "+sentence(verdict))
}

// write brings the status of a resource up to date, and makes an event if its condition changed.
func (r *Reporter) write(ctx context.Context, key Key, verdict Verdict, object client.Object, status *v1alpha1.ClassStatus) error {
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: key.Namespace, Name: key.Name}, object)
	if apierrors.IsNotFound(err) {
		return nil // the source will say so
	}
	if err != nil {
		return err
	}
	if verdict.Object != nil && object.GetUID() != verdict.Object.UID {
		return nil // it was made anew, and the verdict on this one comes
	}
	before := object.DeepCopyObject().(client.Object)
	old := status.DeepCopy()
	r.mu.Lock()
	if u, known := r.usage[key]; known {
		status.Namespaces, status.Pods, status.CurrentPods = u.Namespaces, u.Pods, u.CurrentPods
	}
	r.mu.Unlock()
	status.Hash = verdict.InUse
	news := false
	if verdict.Reason != ReasonChecking {
		status.ObservedGeneration = verdict.Generation
		condition := metav1.Condition{Type: v1alpha1.ConditionValid, Status: metav1.ConditionFalse, Reason: string(verdict.Reason), Message: sentence(verdict), ObservedGeneration: verdict.Generation}
		if verdict.Valid {
			condition.Status = metav1.ConditionTrue
		}
		was := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionValid)
		news = was == nil || was.Status != condition.Status || was.Reason != condition.Reason || was.Message != condition.Message
		meta.SetStatusCondition(&status.Conditions, condition)
	}
	if equality.Semantic.DeepEqual(old, status) {
		return nil
	}
	if err := r.Client.Status().Patch(ctx, object, client.MergeFrom(before), client.FieldOwner(fieldOwner)); err != nil {
		return client.IgnoreNotFound(err)
	}
	r.last[key] = time.Now()
	if news {
		r.event(verdict.Object, verdict, sentence(verdict))
	}
	return nil
}

func (r *Reporter) event(object *corev1.ObjectReference, verdict Verdict, message string) {
	if r.Events == nil || object == nil {
		return
	}
	kind := corev1.EventTypeNormal
	if !verdict.Valid || verdict.Reason == ReasonNotChecked {
		kind = corev1.EventTypeWarning
	}
	if len(message) > 1000 { // the API server's limit is 1024
		message = message[:1000] + "…"
	}
	r.Events.Event(object, kind, string(verdict.Reason), message)
}

// sentence is a verdict for the author.
func sentence(v Verdict) string {
	text := v.Message
	switch {
	case !v.Valid && v.InUse != "":
		text += fmt.Sprintf("; the last good text %s stays in use", v.InUse)
	case !v.Valid:
		text += "; there is no good text yet"
	case text == "" && v.CheckedBy == CheckedByAgent:
		text = fmt.Sprintf("the text %s is in use; the agent accepts it", v.Hash)
	case text == "":
		text = fmt.Sprintf("the text %s is in use; it passed the built-in check", v.Hash)
	default:
		text = fmt.Sprintf("the text %s is in use; %s", v.Hash, text)
	}
	if v.Warning != "" {
		text += "; " + v.Warning
	}
	return text
}
