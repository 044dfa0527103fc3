package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"time"
)

// Listen makes the unix socket of Serve, which the socket's user and group can use: the containers of a pod that share a volume share its
// group. A socket that an earlier process left is replaced; anything else in its place is an error.
func Listen(socket string) (net.Listener, error) {
	switch info, err := os.Lstat(socket); {
	case err == nil && info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is there and is not a socket", socket)
	case err == nil:
		if err := os.Remove(socket); err != nil {
			return nil, fmt.Errorf("replace the socket: %w", err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(socket, 0o660); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Serve answers checks on the listener, one at a time, until ctx ends; checks that run then are given up. It closes the listener.
func Serve(ctx context.Context, l net.Listener, checker Checker) error {
	server := &http.Server{
		Handler:           handler(checker),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second,
		MaxHeaderBytes: 16 << 10,
		BaseContext:    func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve checks: %w", err)
	}
	return nil
}

func handler(checker Checker) http.Handler {
	turn := make(chan struct{}, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("POST /check", func(w http.ResponseWriter, r *http.Request) {
		var asked request
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&asked); err != nil {
			respond(w, http.StatusBadRequest, answer{Message: "read the request: " + err.Error()})
			return
		}
		// The agent's memory is counted in hundreds of MiB: two at a time could be one too many.
		select {
		case turn <- struct{}{}:
			defer func() { <-turn }()
		case <-r.Context().Done():
			return
		}
		err := checker.Check(r.Context(), asked.Files)
		var refusal *Refusal
		var unjudged *Unjudged
		switch {
		case err == nil:
			respond(w, http.StatusOK, answer{})
		case errors.As(err, &unjudged):
			respond(w, http.StatusAccepted, answer{Message: unjudged.Message})
		case errors.As(err, &refusal):
			respond(w, http.StatusUnprocessableEntity, answer{refusal.File, refusal.Line, refusal.Message})
		default:
			respond(w, http.StatusServiceUnavailable, answer{Message: err.Error()})
		}
	})
	return mux
}

func respond(w http.ResponseWriter, status int, a answer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(a) // whoever asked is gone
}
