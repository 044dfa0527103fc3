//go:build e2e

package trust_test

import (
	"fmt"
	"testing"

	"github.com/holdfast-telemetry/holdfast/e2e/trust"
	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/key/keytest"
	"github.com/holdfast-telemetry/holdfast/trust/transit"
)

// The transit engine of a real Vault keeps the promises of a key store.
func TestVaultIsAKeyStore(t *testing.T) {
	v := trust.StartVault(t.Context(), t)
	t.Setenv("VAULT_TOKEN", v.Root)
	n := 0
	keytest.Test(t, func(t *testing.T) key.Store {
		c, err := transit.Open(transit.Options{Address: v.URL, Login: &transit.TokenEnv{}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		n++
		k, err := c.Key("transit", fmt.Sprintf("key-%d", n))
		if err != nil {
			t.Fatal(err)
		}
		return k
	})
}
