package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/node/cli/client"
)

func (a *app) authCommand() *cobra.Command {
	cmd := a.group("auth", "Authorization management commands",
		a.authCreate(), a.authDelete(), a.authList(), a.authStatus("active"), a.authStatus("inactive"))
	cmd.Aliases = []string{"authorization"}
	return cmd
}

func (a *app) authDelete() *cobra.Command {
	var id string
	cmd := a.online("delete", "Delete authorization", func(ctx context.Context, s *session) error {
		auth, err := s.client.Authorizations().Get(ctx, id)
		if err != nil {
			return fmt.Errorf("could not find auth with ID %q: %w", id, err)
		}
		if err := s.client.Authorizations().Delete(ctx, id); err != nil {
			return fmt.Errorf("could not remove auth with ID %q: %w", id, err)
		}
		view := authViewOf(auth)
		return s.print(view, authTable(view).deleted())
	})
	addAuthID(cmd, &id)
	return cmd
}

func (a *app) authList() *cobra.Command {
	var org orgFlags
	var filter client.AuthorizationFilter
	var id string
	cmd := a.online("list", "List authorizations", func(ctx context.Context, s *session) error {
		if id != "" {
			auth, err := s.client.Authorizations().Get(ctx, id)
			if err != nil {
				return fmt.Errorf("could not find authorization with ID %q: %w", id, err)
			}
			view := authViewOf(auth)
			return s.print(view, authTable(view))
		}
		filter.OrgID, filter.Org = org.id, org.name
		auths, err := s.client.Authorizations().List(ctx, filter)
		if err != nil {
			return fmt.Errorf("could not find authorization with given parameters: %w", err)
		}
		views := make([]authView, 0, len(auths))
		for _, auth := range auths {
			views = append(views, authViewOf(auth))
		}
		return s.print(views, authTable(views...))
	})
	cmd.Aliases = []string{"find", "ls"}
	org.addTo(cmd)
	cmd.Flags().StringVarP(&id, "id", "i", "", "The authorization ID")
	cmd.Flags().StringVarP(&filter.User, "user", "u", "", "The user")
	cmd.Flags().StringVar(&filter.UserID, "user-id", "", "The user ID")
	return cmd
}

// authStatus makes the command of the name of the status that it sets.
func (a *app) authStatus(status string) *cobra.Command {
	var id string
	cmd := a.online(status, "Make an authorization "+status, func(ctx context.Context, s *session) error {
		if _, err := s.client.Authorizations().Get(ctx, id); err != nil {
			return fmt.Errorf("could not find auth with ID %q: %w", id, err)
		}
		auth, err := s.client.Authorizations().SetStatus(ctx, id, status)
		if err != nil {
			return fmt.Errorf("could not update status of auth with ID %q: %w", id, err)
		}
		view := authViewOf(auth)
		return s.print(view, authTable(view))
	})
	addAuthID(cmd, &id)
	return cmd
}

func addAuthID(cmd *cobra.Command, id *string) {
	cmd.Flags().StringVarP(id, "id", "i", "", "The authorization ID")
	required(cmd, "id")
}

// authView is an authorization as it is printed.
type authView struct {
	ID          string   `json:"id"`
	Description string   `json:"description"`
	Token       string   `json:"token"`
	Status      string   `json:"status"`
	UserName    string   `json:"userName"`
	UserID      string   `json:"userID"`
	Permissions []string `json:"permissions"`
}

func authViewOf(auth client.Authorization) authView {
	permissions := make([]string, 0, len(auth.Permissions))
	for _, p := range auth.Permissions {
		permissions = append(permissions, p.String())
	}
	return authView{
		ID: auth.ID, Description: auth.Description, Token: auth.Token, Status: auth.Status,
		UserName: auth.User, UserID: auth.UserID, Permissions: permissions,
	}
}

func authTable(auths ...authView) table {
	t := table{headers: []string{"ID", "Description", "Token", "User Name", "User ID", "Permissions"}}
	for _, auth := range auths {
		t.add(auth.ID, auth.Description, auth.Token, auth.UserName, auth.UserID, auth.Permissions)
	}
	return t
}
