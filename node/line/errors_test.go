package line

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func badLines(t *testing.T, body string) (*Batch, *Error) {
	t.Helper()
	b, err := parse(t, body)
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("Parse(%.100q): error %v, want *Error", body, err)
	}
	return b, e
}

func TestAllBadLinesAreListedWithTheirNumbers(t *testing.T) {
	b, e := badLines(t, "m f=1 1\nbad\n# c\n\nm s=\"two\nlines\" 2\r\n\tm f= 3\r\nm f=4 4\nbad2")
	want := []LineError{
		{2, "bad", "missing fields"},
		{7, "m f= 3", "missing field value"},
		{9, "bad2", "missing fields"},
	}
	if len(e.Lines) != len(want) {
		t.Fatalf("%d bad lines, want %d: %v", len(e.Lines), len(want), e)
	}
	for i := range want {
		if e.Lines[i] != want[i] {
			t.Errorf("bad line %d: %+v, want %+v", i, e.Lines[i], want[i])
		}
	}
	const text = "unable to parse 'bad': missing fields\n" +
		"unable to parse 'm f= 3': missing field value\n" +
		"unable to parse 'bad2': missing fields"
	if e.Error() != text {
		t.Errorf("Error() = %q, want %q", e.Error(), text)
	}
	var numbers []int
	for _, p := range b.Points {
		numbers = append(numbers, p.Line)
	}
	if len(numbers) != 3 || numbers[0] != 1 || numbers[1] != 5 || numbers[2] != 8 {
		t.Errorf("lines of the good points: %v, want 1, 5, 8", numbers)
	}
}

// What is inside the quotes of a bad line looks like lines of its own.
func TestABadLineEndsWhereItWasMeantToEnd(t *testing.T) {
	for _, c := range []struct {
		body, text, reason string
		points             int
	}{
		{"m,t= f=\"a\nm f=1\n\" 5\nm f=2", "m,t= f=\"a\nm f=1\n\" 5", "missing tag value", 1},
		{"m f=x,g=\"a\nm f=1\" 5\nm f=2", "m f=x,g=\"a\nm f=1\" 5", "invalid boolean", 1},
		{"m f=\"a\nm f=1\"x\nm f=2", "m f=\"a\nm f=1\"x", "invalid field format", 1},
		{"m f=\"a\nm f=1\nm f=2", "m f=\"a\nm f=1\nm f=2", "unbalanced quotes", 0},
		{"m f=\"a\\\"\nm f=1\" x\nm f=2", "m f=\"a\\\"\nm f=1\" x", "bad timestamp", 1},
		{"m,t=\"a\nm f=2", "m,t=\"a", "missing fields", 1},
		{"m \"f\nm f=2", "m \"f", "invalid field format", 1},
		{"m\\\nx f=1\nm f=2", "m\\\nx f=1", "newline in a name", 1},
		{"m,t=a\\\nb f=1\nm f=2", "m,t=a\\\nb f=1", "newline in a name", 1},
		{"m,t\\\n=b f=1\nm f=2", "m,t\\\n=b f=1", "newline in a name", 1},
		{"m f\\\ng=1\nm f=2", "m f\\\ng=1", "newline in a name", 1},
		{"m f=1\\\nm f=2\nm f=3", "m f=1\\\nm f=2", "invalid number", 1},
		{"m\\", "m\\", "missing fields", 0},
	} {
		b, e := badLines(t, c.body)
		if len(e.Lines) != 1 || e.Lines[0].Text != c.text || e.Lines[0].Reason != c.reason {
			t.Errorf("Parse(%q):\n got %q\nwant %q: %s", c.body, e, c.text, c.reason)
		}
		if len(b.Points) != c.points {
			t.Errorf("Parse(%q): %d points, want %d", c.body, len(b.Points), c.points)
		}
	}
}

func TestLongBadLinesAreCutBetweenCharacters(t *testing.T) {
	for pad := range 4 {
		text := strings.Repeat("x", pad) + strings.Repeat("€", MaxExcerpt)
		_, e := badLines(t, text)
		got := e.Lines[0].Text
		if len(got) > MaxExcerpt || len(got) < MaxExcerpt-4 || !utf8.ValidString(got) || !strings.HasPrefix(text, strings.TrimSuffix(got, "...")) {
			t.Errorf("excerpt of %d bytes with %d before: %q", len(got), pad, got)
		}
	}
	exact := strings.Repeat("x", MaxExcerpt)
	if _, e := badLines(t, exact); e.Lines[0].Text != exact {
		t.Errorf("a line of %d bytes was cut to %d", MaxExcerpt, len(e.Lines[0].Text))
	}
	digits := strings.Repeat("9", 5000)
	if _, e := badLines(t, "m f="+digits+"i"); len(e.Lines[0].Reason) > MaxExcerpt+100 {
		t.Errorf("a reason of %d bytes", len(e.Lines[0].Reason))
	}
}

func TestBadLinesBeyondTheBoundAreCounted(t *testing.T) {
	_, e := badLines(t, strings.Repeat("bad\n", MaxLineErrors+2))
	if len(e.Lines) != MaxLineErrors || e.More != 2 {
		t.Errorf("%d listed and %d more, want %d and 2", len(e.Lines), e.More, MaxLineErrors)
	}
	if !strings.HasSuffix(e.Error(), "': missing fields\nand 2 more lines") {
		t.Errorf("the text ends in %q", e.Error()[len(e.Error())-60:])
	}
}
