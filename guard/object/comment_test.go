package object

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestACommentIsAboutItsDocumentOrTheNextOne(t *testing.T) {
	const a = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n"
	const comment = WaiveComment + " HG041 reason=x\n"
	for text, want := range map[string][]Comment{
		comment + a:                               {{0, 1, "HG041 reason=x"}},
		"# one\n\n" + comment + "---\n" + a:       {{1, 3, "HG041 reason=x"}},
		comment + "---\n" + comment + "---\n" + a: {{2, 1, "HG041 reason=x"}, {2, 3, "HG041 reason=x"}},
		a + "---\n" + comment + a:                 {{1, 5, "HG041 reason=x"}},
		a + comment + "---\n" + a:                 {{0, 4, "HG041 reason=x"}},
		a + "---\n" + comment:                     {{1, 5, "HG041 reason=x"}},
		// In a value it is no comment, and neither is one that is indented, which could be in a value.
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  a: |\n    " + comment: nil,
		a + " " + comment: nil,
	} {
		f := Read("a.yaml", []byte(text), nil)
		if f.Bad != nil || !reflect.DeepEqual(f.Comments, want) {
			t.Errorf("%q has %v, want %v (%v)", text, f.Comments, want, f.Bad)
		}
	}
	many := Read("a.yaml", []byte(strings.Repeat(comment, 2*MaxComments)+a), nil)
	if len(many.Comments) != MaxComments {
		t.Errorf("%d comments are read", len(many.Comments))
	}
	if f := Read("a.json", fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a","labels":{"x":%q}}}`, comment), nil); f.Bad != nil || f.Comments != nil {
		t.Errorf("JSON has comments: %+v", f)
	}
}
