//go:build e2e

package operator_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/operator"
	"github.com/holdfast-telemetry/holdfast/e2e/peer"
)

// awaitDelivered returns how long it took until a namespace's Secret had a class with these words.
func awaitDelivered(t *testing.T, c *kube.Cluster, namespace, class, words string) time.Duration {
	t.Helper()
	return awaitTime(t, 30*time.Second, "class "+class+" was delivered with "+words, func(ctx context.Context) error {
		s, err := c.Client().CoreV1().Secrets(namespace).Get(ctx, "holdfast-classes", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if text := string(s.Data[class+".conf"]); !strings.Contains(text, words) {
			return fmt.Errorf("the Secret has %q", text)
		}
		return nil
	})
}

// agent is the program of a sidecar, run as its kubelet would run it: with its command and its environment, over its volumes.
type agent struct {
	cluster   *kube.Cluster
	pod       *corev1.Pod
	container *corev1.Container
	root      string // where the container's mounts are
	program   string
	cmd       *exec.Cmd
	ended     chan struct{}

	mu  sync.Mutex
	out strings.Builder
}

// newAgent makes the folders of a pod's first sidecar. The program is the agent's.
func newAgent(t *testing.T, c *kube.Cluster, pod *corev1.Pod, program string) *agent {
	t.Helper()
	a := &agent{cluster: c, pod: pod, container: created{Pod: pod}.sidecar(t), root: t.TempDir(), program: program}
	for _, m := range a.container.VolumeMounts {
		if err := os.MkdirAll(a.dir(m.MountPath), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func (a *agent) dir(mount string) string { return filepath.Join(a.root, filepath.FromSlash(mount)) }

// refresh does what a kubelet does when it looks at a pod's volumes again.
func (a *agent) refresh(t *testing.T) {
	t.Helper()
	if pod, err := a.cluster.Client().CoreV1().Pods(a.pod.Namespace).Get(t.Context(), a.pod.Name, metav1.GetOptions{}); err == nil {
		a.pod = pod
	}
	for _, m := range a.container.VolumeMounts {
		if strings.HasPrefix(m.Name, "kube-api-access") {
			continue // the API server mounts the service account's token everywhere
		}
		if err := a.cluster.Materialise(t.Context(), a.pod, m.Name, a.dir(m.MountPath)); err != nil {
			t.Fatal(err)
		}
	}
}

// start runs the program until the test ends.
func (a *agent) start(t *testing.T) {
	t.Helper()
	args := append([]string(nil), a.container.Command[1:]...)
	for i := range args {
		for _, m := range a.container.VolumeMounts {
			if args[i] == m.MountPath || strings.HasPrefix(args[i], m.MountPath+"/") {
				args[i] = a.dir(args[i])
				break
			}
		}
	}
	a.cmd = exec.Command(a.program, args...)
	a.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + a.root, "HOSTNAME=" + a.pod.Name}, a.environ(t)...)
	a.cmd.Dir, a.cmd.Stdout, a.cmd.Stderr = a.root, a, a
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	a.ended = make(chan struct{})
	go func() {
		_ = a.cmd.Wait() // how it ended is in its log
		close(a.ended)
	}()
	t.Cleanup(func() {
		a.stop()
		if t.Failed() {
			t.Logf("the agent wrote:\n%s", tail(a.log(), 6000))
		}
	})
}

func (a *agent) environ(t *testing.T) (env []string) {
	t.Helper()
	for _, v := range a.container.Env {
		value := v.Value
		if v.ValueFrom != nil {
			fields := map[string]string{"spec.nodeName": "node", "metadata.name": a.pod.Name, "metadata.namespace": a.pod.Namespace}
			if v.ValueFrom.FieldRef == nil || fields[v.ValueFrom.FieldRef.FieldPath] == "" {
				t.Fatalf("the variable %s has a source that this test does not know", v.Name)
			}
			value = fields[v.ValueFrom.FieldRef.FieldPath]
		}
		env = append(env, v.Name+"="+value)
	}
	return env
}

func (a *agent) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.out.Write(p)
}

func (a *agent) log() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.out.String()
}

