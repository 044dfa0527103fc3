package journal

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestCheckReportsWhatIsThere(t *testing.T) {
	o := Options{Dir: t.TempDir(), SegmentBytes: 1024, MaxBytes: 8 << 10, CursorInterval: -1}
	j := open(t, o)
	all := fill(t, j, 80)
	if err := cursorOf(t, j, "remote", true).Advance(70); err != nil {
		t.Fatal(err)
	}
	settle(j)
	first, _ := j.Bounds()
	size := j.Size(70)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := Check(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	points := 0
	for _, a := range all[first-1:] {
		points += a.Count
	}
	if !r.Intact() || r.First != first || r.Last != 80 || r.Records != 81-int(first) || r.Points != points || len(r.Segments) < 2 {
		t.Fatalf("check found %+v", r)
	}
	if len(r.Cursors) != 1 || r.Cursors[0] != (CursorReport{Name: "remote", Position: 70, Pins: true, Lag: 10, LagBytes: size}) {
		t.Fatalf("check found cursors %+v, want a lag of %d bytes", r.Cursors, size)
	}
	last := r.Segments[len(r.Segments)-1]
	if last.Last != 80 || last.MaxTime != all[79].MaxTime || last.MinTime != all[last.First-1].MinTime {
		t.Fatalf("check found the segment %+v", last)
	}
}

func TestCheckNamesDamageByFileOffsetAndRecord(t *testing.T) {
	files, _, o := small(t, true)
	name := "/j/" + segmentName(1)
	second := headerSize + prefixSize + int(le.Uint32(files[name][headerSize:]))
	for _, c := range []struct {
		at   int
		want Damage
	}{
		{second + offBody, Damage{Offset: int64(second), From: 2, To: 2, Cause: errBody.Error()}},
		{second + offCount, Damage{Offset: int64(second), From: 2, To: 2, Cause: errHead.Error()}},
		{9, Damage{Bytes: headerSize, Cause: errHeader.Error()}},
	} {
		disk := restore(files)
		disk.now[name].data[c.at] ^= 1
		r, err := check(disk, o.Dir)
		if err != nil || r.Intact() || len(r.Segments[0].Damage) != 1 {
			t.Fatalf("byte %d: check found %+v, %v", c.at, r, err)
		}
		got := r.Segments[0].Damage[0]
		if c.want.Bytes == 0 {
			got.Bytes = 0
		}
		if got != c.want || r.Segments[0].File != name {
			t.Errorf("byte %d: check found %+v, want %+v", c.at, got, c.want)
		}
	}
}

func TestCheckOfAMissingFolderFails(t *testing.T) {
	if _, err := Check(t.TempDir() + "/none"); err == nil || !strings.Contains(err.Error(), "none") {
		t.Fatalf("check returned %v", err)
	}
}

func TestCheckReportsATornEndAsNoDamage(t *testing.T) {
	files, want, o := small(t, false)
	name := "/j/" + segmentName(10)
	disk := restore(files)
	disk.now[name].data = disk.now[name].data[:len(files[name])-3]
	r, err := check(disk, o.Dir)
	if err != nil || !r.Intact() || r.Records != len(want)-1 {
		t.Fatalf("check found %+v, %v", r, err)
	}
	if d := r.Segments[len(r.Segments)-1].Damage; len(d) != 1 || !d[0].Torn {
		t.Fatalf("check found %+v at the end", d)
	}
}

func TestMetricsCountWhatHappened(t *testing.T) {
	reg := prometheus.NewRegistry()
	o := Options{Dir: "/j", FS: newMemFS(), SegmentBytes: 1024, MaxBytes: 8 << 10, Registerer: reg}
	j := open(t, o)
	fill(t, j, 100)
	first, _ := j.Bounds()
	segments, size, _ := j.kept()
	for name, want := range map[string]float64{
		"holdfast_journal_records_total":         100,
		"holdfast_journal_syncs_total":           100,
		"holdfast_journal_dropped_records_total": float64(first - 1),
		"holdfast_journal_failed":                0,
		"holdfast_journal_segments":              float64(segments),
		"holdfast_journal_size_bytes":            float64(size),
		"holdfast_journal_damaged_total":         0,
	} {
		if got := gather(t, reg)[name]; got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	reopen(t, j, o) // registers again
	if got := gather(t, reg)["holdfast_journal_segments"]; got != float64(segments) {
		t.Errorf("%v segments after reopen, want %d", got, segments)
	}
	if _, err := Open(Options{Dir: "/k", FS: newMemFS(), Registerer: reg}); err == nil {
		t.Fatal("two journals share one registerer without labels")
	}
}

// gather returns the values of all counters and gauges; those with labels are summed.
func gather(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			values[f.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return values
}
