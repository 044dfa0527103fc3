package class

import (
	"bytes"
	"crypto/sha256"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
)

// Good is a last good text as it is kept beyond the life of the process.
type Good struct {
	Text    []byte
	Sidecar v1alpha1.SidecarSpec
	// UID is that of the resource that the text is from: a resource that is deleted and made anew by somebody else does not inherit it.
	UID types.UID
	// Sure is whether every check that there was had passed.
	Sure bool
	// Gone is that no source has the class any more: running pods alone have the text.
	Gone bool
}

// entry is what the evaluator knows of one class. Only the goroutine of Run has it.
type entry struct {
	key     Key
	present bool
	goneAt  time.Time
	source  string
	uid     types.UID
	object  *corev1.ObjectReference

	// The newest report. seen is false when it could not be read, or there was none.
	seen       bool
	sum        [sha256.Size]byte
	hash       string
	text       *Class // what was reported, when it passed the built-in check and waits for the agent's answer; else nil
	sidecar    v1alpha1.SidecarSpec
	generation int64
	attempts   int
	due        time.Time

	// good is in use. sure is that nothing is left to ask about it; while it is not, fallback is the one before it that was.
	good     *Class
	sure     bool
	fallback *Class

	verdict Verdict
}

// identify notes which object the class now is, and drops what was good of another object of the same name.
func (e *entry) identify(object *corev1.ObjectReference) {
	e.object = object
	if object == nil || object.UID == "" {
		return
	}
	if e.uid != "" && e.uid != object.UID {
		e.good, e.sure, e.fallback = nil, false, nil
	}
	e.uid = object.UID
}

// accept puts a class in use. sure is whether every check passed.
func (e *entry) accept(c *Class, sure bool) {
	if !sure && e.sure && sameClass(e.good, c) {
		return // it passed them all when it was first used
	}
	switch {
	case sure:
		e.fallback = nil
	case e.sure:
		e.fallback = e.good
	}
	e.good, e.sure = c, sure
}

// refuse takes a class out of use again if it had come into use unchecked.
func (e *entry) refuse(c *Class) {
	if !e.sure && sameClass(e.good, c) {
		e.good, e.sure, e.fallback = e.fallback, e.fallback != nil, nil
	}
}

func sameClass(a, b *Class) bool {
	return a != nil && b != nil && bytes.Equal(a.Text, b.Text) && equality.Semantic.DeepEqual(a.Sidecar, b.Sidecar)
}

// inUse is the hash of the text in use.
func (e *entry) inUse() string {
	if e.good == nil {
		return ""
	}
	return e.good.Hash
}
