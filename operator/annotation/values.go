package annotation

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

// ValidClass says what is wrong with a class's name. It is a file's name, a key of a Secret and the end of a label's key.
func ValidClass(name string) error {
	if name == "" {
		return errors.New("a class's name is missing")
	}
	if len(validation.IsQualifiedName(name)) > 0 || strings.Contains(name, "/") {
		return fmt.Errorf("class %s is not a name: 1 to 63 letters, digits, dashes, dots and underscores, with a letter or digit at both ends", quote(name))
	}
	return nil
}

// boolean reads the words that Go reads as a truth value, which are those that telegraf-operator heeds.
func boolean(text string) (bool, error) {
	on, err := strconv.ParseBool(strings.TrimSpace(text))
	if err != nil {
		return false, fmt.Errorf("%s is neither \"true\" nor \"false\"", quote(text))
	}
	return on, nil
}

// days are what the agent's durations have and Go's do not.
var days = regexp.MustCompile(`(\d+(?:\.\d+)?)d`)

// shortest is the interval below which somebody is told that it is most likely not meant.
const shortest = 100 * time.Millisecond

// interval reads a duration in the agent's format: 10s, 1m30s, 1d, or a number of seconds.
func interval(text string) (time.Duration, error) {
	shown := text
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		text = fmt.Sprintf("%fs", seconds)
	}
	text = days.ReplaceAllStringFunc(text, func(s string) string {
		n, _ := strconv.ParseFloat(s[:len(s)-1], 64) // the expression matches numbers only
		return fmt.Sprintf("%fh", n*24)
	})
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%s is not a duration, such as 10s or 1m30s", quote(shown))
	}
	if d <= 0 {
		return 0, fmt.Errorf("%s is not a duration above zero", quote(shown))
	}
	return d, nil
}

// port reads a TCP port.
func port(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 65535 {
		return 0, fmt.Errorf("%s is not a port: a number from 1 to 65535", quote(text))
	}
	return n, nil
}

// object says what is wrong with the name of a Secret or ConfigMap.
func object(name string) error {
	if len(validation.IsDNS1123Subdomain(name)) > 0 {
		return fmt.Errorf("%s is not the name of an object: lower case letters, digits, dashes and dots", quote(name))
	}
	return nil
}

// keyOf reads an object's name and one of its keys: name/key, or telegraf-operator's name.key, which is cut at the first dot.
func keyOf(text string) (name, key string, err error) {
	text = strings.TrimSpace(text)
	name, key, ok := strings.Cut(text, "/")
	if !ok {
		name, key, ok = strings.Cut(text, ".")
	}
	if !ok || key == "" {
		return "", "", fmt.Errorf("%s is not of the form name.key, or name/key for names with dots", quote(text))
	}
	if err := object(name); err != nil {
		return "", "", err
	}
	if len(validation.IsConfigMapKey(key)) > 0 {
		return "", "", fmt.Errorf("%s is not a key: letters, digits, dashes, dots and underscores", quote(key))
	}
	return name, key, nil
}

// maxShown bounds what a message shows of a value, in bytes. Values are as long as their authors like, and what is said about a pod is
// written on it.
const maxShown = 80

// quote shows a value in a message.
func quote(text string) string { return strconv.Quote(shorten(text)) }

// shorten cuts a text to maxShown.
func shorten(text string) string {
	if len(text) <= maxShown {
		return text
	}
	return strings.ToValidUTF8(text[:maxShown], "") + "…"
}
