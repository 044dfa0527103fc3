//go:build e2e

package trust_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/e2e/kube"
)

// runbooks is the folder of the documents, and readme what all of them build on.
const (
	runbooks = "../../docs/runbooks"
	readme   = "README.md"
)

// runbook is a document that people type commands from.
type runbook struct {
	file   string
	blocks []*block
}

// block is what is typed at once.
type block struct {
	section string // the heading above it
	where   string // FILE:LINE
	text    string
	// expect are patterns of the lines that it prints, in their order, in which … is anything.
	expect []string
	ran    bool
}

var fence = regexp.MustCompile("^```(.*)$")

// readRunbook reads a document. What is fenced is a command (sh), what the command before it prints (text), or a file (yaml).
func readRunbook(t testing.TB, file string) *runbook {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(runbooks, file))
	if err != nil {
		t.Fatal(err)
	}
	r, section, kind, content := &runbook{file: file}, "", "", []string(nil)
	for n, line := range strings.Split(string(text), "\n") {
		m := fence.FindStringSubmatch(line)
		switch {
		case m == nil && kind != "":
			content = append(content, line)
		case m == nil:
			if title := strings.TrimLeft(line, "#"); title != line {
				section = strings.TrimSpace(title)
			}
		case kind == "":
			kind, content = m[1], nil
			if kind != "sh" && kind != "text" && kind != "yaml" {
				t.Errorf("%s:%d: a block of %q: nobody runs it and nobody expects it", file, n+1, kind)
			}
		default:
			r.add(t, section, fmt.Sprintf("%s:%d", file, n-len(content)), kind, content)
			kind = ""
		}
	}
	return r
}

func (r *runbook) add(t testing.TB, section, where, kind string, content []string) {
	t.Helper()
	switch kind {
	case "sh":
		r.blocks = append(r.blocks, &block{section: section, where: where, text: strings.Join(content, "\n")})
	case "text":
		if len(r.blocks) == 0 || r.blocks[len(r.blocks)-1].section != section {
			t.Errorf("%s: nothing was typed that could print this", where)
			return
		}
		last := r.blocks[len(r.blocks)-1]
		last.expect = append(last.expect, content...)
	}
}

// yamlIn is the first file that a document shows.
func yamlIn(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(runbooks, file))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "```yaml\n")
	shown, _, found := strings.Cut(after, "```")
	if !found {
		t.Fatalf("%s shows no file", file)
	}
	return shown
}

var variable = regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\|")

// variablesOf are the variables that a document has its reader set.
func variablesOf(t testing.TB, file string) (names []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(runbooks, file))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range variable.FindAllStringSubmatch(string(text), -1) {
		names = append(names, m[1])
	}
	return names
}

// missing says which of the expected lines are not in what was printed. Spaces count as one.
func (b *block) missing(printed string) error {
	rest := strings.Split(printed, "\n")
	for _, pattern := range b.expect {
		quoted := regexp.QuoteMeta(strings.Join(strings.Fields(pattern), " "))
		line := regexp.MustCompile("^" + strings.ReplaceAll(quoted, "…", ".*") + "$")
		i := slices.IndexFunc(rest, func(s string) bool { return line.MatchString(strings.Join(strings.Fields(s), " ")) })
		if i < 0 {
			return fmt.Errorf("%s: a line %q is to be expected", b.where, pattern)
		}
		rest = rest[i+1:]
	}
	return nil
}

// reader follows a runbook: it types what is there, with the variables that the documents name.
type reader struct {
	*site
	*runbook
}

// in returns the blocks of the section that begins with some words, or some of them.
func (r *reader) in(section string, which ...int) (found []*block) {
	r.Helper()
	for _, b := range r.blocks {
		if strings.HasPrefix(b.section, section) {
			found = append(found, b)
		}
	}
	if len(which) == 0 && len(found) > 0 {
		return found
	}
	var some []*block
	for _, i := range which {
		if i < len(found) {
			some = append(some, found[i])
		}
	}
	if len(some) == 0 || len(some) < len(which) {
		r.Fatalf("%s has %d blocks of commands in a section %q", r.file, len(found), section)
	}
	return some
}

