package plan

import (
	"maps"
	"slices"

	"github.com/holdfast-telemetry/holdfast/guard/finding"
	"github.com/holdfast-telemetry/holdfast/guard/object"
)

// clusters judges how much of what a cluster has is deleted. Where one Application loses all of it, its own share says so.
func (j *judge) clusters() {
	all, lost, losers := make(map[string]int), make(map[string]int), make(map[string]int)
	for _, key := range sortedKeys(j.base.applications) {
		for _, a := range j.base.applications[key][:1] {
			all[a.Spec.Destination.Cluster(j.base.Options.Clusters)] += len(a.Targets)
		}
	}
	for i := range j.plan.Changes {
		mine := make(map[string]int)
		for n := range j.plan.Changes[i].Effects {
			if e := &j.plan.Changes[i].Effects[n]; e.counts() {
				mine[e.Cluster]++
			}
		}
		for cluster, n := range mine {
			lost[cluster] += n
			losers[cluster]++
		}
	}
	for _, cluster := range slices.Sorted(maps.Keys(lost)) {
		if limit := j.limits.Percent; limit > 0 && losers[cluster] > 1 && lost[cluster]*100 > limit*all[cluster] {
			j.add("HG100", finding.Place{}, object.Key{}, "", "the cluster %s loses %d of its %d objects, in %d Applications, more than %d %%",
				cluster, lost[cluster], all[cluster], losers[cluster], limit)
		}
	}
}
