package access

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestRepositoriesMatchByTheirWholeCompletedName(t *testing.T) {
	for _, c := range []struct {
		pattern, repository string
		want                bool
	}{
		{"reg.example/app/**", "reg.example/app/web", true},
		{"reg.example/app/**", "reg.example/app/a/b/c", true},
		{"reg.example/app/**", "reg.example/app", false},
		{"reg.example/app/**", "reg.example/apps/web", false},
		{"reg.example/app/*", "reg.example/app/web", true},
		{"reg.example/app/*", "reg.example/app/a/b", false},
		{"reg.example/*/web", "reg.example/app/web", true},
		{"reg.example/*/web", "reg.example/a/b/web", false},
		{"reg.example/**/web", "reg.example/a/b/web", true},
		{"reg.example/app-*-x", "reg.example/app-a-b-x", true},
		{"reg.example/app", "reg.example/app", true},
		{"reg.example/app", "other.example/reg.example/app", false},
		{"reg.example/app", "reg.example.evil.example/app", false},
		{"reg.example/app", "reg.example:5000/app", false},
		{"reg.example:5000/app", "reg.example:5000/app", true},
		{"*.example/app", "reg.example/app", true},
		{"*.example:5000/app", "reg.example:5000/app", true},
		{"*.example/app", "evil.org/x.example/app", false},
		{"reg.example/app", "REG.Example/app", true},
		{"localhost/app", "localhost/app", true},
		{"nginx", "docker.io/library/nginx", true},
		{"docker.io/library/nginx", "nginx", true},
		{"docker.io/nginx", "index.docker.io/nginx", true},
		{"index.docker.io/library/nginx", "DOCKER.IO/nginx", true},
		{"acme/app", "docker.io/acme/app", true},
		{"acme/*", "acme/app", true},
		{"acme/*", "reg.example/acme/app", false},
		{"*", "nginx", true},
		{"*", "reg.example/nginx", false},
		{"docker.io/*", "nginx", true},
		{"docker.io/**", "acme/app", true},
		{"**", "reg.example/any/thing", true},
		{"**/app", "reg.example/any/app", true},
		{"reg.example/**a**b", "reg.example/xaxxb", true},
		{"reg.example/**a*b", "reg.example/a/ab", true},
	} {
		g, err := parseRepositories(c.pattern, false)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		name, err := ParseRepository(c.repository)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if got := g.match(name); got != c.want {
			t.Errorf("%q matches %q, which is %q: %v", c.pattern, c.repository, name, got)
		}
	}
}

func TestPatternsThatCannotMatchOrSayTooMuchAreErrors(t *testing.T) {
	for pattern, want := range map[string]string{
		"":                                `"" cannot be a part`,
		"reg.example/app:v1":              "without a tag",
		"app:v1":                          "without a tag",
		"reg.example/app@sha256:00":       "digest",
		"reg.example/App":                 "lower case",
		"Reg.example/app":                 "lower case",
		"reg.example/a/../b":              `".."`,
		"reg.example/./b":                 `"."`,
		"reg.example//b":                  `""`,
		"reg.example/b/":                  `""`,
		"reg.example/***":                 "***",
		"reg.example/a b":                 "' '",
		"${repository}":                   "no registry",
		"${host}.example/x":               "from a claim",
		"acme/${repository}":              "no registry",
		"reg.example/${}":                 "${NAME}",
		"reg.example/${a":                 "${NAME}",
		"reg.example/${a|upper}":          "${NAME}",
		"reg.example/${${a}}":             "${NAME}",
		"reg.example/$a":                  "'$'",
		strings.Repeat("a", maxPattern+1): "1 to 512 bytes",
	} {
		if _, err := parseRepositories(pattern, true); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v; %q is wanted", pattern, err, want)
		}
	}
	if _, err := parseRepositories("reg.example/${repository}", false); err == nil {
		t.Error("a claim was taken where there are none")
	}
}

