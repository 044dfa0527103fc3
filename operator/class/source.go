package class

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
)

// Raw is a class as its source has it, before any check. The registry keeps the text and does not change it.
type Raw struct {
	Text    []byte
	Sidecar v1alpha1.SidecarSpec
	// Source says for people where the text is from.
	Source string
	// Generation is that of the resource; 0 for others.
	Generation int64
	// Object is what events about the class are attached to, if it is a resource.
	Object *corev1.ObjectReference
	// Err is why the text could not be read. The other classes of the source are not affected.
	Err error
}

// Source is where classes come from. No two sources of a registry have classes of the same kind.
type Source interface {
	// Kinds are the kinds of its classes.
	Kinds() []Kind
	// Run reports all classes once it knows them, again whenever one of them changed, and returns when ctx ends. What is not in a report
	// is gone; a source that cannot read at all does not report. An error means that the source cannot do its work at all.
	Run(ctx context.Context, report func(map[Key]Raw)) error
}
