package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

var durationUnits = map[string]time.Duration{
	"ns": time.Nanosecond, "us": time.Microsecond, "µs": time.Microsecond, "ms": time.Millisecond, "s": time.Second,
	"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
}

// parseDuration reads what Go reads, and days and weeks (1w2d12h). Empty is 0; below 0 is an error.
func parseDuration(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		if d < 0 {
			return 0, fmt.Errorf("duration %q is below zero", s)
		}
		return d, nil
	}
	var sum time.Duration
	for rest := s; rest != ""; {
		digits := strings.IndexFunc(rest, func(r rune) bool { return !unicode.IsDigit(r) })
		if digits <= 0 {
			return 0, badDuration(s)
		}
		count, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil {
			return 0, badDuration(s)
		}
		rest = rest[digits:]
		letters := strings.IndexFunc(rest, unicode.IsDigit)
		if letters < 0 {
			letters = len(rest)
		}
		unit, ok := durationUnits[rest[:letters]]
		if !ok || count > math.MaxInt64/int64(unit) || sum > math.MaxInt64-time.Duration(count)*unit {
			return 0, badDuration(s)
		}
		sum += time.Duration(count) * unit
		rest = rest[letters:]
	}
	return sum, nil
}

func badDuration(s string) error {
	return fmt.Errorf("duration %q is not understood: write numbers with units ns, us, ms, s, m, h, d or w, such as 72h or 30d", s)
}

// parseSeconds reads a duration that must be whole seconds.
func parseSeconds(s string) (int64, error) {
	d, err := parseDuration(s)
	if err != nil {
		return 0, err
	}
	if d%time.Second != 0 {
		return 0, fmt.Errorf("duration %q is too precise: it must be whole seconds", s)
	}
	return int64(d / time.Second), nil
}