func TestNamesOfRepositoriesThatAURLWouldChangeAreRefused(t *testing.T) {
	for _, name := range []string{
		"", "reg.example/", "reg.example/app/../secret", "reg.example/../x", "reg.example/./x", "reg.example//x", "reg.example/x/", "/x",
		"reg.example/app%2f..", "reg.example/App", "reg.example/app*", "reg.example/${x}", "user@reg.example/x", "reg.example:port/x",
		"http://reg.example/x", "reg.example/x?y", "reg.example\\x", "reg.example/x\n", "reg.éxample/x", "reg.example/" + strings.Repeat("a", 2000),
	} {
		if got, err := ParseRepository(name); err == nil {
			t.Errorf("%.60q was taken, as %q", name, got)
		}
	}
}

func TestImagesAreNamedByTheirDigestOnly(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0a", 32)
	for reference, want := range map[string]string{
		"nginx@" + digest:                                    "index.docker.io/library/nginx",
		"nginx:1.2@" + digest:                                "index.docker.io/library/nginx",
		"docker.io/acme/app@" + digest:                       "index.docker.io/acme/app",
		"Reg.Example:5000/app:v1@" + digest:                  "reg.example:5000/app",
		"reg.example/app@sha256:00":                          "",
		"reg.example/app:v1":                                 "",
		"reg.example/app":                                    "",
		"reg.example/a/../b@" + digest:                       "",
		"reg.example/app@" + digest + digest:                 "",
		"a@b@" + digest:                                      "",
		"reg.example/app@sha512:" + strings.Repeat("0a", 64): "",
		"reg.example/app@" + strings.ToUpper(digest):         "",
		"reg.example/app@sha256:" + strings.ToUpper(strings.TrimPrefix(digest, "sha256:")): "",
	} {
		got, err := ParseImage(reference)
		if want == "" && err == nil {
			t.Errorf("%q was taken, as %+v", reference, got)
		}
		if want != "" && (err != nil || got != Image{want, digest}) {
			t.Errorf("%q is read as %+v, %v", reference, got, err)
		}
	}
}

func TestAClaimIsNeverAPatternNorAWayOut(t *testing.T) {
	g, err := parseRepositories("reg.example/ci/${repository}", true)
	if err != nil {
		t.Fatal(err)
	}
	for value, repositories := range map[string][]string{
		"**":                            {"reg.example/ci/acme/app", "reg.example/ci/**"},
		"*":                             {"reg.example/ci/app"},
		"acme/**":                       {"reg.example/ci/acme/app"},
		"..":                            {"reg.example/ci/..", "reg.example"},
		"../prod/app":                   {"reg.example/ci/../prod/app", "reg.example/prod/app"},
		"a/../../prod":                  {"reg.example/ci/a/../../prod", "reg.example/prod"},
		"a/./b":                         {"reg.example/ci/a/./b", "reg.example/ci/a/b"},
		"/prod":                         {"reg.example/ci//prod", "reg.example/ci/prod"},
		"a/":                            {"reg.example/ci/a/", "reg.example/ci/a"},
		"":                              {"reg.example/ci/", "reg.example/ci"},
		"${repository}":                 {"reg.example/ci/${repository}"},
		"Acme/App":                      {"reg.example/ci/acme/app"},
		"app:latest":                    {"reg.example/ci/app"},
		"app@sha256:0":                  {"reg.example/ci/app"},
		"app%2f..":                      {"reg.example/ci/app"},
		"a\x00":                         {"reg.example/ci/a"},
		"äpp":                           {"reg.example/ci/app"},
		"[a-z]":                         {"reg.example/ci/a"},
		"a|b":                           {"reg.example/ci/a", "reg.example/ci/b"},
		strings.Repeat("a", maxClaim+1): {"reg.example/ci/" + strings.Repeat("a", maxClaim+1)},
	} {
		bound, err := g.bind(map[string]string{"repository": value})
		if err == nil {
			t.Errorf("the claim %.40q was put into a repository's name", value)
		}
		for _, repository := range repositories {
			if bound.match(repository) {
				t.Errorf("the claim %.40q gives %q", value, repository)
			}
		}
	}
	bound, err := g.bind(map[string]string{"repository": "acme/app"})
	if err != nil || !bound.match("reg.example/ci/acme/app") || bound.match("reg.example/ci/acme/app2") || bound.match("reg.example/ci/acmexapp") {
		t.Errorf("the claim acme/app gives %v, %v", bound, err)
	}
	if g.match("reg.example/ci/acme/app") || g.match("reg.example/ci/${repository}") {
		t.Error("a claim without a value matches")
	}
	if _, err := g.bind(nil); err == nil {
		t.Error("a claim that is not there was bound")
	}
	// A second claim does not complete what the first is refused for.
	if g, err = parseRepositories("reg.example/${a}${b}/x", true); err != nil {
		t.Fatal(err)
	}
	if _, err := g.bind(map[string]string{"a": ".", "b": "."}); err == nil {
		t.Error("two claims make ..")
	}
}

