// Package version tells which build of the programs is running. The release sets the three values with
//
//	-ldflags "-X github.com/holdfast-telemetry/holdfast/internal/version.version=v1.2.3 -X ….commit=… -X ….date=…"
//
// and a build without them is described by what the Go toolchain recorded in the binary.
package version

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Set by the linker.
var version, commit, date string

// Build describes the binary.
type Build struct {
	// Version is the release's tag, or "dev".
	Version string
	// Commit is the revision the binary was built from, "none" when it is not known. A trailing "+" tells of changes that were not committed.
	Commit string
	// Date is the RFC 3339 time of the build or of the commit, "unknown" when it is not known.
	Date string
}

// Get returns the running binary's build.
func Get() Build {
	recorded, _ := debug.ReadBuildInfo()
	return describe(recorded)
}

func describe(recorded *debug.BuildInfo) Build {
	b := Build{Version: version, Commit: commit, Date: date}
	if recorded != nil {
		fillFrom(&b, recorded)
	}
	b.Version = orElse(b.Version, "dev")
	b.Commit = orElse(b.Commit, "none")
	b.Date = orElse(b.Date, "unknown")
	return b
}

// fillFrom sets what the linker left empty.
func fillFrom(b *Build, recorded *debug.BuildInfo) {
	setting := func(key string) string {
		for _, s := range recorded.Settings {
			if s.Key == key {
				return s.Value
			}
		}
		return ""
	}
	if v := recorded.Main.Version; v != "(devel)" {
		b.Version = orElse(b.Version, v)
	}
	if b.Commit == "" && setting("vcs.revision") != "" {
		b.Commit = setting("vcs.revision")
		if setting("vcs.modified") == "true" {
			b.Commit += "+"
		}
	}
	b.Date = orElse(b.Date, setting("vcs.time"))
}

func orElse(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// UserAgent returns the value of the HTTP header of that name for the given program, in the form that servers already
// see from the field's tools: program/version (os) Sha/commit Date/date.
func (b Build) UserAgent(program string) string {
	return fmt.Sprintf("%s/%s (%s) Sha/%s Date/%s", program, b.Version, runtime.GOOS, b.Commit, b.Date)
}
