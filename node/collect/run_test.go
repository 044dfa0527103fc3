package collect

import (
	"bytes"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/metric"
	"github.com/influxdata/telegraf/plugins/inputs"
	"github.com/influxdata/telegraf/plugins/processors"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// script is an input whose behaviour a test decides.
type script struct {
	Note  string          `toml:"note"`
	Log   telegraf.Logger `toml:"-"`
	init  func() error
	start func(telegraf.Accumulator) error
	run   func(telegraf.Accumulator) error
	stop  func()
}

func (*script) SampleConfig() string { return "" }
func (s *script) Init() error {
	if s.init != nil {
		return s.init()
	}
	return nil
}
func (s *script) Gather(acc telegraf.Accumulator) error {
	if s.run != nil {
		return s.run(acc)
	}
	return nil
}

// service is a script that also sends by itself.
type service struct{ script }

func (s *service) Start(acc telegraf.Accumulator) error {
	if s.start != nil {
		return s.start(acc)
	}
	return nil
}
func (s *service) Stop() {
	if s.stop != nil {
		s.stop()
	}
}

// register adds an input plugin for the test.
func registerInput(t *testing.T, name string, create func() telegraf.Input) {
	t.Helper()
	inputs.Add(name, create)
	t.Cleanup(func() { delete(inputs.Inputs, name) })
}

func fixed(s telegraf.Input) func() telegraf.Input { return func() telegraf.Input { return s } }

var at = time.Unix(1_700_000_000, 0)

func point(acc telegraf.Accumulator, name string) {
	acc.AddFields(name, map[string]any{"v": 1}, nil, at)
}

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu    sync.Mutex
	b     bytes.Buffer
	wrote chan struct{}
}

func newLog() (*logBuffer, *slog.Logger) {
	l := &logBuffer{wrote: make(chan struct{}, 1000)}
	return l, slog.New(slog.NewTextHandler(l, nil))
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.wrote <- struct{}{}:
	default:
	}
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) await(t *testing.T, text string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !strings.Contains(l.String(), text) {
		select {
		case <-l.wrote:
		case <-deadline:
			t.Fatalf("the log never says %q:\n%s", text, l)
		}
	}
}

const fast = "[agent]\n interval = \"20ms\"\n round_interval = false\n omit_hostname = true\n"

func TestAPanicCostsOnlyTheInputThatPanics(t *testing.T) {
	registerInput(t, "t_panic", fixed(&script{run: func(telegraf.Accumulator) error { panic("boom") }}))
	registerInput(t, "t_good", fixed(&script{run: func(acc telegraf.Accumulator) error { point(acc, "good"); return nil }}))
	logs, logger := newLog()
	sink, reg := newSink(), prometheus.NewRegistry()
	c := start(t, load(t, fast+"[[inputs.t_panic]]\n[[inputs.t_good]]\n"), Options{Sink: sink, Logger: logger, Registerer: reg})
	logs.await(t, "the input panicked; it pauses")
	for seen := len(sink.all()); len(sink.all()) < seen+3; {
		<-sink.wrote
	}
	s := c.Status()[0]
	if s.Panics == 0 || s.LastError != "the plugin panicked: boom" || s.PausedUntil.IsZero() {
		t.Errorf("the status is %+v", s)
	}
	if !strings.Contains(logs.String(), "run_test.go") {
		t.Error("the log has no stack of the panic")
	}
	if n := counter(t, reg, "holdfast_collect_gather_panics_total", "inputs.t_panic"); n < 1 {
		t.Errorf("%v panics are counted", n)
	}
}

func counter(t *testing.T, reg *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}

func TestPausesAfterPanicsDouble(t *testing.T) {
	for n, want := range []time.Duration{10, 20, 40, 80, 100, 100} {
		if got := doubled(10, n, 100); got != want {
			t.Errorf("pause %d is %d, want %d", n, got, want)
		}
	}
	if got := doubled(time.Hour, 3, time.Minute); got != time.Hour {
		t.Errorf("an interval longer than the limit pauses %s", got)
	}
}

