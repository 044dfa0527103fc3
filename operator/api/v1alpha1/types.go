// Package v1alpha1 holds the operator's resources: TelegrafClass, for the pods of its own namespace, and ClusterTelegrafClass, for
// the pods of all namespaces. Both carry the same specification and status.
//
// The files of deepcopy functions and of resource definitions are generated: run go generate after a change.
//
// +groupName=holdfast.dev
// +kubebuilder:object:generate=true
package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

//go:generate go run sigs.k8s.io/controller-tools/cmd/controller-gen@v0.21.0 object crd:maxDescLen=200 paths=. output:crd:dir=../../../deploy/helm/holdfast-operator/crds

// ClassSpec is a class: a part of an agent's configuration that many pods share, usually its outputs, and how their sidecars are made.
type ClassSpec struct {
	// Config is the text of the class in Telegraf's format. It is kept in a Secret of every namespace that uses the class; still,
	// whoever may read this resource may read it, so let it name credentials as $VARIABLES and give those by sidecar.env.
	// +optional
	Config string `json:"config,omitempty"`
	// ConfigSecretKeyRef is a key of a Secret in the operator's namespace that holds the text instead. Cluster-wide classes only.
	// +optional
	ConfigSecretKeyRef *SecretKeyRef `json:"configSecretKeyRef,omitempty"`
	// Sidecar is how the sidecars of the class are made. What it leaves out the operator's flags decide; a pod's annotations win.
	// +optional
	Sidecar SidecarSpec `json:"sidecar,omitempty"`
}

// SecretKeyRef is a key of a Secret in the operator's namespace.
type SecretKeyRef struct {
	// Name is the Secret's name.
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`
	// Key is the key in its data.
	// +kubebuilder:validation:MinLength=1
	Key string `json:"key"`
}

// Agent is the program in the sidecar.
// +kubebuilder:validation:Enum=telegraf;holdfast
type Agent string

// The agents.
const (
	// AgentTelegraf buffers in memory.
	AgentTelegraf Agent = "telegraf"
	// AgentHoldfast keeps what it collects in a journal on a volume.
	AgentHoldfast Agent = "holdfast"
)

// Mode is the kind of container that the sidecar is.
// +kubebuilder:validation:Enum=native;container
type Mode string

// The modes.
const (
	// ModeNative is an init container with restartPolicy Always: it starts before the pod's containers and does not keep a Job alive.
	ModeNative Mode = "native"
	// ModeContainer is an ordinary container.
	ModeContainer Mode = "container"
)

// WatchConfig is how the agent notices a change of its files.
// +kubebuilder:validation:Enum=notify;poll;off
type WatchConfig string

// The ways of watching.
const (
	WatchNotify WatchConfig = "notify"
	WatchPoll   WatchConfig = "poll"
	WatchOff    WatchConfig = "off"
)

// SidecarSpec is how a sidecar is made.
type SidecarSpec struct {
	// Agent is the program in the sidecar.
	// +optional
	Agent Agent `json:"agent,omitempty"`
	// Image of the sidecar. Pin it by digest.
	// +optional
	Image string `json:"image,omitempty"`
	// ImagePullPolicy as of any container.
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	// +optional
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`
	// Mode is the kind of container. Native where the API server knows it, unless said otherwise.
	// +optional
	Mode Mode `json:"mode,omitempty"`
	// WatchConfig is how the agent notices a change of its files; notify without it. Telegraf polls in either case.
	// +optional
	WatchConfig WatchConfig `json:"watchConfig,omitempty"`
	// Resources of the sidecar. Each request and limit that is named replaces the operator's.
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitempty"`
	// SecurityContext replaces the operator's, which meets the Pod Security Standard "restricted".
	// +optional
	SecurityContext *corev1.SecurityContext `json:"securityContext,omitempty"`
	// Env are variables of the sidecar, for $VARIABLES in the text of the class.
	// +optional
	Env []corev1.EnvVar `json:"env,omitempty"`
	// EnvFrom are Secrets and ConfigMaps of the pod's namespace whose keys become variables of the sidecar.
	// +optional
	EnvFrom []corev1.EnvFromSource `json:"envFrom,omitempty"`
	// HealthPort makes the agent answer on this port of the pod, and adds a startup and a liveness probe that ask it. 0 is no probe.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	// +optional
	HealthPort int32 `json:"healthPort,omitempty"`
	// Buffer is where the agent holdfast keeps its journal.
	// +optional
	Buffer *Buffer `json:"buffer,omitempty"`
}

