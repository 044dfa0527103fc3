//go:build e2e

package operator_test

import (
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// The agent holdfast in place of Telegraf, by annotation or by class.

// holdfast is the built program. `make e2e` builds it first; HOLDFAST_BIN names another.
func holdfast(t *testing.T) string {
	t.Helper()
	path := os.Getenv("HOLDFAST_BIN")
	if path == "" {
		path = "../../bin/holdfast"
	}
	path, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("the program to test is missing; run make build: %v", err)
	}
	return path
}

// written is what agents write to a database: the line protocol of all requests.
type written struct {
	mu   sync.Mutex
	text strings.Builder
}

func (w *written) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		body = z
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := io.Copy(&w.text, body); err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	rw.WriteHeader(http.StatusNoContent)
}

func (w *written) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// runHoldfast runs the command of a sidecar once, with its files under a folder in place of /.
func runHoldfast(t *testing.T, c created) {
	t.Helper()
	sidecar := c.sidecar(t)
	root := materialised(t, c, sidecar)
	args := []string{"run", "--once"}
	for _, arg := range sidecar.Command[2:] {
		if strings.HasPrefix(arg, "/") {
			arg = filepath.Join(root, arg)
		}
		args = append(args, arg)
	}
	cmd := exec.CommandContext(t.Context(), holdfast(t), args...)
	cmd.Env = variables(t, c, sidecar)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("holdfast %q: %v\n%s", args, err, out)
	}
}

func TestAgentHoldfastByAnnotation(t *testing.T) {
	in := cluster.Namespace(t, nil)
	const agent = "holdfast.dev/agent"
	db := &written{}
	server := httptest.NewServer(db)
	defer server.Close()
	setClass(t, "database", "[[outputs.influxdb_v2]]\n  urls = [\""+server.URL+"\"]\n  token = \"$TOKEN\"\n  organization = \"o\"\n  bucket = \"b\"\n")
	database := func(name string, annotations ...string) *corev1.Pod {
		return annotated(name, append(annotations, agent, "holdfast", "class", "database", "inputs", memory, "env-literal-TOKEN", "t", "global-tag-literal-pod", name)...)
	}
	c := create(t, in, database("empty-dir"))
	has("telegraf", image, "registry.example/holdfast@sha256:"+digest)(t, c)
	has("telegraf", mountedAt("/var/lib/holdfast"), "telegraf-buffer")(t, c)
	for _, v := range c.Spec.Volumes {
		if v.Name == "telegraf-buffer" && v.EmptyDir == nil {
			t.Errorf("the buffer is %+v", v)
		}
	}
	accepted(t, c.Pod)
	runHoldfast(t, c)

	pod := database("own-volume", "holdfast.dev/buffer-volume", "data", "holdfast.dev/buffer-size", "512Mi")
	withVolume("data")(pod)
	c = create(t, in, pod)
	has("telegraf", mountedAt("/var/lib/holdfast"), "data")(t, c)
	if conf := c.conf("telegraf"); !strings.Contains(conf, "[journal]\nmax_bytes = 536870912") {
		t.Errorf("the file is\n%s", conf)
	}
	runHoldfast(t, c)
	for _, name := range []string{"empty-dir", "own-volume"} {
		if all := db.String(); !strings.Contains(all, "mem,") || !strings.Contains(all, "pod="+name) {
			t.Errorf("of pod %s nothing was written: %q", name, all)
		}
	}

	create(t, in, annotated("no-volume", agent, "holdfast", "port", "1", "holdfast.dev/buffer-volume", "data")).bare(t, `the pod has no volume "data" to keep the buffer in`)
	create(t, in, annotated("other", agent, "vector", "port", "1")).bare(t, `"vector" is none of telegraf, holdfast`)
}

// holdfast has no Prometheus input, whose client of Kubernetes is as large as all the rest of it: its file has another that reads the same.
func TestAgentHoldfastScrapesPorts(t *testing.T) {
	in := cluster.Namespace(t, nil)
	db := &written{}
	server := httptest.NewServer(db)
	defer server.Close()
	app := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = rw.Write([]byte("# TYPE pump_level gauge\npump_level{id=\"p1\"} 12.5\n")) // the test's own server
	}))
	defer app.Close()
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(app.URL, "http://"))
	setClass(t, "scraped", "[[outputs.influxdb_v2]]\n  urls = [\""+server.URL+"\"]\n  token = \"t\"\n  organization = \"o\"\n  bucket = \"b\"\n")
	c := create(t, in, annotated("p", "holdfast.dev/agent", "holdfast", "class", "scraped", "port", port, "internal", "true"))
	c.warned(t, "internal is not heeded")
	configuration(t, c.Pod, "telegraf-config") // once the class is delivered
	runHoldfast(t, c)
	if all := db.String(); !strings.Contains(all, "pump_level,") || !strings.Contains(all, "id=p1") || !strings.Contains(all, "gauge=12.5") {
		t.Errorf("what was written: %q", all)
	}
}

func TestAgentHoldfastByClass(t *testing.T) {
	in := cluster.Namespace(t, nil)
	apply(t, classResource("TelegrafClass", in, "durable", out("x"), ", sidecar: {agent: holdfast, buffer: {size: 64Mi}, healthPort: 8888}"))
	awaitText(t, in, "durable", out("x"))
	c := create(t, in, annotated("p", "class", "durable", "inputs", memory))
	has("telegraf", image, "registry.example/holdfast@sha256:"+digest)(t, c)
	has("telegraf", func(c *corev1.Container) string { return c.LivenessProbe.HTTPGet.Path }, "/health")(t, c)
	if conf := c.conf("telegraf"); !strings.Contains(conf, "max_bytes = 67108864") {
		t.Errorf("the file is\n%s", conf)
	}
	// The pod's word counts more: Telegraf, which knows no journal.
	c = create(t, in, annotated("q", "class", "durable", "inputs", memory, "holdfast.dev/agent", "telegraf", "holdfast.dev/health-port", "0"))
	has("telegraf", image, "docker.io/library/telegraf:1.39.1")(t, c)
	accepted(t, c.Pod)
}
