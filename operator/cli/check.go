package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/operator/agent"
	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
)

// checkerOf is a checker of both agents by one program; none for an empty path.
func checkerOf(path string) map[v1alpha1.Agent]agent.Checker {
	if path == "" {
		return nil
	}
	c := agent.NewExec(path)
	return map[v1alpha1.Agent]agent.Checker{v1alpha1.AgentTelegraf: c, v1alpha1.AgentHoldfast: c}
}

func (a *app) checkCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{Use: "check FOLDER", Short: "Check classes, without a cluster", Args: arguments(1, 1)}
	cmd.Long = cmd.Short + `.

Each file of FOLDER is a class, as in the Secret of classes. With --agent, that telegraf checks the plugins and their options too. The
exit code is 1 when a class is not good.`
	cmd.Flags().StringVar(&path, "agent", "", "`path` of a telegraf to ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, stop := context.WithCancel(cmd.Context())
		defer stop()
		registry, err := offline(ctx, args[0], path)
		if err != nil {
			return err
		}
		bad := 0
		for _, v := range registry.Verdicts() {
			word := "ok"
			if !v.Valid {
				word = string(v.Reason)
				bad++
			}
			_, _ = fmt.Fprintf(a.Out, "%s: %s (%s)", v.Key.Name, word, v.CheckedBy)
			for _, more := range []string{v.Message, v.Warning} {
				if more != "" {
					_, _ = fmt.Fprintf(a.Out, ": %s", more)
				}
			}
			_, _ = fmt.Fprintln(a.Out)
		}
		if bad > 0 {
			return silentError{fmt.Errorf("%d classes are not good", bad)}
		}
		return nil
	}
	return cmd
}

func (a *app) checkerCommand() *cobra.Command {
	var socket, path string
	cmd := &cobra.Command{Use: "checker --socket PATH --agent PATH", Short: "Check classes for an operator, beside the agent that will read them", Args: arguments(0, 0)}
	cmd.Flags().StringVar(&socket, "socket", "", "unix `socket` to answer on")
	cmd.Flags().StringVar(&path, "agent", "telegraf", "`path` of the agent")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if socket == "" {
			return &usageError{cmd, errors.New("--socket is needed")}
		}
		l, err := agent.Listen(socket)
		if err != nil {
			return err
		}
		return agent.Serve(cmd.Context(), l, agent.NewExec(path))
	}
	return cmd
}

func (a *app) installCheckerCommand() *cobra.Command {
	return &cobra.Command{Use: "install-checker FOLDER", Short: "Copy this program to where another container can run it as a checker", Args: arguments(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := agent.Install(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.Out, path)
			return err
		}}
}
