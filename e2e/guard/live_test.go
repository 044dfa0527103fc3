//go:build e2e

package guard_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// argo makes what Argo CD has in a cluster beside its Applications. Its controllers do not run here: nothing is synced.
const argo = `
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: applicationsets.argoproj.io}, spec: {
  group: argoproj.io, scope: Namespaced, names: {kind: ApplicationSet, plural: applicationsets},
  versions: [{name: v1alpha1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}
---
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: appprojects.argoproj.io}, spec: {
  group: argoproj.io, scope: Namespaced, names: {kind: AppProject, plural: appprojects},
  versions: [{name: v1alpha1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}
---
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: widgets.example.org}, spec: {
  group: example.org, scope: Namespaced, names: {kind: Widget, plural: widgets},
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {namespace: argocd, name: argocd-cm, labels: {app.kubernetes.io/part-of: argocd}}, data: {}}
`

// lived is an environment whose objects belong to an Application of its name, and a repository that has them.
type lived struct {
	*environment
	repository, kubeconfig string
}

// tracked adds tracking data to a manifest of one line.
func (l *lived) tracked(manifest, id string) string {
	return strings.Replace(manifest, "metadata: {", fmt.Sprintf("metadata: {annotations: {argocd.argoproj.io/tracking-id: '%s:%s'}, ", l.ns, id), 1)
}

// settle makes an environment that an Application owns, and a user with the rights of the document.
func settle(t *testing.T, ns string) *lived {
	t.Helper()
	l := &lived{environment: live(t, ns, tiny), repository: t.TempDir()}
	l.apply(argo)
	l.kubectl("wait", "--for=condition=Established", "crd/applicationsets.argoproj.io", "crd/appprojects.argoproj.io", "crd/widgets.example.org", "--timeout=2m")
	l.apply(l.tracked(l.namespace(), "/Namespace:"+ns+"/"+ns))
	l.kubectl("-n", ns, "annotate", "sts", "etcd", "argocd.argoproj.io/tracking-id="+ns+":apps/StatefulSet:"+ns+"/etcd")
	l.kubectl("-n", ns, "annotate", "configmap", "settings", "argocd.argoproj.io/tracking-id="+ns+":/ConfigMap:"+ns+"/settings")
	l.apply(l.application() + fmt.Sprintf("status:\n  resources:\n  - {version: v1, kind: ConfigMap, namespace: %s, name: settings, status: Synced}\n"+
		"  - {group: apps, version: v1, kind: StatefulSet, namespace: %[1]s, name: etcd, status: Synced}\n", ns))
	l.kubeconfig = l.user("reader-of-"+ns, documented(t))
	l.git("init", "--quiet", "--initial-branch=main")
	return l
}

func (l *lived) namespace() string {
	return fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %s}}\n", l.ns)
}

func (l *lived) application() string {
	return fmt.Sprintf(`apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: %s, namespace: argocd}
spec:
  source: {repoURL: "https://example.org/infra.git", path: env/%[1]s}
  destination: {server: "https://kubernetes.default.svc", namespace: %[1]s}
  syncPolicy: {automated: {prune: true, selfHeal: true}}
`, l.ns)
}

// documented is the role of docs/guard/live.md.
func documented(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "guard", "live.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, role, found := strings.Cut(string(text), "<!-- role -->\n```yaml\n")
	role, _, closed := strings.Cut(role, "```\n<!-- end of role -->")
	if !found || !closed {
		t.Fatal("docs/guard/live.md has no role")
	}
	return role
}

