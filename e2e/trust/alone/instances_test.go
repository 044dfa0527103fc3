//go:build e2e

package alone_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
	"github.com/holdfast-telemetry/holdfast/e2e/peer"
	"github.com/holdfast-telemetry/holdfast/e2e/trust"
	"github.com/holdfast-telemetry/holdfast/e2e/trust/watch"
)

// control is the control plane of the tests that need one.
var control struct {
	sync.Mutex
	cluster *kube.Cluster
}

// cluster returns the control plane, which it starts once.
func cluster(t testing.TB) *kube.Cluster {
	t.Helper()
	control.Lock()
	defer control.Unlock()
	if control.cluster == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		c, err := kube.Start(ctx, kube.Options{})
		if err != nil {
			t.Fatal(err)
		}
		control.cluster = c
	}
	return control.cluster
}

// stopCluster stops the control plane, if it was started.
func stopCluster() error {
	control.Lock()
	defer control.Unlock()
	if control.cluster == nil {
		return nil
	}
	return control.cluster.Stop()
}

// stateRights are what an instance needs at the API server.
const stateRights = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: holdfast-trust, namespace: %[1]s}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get, create, update]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: holdfast-trust, namespace: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: holdfast-trust}
subjects: [{kind: ServiceAccount, name: default, namespace: %[1]s}]
`

// inConfigMap is the configuration of a state in a ConfigMap of a new namespace.
func inConfigMap(t testing.TB) string {
	t.Helper()
	c := cluster(t)
	namespace := c.Namespace(t, nil)
	if out, err := c.Apply(t.Context(), fmt.Sprintf(stateRights, namespace)); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	kubeconfig, err := c.ServiceAccountKubeconfig(t.Context(), t.TempDir(), namespace, "default")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("state: {config-map: {namespace: %s, name: holdfast-trust, kubeconfig: %q}}\n", namespace, kubeconfig)
}

// TestTwoInstancesAreOneServiceWhileTheyAreKilled has two instances share a ConfigMap and Vault, and kills one of them at the steps of the rotation
// and in between, in turn, while both are asked for signatures.
func TestTwoInstancesAreOneServiceWhileTheyAreKilled(t *testing.T) {
	t.Parallel()
	keys := &keysOf{store: "vault", TB: t}
	config := keys.config() + inConfigMap(t)
	bin, registry := watch.Faulty(t.Context(), t), trust.StartRegistry(t.Context(), t, trust.RegistryOptions{})
	instances := []*service{newService(t, bin, registry, config), newService(t, bin, registry, config)}
	lists := watch.WatchLists(t, instances[0].url, instances[1].url)
	var signing []*signing
	for _, s := range instances {
		s.program.Setenv(watch.Timing(t, short))
		s.start()
		signing = append(signing, signContinuously(t, s.url, s.token, registry.Push(t.Context(), t, "app/web")))
	}
	for _, s := range instances {
		s.ready()
	}
	died := 0
	for i, at := range []string{"rotate", "rotated", "issued", "save", "saved", "retire"} {
		dies, lives := instances[i%2], instances[1-i%2]
		dies.program.Kill()
		dies.program.Setenv(watch.Kill(at))
		dies.start()
		active := newest(lists.States())
		within(t, patience, "another key signs", func() error {
			if now := newest(lists.States()); now == active {
				return fmt.Errorf("the keys are %s", lists.States())
			}
			return nil
		})
		if dies.program.PID() == 0 {
			died++
		}
		dies.program.Kill()
		// The other one signs by that key, alone.
		within(t, patience, "the other instance signs by the new key", func() error {
			signed, err := watch.Sign(t.Context(), lives.url, lives.token, registry.Push(t.Context(), t, "app/web"))
			if err == nil && !strings.Contains(lists.States(), fmt.Sprintf("%d active", signed.By.Version)) {
				err = fmt.Errorf("it was signed by %s, and the keys are %s", signed.By, lists.States())
			}
			return err
		})
		dies.program.Setenv(watch.Kill(""))
		dies.start()
		dies.ready()
	}
	total := 0
	for _, s := range signing {
		signed := s.stop()
		if err := lists.Early(signed, short.Lead()); err != nil {
			t.Error(err)
		}
		if by := signers(signed); !slices.IsSorted(by) {
			t.Errorf("an instance signed by the versions %v, one after the other", by)
		}
		total += len(signed)
	}
	if err := lists.Check(instances[0].pin()); err != nil {
		t.Error(err)
	}
	first, second := envelope(t, instances[0].url), envelope(t, instances[1].url)
	within(t, patience, "both serve one list", func() error {
		if first, second = envelope(t, instances[0].url), envelope(t, instances[1].url); first != second {
			return fmt.Errorf("one serves %s, and the other %s", first, second)
		}
		return nil
	})
	// Of the versions that both made at the same moment one is not listed. It is destroyed with those before it.
	if left, least := keys.versions(), lists.Last().Keys[0].ID.Version; left[0] < least-1 {
		t.Errorf("the store has the versions %v, and the list begins with %d", left, least)
	}
	for _, s := range instances {
		s.must("audit", "verify")
	}
	t.Logf("killed %d times at a step of the rotation, and %d times in between; %d lists served, %d signatures made, keys %s", died, 12-died, lists.Count(), total, lists.States())
}

// newest is the key of a list that signs.
func newest(states string) string {
	for state := range strings.SplitSeq(states, ", ") {
		if strings.HasSuffix(state, " active") {
			return state
		}
	}
	return ""
}

func envelope(t testing.TB, url string) string {
	t.Helper()
	resp, err := http.Get(url + "/v1/keys.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text := new(strings.Builder)
	if err := resp.Write(text); err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(text.String(), "\r\n\r\n")
	return body
}

// TestAKeyDoesNotSignWhileNobodyServesLists has the endpoints be processes of their own.
func TestAKeyDoesNotSignWhileNobodyServesLists(t *testing.T) {
	t.Parallel()
	registry := trust.StartRegistry(t.Context(), t, trust.RegistryOptions{})
	s := newService(t, watch.Faulty(t.Context(), t), registry, "")
	addrs, err := peer.FreeAddrs(2)
	if err != nil {
		t.Fatal(err)
	}
	s.write("keys.yaml", fmt.Sprintf("data: data\nlisten: %s\nadmin-listen: %s\ntiming: {poll: 1s, slack: 1s}\n", addrs[0], addrs[1]))
	signer := kube.NewProgram(s.dir, "signer", s.bin, "serve", "--only", "sign", "--config", s.path("trust.yaml"))
	lister := kube.NewProgram(s.dir, "lister", s.bin, "serve", "--only", "keys", "--config", s.path("keys.yaml"))
	for _, p := range []*kube.Program{signer, lister} {
		t.Cleanup(p.Stop)
	}
	if err := signer.Start(); err != nil {
		t.Fatal(err)
	}
	image := registry.Push(t.Context(), t, "app/web")
	for end := time.Now().Add(3 * short.Lead()); time.Now().Before(end); time.Sleep(pause) {
		if _, err := watch.Sign(t.Context(), s.url, s.token, image); err == nil {
			t.Fatal("a key signs that no cluster was told of")
		}
	}
	lists := watch.WatchLists(t, "http://"+addrs[0])
	if err := lister.Start(); err != nil {
		t.Fatal(err)
	}
	var signed *watch.Signed
	within(t, patience, "a key signs", func() (err error) {
		signed, err = watch.Sign(t.Context(), s.url, s.token, image)
		return err
	})
	if err := lists.Early([]watch.Signed{*signed}, short.Lead()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.path("data/audit")); err != nil {
		t.Error(err)
	}
}
