// Command faulty is holdfast-trust for tests of the rotation: its keys change within seconds, which the settings of the real command do not
// allow, and it can be killed at a step of the rotation. Both are said by the environment, which the real command does not look at.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/holdfast-telemetry/holdfast/trust/cli"
	"github.com/holdfast-telemetry/holdfast/trust/rotation"
)

// Variables of the environment.
const (
	timing = "FAULTY_TIMING" // rotation.Timing as JSON, in ns; the settings' without it
	kill   = "FAULTY_KILL"   // the point of the rotation at which the process is killed, the first time that it gets there
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Main(ctx, cli.Options{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Rotation: adjust}, os.Args[1:]))
}

func adjust(r *rotation.Rotation) {
	if text := os.Getenv(timing); text != "" {
		if err := json.Unmarshal([]byte(text), &r.Timing); err != nil {
			panic(err)
		}
	}
	if at := os.Getenv(kill); at != "" {
		r.Fault = func(point string) error {
			if point == at {
				die(point)
			}
			return nil
		}
	}
}

// die has the kernel end this process at once, as it does with one that is out of memory: nothing is flushed, closed or told.
func die(point string) {
	_, _ = fmt.Fprintf(os.Stderr, "killed at %s\n", point)
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	panic(fmt.Sprint("it goes on after it was killed: ", err))
}
