//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// put writes a file into a folder.
func put(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// metric returns what /metrics has for a series, or "".
func (p *process) metric(series string) string {
	p.t.Helper()
	resp, err := p.client().Get(p.url("/metrics"))
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func TestRunWithoutConfigurationCollectsBeforeItIsSetUp(t *testing.T) {
	dir := t.TempDir()
	p := &process{t: t, addr: freeAddr(t), work: dir, env: []string{"HOME=" + dir, "HOLDFAST_CONFIG_PATH=", "TELEGRAF_CONFIG_PATH="}}
	p.args = []string{"run", "--listen", p.addr}
	p.logTo(filepath.Join(dir, "log"))
	p.start()
	eventually(t, 5*time.Second, func() error {
		if text := p.printed(); !strings.Contains(text, "answers at "+p.url("")) || !strings.Contains(text, p.url("/setup")) {
			return fmt.Errorf("printed %q", text)
		}
		return nil
	})
	if status, page := p.do("GET", "/setup", nil); status != http.StatusOK || !strings.Contains(string(page), "<form") {
		t.Errorf("the set-up link answers %d: %s", status, page)
	}
	if _, err := os.Stat(filepath.Join(dir, "holdfast-data", "catalog.db")); err != nil {
		t.Error(err)
	}
	eventually(t, 20*time.Second, func() error {
		for _, input := range []string{"cpu", "disk", "mem", "net", "system"} {
			if v := p.metric(fmt.Sprintf("holdfast_collect_points_total{input=\"inputs.%s\"}", input)); v == "" || v == "0" {
				return fmt.Errorf("no points of %s yet", input)
			}
		}
		return nil
	})
	before := time.Now().UnixNano()
	p.setup("home", "metrics")
	if rows := p.query("SELECT total, used_percent FROM mem"); len(rows) == 0 || fmt.Sprint(rows[0][0]) > fmt.Sprint(before) {
		t.Errorf("mem that was collected before the set-up: %v", rows)
	}
	known := map[string]bool{}
	for _, r := range p.query("SHOW MEASUREMENTS") {
		known[fmt.Sprint(r[0])] = true
	}
	for _, m := range []string{"cpu", "disk", "mem", "net", "swap", "system"} {
		if !known[m] {
			t.Errorf("no measurement %s among %v", m, known)
		}
	}
}

// pingStandIn prints what ping of iputils prints: the machine may have none.
const pingStandIn = `#!/bin/sh
for address; do :; done
echo "PING $address ($address) 56(84) bytes of data."
case $address in
*.4) printf '\n--- %s ping statistics ---\n3 packets transmitted, 0 received, 100%% packet loss, time 2045ms\n\n' $address; exit 1;;
esac
for n in 1 2 3; do echo "64 bytes from $address: icmp_seq=$n ttl=64 time=0.03$n ms"; done
printf '\n--- %s ping statistics ---\n3 packets transmitted, 3 received, 0%% packet loss, time 2003ms\nrtt min/avg/max/mdev = 0.031/0.032/0.033/0.001 ms\n' $address
`

const pingOfTheArticle = `[[inputs.ping]]
  urls = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
  count = 3
  timeout = 2.0
  deadline = 10
  interval = "300s"
`

const outputOfTheArticle = `[[outputs.influxdb_v2]]
  alias = %q
  urls = [%q]
  token = "$INFLUX_TOKEN"
  organization = "central"
  bucket = "plant"
`

// execCounter prints a point with a number that grows at each gather.
func execCounter(t *testing.T, dir string) string {
	counter := put(t, dir, "counter", "0\n")
	script := put(t, dir, "pump.sh", "#!/bin/sh\nread n < "+counter+"\necho \"pump,id=p1 n=${n}i\"\necho $((n+1)) > "+counter+"\n")
	return fmt.Sprintf("[[inputs.exec]]\n  commands = [%q]\n  data_format = \"influx\"\n", script)
}

// withPing returns the environment in which the stand-in is the machine's ping.
func withPing(t *testing.T) string {
	dir := t.TempDir()
	put(t, dir, "ping", pingStandIn)
	return "PATH=" + dir + string(os.PathListSeparator) + os.Getenv("PATH")
}

// agent is a node that collects as files in a configuration folder say.
func agent(t *testing.T, token string) (p *process, conf string) {
	t.Helper()
	dir := t.TempDir()
	conf = filepath.Join(dir, "conf")
	if err := os.Mkdir(conf, 0o700); err != nil {
		t.Fatal(err)
	}
	p = &process{t: t, dir: filepath.Join(dir, "data"), addr: freeAddr(t), env: []string{withPing(t), "INFLUX_TOKEN=" + token}}
	p.args = []string{"run", "--config-directory", conf, "--data", p.dir}
	put(t, conf, "holdfast.toml", fmt.Sprintf("[node]\nlisten = %q\n", p.addr))
	put(t, conf, "agent.conf", "[agent]\n  interval = \"200ms\"\n  round_interval = false\n")
	p.logTo(filepath.Join(dir, "log"))
	return p, conf
}

// numbers returns the values of n that a node has, in order.
func numbers(p *process) (all []string, err error) {
	rows, err := p.tryQuery("SELECT n FROM pump")
	for _, r := range rows {
		all = append(all, fmt.Sprint(r[1]))
	}
	return all, err
}

// has waits until a node has the number n, and requires that it has all from the first on.
func has(t *testing.T, p *process, first, n int) {
	t.Helper()
	var all []string
	eventually(t, 20*time.Second, func() (err error) {
		if all, err = numbers(p); err == nil && !slices.Contains(all, fmt.Sprint(n)) {
			err = fmt.Errorf("%s has %v", p.addr, all)
		}
		return err
	})
	for i := first; i <= n; i++ {
		if !slices.Contains(all, fmt.Sprint(i)) {
			t.Fatalf("%s lacks %d of %v", p.addr, i, all)
		}
	}
}

// gathered is how often the counter was read.
func gathered(t *testing.T, dir string) (n int) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "counter"))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Sscan(string(b), &n) // empty while it is written
	return n
}

