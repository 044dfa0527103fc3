package object

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// MaxFileName is the longest name that FileName gives, in bytes: file systems have names of 255.
const MaxFileName = 240

// FileName is the name of a file that has one object: "apps.v1.StatefulSet-influx.kafka.yaml", in the core group
// "v1.Service-influx.etcd.yaml", and for an object of the cluster "v1.Namespace-influx.yaml". Characters that some file system does not
// have in names, or has in two forms, are written as in URLs; no name of an object has the percent sign. Of a name that is too long the end
// is a percent sign and a hash of the whole.
//
// An object that names no namespace and whose own name has a dot may have the name of another's file.
func FileName(k Key, version string) string {
	var b strings.Builder
	if k.Group != "" {
		b.WriteString(k.Group)
		b.WriteByte('.')
	}
	b.WriteString(version)
	b.WriteByte('.')
	b.WriteString(k.Kind)
	b.WriteByte('-')
	if k.Namespace != "" {
		b.WriteString(k.Namespace)
		b.WriteByte('.')
	}
	b.WriteString(k.Name)
	name := escaped(b.String())
	if len(name)+len(ending) > MaxFileName {
		sum := sha256.Sum256([]byte(name))
		name = fmt.Sprintf("%s%%%x", name[:MaxFileName-len(ending)-17], sum[:8])
	}
	return name + ending
}

const ending = ".yaml"

// escaped writes what is no plain character of a file's name as in URLs.
func escaped(name string) string {
	if strings.IndexFunc(name, special) < 0 {
		return name
	}
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; special(rune(c)) {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// special says whether a character is escaped: what Windows does not have in names, what moves a terminal, and all beyond ASCII, which some
// systems have in two forms.
func special(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune(`%:/\*?"<>|`, c) }
