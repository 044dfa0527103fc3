// Package ui serves the node's web page, which is embedded in the program: the set-up form and what a node says of itself.
// It promises to work without any other server and loads nothing from elsewhere. All it shows comes from the HTTP API.
package ui

import (
	"embed"
	"io/fs"
	"net/http"
)

//go:embed static
var static embed.FS

// policy lets the page load nothing but what this server sends, and lets nobody frame it: the set-up form shows a token.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// Pages serves the page at / and /setup, and its files under /ui/. Other paths are not found.
func Pages() http.Handler {
	files, err := fs.Sub(static, "static")
	if err != nil {
		panic(err) // the folder is compiled in
	}
	assets := http.StripPrefix("/ui/", http.FileServerFS(files))
	page := func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, files, "page.html")
	}
	mux := http.NewServeMux()
	mux.Handle("GET /ui/", secure(assets.ServeHTTP))
	mux.Handle("GET /{$}", secure(page))
	mux.Handle("GET /setup", secure(page))
	return mux
}

func secure(serve http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		serve(w, r)
	})
}
