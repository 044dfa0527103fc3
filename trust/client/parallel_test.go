package client_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/client"
	"github.com/holdfast-telemetry/holdfast/trust/endpoint"
)

// answering is an endpoint that answers as a test says, and a client of it that names one image in each request.
func answering(t *testing.T, answer func(image string) (int, endpoint.Answer)) *client.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req endpoint.Request
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil || len(req.Images) != 1 {
			t.Errorf("the request is %+v, %v", req, err)
			return
		}
		status, a := answer(req.Images[0])
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(a)
	}))
	t.Cleanup(server.Close)
	c, err := client.New(server.URL, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Batch = 1
	return c
}

func twenty() (all []string) {
	for i := range 20 {
		all = append(all, fmt.Sprintf("reg.example/app@%d", i))
	}
	return all
}

func TestBatchesAreUnderWayAtOnceAndEachImageIsToldOnce(t *testing.T) {
	var present atomic.Int32
	together := make(chan struct{})
	c := answering(t, func(image string) (int, endpoint.Answer) {
		if present.Add(1) == 4 {
			close(together)
		}
		select { // the first are not answered before there are four
		case <-together:
		case <-time.After(10 * time.Second):
			t.Error("fewer than four requests are under way")
		}
		return http.StatusOK, endpoint.Answer{Request: "r", Results: []endpoint.Result{{Image: image}}}
	})
	told := map[string]int{} // without a lock: one after the other
	if err := c.Sign(t.Context(), endpoint.Request{Images: twenty()}, func(r endpoint.Result) { told[r.Image]++ }); err != nil {
		t.Fatal(err)
	}
	for _, image := range twenty() {
		if told[image] != 1 {
			t.Errorf("%s is told of %d times", image, told[image])
		}
	}
}

func TestABatchThatCannotBeAnsweredEndsTheRest(t *testing.T) {
	var asked atomic.Int32
	c := answering(t, func(string) (int, endpoint.Answer) {
		asked.Add(1)
		return http.StatusForbidden, endpoint.Answer{Request: "r", Error: "not you"}
	})
	err := c.Sign(t.Context(), endpoint.Request{Images: twenty()}, func(endpoint.Result) {})
	if err == nil || !strings.Contains(err.Error(), "not you") {
		t.Errorf("the error is %v", err)
	}
	if n := asked.Load(); n > 8 {
		t.Errorf("%d requests were made after the first was refused", n)
	}
}

func TestAnImageThatCannotBeSignedLeavesTheRest(t *testing.T) {
	c := answering(t, func(image string) (int, endpoint.Answer) {
		r := endpoint.Result{Image: image}
		if strings.HasSuffix(image, "@7") {
			r.Error = "the registry is away"
		}
		return http.StatusOK, endpoint.Answer{Request: "r", Results: []endpoint.Result{r}}
	})
	told := 0
	err := c.Sign(t.Context(), endpoint.Request{Images: twenty()}, func(endpoint.Result) { told++ })
	if err == nil || told != 20 || !strings.Contains(err.Error(), "1 of 20 images were not signed; the first: reg.example/app@7: the registry is away") {
		t.Errorf("%d images were told of: %v", told, err)
	}
}
