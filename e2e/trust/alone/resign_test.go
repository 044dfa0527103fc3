//go:build e2e

package alone_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/holdfast-telemetry/holdfast/e2e/trust"
	"github.com/holdfast-telemetry/holdfast/e2e/trust/watch"
)

// killedAmid kills the service when it has signed some of the images by a key, and returns how many it has.
func (s *service) killedAmid(images []name.Digest, key string) int {
	s.Helper()
	var some []name.Digest
	for n := 0; n < len(images); n += 15 {
		some = append(some, images[n])
	}
	within(s, patience, "a pass is under way", func() error {
		if s.signed(some, key) == 0 {
			return errors.New("none is signed")
		}
		return nil
	})
	s.program.Kill()
	return s.signed(images, key)
}

// signed counts the images that a key signed, and wants no image to have two signatures by one key.
func (s *service) signed(images []name.Digest, key string) (n int) {
	s.Helper()
	for _, image := range images {
		m, err := remote.Image(watch.SignatureTag(image), s.registry.Options(s.Context())...)
		if err != nil {
			continue // none yet
		}
		layers, err := m.Layers()
		if err != nil {
			s.Fatal(err)
		}
		by := map[string]int{}
		for _, layer := range layers {
			by[s.signer(layer)]++
		}
		for k, count := range by {
			if count > 1 {
				s.Errorf("%s has %d signatures by %q", image, count, k)
			}
		}
		n += by[key]
	}
	return n
}

// signer is the key that a signature says it is by.
func (s *service) signer(layer v1.Layer) string {
	s.Helper()
	content, err := layer.Compressed()
	if err != nil {
		s.Fatal(err)
	}
	defer content.Close()
	var payload struct{ Optional struct{ Key string } }
	if err := json.NewDecoder(content).Decode(&payload); err != nil {
		s.Fatal(err)
	}
	return payload.Optional.Key
}

// TestSigningAgainThatIsKilledIsFinishedByTheNextProcess kills the process of the service by SIGKILL in the middle of two passes, of which
// the second is for another key.
func TestSigningAgainThatIsKilledIsFinishedByTheNextProcess(t *testing.T) {
	bin := watch.Faulty(t.Context(), t)
	t.Parallel()
	registry := trust.StartRegistry(t.Context(), t, trust.RegistryOptions{})
	s := newService(t, bin, registry, fmt.Sprintf("resign: {every: 1h, repositories: [\"%s/**\"], deployed: [{path: deploy}]}\n", registry.Host))
	var images []name.Digest
	var text strings.Builder
	for n := range 150 {
		image := registry.Push(t.Context(), t, fmt.Sprintf("app/web%d", n))
		images = append(images, image)
		fmt.Fprintln(&text, image)
	}
	s.write("deploy", text.String())
	for _, key := range []string{"images/1", "images/2"} {
		s.start()
		s.ready()
		if key == "images/2" {
			s.must("keys", "rotate")
		}
		if n := s.killedAmid(images, key); n == len(images) {
			t.Fatalf("it was killed when %d of %d images were signed by %s: not in the middle", n, len(images), key)
		} else {
			t.Logf("killed when %d of %d images were signed by %s", n, len(images), key)
		}
		s.start()
		within(t, patience, "all are signed by "+key, func() error {
			if s.signed(images[:1], key) == 0 || s.signed(images[len(images)-1:], key) == 0 {
				return errors.New("the first or the last is not")
			}
			if n := s.signed(images, key); n < len(images) {
				return fmt.Errorf("%d are", n)
			}
			return nil
		})
		s.program.Stop()
	}
	s.must("audit", "verify")
}
