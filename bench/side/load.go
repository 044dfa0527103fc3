package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
)

// load is a workload in the shape of the usual host benchmark: every 10 s each host writes one row of ten integer fields that walk
// at random between 0 and 100, under ten tags.
type load struct {
	hosts, batch int
	rng          *rand.Rand
	tags         [][]byte
	values       [][10]int
	row          int
}

const (
	loadFields = 10
	loadStart  = 1_750_000_000
	loadStep   = 10 // s
)

var fieldNames = [loadFields]string{
	"usage_user", "usage_system", "usage_idle", "usage_nice", "usage_iowait",
	"usage_irq", "usage_softirq", "usage_steal", "usage_guest", "usage_guest_nice",
}

func newLoad(hosts, batch int) *load {
	l := &load{hosts: hosts, batch: batch, rng: rand.New(rand.NewPCG(123, 1))}
	for h := range hosts {
		l.tags = append(l.tags, fmt.Appendf(nil, "cpu,arch=x%d,datacenter=eu-central-1%c,hostname=host_%d,os=Ubuntu%d.10,rack=%d,region=eu-central-1,service=%d,service_environment=test,service_version=%d,team=%s",
			64+h%2*22, 'a'+rune(h%3), h, 15+h%2, l.rng.IntN(100), l.rng.IntN(20), h%2, []string{"NYC", "SF", "LON", "CHI"}[h%4]))
		var v [loadFields]int
		for i := range v {
			v[i] = l.rng.IntN(101)
		}
		l.values = append(l.values, v)
	}
	return l
}

// next returns the body of the next request: batch rows.
func (l *load) next() []byte {
	var b bytes.Buffer
	for range l.batch {
		h := l.row % l.hosts
		at := int64(loadStart+l.row/l.hosts*loadStep) * 1e9
		b.Write(l.tags[h])
		for i := range l.values[h] {
			l.values[h][i] = min(100, max(0, l.values[h][i]+l.rng.IntN(3)-1))
			if i == 0 {
				b.WriteByte(' ')
			} else {
				b.WriteByte(',')
			}
			b.WriteString(fieldNames[i])
			b.WriteByte('=')
			b.WriteString(strconv.Itoa(l.values[h][i]))
			b.WriteByte('i')
		}
		b.WriteByte(' ')
		b.WriteString(strconv.FormatInt(at, 10))
		b.WriteByte('\n')
		l.row++
	}
	return b.Bytes()
}
