//go:build e2e

package operator_test

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/operator"
)

// appPod makes a pod of class app in a namespace; it must get its sidecar.
func appPod(t *testing.T, c *kube.Cluster, namespace, name string) *corev1.Pod {
	t.Helper()
	pod, err := c.Client().CoreV1().Pods(namespace).Create(t.Context(), annotated(name, "class", "app", "port", "8080"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if pod.Labels["sidecar.holdfast.dev/injected"] != "true" {
		t.Fatalf("pod %s has no sidecar: %s", name, pod.Annotations["sidecar.holdfast.dev/status"])
	}
	return pod
}

func TestOperatorGoesOnWhenTheAPIServerWasRestarted(t *testing.T) {
	c := ownCluster(t, 0)
	in := install(t, c, operator.Options{})
	r := in.Replicas[0]
	pid := r.PID()
	ns := c.Namespace(t, nil)
	appPod(t, c, ns, "before")
	deliversAfter(t, c, ns, "before", time.Now())
	for range 2 {
		began := time.Now()
		if err := c.RestartAPIServer(t.Context()); err != nil {
			t.Fatal(err)
		}
		up := time.Now()
		// Its first answers may come before it has read its webhook configurations.
		inject := awaitTime(t, 20*time.Second, "pods were injected again", func(ctx context.Context) error { return injects(ctx, c, ns) })
		deliver := deliversAfter(t, c, ns, "after "+began.String(), time.Now())
		t.Logf("the API server was away for %s; pods were injected %s after it was ready, a change was delivered %s after it was made",
			up.Sub(began).Round(time.Millisecond), inject.Round(time.Millisecond), deliver.Round(time.Millisecond))
		if r.PID() != pid {
			t.Fatal("the operator was ended by that")
		}
	}
	t.Run("AndWhenTheControllersWere", func(t *testing.T) {
		c.StopControllerManager()
		appPod(t, c, ns, "without-controllers")
		deliversAfter(t, c, ns, "without controllers", time.Now())
		if err := c.StartControllerManager(); err != nil {
			t.Fatal(err)
		}
		fresh := c.Namespace(t, nil) // has its service account when the controllers are back
		appPod(t, c, fresh, "after")
		awaitDelivered(t, c, fresh, "app", "without controllers")
	})
}

// A leader that cannot renew its lease must end, since another may lead by then. Its container is started again; meanwhile the others serve.
func TestLongAbsenceOfTheAPIServerEndsTheLeaderOnly(t *testing.T) {
	c := ownCluster(t, 0)
	in := install(t, c, operator.Options{Replicas: 2})
	ns := c.Namespace(t, nil)
	appPod(t, c, ns, "before")
	leader, other := leaderFirst(t, in)
	deliversAfter(t, c, ns, "before", time.Now())
	if err := in.Route(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	pid := other.PID()
	c.StopAPIServer()
	awaitTime(t, 30*time.Second, "the leader ended", func(context.Context) error {
		if leader.PID() != 0 {
			return errors.New("it runs")
		}
		return nil
	})
	if err := c.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	inject := awaitTime(t, 20*time.Second, "pods were injected again", func(ctx context.Context) error { return injects(ctx, c, ns) })
	deliver := deliversAfter(t, c, ns, "after", time.Now())
	t.Logf("pods were injected %s after the API server was ready, a change was delivered %s after it was made", inject.Round(time.Millisecond), deliver.Round(time.Millisecond))
	if other.PID() != pid {
		t.Error("the other replica was ended too")
	}
	// As a kubelet does.
	if err := leader.Start(); err != nil {
		t.Fatal(err)
	}
	awaitTime(t, 20*time.Second, "the first was ready again", leader.Ready)
}
