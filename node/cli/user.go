package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/internal/commandline"
	"github.com/holdfast-telemetry/holdfast/node/cli/client"
)

func (a *app) userCommand() *cobra.Command {
	return a.group("user", "User management commands",
		a.userCreate(), a.userDelete(), a.userList(), a.userUpdate(), a.userPassword())
}

func (a *app) userCreate() *cobra.Command {
	var org orgFlags
	var name, password string
	cmd := a.online("create", "Create user", func(ctx context.Context, s *session) error {
		return s.createUser(ctx, org, name, password)
	})
	org.addTo(cmd)
	cmd.Flags().StringVarP(&name, "name", "n", "", "The user name")
	fromEnv(cmd, "name", "NAME")
	required(cmd, "name")
	cmd.Flags().StringVarP(&password, "password", "p", "", "The user password")
	return cmd
}

// createUser takes three requests; what failed after the first is told with the command that mends it.
func (s *session) createUser(ctx context.Context, org orgFlags, name, password string) error {
	if password != "" && len(password) < minPassword {
		return usagef(s.cmd, "%w", errShortPassword)
	}
	orgID, err := org.resolve(ctx, s)
	if err != nil {
		return err
	}
	user, err := s.client.CreateUser(ctx, client.User{Name: name})
	if err != nil {
		return fmt.Errorf("failed to create user %q: %w", name, err)
	}
	if err := s.print(user, userTable(user)); err != nil {
		return err
	}
	if _, err := s.client.AddOrgUser(ctx, orgID, client.Members, user.ID); err != nil {
		return fmt.Errorf("user %q was created without membership and password; mend with `org members add --member %s --id %s` and `user password --id %s`: %w",
			name, user.ID, orgID, user.ID, err)
	}
	if password == "" {
		_, err := fmt.Fprintln(s.Err, "WARN: initial password not set for user, use `user password` to set it")
		return err
	}
	if err := s.client.SetUserPassword(ctx, user.ID, password); err != nil {
		return fmt.Errorf("user %q was created without its password; mend with `user password --id %s`: %w", name, user.ID, err)
	}
	return nil
}

func (a *app) userDelete() *cobra.Command {
	var id string
	cmd := a.online("delete", "Delete user", func(ctx context.Context, s *session) error {
		user, err := s.client.User(ctx, id)
		if err != nil {
			return fmt.Errorf("user %q not found: %w", id, err)
		}
		if err := s.client.DeleteUser(ctx, id); err != nil {
			return fmt.Errorf("failed to delete user %q: %w", id, err)
		}
		return s.print(user, userTable(user).deleted())
	})
	cmd.Flags().StringVarP(&id, "id", "i", "", "The user ID")
	required(cmd, "id")
	return cmd
}

func (a *app) userList() *cobra.Command {
	var id, name string
	cmd := a.online("list", "List users", func(ctx context.Context, s *session) error {
		users, err := s.client.Users(ctx, name, id)
		if err != nil {
			return fmt.Errorf("failed to list users: %w", err)
		}
		return s.print(list(users), userTable(users...))
	})
	cmd.Aliases = []string{"find", "ls"}
	cmd.Flags().StringVarP(&id, "id", "i", "", "The user ID")
	cmd.Flags().StringVarP(&name, "name", "n", "", "The user name")
	return cmd
}

func (a *app) userUpdate() *cobra.Command {
	var id, name string
	cmd := a.online("update", "Update user", func(ctx context.Context, s *session) error {
		user, err := s.client.UpdateUser(ctx, id, client.User{Name: name})
		if err != nil {
			return fmt.Errorf("failed to update user %q: %w", id, err)
		}
		return s.print(user, userTable(user))
	})
	cmd.Flags().StringVarP(&id, "id", "i", "", "The user ID")
	required(cmd, "id")
	cmd.Flags().StringVarP(&name, "name", "n", "", "New name of the user")
	return cmd
}

func (a *app) userPassword() *cobra.Command {
	var id, name, password string
	cmd := a.online("password", "Set a user's password (asked for when it is not given)", func(ctx context.Context, s *session) error {
		userID, err := s.findUser(ctx, id, name)
		if err != nil {
			return err
		}
		shown := orElse(id, name)
		if password == "" {
			if password, err = s.prompt().newPassword(ctx, fmt.Sprintf("Please type new password for %q", shown)); err != nil {
				return err
			}
		}
		if err := s.client.SetUserPassword(ctx, userID, password); err != nil {
			return fmt.Errorf("failed to set password for user %q: %w", shown, err)
		}
		_, err = fmt.Fprintf(s.Out, "Successfully updated password for user %q\n", shown)
		return err
	})
	cmd.Flags().StringVarP(&id, "id", "i", "", "The user ID")
	cmd.Flags().StringVarP(&name, "name", "n", "", "The user name")
	cmd.Flags().StringVarP(&password, "password", "p", "", "Password to set on the user")
	return cmd
}

// findUser returns the ID of the user of that ID or else of that name.
func (s *session) findUser(ctx context.Context, id, name string) (string, error) {
	switch {
	case id != "":
		return id, nil
	case name == "":
		return "", commandline.Usage(s.cmd, errors.New("must specify user ID or user name: give --id or --name"))
	}
	users, err := s.client.Users(ctx, name, "")
	if err != nil {
		return "", fmt.Errorf("failed to find user %q: %w", name, err)
	}
	if len(users) == 0 {
		return "", fmt.Errorf("no user found with name %q", name)
	}
	return users[0].ID, nil
}

func userTable(users ...client.User) table {
	t := table{headers: []string{"ID", "Name"}}
	for _, u := range users {
		t.add(u.ID, u.Name)
	}
	return t
}
