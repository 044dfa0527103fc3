//go:build peers

// Package peers names the commands of a Kubernetes 1.36.3 control plane and of the etcd that it requires, so that this
// module's go.sum covers them. It is never compiled. Nothing else may be required here: whatever raises a version that
// Kubernetes pins makes it another control plane than the released one.
package peers

import (
	etcd "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kube-scheduler"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
