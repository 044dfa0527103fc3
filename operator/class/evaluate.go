package class

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/holdfast-telemetry/holdfast/operator/agent"
	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
)

// evaluator turns reports into classes in use. New texts go through the built-in check at once, then one after the other through the
// agent's; between two of those, newer reports are taken first.
type evaluator struct {
	r       *Registry
	entries map[Key]*entry
	fresh   []*entry // that wait for their first answer, oldest first
	changed map[Key]bool
	// reported are the sources that have.
	reported map[int]bool
	// down are the checkers that were not reachable.
	down map[v1alpha1.Agent]outage
}

// outage is that a checker was not reachable. It is not asked before until.
type outage struct {
	until    time.Time
	why      string
	attempts int
}

func newEvaluator(r *Registry) *evaluator {
	return &evaluator{r: r, entries: map[Key]*entry{}, changed: map[Key]bool{}, reported: map[int]bool{}, down: map[v1alpha1.Agent]outage{}}
}

func (v *evaluator) run(ctx context.Context) {
	for ctx.Err() == nil {
		v.takeReports()
		for e := v.next(); e != nil && ctx.Err() == nil; e = v.next() {
			v.ask(ctx, e)
			v.flush()
			v.takeReports()
		}
		v.flush()
		v.markSynced()
		wait := time.NewTimer(v.untilDue())
		select {
		case <-ctx.Done():
		case <-v.r.poke:
		case <-wait.C:
		}
		wait.Stop()
	}
}

func (v *evaluator) takeReports() {
	v.r.mu.Lock()
	offered, forget := v.r.offered, v.r.forget
	v.r.offered, v.r.forget = map[int]map[Key]Raw{}, nil
	v.r.mu.Unlock()
	for source, all := range offered {
		v.reported[source] = true
		for _, key := range sortedKeys(all) {
			v.observe(key, all[key])
		}
		for _, kind := range v.r.sources[source].Kinds() {
			for key, e := range v.entries {
				if _, there := all[key]; key.Kind == kind && !there {
					v.gone(e)
				}
			}
		}
	}
	for _, key := range forget {
		if e := v.entries[key]; e != nil && !e.present {
			v.drop(e)
		}
	}
	v.boundRetained()
	v.flush()
}

// observe takes a class of a report. One that is as it was before costs a comparison of hashes.
func (v *evaluator) observe(key Key, raw Raw) {
	e := v.entries[key]
	if e == nil {
		e = &entry{key: key}
		v.entries[key] = e
	}
	e.identify(raw.Object)
	sum, hash := sha256.Sum256(raw.Text), Hash(raw.Text)
	same := e.present && e.seen && raw.Err == nil && e.sum == sum && equality.Semantic.DeepEqual(e.sidecar, raw.Sidecar)
	e.present, e.source, e.generation = true, raw.Source, raw.Generation
	if same {
		v.judge(e, e.verdict) // of this generation too
		return
	}
	e.seen, e.sum, e.hash, e.sidecar = raw.Err == nil, sum, hash, raw.Sidecar
	e.text, e.attempts, e.due = nil, 0, time.Time{}
	if err := ValidName(key.Name); err != nil {
		v.judge(e, Verdict{Reason: ReasonInvalidName, Message: err.Error(), CheckedBy: CheckedBySyntax})
		return
	}
	if raw.Err != nil {
		e.hash = ""
		v.judge(e, Verdict{Reason: ReasonUnreadable, Message: raw.Err.Error()})
		return
	}
	tables, err := checkSyntax(key.Name, raw)
	if err != nil {
		v.judge(e, Verdict{Reason: ReasonSyntaxError, Message: err.Error(), CheckedBy: CheckedBySyntax})
		return
	}
	c := &Class{Kind: key.Kind, Namespace: key.Namespace, Name: key.Name, Text: v.once(raw.Text, hash), Hash: hash, Tables: tables,
		Sidecar: raw.Sidecar, Source: raw.Source, Since: v.r.o.Now()}
	if v.checker(c) == nil {
		e.accept(c, true)
		verdict := Verdict{Valid: true, Reason: ReasonAccepted, Warning: warning(tables), CheckedBy: CheckedBySyntax}
		if len(v.r.o.Checkers) > 0 { // where agents are asked, one that cannot be is no silent yes
			verdict.Reason = ReasonNotChecked
			verdict.Message = fmt.Sprintf("checked: syntax only: the operator has no checker of the agent %s", agentOf(c, v.r.o.DefaultAgent))
		}
		v.judge(e, verdict)
		return
	}
	e.text = c
	v.fresh = append(v.fresh, e)
	v.judge(e, Verdict{Valid: e.verdict.Valid, Reason: ReasonChecking, Message: "waits for the agent's check", CheckedBy: CheckedBySyntax})
}

