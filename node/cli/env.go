package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Annotations of flags.
const (
	envKey      = "env"      // the variable's name without HOLDFAST_ or INFLUX_
	rivalKey    = "rival"    // the flag that says the same in another way, so that only one of the two is taken
	yieldsKey   = "yields"   // the rival's variable wins when both are set
	requiredKey = "required" // the flag or its variable must be given
)

// fromEnv lets a variable stand for a flag that is not given: HOLDFAST_name, or else INFLUX_name.
func fromEnv(cmd *cobra.Command, flag, name string) {
	annotate(cmd, flag, envKey, name)
	f := cmd.Flags().Lookup(flag)
	f.Usage += " [$INFLUX_" + name + "]"
}

// rivals tells that two flags name the same thing: a flag that is given keeps the other's variable from being used, and of two
// variables the first flag's wins.
func rivals(cmd *cobra.Command, first, second string) {
	annotate(cmd, first, rivalKey, second)
	annotate(cmd, second, rivalKey, first)
	annotate(cmd, second, yieldsKey, "true")
}

// required tells that a flag must be given.
func required(cmd *cobra.Command, flags ...string) {
	for _, flag := range flags {
		annotate(cmd, flag, requiredKey, "true")
	}
}

func annotate(cmd *cobra.Command, flag, key, value string) {
	if err := cmd.Flags().SetAnnotation(flag, key, []string{value}); err != nil {
		panic(err) // a flag that the command does not have: a mistake in this package
	}
}

func annotation(f *pflag.Flag, key string) string {
	if values := f.Annotations[key]; len(values) == 1 {
		return values[0]
	}
	return ""
}

// completeFlags sets the flags that were not given from the environment, then asks for those that are required.
func (a *app) completeFlags(cmd *cobra.Command) error {
	fromLine := map[string]bool{}
	cmd.Flags().Visit(func(f *pflag.Flag) { fromLine[f.Name] = true })
	var err error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		rival := annotation(f, rivalKey)
		if err != nil || fromLine[f.Name] || fromLine[rival] {
			return
		}
		if annotation(f, yieldsKey) != "" && a.variable(cmd.Flags().Lookup(rival)).value != "" {
			return
		}
		v := a.variable(f)
		if v.value == "" {
			return
		}
		if setErr := cmd.Flags().Set(f.Name, v.value); setErr != nil {
			err = usagef(cmd, "the environment variable %s cannot be used for --%s: it must be a %s", v.name, f.Name, f.Value.Type())
		}
	})
	if err != nil {
		return err
	}
	return checkRequired(cmd)
}

type variable struct{ name, value string }

// variable returns the environment's value for a flag; its value is empty when there is none.
func (a *app) variable(f *pflag.Flag) variable {
	name := annotation(f, envKey)
	if name == "" {
		return variable{}
	}
	for _, full := range []string{"HOLDFAST_" + name, "INFLUX_" + name} {
		if value := a.Getenv(full); value != "" {
			return variable{full, value}
		}
	}
	return variable{}
}

func checkRequired(cmd *cobra.Command) error {
	var missing []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if annotation(f, requiredKey) != "" && !f.Changed {
			missing = append(missing, flagName(f))
		}
	})
	if len(missing) == 0 {
		return nil
	}
	return usagef(cmd, "missing %s", strings.Join(missing, ", "))
}

func flagName(f *pflag.Flag) string {
	if f.Shorthand == "" {
		return "--" + f.Name
	}
	return fmt.Sprintf("--%s (-%s)", f.Name, f.Shorthand)
}
