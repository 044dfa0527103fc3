package state

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
)

// ConfigMap keeps the record in a ConfigMap, for instances in a cluster. Its revision is the object's resourceVersion. One without a record
// in it is as good as none: whoever installs the service makes it, so that the service needs no right to make ConfigMaps, which has no name.
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
	record, there := m.BinaryData[recordKey]
	if !there {
		return nil, "", nil
	}
	return record, m.ResourceVersion, nil
}

// Save implements Store.
func (c *ConfigMap) Save(ctx context.Context, record []byte, before string) (string, error) {
	if len(record) > MaxSize {
		return "", fmt.Errorf("the state would have %d bytes: at most %d are allowed", len(record), MaxSize)
	}
	made, err := c.write(ctx, record, before)
	switch {
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), apierrors.IsNotFound(err) && before != "":
		return "", fmt.Errorf("%w: %w", ErrConflict, err)
	case errors.Is(err, ErrConflict):
		return "", err
	case err != nil:
		return "", fmt.Errorf("writing the state: %w", err)
	}
	return made.ResourceVersion, nil
}

// write makes the object, or replaces the record in it and keeps what others wrote, such as labels.
func (c *ConfigMap) write(ctx context.Context, record []byte, before string) (*corev1.ConfigMap, error) {
	content := map[string][]byte{recordKey: record}
	m, err := c.Client.Get(ctx, c.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && before == "" {
		return c.Client.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: c.Name}, BinaryData: content}, metav1.CreateOptions{})
	}
	if err != nil {
		return nil, err
	}
	if before != "" {
		m.ResourceVersion = before
	} else if _, there := m.BinaryData[recordKey]; there {
		return nil, fmt.Errorf("%w: the ConfigMap %s has a record", ErrConflict, c.Name)
	}
	m.BinaryData = content
	return c.Client.Update(ctx, m, metav1.UpdateOptions{})
}