// Buffer is where the agent holdfast keeps its journal: a volume of the pod, or an emptyDir that lives as long as the pod.
type Buffer struct {
	// Volume is the name of a volume of the pod, such as one of a StatefulSet's claims; without it, an emptyDir is added.
	// +optional
	Volume string `json:"volume,omitempty"`
	// Size bounds the journal, in bytes as a quantity.
	// +optional
	Size *resource.Quantity `json:"size,omitempty"`
}

// ClassStatus is what became of a class.
type ClassStatus struct {
	// ObservedGeneration is the generation that the conditions speak of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Hash names the text in use: the last one that passed its checks. Pods that have it carry it in the label class.holdfast.dev/<class>.
	// +optional
	Hash string `json:"hash,omitempty"`
	// Namespaces is the number of namespaces that the text is delivered to.
	// +kubebuilder:default=0
	// +optional
	Namespaces int32 `json:"namespaces"`
	// Pods is the number of pods with a sidecar of the class.
	// +kubebuilder:default=0
	// +optional
	Pods int32 `json:"pods"`
	// CurrentPods is the number of those to which the text in use was delivered.
	// +kubebuilder:default=0
	// +optional
	CurrentPods int32 `json:"currentPods"`
	// Conditions: Valid says whether the newest text passed its checks, and if not, why.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ConditionValid is the condition that says whether the newest text of a class passed its checks.
const ConditionValid = "Valid"

// TelegrafClass is a class for the pods of its namespace. It wins over a ClusterTelegrafClass of its name.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=tc,categories=holdfast
// +kubebuilder:printcolumn:name="Valid",type=string,JSONPath=`.status.conditions[?(@.type=="Valid")].status`
// +kubebuilder:printcolumn:name="Hash",type=string,JSONPath=`.status.hash`
// +kubebuilder:printcolumn:name="Pods",type=integer,JSONPath=`.status.pods`
// +kubebuilder:printcolumn:name="Current",type=integer,JSONPath=`.status.currentPods`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Valid")].message`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63",message="a class's name has at most 63 characters: it is part of a label"
// +kubebuilder:validation:XValidation:rule="!has(self.spec.configSecretKeyRef)",message="configSecretKeyRef is for ClusterTelegrafClass; name credentials as $VARIABLES and give them by sidecar.env"
type TelegrafClass struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   ClassSpec   `json:"spec"`
	Status ClassStatus `json:"status,omitempty"`
}

// TelegrafClassList is a list of classes.
//
// +kubebuilder:object:root=true
type TelegrafClassList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []TelegrafClass `json:"items"`
}

// ClusterTelegrafClass is a class for the pods of all namespaces.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=ctc,categories=holdfast
// +kubebuilder:printcolumn:name="Valid",type=string,JSONPath=`.status.conditions[?(@.type=="Valid")].status`
// +kubebuilder:printcolumn:name="Hash",type=string,JSONPath=`.status.hash`
// +kubebuilder:printcolumn:name="Namespaces",type=integer,JSONPath=`.status.namespaces`
// +kubebuilder:printcolumn:name="Pods",type=integer,JSONPath=`.status.pods`
// +kubebuilder:printcolumn:name="Current",type=integer,JSONPath=`.status.currentPods`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Valid")].message`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63",message="a class's name has at most 63 characters: it is part of a label"
// +kubebuilder:validation:XValidation:rule="!(has(self.spec.config) && has(self.spec.configSecretKeyRef))",message="give config or configSecretKeyRef, not both"
type ClusterTelegrafClass struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   ClassSpec   `json:"spec"`
	Status ClassStatus `json:"status,omitempty"`
}

// ClusterTelegrafClassList is a list of cluster-wide classes.
//
// +kubebuilder:object:root=true
type ClusterTelegrafClassList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterTelegrafClass `json:"items"`
}
