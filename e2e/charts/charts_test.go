//go:build e2e

// Package charts_test renders the charts of holdfast-trust and compares what comes out with the manifests of deploy/. It needs no cluster.
package charts_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/deploy/manifest"
	"github.com/holdfast-telemetry/holdfast/e2e/chart"
)

const (
	deploy  = "../../deploy"
	service = "holdfast-trust"
	agent   = "holdfast-trust-sync"
)

var update = flag.Bool("update", false, "write the manifests of deploy/ again")

// plain are the manifests for those who do without Helm.
var plain = []struct {
	file, chart, header string
	args                []string
	only                []string // templates; all without any
}{
	{
		file: "holdfast-trust.yaml", chart: service,
		header: `The signing service, for kubectl apply -f. See docs/trust/clusters.md.
Its configuration is not here, so that applying this again, after an upgrade, cannot change it: see holdfast-trust-config.yaml.`,
		args: []string{"--set", "plain=true,existingConfigMap=holdfast-trust-config"},
	},
	{
		file: "holdfast-trust-config.yaml", chart: service,
		header: `An example of the service's configuration, with keys on its own volume. Change it, and keep your own copy.`,
		args: []string{"--set", "plain=true,settings.timing.active=7d,settings.timing.lifetime=21d", "--set-json",
			`rules={"issuers":[{"url":"https://token.actions.githubusercontent.com","audience":"holdfast-trust"}],` +
				`"rules":[{"name":"main-branches-sign-their-own-repository","oidc":{"issuer":"https://token.actions.githubusercontent.com",` +
				`"claims":{"repository":"acme/*","ref":"refs/heads/main"}},"repositories":["reg.example/${repository}"]}]}`},
		only: []string{"config.yaml"},
	},
	{
		file: "holdfast-trust-sync.yaml", chart: agent,
		header: `The agent of a cluster, for kubectl apply -f. See docs/trust/clusters.md.
Where the key list is, what is pinned, and the images of the self-test are in the ConfigMap holdfast-trust-endpoint, which is yours.`,
		args: []string{"--set", "plain=true,keys.existingConfigMap=holdfast-trust-endpoint"},
	},
}

func folder(name string) string { return deploy + "/helm/" + name }

func render(t *testing.T, name string, args ...string) ([]manifest.Document, error) {
	t.Helper()
	return chart.Render(t, folder(name), name, "holdfast-trust", args...)
}

