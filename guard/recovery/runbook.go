package recovery

import (
	"fmt"
	"io"
	"strings"
)

// Runbook prints a plan as a document for people, who can follow it without this program: each step says what must hold before it,
// what to do, and how one sees that it is done.
func (p *Plan) Runbook(w io.Writer, name string) error {
	b := &strings.Builder{}
	id, err := p.ID()
	if err != nil {
		return err
	}
	fmt.Fprintf(b, "# Recovery of %s\n\n", strings.Join(p.Namespaces, ", "))
	fmt.Fprintf(b, "Plan `%s`, id `%.12s`, for the cluster whose namespace kube-system has the UID `%s`. Manifests: `%s`.\n", name, id, p.Cluster, p.Manifests.Source)
	fmt.Fprintf(b, "\n**Never** delete a PersistentVolume or a PersistentVolumeClaim, and never remove a whole `claimRef`.\n")
	fmt.Fprintf(b, "\n```sh\nholdfast-guard recover apply --step %[1]s    # one step after the other\nholdfast-guard recover apply --yes %[1]s     # all of them\nholdfast-guard recover verify %[1]s\n```\n", name)
	p.runbookQuestions(b)
	p.runbookVolumes(b)
	for i := range p.Phases {
		p.Phases[i].runbook(b)
	}
	if len(p.Notes) > 0 {
		fmt.Fprintf(b, "\n## Left out\n\n")
		for _, n := range p.Notes {
			fmt.Fprintf(b, "- %s\n", n)
		}
	}
	_, err = io.WriteString(w, b.String())
	return err
}

func (p *Plan) runbookQuestions(b *strings.Builder) {
	if len(p.Questions) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## Questions\n\nWrite the answers into the plan, at `answer`.\n")
	for _, q := range p.Questions {
		fmt.Fprintf(b, "\n### %s\n\n%s (before %s)\n\n", q.ID, q.Ask, q.Before)
		for _, f := range q.Facts {
			fmt.Fprintf(b, "- %s\n", f)
		}
		for _, c := range q.Choices {
			mark := " "
			if c.Answer == q.Answer {
				mark = "x"
			}
			fmt.Fprintf(b, "- [%s] `%s`: %s\n", mark, c.Answer, c.Means)
		}
	}
}

func (p *Plan) runbookVolumes(b *strings.Builder) {
	fmt.Fprintf(b, "\n## Volumes\n\n| volume | disk | claim | of | state | use |\n|---|---|---|---|---|---|\n")
	for _, v := range p.Volumes {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", cell(v.Name), cell(v.Handle), cell(v.Claim), cell(v.Owner), v.State, strings.TrimSpace(v.Use+" "+v.Why))
	}
}

// cell is a text that does not end a cell of a table.
func cell(s string) string { return strings.NewReplacer("|", `\|`, "\n", " ").Replace(s) }

func (p *Phase) runbook(b *strings.Builder) {
	fmt.Fprintf(b, "\n## Phase %d: %s\n\n", p.Number, p.Name)
	if len(p.Steps) == 0 {
		fmt.Fprintf(b, "Nothing to do.\n")
		return
	}
	if p.Never != "" {
		fmt.Fprintf(b, "**Never** %s.\n\n", p.Never)
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		fmt.Fprintf(b, "- [ ] **%s** `%s`\n", s.describe(), s.ID)
		fmt.Fprintf(b, "  - before: %s\n  - by hand: %s\n  - after: %s\n  - abort: %s\n", s.Before, s.byHand(), s.After, s.Abort)
		if s.Decides != "the program" {
			fmt.Fprintf(b, "  - decides: %s\n", s.Decides)
		}
		if len(s.Check) > 0 {
			fmt.Fprintf(b, "  - check: `%s`\n", strings.Join(s.Check, " "))
		}
	}
	fmt.Fprintf(b, "\nGo on when %s.\n", p.Gate)
}

// byHand is what a person would type.
func (s *Step) byHand() string {
	switch s.Action {
	case Scale:
		return fmt.Sprintf("`kubectl -n %s scale %s/%s --replicas=%d`", s.Object.Namespace, strings.ToLower(s.Object.Kind), s.Object.Name, *s.Replicas)
	case PauseSync:
		return fmt.Sprintf("`kubectl -n %s patch application %s --type merge -p '{\"spec\":{\"syncPolicy\":{\"automated\":null}}}'`", s.Object.Namespace, s.Object.Name)
	case RetainAll:
		return fmt.Sprintf("`kubectl patch pv %s -p '{\"spec\":{\"persistentVolumeReclaimPolicy\":\"Retain\"}}'`", orElse(s.Volume, "EACH"))
	case Rebind:
		return fmt.Sprintf("`kubectl patch pv %s --type json -p '[{\"op\":\"remove\",\"path\":\"/spec/claimRef/uid\"}]'`, then make the claim with this `volumeName`, %s, class %q",
			s.Claim.Volumes[0].Volume, orElse(s.Claim.Request, s.Claim.Volumes[0].Capacity), s.Claim.Volumes[0].Class)
	case Apply, Namespace:
		return "`kubectl apply --server-side` of the manifest: " + s.describe()
	}
	return s.describe()
}
