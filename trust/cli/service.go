package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/internal/commandline"
	"github.com/holdfast-telemetry/holdfast/trust"
	"github.com/holdfast-telemetry/holdfast/trust/access"
	"github.com/holdfast-telemetry/holdfast/trust/audit"
	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/keylist"
	"github.com/holdfast-telemetry/holdfast/trust/rotation"
	"github.com/holdfast-telemetry/holdfast/trust/settings"
)

func (a *app) serveCommand() *cobra.Command {
	var only string
	cmd := &cobra.Command{Use: "serve", Short: "Keep the keys rotating, serve the key list, and sign images", Args: arguments(0, 0)}
	cmd.Flags().StringVar(&only, "only", "", "serve one endpoint: keys or sign")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if only != "" && only != "keys" && only != "sign" {
			return commandline.Usage(cmd, fmt.Errorf("--only is %q: keys or sign is wanted", only))
		}
		s, err := a.settings()
		if err != nil {
			return err
		}
		logger, err := a.logger(cmd)
		if err != nil {
			return err
		}
		return (&trust.Service{Settings: s, Keys: only != "sign", Sign: only != "keys", Logger: logger, Rotation: a.Rotation}).Run(cmd.Context())
	}
	return cmd
}

// keys opens the keys that the service has, for a command.
func (a *app) keys(cmd *cobra.Command, do func(*rotation.Rotation) error) error {
	return a.opened(cmd, do, func(s *settings.Settings, logger *slog.Logger) (*rotation.Rotation, func() error, error) {
		return trust.OpenRotation(cmd.Context(), s, logger)
	})
}

// opened opens the keys in one way.
func (a *app) opened(cmd *cobra.Command, do func(*rotation.Rotation) error, open func(*settings.Settings, *slog.Logger) (*rotation.Rotation, func() error, error)) error {
	s, err := a.settings()
	if err != nil {
		return err
	}
	logger, err := a.logger(cmd)
	if err != nil {
		return err
	}
	r, end, err := open(s, logger)
	if err != nil {
		return &unknownError{err}
	}
	if a.Rotation != nil {
		a.Rotation(r)
	}
	return errors.Join(do(r), end())
}

func (a *app) keysCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "keys", Short: "List, rotate and revoke the keys that sign images"}
	var asJSON bool
	list := &cobra.Command{Use: "list", Short: "List the keys that count", Args: arguments(0, 0), RunE: func(cmd *cobra.Command, _ []string) error {
		return a.keys(cmd, func(r *rotation.Rotation) error {
			rec, err := r.Current(cmd.Context())
			if err != nil {
				return err
			}
			return a.showKeys(rec, asJSON)
		})
	}}
	list.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	rotate := &cobra.Command{Use: "rotate", Short: "Publish a new key, which signs as soon as clusters know it", Args: arguments(0, 0), RunE: func(cmd *cobra.Command, _ []string) error {
		return a.keys(cmd, func(r *rotation.Rotation) error {
			rec, err := r.Hasten(cmd.Context())
			if err != nil {
				return err
			}
			return a.showKeys(rec, false)
		})
	}}
	revoke := &cobra.Command{Use: "revoke KEY...", Short: "Take keys off the list at once: what they signed is refused as soon as clusters ask", Args: arguments(1, keylist.MaxKeys),
		RunE: func(cmd *cobra.Command, args []string) error {
			var ids []key.ID
			for _, arg := range args {
				id, err := key.ParseID(arg)
				if err != nil {
					return commandline.Usage(cmd, err)
				}
				ids = append(ids, id)
			}
			return a.keys(cmd, func(r *rotation.Rotation) error {
				rec, err := r.Revoke(cmd.Context(), ids...)
				if err != nil {
					return err
				}
				return a.showKeys(rec, false)
			})
		}}
	adopt := &cobra.Command{Use: "adopt FILE", Short: "Make a lost state anew from the newest key list", Args: arguments(1, 1),
		Long: "Make a lost state anew from the newest key list. Every cluster has it: kubectl get configmap holdfast-trust-sync -o jsonpath='{.data.list\\.json}'",
		RunE: func(cmd *cobra.Command, args []string) error {
			raw, err := os.ReadFile(args[0])
			if err != nil {
				return err
			}
			return a.opened(cmd, func(r *rotation.Rotation) error {
				rec, err := r.Adopt(cmd.Context(), raw)
				if err != nil {
					return err
				}
				return a.showKeys(rec, false)
			}, trust.OpenLost)
		}}
	renew := &cobra.Command{Use: "renew", Short: "Go on with a store that does not have the keys, because the one that did is lost", Args: arguments(0, 0),
		Long: "Go on with a store that does not have the keys, because the one that did is lost: publish a new key, which signs as soon as clusters know it. What the lost keys signed counts as before. The list key comes first: keys pin --next, and keys relist.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.keys(cmd, func(r *rotation.Rotation) error {
				rec, err := r.Renew(cmd.Context())
				if err != nil {
					return err
				}
				return a.showKeys(rec, false)
			})
		}}
	var next bool
	pin := &cobra.Command{Use: "pin", Short: "Print the public list key, which clusters pin", Args: arguments(0, 0), RunE: func(cmd *cobra.Command, _ []string) error {
		return a.keys(cmd, func(r *rotation.Rotation) error { return a.pin(cmd.Context(), r, next) })
	}}
	pin.Flags().BoolVar(&next, "next", false, "print the version after the one that signs lists, which is made when it is not there: pin it beside the other, then relist")
	relist := &cobra.Command{Use: "relist [VERSION]", Short: "Have another version of the list key sign the lists, by default the one that pin --next printed; clusters must have pinned it", Args: commandline.Arguments(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			version := 0
			if len(args) > 0 {
				var err error
				if version, err = strconv.Atoi(args[0]); err != nil || version < 1 {
					return commandline.Usage(cmd, fmt.Errorf("%q is no version", args[0]))
				}
			}
			return a.keys(cmd, func(r *rotation.Rotation) error {
				rec, err := r.Relist(cmd.Context(), version)
				if err != nil {
					return err
				}
				return a.showKeys(rec, false)
			})
		}}
	cmd.AddCommand(list, rotate, revoke, adopt, renew, pin, relist)
	return cmd
}

