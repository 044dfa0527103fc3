//go:build e2e

// Package argocd runs Argo CD 3.2.6 beside a cluster of e2e/kube, and has it act upon changes of a git repository, so that what a plan
// says a change deletes can be held against what Argo CD deletes.
//
// Argo CD is the released one, built from its module, with its released settings: the repo-server, the application controller and the
// ApplicationSet controller, and Redis. They read git repositories of this machine's files, and deploy to the cluster that they are in.
// There is no argocd-server: nobody logs in.
//
// A Case is a repository before and after a change, and what becomes of the objects that were there before. Cases lists those that were
// seen. The cases of one Instance are apart by names and can be run at once. What an object's fate was is told by its UID: an object that
// was deleted and made again is not the same.
//
// Nothing here but the tests knows holdfast-guard, but for its identity of objects. They hold what the built program plans against both: what
// a case says, without Argo CD, and what Argo CD does.
package argocd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/peer"
)

// Version is that of Argo CD.
const Version = "3.2.6"

// Tracking is how Argo CD marks the objects that an Application owns.
type Tracking string

// The methods. Argo CD itself defaults to ByAnnotation.
const (
	ByAnnotation Tracking = ""
	ByLabel      Tracking = "label"
	ByBoth       Tracking = "annotation+label"
)

const (
	// readyTime is how long one program may take to become ready. A machine that is busy with other tests takes long.
	readyTime = 3 * time.Minute
	// namespace is that of Argo CD and of its resources.
	namespace = "argocd"
	// module is what e2e/peers/argocd requires.
	module = "github.com/argoproj/argo-cd/v3"
)

// Instance is a running Argo CD.
type Instance struct {
	cluster  *kube.Cluster
	tracking Tracking
	dir      string // everything that its programs write, and the repository
	programs []*kube.Program
	watch    *watch
	*Repository
	exporting sync.Mutex // what Export applies, for one after the other
}

// Prepare builds the programs that Start runs, when the peers' cache does not have them, and fetches their modules. It needs the network
// and minutes then, and neither afterwards.
func Prepare(ctx context.Context) error {
	for _, name := range []string{"kubernetes", "argocd", "helm", "kustomize"} {
		if _, err := peer.Build(ctx, name); err != nil {
			return err
		}
	}
	_, err := peer.Source(ctx, "argocd", module)
	return err
}

// Start runs an Argo CD in the cluster and returns when all of it is ready. A cluster can have one. Stop must be called in the end, before
// the cluster's.
func Start(ctx context.Context, cluster *kube.Cluster, tracking Tracking) (*Instance, error) {
	dir, err := os.MkdirTemp("", "argocd-")
	if err != nil {
		return nil, fmt.Errorf("making the folder of Argo CD: %w", err)
	}
	i := &Instance{cluster: cluster, tracking: tracking, dir: dir}
	if err := i.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("starting Argo CD: %w", err), i.Stop())
	}
	return i, nil
}

func (i *Instance) start(ctx context.Context) error {
	if err := i.install(ctx); err != nil {
		return err
	}
	for _, folder := range []string{"bin", "tmp", "certificates", "redis"} {
		if err := os.Mkdir(filepath.Join(i.dir, folder), 0o700); err != nil {
			return fmt.Errorf("making the folder of Argo CD: %w", err)
		}
	}
	if err := i.link(ctx); err != nil {
		return err
	}
	var err error
	if i.Repository, err = NewRepository(ctx, filepath.Join(i.dir, "repository.git")); err != nil {
		return err
	}
	if err := i.run(ctx); err != nil {
		return err
	}
	i.watch, err = startWatch(ctx, i.cluster.Config(), i.tracking)
	return err
}

// link makes a folder with all programs, each under the name by which it is called.
func (i *Instance) link(ctx context.Context) error {
	redis, err := redisServer()
	if err != nil {
		return err
	}
	programs := map[string]string{"redis-server": redis}
	for name, commands := range map[string][]string{"argocd": controllers, "helm": {"helm"}, "kustomize": {"kustomize"}} {
		dir, err := peer.Build(ctx, name)
		if err != nil {
			return err
		}
		for _, c := range commands {
			programs[c] = peer.Executable(dir, name)
		}
	}
	for name, path := range programs {
		if err := os.Symlink(path, filepath.Join(i.dir, "bin", name)); err != nil {
			return fmt.Errorf("naming the programs of Argo CD: %w", err)
		}
	}
	return nil
}