// running is an error once the program has ended.
func (a *agent) running() error {
	select {
	case <-a.ended:
		return fmt.Errorf("the agent ended: %s", a.cmd.ProcessState)
	default:
		return nil
	}
}

// stop asks the program to end, and waits until it has.
func (a *agent) stop() {
	if a.ended == nil || a.running() != nil {
		return
	}
	_ = a.cmd.Process.Signal(os.Interrupt) // it may have ended just now
	select {
	case <-a.ended:
	case <-time.After(10 * time.Second):
		_ = a.cmd.Process.Kill() // it may have ended just now
		<-a.ended
	}
}

// awaitFile returns how long it took until the agent had written words into a file.
func (a *agent) awaitFile(t *testing.T, file, words string, within time.Duration) time.Duration {
	t.Helper()
	return awaitTime(t, within, "the agent wrote "+words, func(context.Context) error {
		text, err := os.ReadFile(file)
		if err == nil && !strings.Contains(string(text), words) {
			err = errors.New("what it wrote ends in " + tail(string(text), 200))
		}
		return errors.Join(err, a.running())
	})
}

// versioned is a class that writes into a file, each point with the version of the class.
func versioned(file string, version int) *string {
	text := fmt.Sprintf(`[agent]
  interval = "200ms"
  flush_interval = "200ms"
[[outputs.file]]
  files = [%q]
[global_tags]
  version = "v%d"
`, file, version)
	return &text
}

const refreshes = 20

func TestRunningTelegrafTakesEveryChangeOfItsClass(t *testing.T) {
	for _, watch := range []string{"notify", "poll"} {
		t.Run(watch, func(t *testing.T) {
			ns := cluster.Namespace(t, nil)
			file := filepath.Join(t.TempDir(), "points")
			class := "versioned-" + watch
			putClass(t, class, versioned(file, 0))
			t.Cleanup(func() { putClass(t, class, nil) })
			pod := awaitInjected(t, ns, annotated("app", "class", class, "inputs", "[[inputs.mem]]\n", "holdfast.dev/watch-config", watch))
			awaitDelivered(t, cluster, ns, class, `"v0"`)
			a := newAgent(t, cluster, pod.Pod, telegrafPath(t))
			a.refresh(t)
			a.start(t)
			a.awaitFile(t, file, "version=v0", 20*time.Second)
			var delivery, reload times
			for n := 1; n <= refreshes; n++ {
				putClass(t, class, versioned(file, n))
				delivery.add(awaitDelivered(t, cluster, ns, class, fmt.Sprintf(`"v%d"`, n)))
				a.refresh(t)
				reload.add(a.awaitFile(t, file, fmt.Sprintf("version=v%d", n), 20*time.Second))
			}
			t.Logf("%d changes: class changed to delivered %s; files changed to first point with the new tag %s", refreshes, delivery, reload)
		})
	}
}

// times are measured durations.
type times []time.Duration

func (d *times) add(t time.Duration) { *d = append(*d, t) }

func (d times) String() string {
	var sum, most time.Duration
	for _, t := range d {
		sum, most = sum+t, max(most, t)
	}
	return fmt.Sprintf("%s on average, %s at most", (sum / time.Duration(max(len(d), 1))).Round(time.Millisecond), most.Round(time.Millisecond))
}

// awaitInjected creates a pod once it would get a sidecar: its class is being checked until then.
func awaitInjected(t *testing.T, namespace string, pod *corev1.Pod) created {
	t.Helper()
	awaitTime(t, 20*time.Second, "the pod would get a sidecar", func(context.Context) error {
		trial, err := tryCreate(t, namespace, pod, metav1.DryRunAll)
		if err == nil && trial.Labels["sidecar.holdfast.dev/injected"] != "true" {
			err = errors.New(trial.Annotations["sidecar.holdfast.dev/status"])
		}
		return err
	})
	return create(t, namespace, pod)
}

