package policy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/keylist"
	"github.com/holdfast-telemetry/holdfast/trust/policy"
)

var now = time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)

// list has a key that ends in an hour, and one that ends in a day.
func list(t *testing.T, sources ...string) *keylist.List {
	t.Helper()
	l := &keylist.List{Version: now.Unix(), Issued: now, Expires: now.Add(time.Hour), Sources: sources}
	for i, left := range []time.Duration{time.Hour, 24 * time.Hour} {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		l.Keys = append(l.Keys, keylist.Key{ID: key.ID{Name: "images", Version: 7 + i}, Public: &private.PublicKey, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(left), State: keylist.Retiring})
	}
	return l
}

func build(t *testing.T, l *keylist.List, at time.Time, o policy.Options) map[string]any {
	t.Helper()
	p, err := policy.Build(l, at, o)
	if err != nil {
		t.Fatal(err)
	}
	return p.Object["spec"].(map[string]any)
}

// authorities are the names and sources of a policy's.
func authorities(t *testing.T, spec map[string]any) (all []string) {
	t.Helper()
	for _, a := range spec["authorities"].([]any) {
		a := a.(map[string]any)
		all = append(all, fmt.Sprint(a["name"], a["source"]))
		if key, ok := a["key"].(map[string]any); ok && !strings.HasPrefix(key["data"].(string), "-----BEGIN PUBLIC KEY-----") {
			t.Errorf("the authority %v has no key", a)
		}
	}
	return all
}

func TestEachKeyIsAnAuthorityForEachPlace(t *testing.T) {
	spec := build(t, list(t, "sigs.example/third-party"), now, policy.Options{})
	want := []string{"images-7-own<nil>", "images-7-source-1[map[oci:sigs.example/third-party]]", "images-8-own<nil>", "images-8-source-1[map[oci:sigs.example/third-party]]"}
	if got := authorities(t, spec); !reflect.DeepEqual(got, want) {
		t.Errorf("the authorities are %q", got)
	}
	rules := spec["policy"].(map[string]any)["data"].(string)
	for _, a := range []string{"images-7-own", "images-7-source-1"} {
		if want := fmt.Sprintf("isCompliant { input.authorityMatches[%q]; time.now_ns() >= %d; time.now_ns() < %d }\n", a, now.Add(-time.Hour).UnixNano(), now.Add(time.Hour).UnixNano()); !strings.Contains(rules, want) {
			t.Errorf("%q is not in the rules\n%s", want, rules)
		}
	}
	if !strings.HasPrefix(rules, "package sigstore\ndefault isCompliant = false\n") || spec["mode"] != "enforce" {
		t.Errorf("the policy is %v", spec)
	}
}

func TestAKeyThatHasEndedIsNoAuthority(t *testing.T) {
	if got := authorities(t, build(t, list(t), now.Add(time.Hour), policy.Options{})); len(got) != 1 || got[0] != "images-8-own<nil>" {
		t.Errorf("the authorities are %q", got)
	}
}

// A policy without authorities admits every image.
func TestWithoutAKeyEverythingIsRefused(t *testing.T) {
	for name, l := range map[string]*keylist.List{"ended": list(t, "sigs.example/a"), "none": {Version: 1, Sources: []string{"sigs.example/a"}}} {
		spec := build(t, l, now.Add(48*time.Hour), policy.Options{})
		all := spec["authorities"].([]any)
		if len(all) != 1 || !reflect.DeepEqual(all[0].(map[string]any)["static"], map[string]any{"action": "fail", "message": "no signing key counts any more"}) || spec["policy"] != nil {
			t.Errorf("%s: the policy is %v", name, spec)
		}
	}
}

func TestASourceThatIsOnlyAHostIsRefused(t *testing.T) {
	if _, err := policy.Build(list(t, "sigs.example"), now, policy.Options{}); err == nil {
		t.Error("policy-controller could read none of its policies")
	}
}

func TestTheObjectIsAsAsked(t *testing.T) {
	p, err := policy.Build(list(t), now, policy.Options{Name: "mine", Images: []string{"a/**", "b/**"}, Warn: true})
	if err != nil {
		t.Fatal(err)
	}
	spec := p.Object["spec"].(map[string]any)
	if p.GetName() != "mine" || p.GetAPIVersion() != "policy.sigstore.dev/v1beta1" || spec["mode"] != "warn" || fmt.Sprint(spec["images"]) != "[map[glob:a/**] map[glob:b/**]]" {
		t.Errorf("the policy is %v", p.Object)
	}
	if q := p.DeepCopy(); !reflect.DeepEqual(p, q) { // which panics on what JSON does not have
		t.Errorf("it cannot be copied")
	}
}

func TestAPolicyIsReadyWhenTheControllerSaysSoOfThisOne(t *testing.T) {
	ready := func(observed int64, status string) bool {
		p := &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"observedGeneration": observed,
			"conditions": []any{map[string]any{"type": "KeysInlined", "status": "True"}, map[string]any{"type": "Ready", "status": status, "message": "m"}}}}}
		p.SetGeneration(2)
		is, _ := policy.Ready(p)
		return is
	}
	if !ready(2, "True") || ready(1, "True") || ready(2, "False") {
		t.Error("another generation, or one that is not ready, is taken for ready")
	}
}
