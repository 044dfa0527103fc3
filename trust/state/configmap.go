package state

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
)

// ConfigMap keeps the record in a ConfigMap, for instances in a cluster. Its revision is the object's resourceVersion.
type ConfigMap struct {
	Client typedcorev1.ConfigMapInterface
	Name   string
}

// recordKey is the entry of the ConfigMap.
const recordKey = "record"

// Load implements Store.
func (c *ConfigMap) Load(ctx context.Context) ([]byte, string, error) {
	m, err := c.Client.Get(ctx, c.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("reading the state: %w", err)
	}
	return m.BinaryData[recordKey], m.ResourceVersion, nil
}

// Save implements Store.
func (c *ConfigMap) Save(ctx context.Context, record []byte, before string) (string, error) {
	if len(record) > MaxSize {
		return "", fmt.Errorf("the state would have %d bytes: at most %d are allowed", len(record), MaxSize)
	}
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: c.Name, ResourceVersion: before}, BinaryData: map[string][]byte{recordKey: record}}
	write := c.update
	if before == "" {
		write = c.create
	}
	made, err := write(ctx, m)
	switch {
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), apierrors.IsNotFound(err) && before != "":
		return "", fmt.Errorf("%w: %w", ErrConflict, err)
	case err != nil:
		return "", fmt.Errorf("writing the state: %w", err)
	}
	return made.ResourceVersion, nil
}

func (c *ConfigMap) create(ctx context.Context, m *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	return c.Client.Create(ctx, m, metav1.CreateOptions{})
}

// update keeps what others wrote on the object, such as labels.
func (c *ConfigMap) update(ctx context.Context, m *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	there, err := c.Client.Get(ctx, c.Name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	there.ResourceVersion, there.BinaryData = m.ResourceVersion, m.BinaryData
	return c.Client.Update(ctx, there, metav1.UpdateOptions{})
}