func TestTelegrafStartsBeforeItsClassIsThere(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	file := filepath.Join(t.TempDir(), "points")
	putClass(t, "late", versioned(file, 1))
	t.Cleanup(func() { putClass(t, "late", nil) })
	pod := annotated("app", "class", "late", "inputs", "[[inputs.mem]]\n")
	awaitTime(t, 20*time.Second, "the pod would get a sidecar", func(context.Context) error {
		trial, err := tryCreate(t, ns, pod, metav1.DryRunAll)
		if err == nil && trial.Labels["sidecar.holdfast.dev/injected"] != "true" {
			err = errors.New(trial.Annotations["sidecar.holdfast.dev/status"])
		}
		return err
	})
	// Of a dry run no pod remains, so nothing is delivered.
	trial := create(t, ns, pod, metav1.DryRunAll)
	a := newAgent(t, cluster, trial.Pod, telegrafPath(t))
	a.refresh(t)
	a.start(t)
	awaitTime(t, 20*time.Second, "Telegraf loaded its configuration", func(context.Context) error {
		if !strings.Contains(a.log(), "Loaded inputs") {
			return errors.Join(errors.New("it has not"), a.running())
		}
		return nil
	})
	time.Sleep(3 * time.Second) // a program that has no output would have ended by now
	if err := a.running(); err != nil {
		t.Fatal(err)
	}
	create(t, ns, pod)
	awaitDelivered(t, cluster, ns, "late", `"v1"`)
	a.refresh(t)
	t.Logf("first point %s after the class's file appeared", a.awaitFile(t, file, "version=v1", 20*time.Second).Round(time.Millisecond))
}

