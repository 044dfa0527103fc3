package access

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const github = "https://token.actions.githubusercontent.com"

const exampleRules = `
issuers:
- url: https://token.actions.githubusercontent.com
  audience: holdfast-trust
- url: https://gitlab.example
  audience: holdfast-trust
  keys_file: gitlab.jwks
rules:
- name: app
  oidc:
    issuer: https://token.actions.githubusercontent.com
    claims: {repository: "acme/*", ref: refs/heads/main}
  repositories: ["reg.example/app/**", "ghcr.io/${repository}"]
- name: gitlab
  oidc:
    issuer: https://gitlab.example
    claims: {project_path: "infra/**"}
  repositories: ["reg.example/infra/${project_path}"]
- name: nightly
  token: nightly
  repositories: [reg.example/nightly/*]
- name: builders
  certificate: spiffe://corp.example/builder/*
  repositories: [docker.io/acme/*]
`

func rules(t testing.TB, text string) *Rules {
	t.Helper()
	r, err := ParseRules("rules.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func workflow(repository, ref string) Identity {
	return Identity{Kind: OIDC, Issuer: github, Name: github + "#x", Claims: map[string]string{"repository": repository, "ref": ref}}
}

func TestOnlyWhatARuleGrantsIsAllowed(t *testing.T) {
	r := rules(t, exampleRules)
	main := workflow("acme/app", "refs/heads/main")
	gitlab := main
	gitlab.Issuer = "https://gitlab.example"
	infra := Identity{Kind: OIDC, Issuer: "https://gitlab.example", Claims: map[string]string{"project_path": "infra/net/dns"}}
	nightly := Identity{Kind: Token, Name: "nightly"}
	builder := Identity{Kind: Certificate, Name: "b", Names: []string{"b", "spiffe://corp.example/builder/7"}}
	for _, c := range []struct {
		id         Identity
		repository string
		rule       string
	}{
		{main, "reg.example/app/web", "app"},
		{main, "ghcr.io/acme/app", "app"},
		{main, "ghcr.io/acme/other", ""},
		{main, "reg.example/other", ""},
		{main, "reg.example/app/../nightly/x", ""},
		{main, "reg.example/nightly/x", ""},
		{workflow("acme/app", "refs/heads/dev"), "reg.example/app/web", ""},
		{workflow("acme/app", "refs/heads/main2"), "reg.example/app/web", ""},
		{workflow("acme/a/b", "refs/heads/main"), "reg.example/app/web", ""},
		{workflow("evil/acme/app", "refs/heads/main"), "reg.example/app/web", ""},
		{workflow("acme/**", "refs/heads/main"), "ghcr.io/acme/app", ""},
		{gitlab, "reg.example/app/web", ""},
		{infra, "reg.example/infra/infra/net/dns", "gitlab"},
		{infra, "reg.example/infra/infra/net", ""},
		{Identity{Kind: OIDC, Issuer: github, Claims: map[string]string{"repository": "acme/app"}}, "reg.example/app/web", ""},
		{nightly, "reg.example/nightly/x", "nightly"},
		{nightly, "reg.example/nightly/x/y", ""},
		{Identity{Kind: Token, Name: "night"}, "reg.example/nightly/x", ""},
		{Identity{Kind: Token, Name: "*"}, "reg.example/nightly/x", ""},
		{Identity{Kind: OIDC, Issuer: github, Name: "nightly"}, "reg.example/nightly/x", ""},
		{Identity{Kind: Certificate, Name: "nightly", Names: []string{"nightly"}}, "reg.example/nightly/x", ""},
		{builder, "acme/web", "builders"},
		{builder, "index.docker.io/acme/web", "builders"},
		{builder, "reg.example/acme/web", ""},
		{Identity{Kind: Certificate, Names: []string{"spiffe://corp.example/builder/7/x"}}, "acme/web", ""},
		{Identity{}, "reg.example/app/web", ""},
		{Identity{Kind: "other", Name: "nightly"}, "reg.example/nightly/x", ""},
	} {
		d := r.Decide(c.id, c.repository)
		if d.Allowed != (c.rule != "") || d.Rule != c.rule || d.Allowed != (d.Reason == "") || d.Allowed != (d.Err() == nil) {
			t.Errorf("%s %s %v may have %s signed: %+v; rule %q is wanted", c.id.Kind, c.id.Name, c.id.Claims, c.repository, d, c.rule)
		}
	}
}

func TestTheReasonIsForTheLogAndNamesNoRuleToTheClient(t *testing.T) {
	d := rules(t, exampleRules).Decide(workflow("acme/app", "refs/heads/dev"), "reg.example/app/web")
	if !strings.Contains(d.Reason, `rule app: the claim ref is "refs/heads/dev"`) || !strings.Contains(d.Reason, "rule gitlab: it is for another issuer") {
		t.Errorf("the log says: %s", d.Reason)
	}
	var e *Error
	if !errors.As(d.Err(), &e) || e.Status != http.StatusForbidden || e.Error() != d.Reason {
		t.Fatalf("the error is %#v", d.Err())
	}
	for _, secret := range []string{"app", "gitlab", "refs/heads", "acme"} {
		if strings.Contains(e.Client, secret) {
			t.Errorf("the client is told %q: %s", secret, e.Client)
		}
	}
	var many strings.Builder
	many.WriteString("rules:\n")
	for i := range 100 {
		fmt.Fprintf(&many, "- {name: r%d, token: t%d, repositories: [reg.example/x]}\n", i, i)
	}
	if d := rules(t, many.String()).Decide(Identity{Kind: Token, Name: "x"}, "reg.example/x"); len(d.Reason) > 1000 || !strings.Contains(d.Reason, "and 95 more") {
		t.Errorf("the log says: %s", d.Reason)
	}
}

func TestNoRulesAllowNothing(t *testing.T) {
	if d := rules(t, "rules: []").Decide(workflow("acme/app", "refs/heads/main"), "reg.example/app/web"); d.Allowed || d.Reason == "" {
		t.Errorf("%+v", d)
	}
}

func TestWhatIsWrongInARulesFileIsToldWithItsLine(t *testing.T) {
	issuer := "issuers: [{url: https://i.example, audience: a}]\n"
	for text, want := range map[string]string{
		"":                          "rules.yaml:1: the file is empty",
		"rules: [\n":                "rules.yaml:",
		"[]":                        "rules.yaml:1: a rules file must be a mapping",
		"rules: []\n---\nrules: []": "rules.yaml:2: a second document",
		"issuers: []":               "rules.yaml:1: rules: is missing",
		"rule: []":                  `rules.yaml:1: a rules file has no "rule"; did you mean "rules"?`,
		"rules: []\nrules: []":      `rules.yaml:2: a rules file has "rules" twice`,
		"rules: 7":                  "rules.yaml:1: rules must be a list",
		"rules:\n- name: a\n  tokn: b\n  repositories: [x]":                                                        `rules.yaml:3: a rule has no "tokn"; did you mean "token"?`,
		"rules:\n- name: a\n  repositories: [x]":                                                                   "rules.yaml:2: the rule is for nobody",
		"rules:\n- token: b\n  repositories: [x]":                                                                  "rules.yaml:2: a rule needs name",
		"rules:\n- name: a\n  token: b":                                                                            "rules.yaml:2: the rule has no repositories",
		"rules:\n- name: a\n  token: b\n  repositories: []":                                                        "rules.yaml:4: the rule has no repositories",
		"rules:\n- name: a\n  token: b\n  certificate: c\n  repositories: [x]":                                     "rules.yaml:4: the rule is for token and certificate",
		"rules:\n- name: a\n  token: true\n  repositories: [x]":                                                    "rules.yaml:3: token must be a string: write it in quotes",
		"rules:\n- name: a\n  token: 'b*'\n  repositories: [x]":                                                    `rules.yaml:3: "b*" cannot be a name`,
		"rules:\n- name: a\n  token: b\n  repositories:\n  - x\n  - X":                                             "rules.yaml:6: \"X\" cannot match",
		"rules:\n- &a {name: a, token: b, repositories: [x]}\n- *a":                                                "rules.yaml:3: a rule must be a mapping",
		"rules:\n- {name: a, token: b, repositories: [x]}\n- {name: a, token: c, repositories: [x]}":               `rules.yaml:3: there are two rules "a"`,
		"rules:\n- name: a\n  token: b\n  repositories: ['reg.example/${x}']":                                      "only in the repositories of a rule for oidc",
		issuer + "rules:\n- name: a\n  oidc: {issuer: https://i.exampel, claims: {a: b}}\n  repositories: [x]":     `rules.yaml:4: issuers: has no "https://i.exampel"; did you mean "https://i.example"?`,
		issuer + "rules:\n- name: a\n  oidc: {issuer: https://i.example}\n  repositories: [x]":                     "rules.yaml:4: the rule is for everybody",
		issuer + "rules:\n- name: a\n  oidc: {issuer: https://i.example, claims: {}}\n  repositories: [x]":         "rules.yaml:4: the rule is for everybody",
		issuer + "rules:\n- name: a\n  oidc: {issuer: https://i.example, claims: {a: true}}\n  repositories: [x]":  "rules.yaml:4: the claim a must be a string",
		issuer + "rules:\n- name: a\n  oidc: {issuer: https://i.example, claims: {a: '***'}}\n  repositories: [x]": "rules.yaml:4: \"***\"",
		"issuers: [{url: https://i.example}]\nrules: []":                                                           "rules.yaml:1: an issuer needs audience",
		"issuers: [{url: https://i.example, audience: ''}]\nrules: []":                                             "rules.yaml:1: audience is empty",
		"issuers: [{url: http://i.example, audience: a}]\nrules: []":                                               "its scheme must be https",
		"issuers: [{url: 'https://u:p@i.example', audience: a}]\nrules: []":                                        "a URL with a host",
		"issuers:\n- {url: https://i.example, audience: a}\n- {url: https://i.example, audience: b}\nrules: []":    "rules.yaml:3: the issuer \"https://i.example\" is there twice",
		"issuers: [{url: https://i.example, audience: a, algorithms: [none]}]\nrules: []":                          `an issuer has no "algorithms"`,
	} {
		_, err := ParseRules("rules.yaml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; %q is wanted", text, err, want)
		}
		var e *RulesError
		if !errors.As(err, &e) || e.Line < 1 {
			t.Errorf("%q: %v says no line", text, err)
		}
	}
	if _, err := ParseRules("r", make([]byte, maxRulesFile+1)); err == nil {
		t.Error("a file that is too long was read")
	}
	_, err := ParseRules("r", []byte("rules:\n"+strings.Repeat("- {}\n", 500)))
	if n := strings.Count(err.Error(), "\n") + 1; n != maxErrors {
		t.Errorf("%d errors are told at once", n)
	}
}

