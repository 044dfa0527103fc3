package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/internal/commandline"
	"github.com/holdfast-telemetry/holdfast/trust/access"
	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/keylist"
	"github.com/holdfast-telemetry/holdfast/trust/rotation"
)

func (a *app) recoverCommand() *cobra.Command {
	var service serviceFlags
	var w work
	var orderly, now bool
	var credentials []string
	cmd := &cobra.Command{Use: "recover --orderly|--revoke-now [IMAGE@DIGEST...]", Short: "Replace every key and every signature after an incident", Args: arguments(0, many),
		Long: `Replace every key and every signature after an incident. It runs where the service runs, with its configuration, while the service is up.

--orderly publishes a new key, waits until clusters know it, signs everything again, and revokes the other keys last: nothing is refused meanwhile.
--revoke-now revokes every key first: what was signed is refused as soon as clusters ask for the list, and can be deployed again once it is signed anew.`}
	service.add(cmd)
	w.add(cmd)
	cmd.Flags().BoolVar(&orderly, "orderly", false, "revoke last")
	cmd.Flags().BoolVar(&now, "revoke-now", false, "revoke first")
	cmd.Flags().StringSliceVar(&credentials, "rotate-credentials", nil, "tokens of CI that are replaced at once; the new ones are printed")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if orderly == now {
			return commandline.Usage(cmd, errors.New("one of --orderly and --revoke-now is wanted"))
		}
		theirs, ours, problems, err := w.find(cmd.Context(), a, args)
		if err != nil {
			return fmt.Errorf("finding what is to be signed again; nothing has been changed: %w", err)
		}
		c, err := service.client(cmd, a)
		if err != nil {
			return err
		}
		r := &recovery{app: a, begin: time.Now(), sign: func(ctx context.Context, force bool) error { return a.resign(ctx, c, theirs, ours, force) }}
		if err := r.replaceCredentials(credentials); err != nil {
			return err
		}
		// An entry that nobody reviewed must not keep the others from being signed, least of all now.
		return errors.Join(problems, a.keys(cmd, func(keys *rotation.Rotation) error {
			r.rotation = keys
			if now {
				return r.revokeNow(cmd.Context())
			}
			return r.orderly(cmd.Context())
		}))
	}
	return cmd
}

// recovery is one under way.
type recovery struct {
	*app
	rotation *rotation.Rotation
	sign     func(ctx context.Context, force bool) error
	begin    time.Time
}

func (r *recovery) told(format string, args ...any) {
	r.printf("%6.1f s  %s\n", time.Since(r.begin).Seconds(), fmt.Sprintf(format, args...))
}

func (r *recovery) replaceCredentials(names []string) error {
	if len(names) == 0 {
		return nil
	}
	s, err := r.settings()
	if err != nil {
		return err
	}
	tokens, err := access.OpenTokens(s.Access.Tokens)
	if err != nil {
		return err
	}
	for _, name := range names {
		secret, err := tokens.Rotate(name, 0)
		if err != nil {
			return err
		}
		r.told("the token %s is replaced, and the old one has ended: %s", name, secret.Reveal())
	}
	return nil
}

// revokeNow revokes first.
func (r *recovery) revokeNow(ctx context.Context) error {
	before, err := r.rotation.Current(ctx)
	if err != nil {
		return err
	}
	rec, err := r.rotation.Revoke(ctx, ids(before, 0)...)
	if err != nil {
		return err
	}
	dead := time.Now().Add(r.rotation.Timing.Poll)
	r.told("%d keys are revoked, and %s signs; clusters refuse the others by %s at the latest", len(before.Keys), rec.Active().ID, dead.UTC().Format(time.TimeOnly))
	time.Sleep(r.rotation.Fresh) // until every process of the service has noticed
	return r.finish(ctx, dead)
}

// orderly revokes last.
func (r *recovery) orderly(ctx context.Context) error {
	rec, err := r.rotation.Hasten(ctx)
	if err != nil {
		return err
	}
	next := rec.Next().ID
	r.told("%s is published; it signs in %v, when clusters know it", next, r.rotation.Timing.Lead())
	if err := r.await(ctx, next); err != nil {
		return err
	}
	r.told("%s signs", next)
	if err := r.sign(ctx, false); err != nil {
		return fmt.Errorf("signing again; the old keys still count, run this again: %w", err)
	}
	if rec, err = r.rotation.Current(ctx); err != nil {
		return err
	}
	old := ids(rec, next.Version)
	if _, err = r.rotation.Revoke(ctx, old...); err != nil {
		return err
	}
	dead := time.Now().Add(r.rotation.Timing.Poll)
	r.told("%d old keys are revoked; clusters refuse them by %s at the latest", len(old), dead.UTC().Format(time.TimeOnly))
	r.conclude(dead)
	return nil
}

// ids are those of the keys of a record below a version; all when it is 0.
func ids(rec *rotation.Record, below int) (all []key.ID) {
	for _, e := range rec.Keys {
		if below == 0 || e.ID.Version < below {
			all = append(all, e.ID)
		}
	}
	return all
}

// await waits until a key signs. The service does that.
func (r *recovery) await(ctx context.Context, id key.ID) error {
	end := time.Now().Add(r.rotation.Timing.Lead() + time.Minute)
	for {
		rec, err := r.rotation.Current(ctx)
		if err == nil {
			if e := rec.Find(id); e != nil && e.State == keylist.Active {
				return nil
			}
		}
		if time.Now().After(end) {
			return errors.Join(fmt.Errorf("%s does not sign although clusters have had the time to know it: is the service up?", id), err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func (r *recovery) finish(ctx context.Context, dead time.Time) error {
	// The key is a new one, which has signed nothing that could be left as it is: there is no need to look.
	if err := r.sign(ctx, true); err != nil {
		return fmt.Errorf("signing again; what is not signed is refused, run holdfast-trust resign: %w", err)
	}
	r.conclude(dead)
	return nil
}

// estimate is how long an orderly recovery of 2,000 images took where the registry was the bound, with everything on two contended cores.
const estimate = 4 * time.Minute

func (r *recovery) conclude(dead time.Time) {
	total := max(time.Since(r.begin), dead.Sub(r.begin))
	r.told("everything is signed again; with the last poll of clusters it is over after %.0f s (the estimate for 2,000 images is %.0f s)", total.Seconds(), estimate.Seconds())
}
