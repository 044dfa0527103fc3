// Package recovery brings an environment back whose objects were deleted while its disks stayed.
//
// Build reads the manifests of the last good revision, a snapshot and the live cluster, and makes a Plan: a file for people to read,
// compare and answer, in phases and steps. Apply works it off. Verify compares a cluster with it, Rehearse runs the whole of it
// against a scratch API server, Runbook prints it.
//
// What holds:
//
//   - No volume, claim, or anything else is ever deleted. Of a volume only the reclaim policy, the UID and resource version of its
//     claimRef, and one annotation are changed; each such patch fails when the volume is not as the plan says.
//   - A claim that exists is never changed. One that is bound elsewhere is a question.
//   - No set starts before each of its claims is bound to the volume that the plan names, with the claim's UID in the volume.
//   - Where two answers are possible a person gives one, in the plan, before Apply goes on. Everything up to there can be done without.
//   - Each step looks at the cluster before it acts and after. It may be run again at any time, also after it was killed half way or
//     its journal was lost.
//   - A plan is applied to the cluster that it was made for and to no other.
//
// It does not copy data, restore backups, or talk to etcd, ZooKeeper or Kafka: whether they have a quorum is what a check says, which
// is a command of the policy's.
package recovery

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// What a plan's file says that it is. Another version is refused.
const (
	APIVersion = "guard.holdfast.dev/v1"
	KindPlan   = "RecoveryPlan"
)

// Limits of a plan.
const (
	// MaxPlan is the size of a plan's file in bytes.
	MaxPlan = 64 << 20
	// MaxSteps is how many steps one may have.
	MaxSteps = 200_000
)

// Plan is what there is to do, in order.
type Plan struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	// Cluster is the UID of the namespace kube-system of the cluster that the plan is for.
	Cluster string `json:"cluster"`
	// Manifests is what was read of the last good revision.
	Manifests Input `json:"manifests"`
	// Snapshot is what was read of one, if any.
	Snapshot *Input `json:"snapshot,omitempty"`
	// Namespaces are those that the plan brings back.
	Namespaces []string `json:"namespaces"`
	// Questions are what a person has to say.
	Questions []Question `json:"questions"`
	// Volumes is what was found out about each volume of those namespaces.
	Volumes []Volume `json:"volumes"`
	// Notes are what the plan leaves out, and why.
	Notes  []string `json:"notes,omitempty"`
	Phases []Phase  `json:"phases"`
}

// Input is where something was read from. Apply reads the manifests again and refuses others.
type Input struct {
	Source string `json:"source"`
	Digest string `json:"digest"`
}

// Question is one that the facts do not answer.
type Question struct {
	ID    string   `json:"id"`
	Ask   string   `json:"ask"`
	Facts []string `json:"facts,omitempty"`
	// Choices are the possible answers, each with what it means.
	Choices []Choice `json:"choices"`
	// Before is the number of the phase that does not begin without an answer, or the step.
	Before string `json:"before"`
	Answer string `json:"answer"`
}

// Choice is a possible answer.
type Choice struct {
	Answer string `json:"answer"`
	Means  string `json:"means"`
}

// Volume is what was found out about one.
type Volume struct {
	Name   string `json:"name"`
	Handle string `json:"handle"` // of the disk
	State  string `json:"state"`
	Claim  string `json:"claim,omitempty"` // that it belonged to
	Owner  string `json:"owner,omitempty"` // of that claim
	// Use is rebind, recreate, leave or ask.
	Use string `json:"use"`
	Why string `json:"why,omitempty"`
}

// Phase is a part of the plan. The next one begins when all steps are done.
type Phase struct {
	Number int    `json:"number"`
	Name   string `json:"name"`
	Gate   string `json:"gate"`
	Never  string `json:"never,omitempty"`
	Steps  []Step `json:"steps"`
}

// Read reads a plan, as YAML or JSON. A key that is unknown or given twice is an error.
func Read(path string) (*Plan, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading the plan: %w", err)
	}
	if info.Size() > MaxPlan {
		return nil, fmt.Errorf("the plan %s is larger than %d bytes", path, MaxPlan)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the plan: %w", err)
	}
	p, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// Parse reads a plan's text and checks it whole.
