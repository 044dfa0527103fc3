package cli

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/holdfast-telemetry/holdfast/guard/plan"
	"github.com/holdfast-telemetry/holdfast/guard/rule"
	"github.com/holdfast-telemetry/holdfast/guard/settings"
)

var update = flag.Bool("update", false, "write the tables of the rules and of the kinds into docs/guard")

const documents = "../../docs/guard/"

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var fence = regexp.MustCompile("(?s)\n```[a-z]*\n(.*?)\n```")

// commandsIn returns the command lines of the program in a document's blocks, as words.
func commandsIn(document string) [][]string {
	var all [][]string
	for _, block := range fence.FindAllStringSubmatch(document, -1) {
		for line := range strings.Lines(block[1]) {
			line, _, _ = strings.Cut(line, " # ")
			for part := range strings.SplitSeq(line, "&&") {
				_, args, found := strings.Cut(" "+strings.TrimSpace(part), " holdfast-guard ")
				if !found {
					continue
				}
				for n, words := range strings.Split(args, `"`) { // what is between quotes is one word, or a part of one
					if n%2 == 1 {
						args = strings.Replace(args, `"`+words+`"`, strings.ReplaceAll(words, " ", "_"), 1)
					}
				}
				all = append(all, strings.Fields(args))
			}
		}
	}
	return all
}

func TestEveryCommandInTheDocumentsIsOneOfTheProgram(t *testing.T) {
	for document, least := range map[string]int{"diff.md": 9, "check.md": 4, "render.md": 8} {
		found := commandsIn(read(t, documents+document))
		if len(found) < least {
			t.Errorf("%s has only %d commands: %q", document, len(found), found)
		}
		for _, words := range found {
			root := (&app{}).root()
			cmd, args, err := root.Find(words)
			if err != nil || cmd == root {
				t.Errorf("%s: there is no command %q: %v", document, words, err)
				continue
			}
			if err := cmd.ParseFlags(args); err != nil {
				t.Errorf("%s: %q: %v", document, words, err)
			} else if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
				t.Errorf("%s: %q: %v", document, words, err)
			}
		}
	}
}

// holdsTable wants a document to have a table between its marks, or writes it there.
func holdsTable(t *testing.T, document, name, want string) {
	t.Helper()
	begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->"
	before, rest, _ := strings.Cut(read(t, documents+document), begin)
	table, after, found := strings.Cut(rest, end)
	if !found {
		t.Fatalf("%s has no place for the %s", document, name)
	}
	if *update {
		if err := os.WriteFile(documents+document, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if table != want {
		t.Errorf("the %s in %s are not those of the code; go test ./guard/cli -run TestTheDocument -update writes them", name, document)
	}
}

func TestTheDocumentOfCheckHasTheKindsThatHoldState(t *testing.T) {
	holdsTable(t, "check.md", "stateful", rule.DatabaseTable())
}

func TestTheDocumentOfDiffHasEveryRuleAndTheSettingsInItAreRead(t *testing.T) {
	text := read(t, documents+"diff.md")
	var b strings.Builder
	b.WriteString("| id | name | severity | why |\n|---|---|---|---|\n")
	for _, r := range plan.Rules {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.ID, r.Name, r.Severity, r.Rationale)
	}
	holdsTable(t, "diff.md", "rules", b.String())
	for _, block := range regexp.MustCompile("(?s)\n```yaml\n((?:# approvals|max-deleted).*?)\n```").FindAllStringSubmatch(text, -1) {
		if _, err := settings.Parse([]byte(block[1])); err != nil {
			t.Errorf("%v:\n%s", err, block[1])
		}
	}
}
