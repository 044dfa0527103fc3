// Package selftest asks a cluster, by server-side dry runs, whether it refuses what it must and admits what it should. Nothing runs.
package selftest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Webhook is the name by which the API server tells that policy-controller refused.
const Webhook = "policy.sigstore.dev"

// excludeLabel on a namespace has its pods admitted unseen, in the opt-out set-up that the documentation describes.
const excludeLabel = "policy.sigstore.dev/exclude"

// Test is what is asked.
type Test struct {
	Client kubernetes.Interface
	// Namespace is one that the policy holds for, and where the account of the test may create pods.
	Namespace string
	// Good is an image that a listed key signed, and Bad one that only another key did. Both name a digest.
	Good, Bad string
	// Settle bounds the time until a policy that was just written is in force: after it no new attempt is begun.
	Settle time.Duration
}

// Failures. ErrOpen is the bad one: images run that must not.
var (
	ErrOpen    = errors.New("an image that no listed key signed would run")
	ErrClosed  = errors.New("an image that a listed key signed would not run")
	ErrUnknown = errors.New("the self-test says nothing")
)

// Run returns nil when both images are treated as they must be.
func (t *Test) Run(ctx context.Context) error {
	for _, image := range []string{t.Good, t.Bad} {
		if !strings.Contains(image, "@sha256:") {
			return fmt.Errorf("%w: the image %s has no digest", ErrUnknown, image)
		}
	}
	for end := time.Now().Add(t.Settle); ; {
		err := errors.Join(t.bad(ctx), t.good(ctx))
		if err == nil || time.Now().Add(again).After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(again):
		}
	}
}

const (
	again = 500 * time.Millisecond // between two attempts
	// answerTime bounds one question. It is more than the API server gives a webhook, so that what it says is heard: an answer that is cut off
	// says nothing, also where images run that must not.
	answerTime = 40 * time.Second
)

func (t *Test) bad(ctx context.Context) error {
	switch err := t.create(ctx, "holdfast-selftest-bad", t.Bad); {
	case err == nil:
		return fmt.Errorf("%w: %s was admitted to the namespace %s. Look whether the webhooks of policy-controller are there and hold for the namespace, which may have the label %s, and whether a ClusterImagePolicy has the mode warn or admits all",
			ErrOpen, t.Bad, t.Namespace, excludeLabel)
	case refused(err):
		return nil
	default:
		return fmt.Errorf("%w: %s was not admitted, but not because of %s: %w", ErrUnknown, t.Bad, Webhook, err)
	}
}

func (t *Test) good(ctx context.Context) error {
	switch err := t.create(ctx, "holdfast-selftest-good", t.Good); {
	case err == nil:
		return nil
	case refused(err):
		return fmt.Errorf("%w: %w", ErrClosed, err)
	default:
		return fmt.Errorf("%w: %s was not admitted, but not because of %s: %w", ErrUnknown, t.Good, Webhook, err)
	}
}

// refused says whether it was policy-controller that refused, by a verdict. That it could not be asked is something else.
func refused(err error) bool {
	text := err.Error()
	return strings.Contains(text, Webhook) && strings.Contains(text, "denied the request") && !apierrors.IsInternalError(err)
}

func (t *Test) create(ctx context.Context, name, image string) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	yes, no := true, false
	user := int64(65534)
	_, err := t.Client.CoreV1().Pods(t.Namespace).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{AutomountServiceAccountToken: &no, Containers: []corev1.Container{{Name: "selftest", Image: image, SecurityContext: &corev1.SecurityContext{
			RunAsNonRoot: &yes, RunAsUser: &user, AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}}}},
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}
