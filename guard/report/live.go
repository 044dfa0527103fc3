package report

import (
	"github.com/holdfast-telemetry/holdfast/guard/plan"
)

// basis says in brackets what an effect is taken from, where a plan was made with what lives.
func basis(e plan.Effect) string {
	switch e.Source {
	case plan.FromLive:
		return " [live]"
	case plan.FromStatus:
		return " [status]"
	case plan.FromGit:
		return " [git]"
	}
	return ""
}
