package render

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/holdfast-telemetry/holdfast/guard/object"
)

var (
	groupForm   = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	labelForm   = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	kindForm    = regexp.MustCompile(`^[A-Za-z]([-A-Za-z0-9]*[A-Za-z0-9])?$`)
	maxNameSize = 253 // bytes, of the API server
)

// checkIdentity refuses what no API server takes for the identity of any kind: a template that was filled wrong, as a rule.
func checkIdentity(k object.Key, version string) error {
	switch {
	case k.Name == "":
		return fmt.Errorf("the %s has no metadata.name", k.Kind)
	case k.Group != "" && !groupForm.MatchString(k.Group), !labelForm.MatchString(version):
		return fmt.Errorf("the apiVersion of the %s %s is no GROUP/VERSION: %q", k.Kind, k.Name, strings.TrimPrefix(k.Group+"/"+version, "/"))
	case !kindForm.MatchString(k.Kind):
		return fmt.Errorf("%q is no kind", k.Kind)
	case k.Namespace != "" && (!labelForm.MatchString(k.Namespace) || len(k.Namespace) > 63):
		return fmt.Errorf("the namespace of the %s %s is no name of one: %q", k.Kind, k.Name, k.Namespace)
	case k.Name == "." || k.Name == ".." || strings.ContainsAny(k.Name, "/%") || len(k.Name) > maxNameSize,
		!utf8.ValidString(k.Name), strings.ContainsFunc(k.Name, unicode.IsControl):
		return fmt.Errorf("the name of the %s is none that an object can have: %.100q", k.Kind, k.Name)
	}
	return nil
}

// isSecret says whether an object has values that git should not have.
func isSecret(k object.Key, body map[string]any) bool {
	if k.Group != "" || k.Kind != "Secret" {
		return false
	}
	data, _ := body["data"].(map[string]any)
	more, _ := body["stringData"].(map[string]any)
	return len(data)+len(more) > 0
}

// place orders what is rendered as the sources have it, whatever is ready first.
type place struct{ source, text, item int }

func (p place) before(o place) bool {
	switch {
	case p.source != o.source:
		return p.source < o.source
	case p.text != o.text:
		return p.text < o.text
	}
	return p.item < o.item
}

// claimed is what has a name.
type claimed struct {
	place
	key     object.Key
	version string
	name    string
	origin  Origin
}

// claims are the identities and the names of files that an output has so far.
type claims struct {
	byKey  map[object.Key]claimed
	byName map[string]claimed // by the name in lower case
	lost   []loss
	limit  int
}

// loss is a claim that came to nothing.
type loss struct {
	first, second claimed
	same          bool // object, and not only the name of its file
}

func newClaims(limit int) *claims {
	return &claims{limit: limit, byKey: make(map[object.Key]claimed), byName: make(map[string]claimed)}
}

var errLimit = fmt.Errorf("there are more than %d objects: divide the output", MaxObjects)

// claim says whether an object is the first of its identity and its file's name.
func (c *claims) claim(new claimed, generated bool) (bool, error) {
	if len(c.byName) >= c.limit {
		return false, errLimit
	}
	fold := strings.ToLower(new.name)
	key := new.key.Canonical()
	was, taken := c.byName[fold]
	same := false
	if !generated {
		if other, ok := c.byKey[key]; ok {
			was, taken, same = other, true, true
		} else {
			c.byKey[key] = new
		}
	}
	if !taken {
		c.byName[fold] = new
		return true, nil
	}
	if new.before(was.place) { // which of the two is read first is a matter of luck, and what is said of it is not
		was, new = new, was
	}
	c.lost = append(c.lost, loss{was, new, same})
	return false, nil
}

// problems says what is there twice.
func (c *claims) problems() Problems {
	var all Problems
	for _, l := range c.lost {
		first := l.first.origin
		p := &Problem{Origin: l.second.origin, Other: &first}
		switch {
		case l.same && (l.first.key != l.second.key || l.first.version != l.second.version):
			p.Message = fmt.Sprintf("%s is there twice: %s and %s are versions of one object, and Argo CD keeps the last one only",
				l.second.key, apiVersion(l.first), apiVersion(l.second))
		case l.same:
			p.Message = fmt.Sprintf("%s is there twice, and Argo CD keeps the last one only", l.second.key)
		default:
			p.Message = fmt.Sprintf("the files of %s and %s would have one name, %s, at least where upper and lower case are one: "+
				"rename one of the objects, or name its namespace",
				l.first.key, l.second.key, l.second.name)
		}
		all = append(all, p)
	}
	return all
}

func apiVersion(c claimed) string {
	if c.key.Group == "" {
		return c.version
	}
	return c.key.Group + "/" + c.version
}

// errMarker is of an object that Argo CD would not see.
var errMarker = errors.New("it has the text " + object.SkipMarker + ", for which Argo CD passes over the whole file")
