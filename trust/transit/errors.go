package transit

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-telemetry/holdfast/trust/key"
)

// ErrNoKey is for a named key that Vault does not have.
var ErrNoKey = errors.New("there is no such key in Vault; the first rotation makes it")

// ErrReplaced is for a version with another public half than it had: the key was deleted and made again, or Vault was restored from an
// old copy.
var ErrReplaced = errors.New("the version has another public key than it had since this process was started; " +
	"if the key was made again on purpose, give it another name")

// Error is an answer of Vault that is no success.
type Error struct {
	Doing      string // sign with images/7
	Path       string // below /v1/
	Status     int    // of HTTP
	Messages   []string
	RetryAfter time.Duration // 0 when it does not say
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s: Vault answered %d %s to %s", e.Doing, e.Status, http.StatusText(e.Status), e.Path)
	if len(e.Messages) > 0 {
		text += ": " + strings.Join(e.Messages, "; ")
	}
	return text
}

// DeniedError is for a request that the token may not make, after a new login did not help.
type DeniedError struct {
	Doing      string
	Namespace  string
	Path       string // of the policy
	Capability string
}

func (e *DeniedError) Error() string {
	in := ""
	if e.Namespace != "" {
		in = " in the namespace " + e.Namespace
	}
	return fmt.Sprintf("%s: Vault denied permission: the token is not valid any more, or lacks a policy%s with path %q { capabilities = [%q] }", e.Doing, in, e.Path, e.Capability)
}

// UnavailableError is for a Vault that does not answer, or answers that it cannot for now: sealed, standby, overloaded.
type UnavailableError struct {
	Doing   string
	Address string
	Since   time.Time
	For     time.Duration // from Since until the error was made
	Err     error         // of the last attempt
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("%s: Vault at %s has not answered for %v: %v", e.Doing, e.Address, e.For.Round(100*time.Millisecond), e.Err)
}

func (e *UnavailableError) Unwrap() error { return e.Err }

// SignatureError is for an answer whose signature is not one by the version that was asked.
type SignatureError struct {
	ID     key.ID
	Index  int // of the hash
	Reason string
}

func (e *SignatureError) Error() string {
	return fmt.Sprintf("signature %d by %s is refused: %s; something between here and Vault, or Vault itself, is not what it should be", e.Index, e.ID, e.Reason)
}

// maxText bounds what is shown of an answer, in bytes; maxMessages how many of Vault's messages are.
const (
	maxText     = 300
	maxMessages = 8
)

// messages are what an answer that is no success says.
func (a *answer) messages() []string {
	var form struct{ Errors []string }
	if json.Unmarshal(a.body, &form) != nil {
		return []string{fmt.Sprintf("which is not Vault's JSON: %q", excerpt(a.hide(string(a.body))))}
	}
	var all []string
	for _, message := range form.Errors[:min(len(form.Errors), maxMessages)] {
		all = append(all, excerpt(a.hide(message)))
	}
	return all
}

// hide takes secrets out of a text.
func hide(text string, secrets []string) string {
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "[secret]")
		}
	}
	return text
}

// excerpt returns the beginning of a text on one line.
func excerpt(text string) string {
	if cut := text[:min(len(text), 4*maxText)]; len(cut) < len(text) {
		text = cut + "…"
	}
	text = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r < ' ' && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if len(text) <= maxText {
		return text
	}
	cut := maxText
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
