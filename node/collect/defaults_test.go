package collect

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/collect/conf"
	"github.com/holdfast-telemetry/holdfast/node/line"
)

func TestTheBuiltInConfigurationGathersThisMachine(t *testing.T) {
	text, notes := DefaultText()
	t.Log(notes)
	tables, err := conf.Parse(DefaultName, []byte(text), conf.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := Load(tables, LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	sink := newSink()
	if err := Once(context.Background(), c, Options{Sink: sink, Logger: testLogger()}, 0); err != nil {
		t.Error(err)
	}
	want := []string{"cpu", "mem", "system"}
	if runtime.GOOS == "linux" {
		want = append(want, "kernel", "net", "processes", "swap")
	}
	if strings.Contains(text, "inputs.ping") {
		want = append(want, "ping")
	}
	got := sink.measurements()
	for _, m := range want {
		if !slices.Contains(got, m) && !(m == "net" && onlyLoopback()) {
			t.Errorf("nothing was gathered for %s; have %v", m, got)
		}
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range sink.all() {
		if _, tags := line.SplitSeries(parseLine(l).Series); !slices.Contains(tags, line.Tag{Key: "host", Value: host}) {
			t.Fatalf("no host tag in %s", l)
		}
	}
}

func onlyLoopback() bool {
	gateway, err := defaultGateway()
	return err == nil && !gateway.IsValid()
}

func TestTestPrintsSortedLinesOfEveryInput(t *testing.T) {
	var out bytes.Buffer
	err := Test(context.Background(), load(t, "[agent]\n omit_hostname = true\n[[inputs.cpu]]\n percpu = false\n[[inputs.mem]]\n"), Options{}, 0, &out)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "> cpu,cpu=cpu-total usage_guest=") || !strings.HasPrefix(lines[1], "> mem active=") {
		t.Fatalf("printed\n%s", out.String())
	}
	for _, l := range lines {
		p := parseLine(strings.TrimPrefix(l, "> ") + "\n")
		if !slices.IsSortedFunc(p.Fields, func(a, b line.Field) int { return bytes.Compare(a.Key, b.Key) }) {
			t.Errorf("fields are not sorted: %s", l)
		}
	}
}

func TestTestReportsErrorsAndPrintsTheOthersNevertheless(t *testing.T) {
	var out bytes.Buffer
	c := load(t, "[[inputs.exec]]\n commands = [\"/does/not/exist\"]\n data_format = \"influx\"\n[[inputs.mem]]\n")
	err := Test(context.Background(), c, Options{}, 0, &out)
	if err == nil || !strings.HasPrefix(err.Error(), "test.conf:1: inputs.exec: ") {
		t.Errorf("the error is %v", err)
	}
	if !strings.HasPrefix(out.String(), "> mem,") {
		t.Errorf("printed %q", out.String())
	}
}

func TestExecReadsLineProtocolFromAScript(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the script is for sh")
	}
	script := filepath.Join(t.TempDir(), "battery.sh")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho 'batterystatus online=1i,battery=97'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	sink := newSink()
	start(t, load(t, fast+"[[inputs.exec]]\n  commands = [\"sh "+script+"\"]\n  data_format = \"influx\"\n"), Options{Sink: sink})
	sink.await(t, "batterystatus")
	if got := sink.all()[0]; !strings.HasPrefix(got, "batterystatus battery=97,online=1i ") {
		t.Errorf("wrote %q", got)
	}
}

// As root, which CI is, this must not be skipped: raw sockets work there.
func TestNativePingReachesLoopback(t *testing.T) {
	if pingMethod() != "native" {
		if os.Geteuid() == 0 && runtime.GOOS == "linux" {
			t.Fatal("root cannot open a raw socket here")
		}
		t.Skip("raw sockets need root or CAP_NET_RAW")
	}
	sink := newSink()
	c := load(t, "[[inputs.ping]]\n urls = [\"127.0.0.1\"]\n method = \"native\"\n count = 3\n ping_interval = 0.2\n deadline = 5\n")
	if err := Once(context.Background(), c, Options{Sink: sink}, 0); err != nil {
		t.Fatal(err)
	}
	got := sink.all()
	if len(got) != 1 || !strings.Contains(got[0], "url=127.0.0.1 ") || !strings.Contains(got[0], "packets_received=3i") || !strings.Contains(got[0], "result_code=0i") {
		t.Errorf("wrote %q", got)
	}
}

func TestServiceInputsRunForTheWaitOfATest(t *testing.T) {
	began := time.Now()
	var out bytes.Buffer
	svc := &service{script{}}
	registerInput(t, "t_waits", fixed(svc))
	if err := Test(context.Background(), load(t, "[[inputs.t_waits]]\n"), Options{}, 30*time.Millisecond, &out); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 30*time.Millisecond {
		t.Errorf("the test ended after %s", took)
	}
}
