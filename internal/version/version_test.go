package version

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestBuildIsDescribedByTheLinkerThenByTheToolchain(t *testing.T) {
	recorded := &debug.BuildInfo{Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "abc123"}, {Key: "vcs.time", Value: "2026-03-01T10:00:00Z"}, {Key: "vcs.modified", Value: "true"},
	}}
	recorded.Main.Version = "(devel)"
	tests := []struct {
		name                  string
		version, commit, date string
		recorded              *debug.BuildInfo
		want                  Build
	}{
		{"nothing known", "", "", "", nil, Build{"dev", "none", "unknown"}},
		{"toolchain only", "", "", "", recorded, Build{"dev", "abc123+", "2026-03-01T10:00:00Z"}},
		{"linker wins", "v1.2.3", "fff", "2026-04-01", recorded, Build{"v1.2.3", "fff", "2026-04-01"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			version, commit, date = tt.version, tt.commit, tt.date
			t.Cleanup(func() { version, commit, date = "", "", "" })
			if got := describe(tt.recorded); got != tt.want {
				t.Errorf("describe = %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestUserAgentHasTheFieldsForm(t *testing.T) {
	got := Build{Version: "v1", Commit: "abc", Date: "2026"}.UserAgent("influx")
	if want := "influx/v1 (" + runtime.GOOS + ") Sha/abc Date/2026"; got != want {
		t.Errorf("UserAgent = %q, want %q", got, want)
	}
}
