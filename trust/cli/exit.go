package cli

import (
	"errors"
	"io/fs"
	"net"
	"os"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/holdfast-telemetry/holdfast/internal/commandline"
	"github.com/holdfast-telemetry/holdfast/trust/access"
	"github.com/holdfast-telemetry/holdfast/trust/client"
	"github.com/holdfast-telemetry/holdfast/trust/selftest"
	"github.com/holdfast-telemetry/holdfast/trust/transit"
)

// Exit codes of Main.
const (
	ExitDone    = 0 // the command did what it was asked
	ExitFailed  = 1 // what it checked is not good, or what it asked for was refused
	ExitUsage   = 2 // the command line or the configuration was wrong and nothing was done
	ExitUnknown = 3 // what it needs could not be read, asked or written
)

// exitCodes are what the help says of them.
const exitCodes = `Exit codes: 0 done; 1 what was checked is not good, or what was asked for was refused; 2 the command line or the configuration is wrong;
3 a file, a registry, a cluster, Vault or the signing service could not be read, asked or written.`

// settingsError is about the configuration.
type settingsError struct{ error }

func (e *settingsError) Unwrap() error { return e.error }

// unknownError tells that something could not be found out.
type unknownError struct{ error }

func (e *unknownError) Unwrap() error { return e.error }

// exitCode is that of a command that ended with an error.
func exitCode(err error) int {
	var setting *settingsError
	var rule *access.RulesError
	switch {
	case commandline.IsUsage(err):
		return ExitUsage
	case errors.Is(err, selftest.ErrOpen), errors.Is(err, selftest.ErrClosed): // whatever else could not be found out
		return ExitFailed
	case away(err):
		return ExitUnknown
	case errors.As(err, &setting), errors.As(err, &rule):
		return ExitUsage
	}
	return ExitFailed
}

// away says whether an error tells that something could not be read, asked or written.
func away(err error) bool {
	return errors.Is(err, client.ErrAway) || errors.Is(err, fs.ErrNotExist) ||
		is[*unknownError](err) || is[*fs.PathError](err) || is[*os.LinkError](err) || is[*os.SyscallError](err) ||
		is[net.Error](err) || is[*transport.Error](err) || is[*apierrors.StatusError](err) ||
		is[*transit.Error](err) || is[*transit.DeniedError](err) || is[*transit.UnavailableError](err)
}

// is says whether an error, or one in it, is of a type.
func is[T error](err error) bool {
	var as T
	return errors.As(err, &as)
}