func TestATickDuringAGatherIsDroppedAndReported(t *testing.T) {
	release := make(chan struct{})
	calls := make(chan struct{}, 100)
	registerInput(t, "t_slow", fixed(&script{run: func(acc telegraf.Accumulator) error {
		calls <- struct{}{}
		<-release
		point(acc, "slow")
		return nil
	}}))
	logs, logger := newLog()
	sink, reg := newSink(), prometheus.NewRegistry()
	c := start(t, load(t, fast+"[[inputs.t_slow]]\n"), Options{Sink: sink, Logger: logger, Registerer: reg})
	logs.await(t, "a gather takes longer than its interval; this one is skipped")
	if len(calls) != 1 {
		t.Errorf("%d gathers run at once", len(calls))
	}
	if s := c.Status()[0]; s.Running.IsZero() || s.Skipped == 0 {
		t.Errorf("the status is %+v", s)
	}
	if counter(t, reg, "holdfast_collect_inputs_overdue", "") != 1 {
		t.Error("the overdue input is not counted")
	}
	close(release)
	logs.await(t, "the overdue gather has ended")
	sink.await(t, "slow")
}

func TestCloseWritesWhatAHangingGatherBroughtAndDropsWhatComesLater(t *testing.T) {
	release, entered, left := make(chan struct{}), make(chan struct{}), make(chan struct{})
	registerInput(t, "t_hang", fixed(&script{run: func(acc telegraf.Accumulator) error {
		defer close(left)
		point(acc, "early")
		close(entered)
		<-release
		point(acc, "late")
		return nil
	}}))
	logs, logger := newLog()
	sink := newSink()
	c, err := Start(load(t, fast+"[[inputs.t_hang]]\n interval = \"1h\"\n"), Options{Sink: sink, Logger: logger, StopTimeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	<-entered
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	logs.await(t, "a gather did not end in time and is left behind")
	close(release)
	<-left
	if got := sink.measurements(); !slices.Equal(got, []string{"early"}) {
		t.Errorf("written: %v", got)
	}
}

func TestAFailedStartIsReportedAndLeavesOthersRunning(t *testing.T) {
	registerInput(t, "t_refuses", fixed(&script{init: func() error { return errors.New("no such device") }}))
	registerInput(t, "t_good", fixed(&script{run: func(acc telegraf.Accumulator) error { point(acc, "good"); return nil }}))
	logs, logger := newLog()
	sink := newSink()
	c := start(t, load(t, fast+"[[inputs.t_refuses]]\n[[inputs.t_good]]\n"), Options{Sink: sink, Logger: logger})
	sink.await(t, "good")
	logs.await(t, "the input cannot be started; it is tried again")
	if s := c.Status()[0]; s.Started || s.LastError != "no such device" {
		t.Errorf("the status is %+v", s)
	}
}

func TestAnInputThatCannotBeStartedIsTriedAgainAfresh(t *testing.T) {
	var made atomic.Int32
	registerInput(t, "t_later", func() telegraf.Input {
		n := made.Add(1)
		return &script{
			init: func() error {
				if n < 3 {
					return errors.New("not yet")
				}
				return nil
			},
			run: func(acc telegraf.Accumulator) error { point(acc, "later"); return nil },
		}
	})
	sink := newSink()
	c := start(t, load(t, fast+"[[inputs.t_later]]\n  note = \"kept\"\n  tags = {from = \"table\"}\n"), Options{Sink: sink, StartRetry: time.Millisecond})
	sink.await(t, "later")
	if got := sink.all()[0]; got != "later,from=table v=1i 1700000000000000000\n" {
		t.Errorf("wrote %q", got)
	}
	if s := c.Status()[0]; !s.Started || s.Errors != 2 {
		t.Errorf("the status is %+v", s)
	}
}

func TestAnInputIsLeftOutWhenItsStartupErrorBehaviorSaysSo(t *testing.T) {
	registerInput(t, "t_ignored", fixed(&script{init: func() error { return errors.New("no such device") }}))
	logs, logger := newLog()
	start(t, load(t, fast+"[[inputs.t_ignored]]\n  startup_error_behavior = \"ignore\"\n"), Options{Sink: newSink(), Logger: logger, StartRetry: time.Millisecond})
	logs.await(t, "is left out, as startup_error_behavior says")
	if strings.Contains(logs.String(), "it is tried again") {
		t.Error("it was tried again")
	}
}

func TestAGatherIsOneWrite(t *testing.T) {
	once := make(chan struct{}, 1)
	registerInput(t, "t_many", fixed(&script{run: func(acc telegraf.Accumulator) error {
		for i := range 300 {
			acc.AddFields("many", map[string]any{"v": i}, map[string]string{"i": string(rune('a' + i%26))}, at.Add(time.Duration(i)*time.Second))
		}
		once <- struct{}{}
		return nil
	}}))
	sink := newSink()
	start(t, load(t, fast+"[[inputs.t_many]]\n interval = \"1h\"\n"), Options{Sink: sink})
	<-once
	<-sink.wrote
	if len(sink.all()) != 300 || sink.writes != 1 {
		t.Errorf("%d points in %d writes", len(sink.all()), sink.writes)
	}
}

func TestAFloodIsWrittenInBoundedBatches(t *testing.T) {
	done := make(chan struct{})
	registerInput(t, "t_flood", fixed(&script{run: func(acc telegraf.Accumulator) error {
		defer close(done)
		for i := range 1000 {
			acc.AddFields("flood", map[string]any{"v": i}, nil, at.Add(time.Duration(i)*time.Second))
		}
		return nil
	}}))
	sink := newSink()
	c, err := Start(load(t, fast+"[[inputs.t_flood]]\n interval = \"1h\"\n"), Options{Sink: sink, BatchPoints: 64})
	if err != nil {
		t.Fatal(err)
	}
	<-done
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if len(sink.all()) != 1000 || sink.writes != 16 {
		t.Errorf("%d points in %d writes", len(sink.all()), sink.writes)
	}
}

func TestWhatAServiceInputSendsIsWrittenEvenAtClose(t *testing.T) {
	var acc telegraf.Accumulator
	var tracked telegraf.TrackingAccumulator
	started, stopped := make(chan struct{}), false
	svc := &service{script{}}
	svc.start = func(a telegraf.Accumulator) error {
		acc, tracked = a, a.WithTracking(10)
		close(started)
		return nil
	}
	svc.stop = func() { stopped = true; point(acc, "last") }
	registerInput(t, "t_service", fixed(svc))
	sink := newSink()
	c, err := Start(load(t, fast+"[[inputs.t_service]]\n"), Options{Sink: sink})
	if err != nil {
		t.Fatal(err)
	}
	<-started
	point(acc, "pushed")
	id := tracked.AddTrackingMetric(metric.New("tracked", nil, map[string]any{"v": 1}, at))
	sink.await(t, "pushed", "tracked")
	if info := <-tracked.Delivered(); info.ID() != id || !info.Delivered() {
		t.Errorf("the delivery report is %+v", info)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	sink.await(t, "last")
	if !stopped {
		t.Error("the plugin was not stopped")
	}
}

func TestPointsThatTheSinkRefusesAreCountedAndReportedAsUndelivered(t *testing.T) {
	var tracked telegraf.TrackingAccumulator
	started := make(chan struct{})
	svc := &service{script{}}
	svc.start = func(a telegraf.Accumulator) error { tracked = a.WithTracking(1); close(started); return nil }
	registerInput(t, "t_refused", fixed(svc))
	logs, logger := newLog()
	sink, reg := newSink(), prometheus.NewRegistry()
	sink.err = errors.New("journal is full")
	start(t, load(t, fast+"[[inputs.t_refused]]\n"), Options{Sink: sink, Logger: logger, Registerer: reg})
	<-started
	tracked.AddTrackingMetric(metric.New("lost", nil, map[string]any{"v": 1}, at))
	if info := <-tracked.Delivered(); info.Delivered() {
		t.Error("a refused point was reported as delivered")
	}
	logs.await(t, "journal is full")
	if n := counter(t, reg, "holdfast_collect_points_dropped_total", "not stored"); n != 1 {
		t.Errorf("%v points are counted as dropped", n)
	}
}

// The order of a metric's life, telegraf-agent §1: selectors see the plugin's own name and tags; then names, the plugin's tags, global
// tags where absent; then modifiers, which can remove what was added; then processors.
func TestNamesTagsAndFiltersApplyInTelegrafsOrder(t *testing.T) {
	registerInput(t, "t_order", fixed(&script{run: func(acc telegraf.Accumulator) error {
		fields := map[string]any{"keep": 1.0, "drop": 2.0}
		acc.AddFields("raw", fields, map[string]string{"own": "plugin", "path": "/data"}, at)
		acc.AddFields("raw", fields, map[string]string{"path": "/other"}, at)
		acc.AddFields("refused", fields, map[string]string{"path": "/data"}, at)
		acc.AddFields("raw", map[string]any{"drop": 1.0}, map[string]string{"path": "/data"}, at)
		return nil
	}}))
	sink := newSink()
	start(t, load(t, `
[global_tags]
  own = "global"
  site = "pier"
  gone = "global"
[agent]
  interval = "1h"
  round_interval = false
  hostname = "edge"
[[processors.rename]]
  order = 2
  [[processors.rename.replace]]
    measurement = "first"
    dest = "second"
[[processors.rename]]
  order = 1
  namepass = ["pre_over_suf"]
  [[processors.rename.replace]]
    measurement = "pre_over_suf"
    dest = "first"
[[inputs.t_order]]
  name_override = "over"
  name_prefix = "pre_"
  name_suffix = "_suf"
  namepass = ["raw"]
  fieldexclude = ["drop"]
  tagexclude = ["gone", "host"]
  [inputs.t_order.tags]
    site = "table"
    more = "table"
  [inputs.t_order.tagpass]
    path = ["/data*"]
  [inputs.t_order.tagdrop]
    site = ["table"]
`), Options{Sink: sink})
	<-sink.wrote
	want := "second,more=table,own=plugin,path=/data,site=table keep=1 1700000000000000000\n"
	if got := sink.all(); len(got) != 1 || got[0] != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestAggregatesGoThroughProcessorsAndMayReplaceTheOriginals(t *testing.T) {
	sent := make(chan struct{})
	var once sync.Once
	registerInput(t, "t_values", fixed(&script{run: func(acc telegraf.Accumulator) error {
		once.Do(func() {
			for _, v := range []float64{1, 5, 3} {
				acc.AddFields("values", map[string]any{"v": v}, nil)
			}
			acc.AddFields("other", map[string]any{"v": 1.0}, nil)
		})
		select {
		case sent <- struct{}{}:
		default:
		}
		return nil
	}}))
	sink := newSink()
	c, err := Start(load(t, `
[agent]
  interval = "20ms"
  round_interval = false
  omit_hostname = true
[[processors.override]]
  [processors.override.tags]
    seen = "yes"
[[aggregators.minmax]]
  period = "1h"
  drop_original = true
  namepass = ["values"]
[[inputs.t_values]]
  precision = "1ns"
`), Options{Sink: sink})
	if err != nil {
		t.Fatal(err)
	}
	<-sent
	sink.await(t, "other")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, l := range sink.all() {
		f := strings.Fields(l)
		got[f[0]] = f[1]
	}
	want := map[string]string{"other,seen=yes": "v=1", "values,seen=yes": "v_max=5,v_min=1"}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// fragile is a processor that panics at one measurement.
type fragile struct{}

func (fragile) SampleConfig() string { return "" }
func (fragile) Apply(in ...telegraf.Metric) []telegraf.Metric {
	if in[0].Name() == "bad" {
		panic("boom")
	}
	return in
}

func TestAProcessorThatPanicsCostsOneMetric(t *testing.T) {
	processors.Add("t_fragile", func() telegraf.Processor { return &fragile{} })
	t.Cleanup(func() { delete(processors.Processors, "t_fragile") })
	registerInput(t, "t_mixed", fixed(&script{run: func(acc telegraf.Accumulator) error {
		point(acc, "before")
		point(acc, "bad")
		point(acc, "after")
		return nil
	}}))
	logs, logger := newLog()
	sink, reg := newSink(), prometheus.NewRegistry()
	start(t, load(t, fast+"[[processors.t_fragile]]\n[[inputs.t_mixed]]\n interval = \"1h\"\n"), Options{Sink: sink, Logger: logger, Registerer: reg})
	sink.await(t, "before", "after")
	if got := sink.measurements(); slices.Contains(got, "bad") {
		t.Errorf("written: %v", got)
	}
	logs.await(t, "a plugin panicked")
	if n := counter(t, reg, "holdfast_collect_gather_panics_total", "processors.t_fragile"); n != 1 {
		t.Errorf("%v panics are counted", n)
	}
}

func TestValuesAreEncodedAsTelegrafSendsThem(t *testing.T) {
	nan := 0.0
	m := metric.New("m", map[string]string{"t": `back\`, "empty": "", "b": "x y"}, map[string]any{
		"u": uint64(1<<63 + 5), "small": uint64(7), "i": int64(-3), "f": 1.25, "nan": nan / nan, "s": `a "b"`, "t": true, `k\`: 1,
	}, time.Unix(1, 5))
	for _, c := range []struct {
		unsigned bool
		want     string
	}{
		{false, `m,b=x\ y,t=back f=1.25,i=-3i,k=1i,s="a \"b\"",small=7i,t=true,u=9223372036854775807i 1000000005` + "\n"},
		{true, `m,b=x\ y,t=back f=1.25,i=-3i,k=1i,s="a \"b\"",small=7u,t=true,u=9223372036854775813u 1000000005` + "\n"},
	} {
		var b line.Batch
		e := encoder{unsigned: c.unsigned}
		if !e.add(&b, m) {
			t.Fatal("no point came of the metric")
		}
		if got := string(line.AppendBatch(nil, &b)); got != c.want {
			t.Errorf("got  %swant %s", got, c.want)
		}
	}
	var b line.Batch
	if (&encoder{}).add(&b, metric.New("m", nil, map[string]any{"nan": nan / nan}, at)) || len(b.Points) != 0 {
		t.Error("a metric of NaN alone became a point")
	}
}

func TestTimestampsAreRoundedToTheIntervalsUnit(t *testing.T) {
	for _, c := range []struct{ setting, interval, want time.Duration }{
		{0, 10 * time.Second, time.Second}, {0, 250 * time.Millisecond, time.Millisecond}, {0, 3 * time.Microsecond, time.Microsecond},
		{0, 0, time.Nanosecond}, {time.Minute, time.Second, time.Minute},
	} {
		if got := precisionOf(c.setting, c.interval); got != c.want {
			t.Errorf("precision for %s at %s is %s, want %s", c.setting, c.interval, got, c.want)
		}
	}
}

func TestLogsOfPluginsKeepTheirLevelOneLineAndNoSecrets(t *testing.T) {
	plugin := &script{}
	plugin.run = func(telegraf.Accumulator) error {
		plugin.Log.Debugf("debug for %s", "quiet")
		plugin.Log.Warnf("first\nsecond http://user:s3cr3t@host/?token=s3cr3t Authorization: Token s3cr3ts3cr3t")
		return nil
	}
	loud := &script{}
	loud.run = func(telegraf.Accumulator) error { loud.Log.Debugf("debug wanted"); return nil }
	registerInput(t, "t_quiet", fixed(plugin))
	registerInput(t, "t_loud", fixed(loud))
	logs, logger := newLog()
	start(t, load(t, fast+"[[inputs.t_quiet]]\n[[inputs.t_loud]]\n alias = \"a\"\n log_level = \"debug\"\n"), Options{Sink: newSink(), Logger: logger})
	logs.await(t, "debug wanted")
	logs.await(t, "first; second")
	text := logs.String()
	if strings.Contains(text, "s3cr3t") || strings.Contains(text, "debug for") || !strings.Contains(text, "plugin=inputs.t_loud::a") {
		t.Errorf("the log is\n%s", text)
	}
}

func TestTheScheduleFollowsTheWallClock(t *testing.T) {
	base := time.Date(2026, 1, 1, 0, 0, 3, 0, time.UTC)
	s := schedule{interval: 10 * time.Second, offset: 2 * time.Second, round: true}
	if got := s.first(base); got != 9*time.Second {
		t.Errorf("the first tick comes after %s, want 9s", got)
	}
	late := base.Add(9*time.Second + 300*time.Millisecond)
	if got := s.next(late); got != 9700*time.Millisecond {
		t.Errorf("a late tick moves the next one to %s", got)
	}
	if got := s.next(base.Add(time.Hour)); got != 9*time.Second {
		t.Errorf("after a sleep of an hour the next tick comes after %s", got)
	}
	if got := s.next(base.Add(-24 * time.Hour)); got != 9*time.Second {
		t.Errorf("after the clock was set back the next tick comes after %s", got)
	}
	drift := schedule{interval: 10 * time.Second, offset: time.Second}
	if got := drift.first(base); got != time.Second {
		t.Errorf("without rounding the first tick comes after %s", got)
	}
	if got := drift.next(base.Add(time.Hour)); got != 10*time.Second {
		t.Errorf("without rounding, after a sleep, the next tick comes after %s", got)
	}
	jitter := schedule{interval: 10 * time.Second, jitter: 4 * time.Second, round: true}
	var waits []time.Duration
	for range 200 {
		waits = append(waits, jitter.first(base))
	}
	if lo, hi := slices.Min(waits), slices.Max(waits); lo < 7*time.Second || hi >= 11*time.Second || hi-lo < time.Second {
		t.Errorf("jittered ticks lie between %s and %s", lo, hi)
	}
}
