//go:build unix

package agent_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/holdfast-telemetry/holdfast/operator/agent"
)

type checkerFunc func(context.Context, []agent.File) error

func (f checkerFunc) Check(ctx context.Context, files []agent.File) error { return f(ctx, files) }

// serve serves a checker until the test ends, and returns its socket.
func serve(t *testing.T, checker agent.Checker) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := agent.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- agent.Serve(ctx, l, checker) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	return socket
}

func TestTheAnswerOfACheckerElsewhereIsItsOwn(t *testing.T) {
	files := []agent.File{{Name: "a.conf", Text: []byte("[agent]\n\xff")}, {Name: "b.conf", Text: []byte("")}}
	for _, want := range []error{nil, &agent.Unjudged{Message: "a file is only in the pod"}, &agent.Refusal{File: "a.conf", Line: 3, Message: "no such plugin"}} {
		socket := serve(t, checkerFunc(func(_ context.Context, got []agent.File) error {
			if len(got) != 2 || got[0].Name != "a.conf" || !bytes.Equal(got[0].Text, files[0].Text) {
				t.Errorf("asked about %q", got)
			}
			return want
		}))
		if err := (&agent.Remote{Socket: socket}).Check(t.Context(), files); !reflect.DeepEqual(err, want) {
			t.Errorf("the answer is %v, want %v", err, want)
		}
	}
}

func TestACheckerElsewhereThatCannotAnswerIsNoRefusal(t *testing.T) {
	socket := serve(t, checkerFunc(func(context.Context, []agent.File) error { return errors.New("gave no answer within 20s") }))
	var refusal *agent.Refusal
	err := (&agent.Remote{Socket: socket}).Check(t.Context(), nil)
	if err == nil || errors.As(err, &refusal) || errors.Is(err, agent.ErrUnreachable) || !strings.Contains(err.Error(), "gave no answer within 20s") {
		t.Errorf("the error is %v", err)
	}
	err = (&agent.Remote{Socket: socket + "none"}).Check(t.Context(), nil)
	if !errors.Is(err, agent.ErrUnreachable) {
		t.Errorf("without a server the error is %v", err)
	}
}

func TestChecksElsewhereRunOneAtATime(t *testing.T) {
	var running, most atomic.Int32
	socket := serve(t, checkerFunc(func(context.Context, []agent.File) error {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		for range 1000 {
			_ = fmt.Sprint()
		}
		return nil
	}))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if err := (&agent.Remote{Socket: socket}).Check(t.Context(), nil); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if most.Load() != 1 {
		t.Errorf("%d checks ran at a time", most.Load())
	}
}

func TestTheServerBoundsWhatItReads(t *testing.T) {
	socket := serve(t, checkerFunc(func(context.Context, []agent.File) error { return nil }))
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	defer client.CloseIdleConnections()
	for name, body := range map[string]string{"too large": `{"files":[{"name":"` + strings.Repeat("x", 5<<20) + `"}]}`, "no JSON": "x"} {
		resp, err := client.Post("http://checker/check", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
}

func TestOnlyASocketIsReplaced(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := agent.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = l.Close()
	l, err = agent.Listen(socket)
	if err != nil {
		t.Fatalf("beside a socket that was left: %v", err)
	}
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket is %v, %v", info, err)
	}
	_ = l.Close()
	if err := os.WriteFile(socket, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := agent.Listen(socket); err == nil {
		_ = l.Close()
		t.Error("a file was replaced by a socket")
	}
}