// redisServer finds Redis. Debian has the server in redis-tools too, as redis-check-rdb, which serves when it is called redis-server; the
// package redis-server adds the service, which the tests have no use for.
func redisServer() (string, error) {
	for _, name := range []string{"redis-server", "redis-check-rdb"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("the Redis of the tests is missing; run make redis, or install the Debian package redis-tools")
}

// controllers are the names that the one program of Argo CD is called by.
var controllers = []string{"argocd-repo-server", "argocd-application-controller", "argocd-applicationset-controller"}

// program adds a program that run starts. It is ready when url answers, or at once where there is none.
func (i *Instance) program(ctx context.Context, name, url string, args ...string) error {
	p := i.cluster.Program(name, filepath.Join(i.dir, "bin", name), args...)
	p.Setenv(
		"PATH="+filepath.Join(i.dir, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"),
		"HOME="+i.dir, "TMPDIR="+filepath.Join(i.dir, "tmp"),
		// The destination https://kubernetes.default.svc is the cluster of this file.
		"KUBECONFIG="+i.cluster.Kubeconfig(), "ARGOCD_FAKE_IN_CLUSTER=true",
		"ARGOCD_GPG_ENABLED=false",
		"ARGOCD_TLS_DATA_PATH="+filepath.Join(i.dir, "certificates"), "ARGOCD_SSH_DATA_PATH="+filepath.Join(i.dir, "certificates"),
	)
	if err := p.Start(); err != nil {
		return err
	}
	i.programs = append(i.programs, p)
	if url == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	return p.Await(ctx, name+" was ready", func(ctx context.Context) error { return answers(ctx, url) })
}

func answers(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}

// run starts the programs, each when those that it asks are there.
func (i *Instance) run(ctx context.Context) error {
	addrs, err := peer.FreeAddrs(8)
	if err != nil {
		return err
	}
	redis, repo, repoMetrics, metrics := addrs[0], addrs[1], addrs[2], addrs[3]
	if err := i.program(ctx, "redis-server", "", "--bind", "127.0.0.1", "--port", port(redis),
		"--save", "", "--appendonly", "no", "--dir", filepath.Join(i.dir, "redis")); err != nil {
		return err
	}
	if err := i.program(ctx, "argocd-repo-server", "http://"+repoMetrics+"/healthz", "--address", "127.0.0.1", "--port", port(repo),
		"--metrics-address", "127.0.0.1", "--metrics-port", port(repoMetrics),
		"--redis", redis, "--disable-tls", "--logformat", "text"); err != nil {
		return err
	}
	// Its metrics listen at every address; see Privately.
	if err := i.program(ctx, "argocd-application-controller", "http://"+metrics+"/healthz", "--kubeconfig", i.cluster.Kubeconfig(),
		"--namespace", namespace, "--redis", redis, "--repo-server", repo, "--repo-server-plaintext",
		"--metrics-port", port(metrics), "--app-resync", "60", "--app-resync-jitter", "0", "--logformat", "text"); err != nil {
		return err
	}
	return i.program(ctx, "argocd-applicationset-controller", "http://"+addrs[4]+"/metrics", "--kubeconfig", i.cluster.Kubeconfig(),
		"--namespace", namespace, "--argocd-repo-server", repo, "--repo-server-plaintext",
		"--metrics-addr", addrs[4], "--probe-addr", addrs[5], "--webhook-addr", addrs[6], "--logformat", "text")
}

// Stop ends the programs and removes all that they wrote. It may be called again.
func (i *Instance) Stop() error {
	if i.watch != nil {
		i.watch.stop()
	}
	for _, p := range slices.Backward(i.programs) {
		p.Stop()
	}
	if err := os.RemoveAll(i.dir); err != nil {
		return fmt.Errorf("removing the folder of Argo CD: %w", err)
	}
	return nil
}

// Logs returns the end of every program's log, for a test that failed.
func (i *Instance) Logs() string {
	var all string
	for _, p := range i.programs {
		log := p.Log()
		all += log[max(0, len(log)-4000):] + "\n"
	}
	return all
}
