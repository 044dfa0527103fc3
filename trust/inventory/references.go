package inventory

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/holdfast-telemetry/holdfast/trust/checkout"
)

// reference is what names an image by its digest, wherever it stands in a text.
var reference = regexp.MustCompile(`[A-Za-z0-9][A-Za-z0-9._:/-]{0,500}@sha256:[0-9a-f]{64}`)

// References are the images that the texts of a folder name by a digest, such as the manifests in a checkout of a git repository: whoever
// merged them wants them to run. In place of a folder there may be one file. Files that cannot be read are in the error; the others count.
func References(path string) ([]Image, error) {
	found := map[string]*Image{}
	err := checkout.Read(path, text, func(file string, text []byte) {
		for _, r := range reference.FindAllString(string(uncommented(text)), -1) {
			digest, err := name.NewDigest(r)
			if err != nil {
				continue
			}
			full := digest.Name()
			if found[full] == nil {
				found[full] = &Image{Reference: full, First: file}
			}
		}
	})
	var all []Image
	for _, i := range found {
		all = append(all, *i)
	}
	slices.SortFunc(all, func(a, b Image) int { return strings.Compare(a.Reference, b.Reference) })
	return all, err
}

// text says whether a file may name images.
func text(base string) bool {
	for _, end := range []string{".yaml", ".yml", ".json", ".txt", ".tpl", ".jsonnet", ".libsonnet"} {
		if strings.HasSuffix(base, end) {
			return true
		}
	}
	return false
}

// uncommented is a text without what stands after a # at the beginning of a line or after a space.
func uncommented(text []byte) []byte {
	lines := bytes.Split(text, []byte("\n"))
	for i, line := range lines {
		if at := comment.FindIndex(line); at != nil {
			lines[i] = line[:at[0]]
		}
	}
	return bytes.Join(lines, []byte("\n"))
}

var comment = regexp.MustCompile(`(^|[ \t])#`)
