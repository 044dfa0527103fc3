package object

import "testing"

func BenchmarkRead(b *testing.B) {
	for name, data := range manifests(b) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if f := Read(name, data, nil); f.Bad != nil {
					b.Fatal(f.Bad)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	data := manifests(b)["deployment.yaml"]
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if f := parsed(data, nil); f.Bad != nil {
			b.Fatal(f.Bad)
		}
	}
}
