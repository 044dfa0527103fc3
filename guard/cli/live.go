package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/holdfast-telemetry/holdfast/guard/inventory"
	"github.com/holdfast-telemetry/holdfast/guard/live"
	"github.com/holdfast-telemetry/holdfast/guard/object"
	"github.com/holdfast-telemetry/holdfast/guard/plan"
)

// liveKubeconfig is the source that is a cluster.
const liveKubeconfig = "kubeconfig"

// liveFlags say where what lives is read.
type liveFlags struct {
	source, kubeconfig, context, namespace string
	clusters                               []string
	secrets                                bool
	timeout                                time.Duration
}

func (l *liveFlags) bind(flags *pflag.FlagSet) {
	flags.StringVar(&l.source, "live", "",
		"take what lives from here: kubeconfig asks clusters, and a file, or - for standard input, is what argocd admin export wrote")
	flags.StringVar(&l.kubeconfig, "kubeconfig", "", "how to reach the clusters that --live kubeconfig asks")
	flags.StringVar(&l.context, "context", "", "the context of the cluster that Argo CD is in (default the current one)")
	flags.StringArrayVar(&l.clusters, "live-cluster", nil, "another cluster that Applications deploy to, as SERVER=CONTEXT or NAME=CONTEXT; may be repeated")
	flags.StringVar(&l.namespace, "argocd-namespace", "", "the namespace that Argo CD is in (default argocd)")
	flags.BoolVar(&l.secrets, "live-secrets", false, "list Secrets too: their metadata, with a right that could read them")
	flags.DurationVar(&l.timeout, "live-timeout", 5*time.Minute, "how long to ask clusters at most")
}

// check says what of the flags does not go together.
func (l *liveFlags) check() error {
	asks := l.kubeconfig != "" || l.context != "" || len(l.clusters) > 0 || l.secrets
	switch {
	case asks && l.source != liveKubeconfig:
		return errors.New("--kubeconfig, --context, --live-cluster and --live-secrets go with --live kubeconfig")
	case l.namespace != "" && l.source == "":
		return errors.New("--argocd-namespace goes with --live")
	case l.timeout <= 0:
		return errors.New("--live-timeout is not positive")
	}
	for _, text := range l.clusters {
		if server, name, _ := strings.Cut(text, "="); server == "" || name == "" {
			return fmt.Errorf("--live-cluster %s: SERVER=CONTEXT or NAME=CONTEXT is wanted", text)
		}
	}
	return nil
}

// read reads what lives, nil where nobody wants it. Names has the servers of clusters' names.
func (l *liveFlags) read(ctx context.Context, in io.Reader, names map[string]string) (*live.State, error) {
	switch l.source {
	case "":
		return nil, nil
	case "-":
		return live.ReadExport(in, l.namespace)
	case liveKubeconfig:
		return l.ask(ctx, names)
	}
	f, err := os.Open(l.source)
	if err != nil {
		return nil, fmt.Errorf("--live: %w", err)
	}
	defer func() { _ = f.Close() }() // it is only read
	s, err := live.ReadExport(f, l.namespace)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.source, err)
	}
	return s, nil
}

// withLive adds what lives, where it was read.
func withLive(o plan.Options, s *live.State) plan.Options {
	if s == nil {
		return o
	}
	o.Live = s
	names := s.Names()
	maps.Copy(names, o.Clusters)
	o.Clusters = names
	return o
}

// addScopes adds the scopes of the kinds that live; what the settings say comes first.
func addScopes(o *inventory.Options, s *live.State) {
	if s == nil {
		return
	}
	scopes := maps.Clone(s.Scopes())
	if scopes == nil {
		scopes = make(map[object.Kind]bool)
	}
	maps.Copy(scopes, o.Scopes)
	o.Scopes = scopes
}

// ask asks clusters.
func (l *liveFlags) ask(ctx context.Context, names map[string]string) (*live.State, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	config, name, err := contextConfig(l.kubeconfig, l.context)
	if err != nil {
		return nil, err
	}
	clusters := []live.Cluster{{Name: name, Servers: []string{config.Host}, Config: config}}
	names = maps.Clone(names)
	for _, text := range l.clusters {
		server, of, _ := strings.Cut(text, "=")
		config, name, err := contextConfig(l.kubeconfig, of)
		if err != nil {
			return nil, err
		}
		servers := []string{server}
		if known := names[server]; known != "" {
			servers = append(servers, known)
		}
		clusters = append(clusters, live.Cluster{Name: name, Servers: servers, Config: config})
	}
	s, err := live.Read(ctx, clusters, live.Options{Namespace: l.namespace, Secrets: l.secrets, Names: names})
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("%w: it took longer than %v (--live-timeout)", err, l.timeout)
	}
	return s, err
}

// contextConfig finds the API server of a context, the current one where none is named.
func contextConfig(kubeconfig, name string) (*rest.Config, string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: name})
	config, err := loader.ClientConfig()
	if err != nil {
		if name == "" {
			return nil, "", fmt.Errorf("finding the API server: %w", explained(err))
		}
		return nil, "", fmt.Errorf("finding the API server of the context %q: %w", name, explained(err))
	}
	config.UserAgent = "holdfast-guard"
	config.QPS, config.Burst = 50, 100
	if name == "" {
		if raw, err := loader.RawConfig(); err == nil {
			name = raw.CurrentContext
		}
	}
	if name == "" {
		name = config.Host
	}
	return config, name, nil
}
