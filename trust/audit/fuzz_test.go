package audit

import (
	"bytes"
	"testing"
	"time"
)

func FuzzLine(f *testing.F) {
	e := entry(1)
	for _, l := range []line{
		{Sequence: 2, Time: utc(time.Unix(1, 5)), Entry: &e},
		{Sequence: 1, Time: utc(time.Unix(0, 0)), Start: &start{Format: format, Number: 1}},
		{Sequence: 9, Time: utc(time.Unix(0, 0)), Start: &start{Format: format, Number: 2, Torn: 7, Damage: &damage{3, "bad"}}},
	} {
		text, _, err := l.encode(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text[:len(text)-1])
	}
	f.Add([]byte(`{"sequence":1,"SEQUENCE":2,"time":"","previous":"","hash":""}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := decode(text)
		if err != nil {
			return
		}
		again, hash, err := l.encode(nil)
		if err != nil || hash != l.Hash || !bytes.Equal(again, append(text, '\n')) {
			t.Errorf("%q was taken, and is written as %q, %v", text, again, err)
		}
	})
}

func FuzzEntry(f *testing.F) {
	f.Add("sign", "a\xff\u2028", "<script>", `","hash":"`)
	f.Fuzz(func(t *testing.T, action, name, reason, remote string) {
		e := Entry{Who: Who{Name: name}, What: What{Action: action}, Outcome: Refused, Reason: reason, Remote: remote}.bounded()
		text, hash, err := line{Sequence: 3, Time: utc(time.Unix(7, 0)), Entry: &e}.encode(nil)
		if err != nil {
			t.Fatal(err)
		}
		l, err := decode(text[:len(text)-1])
		if err != nil || l.Hash != hash || *l.Entry != e {
			t.Errorf("%+v is read back as %+v, %v", e, l, err)
		}
		if bytes.Count(text, []byte{'\n'}) != 1 {
			t.Errorf("%q is not one line", text)
		}
	})
}
