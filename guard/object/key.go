// Package object says what the objects of a repository are: their identity as Argo CD and the API server see it, whether a kind lives in
// a namespace, and where in which file each is written.
//
// It reads files as Argo CD's directory source does: documents in order, lists flattened, of repeated mapping keys the last one. What
// Argo CD overlooks in silence (repeated keys, texts that are no manifests) is reported, so that rules can speak of it. It does not know
// schemas, and it does not render anything.
package object

import (
	"cmp"
	"strings"
)

// Key is the identity of an object in one cluster. The version of its API is no part of it: networking.k8s.io/v1 and v1beta1 name the
// same Ingress.
type Key struct {
	Group     string `json:"group"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// Kind is a kind of a group.
type Kind struct {
	Group string `json:"group"`
	Kind  string `json:"kind"`
}

// GroupKind returns the kind of the object.
func (k Key) GroupKind() Kind { return Kind{k.Group, k.Kind} }

// String returns "apps/StatefulSet influx/kafka", without the parts that are empty.
func (k Key) String() string {
	var b strings.Builder
	b.WriteString(k.GroupKind().String())
	b.WriteByte(' ')
	if k.Namespace != "" {
		b.WriteString(k.Namespace)
		b.WriteByte('/')
	}
	b.WriteString(k.Name)
	return b.String()
}

// String returns "apps/StatefulSet", and "Service" in the core group.
func (k Kind) String() string {
	if k.Group == "" {
		return k.Kind
	}
	return k.Group + "/" + k.Kind
}

// Compare orders keys by group, kind, namespace and name.
func (k Key) Compare(o Key) int {
	return cmp.Or(strings.Compare(k.Group, o.Group), strings.Compare(k.Kind, o.Kind), strings.Compare(k.Namespace, o.Namespace), strings.Compare(k.Name, o.Name))
}

// Group returns the group of an apiVersion: what is before the slash, and nothing in the core group.
func Group(apiVersion string) string {
	group, _, found := strings.Cut(apiVersion, "/")
	if !found {
		return ""
	}
	return group
}

// aliases are kinds that the API server stores under another group than their old one.
var aliases = map[Kind]string{
	{"extensions", "Deployment"}:                         "apps",
	{"extensions", "DaemonSet"}:                          "apps",
	{"extensions", "ReplicaSet"}:                         "apps",
	{"extensions", "Ingress"}:                            "networking.k8s.io",
	{"extensions", "NetworkPolicy"}:                      "networking.k8s.io",
	{"extensions", "PodSecurityPolicy"}:                  "policy",
	{"", "Event"}:                                        "events.k8s.io",
	{"authorization.openshift.io", "Role"}:               "rbac.authorization.k8s.io",
	{"authorization.openshift.io", "RoleBinding"}:        "rbac.authorization.k8s.io",
	{"authorization.openshift.io", "ClusterRole"}:        "rbac.authorization.k8s.io",
	{"authorization.openshift.io", "ClusterRoleBinding"}: "rbac.authorization.k8s.io",
}

// Canonical returns the key under which the API server stores the object. Argo CD knows this of live objects only, and takes two
// manifests under two such groups for two objects.
func (k Key) Canonical() Key {
	if group, ok := aliases[k.GroupKind()]; ok {
		k.Group = group
	}
	return k
}
