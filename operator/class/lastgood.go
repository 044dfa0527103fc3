package class

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/holdfast-telemetry/holdfast/operator/agent"
	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
)

// LastGood keeps the last good texts in one Secret of the operator's namespace. A text is a value there, as gzip of JSON with the fields
// text (base64), sidecar, uid and sure. Its key is namespace.NAMESPACE.NAME, cluster.NAME, secret.NAME or directory.NAME; as a
// namespace's name has no dot in it, no two classes have the same.
//
// A Secret carries at most 1 MiB, which is some 5 MiB of texts. When there are more, the smallest are kept and the others counted in
// holdfast_operator_last_good_dropped: those classes have no last good text after the operator was started anew.
type LastGood struct {
	// Secrets are those of the operator's namespace, past any cache.
	Secrets typedcorev1.SecretInterface
	Name    string
	Logger  *slog.Logger
	// Batch is how long changes are waited for to come together; Retry the time after a failed write.
	Batch, Retry time.Duration

	dropped prometheus.Gauge
}

// The owner of the Secret's fields, as of everything that the operator writes.
const fieldOwner = "holdfast-operator"

// maxLastGood leaves room for keys below the 1 MiB (1,048,576 bytes) that the API server allows for a Secret's values.
const maxLastGood = 1<<20 - 32<<10

// NewLastGood returns a store in the Secret of that name. registerer may be nil.
func NewLastGood(secrets typedcorev1.SecretInterface, name string, logger *slog.Logger, registerer prometheus.Registerer) *LastGood {
	dropped := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "holdfast_operator_last_good_dropped", Help: "Last good texts that have no room in the Secret that keeps them.",
	})
	if registerer != nil {
		registerer.MustRegister(dropped)
	}
	return &LastGood{Secrets: secrets, Name: name, Logger: logger, Batch: 2 * time.Second, Retry: 15 * time.Second, dropped: dropped}
}

// kept is one value.
type kept struct {
	Text    []byte               `json:"text"`
	Sidecar v1alpha1.SidecarSpec `json:"sidecar"`
	UID     types.UID            `json:"uid,omitempty"`
	Sure    bool                 `json:"sure"`
	Gone    bool                 `json:"-"`
}

// Load reads the texts, for Registry.Load. A Secret that is not there holds none; a value that cannot be read is logged and left out.
func (s *LastGood) Load(ctx context.Context) (map[Key]Good, error) {
	secret, err := s.Secrets.Get(ctx, s.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the last good classes: %w", err)
	}
	good := map[Key]Good{}
	for name, value := range secret.Data {
		key, err := decodeKey(name)
		var k kept
		if err == nil {
			k, err = decodeKept(value)
		}
		if err != nil {
			s.Logger.Warn("a last good text cannot be read", "secret", s.Name, "key", name, "error", err)
			continue
		}
		good[key] = Good(k)
	}
	return good, nil
}

// Run writes the texts of the registry whenever they changed, until ctx ends. Only one replica runs it: the leader.
func (s *LastGood) Run(ctx context.Context, r *Registry) error {
	changes := newBatch(s.Batch)
	defer r.Subscribe(func([]Key) { changes.changed() })()
	select {
	case <-ctx.Done():
		return nil
	case <-r.Synced():
	}
	for {
		var again <-chan time.Time
		if err := s.Save(ctx, r.Good()); err != nil && ctx.Err() == nil {
			s.Logger.Error("the last good texts could not be kept", "error", err)
			again = time.After(s.Retry)
		}
		if !changes.wait(ctx, again) {
			return nil
		}
	}
}

// Save writes the texts if the Secret does not hold just these.
func (s *LastGood) Save(ctx context.Context, good map[Key]Good) error {
	data, left, err := encode(good)
	if err != nil {
		return fmt.Errorf("keep the last good classes: %w", err)
	}
	s.dropped.Set(float64(len(left)))
	if len(left) > 0 {
		s.Logger.Warn("there is no room to keep all last good texts beyond the operator's life", "secret", s.Name, "left_out", len(left), "last", left[len(left)-1].String())
	}
	secret, err := s.Secrets.Get(ctx, s.Name, metav1.GetOptions{})
	switch {
	case err == nil && maps.EqualFunc(secret.Data, data, bytes.Equal):
		return nil
	case err != nil && !apierrors.IsNotFound(err):
		return fmt.Errorf("keep the last good classes: %w", err)
	case err != nil && len(data) == 0:
		return nil
	}
	apply := applycorev1.Secret(s.Name, "").WithLabels(map[string]string{"app.kubernetes.io/managed-by": fieldOwner}).WithData(data)
	apply.Namespace = nil
	if _, err := s.Secrets.Apply(ctx, apply, metav1.ApplyOptions{FieldManager: fieldOwner, Force: true}); err != nil {
		return fmt.Errorf("keep the last good classes: %w", err)
	}
	return nil
}

// encode is the Secret's data, and the keys for which there is no room. Classes that are gone come after those that are there, and the
// larger ones after the smaller.
func encode(good map[Key]Good) (map[string][]byte, []Key, error) {
	values := make(map[Key][]byte, len(good))
	for key, g := range good {
		var buf bytes.Buffer
		z := gzip.NewWriter(&buf)
		if err := errors.Join(json.NewEncoder(z).Encode(kept(g)), z.Close()); err != nil {
			return nil, nil, err
		}
		values[key] = buf.Bytes()
	}
	rank := func(k Key) int {
		if good[k].Gone {
			return 1
		}
		return 0
	}
	order := slices.SortedFunc(maps.Keys(values), func(a, b Key) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(len(values[a]), len(values[b])), compareKeys(a, b))
	})
	data, size := map[string][]byte{}, 0
	for i, key := range order {
		name := encodeKey(key)
		if size += len(name) + len(values[key]); size > maxLastGood {
			return data, order[i:], nil
		}
		data[name] = values[key]
	}
	return data, nil, nil
}

func decodeKept(value []byte) (kept, error) {
	var k kept
	z, err := gzip.NewReader(bytes.NewReader(value))
	if err != nil {
		return k, err
	}
	err = json.NewDecoder(io.LimitReader(z, 4*agent.MaxText)).Decode(&k)
	return k, err
}

func encodeKey(k Key) string {
	switch k.Kind {
	case KindTelegrafClass:
		return "namespace." + k.Namespace + "." + k.Name
	case KindClusterTelegrafClass:
		return "cluster." + k.Name
	case KindSecret:
		return "secret." + k.Name
	}
	return "directory." + k.Name
}

func decodeKey(name string) (Key, error) {
	kind, rest, _ := strings.Cut(name, ".")
	key := Key{Name: rest}
	switch kind {
	case "namespace":
		key.Kind = KindTelegrafClass
		key.Namespace, key.Name, _ = strings.Cut(rest, ".")
	case "cluster":
		key.Kind = KindClusterTelegrafClass
	case "secret":
		key.Kind = KindSecret
	case "directory":
		key.Kind = KindDirectory
	default:
		return key, fmt.Errorf("%q is not the key of a class", name)
	}
	return key, ValidName(key.Name)
}
