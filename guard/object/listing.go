package object

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// gravest are the kinds that a listing has first: what is in a namespace goes with it.
var gravest = []Kind{{"", "Namespace"}, {"apps", "StatefulSet"}, {"", "PersistentVolumeClaim"}, {"", "PersistentVolume"}}

// maxKinds is how many kinds a listing names.
const maxKinds = 6

// Listing names objects for a sentence: kind by kind, the gravest first, and of each kind at most that many names. The rest is counted.
func Listing(keys []Key, names int) string {
	keys = slices.Clone(keys)
	slices.SortFunc(keys, func(a, b Key) int { return cmp.Or(cmp.Compare(grave(a), grave(b)), a.Compare(b)) })
	var parts []string
	for len(keys) > 0 {
		n := 1
		for n < len(keys) && keys[n].GroupKind() == keys[0].GroupKind() {
			n++
		}
		if len(parts) == maxKinds {
			return strings.Join(parts, "; ") + fmt.Sprintf("; and %d of other kinds", len(keys))
		}
		parts = append(parts, ofKind(keys[:n], names))
		keys = keys[n:]
	}
	return strings.Join(parts, "; ")
}

func grave(k Key) int {
	if n := slices.Index(gravest, k.GroupKind()); n >= 0 {
		return n
	}
	return len(gravest)
}

// ofKind names objects of one kind.
func ofKind(keys []Key, names int) string {
	text := keys[0].String()
	shown := min(len(keys), max(names, 1))
	if len(keys) == shown+1 { // the last one's name is as short as its count
		shown++
	}
	for _, k := range keys[1:shown] {
		text += ", " + strings.TrimPrefix(k.String(), k.GroupKind().String()+" ")
	}
	if more := len(keys) - shown; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
