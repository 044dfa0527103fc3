package transit

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-telemetry/holdfast/trust/key"
)

// Sign has Vault sign hashes with a version, in batches, and verifies every signature with that version's public half.
func (k *Key) Sign(ctx context.Context, version int, hashes []key.Hash) ([][]byte, error) {
	public, err := k.public(ctx, version, len(hashes) == 0)
	if err != nil {
		return nil, err
	}
	signatures := make([][]byte, 0, len(hashes))
	for part := range slices.Chunk(hashes, batch) {
		signed, err := k.signBatch(ctx, public, part, len(signatures))
		if err != nil {
			return nil, k.refused(ctx, public.ID, err)
		}
		signatures = append(signatures, signed...)
	}
	return signatures, nil
}

type signInput struct {
	Input []byte `json:"input"`
}

type signRequest struct {
	Batch      []signInput `json:"batch_input"`
	Version    int         `json:"key_version"`
	Prehashed  bool        `json:"prehashed"`
	Marshaling string      `json:"marshaling_algorithm"`
}

type signAnswer struct {
	Results []struct {
		Signature string `json:"signature"`
		Error     string `json:"error"`
	} `json:"batch_results"`
}

// signBatch signs at most a batch, of which the first hash has an index in the whole.
func (k *Key) signBatch(ctx context.Context, public key.Public, hashes []key.Hash, first int) ([][]byte, error) {
	body := signRequest{Version: public.ID.Version, Prehashed: true, Marshaling: "asn1", Batch: make([]signInput, len(hashes))}
	for i := range hashes {
		body.Batch[i].Input = hashes[i][:]
	}
	r := request{doing: "sign with " + public.ID.String(), method: http.MethodPost, path: k.mount + "/sign/" + k.name + "/sha2-256", body: body}
	e, err := k.c.do(ctx, r, "update")
	if err != nil {
		return nil, err
	}
	var got signAnswer
	if err := decodeData(e.Data, &got); err != nil {
		return nil, fmt.Errorf("%s: %w", r.doing, err)
	}
	if len(got.Results) != len(hashes) {
		return nil, &SignatureError{public.ID, first, fmt.Sprintf("%d hashes were answered with %d results", len(hashes), len(got.Results))}
	}
	signatures := make([][]byte, len(hashes))
	for i, result := range got.Results {
		if result.Error != "" {
			return nil, &Error{Doing: r.doing, Path: r.path, Status: http.StatusBadRequest, Messages: []string{excerpt(e.hide(result.Error))}}
		}
		signature, err := parseSignature(result.Signature, public.ID.Version)
		if err != nil {
			return nil, &SignatureError{public.ID, first + i, err.Error()}
		}
		if !key.Verify(public.Key, hashes[i], signature) {
			return nil, &SignatureError{public.ID, first + i, "it is not one over the hash by the public key of this version"}
		}
		signatures[i] = signature
	}
	return signatures, nil
}

// maxSignature bounds a signature in ASN.1 DER: two numbers of 33 bytes, and 6 for what they are.
const maxSignature = 72

// parseSignature reads vault:vN:BASE64, with the N that is wanted.
func parseSignature(text string, version int) ([]byte, error) {
	want := "vault:v" + strconv.Itoa(version) + ":"
	encoded, ok := strings.CutPrefix(text, want)
	if !ok {
		return nil, fmt.Errorf("it begins %q and not %q", text[:min(len(text), len(want))], want)
	}
	if len(encoded) > base64.StdEncoding.EncodedLen(maxSignature) {
		return nil, fmt.Errorf("it has %d characters", len(encoded))
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || strings.ContainsAny(encoded, "\r\n") {
		return nil, errors.New("it is not base64")
	}
	return signature, nil
}
