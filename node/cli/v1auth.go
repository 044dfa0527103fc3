package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/node/cli/client"
)

func (a *app) v1AuthCommand() *cobra.Command {
	cmd := a.group("auth", "Authorization management commands for v1 APIs",
		a.v1AuthCreate(), a.v1AuthDelete(), a.v1AuthList(), a.v1AuthPassword(), a.v1AuthStatus("active"), a.v1AuthStatus("inactive"))
	cmd.Aliases = []string{"authorization"}
	return cmd
}

type v1AuthCreateFlags struct {
	org                             orgFlags
	description, username, password string
	noPassword                      bool
	read, write                     []string
}

func (a *app) v1AuthCreate() *cobra.Command {
	var f v1AuthCreateFlags
	cmd := a.online("create", "Create authorization", func(ctx context.Context, s *session) error { return s.createV1Auth(ctx, f) })
	f.org.addTo(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&f.description, "description", "d", "", "Token description")
	flags.StringVar(&f.username, "username", "", "The username to identify this token")
	flags.StringVar(&f.password, "password", "", "The password to set on this token (asked for when it is not given)")
	flags.BoolVar(&f.noPassword, "no-password", false, "Don't prompt for a password; use `v1 auth set-password` before using the token")
	flags.StringArrayVar(&f.read, "read-bucket", nil, "The ID of a bucket to read; repeatable")
	flags.StringArrayVar(&f.write, "write-bucket", nil, "The ID of a bucket to write; repeatable")
	required(cmd, "username")
	return cmd
}

func (s *session) createV1Auth(ctx context.Context, f v1AuthCreateFlags) error {
	if f.password != "" && f.noPassword {
		return usagef(s.cmd, "only one of --password and --no-password may be specified")
	}
	if err := checkBucketIDs(s.cmd, append(f.read, f.write...)); err != nil {
		return err
	}
	orgID, err := f.org.resolve(ctx, s)
	if err != nil {
		return err
	}
	if err := s.checkV1NameFree(ctx, f.username); err != nil {
		return err
	}
	if f.password == "" && !f.noPassword {
		if f.password, err = s.prompt().newPassword(ctx, "Please type your password"); err != nil {
			return err
		}
	}
	auth, err := s.client.V1Authorizations().Create(ctx, client.Authorization{
		OrgID: orgID, Token: f.username, Description: f.description,
		Permissions: list(append(bucketPermissions("read", f.read, orgID), bucketPermissions("write", f.write, orgID)...)),
	})
	if err != nil {
		return fmt.Errorf("failed to create new authorization: %w", err)
	}
	if f.password != "" {
		if err := s.client.V1Authorizations().SetPassword(ctx, auth.ID, f.password); err != nil {
			undone := s.client.V1Authorizations().Delete(ctx, auth.ID)
			return errors.Join(fmt.Errorf("failed to set password for %q: %w", f.username, err), undone)
		}
	}
	return s.printV1Auth(ctx, auth, false)
}

func (s *session) checkV1NameFree(ctx context.Context, name string) error {
	taken, err := s.client.V1Authorizations().List(ctx, client.AuthorizationFilter{Token: name})
	var refused *client.Error
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return nil
	}
	if err != nil {
		return fmt.Errorf("failed to verify username %q has no auth: %w", name, err)
	}
	if len(taken) > 0 {
		return fmt.Errorf("authorization with username %q already exists", name)
	}
	return nil
}

func (a *app) v1AuthDelete() *cobra.Command {
	var lookup v1Lookup
	cmd := a.online("delete", "Delete authorization", func(ctx context.Context, s *session) error {
		id, err := lookup.resolve(ctx, s)
		if err != nil {
			return err
		}
		auth, err := s.client.V1Authorizations().Get(ctx, id)
		if err != nil {
			return fmt.Errorf("could not find Authorization from ID %q: %w", id, err)
		}
		if err := s.client.V1Authorizations().Delete(ctx, id); err != nil {
			return fmt.Errorf("could not remove Authorization with ID %q: %w", id, err)
		}
		return s.printV1Auth(ctx, auth, true)
	})
	lookup.addTo(cmd)
	return cmd
}