// checkSyntax is the built-in check of a class.
func checkSyntax(name string, raw Raw) (agent.Tables, error) {
	tables, err := agent.Syntax(agent.File{Name: FileName(name), Text: raw.Text})
	if err == nil && raw.Sidecar.Agent == v1alpha1.AgentTelegraf && len(tables.Holdfast) > 0 {
		err = fmt.Errorf("%s: only the agent holdfast has the tables %s, and the class is for telegraf", FileName(name), strings.Join(tables.Holdfast, ", "))
	}
	return tables, err
}

// agentOf is the agent that a class is for: the one that it names, the only one that its tables allow, or the usual one.
func agentOf(c *Class, usual v1alpha1.Agent) v1alpha1.Agent {
	switch {
	case c.Sidecar.Agent != "":
		return c.Sidecar.Agent
	case len(c.Tables.Holdfast) > 0:
		return v1alpha1.AgentHoldfast
	}
	return usual
}

func (v *evaluator) checker(c *Class) agent.Checker {
	return v.r.o.Checkers[agentOf(c, v.r.o.DefaultAgent)]
}

func warning(t agent.Tables) string {
	if t.Empty() {
		return "the class has no plugin and no setting: a sidecar gets nothing from it"
	}
	return ""
}

// once returns the text that is in memory already if there is the same, such as of a class that every namespace has.
func (v *evaluator) once(text []byte, hash string) []byte {
	for _, e := range v.entries {
		for _, c := range []*Class{e.good, e.text} {
			if c != nil && c.Hash == hash && bytes.Equal(c.Text, text) {
				return c.Text
			}
		}
	}
	return text
}

// ask asks the agent about the text of an entry.
func (v *evaluator) ask(ctx context.Context, e *entry) {
	which := agentOf(e.text, v.r.o.DefaultAgent)
	if out, down := v.down[which]; down && v.r.o.Now().Before(out.until) {
		v.unchecked(e, out.why)
		e.due = out.until
		return
	}
	start := time.Now()
	err := v.r.o.Checkers[which].Check(ctx, []agent.File{{Name: FileName(e.key.Name), Text: e.text.Text}})
	if err != nil && ctx.Err() != nil {
		return
	}
	var refusal *agent.Refusal
	var unjudged *agent.Unjudged
	c := e.text
	switch {
	case errors.As(err, &unjudged):
		v.r.metrics.checked("unjudged", time.Since(start))
		delete(v.down, which)
		e.accept(c, true) // no later check could say more
		e.text = nil
		v.judge(e, Verdict{Valid: true, Reason: ReasonPartlyChecked, Message: "accepted by syntax; " + unjudged.Message, Warning: warning(c.Tables),
			CheckedBy: CheckedBySyntax})
	case err == nil:
		v.r.metrics.checked("accepted", time.Since(start))
		delete(v.down, which)
		e.accept(c, true)
		e.text = nil
		v.judge(e, Verdict{Valid: true, Reason: ReasonAccepted, Warning: warning(c.Tables), CheckedBy: CheckedByAgent})
	case errors.As(err, &refusal):
		v.r.metrics.checked("refused", time.Since(start))
		delete(v.down, which)
		e.refuse(c)
		e.text = nil
		v.judge(e, Verdict{Reason: ReasonRefusedByAgent, Message: refusal.Error(), CheckedBy: CheckedByAgent})
	default:
		v.r.metrics.checked("failed", time.Since(start))
		e.attempts++
		e.due = v.r.o.Now().Add(v.backoff(e.attempts))
		if errors.Is(err, agent.ErrUnreachable) {
			attempts := v.down[which].attempts + 1
			v.down[which] = outage{v.r.o.Now().Add(v.backoff(attempts)), err.Error(), attempts}
		}
		v.unchecked(e, err.Error())
	}
}

// unchecked puts a text in use on the word of the built-in check alone. The text stays with the entry, to be asked about later.
func (v *evaluator) unchecked(e *entry, why string) {
	e.accept(e.text, false)
	v.judge(e, Verdict{Valid: true, Reason: ReasonNotChecked, Message: "checked: syntax only: " + why, Warning: warning(e.text.Tables), CheckedBy: CheckedBySyntax})
}

func (v *evaluator) backoff(attempts int) time.Duration {
	d := v.r.o.RetryMin
	for ; attempts > 1 && d < v.r.o.RetryMax; attempts-- {
		d *= 2
	}
	return min(d, v.r.o.RetryMax)
}
