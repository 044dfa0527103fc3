package images_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/holdfast-telemetry/holdfast/trust/images"
)

var now = time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC)

const (
	a = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	b = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

const good = `# what may run
images:
- reference: redis:7.2@` + a + `   # the cache
  owner: team-cache
  reviewed-by: Zoë
  expires: 2026-06-01
- {reference: "quay.io/coreos/etcd@` + a + `", owner: platform, reviewed-by: "ann, bob", expires: 2026-07-01}
`

func TestAListIsRead(t *testing.T) {
	l, problems, err := images.Read(fstest.MapFS{"images.yaml": {Data: []byte(good)}}, "images.yaml")
	if err != nil || len(problems) > 0 || len(l.Images) != 2 {
		t.Fatalf("%+v, %v, %v", l, problems, err)
	}
	i := l.Images[0]
	if i.Reference.String() != "redis@"+a && i.Reference.Name() != "index.docker.io/library/redis@"+a || i.Tag != "7.2" || i.Owner != "team-cache" || i.ReviewedBy != "Zoë" || i.Line != 3 {
		t.Errorf("the first is %+v", i)
	}
	if j := l.Images[1]; j.Tag != "" || j.Reference.Name() != "quay.io/coreos/etcd@"+a {
		t.Errorf("the second is %+v", j)
	}
	if got := images.Check([]*images.List{l}, now); len(got) > 0 {
		t.Errorf("problems of a good list: %v", got)
	}
}

func TestADayThatIsMissingHasNotPassed(t *testing.T) {
	l, problems, err := images.Read(fstest.MapFS{"images.yaml": {Data: []byte(strings.Replace(good, "  expires: 2026-06-01\n", "", 1))}}, "images.yaml")
	if err != nil || len(problems) != 1 || !strings.Contains(problems[0].String(), "expires is missing") {
		t.Fatalf("%v, %v", problems, err)
	}
	if more := images.Check([]*images.List{l}, now); len(more) > 0 {
		t.Errorf("it says that, and %v", more)
	}
	if signed := images.Signable([]*images.List{l}, now); len(signed) != 1 {
		t.Errorf("to be signed are %v", signed)
	}
}

func TestEveryMistakeIsNamedWithItsLine(t *testing.T) {
	replace := func(old, text string) string { return strings.Replace(good, old, text, 1) }
	for want, text := range map[string]string{
		"images.yaml:3: error: redis:7.2 has no digest":             replace("redis:7.2@"+a, "redis:7.2"),
		"images.yaml:3: error: redis:7.2@sha512:1 is no image":      replace("redis:7.2@"+a, "redis:7.2@sha512:1"),
		"images.yaml:4: error: there is no field \"ownr\": did you": replace("owner:", "ownr:"),
		"images.yaml:3: error: owner is missing":                    replace("  owner: team-cache\n", ""),
		"images.yaml:5: error: reviewed-by is missing or empty":     replace("Zoë", `""`),
		"images.yaml:6: error: expires is \"soon\"":                 replace("2026-06-01", "soon"),
		"images.yaml:5: error: the field owner is there twice":      replace("  reviewed-by", "  owner: x\n  reviewed-by"),
		"images.yaml:1: error: it is no YAML":                       "images: [",
		"images.yaml:1: error: it has no list":                      "",
		"images.yaml:1: error: images is no list":                   "images: 1",
		"images.yaml:2: error: this is no entry":                    "images:\n- redis",
		"a second document":                                         good + "---\nimages: []\n",
		"more than 255 bytes":                                       replace("Zoë", strings.Repeat("z", 256)),
	} {
		_, problems := images.Parse("images.yaml", []byte(text))
		found := false
		for _, p := range problems {
			found = found || strings.Contains(p.String(), want)
		}
		if !found {
			t.Errorf("%s: the problems are %v", want, problems)
		}
	}
	if _, _, err := images.Read(fstest.MapFS{"f": {Data: make([]byte, images.MaxSize+1)}}, "f"); err == nil {
		t.Error("a list that is too large is read")
	}
}

func TestEntriesTogetherAreChecked(t *testing.T) {
	first, _ := images.Parse("a.yaml", []byte(good))
	second, _ := images.Parse("b.yaml", []byte(strings.Replace(good, "redis:7.2", "docker.io/library/redis:7", 1)))
	problems := images.Check([]*images.List{first, second}, time.Date(2026, 6, 20, 0, 0, 0, 0, time.UTC))
	var got []string
	for _, p := range problems {
		got = append(got, p.String())
	}
	all := strings.Join(got, "\n")
	for _, want := range []string{"a.yaml:3: error: index.docker.io/library/redis@" + a + " expired on 2026-06-01", "a.yaml:7: warning: quay.io/coreos/etcd@" + a + " expires on 2026-07-01; it is platform's",
		"b.yaml:7: error: quay.io/coreos/etcd@" + a + " is at a.yaml:7 already", "b.yaml:3: error: "} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not among\n%s", want, all)
		}
	}
	if !strings.Contains(all, "is at a.yaml:3 already") {
		t.Errorf("one image under two spellings is not noticed:\n%s", all)
	}
	if s := images.Signable([]*images.List{first}, time.Date(2026, 6, 20, 0, 0, 0, 0, time.UTC)); len(s) != 1 || s[0].Owner != "platform" {
		t.Errorf("to be signed: %v", s)
	}
}