func TestBadTextNeverReachesARunningTelegraf(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	file := filepath.Join(t.TempDir(), "points")
	putClass(t, "spoilt", versioned(file, 1))
	t.Cleanup(func() { putClass(t, "spoilt", nil) })
	pod := awaitInjected(t, ns, annotated("app", "class", "spoilt", "inputs", "[[inputs.mem]]\n"))
	awaitDelivered(t, cluster, ns, "spoilt", `"v1"`)
	a := newAgent(t, cluster, pod.Pod, telegrafPath(t))
	a.refresh(t)
	a.start(t)
	a.awaitFile(t, file, "version=v1", 20*time.Second)
	for name, bad := range map[string]string{
		"not TOML":         "[[outputs.file]\n",
		"no such plugin":   "[[outputs.flie]]\n",
		"no such option":   "[[outputs.file]]\n  fiels = [\"stdout\"]\n",
		"a value not fit":  "[[outputs.file]]\n  files = 5\n",
		"agent's bad time": "[agent]\n  interval = \"soon\"\n",
	} {
		t.Run(name, func(t *testing.T) {
			putClass(t, "spoilt", &bad)
			awaitTime(t, 20*time.Second, "the class was refused", func(ctx context.Context) error {
				n, err := seriesOf(ctx, installed.Replicas[0], `holdfast_operator_classes{valid="false"}`)
				if err == nil && n == 0 {
					err = errors.New("no class is refused")
				}
				return err
			})
			time.Sleep(time.Second) // longer than a good one takes from there
			s, err := cluster.Client().CoreV1().Secrets(ns).Get(t.Context(), "holdfast-classes", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if text := string(s.Data["spoilt.conf"]); !strings.Contains(text, `"v1"`) {
				t.Errorf("a bad text was delivered: %q", text)
			}
			again := versioned(file, 1)
			putClass(t, "spoilt", again)
			awaitTime(t, 20*time.Second, "the class was good again", func(ctx context.Context) error {
				n, err := seriesOf(ctx, installed.Replicas[0], `holdfast_operator_classes{valid="false"}`)
				if err == nil && n != 0 {
					err = errors.New("a class is refused")
				}
				return err
			})
		})
	}
	putClass(t, "spoilt", versioned(file, 2))
	awaitDelivered(t, cluster, ns, "spoilt", `"v2"`)
	a.refresh(t)
	a.awaitFile(t, file, "version=v2", 20*time.Second)
}

// A kubelet on a busy node takes its time between the steps of a refresh; in each pause the agent may look.
func TestTelegrafTakesTheChangesThatASlowKubeletWrites(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	file := filepath.Join(t.TempDir(), "points")
	putClass(t, "slowly", versioned(file, 0))
	t.Cleanup(func() { putClass(t, "slowly", nil) })
	pod := awaitInjected(t, ns, annotated("app", "class", "slowly", "inputs", "[[inputs.mem]]\n"))
	awaitDelivered(t, cluster, ns, "slowly", `"v0"`)
	a := newAgent(t, cluster, pod.Pod, telegrafPath(t))
	a.refresh(t)
	a.start(t)
	a.awaitFile(t, file, "version=v0", 20*time.Second)
	var reload times
	for n := 1; n <= refreshes; n++ {
		writeSlowly(t, a.dir("/etc/telegraf"), "class-00-slowly.conf", *versioned(file, n), time.Duration(n*3)*time.Millisecond)
		reload.add(a.awaitFile(t, file, fmt.Sprintf("version=v%d", n), 20*time.Second))
	}
	t.Logf("%d changes: written to first point with the new tag %s", refreshes, reload)
}

// writeSlowly replaces one file of a volume as kube.WriteVolume does, with pauses between the steps.
func writeSlowly(t *testing.T, dir, name, text string, pause time.Duration) {
	t.Helper()
	old, err := os.Readlink(filepath.Join(dir, "..data"))
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp(dir, "..2026_01_01_00_00_00.")
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(pause)
	err = errors.Join(os.Chmod(folder, 0o755), os.CopyFS(folder, os.DirFS(filepath.Join(dir, old))), os.Remove(filepath.Join(folder, name)),
		os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644))
	time.Sleep(pause)
	link := filepath.Join(dir, "..data_tmp")
	err = errors.Join(err, os.Symlink(filepath.Base(folder), link), os.Rename(link, filepath.Join(dir, "..data")))
	time.Sleep(pause)
	if err = errors.Join(err, os.RemoveAll(filepath.Join(dir, old))); err != nil {
		t.Fatal(err)
	}
}

// central takes what agents write, while it is open.
type central struct {
	written
	addr   string
	server *http.Server
}

// open serves until the test ends.
func (c *central) open(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", c.addr)
	if err != nil {
		t.Fatal(err)
	}
	c.server = &http.Server{Handler: c}
	var serving sync.WaitGroup
	serving.Go(func() { _ = c.server.Serve(listener) }) // until it is closed
	t.Cleanup(func() {
		_ = c.server.Close() // nothing is kept
		serving.Wait()
	})
}

// awaitReceived returns how long it took until an agent had sent words.
func (c *central) awaitReceived(t *testing.T, a *agent, words string) time.Duration {
	t.Helper()
	return awaitTime(t, 40*time.Second, words+" was received", func(context.Context) error {
		if !strings.Contains(c.String(), words) {
			return errors.Join(errors.New("received so far: "+tail(c.String(), 200)), a.running())
		}
		return nil
	})
}

// buffered is a class of the agent holdfast that sends to an address.
func buffered(addr string, version int, watch string) string {
	return fmt.Sprintf(`
apiVersion: holdfast.dev/v1alpha1
kind: ClusterTelegrafClass
metadata:
  name: buffered
spec:
  sidecar:
    agent: holdfast
    watchConfig: %s
  config: |
    [agent]
      interval = "200ms"
      flush_interval = "200ms"
    [[outputs.influxdb_v2]]
      urls = ["http://%s"]
      token = "t"
      organization = "o"
      bucket = "b"
    [global_tags]
      version = "v%d"
`, watch, addr, version)
}

