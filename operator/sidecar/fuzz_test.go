package sidecar_test

import (
	"testing"

	"github.com/holdfast-telemetry/holdfast/operator/sidecar"
)

// FuzzInject holds for any bytes: there is an error, or a patch that applies and that is applied once.
func FuzzInject(f *testing.F) {
	f.Add([]byte(`{"metadata":{"annotations":{"telegraf.influxdata.com/port":"8080"}},"spec":{"containers":[{"name":"app"}]}}`))
	f.Add([]byte(`{"metadata":{"labels":{},"annotations":{"holdfast.dev/inputs":"[[inputs.cpu]]","x.holdfast.dev/port":"1"}},"spec":{"volumes":null,"os":{"name":"windows"}}}`))
	f.Add([]byte(`{"metadata":{"annotations":{"holdfast.dev/agent":"holdfast","holdfast.dev/class":"default,team"}},"spec":{"initContainers":[]}}`))
	f.Add([]byte(`{"metadata":{"annotations":{"holdfast.dev/port":"1"}}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b := builder()
		if _, err := b.Inject(raw, "ns"); err != nil {
			return
		}
		object, err := tree(raw)
		if err != nil {
			return
		}
		raw = encode(t, object) // API servers send no key twice, of which programs think differently
		in, err := b.Inject(raw, "ns")
		if err != nil {
			return
		}
		twice, err := b.Inject(apply(t, raw, in), "ns")
		if err != nil {
			t.Fatalf("a patched pod cannot be read: %v", err)
		}
		if more, _ := sidecar.Marshal(twice.Patch); more != nil {
			t.Fatalf("a patched pod gets a second patch: %s", more)
		}
	})
}
