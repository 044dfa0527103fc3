package conf

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-telemetry/holdfast/internal/nearest"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/toml"
)

// Duration is a time span written as "90s", "1h30m", "1d", or as a number of seconds.
type Duration time.Duration

// UnmarshalText reads the forms above.
func (d *Duration) UnmarshalText(b []byte) error {
	var v config.Duration
	if err := v.UnmarshalText(b); err != nil {
		return fmt.Errorf("%q is not a duration such as \"90s\" or \"1d\"", b)
	}
	*d = Duration(v)
	return nil
}

// Size is a number of bytes, written as an integer or as "64KiB", "5MB".
type Size int64

// UnmarshalText reads the forms above.
func (s *Size) UnmarshalText(b []byte) error {
	var v config.Size
	if err := v.UnmarshalText(b); err != nil {
		return fmt.Errorf("%q is not a size in bytes such as 1048576 or \"64MiB\"", b)
	}
	*s = Size(v)
	return nil
}

// Decode fills the struct that v points to. Keys are matched by the field's `toml` tag, or by its name without case and
// underscores. A key that v does not have is an error with a suggestion.
func (t *Table) Decode(v any) error {
	for {
		err := t.decode(v)
		le := new(toml.LineError)
		if err == nil || !errors.As(err, &le) || !t.ConvertReferences(le.Line) {
			return t.wrapNil(err)
		}
	}
}

func (t *Table) decode(v any) error {
	tree, err := t.tree()
	if err != nil {
		return err
	}
	cfg := toml.DefaultConfig
	cfg.MissingField = func(typ reflect.Type, key string) error {
		return &UnknownKeyError{Table: t.Name(), Key: key, Nearest: nearest.Of(key, Keys(typ))}
	}
	return cfg.UnmarshalTable(tree, v)
}

func (t *Table) wrapNil(err error) error {
	if err == nil {
		return nil
	}
	return t.Wrap(err)
}

// UnknownKeyError is a key that a table does not have.
type UnknownKeyError struct {
	Table, Key string
	Nearest    string // a key that the table has; "" when none is near
}

// Error names the table, the key and what was probably meant.
func (e *UnknownKeyError) Error() string {
	if e.Nearest != "" {
		return fmt.Sprintf("%s has no option %q; did you mean %q?", e.Table, e.Key, e.Nearest)
	}
	return fmt.Sprintf("%s has no option %q", e.Table, e.Key)
}

// Keys returns the keys that a struct type can be given, sorted.
func Keys(typ reflect.Type) []string {
	var keys []string
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct {
		return nil
	}
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		switch {
		case f.Anonymous && name == "":
			keys = append(keys, Keys(f.Type)...)
		case !f.IsExported() || name == "-":
		case name != "":
			keys = append(keys, name)
		default:
			keys = append(keys, strings.ToLower(f.Name))
		}
	}
	slices.Sort(keys)
	return keys
}
