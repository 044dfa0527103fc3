package report

import (
	"fmt"
	"strings"

	"github.com/holdfast-telemetry/holdfast/guard/plan"
)

// maxUnknown bounds how many of the things that could not be found out a summary names.
const maxUnknown = 10

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

// writeUnknown says what of the clusters could not be found out.
func writeUnknown(b *strings.Builder, p *Planned, prefix string, clean func(string) string) {
	for n, text := range p.Unknown {
		if n == maxUnknown {
			fmt.Fprintf(b, "%snot known: %d more\n", prefix, len(p.Unknown)-maxUnknown)
			return
		}
		fmt.Fprintf(b, "%snot known: %s\n", prefix, clean(text))
	}
}

// asItIs leaves a text as it is.
func asItIs(text string) string { return text }
