package collect

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/telegraf/plugins/aggregators"
	"github.com/influxdata/telegraf/plugins/inputs"
	"github.com/influxdata/telegraf/plugins/inputs/exec"
	"github.com/influxdata/telegraf/plugins/inputs/ping"
	"github.com/influxdata/telegraf/plugins/parsers"
	"github.com/influxdata/telegraf/plugins/processors"
	"github.com/influxdata/telegraf/plugins/secretstores"

	"github.com/holdfast-telemetry/holdfast/node/collect/conf"
)

// The files of the article on monitoring outages at the edge, as printed there.
const (
	articlePing = `[[inputs.ping]]
  urls = ["(switch IP)", "(ISP local ip)", "(ISP remote IP)"]
  count = 3
  timeout = 2.0
  deadline = 10
  interval = "300s"`
	articleExec = `[[inputs.exec]]
  interval = "60s"
  commands = ["powershell C:/trex/batterystatus-telegraf.ps1"]
  data_format = "influx"`
	articleOutput = `[[outputs.influxdb_v2]]
  # URL to InfluxDB cloud or your own instance of InfluxDB 2.0
  urls = ["https://us-west-2-1.aws.cloud2.influxdata.com"]
  ## Token for authentication.
  token = "$INFLUX_TOKEN"
  ## Organization is the name of the organization you wish to write to; must exist.
  organization = "$INFLUX_ORG"
  bucket = "$INFLUX_BUCKET"`
)

