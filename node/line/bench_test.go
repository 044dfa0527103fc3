package line

import (
	"fmt"
	"math/rand"
	"strconv"
	"testing"
)

// cpuLines is a body in the shape of the TSBS cpu-only set: 10 tags, 10 fields, hosts in turn.
func cpuLines(hosts, lines int, value func(*rand.Rand) string) []byte {
	rng := rand.New(rand.NewSource(1))
	regions := []string{"us-east-1", "eu-central-1", "ap-southeast-2", "sa-east-1"}
	names := []string{"user", "system", "idle", "nice", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"}
	var body []byte
	for i := range lines {
		h := i % hosts
		region := regions[h%len(regions)]
		body = fmt.Appendf(body, "cpu,hostname=host_%d,region=%s,datacenter=%s%c,rack=%d,os=Ubuntu16.04LTS,arch=x64,team=SF,service=%d,service_version=%d,service_environment=test ",
			h, region, region, 'a'+h%3, h%100, h%20, h%2)
		for j, name := range names {
			if j > 0 {
				body = append(body, ',')
			}
			body = append(body, "usage_"+name+"="+value(rng)...)
		}
		body = fmt.Appendf(body, " %d\n", 1451606400000000000+int64(i/hosts)*10e9)
	}
	return body
}

func integer(r *rand.Rand) string    { return strconv.Itoa(r.Intn(100)) + "i" }
func wholeFloat(r *rand.Rand) string { return strconv.Itoa(r.Intn(100)) }
func longFloat(r *rand.Rand) string  { return strconv.FormatFloat(r.Float64()*100, 'f', -1, 64) }
func text(r *rand.Rand) string       { return fmt.Sprintf(`"a text of %d \"words\""`, r.Intn(1e6)) }

var benchmarks = []struct {
	name  string
	hosts int
	value func(*rand.Rand) string
}{
	{"Integers", 100, integer},
	{"Floats", 100, wholeFloat},
	{"LongFloats", 100, longFloat},
	{"Strings", 100, text},
	{"Integers4000Hosts", 4000, integer},
}

func BenchmarkParse(b *testing.B) {
	for _, c := range benchmarks {
		b.Run(c.name, func(b *testing.B) {
			const lines = 4000
			body := cpuLines(c.hosts, lines, c.value)
			p, batch := new(Parser), new(Batch)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				batch.Reset()
				if err := p.Parse(batch, body, Options{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*lines/b.Elapsed().Seconds(), "points/s")
		})
	}
}

// BenchmarkParseNewSeries parses series that are seen for the first time.
func BenchmarkParseNewSeries(b *testing.B) {
	const lines = 4000
	body := cpuLines(lines, lines, integer)
	batch := new(Batch)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		batch.Reset()
		if err := new(Parser).Parse(batch, body, Options{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*lines/b.Elapsed().Seconds(), "points/s")
}

func BenchmarkAppendBatch(b *testing.B) {
	for _, c := range benchmarks {
		b.Run(c.name, func(b *testing.B) {
			const lines = 4000
			batch := new(Batch)
			if err := new(Parser).Parse(batch, cpuLines(c.hosts, lines, c.value), Options{}); err != nil {
				b.Fatal(err)
			}
			out := AppendBatch(nil, batch)
			b.SetBytes(int64(len(out)))
			b.ReportAllocs()
			for b.Loop() {
				out = AppendBatch(out[:0], batch)
			}
			b.ReportMetric(float64(b.N)*lines/b.Elapsed().Seconds(), "points/s")
		})
	}
}
