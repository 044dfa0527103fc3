package keylist

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/holdfast-telemetry/holdfast/trust/key"
)

// PayloadType is the type of a list in its envelope.
const PayloadType = "application/vnd.holdfast.keylist.v1+json"

// MaxEnvelope bounds an envelope, in bytes: no list within the other bounds needs more.
const MaxEnvelope = 64 << 10

// maxSignatures bounds the signatures of an envelope.
const maxSignatures = 4

// envelope is a DSSE envelope, https://github.com/secure-systems-lab/dsse, version 1.0.
type envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     string      `json:"payload"`
	Signatures  []signature `json:"signatures"`
}

type signature struct {
	KeyID string `json:"keyid"`
	Sig   string `json:"sig"`
}

// HashOf is what the list key signs for a list: the hash of DSSE's pre-authentication encoding, by which no signature over a list is one
// over anything else.
func HashOf(list []byte) key.Hash {
	h := sha256.New()
	h.Write([]byte("DSSEv1 " + strconv.Itoa(len(PayloadType)) + " " + PayloadType + " " + strconv.Itoa(len(list)) + " "))
	h.Write(list)
	return key.Hash(h.Sum(nil))
}

// Seal joins a list with its signature by a list key.
func Seal(list []byte, by key.ID, sig []byte) ([]byte, error) {
	raw, err := json.Marshal(envelope{PayloadType, base64.StdEncoding.EncodeToString(list),
		[]signature{{by.String(), base64.StdEncoding.EncodeToString(sig)}}})
	if err == nil && len(raw) > MaxEnvelope {
		err = fmt.Errorf("the key list is too large: %d bytes in its envelope, at most %d are allowed", len(raw), MaxEnvelope)
	}
	return raw, err
}

// Fingerprint names a public key: the SHA-256 of its SubjectPublicKeyInfo in hexadecimal.
func Fingerprint(public *ecdsa.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic(err) // of a curve that is not known, which no key of this package has
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// Opened is a list whose signature is good.
type Opened struct {
	*List
	// By is the fingerprint of the list key that signed it.
	By string
	// Raw are the bytes that are signed.
	Raw []byte
}

// ErrSignature is for an envelope that no pinned list key signed.
var ErrSignature = errors.New("the key list is not signed by a pinned list key")

// Open reads the list of an envelope that one of the pinned list keys signed. Nothing of the list is looked at before that is known.
func Open(raw []byte, pinned ...*ecdsa.PublicKey) (*Opened, error) {
	list, by, err := unseal(raw, pinned)
	if err != nil {
		return nil, err
	}
	l, err := Parse(list)
	if err != nil {
		return nil, err
	}
	return &Opened{List: l, By: by, Raw: list}, nil
}

func unseal(raw []byte, pinned []*ecdsa.PublicKey) (list []byte, by string, err error) {
	if len(raw) > MaxEnvelope {
		return nil, "", fmt.Errorf("the envelope of the key list has more than %d bytes", MaxEnvelope)
	}
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, "", fmt.Errorf("reading the envelope of the key list: %w", err)
	}
	if e.PayloadType != PayloadType {
		return nil, "", fmt.Errorf("the envelope has a payload of the type %.60q: %q is wanted", e.PayloadType, PayloadType)
	}
	if len(e.Signatures) > maxSignatures {
		return nil, "", fmt.Errorf("the envelope has %d signatures: at most %d are allowed", len(e.Signatures), maxSignatures)
	}
	if list, err = base64.StdEncoding.Strict().DecodeString(e.Payload); err != nil {
		return nil, "", fmt.Errorf("reading the envelope of the key list: %w", err)
	}
	hash := HashOf(list)
	for _, s := range e.Signatures {
		sig, err := base64.StdEncoding.Strict().DecodeString(s.Sig)
		if err != nil {
			continue
		}
		for _, p := range pinned { // the name of a key in the envelope is signed by nobody
			if key.Verify(p, hash, sig) {
				return list, Fingerprint(p), nil
			}
		}
	}
	return nil, "", ErrSignature
}

// Unsigned returns the bytes of the list in an envelope, whoever signed it: for showing, never for deciding.
func Unsigned(raw []byte) ([]byte, error) {
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, fmt.Errorf("reading the envelope of the key list: %w", err)
	}
	list, err := base64.StdEncoding.Strict().DecodeString(e.Payload)
	if err != nil {
		return nil, fmt.Errorf("reading the envelope of the key list: %w", err)
	}
	return list, nil
}
