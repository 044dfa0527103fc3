package sync

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/holdfast-telemetry/holdfast/trust/keylist"
)

// Memory keeps, in a ConfigMap, what a cluster accepted. Whoever may write it can make the cluster accept an older list, so it is in the
// agent's namespace and nobody else needs a right to it.
type Memory struct {
	Client typedcorev1.ConfigMapInterface
	Name   string
}

// Entries of the ConfigMap.
const (
	seenKey   = "seen"      // JSON of keylist.Seen
	listKey   = "list.json" // the envelope in force
	statusKey = "status"    // for people: what the last poll said
)

// accepted is what a cluster has accepted.
type accepted struct {
	seen     keylist.Seen
	envelope []byte
	status   string
	object   *corev1.ConfigMap // nil as long as there is none
}

func (m *Memory) load(ctx context.Context) (*accepted, error) {
	o, err := m.Client.Get(ctx, m.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return &accepted{seen: keylist.Seen{}}, nil
	}
	if err != nil {
		return nil, err
	}
	a := &accepted{seen: keylist.Seen{}, envelope: []byte(o.Data[listKey]), status: o.Data[statusKey], object: o}
	if text := o.Data[seenKey]; text != "" {
		if err := json.Unmarshal([]byte(text), &a.seen); err != nil {
			return nil, fmt.Errorf("the entry %s of the ConfigMap %s: %w", seenKey, m.Name, err)
		}
	}
	return a, nil
}

func (m *Memory) save(ctx context.Context, a *accepted) error {
	seen, err := json.Marshal(a.seen)
	if err != nil {
		return err
	}
	data := map[string]string{seenKey: string(seen), listKey: string(a.envelope), statusKey: a.status}
	if a.object == nil {
		// By its name, which a rule of RBAC can ask for, and not by POST, which has none.
		made := (&applycorev1.ConfigMapApplyConfiguration{}).WithKind("ConfigMap").WithAPIVersion("v1").WithName(m.Name).WithData(data)
		a.object, err = m.Client.Apply(ctx, made, metav1.ApplyOptions{FieldManager: manager})
		return err
	}
	o := a.object.DeepCopy()
	o.Data = data
	a.object, err = m.Client.Update(ctx, o, metav1.UpdateOptions{})
	return err
}
