package sidecar

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"

	v1alpha1 "github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
)

// doubt notes what can be made as asked for and is most likely not what is meant.
func (r *request) doubt() {
	note := func(format string, args ...any) { r.notes = append(r.notes, fmt.Sprintf(format, args...)) }
	c := r.asked.Container
	if r.spec.Agent != v1alpha1.AgentHoldfast && (c.BufferVolume != "" || c.BufferSize != nil) {
		note("buffer-volume and buffer-size are not heeded: only the agent holdfast keeps a buffer; ask for it by the annotation agent")
	}
	if s := r.asked.Scrape; s != nil && r.spec.HealthPort != 0 && slices.Contains(s.Ports, int(r.spec.HealthPort)) {
		note("its health port %d is also the application's, which is scraped there: the one that starts first has it; give the other another port", r.spec.HealthPort)
	}
	if old := OldTelegraf(r.spec.Agent, r.spec.Image); old != "" {
		note("%s", old)
	}
}

var telegrafTag = regexp.MustCompile(`(?:^|/)telegraf:v?1\.(\d+)`)

// The releases of Telegraf, 1.N, from which on it watches folders, and finds files that are new in them.
const (
	watchesFolders = 25
	findsNewFiles  = 32
)

// OldTelegraf says what a sidecar of an image cannot do, by the image's tag; empty when it can do everything or the tag says nothing.
func OldTelegraf(agent v1alpha1.Agent, image string) string {
	tag := telegrafTag.FindStringSubmatch(image)
	if agent == v1alpha1.AgentHoldfast || tag == nil {
		return ""
	}
	minor, err := strconv.Atoi(tag[1])
	switch {
	case err != nil || minor >= findsNewFiles:
		return ""
	case minor >= watchesFolders:
		return fmt.Sprintf("the image %s is too old to notice a class's file that comes after its start: use Telegraf 1.%d or later", image, findsNewFiles)
	}
	return fmt.Sprintf("the image %s is too old to notice any change of its files, and may load telegraf.conf twice: use Telegraf 1.%d or later", image, findsNewFiles)
}
