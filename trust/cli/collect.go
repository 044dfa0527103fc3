package cli

import (
	"context"
	"errors"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/internal/commandline"
	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/keylist"
	"github.com/holdfast-telemetry/holdfast/trust/signature"
)

func (a *app) collectCommand() *cobra.Command {
	var list, pin, ca string
	var plain []string
	var dry bool
	cmd := &cobra.Command{Use: "collect REPOSITORY...", Short: "Delete the signatures whose keys are gone", Args: arguments(1, many),
		Long: "Delete the signatures whose keys are gone from repositories. What others signed, and what a listed key signed, is left alone."}
	cmd.Flags().StringVar(&list, "keys", "http://127.0.0.1:8470/v1/keys", "URL of the key list")
	cmd.Flags().StringVar(&pin, "pin", "", "a PEM file with the list key")
	cmd.Flags().StringVar(&ca, "ca", "", "a PEM file with the authority of the endpoint's certificate")
	cmd.Flags().StringSliceVar(&plain, "plain", nil, "registries, HOST:PORT, without TLS")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say what would be deleted")
	_ = cmd.MarkFlagRequired("pin")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var repositories []name.Repository
		for _, arg := range args {
			r, err := name.NewRepository(arg)
			if err != nil {
				return commandline.Usage(cmd, err)
			}
			repositories = append(repositories, r)
		}
		l, err := fetchList(cmd.Context(), list, pin, ca)
		if err != nil {
			return &unknownError{err}
		}
		registries, err := signature.NewClient(signature.Options{Plain: plain, UserAgent: "holdfast-trust"})
		if err != nil {
			return err
		}
		defer registries.Close()
		return a.collect(cmd.Context(), registries, l, repositories, dry)
	}
	return cmd
}

// collect goes through repositories. A key is gone when it has the name of the listed ones and is older than all of them, or has ended.
func (a *app) collect(ctx context.Context, registries *signature.Client, l *keylist.List, repositories []name.Repository, dry bool) (err error) {
	c := &signature.Collector{Client: registries, DryRun: dry}
	for _, k := range l.Usable(time.Now()) {
		c.Live = append(c.Live, key.Public{ID: k.ID, Key: k.Public})
	}
	c.Gone = func(id key.ID) bool {
		newest := l.Keys[len(l.Keys)-1].ID
		if id.Name != newest.Name || id.Version > newest.Version {
			return false // a key of a list that is newer than this one
		}
		for _, k := range c.Live {
			if k.ID == id {
				return false
			}
		}
		return true
	}
	verb := "deleted "
	if dry {
		verb = "would delete "
	}
	c.Found = func(f signature.Found) {
		switch {
		case f.Err != nil:
			a.printf("UNKNOWN %s: %v\n", f.Tag, f.Err)
		case f.Verdict == signature.Dead:
			a.printf("%s%s\n", verb, f.Tag)
		}
	}
	for _, r := range repositories {
		done, failed := c.Collect(ctx, r)
		err = errors.Join(err, failed)
		a.printf("%s: %d signatures count, %d are by keys that are gone, %d are of others, %d are not known\n", r, done.Alive, done.Dead, done.Foreign, done.Undecided)
	}
	return err
}
