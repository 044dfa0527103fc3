package object

// Scopes says which kinds live in a namespace. The zero value knows the kinds that Kubernetes itself and Argo CD bring.
type Scopes struct {
	// Custom has the kinds of CustomResourceDefinitions and of the settings: true where the kind is namespaced.
	Custom map[Kind]bool
}

// clusterScoped are the kinds of Kubernetes that live in no namespace.
var clusterScoped = map[Kind]bool{
	{"", "Namespace"}: true, {"", "Node"}: true, {"", "PersistentVolume"}: true, {"", "ComponentStatus"}: true,
	{"admissionregistration.k8s.io", "MutatingWebhookConfiguration"}:     true,
	{"admissionregistration.k8s.io", "ValidatingWebhookConfiguration"}:   true,
	{"admissionregistration.k8s.io", "ValidatingAdmissionPolicy"}:        true,
	{"admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"}: true,
	{"admissionregistration.k8s.io", "MutatingAdmissionPolicy"}:          true,
	{"admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"}:   true,
	{"apiextensions.k8s.io", "CustomResourceDefinition"}:                 true,
	{"apiregistration.k8s.io", "APIService"}:                             true,
	{"certificates.k8s.io", "CertificateSigningRequest"}:                 true,
	{"certificates.k8s.io", "ClusterTrustBundle"}:                        true,
	{"flowcontrol.apiserver.k8s.io", "FlowSchema"}:                       true,
	{"flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"}:       true,
	{"internal.apiserver.k8s.io", "StorageVersion"}:                      true,
	{"networking.k8s.io", "IngressClass"}:                                true,
	{"networking.k8s.io", "IPAddress"}:                                   true,
	{"networking.k8s.io", "ServiceCIDR"}:                                 true,
	{"node.k8s.io", "RuntimeClass"}:                                      true,
	{"policy", "PodSecurityPolicy"}:                                      true,
	{"extensions", "PodSecurityPolicy"}:                                  true,
	{"rbac.authorization.k8s.io", "ClusterRole"}:                         true,
	{"rbac.authorization.k8s.io", "ClusterRoleBinding"}:                  true,
	{"authorization.openshift.io", "ClusterRole"}:                        true,
	{"authorization.openshift.io", "ClusterRoleBinding"}:                 true,
	{"resource.k8s.io", "DeviceClass"}:                                   true,
	{"resource.k8s.io", "ResourceSlice"}:                                 true,
	{"scheduling.k8s.io", "PriorityClass"}:                               true,
	{"storage.k8s.io", "CSIDriver"}:                                      true,
	{"storage.k8s.io", "CSINode"}:                                        true,
	{"storage.k8s.io", "StorageClass"}:                                   true,
	{"storage.k8s.io", "VolumeAttachment"}:                               true,
	{"storage.k8s.io", "VolumeAttributesClass"}:                          true,
	{"storagemigration.k8s.io", "StorageVersionMigration"}:               true,
}

// Namespaced says whether a kind lives in a namespace. Of kinds it does not know it says yes, as Argo CD does.
func (s Scopes) Namespaced(k Kind) bool {
	if namespaced, ok := s.Custom[k]; ok {
		return namespaced
	}
	return !clusterScoped[k]
}

// Normalise returns the key as Argo CD compares it: a namespaced object without a namespace is in the application's destination namespace,
// and an object of the cluster is in none.
func (s Scopes) Normalise(k Key, destination string) Key {
	switch {
	case !s.Namespaced(k.GroupKind()):
		k.Namespace = ""
	case k.Namespace == "":
		k.Namespace = destination
	}
	return k
}