func TestManifestsAreWhatTheChartRenders(t *testing.T) {
	for _, p := range plain {
		t.Run(p.file, func(t *testing.T) {
			docs, err := render(t, p.chart, p.args...)
			if err != nil {
				t.Fatal(err)
			}
			if p.only != nil {
				docs = chart.Only(docs, p.only...)
			}
			want := chart.Join(p.chart, p.header, docs)
			path := filepath.Join(deploy, p.file)
			if *update {
				if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != want {
				t.Errorf("deploy/%s is not what the chart renders: run make manifest and look at the difference", p.file)
			}
		})
	}
}

func TestChartsAreCleanToHelmLint(t *testing.T) {
	for name, args := range map[string][]string{service: nil, agent: {"--set", "keys.existingSecret=a"}} {
		out, err := chart.Helm(t, append([]string{"lint", folder(name), "--strict"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out, "[WARNING]") || strings.Contains(out, "[ERROR]") {
			t.Error(out)
		}
	}
}

// endpoint are the values that an agent cannot do without.
func endpoint(more ...string) []string {
	digest := "@sha256:" + strings.Repeat("0", 64)
	return append([]string{"--set-string", "keys.url=https://trust.example/v1/keys,selftest.good=r/a" + digest + ",selftest.bad=r/b" + digest,
		"--set-string", "keys.pins[0]=-----BEGIN PUBLIC KEY-----"}, more...)
}

// Every value is turned once: what comes out are objects that the API's types can hold, without a field too many.
func TestEveryVariantOfTheChartsDecodesStrictly(t *testing.T) {
	certificate := "-----BEGIN CERTIFICATE-----"
	for name, variants := range map[string][][]string{
		agent: {
			endpoint(),
			endpoint("--set", "keys.plain=true,policy.warn=true,policy.images={a/**,b/*},minimumVersion=1798761600,keys.ca="+certificate),
			endpoint("--set", "networkPolicy.enabled=true,metrics.serviceMonitor.enabled=true,metrics.serviceMonitor.labels.a=b,podLabels.a=b,podAnnotations.a=b"),
			endpoint("--set", "serviceAccount.create=false,serviceAccount.name=mine,priorityClassName=system-cluster-critical,extraArgs={--warn}"),
			endpoint("--set", "selftest.createNamespace=false,selftest.dryRunsOnly=false,image.digest=sha256:"+strings.Repeat("0", 64)),
			endpoint("--set-json", `tolerations=[{"operator":"Exists"}]`, "--set-json", `imagePullSecrets=[{"name":"pull"}]`, "--set-json", `extraEnv=[{"name":"HTTPS_PROXY","value":"http://proxy"}]`),
			{"--set", "keys.url=https://a/v1/keys,keys.pins={-----BEGIN PUBLIC KEY-----},selftest.enabled=false"},
			{"--set", "keys.existingSecret=mine"},
			{"--set", "keys.existingSecret=mine,selftest.repository=sigs.example/selftest"},
			{"--set", "keys.url=https://a/v1/keys,keys.pins={-----BEGIN PUBLIC KEY-----},selftest.repository=sigs.example/selftest"},
			{"--set", "keys.existingConfigMap=mine,selftest.enabled=false"},
		},
		service: {
			nil,
			{"--set", "only=keys,replicaCount=2,settings.keys.vault.address=https://v,settings.keys.vault.kubernetes.role=r,vault.ca=" + certificate},
			{"--set", "only=sign,replicaCount=2,state.create=false,settings.keys.vault.address=https://v,settings.keys.vault.approle.role-id-file=/a,vault.existingSecret=s,persistence.enabled=false"},
			{"--set", "keystore.existingSecret=k,tokens.existingSecret=t,registry.existingSecret=r,tls.clientCA=" + certificate + ",registry.ca=" + certificate},
			{"--set", "ingress.enabled=true,ingress.host=a.example,ingress.className=nginx,ingress.tlsSecret=a,ingress.annotations.a=b,service.annotations.a=b,service.type=LoadBalancer"},
			{"--set", "tls.certManager.enabled=true,tls.certManager.issuerRef.name=ca,tls.certManager.names={trust.example},metrics.serviceMonitor.enabled=true,networkPolicy.enabled=true"},
			{"--set", "settings.selftest.repository=sigs.example/selftest,settings.resign.every=1h,settings.resign.deployed[0].in-cluster=true"},
			{"--set", "existingConfigMap=mine,resign.inCluster=true"},
			{"--set", "existingConfigMap=mine,serviceAccount.create=false,extraArgs={--log-level=debug},persistence.storageClassName=fast"},
			{"--set-json", `tolerations=[{"operator":"Exists"}]`, "--set-json", `extraVolumes=[{"name":"c","secret":{"secretName":"x"}}]`, "--set-json", `extraVolumeMounts=[{"name":"c","mountPath":"/c"}]`},
		},
	} {
		for _, args := range variants {
			t.Run(name+" "+strings.Join(args, " "), func(t *testing.T) {
				docs, err := render(t, name, args...)
				if err != nil {
					t.Fatal(err)
				}
				if len(docs) == 0 {
					t.Error("nothing was rendered")
				}
			})
		}
	}
}

func TestValuesThatCannotBeMeantAreRefused(t *testing.T) {
	for _, c := range []struct {
		chart, want string
		args        []string
	}{
		{agent, "keys.url", nil},
		{agent, "keys.pins", []string{"--set", "keys.url=https://a/v1/keys"}},
		{agent, "selftest.good", []string{"--set", "keys.url=https://a/v1/keys,keys.pins={-----BEGIN PUBLIC KEY-----}"}},
		{agent, "selftest.repository", endpoint("--set", "selftest.repository=a.example/b")},
		{agent, "repository", endpoint("--set-string", "selftest.repository=a.example/b@sha256:0")},
		{service, "inCluster", []string{"--set", "resign.inCluster=yes"}},
		{agent, "one of them", []string{"--set", "keys.existingSecret=a,keys.existingConfigMap=b"}},
		{agent, "entries of that object", endpoint("--set", "keys.existingSecret=a")},
		{agent, "pins", endpoint("--set-string", "keys.pins[0]=a")},
		{agent, "good", endpoint("--set-string", "selftest.good=r/a:1")},
		{agent, "urls", endpoint("--set", "keys.urls=x")},
		{agent, "poll", endpoint("--set", "poll=5")},
		{service, "settings.keys.vault", []string{"--set", "replicaCount=2"}},
		{service, "persistence.enabled", []string{"--set", "persistence.enabled=false"}},
		{service, "settings", []string{"--set", "settings.listen=a"}},
		{service, "only", []string{"--set", "only=key"}},
		{service, "issuerRef", []string{"--set", "tls.certManager.enabled=true"}},
		{service, "ingress.host", []string{"--set", "ingress.enabled=true"}},
		{service, "no values", []string{"--set", "existingConfigMap=a,settings.sources={a/b}"}},
		{service, "replicas", []string{"--set", "replicas=2"}},
	} {
		_, err := render(t, c.chart, c.args...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %v: got %v, want an error that names %s", c.chart, c.args, err, c.want)
		}
	}
}
