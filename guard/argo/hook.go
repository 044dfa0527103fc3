package argo

import (
	"slices"
	"strconv"
	"strings"
)

// HookRun is what a sync that goes well does with a hook.
type HookRun struct {
	// Made hooks are made by it. Hooks of failures and of deletions are not.
	Made bool
	// Replaced hooks are deleted first, where they are there.
	Replaced bool
	// Stays says that the hook is there afterwards.
	Stays bool
}

// madeBy are the values of the two annotations that have a sync make a hook.
var (
	madeBy     = []string{"PreSync", "Sync", "PostSync"}
	argoHooks  = append([]string{"Skip", "SyncFail"}, madeBy...)
	madeByHelm = []string{"pre-install", "pre-upgrade", "post-install", "post-upgrade"}
)

// HookRunOf says what a sync does with a hook of such annotations. Those of Helm count where Argo CD's own say nothing.
func HookRunOf(annotations map[string]string) HookRun {
	var run HookRun
	if own := known(annotations[Hook], argoHooks); len(own) > 0 {
		run.Made = slices.ContainsFunc(own, func(t string) bool { return slices.Contains(madeBy, t) })
	} else {
		run.Made = len(known(annotations[HelmHook], madeByHelm)) > 0
	}
	policies := known(annotations[HookDeletePolicy], []string{"BeforeHookCreation", "HookSucceeded", "HookFailed"})
	policies = append(policies, known(annotations[HelmHookDeletePolicy], []string{"before-hook-creation", "hook-succeeded", "hook-failed"})...)
	run.Replaced = len(policies) == 0 || slices.Contains(policies, "BeforeHookCreation") || slices.Contains(policies, "before-hook-creation")
	run.Stays = !slices.Contains(policies, "HookSucceeded") && !slices.Contains(policies, "hook-succeeded")
	return run
}

// known returns the texts of a list with commas that are among some.
func known(list string, some []string) []string {
	var found []string
	for _, text := range strings.Split(list, ",") {
		if text = strings.TrimSpace(text); slices.Contains(some, text) {
			found = append(found, text)
		}
	}
	return found
}

// Wave returns the sync wave of an object: Helm's weight of a hook where Argo CD's annotation has no number.
func Wave(annotations map[string]string) int {
	if wave, err := strconv.Atoi(annotations[SyncWave]); err == nil {
		return wave
	}
	weight, _ := strconv.Atoi(annotations[HelmHookWeight])
	return weight
}
