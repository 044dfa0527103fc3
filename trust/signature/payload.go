package signature

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	strict "sigs.k8s.io/json"

	"github.com/holdfast-telemetry/holdfast/trust/key"
)

// payloadType is what a payload says that it is.
const payloadType = "cosign container image signature"

// MaxPayload bounds a payload, in bytes.
const MaxPayload = 1 << 20

// Payload is the text that is signed.
type Payload struct {
	// Reference is the repository that the image was signed for. Verifiers do not compare it.
	Reference string
	// Digest is that of the image. It decides.
	Digest v1.Hash
	// Issued is when the signature was made, in whole seconds UTC; zero where the payload does not say.
	Issued time.Time
	// Key is by what it says to be signed; zero where it does not say.
	Key key.ID
}

type textPayload struct {
	Critical json.RawMessage `json:"critical"`
	Optional json.RawMessage `json:"optional"`
}

type textCritical struct {
	Identity struct {
		Reference string `json:"docker-reference"`
	} `json:"identity"`
	Image struct {
		Digest string `json:"docker-manifest-digest"`
	} `json:"image"`
	Type string `json:"type"`
}

type textOptional struct {
	Issued string `json:"issued,omitempty"`
	Key    string `json:"key,omitempty"`
}

// Marshal writes the payload. The same payload always has the same bytes.
func (p Payload) Marshal() ([]byte, error) {
	if _, err := imageHash(p.Digest.String()); err != nil {
		return nil, err
	}
	critical := textCritical{Type: payloadType}
	critical.Identity.Reference, critical.Image.Digest = p.Reference, p.Digest.String()
	var optional textOptional
	if !p.Issued.IsZero() {
		optional.Issued = p.Issued.UTC().Format(time.RFC3339)
	}
	if p.Key != (key.ID{}) {
		optional.Key = p.Key.String()
	}
	text, err := json.Marshal(struct {
		Critical textCritical `json:"critical"`
		Optional textOptional `json:"optional"`
	}{critical, optional})
	if err != nil {
		return nil, fmt.Errorf("encoding a payload: %w", err)
	}
	if len(text) > MaxPayload {
		return nil, fmt.Errorf("the payload for %.80q would have %d bytes, and may have %d", p.Reference, len(text), MaxPayload)
	}
	return text, nil
}

// ParsePayload reads a payload, also one that cosign wrote. What decides is read strictly: a field of it that is there twice, in another
// case, or that is not known makes the payload invalid, so that no other reader can understand another image by it. Optional fields may be
// anything; those that are not as this package writes them are left out.
func ParsePayload(text []byte) (Payload, error) {
	if len(text) > MaxPayload {
		return Payload{}, fmt.Errorf("the payload has %d bytes, and may have %d", len(text), MaxPayload)
	}
	var outer textPayload
	if err := unmarshal(text, &outer); err != nil {
		return Payload{}, fmt.Errorf("payload: %w", err)
	}
	if outer.Critical == nil {
		return Payload{}, errors.New("payload: the field critical is missing")
	}
	var critical textCritical
	if err := unmarshal(outer.Critical, &critical); err != nil {
		return Payload{}, fmt.Errorf("payload: critical: %w", err)
	}
	if critical.Type != payloadType {
		return Payload{}, fmt.Errorf("payload: critical.type is %.80q and not %q", critical.Type, payloadType)
	}
	digest, err := imageHash(critical.Image.Digest)
	if err != nil {
		return Payload{}, fmt.Errorf("payload: critical.image.docker-manifest-digest: %w", err)
	}
	p := Payload{Reference: critical.Identity.Reference, Digest: digest}
	p.readOptional(outer.Optional)
	return p, nil
}

// unmarshal reads JSON whose fields are all known, each there at most once and in its own case.
func unmarshal(text []byte, into any) error {
	problems, err := strict.UnmarshalStrict(text, into)
	return errors.Join(append(problems, err)...)
}

func (p *Payload) readOptional(text []byte) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(text, &fields) != nil {
		return
	}
	if issued, err := time.Parse(time.RFC3339, textOf(fields["issued"])); err == nil {
		p.Issued = issued.UTC().Truncate(time.Second)
	}
	if id, err := key.ParseID(textOf(fields["key"])); err == nil {
		p.Key = id
	}
}

// textOf is a JSON string, or nothing.
func textOf(raw json.RawMessage) (s string) {
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}
