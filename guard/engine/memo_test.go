package engine

import (
	"reflect"
	"testing"
)

func TestResultsAreStoredAsTheyAre(t *testing.T) {
	all := []*remembered{
		{asked: map[question]string{{readOf, "a"}: "x", {statOf, "b"}: "missing"}, result: &Result{Documents: []Document{{[]byte("a: 1"), "a", 2}, {[]byte("b"), "b", 0}}, Files: []string{"a"}}},
		{asked: map[question]string{{listOf, ""}: "y"}, err: &Error{Fault: OfReach, Path: "c", Line: 3, Message: "no"}},
	}
	text := encodeResults(all)
	if got := decodeResults(text); !reflect.DeepEqual(got, all) {
		t.Errorf("they are %+v", got)
	}
	for n := range text {
		for _, r := range decodeResults(text[:n]) { // what is whole is used
			if !reflect.DeepEqual(r, all[0]) {
				t.Fatalf("%d bytes give %+v", n, r)
			}
		}
	}
}

func FuzzResults(f *testing.F) {
	f.Add(encodeResults([]*remembered{{asked: map[question]string{{readOf, "a"}: "x"}, result: &Result{Documents: []Document{{[]byte("a"), "a", 1}}}}}))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, r := range decodeResults(text) {
			if r.err == nil && r.result.size() > len(text) {
				t.Fatal("it has more than was stored")
			}
		}
	})
}
