//go:build e2e

package incident_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func sorted(of map[string]string) []string { return slices.Sorted(maps.Keys(of)) }

// answer is what a command has to say: its exit code, and words of its first line.
type answer struct {
	code  int
	first []string
}

// passes says that a command finds nothing to refuse.
func passes(first ...string) answer { return answer{0, first} }

// refuses says that a command ends with 1, and that its first line has those words.
func refuses(first ...string) answer { return answer{1, first} }

// step is a commit, and what the commands say of it.
type step struct {
	change      files
	check, diff answer
}

// variation is a way in which app01 is lost, or seems to be.
type variation struct {
	name   string
	before files // what production has then, where it is not as on that day
	steps  []step
}

// asks holds both commands against what they have to say.
func (r *repository) asks(base, head string, s step) {
	r.Helper()
	for name, c := range map[string]struct {
		args []string
		want answer
	}{"check": {[]string{"check"}, s.check}, "diff": {[]string{"diff", base + ".." + head}, s.diff}} {
		code, out := r.guard(c.args...)
		first, _, _ := strings.Cut(out, "\n")
		if code != c.want.code {
			r.Errorf("%s ends with %d, want %d:\n%s", name, code, c.want.code, out)
		}
		for _, words := range c.want.first {
			if !strings.Contains(first, words) {
				r.Errorf("%s begins with\n%s\nwant %q in it", name, first, words)
			}
		}
		if name == "diff" && strings.Count(out, "\n") > 10 {
			r.Errorf("diff has more than ten lines:\n%s", out)
		}
	}
}

func TestTheRepositoryOfThatDayIsFineBeforeTheCommit(t *testing.T) {
	r := newRepository(t)
	base := r.commit(production01())
	r.asks(base, base, step{check: passes(), diff: passes("Nothing is deleted: 0 objects created and 0 objects updated")})
}

// lost are the first lines about the incident itself.
var (
	checkLost = refuses("ERROR HG001", app01, "everything of app01 (17 objects, among them Namespace influx; apps/StatefulSet influx/etcd, influx/kafka, influx/storage, influx/zookeeper; PersistentVolumeClaim influx/backups, influx/snapshots) would be pruned")
	diffLost  = refuses(app01+" deletes "+loss, path02+" instead of "+path01)
)

func TestTheCommitThatDeletedProductionIsRefusedAndTheFirstLineNamesTheLoss(t *testing.T) {
	for _, namespace := range []string{"influx", "app02"} {
		t.Run("into the namespace "+namespace, func(t *testing.T) {
			r := newRepository(t)
			base := r.commit(production01())
			r.asks(base, r.commit(production01().and(theCommit(namespace))), step{check: checkLost, diff: diffLost})
		})
	}
	t.Run("where no settings say what was not there on that day", func(t *testing.T) {
		r := newRepository(t)
		bare := files{"guard.yaml": ""}
		base := r.commit(production01().and(bare))
		r.asks(base, r.commit(production01().and(theCommit("influx")).and(bare)), step{check: checkLost, diff: diffLost})
	})
	t.Run("where all that holds state is protected, and the rest is not", func(t *testing.T) {
		r := newRepository(t)
		protected := files{manifest: document(production(prune("Prune=false,Delete=false")))}
		base := r.commit(production01().and(protected))
		r.asks(base, r.commit(production01().and(theCommit("influx")).and(protected)), step{
			check: checkLost, // it would be pruned if its protection did not reach the cluster: check does not know what did
			diff:  refuses(app01 + " deletes 10 objects (ConfigMap influx/gateway"),
		})
	})
}
