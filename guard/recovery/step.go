package recovery

import (
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Action is what a step does.
type Action string

// The actions.
const (
	Scale      Action = "scale"      // sets the replicas of a workload that is there
	PauseSync  Action = "pauseSync"  // takes automated sync from an Application
	ResumeSync Action = "resumeSync" // gives it back
	RetainAll  Action = "retain"     // sets the reclaim policy of a volume, or of all volumes, to Retain
	Quiet      Action = "quiet"      // waits until claims and sets have not changed for a time
	Export     Action = "export"     // takes a snapshot beside the plan
	Assess     Action = "assess"     // compares the volumes with the plan
	Namespace  Action = "namespace"  // makes a namespace, once the one before is gone
	Recreate   Action = "recreate"   // makes a volume's object for a disk that is there
	AwaitKeys  Action = "secret"     // waits for a Secret that somebody else makes
	Rebind     Action = "rebind"     // binds a claim to its volume
	Restored   Action = "restored"   // waits for claims that a person restored by other means
	Apply      Action = "apply"      // applies a manifest and waits until what it made is ready
	Confirm    Action = "confirm"    // is a person's word
	Close      Action = "close"      // verifies the whole
)

// Ref names an object.
type Ref struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
}

func (r Ref) String() string {
	if r.Namespace == "" {
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

// key is the identity of the object: the version is no part of it.
func (r Ref) key() string {
	return schema.FromAPIVersionAndKind(r.APIVersion, r.Kind).GroupKind().String() + "|" + r.Namespace + "|" + r.Name
}

// Step is one step of a plan.
type Step struct {
	ID     string `json:"id"`
	Action Action `json:"action"`
	Object *Ref   `json:"object,omitempty"`
	// Digest is that of the manifest that is applied.
	Digest string `json:"digest,omitempty"`
	// Replicas is how many a workload gets. Exactly makes more of them wrong too.
	Replicas *int64 `json:"replicas,omitempty"`
	Exactly  bool   `json:"exactly,omitempty"`
	// Was is how many it had.
	Was *int64 `json:"was,omitempty"`
	// WithoutProbes applies the manifest without probes.
	WithoutProbes bool `json:"withoutProbes,omitempty"`
	// Suspended applies a CronJob or Job that does not start.
	Suspended bool `json:"suspended,omitempty"`
	// Automated is the automated sync that an Application had.
	Automated map[string]any `json:"automated,omitempty"`
	// Claims are the namespaces and names of those that must be bound before.
	Claims []string `json:"claims,omitempty"`
	// Claim is what Rebind makes.
	Claim *Claim `json:"claim,omitempty"`
	// Volume is that of Recreate, Spec its specification.
	Volume string         `json:"volume,omitempty"`
	Spec   map[string]any `json:"spec,omitempty"`
	// Keys are those that a Secret must have.
	Keys []string `json:"keys,omitempty"`
	// Check is a command that must end well afterwards; it is repeated until it does.
	Check []string `json:"check,omitempty"`
	// For is how long Quiet wants it quiet.
	For string `json:"for,omitempty"`
	// Question is one that must be answered before. A step whose answer is not among When has nothing to do.
	Question string   `json:"question,omitempty"`
	When     []string `json:"when,omitempty"`
	// Until is the step that undoes this one.
	Until string `json:"until,omitempty"`
	// Timeout is how long it may take to come true.
	Timeout string `json:"timeout"`
	// Parallel steps of the same name may run beside each other.
	Parallel string `json:"parallel,omitempty"`

	// For people.
	Before  string `json:"precondition"`
	After   string `json:"postcondition"`
	Abort   string `json:"abort"`
	Decides string `json:"decides"`
}

// Claim is one that is made for a volume.
type Claim struct {
	Namespace   string            `json:"namespace"`
	Name        string            `json:"name"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	// Request is the size asked for; empty asks for the volume's whole capacity.
	Request string `json:"request,omitempty"`
	// Volumes are those that it may be bound to: one, or those that the question's answer is chosen from.
	Volumes []Candidate `json:"volumes"`
}

// Candidate is a volume that a claim may be bound to, as it was when the plan was made.
type Candidate struct {
	Volume   string   `json:"volume"`
	Handle   string   `json:"handle"`
	ClaimUID string   `json:"claimUID,omitempty"` // of the claim that it was bound to
	Capacity string   `json:"capacity"`
	Class    string   `json:"class"`
	Modes    []string `json:"accessModes"`
	Mode     string   `json:"volumeMode"`
}

func (s *Step) check() error {
	var errs []error
	fail := func(what string) { errs = append(errs, fmt.Errorf("step %s (%s): %s", s.ID, s.Action, what)) }
	switch s.Action {
	case Scale:
		if s.Object == nil || s.Replicas == nil || *s.Replicas < 0 {
			fail("it names no object or no replicas")
		}
	case PauseSync, ResumeSync, Namespace, AwaitKeys:
		if s.Object == nil {
			fail("it names no object")
		}
	case Apply:
		if s.Object == nil || s.Digest == "" {
			fail("it names no object or no digest of its manifest")
		}
	case Recreate:
		if s.Volume == "" || len(s.Spec) == 0 {
			fail("it names no volume or no specification")
		}
	case Rebind:
		if s.Claim == nil || s.Claim.Namespace == "" || s.Claim.Name == "" || len(s.Claim.Volumes) == 0 {
			fail("it names no claim or no volume")
		} else if len(s.Claim.Volumes) > 1 && s.Question == "" {
			fail("it has several volumes and no question")
		}
	case Quiet:
		if _, err := time.ParseDuration(s.For); err != nil {
			fail("for: " + err.Error())
		}
	case Confirm:
		if s.Question == "" {
			fail("it has no question")
		}
	case Restored:
		if len(s.Claims) == 0 {
			fail("it names no claims")
		}
	case RetainAll, Export, Assess, Close:
	default:
		fail("there is no such action")
	}
	if _, err := time.ParseDuration(s.Timeout); err != nil {
		fail("timeout: " + err.Error())
	}
	return errors.Join(errs...)
}

func (s *Step) timeout() time.Duration {
	d, _ := time.ParseDuration(s.Timeout) // checked when the plan was read
	return d
}

func (s *Step) quietFor() time.Duration {
	d, _ := time.ParseDuration(s.For) // checked when the plan was read
	return d
}