func TestTheArticlesFilesCollectAndReplicate(t *testing.T) {
	central := startNode(t, "").setup("central", "plant")
	edge, conf := agent(t, central.token)
	put(t, conf, "ping.conf", strings.Replace(pingOfTheArticle, "300s", "1s", 1))
	put(t, conf, "exec.conf", execCounter(t, t.TempDir()))
	put(t, conf, "output.conf", fmt.Sprintf(outputOfTheArticle, "cloud", central.url("")))
	edge.start()
	has(t, central, 0, 3)
	eventually(t, 20*time.Second, func() error {
		rows, err := central.tryQuery("SELECT packets_received, percent_packet_loss, average_response_ms, url FROM ping")
		for _, want := range []string{"3 0 0.032 127.0.0.2", "3 0 0.032 127.0.0.3", "0 100 <nil> 127.0.0.4"} {
			if !slices.ContainsFunc(rows, func(r row) bool { return strings.HasSuffix(strings.Trim(fmt.Sprint(r), "[]"), want) }) {
				return fmt.Errorf("no row %q in %v, %v", want, rows, err)
			}
		}
		return nil
	})
}

// The position is named by the alias: url and token may change and nothing is left out; another alias begins at the end of the journal,
// and the first one finds its position again.
func TestTheAliasOfAnOutputKeepsItsPosition(t *testing.T) {
	central := startNode(t, "").setup("central", "plant")
	wire, other := startLink(t, central.addr), startLink(t, central.addr)
	edge, conf := agent(t, central.token)
	counter := t.TempDir()
	exec := execCounter(t, counter)
	more := func() (last int) { // gathers while nothing can be sent
		t.Helper()
		wire.set(refuse)
		other.set(refuse)
		before := gathered(t, counter)
		put(t, conf, "exec.conf", exec)
		edge.start()
		eventually(t, 20*time.Second, func() error {
			if last = gathered(t, counter); last < before+5 {
				return fmt.Errorf("gathered %d times", last-before)
			}
			return nil
		})
		edge.stop()
		put(t, conf, "exec.conf", "")
		wire.set(pass)
		other.set(pass)
		return gathered(t, counter) - 1
	}
	put(t, conf, "output.conf", fmt.Sprintf(outputOfTheArticle, "cloud", wire.url()))
	first := more()

	var second struct{ Token string }
	write := []object{{"action": "write", "resource": object{"type": "buckets", "id": central.bucketID(), "orgID": central.orgID()}}}
	central.call("POST", "/api/v2/authorizations", object{"orgID": central.orgID(), "permissions": write}, http.StatusCreated, &second)
	edge.env = append(edge.env, "INFLUX_TOKEN="+second.Token)
	put(t, conf, "output.conf", fmt.Sprintf(outputOfTheArticle, "cloud", other.url()))
	edge.start() // collects nothing now: what arrives was waiting
	has(t, central, 0, first)
	edge.stop()

	unsent := more()
	put(t, conf, "output.conf", fmt.Sprintf(outputOfTheArticle, "another", wire.url()))
	put(t, conf, "exec.conf", exec)
	edge.start()
	has(t, central, unsent+1, unsent+2)
	edge.stop()
	if all, err := numbers(central); err != nil || slices.Contains(all, fmt.Sprint(unsent)) {
		t.Fatalf("another alias has sent what waited under the first: %v, %v", all, err)
	}
	if !strings.Contains(edge.printed(), "a replication's position is kept that nothing uses") {
		t.Error("the log does not tell of the position that nothing uses")
	}
	put(t, conf, "output.conf", fmt.Sprintf(outputOfTheArticle, "cloud", wire.url()))
	put(t, conf, "exec.conf", "")
	edge.start()
	has(t, central, 0, unsent)
}

