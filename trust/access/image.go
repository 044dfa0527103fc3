package access

import (
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// maxReference bounds what a client names an image by, in bytes: a registry of 253, a repository of 255, a tag of 128 and a digest of 71.
const maxReference = 768

// Image is an image as registries know it.
type Image struct {
	Repository string // with its registry and without shorthands: index.docker.io/library/nginx
	Digest     string // sha256: and 64 lower-case hexadecimal digits
}

// ParseImage reads REPOSITORY@sha256:HEX. A tag before the @ is left out, for only the digest says what is signed.
func ParseImage(reference string) (Image, error) {
	if len(reference) > maxReference {
		return Image{}, fmt.Errorf("the image's reference has %d bytes, and at most %d are read", len(reference), maxReference)
	}
	digest, err := name.NewDigest(reference)
	if err != nil {
		return Image{}, fmt.Errorf("%q names no image by its digest, as reg.example/app@sha256:… does", reference) // the library's reason says no more
	}
	if !strings.HasPrefix(digest.DigestStr(), "sha256:") {
		return Image{}, fmt.Errorf("%q has a digest that is not SHA-256", reference)
	}
	repository, err := normal(digest.Repository)
	return Image{repository, digest.DigestStr()}, err
}

// ParseRepository reads the name of a repository and returns it with its registry and without the shorthands of Docker Hub.
func ParseRepository(text string) (string, error) {
	if len(text) > maxReference {
		return "", fmt.Errorf("the repository's name has %d bytes, and at most %d are read", len(text), maxReference)
	}
	repository, err := name.NewRepository(text)
	if err != nil {
		return "", fmt.Errorf("%q names no repository: %w", text, err)
	}
	return normal(repository)
}

// normal is the one name that a repository has here. The library lets dots stand for a segment and a registry have any case; what is
// matched must be what a registry's client asks for, and a URL's path with .. in it is another path.
func normal(repository name.Repository) (string, error) {
	registry := strings.ToLower(repository.RegistryStr())
	for i := range len(registry) {
		if !registryByte(registry[i]) {
			return "", fmt.Errorf("the registry %q can have letters, digits, dots, hyphens and a port only", registry)
		}
	}
	// Docker Hub in capitals is not expanded by the library, so it is named again.
	again, err := name.NewRepository(registry + "/" + repository.RepositoryStr())
	if err != nil {
		return "", fmt.Errorf("%q names no repository: %w", repository.Name(), err)
	}
	if err := checkSegments(again.RepositoryStr()); err != nil {
		return "", fmt.Errorf("%q names no repository: %w", again.Name(), err)
	}
	return again.Name(), nil
}

func registryByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '-' || c == ':' || c == '[' || c == ']'
}

func pathByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '-' || c == '_' || c == '/'
}

// checkSegments refuses what a URL's path would not keep as it is.
func checkSegments(path string) error {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return fmt.Errorf("%q cannot be a part of a path", segment)
		}
	}
	return nil
}
