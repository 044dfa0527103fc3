package class_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-telemetry/holdfast/operator/agent"
	"github.com/holdfast-telemetry/holdfast/operator/class"
)

func away(string) error { return fmt.Errorf("dial: %w", agent.ErrUnreachable) }

func TestWithoutAnAnswerTheBuiltInCheckDecidesUntilThereIsOne(t *testing.T) {
	source, fake := newHand(class.KindDirectory), &fakeAgent{answer: away}
	r := start(t, withAgent(fake), source)
	source.reports <- map[class.Key]class.Raw{folder("a"): raw(output("1")), folder("b"): raw(output("bad"))}
	<-r.Synced()
	for _, name := range []string{"a", "b"} {
		v, _ := r.Verdict(folder(name))
		if !v.Valid || v.Reason != class.ReasonNotChecked || v.CheckedBy != class.CheckedBySyntax || !strings.HasPrefix(v.Message, "checked: syntax only: dial") {
			t.Errorf("the verdict on %s is %+v", name, v)
		}
		if _, err := r.Resolve("x", name); err != nil {
			t.Error(err)
		}
	}
	fake.set(refuseBad)
	eventually(t, "the good text is accepted", func() bool { return reason(r, folder("a")) == class.ReasonAccepted })
	eventually(t, "the bad text is refused", func() bool { return reason(r, folder("b")) == class.ReasonRefusedByAgent })
	if c, err := r.Resolve("x", "b"); err == nil {
		t.Errorf("a text that was refused after all is in use: %q", c.Text)
	}
}

func TestATextOfWhichSomethingIsOnlyInThePodIsUsedAndSaysSo(t *testing.T) {
	source, fake := newHand(class.KindDirectory), &fakeAgent{answer: func(string) error { return &agent.Unjudged{Message: "the file /ca.pem is only in the pod"} }}
	o := withAgent(fake)
	o.RetryMin, o.RetryMax = time.Millisecond, time.Millisecond
	r := start(t, o, source)
	source.reports <- map[class.Key]class.Raw{folder("a"): raw(output("1"))}
	<-r.Synced()
	v, _ := r.Verdict(folder("a"))
	if !v.Valid || v.Reason != class.ReasonPartlyChecked || v.Message != "accepted by syntax; the file /ca.pem is only in the pod" {
		t.Errorf("the verdict is %+v", v)
	}
	if text(r, "x", "a") != output("1") || fake.count() != 1 || !r.Good()[folder("a")].Sure {
		t.Errorf("in use is %q; the agent was asked %d times", text(r, "x", "a"), fake.count())
	}
}

func TestATextRefusedAfterAllGivesWayToTheOneThatPassed(t *testing.T) {
	source, fake := newHand(class.KindDirectory), &fakeAgent{}
	r := start(t, withAgent(fake), source)
	source.reports <- map[class.Key]class.Raw{folder("a"): raw(output("1"))}
	<-r.Synced()
	fake.set(away)
	source.reports <- map[class.Key]class.Raw{folder("a"): raw(output("bad"))}
	eventually(t, "the unchecked text is in use", func() bool { return text(r, "x", "a") == output("bad") })
	fake.set(refuseBad)
	eventually(t, "the text before it is in use again", func() bool { return text(r, "x", "a") == output("1") })
}

func TestACheckerThatIsAwayIsNotAskedForEveryClass(t *testing.T) {
	source, fake := newHand(class.KindDirectory), &fakeAgent{answer: away}
	o := withAgent(fake)
	o.RetryMin, o.RetryMax = time.Hour, time.Hour
	r := start(t, o, source)
	all := map[class.Key]class.Raw{}
	for i := range 50 {
		all[folder(fmt.Sprint("c", i))] = raw(output(fmt.Sprint(i)))
	}
	source.reports <- all
	<-r.Synced()
	if n := fake.count(); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
}