func TestAnUpdateTouchesDigestsAndReviewsAlone(t *testing.T) {
	text := strings.Replace(good, "etcd@", "etcd:v3@", 1)
	l, problems := images.Parse("images.yaml", []byte(text))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	updated, changes, err := images.Update(t.Context(), l, func(_ context.Context, tag name.Tag) (string, error) {
		if tag.RegistryStr() == "quay.io" {
			return a, nil
		}
		return b, nil
	})
	want := strings.Replace(strings.Replace(text, a, b, 1), "Zoë", `""`, 1)
	if err != nil || string(updated) != want || len(changes) != 1 || changes[0].Digest != b {
		t.Fatalf("%v, %v\n%s", changes, err, updated)
	}
	again, problems := images.Parse("images.yaml", updated)
	if len(problems) != 1 || !strings.Contains(problems[0].Message, "reviewed-by") || len(again.Images) != 2 || len(images.Signable([]*images.List{again}, now)) != 1 {
		t.Errorf("what nobody has reviewed: %v, %v", problems, again.Images)
	}
	// Nothing more changes, and an entry without a reviewer is followed too.
	updated, _, err = images.Update(t.Context(), again, func(context.Context, name.Tag) (string, error) { return a, nil })
	if err != nil || strings.Contains(string(updated), b) {
		t.Errorf("%v\n%s", err, updated)
	}
}

func TestAnUpdateThatFailsChangesNothing(t *testing.T) {
	l, _ := images.Parse("images.yaml", []byte(good))
	away := errors.New("away")
	if _, _, err := images.Update(t.Context(), l, func(context.Context, name.Tag) (string, error) { return "", away }); !errors.Is(err, away) || !strings.HasPrefix(err.Error(), "images.yaml:3: ") {
		t.Errorf("a registry that is away: %v", err)
	}
	if _, _, err := images.Update(t.Context(), l, func(context.Context, name.Tag) (string, error) { return "sha256:1\ninjected: true", nil }); err == nil {
		t.Error("what is no digest is written")
	}
	folded, problems := images.Parse("images.yaml", []byte("images:\n- reference: >-\n    redis:7.2@"+a+"\n  owner: o\n  reviewed-by: r\n  expires: 2027-01-01\n"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if _, _, err := images.Update(t.Context(), folded, func(context.Context, name.Tag) (string, error) { return b, nil }); err == nil {
		t.Error("a value over several lines is updated")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("images:\n- &x {reference: *x}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, _ := images.Parse("f", text)
		images.Check([]*images.List{l}, now)
		if updated, changes, err := images.Update(t.Context(), l, func(context.Context, name.Tag) (string, error) { return b, nil }); err == nil && len(changes) == 0 && string(updated) != string(text) {
			t.Error("a list that nothing changed in is changed")
		}
	})
}
