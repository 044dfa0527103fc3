// Package kube runs a real Kubernetes control plane for tests and benchmarks: etcd, kube-apiserver and
// kube-controller-manager of a released version, built from their modules (see e2e/peers/kubernetes), on free ports of the
// loopback, without containers and without the network.
//
// What the API server does is what it does in production: admission, defaulting, RBAC, server-side apply, watches, priority and
// fairness. There is no kubelet. StartKwok adds nodes whose pods are scheduled and become Running in name only; Materialise
// writes a pod's volumes as a kubelet would, so that a test can run a container's program as a process of its own.
//
// A test binary starts one cluster, in TestMain, and gives each test a namespace:
//
//	var cluster *kube.Cluster
//
//	func TestMain(m *testing.M) { os.Exit(run(m)) }
//
//	func run(m *testing.M) int {
//		c, err := kube.Start(context.Background(), kube.Options{})
//		…
//		defer c.Stop()
//		cluster = c
//		return m.Run()
//	}
//
// The processes of a cluster die with the process that started it (on Linux, however it ends).
package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/holdfast-telemetry/holdfast/e2e/peer"
)

// Version is that of the control plane and of its nodes' kubelets.
const Version = "v1.36.3"

// Options are what a cluster can be made to do differently. The zero value is a cluster as released.
type Options struct {
	// APIServerFlags are added to the API server's, after those that the cluster needs: "--flag=value".
	APIServerFlags []string
	// WithoutPriorityAndFairness lets the API server take as many requests at once as come, up to its limits for all clients.
	WithoutPriorityAndFairness bool
}

const (
	// readyTime is how long one process may take to become ready. A machine that is busy with other tests takes long.
	readyTime = 3 * time.Minute
	// serviceNet is where services get their addresses from, and serviceIP the one of the API server's own.
	serviceNet, serviceIP = "10.96.0.0/16", "10.96.0.1"
)

// Cluster is a running control plane. Its methods may be called from several goroutines, except for those that stop or start the
// same process.
type Cluster struct {
	dir        string // everything that it writes
	bin        string // the programs
	url        string // of the API server
	authority  *authority
	admin      *rest.Config
	kubeconfig string
	client     kubernetes.Interface

	etcd, apiserver, controllers *process

	mu    sync.Mutex
	nodes []*process // what StartKwok added, in the order of their start
}

// Start runs a control plane and returns when the API server is ready. It builds the programs when the peers' cache does not have
// them, which takes minutes. Stop must be called in the end.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	bin, err := peer.Build(ctx, "kubernetes")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "kube-")
	if err != nil {
		return nil, fmt.Errorf("making the cluster's folder: %w", err)
	}
	c := &Cluster{dir: dir, bin: bin}
	err = c.prepare(o)
	if err == nil {
		err = c.start(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting a cluster: %w", err), c.Stop())
	}
	return c, nil
}

// prepare makes keys, clients and the command lines of the three processes.
func (c *Cluster) prepare(o Options) error {
	addrs, err := peer.FreeAddrs(3)
	if err != nil {
		return err
	}
	store, peers, api := "http://"+addrs[0], "http://"+addrs[1], addrs[2]
	c.url = "https://" + api
	if err := c.writeKeys(); err != nil {
		return err
	}
	if err := c.makeClients(); err != nil {
		return err
	}
	c.etcd = c.process("etcd", c.bin,
		"--data-dir="+c.path("etcd"), "--name=test", "--unsafe-no-fsync",
		"--listen-client-urls="+store, "--advertise-client-urls="+store,
		"--listen-peer-urls="+peers, "--initial-advertise-peer-urls="+peers, "--initial-cluster=test="+peers)
	c.apiserver = c.process("kube-apiserver", c.bin, c.apiserverFlags(o, store, api)...)
	c.controllers = c.process("kube-controller-manager", c.bin,
		"--kubeconfig="+c.kubeconfig, "--leader-elect=false", "--bind-address=127.0.0.1", "--secure-port=0",
		"--service-account-private-key-file="+c.path("sa.key"), "--root-ca-file="+c.path("ca.crt"),
		// A machine that stalls must not lose its nodes, nor a benchmark measure this client's limit.
		"--node-monitor-grace-period=1h", "--kube-api-qps=1000", "--kube-api-burst=2000")
	return nil
}

func (c *Cluster) apiserverFlags(o Options, store, addr string) []string {
	_, port, _ := net.SplitHostPort(addr)
	flags := []string{
		"--etcd-servers=" + store,
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port=" + port,
		"--endpoint-reconciler-type=none", // no endpoint may be on the loopback
		"--cert-dir=" + c.dir, "--tls-cert-file=" + c.path("server.crt"), "--tls-private-key-file=" + c.path("server.key"),
		"--client-ca-file=" + c.path("ca.crt"),
		"--service-account-issuer=" + c.url,
		"--service-account-key-file=" + c.path("sa.pub"), "--service-account-signing-key-file=" + c.path("sa.key"),
		"--service-cluster-ip-range=" + serviceNet,
		"--authorization-mode=RBAC", "--allow-privileged=true", "--profiling=false",
	}
	if o.WithoutPriorityAndFairness {
		flags = append(flags, "--enable-priority-and-fairness=false")
	}
	return append(flags, o.APIServerFlags...)
}

func (c *Cluster) path(name string) string { return filepath.Join(c.dir, name) }

func (c *Cluster) process(name, bin string, args ...string) *process {
	return &process{name: name, path: peer.Executable(bin, name), args: args, dir: c.dir}
}

func (c *Cluster) start(ctx context.Context) error {
	if err := c.etcd.start(); err != nil {
		return err
	}
	if err := c.StartAPIServer(ctx); err != nil {
		return err
	}
	return c.StartControllerManager()
}

// Stop ends the processes and removes the cluster's folder. It may be called again.
func (c *Cluster) Stop() error {
	c.mu.Lock()
	ps := slices.Clone(c.nodes)
	c.mu.Unlock()
	slices.Reverse(ps)
	// An API server whose etcd is gone does not heed SIGTERM.
	for _, p := range append(ps, c.controllers, c.apiserver, c.etcd) {
		if p != nil {
			p.stop()
		}
	}
	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("removing the cluster's folder: %w", err)
	}
	return nil
}

// StopAPIServer ends the API server, in an orderly way when that takes no more than some seconds: open watches are cut. Its
// objects stay.
func (c *Cluster) StopAPIServer() { c.apiserver.stop() }

// StartAPIServer runs the API server again, at the same address and with the same objects, and returns when it is ready.
func (c *Cluster) StartAPIServer(ctx context.Context) error {
	if err := c.apiserver.start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	return c.apiserver.await(ctx, "the API server was ready", func(ctx context.Context) error {
		var status int
		err := c.client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).StatusCode(&status).Error()
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("/readyz answers %d", status)
		}
		return err
	})
}

// RestartAPIServer stops the API server and starts it again.
func (c *Cluster) RestartAPIServer(ctx context.Context) error {
	c.StopAPIServer()
	return c.StartAPIServer(ctx)
}

// StopControllerManager ends the controllers: no ReplicaSet makes pods any more, no owner's objects are collected.
func (c *Cluster) StopControllerManager() { c.controllers.stop() }

// StartControllerManager runs the controllers again. It does not wait until they have caught up.
func (c *Cluster) StartControllerManager() error { return c.controllers.start() }

// Logs returns the end of every process's log, for a test that failed.
func (c *Cluster) Logs() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	for _, p := range append([]*process{c.etcd, c.apiserver, c.controllers}, c.nodes...) {
		fmt.Fprintln(&b, p.tail())
	}
	return b.String()
}
