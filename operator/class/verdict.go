package class

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Reason is why a class is valid or not, in one word: the reason of the resource's condition and of the event.
type Reason string

// The reasons.
const (
	// ReasonAccepted is that the newest text passed every check that there is.
	ReasonAccepted Reason = "Accepted"
	// ReasonNotChecked is that the text passed the built-in check, and the agent's could not be asked.
	ReasonNotChecked Reason = "NotChecked"
	// ReasonPartlyChecked is that the agent had nothing against the text, and could not judge what only the pod has: a file, a variable.
	ReasonPartlyChecked Reason = "PartlyChecked"
	// ReasonChecking is that the newest text waits for the agent's answer. It is neither reported nor logged.
	ReasonChecking Reason = "Checking"
	// ReasonSyntaxError is that the built-in check refused the text.
	ReasonSyntaxError Reason = "SyntaxError"
	// ReasonRefusedByAgent is that the agent's own check refused it.
	ReasonRefusedByAgent Reason = "RefusedByAgent"
	// ReasonInvalidName is that no class may have that name.
	ReasonInvalidName Reason = "InvalidName"
	// ReasonUnreadable is that the text could not be read, such as from a Secret that is not there.
	ReasonUnreadable Reason = "Unreadable"
)

// What checked a text.
const (
	CheckedBySyntax = "syntax"
	CheckedByAgent  = "agent"
)

// Verdict is what became of the newest text of a class. Where it is not valid, the last good text is still in use, if there is one.
type Verdict struct {
	Key    Key
	Source string
	Valid  bool
	Reason Reason
	// Message is for the author: where the text is wrong and what to do.
	Message string
	// Warning is about a text that is valid and still most likely not what is meant.
	Warning string
	// Hash is that of the newest text; "" when it could not be read.
	Hash string
	// InUse is the hash of the text in use, which is the last good one; "" when there is none.
	InUse string
	// CheckedBy is CheckedBySyntax or CheckedByAgent: what the last word on the text is from.
	CheckedBy string
	// Generation is that of the resource that the verdict speaks of; 0 for classes that are no resource.
	Generation int64
	// Object is the resource, if the class is one.
	Object *corev1.ObjectReference
	// Time is since when the verdict is this one.
	Time time.Time
}

// same is whether two verdicts say the same, at whatever time.
func (v Verdict) same(w Verdict) bool {
	return v.Valid == w.Valid && v.Reason == w.Reason && v.Message == w.Message && v.Warning == w.Warning && v.Hash == w.Hash && v.InUse == w.InUse &&
		v.CheckedBy == w.CheckedBy && v.Generation == w.Generation && v.Source == w.Source
}