func (a *app) v1AuthList() *cobra.Command {
	var org orgFlags
	var lookup v1Lookup
	var filter client.AuthorizationFilter
	cmd := a.online("list", "List authorizations", func(ctx context.Context, s *session) error {
		filter.OrgID, filter.Org, filter.ID, filter.Token = org.id, org.name, lookup.id, lookup.username
		auths, err := s.client.V1Authorizations().List(ctx, filter)
		if err != nil {
			return fmt.Errorf("could not find Authorizations for specified arguments: %w", err)
		}
		views := make([]authView, 0, len(auths))
		for _, auth := range auths {
			view, err := s.v1AuthView(ctx, auth)
			if err != nil {
				return err
			}
			views = append(views, view)
		}
		return s.print(views, v1AuthTable(views...))
	})
	cmd.Aliases = []string{"ls", "find"}
	org.addTo(cmd)
	lookup.addTo(cmd)
	cmd.Flags().StringVarP(&filter.User, "user", "u", "", "The user")
	cmd.Flags().StringVar(&filter.UserID, "user-id", "", "The user ID")
	return cmd
}

func (a *app) v1AuthPassword() *cobra.Command {
	var lookup v1Lookup
	var password string
	cmd := a.online("set-password", "Set a password for an existing authorization", func(ctx context.Context, s *session) error {
		id, err := lookup.resolve(ctx, s)
		if err != nil {
			return err
		}
		if password == "" {
			if password, err = s.prompt().newPassword(ctx, "Please type new password"); err != nil {
				return err
			}
		}
		if err := s.client.V1Authorizations().SetPassword(ctx, id, password); err != nil {
			return fmt.Errorf("error setting password: %w", err)
		}
		return nil
	})
	lookup.addTo(cmd)
	cmd.Flags().StringVar(&password, "password", "", "Password to set on the authorization (asked for when it is not given)")
	return cmd
}

func (a *app) v1AuthStatus(status string) *cobra.Command {
	var lookup v1Lookup
	cmd := a.online("set-"+status, "Change the status of an authorization to "+status, func(ctx context.Context, s *session) error {
		id, err := lookup.resolve(ctx, s)
		if err != nil {
			return err
		}
		auth, err := s.client.V1Authorizations().SetStatus(ctx, id, status)
		if err != nil {
			return fmt.Errorf("failed to update status of authorization with ID %q: %w", id, err)
		}
		return s.printV1Auth(ctx, auth, false)
	})
	lookup.addTo(cmd)
	return cmd
}

// v1Lookup names a v1 credential.
type v1Lookup struct{ id, username string }

func (l *v1Lookup) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&l.id, "id", "", "The ID of the authorization")
	cmd.Flags().StringVar(&l.username, "username", "", "The username of the authorization")
}

func (l *v1Lookup) resolve(ctx context.Context, s *session) (string, error) {
	switch {
	case l.id == "" && l.username == "":
		return "", usagef(s.cmd, "id or username required: give --id or --username")
	case l.id != "" && l.username != "":
		return "", usagef(s.cmd, "specify --id or --username, not both")
	case l.id != "":
		return l.id, nil
	}
	found, err := s.client.V1Authorizations().List(ctx, client.AuthorizationFilter{Token: l.username})
	if err != nil {
		return "", fmt.Errorf("could not find v1 auth with token (username) %q: %w", l.username, err)
	}
	if len(found) == 0 {
		return "", fmt.Errorf("could not find v1 auth with token (username) %q", l.username)
	}
	return found[0].ID, nil
}

func (s *session) printV1Auth(ctx context.Context, auth client.Authorization, deleted bool) error {
	view, err := s.v1AuthView(ctx, auth)
	if err != nil {
		return err
	}
	t := v1AuthTable(view)
	if deleted {
		t = t.deleted()
	}
	return s.print(view, t)
}

// v1AuthView asks for the owner's name, which the resource does not carry.
func (s *session) v1AuthView(ctx context.Context, auth client.Authorization) (authView, error) {
	view := authViewOf(auth)
	user, err := s.client.User(ctx, auth.UserID)
	if err != nil {
		return view, fmt.Errorf("could not find user with ID %q: %w", auth.UserID, err)
	}
	view.UserName, view.UserID = user.Name, user.ID
	return view, nil
}

func v1AuthTable(auths ...authView) table {
	t := table{headers: []string{"ID", "Description", "Username", "v2 User Name", "v2 User ID", "Permissions"}}
	for _, auth := range auths {
		t.add(auth.ID, auth.Description, auth.Token, auth.UserName, auth.UserID, auth.Permissions)
	}
	return t
}
