//go:build e2e

package trust_test

import (
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/holdfast-telemetry/holdfast/e2e/trust"
)

func TestARegistryKeepsItsImagesAndDeletesThem(t *testing.T) {
	registry := trust.StartRegistry(t.Context(), t, trust.RegistryOptions{})
	image := registry.Push(t.Context(), t, "app/web")
	registry.Kill()
	if _, err := remote.Head(image, registry.Options(t.Context())...); err == nil {
		t.Error("a killed registry answered")
	}
	if err := registry.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Head(image, registry.Options(t.Context())...); err != nil {
		t.Error(err)
	}
	if err := remote.Delete(image, registry.Options(t.Context())...); err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Head(image, registry.Options(t.Context())...); err == nil {
		t.Error("the deleted image is still there")
	}
}

func TestARegistryWithALoginAsksForIt(t *testing.T) {
	registry := trust.StartRegistry(t.Context(), t, trust.RegistryOptions{User: "ci", Password: "secret"})
	image := registry.Push(t.Context(), t, "app/web")
	if _, err := remote.Head(image, remote.WithContext(t.Context())); err == nil {
		t.Error("the registry answered without a login")
	}
	cosign := trust.NewCosign(t.Context(), t)
	key := cosign.KeyPair(t.Context(), t)
	if err := cosign.Sign(t.Context(), key, image, ""); err == nil {
		t.Error("cosign signed without a login")
	}
	login := []string{"--registry-username=ci", "--registry-password=secret"}
	if err := cosign.Sign(t.Context(), key, image, "", login...); err != nil {
		t.Fatal(err)
	}
	if err := cosign.Verify(t.Context(), key.Public, image, "", login...); err != nil {
		t.Error(err)
	}
}
