package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

func (a *app) versionCommand() *cobra.Command {
	return a.leaf("version", "Print the version", func(cmd *cobra.Command, _ []string) error {
		_, err := fmt.Fprintln(a.Out, a.versionText(cmd.Root().Name()))
		return err
	})
}

// versionText has the form that the program of that name prints, with this program's version in it.
func (a *app) versionText(name string) string {
	switch name {
	case "influx":
		return fmt.Sprintf("Influx CLI %s (git: %s) build_date: %s (Holdfast)", a.build.Version, a.build.Commit, a.build.Date)
	case "telegraf":
		return fmt.Sprintf("Telegraf %s (git: %s) (Holdfast)", a.build.Version, a.build.Commit)
	}
	return fmt.Sprintf("Holdfast %s (git: %s) build_date: %s %s %s/%s",
		a.build.Version, a.build.Commit, a.build.Date, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
