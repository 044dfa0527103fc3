package deliver

import (
	"context"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

// carrier writes and reads one kind of object that texts are delivered in. What is the same of all kinds, the metadata, is the
// controller's; see objectMeta.
type carrier interface {
	// apply makes the object have these texts, by the names of their files, and no others. The version is nil when the API server told none.
	apply(ctx context.Context, to client.Client, meta *applymetav1.ObjectMetaApplyConfiguration, texts map[string][]byte) (version *string, err error)
	// texts are what the object has.
	texts(ctx context.Context, from client.Reader, key client.ObjectKey) (map[string][]byte, error)
}

func carrierOf(o sidecar.ClassesObject) carrier {
	if o == sidecar.InConfigMap {
		return configMaps{}
	}
	return secrets{}
}

// maxObject is the API server's bound for the values of an object of either kind together, in bytes.
const maxObject = corev1.MaxSecretSize

// objectMeta asks a client for the metadata alone of an object that texts are delivered in.
func objectMeta(of sidecar.ClassesObject) *metav1.PartialObjectMetadata {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(string(of)))
	return o
}

type secrets struct{}

func (secrets) apply(ctx context.Context, to client.Client, meta *applymetav1.ObjectMetaApplyConfiguration, texts map[string][]byte) (version *string, err error) {
	o := applycorev1.Secret("", "").WithType(corev1.SecretTypeOpaque).WithData(texts)
	o.ObjectMetaApplyConfiguration = meta
	err = to.Apply(ctx, o, client.FieldOwner(FieldOwner), client.ForceOwnership)
	return o.ResourceVersion, err
}

func (secrets) texts(ctx context.Context, from client.Reader, key client.ObjectKey) (map[string][]byte, error) {
	o := &corev1.Secret{}
	err := from.Get(ctx, key, o)
	return o.Data, err
}

// configMaps has a text that is not UTF-8, which a ConfigMap's data cannot hold, in binaryData: volumes have both as files.
type configMaps struct{}

func (configMaps) apply(ctx context.Context, to client.Client, meta *applymetav1.ObjectMetaApplyConfiguration, texts map[string][]byte) (version *string, err error) {
	o := applycorev1.ConfigMap("", "")
	for file, text := range texts {
		if utf8.Valid(text) {
			o.WithData(map[string]string{file: string(text)})
		} else {
			o.WithBinaryData(map[string][]byte{file: text})
		}
	}
	o.ObjectMetaApplyConfiguration = meta
	err = to.Apply(ctx, o, client.FieldOwner(FieldOwner), client.ForceOwnership)
	return o.ResourceVersion, err
}

func (configMaps) texts(ctx context.Context, from client.Reader, key client.ObjectKey) (map[string][]byte, error) {
	o := &corev1.ConfigMap{}
	err := from.Get(ctx, key, o)
	texts := map[string][]byte{}
	for file, text := range o.Data {
		texts[file] = []byte(text)
	}
	for file, text := range o.BinaryData {
		texts[file] = text
	}
	return texts, err
}
