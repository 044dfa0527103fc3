package transit

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-telemetry/holdfast/trust/key"
)

// seconds or text as Vault writes durations.
type period time.Duration

// UnmarshalJSON reads a number of seconds, or a text such as 24h.
func (p *period) UnmarshalJSON(text []byte) error {
	var n float64
	if json.Unmarshal(text, &n) == nil {
		*p = period(seconds(int64(min(max(n, 0), 1<<31))))
		return nil
	}
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	d, err := time.ParseDuration(s)
	*p = period(d)
	return err
}

// parseState reads the data of a key.
func parseState(data json.RawMessage, name string) (*state, error) {
	var got struct {
		Name, Type           string
		Keys                 map[string]json.RawMessage
		Exportable           bool
		AllowPlaintextBackup bool   `json:"allow_plaintext_backup"`
		DeletionAllowed      bool   `json:"deletion_allowed"`
		Imported             bool   `json:"imported_key"`
		AutoRotate           period `json:"auto_rotate_period"`
		Latest               int    `json:"latest_version"`
		MinDecryption        int    `json:"min_decryption_version"`
		MinEncryption        int    `json:"min_encryption_version"`
		MinAvailable         int    `json:"min_available_version"`
	}
	if err := decodeData(data, &got); err != nil {
		return nil, err
	}
	if got.Name != "" && got.Name != name {
		return nil, fmt.Errorf("the answer is about the key %q", excerpt(got.Name))
	}
	if got.Type != keyType {
		return nil, fmt.Errorf("the key %s is of the type %q, and %s is wanted: use another name", name, excerpt(got.Type), keyType)
	}
	if len(got.Keys) == 0 || len(got.Keys) > maxVersions {
		return nil, fmt.Errorf("the answer has %d versions: 1 to %d are possible", len(got.Keys), maxVersions)
	}
	s := &state{settings: Settings{got.Exportable, got.AllowPlaintextBackup, got.DeletionAllowed, got.Imported, time.Duration(got.AutoRotate),
		got.Latest, got.MinDecryption, got.MinEncryption, got.MinAvailable}}
	for number, raw := range got.Keys {
		if len(number) > len("2147483647") {
			return nil, fmt.Errorf("the answer lists a version %q…", number[:10])
		}
		p, err := parseVersion(name+"/"+number, raw)
		if err != nil {
			return nil, err
		}
		s.versions = append(s.versions, p)
	}
	slices.SortFunc(s.versions, func(a, b key.Public) int { return a.ID.Version - b.ID.Version })
	if newest := s.newest().ID.Version; newest != got.Latest {
		return nil, fmt.Errorf("the answer has %d as latest_version, and lists versions up to %d", got.Latest, newest)
	}
	return s, nil
}

func parseVersion(id string, raw json.RawMessage) (key.Public, error) {
	var got struct {
		PublicKey string    `json:"public_key"`
		Created   time.Time `json:"creation_time"`
	}
	p := key.Public{}
	var err error
	if p.ID, err = key.ParseID(id); err != nil {
		return p, fmt.Errorf("the answer lists a version that is none: %w", err)
	}
	if err = decodeData(raw, &got); err == nil {
		p.Key, err = key.ParsePEM([]byte(got.PublicKey))
	}
	if err != nil {
		return p, fmt.Errorf("the answer's version %s: %w", p.ID, err)
	}
	p.Created = got.Created
	return p, nil
}

// decodeData reads the data of an answer.
func decodeData(data json.RawMessage, into any) error {
	if len(data) == 0 {
		return errors.New("the answer has no data")
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("the answer's data is not as Vault's: %s", excerpt(err.Error())) // which may repeat what it was
	}
	return nil
}
