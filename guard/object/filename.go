package object

import "strings"

// FileName is the name of a file that has one object: "apps.v1.StatefulSet-influx.kafka.yaml", in the core group
// "v1.Service-influx.etcd.yaml", and for an object of the cluster "v1.Namespace-influx.yaml". Characters that some file system does not
// have in names are written as in URLs; no name of an object has the percent sign.
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
	b.WriteString(".yaml")
	return escapes.Replace(b.String())
}

var escapes = strings.NewReplacer(":", "%3A", "/", "%2F", `\`, "%5C", "*", "%2A", "?", "%3F", `"`, "%22", "<", "%3C", ">", "%3E", "|", "%7C")