func TestAChangeOfTheRulesIsInForceWithinASecondAndASlipIsNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules.yaml")
	put := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(exampleRules)
	f, err := OpenRules(path)
	if err != nil {
		t.Fatal(err)
	}
	issuer := f.Current().issuers[github]
	allowed := func() bool {
		return f.Current().Decide(Identity{Kind: Token, Name: "nightly"}, "reg.example/nightly/x").Allowed
	}
	within := func(what string, is func() bool) {
		t.Helper()
		for start := time.Now(); !is(); time.Sleep(10 * time.Millisecond) {
			if time.Since(start) > time.Second {
				t.Fatalf("%s is not so after a second", what)
			}
		}
	}
	if !allowed() {
		t.Error("the rules that were opened are not in force")
	}
	put(strings.Replace(exampleRules, "reg.example/nightly/*", "reg.example/nightly/y", 1)) // of the same size
	within("a rule that was changed", func() bool { return !allowed() })
	if f.Current().issuers[github] != issuer {
		t.Error("an issuer that did not change lost its keys")
	}
	var told bytes.Buffer
	f.Logger = slog.New(slog.NewTextHandler(&told, nil))
	put(strings.Replace(exampleRules, "reg.example/nightly/*", "reg.example/nightly/z", 1))
	for end := time.Now().Add(3 * lookEvery); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		f.Current()
	}
	if n := strings.Count(told.String(), "rules taken"); n != 1 {
		t.Errorf("a change was told of %d times", n)
	}
	put(exampleRules + "x")
	within("a slip", func() bool { return f.Err() != nil })
	if allowed() || len(f.Current().rules) == 0 {
		t.Error("a file with a slip changed the rules")
	}
	put(exampleRules)
	within("a slip that was mended", allowed)
	if _, err := OpenRules(path + "x"); err == nil {
		t.Error("a file that is not there was opened")
	}
}

