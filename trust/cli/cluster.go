package cli

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"github.com/holdfast-telemetry/holdfast/internal/commandline"
	"github.com/holdfast-telemetry/holdfast/trust"
	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/policy"
	"github.com/holdfast-telemetry/holdfast/trust/selftest"
	"github.com/holdfast-telemetry/holdfast/trust/sync"
)

// selftestFlags are the images and the namespace of the self-test.
type selftestFlags struct {
	namespace, repository, good, bad string
	settle                           time.Duration
}

func (f *selftestFlags) add(cmd *cobra.Command, prefix string) {
	cmd.Flags().StringVar(&f.namespace, prefix+"namespace", "holdfast-selftest", "namespace of the self-test's dry runs, for which the policy holds")
	cmd.Flags().StringVar(&f.repository, prefix+"repository", "", "the repository in which the service keeps the images of the self-test (selftest.repository in its configuration), in place of --"+prefix+"good and --"+prefix+"bad")
	cmd.Flags().StringVar(&f.good, prefix+"good", "", "an image, by digest, that a listed key signed")
	cmd.Flags().StringVar(&f.bad, prefix+"bad", "", "an image, by digest, that only another key signed")
	cmd.Flags().DurationVar(&f.settle, prefix+"settle", 15*time.Second, "how long a policy may take to be in force")
}

// complete finds the images of a repository.
func (f *selftestFlags) complete(cmd *cobra.Command) error {
	if f.repository == "" {
		return nil
	}
	if f.good != "" || f.bad != "" {
		return commandline.Usage(cmd, errors.New("the images of the self-test are named by a repository, or one by one, and not by both"))
	}
	repository, err := name.NewRepository(f.repository)
	if err != nil {
		return commandline.Usage(cmd, err)
	}
	f.good, f.bad, err = selftest.References(repository)
	return err
}

func (f *selftestFlags) test(client kubernetes.Interface) *selftest.Test {
	return &selftest.Test{Client: client, Namespace: f.namespace, Good: f.good, Bad: f.bad, Settle: f.settle}
}

func (a *app) selftestCommand() *cobra.Command {
	var f selftestFlags
	var kubeconfig string
	cmd := &cobra.Command{Use: "selftest", Short: "Ask a cluster whether it refuses what it must and admits what it should", Args: arguments(0, 0),
		Long: "Ask a cluster, by dry runs, whether it refuses what it must and admits what it should. It ends with 1 when it does not, and with 3 when that could not be found out."}
	f.add(cmd, "")
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "how to reach the cluster")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := f.complete(cmd); err != nil {
			return err
		}
		if f.good == "" || f.bad == "" {
			return commandline.Usage(cmd, errors.New("--repository, or --good and --bad, are wanted"))
		}
		config, err := trust.ClusterConfig(kubeconfig)
		if err != nil {
			return &unknownError{err}
		}
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return err
		}
		err = f.test(client).Run(cmd.Context())
		if errors.Is(err, selftest.ErrUnknown) && !errors.Is(err, selftest.ErrOpen) && !errors.Is(err, selftest.ErrClosed) {
			return &unknownError{err}
		}
		if err == nil {
			a.printf("ok: %s is admitted and %s is refused by %s\n", f.good, f.bad, selftest.Webhook)
		}
		return err
	}
	images := &cobra.Command{Use: "images REPOSITORY", Short: "Print the images that the service keeps in a repository: the one that is signed, and the one that is not", Args: arguments(1, 1)}
	images.RunE = func(cmd *cobra.Command, args []string) error {
		named := selftestFlags{repository: args[0]}
		if err := named.complete(cmd); err != nil {
			return err
		}
		a.printf("%s\n%s\n", named.good, named.bad)
		return nil
	}
	cmd.AddCommand(images)
	return cmd
}

// syncFlags are those of the agent.
type syncFlags struct {
	kubeconfig, url, ca, namespace, name, metrics string
	pins, images                                  []string
	plain, warn, once                             bool
	poll                                          time.Duration
	minimum                                       int64
	test                                          selftestFlags
	policy                                        string
}

