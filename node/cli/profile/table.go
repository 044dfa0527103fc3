package profile

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

func fromTable(name string, table map[string]any) Profile {
	p := Profile{Name: name, unknown: map[string]any{}}
	for key, value := range table {
		text, _ := value.(string)
		flag, _ := value.(bool)
		switch key {
		case "url":
			p.Host = text
		case "token":
			p.Token = text
		case "org":
			p.Org = text
		case "cookie":
			p.Cookie = text
		case "active":
			p.Active = flag
		case "previous":
			p.Previous = flag
		default:
			p.unknown[key] = value
		}
	}
	return p
}

// text returns the file's TOML, in the order and with the keys that the `influx` command writes.
func (s profiles) text() string {
	var b strings.Builder
	for i, name := range slices.Sorted(maps.Keys(s)) {
		if i > 0 {
			b.WriteByte('\n')
		}
		s[name].appendTo(&b)
	}
	return b.String()
}

func (p Profile) appendTo(b *strings.Builder) {
	fmt.Fprintf(b, "[%s]\n", tomlKey(p.Name))
	set := func(key, value string) { fmt.Fprintf(b, "  %s = %s\n", tomlKey(key), value) }
	set("url", tomlString(p.Host))
	set("token", tomlString(p.Token))
	set("org", tomlString(p.Org))
	if p.Active {
		set("active", "true")
	}
	if p.Previous {
		set("previous", "true")
	}
	if p.Cookie != "" {
		set("cookie", tomlString(p.Cookie))
	}
	for _, key := range slices.Sorted(maps.Keys(p.unknown)) {
		switch v := p.unknown[key].(type) {
		case string:
			set(key, tomlString(v))
		case bool, int64:
			set(key, fmt.Sprint(v))
		case float64:
			set(key, strconv.FormatFloat(v, 'f', -1, 64))
		}
	}
}

func tomlKey(name string) string {
	plain := func(r rune) bool {
		return r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	if name != "" && strings.IndexFunc(name, func(r rune) bool { return !plain(r) }) < 0 {
		return name
	}
	return tomlString(name)
}

// tomlString quotes a basic string: the quote, the backslash and control characters are escaped.
func tomlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