// follow types the blocks of a section, or some of them. They must work and print what they should; it returns that.
func (r *reader) follow(section string, which ...int) (printed string) {
	r.Helper()
	for _, b := range r.in(section, which...) {
		out, err := r.try(b)
		if err == nil {
			err = b.missing(out)
		}
		if err != nil {
			r.Fatalf("%s: %v\n%s\nprints\n%s", b.where, err, b.text, hidden(out))
		}
		printed += out
	}
	return printed
}

// fails types the only block of a section, which must not work, and returns what it prints.
func (r *reader) fails(section string) string {
	r.Helper()
	b := r.in(section)[0]
	out, err := r.try(b)
	if err == nil {
		r.Fatalf("%s: that should fail\n%s\nprints\n%s", b.where, b.text, hidden(out))
	}
	return out
}

// try types a block.
func (r *reader) try(b *block) (printed string, err error) {
	b.ran = true
	cmd := exec.CommandContext(r.Context(), "sh", "-eu", "-c", b.text)
	cmd.Dir, cmd.Env = r.dir, r.environment()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// begin types the n-th block of a section, which is one command that goes on running. The shell gives its place to the command, so that what
// ends the one ends the other.
func (r *reader) begin(section string, n int) *kube.Program {
	r.Helper()
	b := r.in(section)[n]
	b.ran = true
	p := kube.NewProgram(r.dir, "typed-"+fmt.Sprint(len(r.begun)), "/bin/sh", "-eu", "-c", "exec "+b.text)
	p.Setenv(r.environment()...)
	r.begun = append(r.begun, p)
	if err := p.Start(); err != nil {
		r.Fatal(err)
	}
	r.Cleanup(p.Stop)
	return p
}

func (s *site) environment() []string {
	env := []string{"PATH=" + s.path("bin") + string(filepath.ListSeparator) + os.Getenv("PATH"), "HOME=" + s.dir}
	for _, name := range slices.Sorted(maps.Keys(s.variables)) {
		env = append(env, name+"="+s.variables[name])
	}
	return env
}

var secret = regexp.MustCompile(`hft_\S+`)

// hidden takes secrets out of what was printed.
func hidden(printed string) string { return secret.ReplaceAllString(printed, "hft_…") }

// scenarios are the tests of each runbook. Together they type everything that is in it.
var scenarios = map[string][]struct {
	name string
	test func(*testing.T, *runbook)
}{
	"credentials-leaked.md":   {{"the token was used", leakedCredentials}},
	"key-suspected.md":        {{"orderly, and then at once", suspectedKey}},
	"vault-lost.md":           {{"Vault comes back", vaultComesBack}, {"Vault does not come back", vaultIsLost}},
	"list-key-lost.md":        {{"the list key was stolen", stolenListKey}, {"the list key is gone", lostListKey}, {"the state is gone", lostState}},
	"registry-compromised.md": {{"it hides and replays", compromisedRegistry}},
	"cluster-refuses.md":      {{"the status is OK", unsignedImage}, {"the service is down", brokenGlass}},
}

func TestWhoFollowsARunbookGetsWhatItPromises(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(runbooks, "*.md"))
	if err != nil || len(files) < 2 {
		t.Fatalf("the runbooks are not where they should be: %v, %v", files, err)
	}
	common := readRunbook(t, readme)
	complete := true
	for _, path := range files {
		file := filepath.Base(path)
		if file == readme {
			continue
		}
		book := readRunbook(t, file)
		if scenarios[file] == nil {
			t.Errorf("%s is followed by no test", file)
		}
		all := true
		for _, s := range scenarios[file] {
			ran := false
			t.Run(file+"/"+s.name, func(t *testing.T) { ran = true; s.test(t, book) })
			all = all && ran
		}
		if complete = complete && all; all {
			book.checkComplete(t)
		}
	}
	if complete {
		for _, b := range common.blocks { // every site is prepared by them
			b.ran = prepared[b.where]
		}
		common.checkComplete(t)
	}
}

// prepared are the blocks of the README that were typed.
var prepared = map[string]bool{}

// checkComplete fails for what nobody typed.
func (r *runbook) checkComplete(t *testing.T) {
	t.Helper()
	for _, b := range r.blocks {
		if !b.ran {
			t.Errorf("%s: no test types this:\n%s", b.where, b.text)
		}
	}
}
