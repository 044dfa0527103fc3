package operator

import (
	"log/slog"
	"time"

	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
	"github.com/holdfast-telemetry/holdfast/operator/recheck"
	"github.com/holdfast-telemetry/holdfast/operator/scope"
	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

// Options are what an operator is started with. The command line fills all of them.
type Options struct {
	// Kubeconfig is a file; empty means the one of the environment or the service account.
	Kubeconfig string
	// Namespace is the operator's own.
	Namespace string
	// WebhookAddr, MetricsAddr and ProbeAddr are host:port; "0" turns metrics or probes off.
	WebhookAddr, MetricsAddr, ProbeAddr string
	// LeaderElection lets one of several replicas do what only one may.
	LeaderElection bool

	// Sidecar is how sidecars are made. An empty mode means native where the API server knows that.
	Sidecar sidecar.Defaults
	// Deny refuses pods whose sidecar cannot be made.
	Deny bool

	// ClassesDirectory and ClassesSecret are where classes are, beside the resources: a folder, a Secret of the own namespace.
	ClassesDirectory, ClassesSecret string
	// DeliveryNamespaces are those that classes are delivered to, and that pods get sidecars in; none means all.
	DeliveryNamespaces []string
	// DeliverAlso are classes for namespaces where pods get no sidecars.
	DeliverAlso []scope.Grant
	// Checkers are where agents check texts: unix:PATH of a checker, or the path of an agent.
	Checkers map[v1alpha1.Agent]string

	// CertDir has the serving certificate; empty means that the operator makes its own.
	CertDir                string
	ServiceName, TLSSecret string
	// WebhookNames are the webhook configurations: their selectors say which namespaces may have sidecars, and they get the authority.
	WebhookNames             []string
	CAValidity, CertValidity time.Duration
	// CertSettle is how long API servers may work with an old bundle. CertNames are further host names and addresses.
	CertSettle time.Duration
	CertNames  []string

	Recheck         recheck.Mode
	RecheckInterval time.Duration
	// RecheckEvictions bounds the evictions of one round.
	RecheckEvictions int

	// MemoryLimit is the size, in bytes, that the garbage collector tries to stay under; 0 leaves it alone.
	MemoryLimit int64
	Logger      *slog.Logger
}