func TestTheArticlesFilesLoadVerbatimFromADirectory(t *testing.T) {
	t.Setenv("INFLUX_TOKEN", "s3cr3t-token")
	t.Setenv("INFLUX_ORG", "plant")
	t.Setenv("INFLUX_BUCKET", "edge")
	dir := t.TempDir()
	for name, text := range map[string]string{"inputs.conf": articlePing, "battery.conf": articleExec, "outputs.conf": articleOutput} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tables, _, err := conf.Read(context.Background(), conf.Sources{Directories: []string{dir}, Parse: conf.ParseOptions{Env: os.LookupEnv}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := Load(tables, LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if c.Inputs() != 2 {
		t.Fatalf("%d inputs", c.Inputs())
	}
	p := c.inputs[1].Input.(*ping.Ping)
	if p.Count != 3 || time.Duration(p.Timeout) != 2*time.Second || time.Duration(p.Deadline) != 10*time.Second || len(p.Urls) != 3 || c.inputs[1].Config.Interval != 300*time.Second {
		t.Errorf("ping is %+v at %s", p.Urls, c.inputs[1].Config.Interval)
	}
	if _, ok := c.inputs[0].Input.(*exec.Exec); !ok || c.inputs[0].Config.Interval != time.Minute {
		t.Errorf("the first input is %T", c.inputs[0].Input)
	}
	d := c.Destinations[0]
	if d.Token.Reveal() != "s3cr3t-token" || d.Org != "plant" || d.Bucket != "edge" || d.Name != "influxdb_v2/plant/edge" || d.URLs[0] != "https://us-west-2-1.aws.cloud2.influxdata.com" || d.Timeout != 5*time.Second {
		t.Errorf("the destination is %+v", d)
	}
	if text := fmt.Sprintf("%v %+v %#v", d, c.Destinations, d); strings.Contains(text, "s3cr3t") {
		t.Error("the token can be printed")
	}
}

func TestMistakesNameTheOptionItsFileAndLine(t *testing.T) {
	t.Setenv("WORD", "many")
	for _, c := range []struct{ name, text, want string }{
		{"option of an input", "[agent]\n[[inputs.cpu]]\n[[inputs.ping]]\n  urls = []\n  cuont = 3\n", `test.conf:5: inputs.ping has no option "cuont"; did you mean "count"?`},
		{"common option", "[[inputs.cpu]]\n  colection_jitter = \"1s\"\n", `test.conf:2: inputs.cpu has no option "colection_jitter"; did you mean "collection_jitter"?`},
		{"option of the agent", "[agent]\n  intervall = \"1s\"\n", `test.conf:2: agent has no option "intervall"; did you mean "interval"?`},
		{"option of a processor", "[[processors.rename]]\n  ordr = 1\n", `test.conf:2: processors.rename has no option "ordr"; did you mean "order"?`},
		{"option of an aggregator", "[[aggregators.minmax]]\n  perod = \"1s\"\n", `test.conf:2: aggregators.minmax has no option "perod"; did you mean "period"?`},
		{"option of an output", "[[outputs.influxdb_v2]]\n  bukcet = \"a\"\n", `test.conf:2: outputs.influxdb_v2 has no option "bukcet"; did you mean "bucket"?`},
		{"plugin", "\n[[inputs.png]]\n", `test.conf:2: there is no plugin inputs.png; did you mean inputs.ping?`},
		{"plugin that is not here", "[[inputs.kubernetes_everything]]\n", `test.conf:1: there is no plugin inputs.kubernetes_everything in this build; it has cpu, disk`},
		{"table", "[jornal]\n", `test.conf:1: there is no table [jornal]; did you mean [journal]?`},
		{"type", "[[inputs.ping]]\n  urls = []\n  count = \"three\"\n", `test.conf:3: inputs.ping.count: cannot unmarshal TOML string into int`},
		{"type from the environment", "[[inputs.ping]]\n  count = \"${WORD}\"\n", `test.conf:2: inputs.ping.count: cannot unmarshal TOML string into int`},
		{"interval", "[agent]\n  interval = \"0s\"\n", `agent.interval must be greater than 0`},
		{"negative interval", "[[inputs.cpu]]\n  interval = \"-1s\"\n", `test.conf:2: inputs.cpu: interval and collection_jitter must not be negative`},
		{"parser", "[[inputs.exec]]\n  commands = [\"true\"]\n  data_format = \"xml\"\n", `test.conf:3: inputs.exec.data_format names a format that this build does not have; it has csv, form_urlencoded, graphite, `},
		{"parser of a processor", "[[processors.parser]]\n  data_format = \"avro\"\n", `test.conf:2: processors.parser.data_format names a format`},
		{"output", "[[outputs.kafka]]\n", `test.conf:1: the output outputs.kafka is not supported yet; an output can be influxdb_v2 or influxdb`},
		{"filter on an output", "[[outputs.influxdb_v2]]\n  bucket = \"b\"\n  namepass = [\"cpu\"]\n", `test.conf:3: outputs.influxdb_v2.namepass is not supported`},
		{"filter table on an output", "[[outputs.influxdb]]\n  [outputs.influxdb.tagpass]\n    a = [\"b\"]\n", `test.conf:1: outputs.influxdb.tagpass is not supported`},
		{"output without bucket", "[[outputs.influxdb_v2]]\n  token = \"s3cr3t\"\n", `test.conf:1: outputs.influxdb_v2 needs a bucket`},
		{"udp output", "[[outputs.influxdb]]\n  urls = [\"udp://a\"]\n", `test.conf:2: outputs.influxdb.urls: only http`},
		{"two aliases", "[[outputs.influxdb]]\n  alias = \"a\"\n[[outputs.influxdb]]\n  alias = \"a\"\n", `test.conf:4: two outputs have the alias "a" (the other in line 1)`},
		{"unknown secret store", "[[outputs.influxdb_v2]]\n  bucket = \"b\"\n  token = \"@{vault:token}\"\n", `linking secrets: unknown secret store`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := tryLoad(c.text)
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s…", err, c.want)
			}
		})
	}
}

func TestEnvironmentFillsTypedOptionsOfPlugins(t *testing.T) {
	t.Setenv("N", "4")
	t.Setenv("SECONDS", "30")
	t.Setenv("ON", "true")
	c := load(t, `
[agent]
  interval = ${SECONDS}
  omit_hostname = "${ON}"
[[inputs.ping]]
  urls = ["a"]
  count = "${N}"
  ipv4 = ${ON}
  interval = ${SECONDS}
[[inputs.cpu]]
  interval = 5
  percpu = "$ON"
`)
	p := c.inputs[0].Input.(*ping.Ping)
	if p.Count != 4 || !p.IPv4 || c.inputs[0].Config.Interval != 30*time.Second || c.inputs[1].Config.Interval != 5*time.Second {
		t.Errorf("ping has count %d, ipv4 %v, interval %s; cpu has %s", p.Count, p.IPv4, c.inputs[0].Config.Interval, c.inputs[1].Config.Interval)
	}
	if a := c.tg.Agent; time.Duration(a.Interval) != 30*time.Second || !a.OmitHostname {
		t.Errorf("the agent is %+v", a)
	}
	if _, tagged := c.tg.Tags["host"]; tagged {
		t.Error("omit_hostname was set and there is a host tag")
	}
}

func TestTablesOfOtherRoomsAreSkippedAndAConfigurationMayHaveNoInputs(t *testing.T) {
	c := load(t, "[node]\n  anything = 1\n[[remote]]\n  name = \"x\"\n")
	if c.Inputs() != 0 || len(c.Destinations) != 0 {
		t.Errorf("%d inputs, %d destinations", c.Inputs(), len(c.Destinations))
	}
	col, err := Start(c, Options{Sink: newSink()})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(col.Status()); n != 0 {
		t.Errorf("%d inputs run", n)
	}
	if err := col.Close(); err != nil {
		t.Error(err)
	}
}

func TestDestinationsKeepTheirNamesWhenOptionsChange(t *testing.T) {
	names := func(text string) string {
		var all []string
		for _, d := range load(t, text).Destinations {
			all = append(all, d.Name)
		}
		return strings.Join(all, " ")
	}
	before := names(`
[[outputs.influxdb_v2]]
  urls = ["http://a"]
  token = "1"
  organization = "o"
  bucket = "b"
[[outputs.influxdb_v2]]
  organization = "o"
  bucket = "b"
[[outputs.influxdb_v2]]
  alias = "cloud"
  bucket = "b"
[[outputs.influxdb]]
  database = "db"
  retention_policy = "week"
`)
	if want := "influxdb_v2/o/b influxdb_v2/o/b#2 cloud influxdb/db/week"; before != want {
		t.Errorf("names are %s, want %s", before, want)
	}
	after := names(`
[[outputs.influxdb_v2]]
  urls = ["http://c", "http://d"]
  token = "2"
  timeout = "9s"
  organization = "o"
  bucket = "b"
[[outputs.influxdb_v2]]
  organization = "o"
  bucket = "b"
[[outputs.influxdb_v2]]
  alias = "cloud"
  bucket = "elsewhere"
[[outputs.influxdb]]
  database = "db"
  retention_policy = "week"
  username = "u"
`)
	if after != before {
		t.Errorf("names changed to %s", after)
	}
}

func TestOutputOptionsBecomeADestination(t *testing.T) {
	c := load(t, `
[agent]
  metric_buffer_limit = 20000
[[outputs.influxdb_v2]]
  urls = ["https://a:8086", "https://b:8086"]
  bucket = "b"
  timeout = "12s"
  content_encoding = "identity"
  rate_limit = "1MB"
  rate_limit_period = "10s"
  metric_batch_size = 100
  tls_ca = "/ca.pem"
  insecure_skip_verify = true
  influx_uint_support = true
  http_headers = {X-Site = "pier"}
[[outputs.influxdb]]
  username = "u"
  password = "s3cr3t"
  skip_database_creation = true
`)
	d, v1 := c.Destinations[0], c.Destinations[1]
	if d.Timeout != 12*time.Second || d.Gzip || d.BytesPerSecond != 100_000 || d.TLS == nil || d.TLS.CA != "/ca.pem" || !d.TLS.InsecureSkipVerify || d.Headers["X-Site"].Reveal() != "pier" || len(d.URLs) != 2 {
		t.Errorf("the destination is %+v", d)
	}
	if v1.Database != "telegraf" || v1.Username.Reveal() != "u" || v1.Password.Reveal() != "s3cr3t" || !v1.SkipCreate || v1.TLS != nil || !v1.Gzip || v1.URLs[0] != "http://localhost:8086" {
		t.Errorf("the v1 destination is %+v", v1)
	}
	notes := strings.Join(c.Notes, "\n")
	for _, want := range []string{"agent.metric_buffer_limit has no effect", "test.conf:11: outputs.influxdb_v2.metric_batch_size has no effect", "influx_uint_support has no effect"} {
		if !strings.Contains(notes, want) {
			t.Errorf("no note says %q:\n%s", want, notes)
		}
	}
}

func TestSecretsComeFromASecretStore(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("s3cr3t"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := load(t, fmt.Sprintf("[[outputs.influxdb_v2]]\n bucket = \"b\"\n token = \"@{files:token}\"\n[[secretstores.docker]]\n id = \"files\"\n path = %q\n", dir))
	if c.Destinations[0].Token.Reveal() != "s3cr3t" {
		t.Error("the token was not read from the store")
	}
}

func TestCheckReportsWhatPluginsRefuse(t *testing.T) {
	c := load(t, "[[inputs.cpu]]\n\n[[inputs.ping]]\n  urls = [\"a\"]\n  method = \"nativ\"\n")
	err := c.Check()
	if err == nil || err.Error() != `test.conf:3: inputs.ping: invalid 'method' "nativ"` {
		t.Error(err)
	}
}

// A processor that answers later, from a goroutine of its own, would not fit the pipeline.
func TestAllProcessorsAnswerAtOnce(t *testing.T) {
	for name, create := range processors.Processors {
		if _, ok := create().(processors.HasUnwrap); !ok {
			t.Errorf("processors.%s is a streaming processor", name)
		}
	}
}

// Whoever plans a configuration reads the page, not the program.
func TestTheConfigurationPageNamesEveryPluginThatIsBuiltIn(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for row, want := range map[string][]string{
		"inputs": slices.Collect(maps.Keys(inputs.Inputs)), "data formats": slices.Collect(maps.Keys(parsers.Parsers)),
		"processors": slices.Collect(maps.Keys(processors.Processors)), "aggregators": slices.Collect(maps.Keys(aggregators.Aggregators)),
		"secret stores": slices.Collect(maps.Keys(secretstores.SecretStores)),
	} {
		_, text, _ := strings.Cut(string(page), "\n| "+row+" | ")
		text, _, _ = strings.Cut(text, "\n")
		if len(want) == 0 || strings.Count(text, "`")/2 != len(want) {
			t.Errorf("%s: %d are built in, the page has %s", row, len(want), text)
		}
		for _, name := range want {
			if !strings.Contains(text, "`"+name+"`") {
				t.Errorf("%s: the page lacks %s", row, name)
			}
		}
	}
}