func TestAClaimMayBeTakenInLowerCase(t *testing.T) {
	g, err := parseRepositories("ghcr.io/${repository|lower}", true)
	if err != nil {
		t.Fatal(err)
	}
	if bound, err := g.bind(map[string]string{"repository": "Acme/App"}); err != nil || !bound.match("ghcr.io/acme/app") {
		t.Errorf("Acme/App gives %v, %v", bound, err)
	}
}

// oracle is the pattern as a regular expression.
func oracle(g glob) *regexp.Regexp {
	var b strings.Builder
	for _, p := range g {
		switch p.kind {
		case literal:
			b.WriteString(regexp.QuoteMeta(p.text))
		case star:
			b.WriteString(`[^/]*`)
		case doubleStar:
			b.WriteString(`(?s:.*)`)
		}
	}
	return regexp.MustCompile(`\A(?:` + b.String() + `)\z`)
}

func TestMatchAgreesWithARegularExpressionOnRandomPatterns(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func(letters []string, most int) string {
		var b strings.Builder
		for range random.IntN(most) + 1 {
			b.WriteString(letters[random.IntN(len(letters))])
		}
		return b.String()
	}
	matches := 0
	for range 30_000 {
		pattern, s := text([]string{"a", "b", "/", "*", "**/", "ab"}, 8), text([]string{"a", "b", "/", "ab"}, 10)
		g, err := parseGlob(pattern, false)
		if err != nil {
			continue
		}
		got, want := g.match(s), oracle(g).MatchString(s)
		if got != want {
			t.Fatalf("%q matches %q: %v, and the oracle says %v", pattern, s, got, want)
		}
		if got {
			matches++
		}
	}
	if matches < 300 {
		t.Errorf("%d matched, which says little", matches)
	}
}

func TestMatchTakesBoundedTime(t *testing.T) {
	g, err := parseGlob(strings.Repeat("**a*b", 100)+"c", false)
	if err != nil {
		t.Fatal(err)
	}
	if g.match(strings.Repeat("ab/", 5000)) {
		t.Error("it matches") // without a bound it takes longer than any test may
	}
}

func FuzzRepositoryMatch(f *testing.F) {
	f.Add("reg.example/app/**", "reg.example/app/web", "x")
	f.Add("reg.example/${repository}", "reg.example/acme/app", "acme/app")
	f.Add("reg.example/${repository}/*b*/**c", "reg.example/acme/app/b/c", "acme/app")
	f.Add("reg.example/${repository|lower}", "reg.example/a/../b", "A/../B")
	f.Add("**a*b**/*c", "a/ab/ccc", "**")
	f.Fuzz(func(t *testing.T, pattern, repository, value string) {
		// The oracle reads characters, and the pattern bytes: of valid text both say the same.
		if g, err := parseGlob(pattern, false); err == nil && utf8.ValidString(pattern) && utf8.ValidString(repository) {
			if got, want := g.match(repository), oracle(g).MatchString(repository); got != want {
				t.Errorf("%q matches %q: %v, and the oracle says %v", pattern, repository, got, want)
			}
		}
		g, err := parseRepositories(pattern, true)
		if err != nil {
			return
		}
		bound, err := g.bind(map[string]string{"repository": value})
		if err != nil {
			return
		}
		name, err := ParseRepository(repository)
		if err != nil {
			return
		}
		if again, err := ParseRepository(name); err != nil || again != name {
			t.Errorf("%q is completed to %q, and that to %q, %v", repository, name, again, err)
		}
		if strings.Contains("/"+name+"/", "/../") {
			t.Errorf("%q is completed to %q", repository, name)
		}
		if got, want := bound.match(name), oracle(bound).MatchString(name); got != want {
			t.Errorf("%q with %q matches %q: %v, and the oracle says %v", pattern, value, name, got, want)
		}
	})
}
