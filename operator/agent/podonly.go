package agent

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Unjudged is the answer "yes, as far as it can be told here": the agent would go on with something that only the pod has. Nothing else
// was found wrong.
type Unjudged struct {
	// Message says what could not be judged, for the author of the text.
	Message string
}

func (u *Unjudged) Error() string { return u.Message }

// maxStandIns bounds the files that others stand in for, and with them how often the program is run for one check.
const maxStandIns = 8

// standInFile is the name of the file that stands in for those of the pod. No file of a configuration has it: it does not end in .conf.
const standInFile = "stand-in.pem"

// standIns are the files of the pod that a check got past, by their paths in the text.
type standIns struct {
	path  string
	files []string
}

var missing = regexp.MustCompile(`(?:open|stat|lstat) ([^:]+): no such file or directory`)

// take has a file stand in for the one that the program missed, and returns the texts to check next; false when the program has something
// else to say, or what it misses is none of the pod's: a path in a text that is whole there, or that a variable begins.
func (s *standIns) take(message, dir string, files []File) ([]File, bool, error) {
	found := missing.FindStringSubmatch(message)
	if found == nil || len(s.files) == maxStandIns {
		return nil, false, nil
	}
	name := found[1]
	whole := strings.HasPrefix(name, "/") || strings.HasPrefix(name, "$")
	if !whole || strings.HasPrefix(name, dir+string(filepath.Separator)) || slices.Contains(s.files, name) {
		return nil, false, nil
	}
	if s.path == "" {
		text, err := certificate()
		if err != nil {
			return nil, false, err
		}
		s.path = filepath.Join(dir, standInFile)
		if err := os.WriteFile(s.path, text, 0o600); err != nil {
			return nil, false, err
		}
	}
	next := slices.Clone(files)
	there := false
	for i, f := range next {
		there = there || bytes.Contains(f.Text, []byte(name))
		next[i].Text = bytes.ReplaceAll(f.Text, []byte(name), []byte(s.path))
	}
	s.files = append(s.files, name)
	return next, there, nil
}

// unjudged is what a check that needed stand-ins could not judge; nil for one that needed none.
func (s *standIns) unjudged() error {
	switch len(s.files) {
	case 0:
		return nil
	case 1:
		return &Unjudged{"the agent could not judge all of it: the file " + s.files[0] + " is only in the pod"}
	}
	return &Unjudged{"the agent could not judge all of it: the files " + strings.Join(s.files, ", ") + " are only in the pod"}
}

// unsetIn is a variable that the program names as what it cannot read; empty when it names none that the check does not set. One with a
// default has a value.
func unsetIn(message string, unset []string) string {
	for _, name := range unset {
		if regexp.MustCompile(`\$(?:` + name + `\b|\{` + name + `\})`).MatchString(message) {
			return name
		}
	}
	return ""
}

// certificate is a file that passes for an authority, for a certificate and for its key: whatever a text names it as.
func certificate() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a certificate to stand in for the pod's: %w", err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, DNSNames: []string{"stand-in.invalid"}}
	cert, err := x509.CreateCertificate(rand.Reader, of, of, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate to stand in for the pod's: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate to stand in for the pod's: %w", err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...), nil
}
