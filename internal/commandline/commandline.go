// Package commandline is what the command lines of all wings share: it lets cobra read arguments as the programs that ours succeed accept them,
// and tells a wrong command line from other failures.
package commandline

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Normalise rewrites flags as the other programs accept them into the one form that cobra knows: a long flag with one dash
// (-config FILE) and a short flag with two (--n NAME). What follows a flag that takes a value is that value, whatever it looks
// like: tokens may begin with a dash.
func Normalise(root *cobra.Command, args []string) []string {
	out := make([]string, 0, len(args))
	cmd := root
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return append(out, args[i:]...)
		}
		name, value, joined := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if !strings.HasPrefix(arg, "-") || name == "" {
			if below := child(cmd, arg); below != nil {
				cmd = below
			}
			out = append(out, arg)
			continue
		}
		flag := lookup(cmd, name)
		if flag == nil {
			out = append(out, arg)
			continue
		}
		switch {
		case joined:
			out = append(out, "--"+flag.Name+"="+value)
		case flag.NoOptDefVal == "" && i+1 < len(args):
			i++
			out = append(out, "--"+flag.Name+"="+args[i])
		default:
			out = append(out, "--"+flag.Name)
		}
	}
	return out
}

func child(cmd *cobra.Command, name string) *cobra.Command {
	for _, c := range cmd.Commands() {
		if c.Name() == name || c.HasAlias(name) {
			return c
		}
	}
	return nil
}

// lookup finds a flag of the command by its long or its short name.
func lookup(cmd *cobra.Command, name string) *pflag.Flag {
	if f := cmd.Flags().Lookup(name); f != nil {
		return f
	}
	if len(name) == 1 {
		return cmd.Flags().ShorthandLookup(name)
	}
	return nil
}
