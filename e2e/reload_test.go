//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// echo is an input that brings one point of a measurement.
func echo(measurement string) string {
	return fmt.Sprintf("[[inputs.exec]]\n  commands = [\"echo %s v=1i\"]\n  data_format = \"influx\"\n", measurement)
}

// arrives waits for a measurement.
func arrives(t *testing.T, p *process, measurement string) {
	t.Helper()
	eventually(t, 20*time.Second, func() error {
		rows, err := p.tryQuery("SELECT v FROM " + measurement)
		if err == nil && len(rows) == 0 {
			err = fmt.Errorf("%s has no %s", p.addr, measurement)
		}
		return err
	})
}

func tells(t *testing.T, p *process, text string) {
	t.Helper()
	eventually(t, 20*time.Second, func() error {
		if !strings.Contains(p.printed(), text) {
			return fmt.Errorf("%q is not in the log: %s", text, p.printed())
		}
		return nil
	})
}

func TestAChangedConfigurationIsLoadedWithoutAStop(t *testing.T) {
	for name, change := range map[string]struct {
		args []string
		tell func(p *process) error
	}{
		"SIGHUP": {nil, func(p *process) error { return p.cmd.Process.Signal(syscall.SIGHUP) }},
		"notify": {[]string{"--watch-config", "notify"}, func(*process) error { return nil }},
		"poll":   {[]string{"--watch-config", "poll"}, func(*process) error { return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			central := startNode(t, "").setup("central", "plant")
			edge, conf := agent(t, central.token)
			edge.args = append(edge.args, change.args...)
			counter := t.TempDir()
			put(t, conf, "a.conf", execCounter(t, counter))
			put(t, conf, "output.conf", fmt.Sprintf(outputOfTheArticle, "cloud", central.url("")))
			edge.start()
			has(t, central, 0, 1)
			edit := func(file, text string) {
				t.Helper()
				put(t, conf, file, text)
				if err := change.tell(edge); err != nil {
					t.Fatal(err)
				}
			}
			edit("b.conf", echo("added"))
			arrives(t, central, "added")

			edit("b.conf", "[[inputs.exec]]\n  comands = [\"x\"]\n")
			tells(t, edge, "the new configuration is not used, the one before stays in force")
			tells(t, edge, `b.conf:2: inputs.exec has no option \"comands\"; did you mean \"commands\"?`)
			has(t, central, 0, gathered(t, counter)+3) // it goes on, and nothing is left out

			edit("b.conf", echo("mended"))
			arrives(t, central, "mended")
			edit("holdfast.toml", fmt.Sprintf("[node]\nlisten = %q\n[journal]\nmax_bytes = \"2GiB\"\n", edge.addr))
			tells(t, edge, "setting=journal.max_bytes")
			has(t, central, 0, gathered(t, counter)+3)
			edge.stop()
		})
	}
}

func TestRunOnceEndsWhenAllIsSent(t *testing.T) {
	central := startNode(t, "").setup("central", "plant")
	wire := startLink(t, central.addr)
	dir, counter := t.TempDir(), t.TempDir()
	path := put(t, dir, "once.conf", "[agent]\n  interval = \"200ms\"\n"+execCounter(t, counter)+fmt.Sprintf(outputOfTheArticle, "cloud", wire.url()))
	s := newShell(t, "holdfast")
	s.env = append(s.env, "INFLUX_TOKEN="+central.token, "PATH="+os.Getenv("PATH"))
	once := []string{"run", "--config", path, "--data", filepath.Join(dir, "data"), "--once"}
	s.run(once...)
	has(t, central, 0, 0)
	wire.set(refuse)
	s.fails("has not sent everything", once...)
	wire.set(pass)
	s.run(once...)
	if all, err := numbers(central); err != nil || len(all) != 3 {
		t.Errorf("after three runs central has %v, %v", all, err)
	}
	if out, _, code := s.try("", append(once, "--test")...); code != 2 {
		t.Errorf("--once with --test: exit code %d, %s", code, out)
	}
}