// user makes a user with the rights of a role, and returns its kubeconfig.
func (l *lived) user(name, role string) string {
	l.Helper()
	l.apply(strings.ReplaceAll(role, "name: holdfast-guard-live", "name: "+name))
	l.apply(fmt.Sprintf(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: %s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: %[1]s}
subjects: [{kind: User, name: %[1]s}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: %[1]s, namespace: argocd}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: %[1]s}
subjects: [{kind: User, name: %[1]s}]
`, name))
	path, err := cluster.UserKubeconfig(l.dir, name)
	if err != nil {
		l.Fatal(err)
	}
	l.await("the rights of "+name+" count", func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "auth", "can-i", "list", "namespaces", "--as", name)
		if err != nil {
			return fmt.Errorf("%s: %w", out, err)
		}
		return nil
	})
	return path
}

func (l *lived) git(args ...string) {
	l.Helper()
	cmd := exec.CommandContext(l.Context(), "git", append([]string{"-C", l.repository, "-c", "user.name=test", "-c", "user.email=test@example.org"}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		l.Fatalf("git %v: %v: %s", args, err, out)
	}
}

// commit makes files the next commit. Those without text are removed.
func (l *lived) commit(files map[string]string) {
	l.Helper()
	for name, text := range files {
		path := filepath.Join(l.repository, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			l.Fatal(err)
		}
		if text == "" {
			if err := os.Remove(path); err != nil {
				l.Fatal(err)
			}
		} else if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			l.Fatal(err)
		}
	}
	l.git("add", "--all")
	l.git("commit", "--quiet", "--message", "a step")
}

// base commits what lives.
func (l *lived) base() {
	l.Helper()
	l.commit(map[string]string{
		"root.yaml": l.application(), "env/" + l.ns + "/namespace.yaml": l.namespace(), "env/" + l.ns + "/etcd.yaml": l.sets[0].manifest(),
		"env/" + l.ns + "/settings.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {a: b}}\n",
	})
}

// diff runs the program on the last commit and wants an exit code.
func (l *lived) diff(code int, args ...string) (out, says string) {
	l.Helper()
	ctx, cancel := context.WithTimeout(l.Context(), 3*time.Minute)
	defer cancel()
	cmd := guardCommand(ctx, append([]string{"diff", "--repo", l.repository, "--cache", l.path("cache"), "HEAD~1..HEAD"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err, got := cmd.Run(), 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		l.Fatal(err)
	}
	if got != code {
		l.Fatalf("%v ended with %d, want %d:\n%s%s", args, got, code, &stdout, &stderr)
	}
	return stdout.String(), stderr.String()
}

func wants(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("it does not say %q:\n%s", part, text)
		}
	}
}

func TestAPlanWithWhatLivesNamesWhatANamespaceTakesAlong(t *testing.T) {
	l := settle(t, "lived")
	l.base()
	l.commit(map[string]string{"env/lived/namespace.yaml": ""})
	l.kubectl("patch", "pv", l.volume("data-etcd-1"), "-p", `{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}`)
	l.apply(`apiVersion: v1
kind: PersistentVolumeClaim
metadata: {namespace: lived, name: byhand}
spec: {storageClassName: disks, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
`)
	l.kubectl("-n", "lived", "annotate", "sts", "etcd", "argocd.argoproj.io/sync-options=Prune=false")
	const more = 520 // more than one page has
	l.many(more)
	out, says := l.diff(1, "--live", "kubeconfig", "--kubeconfig", l.kubeconfig, "--full")
	if says != "" {
		t.Errorf("it says %q", says)
	}
	wants(t, out,
		"Namespace lived",
		"recreated apps/StatefulSet lived/etcd: its namespace lived is deleted",
		"PersistentVolumeClaim lived/data-etcd-0: its namespace lived is deleted, and no Application owns it; its volume "+
			l.volume("data-etcd-0")+" stays (Retain) [live]",
		"its volume "+l.volume("data-etcd-1")+" goes with it, and what is on it (Delete) [live]",
		"deleted   PersistentVolumeClaim lived/byhand", "[live]",
		"more objects, which no Application owns",
		"not known: kinds that may not be listed in the cluster test, and that no Application there has: ", "widgets.example.org",
	)
	var count int
	_, rest, _ := strings.Cut(out, "with the namespace lived go ")
	if _, err := fmt.Sscanf(rest, "%d more objects", &count); err != nil || count < more {
		t.Errorf("%d objects are counted, want %d at least: %v", count, more, err)
	}
	alone, _ := l.diff(1, "--full")
	if strings.Contains(alone, "byhand") || strings.Contains(alone, "Retain") || strings.Contains(alone, "[live]") {
		t.Errorf("git alone says:\n%s", alone)
	}
}

// many makes ConfigMaps that no Application owns.
func (l *lived) many(n int) {
	l.Helper()
	next := make(chan int)
	var makers sync.WaitGroup
	for range 8 {
		makers.Go(func() {
			for i := range next {
				m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("more-%d", i)}}
				if _, err := cluster.Client().CoreV1().ConfigMaps(l.ns).Create(l.Context(), m, metav1.CreateOptions{}); err != nil {
					l.Error(err)
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	makers.Wait()
}

func TestAPlanDoesNotGoOnWithGitAloneWhereWhatLivesCannotBeRead(t *testing.T) {
	l := settle(t, "unread")
	l.base()
	l.commit(map[string]string{"env/unread/etcd.yaml": ""})
	half := strings.Replace(documented(t), "apps, autoscaling", "autoscaling", 1)
	if half == documented(t) {
		t.Fatal("the role has no apps")
	}
	nobody, err := cluster.UserKubeconfig(l.dir, "nobody-of-unread")
	if err != nil {
		t.Fatal(err)
	}
	deaf, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	l.write("cut.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: argocd-cm}\n---\napiVersion: argoproj.io/v1alpha1\nkind: Applic")
	kubeconfig := func(path string, more ...string) []string {
		return append([]string{"--live", "kubeconfig", "--kubeconfig", path}, more...)
	}
	for name, test := range map[string]struct {
		code int
		args []string
		says []string
	}{
		"a user without rights":     {3, kubeconfig(nobody), []string{"argocd/argocd-cm", "forbidden"}},
		"a user who may not list":   {3, kubeconfig(l.user("half-of-unread", half)), []string{"does not permit to list", "statefulsets.apps", "docs/guard/live.md"}},
		"nobody answers":            {3, kubeconfig(l.to(closed)), []string{"connection refused"}},
		"somebody is deaf":          {3, kubeconfig(l.to(deaf), "--live-timeout", "2s"), []string{"--live-timeout"}},
		"there is no such context":  {3, kubeconfig(l.kubeconfig, "--context", "other"), []string{`"other"`}},
		"Argo CD is elsewhere":      {3, kubeconfig(l.kubeconfig, "--argocd-namespace", "unread"), []string{"argocd-cm"}},
		"there is no such file":     {3, []string{"--live", l.path("missing")}, []string{"missing"}},
		"the export is cut":         {3, []string{"--live", l.path("cut.yaml")}, []string{"ends in the middle"}},
		"a kubeconfig is no export": {3, []string{"--live", l.kubeconfig}, []string{"--kubeconfig"}},
		"flags without a source":    {2, []string{"--kubeconfig", l.kubeconfig}, []string{"--live kubeconfig"}},
		"a cluster without context": {2, kubeconfig(l.kubeconfig, "--live-cluster", "https://far"), []string{"SERVER=CONTEXT"}},
	} {
		t.Run(name, func(t *testing.T) {
			out, says := l.diff(test.code, test.args...)
			if out != "" {
				t.Errorf("it writes a plan:\n%s", out)
			}
			wants(t, says, test.says...)
		})
	}
	out, _ := l.diff(1, kubeconfig(l.kubeconfig)...)
	wants(t, out, "StatefulSet unread/etcd")
}

func (l *lived) write(name, text string) string {
	l.Helper()
	if err := os.WriteFile(l.path(name), []byte(text), 0o600); err != nil {
		l.Fatal(err)
	}
	return l.path(name)
}

// to is a kubeconfig of a server.
func (l *lived) to(at net.Listener) string {
	l.Helper()
	return l.write(fmt.Sprintf("%d.kubeconfig", at.Addr().(*net.TCPAddr).Port), fmt.Sprintf(`{apiVersion: v1, kind: Config, current-context: a,
  clusters: [{name: a, cluster: {server: "https://%s"}}], users: [{name: a, user: {token: a}}], contexts: [{name: a, context: {cluster: a, user: a}}]}`, at.Addr()))
}
