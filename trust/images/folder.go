package images

import (
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-telemetry/holdfast/trust/checkout"
)

// Ending is that of the names of lists in a folder.
const Ending = "images.yaml"

// ReadAll reads lists: files, and the files of folders whose names end with [Ending]. The error is of what could not be read, and leaves the
// others. Entries with an error are left out.
func ReadAll(paths []string) (all []*List, problems []Problem, err error) {
	var failed []error
	for _, path := range paths {
		before := len(all)
		if err := checkout.Read(path, func(base string) bool { return strings.HasSuffix(base, Ending) }, func(file string, text []byte) {
			l, found := Parse(file, text)
			all, problems = append(all, l), append(problems, found...)
		}); err != nil {
			failed = append(failed, fmt.Errorf("reading the lists of images: %w", err))
		} else if len(all) == before {
			failed = append(failed, fmt.Errorf("reading the lists of images: no file in %s has a name that ends with %s", path, Ending))
		}
	}
	return all, problems, errors.Join(failed...)
}
