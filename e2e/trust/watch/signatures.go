package watch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/holdfast-telemetry/holdfast/trust/key"
)

// Signed is an image that the service said it signed.
type Signed struct {
	Image           name.Digest
	By              key.ID
	NotAfter        time.Time
	Asked, Answered time.Time
}

// ErrAway is for a service that does not answer.
var ErrAway = errors.New("the service does not answer")

// Sign has a service sign an image anew, once, as the bearer of a token.
func Sign(ctx context.Context, url, token string, image name.Digest) (*Signed, error) {
	s := &Signed{Image: image, Asked: time.Now()}
	body, err := json.Marshal(map[string]any{"images": []string{image.String()}, "force": true})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/sign", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(token))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAway, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAway, err)
	}
	s.Answered = time.Now()
	var answer struct {
		Error   string `json:"error"`
		Results []struct {
			Key      key.ID    `json:"key"`
			Written  bool      `json:"written"`
			NotAfter time.Time `json:"not_after"`
			Error    string    `json:"error"`
		} `json:"results"`
	}
	if resp.StatusCode == http.StatusOK {
		err = json.Unmarshal(raw, &answer)
	}
	if resp.StatusCode != http.StatusOK || err != nil || len(answer.Results) != 1 || !answer.Results[0].Written {
		return nil, errors.Join(err, fmt.Errorf("it answers %s: %s", resp.Status, bytes.TrimSpace(raw)))
	}
	s.By, s.NotAfter = answer.Results[0].Key, answer.Results[0].NotAfter
	return s, nil
}

// Early returns an error for each signature by a key whose list cannot have been served for a time before: not since the last moment at
// which it was not.
func (l *Lists) Early(all []Signed, lead time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, s := range all {
		absent, known := l.absent[s.By]
		if served := s.Answered.Sub(absent); !known || served < lead {
			errs = append(errs, fmt.Errorf("%s signed when a list with it was served for %v at most, and at least %v are promised", s.By, served, lead))
		}
	}
	return errors.Join(errs...)
}

// signatureAnnotation is what verifiers of the legacy form look for.
const signatureAnnotation = "dev.cosignproject.cosign/signature"

// SignatureTag is where the signatures of an image are.
func SignatureTag(image name.Digest) name.Tag {
	return image.Tag(strings.Replace(image.DigestStr(), ":", "-", 1) + ".sig")
}

// Verify returns an error unless the registry has, beside the image, a signature by the key that the service said.
func (l *Lists) Verify(s *Signed, options ...remote.Option) error {
	public := l.Key(s.By)
	if public == nil {
		return fmt.Errorf("%s, which signed, was not on a list", s.By)
	}
	image, err := remote.Image(SignatureTag(s.Image), options...)
	if err != nil {
		return err
	}
	m, err := image.Manifest()
	if err != nil {
		return err
	}
	for _, descriptor := range m.Layers {
		layer, err := image.LayerByDigest(descriptor.Digest)
		if err != nil {
			return err
		}
		content, err := layer.Compressed()
		if err != nil {
			return err
		}
		payload, err := io.ReadAll(content)
		if err := errors.Join(err, content.Close()); err != nil {
			return err
		}
		der, err := base64.StdEncoding.DecodeString(descriptor.Annotations[signatureAnnotation])
		if err == nil && bytes.Contains(payload, []byte(s.Image.DigestStr())) && key.Verify(public, sha256.Sum256(payload), der) {
			return nil
		}
	}
	return fmt.Errorf("none of the %d signatures of %s is by %s", len(m.Layers), s.Image, s.By)
}