func Parse(b []byte) (*Plan, error) {
	if len(b) > MaxPlan {
		return nil, fmt.Errorf("the plan is larger than %d bytes", MaxPlan)
	}
	p := &Plan{}
	if err := yaml.UnmarshalStrict(b, p); err != nil {
		return nil, fmt.Errorf("not a plan: %w", err)
	}
	return p, p.check()
}

func (p *Plan) check() error {
	if p.APIVersion != APIVersion || p.Kind != KindPlan {
		return fmt.Errorf("not a plan that this program reads: it is %s %s, and not %s %s", p.APIVersion, p.Kind, APIVersion, KindPlan)
	}
	if p.Cluster == "" {
		return errors.New("the plan names no cluster")
	}
	questions, steps := map[string]bool{}, map[string]bool{}
	var errs []error
	for _, q := range p.Questions {
		if q.ID == "" || questions[q.ID] {
			errs = append(errs, fmt.Errorf("two questions have the id %q", q.ID))
		}
		questions[q.ID] = true
		if q.Answer != "" && !slices.ContainsFunc(q.Choices, func(c Choice) bool { return c.Answer == q.Answer }) {
			errs = append(errs, fmt.Errorf("question %s: %q is none of its answers: %s", q.ID, q.Answer, q.answers()))
		}
	}
	for _, ph := range p.Phases {
		for i := range ph.Steps {
			s := &ph.Steps[i]
			if s.ID == "" || steps[s.ID] {
				errs = append(errs, fmt.Errorf("two steps have the id %q", s.ID))
			}
			steps[s.ID] = true
			if s.Question != "" && !questions[s.Question] {
				errs = append(errs, fmt.Errorf("step %s waits for the question %q, which is not in the plan", s.ID, s.Question))
			}
			errs = append(errs, s.check())
		}
	}
	if len(steps) > MaxSteps {
		errs = append(errs, fmt.Errorf("the plan has more than %d steps", MaxSteps))
	}
	return errors.Join(errs...)
}

func (q Question) answers() string {
	var all []string
	for _, c := range q.Choices {
		all = append(all, c.Answer)
	}
	return strings.Join(all, ", ")
}

// Bytes is the plan as YAML. The same plan has the same bytes.
func (p *Plan) Bytes() ([]byte, error) { return yaml.Marshal(p) }

// ID names the plan by its content without the answers: answering a question does not make another plan of it.
func (p *Plan) ID() (string, error) {
	bare := *p
	bare.Questions = slices.Clone(p.Questions)
	for i := range bare.Questions {
		bare.Questions[i].Answer = ""
	}
	b, err := bare.Bytes()
	if err != nil {
		return "", err
	}
	return digest(b), nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Write writes the plan to a file, whole or not at all. It keeps a file that has other bytes unless replace is set.
func (p *Plan) Write(path string, replace bool) error {
	b, err := p.Bytes()
	if err != nil {
		return err
	}
	old, err := os.ReadFile(path)
	if err == nil && bytes.Equal(old, b) {
		return nil
	}
	if err == nil && !replace {
		return fmt.Errorf("%s is there already, and may have answers in it: choose another name, or replace it", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".plan-")
	if err != nil {
		return fmt.Errorf("writing the plan: %w", err)
	}
	defer os.RemoveAll(f.Name())
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing the plan: %w", err)
	}
	return os.Rename(f.Name(), path)
}

// Question finds one by its id.
func (p *Plan) Question(id string) *Question {
	for i := range p.Questions {
		if p.Questions[i].ID == id {
			return &p.Questions[i]
		}
	}
	return nil
}

// Open returns the questions without an answer.
func (p *Plan) Open() (open []Question) {
	for _, q := range p.Questions {
		if q.Answer == "" {
			open = append(open, q)
		}
	}
	return open
}

// Steps calls yield with each step, in order, until it returns false.
func (p *Plan) Steps(yield func(*Phase, *Step) bool) {
	for i := range p.Phases {
		for j := range p.Phases[i].Steps {
			if !yield(&p.Phases[i], &p.Phases[i].Steps[j]) {
				return
			}
		}
	}
}