// The example of the documentation is what people start from.
func TestTheExampleOfTheDocumentationIsRight(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "trust", "service.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n    issuers:\n")
	example, _, _ := strings.Cut(rest, "\n\n")
	if !found {
		t.Fatal("there is no example")
	}
	r := rules(t, "issuers:\n"+strings.ReplaceAll("\n"+example, "\n    ", "\n"))
	if d := r.Decide(workflow("acme/web", "refs/heads/main"), "reg.example/acme/web"); !d.Allowed {
		t.Error(d.Reason)
	}
}

func FuzzRules(f *testing.F) {
	f.Add([]byte(exampleRules))
	f.Add([]byte("rules: []"))
	f.Add([]byte("rules:\n- &a {name: a, <<: *a, token: b, repositories: [*a]}"))
	f.Add([]byte("? [a]\n: b\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseRules("rules.yaml", text)
		if err != nil {
			return
		}
		for _, rule := range r.rules {
			if rule.kind == "" || len(rule.repositories) == 0 || rule.kind == OIDC && (len(rule.claims) == 0 || r.issuers[rule.issuer] == nil) {
				t.Errorf("%q gives the rule %+v", text, rule)
			}
		}
		if d := r.Decide(Identity{}, "reg.example/app"); d.Allowed {
			t.Errorf("%q allows nobody something: %+v", text, d)
		}
	})
}
