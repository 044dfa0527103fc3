package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/holdfast-telemetry/holdfast/node/line"
)

// devops is 100 hosts with 9 measurements of integers and floats, every 10 s: counters, gauges in per cent, bytes.
func devops(emit func(*line.Batch) error) error {
	r := rand.New(rand.NewPCG(1, 1))
	widths := []int{10, 9, 7, 7, 13, 12, 6, 6, 30}
	var groups [][]gauge
	var names [][][]byte
	for i, w := range widths {
		groups = append(groups, gauges(100, w, fmt.Sprintf("measurement%d", i), "region", "datacenter", "rack", "os", "arch", "team", "service"))
		names = append(names, keys("field", w))
	}
	return each(4*time.Hour, 10*time.Second, groups, emit, func(group int, g *gauge, fields []line.Field) []line.Field {
		for k := range g.vals {
			var v line.Value
			switch {
			case group == 1 && k%3 == 0: // a float of full precision
				g.vals[k] = clamp(g.vals[k]+r.NormFloat64(), 0, 100)
				v = number(line.Float, math.Float64bits(g.vals[k]))
			case group%2 == 0: // a gauge
				g.vals[k] = math.Round(clamp(g.vals[k]+r.NormFloat64(), 0, 100))
				v = number(line.Integer, uint64(int64(g.vals[k])))
			default: // a counter
				g.vals[k] += math.Abs(math.Round(50 * r.NormFloat64()))
				v = number(line.Integer, uint64(int64(g.vals[k])))
			}
			fields = append(fields, line.Field{Key: names[group][k], Value: v})
		}
		return fields
	})
}

func clamp(v, low, high float64) float64 { return min(max(v, low), high) }

// floats is 20 series of 50 floats of full precision, every 10 s.
func floats(emit func(*line.Batch) error) error {
	r := rand.New(rand.NewPCG(2, 2))
	names := keys("sensor", 50)
	return each(12*time.Hour, 10*time.Second, [][]gauge{gauges(20, 50, "machine", "line")}, emit, func(_ int, g *gauge, fields []line.Field) []line.Field {
		for k := range g.vals {
			g.vals[k] += r.NormFloat64()
			fields = append(fields, line.Field{Key: names[k], Value: number(line.Float, math.Float64bits(g.vals[k]))})
		}
		return fields
	})
}

// decimals is like floats, but the values have two decimals, as sensors give them.
func decimals(emit func(*line.Batch) error) error {
	r := rand.New(rand.NewPCG(3, 3))
	names := keys("sensor", 50)
	return each(12*time.Hour, 10*time.Second, [][]gauge{gauges(20, 50, "machine", "line")}, emit, func(_ int, g *gauge, fields []line.Field) []line.Field {
		for k := range g.vals {
			g.vals[k] = math.Round(100*(g.vals[k]+r.NormFloat64()/10)) / 100
			fields = append(fields, line.Field{Key: names[k], Value: number(line.Float, math.Float64bits(20+g.vals[k]))})
		}
		return fields
	})
}

// texts is 50 series with a state that seldom changes, a message with numbers in it, and a level, every 10 s.
func texts(emit func(*line.Batch) error) error {
	r := rand.New(rand.NewPCG(4, 4))
	states := []string{"running", "stopped", "degraded", "starting"}
	levels := []string{"info", "info", "info", "warning", "error"}
	names := [][]byte{[]byte("state"), []byte("message"), []byte("level")}
	return each(12*time.Hour, 10*time.Second, [][]gauge{gauges(50, 1, "service", "unit")}, emit, func(_ int, g *gauge, fields []line.Field) []line.Field {
		if r.IntN(100) == 0 {
			g.vals[0] = float64(r.IntN(len(states)))
		}
		text := []string{
			states[int(g.vals[0])],
			fmt.Sprintf("request %d from 10.0.%d.%d took %d ms", r.IntN(1e6), r.IntN(256), r.IntN(256), r.IntN(3000)),
			levels[r.IntN(len(levels))],
		}
		for k, s := range text {
			fields = append(fields, line.Field{Key: names[k], Value: line.Value{Type: line.String, Str: []byte(s)}})
		}
		return fields
	})
}

// sparse is 100 series of 200 fields, of which each point has 10, every 10 s.
func sparse(emit func(*line.Batch) error) error {
	r := rand.New(rand.NewPCG(5, 5))
	names := keys("register", 200)
	return each(12*time.Hour, 10*time.Second, [][]gauge{gauges(100, 200, "plc", "site")}, emit, func(_ int, g *gauge, fields []line.Field) []line.Field {
		first := r.IntN(20) * 10
		for k := first; k < first+10; k++ {
			g.vals[k] += math.Round(10 * r.NormFloat64())
			v := number(line.Integer, uint64(int64(g.vals[k])))
			if k%4 == 0 {
				v = number(line.Float, math.Float64bits(g.vals[k]/8))
			}
			fields = append(fields, line.Field{Key: names[k], Value: v})
		}
		return fields
	})
}

// small is 60 measurements of one or two series with 4 fields, every 10 s: an edge node that watches itself.
func small(emit func(*line.Batch) error) error {
	r := rand.New(rand.NewPCG(6, 6))
	var groups [][]gauge
	for i := range 60 {
		groups = append(groups, gauges(1+i%2, 4, fmt.Sprintf("check%d", i), "kind"))
	}
	names := keys("value", 4)
	return each(24*time.Hour, 10*time.Second, groups, emit, func(_ int, g *gauge, fields []line.Field) []line.Field {
		for k := range g.vals {
			var v line.Value
			switch k {
			case 0, 1:
				g.vals[k] += math.Abs(math.Round(20 * r.NormFloat64()))
				v = number(line.Integer, uint64(int64(g.vals[k])))
			case 2:
				g.vals[k] = math.Round(100*clamp(g.vals[k]+r.NormFloat64(), 0, 100)) / 100
				v = number(line.Float, math.Float64bits(g.vals[k]))
			default:
				v = number(line.Boolean, uint64(r.IntN(50)/49))
			}
			fields = append(fields, line.Field{Key: names[k], Value: v})
		}
		return fields
	})
}
