package cli

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/internal/commandline"
	"github.com/holdfast-telemetry/holdfast/operator/agent"
	"github.com/holdfast-telemetry/holdfast/operator/api/v1alpha1"
	"github.com/holdfast-telemetry/holdfast/operator/class"
)

// checkersOf are checkers by the programs of the two agents; an empty path is none.
func checkersOf(telegraf, holdfast string) map[v1alpha1.Agent]agent.Checker {
	all := map[v1alpha1.Agent]agent.Checker{}
	for of, path := range map[v1alpha1.Agent]string{v1alpha1.AgentTelegraf: telegraf, v1alpha1.AgentHoldfast: holdfast} {
		if path != "" {
			all[of] = agent.NewExec(path)
		}
	}
	return all
}

func (a *app) checkCommand() *cobra.Command {
	var path, holdfast string
	cmd := &cobra.Command{Use: "check PATH...", Short: "Check classes, without a cluster", Args: arguments(1, 1000)}
	cmd.Long = cmd.Short + `.

A PATH is a folder or a file. Each file is a class, of the file's name; those that end in .yaml, .yml or .json are manifests, of which every key
of a Secret, every TelegrafClass and every ClusterTelegrafClass is a class. With --agent, that telegraf checks the plugins and their options
too. The exit code is 1 when a class is not good, and 3 when something could not be read or the agent not be asked.`
	cmd.Flags().StringVar(&path, "agent", "", "`path` of a telegraf to ask")
	cmd.Flags().StringVar(&holdfast, "holdfast-agent", "", "`path` of a holdfast to ask about classes that are for it")
	cmd.RunE = checking(func(cmd *cobra.Command, args []string) error {
		verdicts, err := class.Check(cmd.Context(), class.Options{Checkers: checkersOf(path, holdfast)}, args...)
		if err != nil {
			return err
		}
		if len(verdicts) == 0 {
			return fmt.Errorf("%s: there is no class", strings.Join(args, ", "))
		}
		bad := 0
		var unasked error
		for _, v := range verdicts {
			if !v.Valid {
				bad++
			}
			if v.Reason == class.ReasonNotChecked {
				unasked = notAsked(cmp.Or(path, holdfast), fmt.Errorf("class %s: %s", v.Key.Name, v.Message))
			}
			if _, err := fmt.Fprintln(a.Out, line(v)); err != nil {
				return err
			}
		}
		if bad > 0 {
			return silentError{fmt.Errorf("%d classes are not good", bad)}
		}
		return unasked
	})
	return cmd
}

// line is a verdict for people: the class, a word, what checked it, and what there is to say.
func line(v class.Verdict) string {
	name, word := v.Key.String(), "ok"
	if v.Key.Kind == class.KindDirectory {
		name = v.Key.Name
	}
	if !v.Valid {
		word = string(v.Reason)
	}
	if v.CheckedBy != "" {
		word += " (" + v.CheckedBy + ")"
	}
	parts := []string{name, word}
	for _, more := range []string{v.Message, v.Warning} {
		if more != "" {
			parts = append(parts, more)
		}
	}
	return strings.Join(parts, ": ")
}

func (a *app) checkerCommand() *cobra.Command {
	var socket, path string
	cmd := &cobra.Command{Use: "checker --socket PATH --agent PATH", Short: "Check classes for an operator, beside the agent that will read them", Args: arguments(0, 0)}
	cmd.Flags().StringVar(&socket, "socket", "", "unix `socket` to answer on")
	cmd.Flags().StringVar(&path, "agent", "telegraf", "`path` of the agent")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if socket == "" {
			return commandline.Usage(cmd, errors.New("--socket is needed"))
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