func TestATextThatTheAgentHangsOnDoesNotKeepOthersFromBeingChecked(t *testing.T) {
	source := newHand(class.KindDirectory)
	r := start(t, withAgent(&fakeAgent{answer: func(text string) error {
		if strings.Contains(text, "hang") {
			return errors.New("gave no answer within 20s")
		}
		return refuseBad(text)
	}}), source)
	source.reports <- map[class.Key]class.Raw{folder("a"): raw(output("hang")), folder("b"): raw(output("bad")), folder("c"): raw(output("3"))}
	<-r.Synced()
	if b, c := reason(r, folder("b")), reason(r, folder("c")); b != class.ReasonRefusedByAgent || c != class.ReasonAccepted {
		t.Errorf("the verdicts are %s and %s", b, c)
	}
}

func TestLastGoodTextsAreInUseBeforeAnyCheck(t *testing.T) {
	source, hold := newHand(class.KindDirectory), make(chan struct{})
	fake := &fakeAgent{answer: func(text string) error {
		<-hold
		return refuseBad(text)
	}}
	r := class.NewRegistry(withAgent(fake), source)
	r.Load(map[class.Key]class.Good{
		folder("a"):    {Text: []byte(output("1")), Sure: true},
		folder("gone"): {Text: []byte(output("2")), Sure: true},
		folder("torn"): {Text: []byte("[agent")},
	})
	run(t, r)
	source.reports <- map[class.Key]class.Raw{folder("a"): raw(output("bad"))}
	eventually(t, "the class is there", func() bool { return text(r, "x", "a") == output("1") })
	if c, err := r.Delivered("x", "gone"); err != nil || string(c.Text) != output("2") {
		t.Errorf("running pods get %v, %v", c, err)
	}
	if _, err := r.Resolve("x", "gone"); err == nil {
		t.Error("a class that is gone is there for new pods")
	}
	close(hold)
	eventually(t, "the text is refused", func() bool { return reason(r, folder("a")) == class.ReasonRefusedByAgent })
	if got := text(r, "x", "a"); got != output("1") {
		t.Errorf("the class is %q", got)
	}
	if good := r.Good(); len(good) != 2 || string(good[folder("a")].Text) != output("1") || !good[folder("a")].Sure {
		t.Errorf("to be kept are %v", good)
	}
}

func TestTextsOfClassesThatAreGoneAreBounded(t *testing.T) {
	source := newHand(class.KindTelegrafClass)
	r := start(t, class.Options{}, source)
	big := strings.Repeat("#", 1<<20-100) + "\n"
	for i := range 12 {
		name := fmt.Sprint("c", i)
		source.reports <- map[class.Key]class.Raw{inNamespace("x", name): {Text: []byte(big + output(name)), Object: &corev1.ObjectReference{UID: types.UID(name)}}}
		eventually(t, "the class is there", func() bool { return reason(r, inNamespace("x", name)) == class.ReasonAccepted })
	}
	if n := len(r.Retained()); n > 8 {
		t.Errorf("%d MiB are kept", n)
	}
	if _, err := r.Delivered("x", "c10"); err != nil {
		t.Errorf("the newest that is gone is not kept: %v", err)
	}
	if _, err := r.Delivered("x", "c0"); err == nil {
		t.Error("the oldest that is gone is kept")
	}
}

func TestNamesOfClasses(t *testing.T) {
	for _, name := range []string{"a", "default", "A1", "my.class_2-x", strings.Repeat("a", 63)} {
		if err := class.ValidName(name); err != nil {
			t.Error(err)
		}
	}
	for name, want := range map[string]string{
		"": "is empty", "../x": "not a path", "a/b": "not a path", "..": `begins or ends with "."`, ".hidden": `begins or ends with "."`, "a-": `begins or ends with "-"`,
		strings.Repeat("a", 64): "shorten it to 63", "a b": "' '", "ä": "'ä'", "a\x00": `'\x00'`, strings.Repeat("/", 1000): "shorten it",
	} {
		if err := class.ValidName(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error of %.20q is %v, want one with %q", name, err, want)
		}
	}
}
