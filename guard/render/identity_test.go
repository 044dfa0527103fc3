package render

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// FuzzTwoObjectsNeverGetOneFile holds, for whatever identities the API server might take, that each file's name stays in its folder and fits
// every file system, and that the second of two objects whose names are one, in whatever case, is refused. Names without upper case, of objects
// that say their namespace, are only one for one object.
func FuzzTwoObjectsNeverGetOneFile(f *testing.F) {
	f.Add("apps", "v1", "StatefulSet", "influx", "kafka", "", "v1", "Service", "influx", "etcd")
	f.Add("", "v1", "Service", "a", "b.c", "", "v1", "Service", "", "a.b.c")
	f.Add("", "v1", "Foo", "", "Bar-x", "", "v1", "Foo-Bar", "", "x")
	f.Add("a", "v1", "K", "", "b.v2.L-x", "a.v1.k-b", "v2", "L", "", "x")
	f.Add("rbac.authorization.k8s.io", "v1", "ClusterRole", "", "system:x", "rbac.authorization.k8s.io", "v1", "ClusterRole", "", "system%3Ax")
	f.Add("", "v1", "A", "", "é", "", "v1", "A", "", "e\u0301")
	f.Add("", "v1", "A", strings.Repeat("n", 63), strings.Repeat("x", 253), "", "v1", "A", strings.Repeat("n", 63), strings.Repeat("x", 252)+"y")
	f.Add("", "v1", "A", "", "..", "", "v1", "A", "", "a/../../b")
	f.Fuzz(func(t *testing.T, g1, v1, k1, ns1, n1, g2, v2, k2, ns2, n2 string) {
		one, other := object.Key{Group: g1, Kind: k1, Namespace: ns1, Name: n1}, object.Key{Group: g2, Kind: k2, Namespace: ns2, Name: n2}
		if checkIdentity(one, v1) != nil || checkIdentity(other, v2) != nil {
			return
		}
		a, b := object.FileName(one, v1), object.FileName(other, v2)
		for _, name := range []string{a, b} {
			if !filepath.IsLocal(name) || strings.ContainsAny(name, `/\:*?"<>|`) || len(name) > object.MaxFileName || !strings.HasSuffix(name, ".yaml") || strings.HasPrefix(name, ".") {
				t.Fatalf("%q is no name of a file", name)
			}
			for _, c := range []byte(name) {
				if c <= ' ' || c >= 0x7f {
					t.Fatalf("%q has the byte %#x", name, c)
				}
			}
		}
		c := newClaims(MaxObjects)
		if ok, err := c.claim(claimed{key: one, version: v1, name: a}, false); !ok || err != nil {
			t.Fatalf("the first is refused: %v, %v", ok, err)
		}
		ok, err := c.claim(claimed{key: other, version: v2, name: b, place: place{item: 1}}, false)
		if err != nil || ok == (strings.EqualFold(a, b) || one.Canonical() == other.Canonical()) {
			t.Fatalf("%s %s in %s and %s %s in %s: taken %v, %v", one, v1, a, other, v2, b, ok, err)
		}
		clear := func(k object.Key) bool {
			return k.Namespace != "" && k.Name == strings.ToLower(k.Name) && !strings.Contains(k.Kind, "-")
		}
		if clear(one) && clear(other) && strings.EqualFold(k1, k2) == (k1 == k2) && strings.EqualFold(a, b) && (one != other || v1 != v2) {
			t.Fatalf("%s %s and %s %s are both in %s", one, v1, other, v2, a)
		}
	})
}
