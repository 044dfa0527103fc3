package api

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/holdfast-telemetry/holdfast/node/catalog"
)

func (h *Handler) health(w http.ResponseWriter, r *request) error {
	type check struct {
		Name    string `json:"name"`
		Status  string `json:"status"`
		Message string `json:"message"`
	}
	status, message, code, checks := "pass", "ready for queries and writes", http.StatusOK, []check{}
	if err := h.Engine.Health(); err != nil {
		status, message, code = "fail", err.Error(), http.StatusServiceUnavailable
		checks = append(checks, check{"storage", status, message})
	}
	h.reply(w, r.Request, code, map[string]any{"name": "influxdb", "message": message, "status": status, "checks": checks,
		"version": versionName(h.Version), "commit": h.Commit})
	return nil
}

func (h *Handler) ready(w http.ResponseWriter, r *request) error {
	h.reply(w, r.Request, http.StatusOK, map[string]any{"status": "ready", "started": h.started.UTC().Format(time.RFC3339Nano),
		"up": h.Now().Sub(h.started).Round(time.Millisecond).String()})
	return nil
}

func (h *Handler) ping(w http.ResponseWriter, _ *request) error {
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// metricsPage serves the registry in Prometheus' text format.
func (h *Handler) metricsPage(w http.ResponseWriter, r *request) error {
	if h.Registry == nil {
		return failf(catalog.Forbidden, "metrics are disabled")
	}
	promhttp.HandlerFor(h.Registry, promhttp.HandlerOpts{}).ServeHTTP(w, r.Request)
	return nil
}

// index lists where things are.
func (h *Handler) index(w http.ResponseWriter, r *request) error {
	const root = "/api/v2"
	all := map[string]any{
		"query":  links{"self": root + "/query", "ast": root + "/query/ast", "analyze": root + "/query/analyze", "suggestions": root + "/query/suggestions"},
		"system": links{"metrics": "/metrics", "debug": "/debug/pprof", "health": "/health"},
	}
	for _, name := range []string{"authorizations", "buckets", "config", "dbrps", "delete", "me", "orgs", "remotes", "replications", "resources", "setup",
		"signin", "signout", "users", "write"} {
		all[name] = root + "/" + name
	}
	h.reply(w, r.Request, http.StatusOK, all)
	return nil
}

// config is for operators.
func (h *Handler) config(w http.ResponseWriter, r *request) error {
	if err := r.allow(catalog.Read, catalog.InstanceType, 0, 0); err != nil {
		return err
	}
	config := map[string]any{}
	if h.Config != nil {
		config = h.Config()
	}
	h.reply(w, r.Request, http.StatusOK, map[string]any{"config": config})
	return nil
}

func (h *Handler) resources(w http.ResponseWriter, r *request) error {
	h.reply(w, r.Request, http.StatusOK, catalog.ResourceTypes())
	return nil
}
