package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of the operator's resources.
var GroupVersion = schema.GroupVersion{Group: "holdfast.dev", Version: "v1alpha1"}

// AddToScheme makes a scheme know the operator's resources.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &TelegrafClass{}, &TelegrafClassList{}, &ClusterTelegrafClass{}, &ClusterTelegrafClassList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
