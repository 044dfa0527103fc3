package finding

import (
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/guard/object"
)

func TestWaiversSayWhatWhyAndUntilWhen(t *testing.T) {
	waivers, err := ParseWaivers("HG040,HG042 reason=rebuilt from a=b; expires=2026-12-31\n\n HG060 expires=2027-01-01;reason=scratch ;\n")
	if err != nil || len(waivers) != 2 {
		t.Fatalf("%v, %v", waivers, err)
	}
	if w := waivers[0]; strings.Join(w.Rules, " ") != "HG040 HG042" || w.Reason != "rebuilt from a=b" || w.Expires.Format(time.DateOnly) != "2026-12-31" {
		t.Errorf("%+v", w)
	}
	for text, words := range map[string]string{
		"": "empty", "HG040": "no expires", "HG040 expires=2026-12-31": "no reason", "HG040 reason=x; expires=31.12.2026": "no day", "HG4 reason=x; expires=2026-12-31": "no id",
		"HG040 reason=x; until=2026-12-31": "neither", "HG040 x; expires=2026-12-31": "KEY=VALUE", "HG040 reason=; expires=2026-12-31": "no reason", strings.Repeat("HG040 reason=x; expires=2026-12-31\n", 51): "more than 50",
	} {
		if _, err := ParseWaivers(text); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%.40q gives %v, want %q", text, err, words)
		}
	}
}

func TestAWaiverHoldsThroughItsLastDayAndOnlyForWhatItNames(t *testing.T) {
	object1, object2 := &object.Object{}, &object.Object{}
	key := object.Key{Group: "apps", Kind: "StatefulSet", Namespace: "influx", Name: "kafka"}
	findings := []Finding{{Rule: "HG040", Key: key, In: object1, Place: Place{Path: "env/c/a/yml/x.yaml"}, Application: "a"}, {Rule: "HG040", In: object2, Place: Place{Path: "env/c/b/yml/y.yaml"}}, {Rule: "HG041", In: object1}}
	inline := &Waiver{Rules: []string{"HG040"}, Reason: "x", In: object1}
	if err := inline.Until("2026-06-01"); err != nil {
		t.Fatal(err)
	}
	for day, open := range map[string]int{"2026-06-01T23:59:59Z": 2, "2026-06-02T00:00:00Z": 3} {
		now, err := time.Parse(time.RFC3339, day)
		if err != nil {
			t.Fatal(err)
		}
		if left, waived, unused := Waive(findings, []*Waiver{inline}, now); len(left) != open || len(waived) != 3-open || len(unused) != 0 {
			t.Errorf("on %s %d stand, %d are waived, %d waivers are unused", day, len(left), len(waived), len(unused))
		}
	}
	for _, c := range []struct {
		w      Waiver
		waived int
	}{
		{Waiver{Object: "apps/StatefulSet influx/*"}, 1}, {Waiver{Object: "apps/StatefulSet influx/etcd"}, 0}, {Waiver{Path: "env/**"}, 2}, {Waiver{Path: "env/*"}, 0},
		{Waiver{Path: "env/**", Application: "a"}, 1}, {Waiver{Application: "b"}, 0},
	} {
		w := c.w
		w.Rules, w.Reason = []string{"HG040"}, "x"
		if err := w.Until("2027-01-01"); err != nil {
			t.Fatal(err)
		}
		if err := w.Compile(); err != nil {
			t.Fatal(err)
		}
		if _, waived, _ := Waive(findings, []*Waiver{&w}, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)); len(waived) != c.waived {
			t.Errorf("%+v waives %d, want %d", c.w, len(waived), c.waived)
		}
	}
	if err := new(Waiver).Compile(); err == nil {
		t.Error("a waiver of everything is accepted")
	}
}

func TestAFingerprintStaysWhenLinesShift(t *testing.T) {
	a := Finding{Rule: "HG040", Key: object.Key{Kind: "Service", Name: "a"}, Place: Place{Path: "x", Line: 1}}
	b := a
	b.Place = Place{Path: "y", Line: 7}
	c := a
	c.Key.Name = "c"
	if a.Fingerprint() != b.Fingerprint() || a.Fingerprint() == c.Fingerprint() {
		t.Error("fingerprints are not of the rule and the object")
	}
}

func FuzzParseWaivers(f *testing.F) {
	f.Add("HG040,HG042 reason=x; expires=2026-12-31")
	f.Fuzz(func(t *testing.T, text string) {
		waivers, err := ParseWaivers(text)
		if err != nil {
			return
		}
		for _, w := range waivers {
			if w.Reason == "" || w.Expires.IsZero() || len(w.Rules) == 0 {
				t.Fatalf("%q gives %+v", text, w)
			}
		}
	})
}
