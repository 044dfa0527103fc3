package object

import (
	"fmt"
	"testing"
)

func TestAListingNamesTheGravestKindsFirstAndCountsTheRest(t *testing.T) {
	keys := []Key{{"apps", "StatefulSet", "influx", "kafka"}, {"", "Service", "influx", "kafka"}, {"apps", "StatefulSet", "influx", "etcd"}, {"", "Namespace", "", "influx"}}
	for n := range 5 {
		keys = append(keys, Key{"", "PersistentVolumeClaim", "influx", fmt.Sprintf("data-%d", n)})
	}
	want := "Namespace influx; apps/StatefulSet influx/etcd, influx/kafka; PersistentVolumeClaim influx/data-0, influx/data-1 and 3 more; Service influx/kafka"
	if got := Listing(keys, 2); got != want {
		t.Errorf("it is %q, want %q", got, want)
	}
	if got := Listing(keys[4:7], 2); got != "PersistentVolumeClaim influx/data-0, influx/data-1, influx/data-2" {
		t.Errorf("one more than the names is %q", got)
	}
	var kinds []Key
	for n := range 100 {
		kinds = append(kinds, Key{"example.org", fmt.Sprintf("Kind%02d", n), "", "x"})
	}
	if got := Listing(kinds, 2); got != "example.org/Kind00 x; example.org/Kind01 x; example.org/Kind02 x; example.org/Kind03 x; example.org/Kind04 x; example.org/Kind05 x; and 94 of other kinds" {
		t.Errorf("a hundred kinds are %q", got)
	}
	if Listing(nil, 2) != "" {
		t.Error("no objects have a listing")
	}
}
