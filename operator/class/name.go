package class

import (
	"fmt"
	"strings"
)

// maxName is the greatest length of a class's name, in bytes: the name is part of a label's name.
const maxName = 63

// ValidName says what is wrong with the name of a class and how to mend it, or nil. A class's name becomes the name of a file and part of
// a label's name, so it must be both: 1 to 63 letters, digits, dots, underscores and hyphens, with a letter or digit at both ends. No
// name that passes can lead out of a folder.
func ValidName(name string) error {
	const rule = "a class's name has 1 to 63 letters, digits, '.', '_' and '-', and begins and ends with a letter or digit"
	shown := name
	if len(shown) > 80 {
		shown = shown[:80] + "…"
	}
	switch i := strings.IndexFunc(name, func(r rune) bool { return !alphanumeric(r) && r != '.' && r != '_' && r != '-' }); {
	case name == "":
		return fmt.Errorf("the class's name is empty: %s", rule)
	case len(name) > maxName:
		return fmt.Errorf("the class's name %q has %d characters: shorten it to %d", shown, len(name), maxName)
	case i >= 0 && name[i] == '/':
		return fmt.Errorf("the class's name %q has a slash: give the name of the class alone, not a path", shown)
	case i >= 0:
		return fmt.Errorf("the class's name %q has %q in it: %s", shown, []rune(name[i:])[0], rule)
	case !alphanumeric(rune(name[0])) || !alphanumeric(rune(name[len(name)-1])):
		return fmt.Errorf("the class's name %q begins or ends with %q: %s", shown, ends(name), rule)
	}
	return nil
}

func alphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// ends is the character at the end of the name that is neither letter nor digit.
func ends(name string) string {
	if !alphanumeric(rune(name[0])) {
		return name[:1]
	}
	return name[len(name)-1:]
}