// pin prints the list key, or the one after it.
func (a *app) pin(ctx context.Context, r *rotation.Rotation, next bool) error {
	public, err := r.ListKey(ctx)
	if next && err == nil || next && errors.Is(err, key.ErrNoVersion) { // a list key that is lost needs one after it all the more
		public, err = r.NextListKey(ctx)
	}
	if err != nil {
		return err
	}
	pem, err := key.MarshalPEM(public.Key)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(a.Err, "%s\n", public.ID)
	a.printf("%s", pem)
	return nil
}

func (a *app) showKeys(rec *rotation.Record, asJSON bool) error {
	if asJSON {
		raw, err := keylist.Unsigned(rec.Envelope)
		if err != nil {
			return err
		}
		a.printf("%s\n", raw)
		return nil
	}
	w := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "KEY\tSTATE\tPUBLISHED\tSIGNS SINCE\tCOUNTS UNTIL")
	stamp := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return t.UTC().Format(time.RFC3339)
	}
	for _, e := range rec.Keys {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", e.ID, e.State, stamp(e.Published), stamp(e.Activated), stamp(e.NotAfter))
	}
	if rec.ListVersion == 0 { // a service that has begun, and has not come to a list
		_, _ = fmt.Fprintln(w, "\nthere is no list yet")
		return w.Flush()
	}
	_, _ = fmt.Fprintf(w, "\nlist %d, good until %s, signed by %s\n", rec.ListVersion, stamp(rec.Expires), rec.ListKey)
	return w.Flush()
}

func (a *app) credentialsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "ci-credentials", Short: "Make, rotate and revoke the tokens by which CI asks for signatures"}
	var overlap, life time.Duration
	tokens := func(there func(file string) string, do func(t *access.Tokens, file string) error) error {
		s, err := a.settings()
		if err != nil {
			return err
		}
		if _, err := os.Stat(there(s.Access.Tokens)); err != nil {
			return fmt.Errorf("opening the tokens: %w. Is --data or --config the service's? serve makes its folder at its first start", err)
		}
		t, err := access.OpenTokens(s.Access.Tokens)
		if err != nil {
			return err
		}
		return do(t, s.Access.Tokens)
	}
	itself := func(file string) string { return file }
	add := &cobra.Command{Use: "add NAME", Short: "Make a token and print it, once", Args: arguments(1, 1), RunE: func(_ *cobra.Command, args []string) error {
		return tokens(filepath.Dir, func(t *access.Tokens, file string) error {
			_, before := os.Stat(file)
			secret, err := t.Add(args[0], life)
			if err != nil {
				return err
			}
			if before != nil { // a wrong folder is seen by this
				a.tell("%s is new: there were no tokens", file)
			}
			a.printf("%s\n", secret.Reveal())
			return nil
		})
	}}
	add.Flags().DurationVar(&life, "life", 0, "how long the token is good for; 0 is until it is revoked")
	rotate := &cobra.Command{Use: "rotate NAME...", Short: "Replace tokens and print the new ones, once", Args: arguments(1, many), RunE: func(_ *cobra.Command, args []string) error {
		return tokens(itself, func(t *access.Tokens, _ string) error {
			for _, name := range args {
				secret, err := t.Rotate(name, overlap)
				if err != nil {
					return err
				}
				if len(args) > 1 {
					a.printf("%s ", name)
				}
				a.printf("%s\n", secret.Reveal())
			}
			return nil
		})
	}}
	rotate.Flags().DurationVar(&overlap, "overlap", 0, "how long the old token goes on; 0 ends it at once")
	revoke := &cobra.Command{Use: "revoke NAME...", Short: "End tokens at once", Args: arguments(1, many), RunE: func(_ *cobra.Command, args []string) error {
		return tokens(itself, func(t *access.Tokens, _ string) error {
			for _, name := range args {
				if err := t.Revoke(name); err != nil {
					return err
				}
			}
			return nil
		})
	}}
	cmd.AddCommand(add, rotate, revoke)
	return cmd
}

func (a *app) auditCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "Check the audit log"}
	verify := &cobra.Command{Use: "verify [HEAD...]", Short: "Check the chain of the audit log, and that it has the lines of known heads", Args: arguments(0, many),
		RunE: func(cmd *cobra.Command, args []string) error {
			var heads []audit.Head
			for _, arg := range args {
				h, err := audit.ParseHead(arg)
				if err != nil {
					return commandline.Usage(cmd, err)
				}
				heads = append(heads, h)
			}
			s, err := a.settings()
			if err != nil {
				return err
			}
			r, err := audit.Verify(s.Audit.Folder, heads...)
			if err != nil {
				return err
			}
			a.printf("%s\n", r.Head)
			return nil
		}}
	cmd.AddCommand(verify)
	return cmd
}