func TestHoldfastSidecarSendsWhatItKeptAndFollowsItsClass(t *testing.T) {
	c := ownCluster(t, 0)
	install(t, c, operator.Options{Args: []string{"--holdfast-image=registry.example/holdfast@sha256:" + digest, "--holdfast-checker=" + holdfast(t)}})
	apply := func(text string) {
		t.Helper()
		if out, err := c.Apply(t.Context(), text); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	for _, watch := range []string{"notify", "poll"} {
		t.Run(watch, func(t *testing.T) {
			addrs, err := peer.FreeAddrs(1)
			if err != nil {
				t.Fatal(err)
			}
			far := &central{addr: addrs[0]}
			ns := c.Namespace(t, nil)
			apply(buffered(far.addr, 0, watch))
			pod := annotated("app", "class", "buffered", "inputs", "[[inputs.mem]]\n")
			awaitTime(t, 20*time.Second, "the pod would get this sidecar", func(ctx context.Context) error {
				trial, err := c.Client().CoreV1().Pods(ns).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
				if err != nil {
					return err
				}
				found, _ := created{Pod: trial}.container("telegraf")
				if found == nil || found.Command[len(found.Command)-1] != watch {
					return fmt.Errorf("it would get %v: %s", found, trial.Annotations["sidecar.holdfast.dev/status"])
				}
				return nil
			})
			made, err := c.Client().CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			awaitDelivered(t, c, ns, "buffered", `"v0"`)
			a := newAgent(t, c, made, holdfast(t))
			a.refresh(t)
			a.start(t)
			time.Sleep(3 * time.Second)
			if err := a.running(); err != nil {
				t.Fatal(err)
			}
			if journals, err := filepath.Glob(filepath.Join(a.dir("/var/lib/holdfast"), "telegraf", "journal", "*", "*")); err != nil || len(journals) == 0 {
				t.Errorf("nothing is kept in the buffer's volume: %v", err)
			}
			back := time.Now()
			far.open(t)
			sent := far.awaitReceived(t, a, "version=v0")
			// Points from before the server was there.
			first := strings.TrimSpace(strings.SplitN(far.String(), "\n", 2)[0])
			stamp, err := strconv.ParseInt(first[strings.LastIndex(first, " ")+1:], 10, 64)
			if err != nil || !time.Unix(0, stamp).Before(back.Add(-time.Second)) {
				t.Errorf("the first point is not from the outage: %s, %v", first, err)
			}
			var reload times
			for n := 1; n <= 5; n++ {
				apply(buffered(far.addr, n, watch))
				awaitDelivered(t, c, ns, "buffered", fmt.Sprintf(`"v%d"`, n))
				a.refresh(t)
				reload.add(far.awaitReceived(t, a, fmt.Sprintf("version=v%d", n)))
			}
			t.Logf("what was kept was sent %s after the server was back; files changed to first point with the new tag %s", sent.Round(time.Millisecond), reload)
		})
	}
	t.Run("ItsCheckerRefusesWhatItDoesNotHave", func(t *testing.T) {
		apply(strings.ReplaceAll(strings.ReplaceAll(buffered("127.0.0.1:1", 0, "poll"), "outputs.influxdb_v2", "inputs.nginx_plus"), "name: buffered", "name: foreign"))
		awaitTime(t, 20*time.Second, "the class was refused", func(ctx context.Context) error {
			out, err := c.Kubectl(ctx, "get", "clustertelegrafclass", "foreign", "-o", "yaml")
			if err == nil && !strings.Contains(out, "there is no plugin inputs.nginx_plus") {
				err = errors.New(out)
			}
			return err
		})
	})
}