func TestTestModePrintsWhatWouldBeStored(t *testing.T) {
	dir := t.TempDir()
	path := put(t, dir, "article.conf", pingOfTheArticle+execCounter(t, dir)+fmt.Sprintf(outputOfTheArticle, "cloud", "http://127.0.0.1:1"))
	line := regexp.MustCompile(`^> [a-z]+(,\S+)? \S+ \d{19}$`)
	for name, args := range map[string][]string{
		"holdfast": {"run", "--config", path, "--test"},
		"one dash": {"run", "-config", path, "-test", "-quiet"},
		"telegraf": {"-config", path, "-test"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShell(t, "holdfast")
			if name == "telegraf" {
				s.program = linked(t, name)
			}
			s.env = append(s.env, withPing(t), "INFLUX_TOKEN=t")
			out, errs, code := s.try("", args...)
			if code != 0 {
				t.Fatalf("exit code %d: %s", code, errs)
			}
			printed := strings.Split(strings.TrimSpace(out), "\n")
			for _, l := range printed {
				if !line.MatchString(l) {
					t.Errorf("printed %q", l)
				}
			}
			if len(printed) != 4 || !strings.HasPrefix(printed[3], "> pump,host=") || strings.Count(out, "> ping,") != 3 {
				t.Errorf("printed %d lines: %s", len(printed), out)
			}
		})
	}
	s := newShell(t, "holdfast")
	s.program = linked(t, "telegraf")
	if out := s.run("--version"); !strings.Contains(out, "oldfast") {
		t.Errorf("version under the name telegraf: %q", out)
	}
}

func TestAMistakeInTheConfigurationIsNamedWithItsPlace(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"[agent]\n\n[[inputs.ping]]\n  urls = [\"127.0.0.1\"]\n  cuont = 3\n": `:5: inputs.ping has no option "cuont"; did you mean "count"?`,
		"[agent]\n[[inputs.pign]]\n":                                          `:2: there is no plugin inputs.pign; did you mean inputs.ping?`,
		"[node]\nlisten = \"127.0.0.1\"\n":                                    `:2: node.listen must be host:port`,
		"[node]\nlistn = \"127.0.0.1:1\"\n":                                   `:2: node has no option "listn"; did you mean "listen"?`,
		"[journal]\n\nsync = \"sometimes\"\n":                                 `:3: journal.sync must be always or interval`,
		"[[inputs.exec]]\n  commands = [\"x\"\n":                              `invalid TOML syntax`,
		"[[outputs.influxdb_v2]]\n  bucket = \"b\"\n  tokne = \"x\"\n":        `:3: outputs.influxdb_v2 has no option "tokne"; did you mean "token"?`,
	} {
		path := put(t, dir, "broken.conf", text)
		s := newShell(t, "holdfast")
		s.fails(want, "run", "--config", path, "--data", filepath.Join(dir, "data"), "--listen", freeAddr(t))
		s.fails(path, "run", "--config", path, "--test")
		if _, err := os.Stat(filepath.Join(dir, "data")); err == nil {
			t.Errorf("%q: the data folder was made before the configuration was checked", text)
		}
	}
	out, errs, code := newShell(t, "holdfast").try("", "run", "--watch-config", "sometimes")
	if code != 2 || !strings.Contains(errs, "notify or poll") {
		t.Errorf("a wrong flag: exit code %d, %s%s", code, errs, out)
	}
}
