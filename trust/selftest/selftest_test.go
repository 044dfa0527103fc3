package selftest_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"

	"github.com/holdfast-telemetry/holdfast/trust/selftest"
)

var (
	good, bad = "reg.example/selftest@sha256:" + strings.Repeat("a", 64), "reg.example/selftest@sha256:" + strings.Repeat("b", 64)
	verdict   = apierrors.NewBadRequest(`admission webhook "policy.sigstore.dev" denied the request: validation failed: failed policy: holdfast`)
	other     = apierrors.NewForbidden(corev1.Resource("pods"), "p", errors.New(`violates PodSecurity "restricted:latest"`))
	away      = apierrors.NewInternalError(errors.New(`failed calling webhook "policy.sigstore.dev": context deadline exceeded`))
)

// run asks an API server that answers so for each image; the answers after the first may differ.
func run(t *testing.T, answers map[string][]error) error {
	t.Helper()
	client := fake.NewClientset()
	asked := map[string]int{}
	client.PrependReactor("create", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
		pod := a.(clienttesting.CreateAction).GetObject().(*corev1.Pod)
		image := pod.Spec.Containers[0].Image
		all := answers[image]
		n := min(asked[image], len(all)-1)
		asked[image]++
		return true, pod, all[n]
	})
	return (&selftest.Test{Client: client, Namespace: "n", Good: good, Bad: bad, Settle: 700 * time.Millisecond}).Run(t.Context())
}

func TestItIsSaidWhichQuestionIsAnsweredWrong(t *testing.T) {
	for name, c := range map[string]struct {
		good, bad []error
		want      []error
	}{
		"as it must be":            {[]error{nil}, []error{verdict}, nil},
		"in force a moment later":  {[]error{verdict, nil}, []error{nil, verdict}, nil},
		"everything runs":          {[]error{nil}, []error{nil}, []error{selftest.ErrOpen}},
		"nothing runs":             {[]error{verdict}, []error{verdict}, []error{selftest.ErrClosed}},
		"both wrong":               {[]error{verdict}, []error{nil}, []error{selftest.ErrOpen, selftest.ErrClosed}},
		"somebody else refuses":    {[]error{nil}, []error{other}, []error{selftest.ErrUnknown}},
		"the webhook is away":      {[]error{away}, []error{away}, []error{selftest.ErrUnknown}},
		"another refuses the good": {[]error{other}, []error{verdict}, []error{selftest.ErrUnknown}},
	} {
		err := run(t, map[string][]error{good: c.good, bad: c.bad})
		if (err == nil) != (len(c.want) == 0) {
			t.Errorf("%s: %v", name, err)
		}
		for _, want := range c.want {
			if !errors.Is(err, want) {
				t.Errorf("%s: %v, and not %v", name, err, want)
			}
		}
	}
}

func TestAnAnswerIsHeardHoweverLongItTakes(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(200 * time.Millisecond)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p"}}`)
	}))
	defer server.Close()
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	err = (&selftest.Test{Client: client, Namespace: "n", Good: good, Bad: bad, Settle: 50 * time.Millisecond}).Run(t.Context())
	if !errors.Is(err, selftest.ErrOpen) || errors.Is(err, selftest.ErrUnknown) {
		t.Errorf("everything runs, slowly: %v", err)
	}
}

func TestAnImageWithoutADigestTellsNothing(t *testing.T) {
	if err := (&selftest.Test{Good: "reg.example/selftest:good", Bad: bad}).Run(t.Context()); !errors.Is(err, selftest.ErrUnknown) {
		t.Error(fmt.Errorf("a tag: %w", err))
	}
}
