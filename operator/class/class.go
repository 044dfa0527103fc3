// Package class keeps the classes: the parts of a configuration that many sidecars share.
//
// Classes come from sources: resources of the cluster (Resources), a Secret (Secret) and a folder (Directory). Each source reports all
// that it has whenever something changed; the Registry checks what is new and answers, for a namespace and a name, with the class to use.
//
// It promises:
//
//   - A class in use has passed the built-in check, and the agent's own check too unless that could not be asked; then the verdict says
//     so, and the text is checked again until there is an answer.
//   - A text that is refused replaces nothing. The last good text stays in use, with the settings that came with it, and the author is
//     told: on the resource, as an event, in the log and in the metrics. Last good texts outlive the operator's process (LastGood).
//   - One bad class never stops another.
//   - A class that disappears is unknown to new pods from then on. Its text is kept for pods that run with it (Delivered) until Forget.
//   - Resolve takes no lock and makes no request: it is on the way of every pod that is admitted.
//
// It does not deliver texts to pods; package deliver does.
package class

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/holdfast-telemetry/holdfast/operator/agent"
	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
)

// Kind is what a class is written as.
type Kind string

// The kinds, in the order in which a name is looked for.
const (
	KindTelegrafClass        Kind = "TelegrafClass"
	KindClusterTelegrafClass Kind = "ClusterTelegrafClass"
	KindSecret               Kind = "Secret"
	KindDirectory            Kind = "Directory"
)

var kinds = []Kind{KindTelegrafClass, KindClusterTelegrafClass, KindSecret, KindDirectory}

// Key names one class among those of all sources. Namespace is set for KindTelegrafClass alone.
type Key struct {
	Kind      Kind
	Namespace string
	Name      string
}

// String is "TelegrafClass NAMESPACE/NAME" or "KIND NAME".
func (k Key) String() string {
	if k.Namespace != "" {
		return fmt.Sprintf("%s %s/%s", k.Kind, k.Namespace, k.Name)
	}
	return fmt.Sprintf("%s %s", k.Kind, k.Name)
}

// visible is whether pods of the namespace may use the class.
func (k Key) visible(namespace string) bool {
	return k.Kind != KindTelegrafClass || k.Namespace == namespace
}

// Class is a class in use. It does not change: a new text makes a new Class. Callers do not change it either.
type Class struct {
	Kind Kind
	Name string
	// Namespace is that of a TelegrafClass, and "" for classes of the whole cluster.
	Namespace string
	Text      []byte
	// Hash names the text: pods that have it carry it in a label.
	Hash string
	// Tables is what the text has, such as the names of its outputs.
	Tables agent.Tables
	// Sidecar is how the sidecars of the class are made.
	Sidecar v1alpha1.SidecarSpec
	// Source says for people where the text is from, such as "file /config/classes/default".
	Source string
	// Since is when this process first saw the text, or its settings; zero for one that an earlier process has kept.
	Since time.Time
}

// Key is the class's key.
func (c *Class) Key() Key { return Key{c.Kind, c.Namespace, c.Name} }

// FileName is the name of a class's file beside the agent, and its key in the Secret that delivers it.
func FileName(class string) string { return class + ".conf" }

// Hash is the first 10 hexadecimal digits of the SHA-256 of a text.
func Hash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:5])
}