func (a *app) syncCommand() *cobra.Command {
	var f syncFlags
	cmd := &cobra.Command{Use: "sync", Short: "Keep a cluster's policy as the key list says", Args: arguments(0, 0)}
	flags := cmd.Flags()
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "how to reach the cluster; without it, as a pod does")
	flags.StringVar(&f.url, "keys", "", "https URL of the key list")
	flags.StringVar(&f.ca, "ca", "", "a PEM file with the only authority of the endpoint's certificate")
	flags.BoolVar(&f.plain, "plain", false, "allow an http URL: whoever is in between can keep lists back, but not change them")
	flags.StringSliceVar(&f.pins, "pin", nil, "PEM files with the list keys that are heard, one or more in each (holdfast-trust keys pin prints one)")
	flags.StringVar(&f.namespace, "namespace", "holdfast-trust", "namespace of the ConfigMap with what was accepted")
	flags.StringVar(&f.name, "config-map", "holdfast-trust-sync", "name of the ConfigMap with what was accepted")
	flags.StringVar(&f.policy, "policy", policy.DefaultName, "name of the ClusterImagePolicy")
	flags.StringSliceVar(&f.images, "images", nil, "globs of the images that the policy is for; all without it")
	flags.BoolVar(&f.warn, "warn", false, "admit what the policy refuses, with a warning")
	flags.DurationVar(&f.poll, "poll", time.Minute, "how often the list is asked for, at most")
	flags.Int64Var(&f.minimum, "minimum-version", 0, "the least version of a list that a cluster accepts at first")
	flags.StringVar(&f.metrics, "metrics", "127.0.0.1:8472", "HOST:PORT of metrics and health; empty for none")
	flags.BoolVar(&f.once, "once", false, "poll once and end")
	f.test.add(cmd, "selftest-")
	_ = cmd.MarkFlagRequired("keys")
	_ = cmd.MarkFlagRequired("pin")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := f.test.complete(cmd); err != nil {
			return err
		}
		logger, err := a.logger(cmd)
		if err != nil {
			return err
		}
		return a.sync(cmd.Context(), f, logger)
	}
	return cmd
}

func (a *app) sync(ctx context.Context, f syncFlags, logger *slog.Logger) error {
	klog.SetSlogLogger(logger)
	config, err := trust.ClusterConfig(f.kubeconfig)
	if err != nil {
		return &unknownError{err}
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	agent := sync.New(registry)
	if agent.Policies, err = dynamic.NewForConfig(config); err != nil {
		return err
	}
	ca, err := optional(f.ca)
	if err != nil {
		return err
	}
	if agent.Fetcher, err = sync.NewFetcher(f.url, ca, f.plain); err != nil {
		return err
	}
	if agent.Pinned, err = pins(f.pins); err != nil {
		return err
	}
	events := record.NewBroadcaster()
	defer events.Shutdown()
	events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events(f.namespace)})
	agent.Recorder = events.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "holdfast-trust"})
	agent.Memory = &sync.Memory{Client: client.CoreV1().ConfigMaps(f.namespace), Name: f.name}
	agent.Policy = policy.Options{Name: f.policy, Images: f.images, Warn: f.warn}
	agent.MinimumVersion, agent.Poll, agent.Logger = f.minimum, f.poll, logger
	if f.test.good != "" && f.test.bad != "" {
		agent.Selftest = f.test.test(client).Run
	} else {
		logger.Warn("there is no self-test: name its images by --selftest-repository, or by --selftest-good and --selftest-bad")
	}
	if f.once {
		return agent.Once(ctx)
	}
	stop := serveMetrics(f.metrics, registry, func(err error) { logger.Error("serving metrics", "error", err) })
	defer stop()
	agent.Run(ctx)
	return nil
}

func pins(files []string) (all []*ecdsa.PublicKey, err error) {
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		public, err := key.ParsePEMs(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, public...)
	}
	return all, nil
}

// serveMetrics serves metrics until the function that it returns is called.
func serveMetrics(addr string, registry *prometheus.Registry, failed func(error)) (stop func()) {
	if addr == "" {
		return func() {}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	s := &http.Server{Addr: addr, Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := s.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			failed(err)
		}
	}()
	return func() { _ = s.Close() }
}
