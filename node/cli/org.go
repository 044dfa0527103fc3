package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/node/cli/client"
)

func (a *app) orgCommand() *cobra.Command {
	cmd := a.group("org", "Organization management commands",
		a.orgCreate(), a.orgDelete(), a.orgList(), a.orgUpdate(), a.membersCommand())
	cmd.Aliases = []string{"organization"}
	return cmd
}

func (a *app) orgCreate() *cobra.Command {
	var o client.Org
	cmd := a.online("create", "Create organization", func(ctx context.Context, s *session) error {
		created, err := s.client.CreateOrg(ctx, o)
		if err != nil {
			return fmt.Errorf("failed to create org %q: %w", o.Name, err)
		}
		return s.print(created, orgTable(created))
	})
	cmd.Flags().StringVarP(&o.Name, "name", "n", "", "Name to set on the new organization")
	cmd.Flags().StringVarP(&o.Description, "description", "d", "", "Description to set on the new organization")
	required(cmd, "name")
	return cmd
}

func (a *app) orgDelete() *cobra.Command {
	var id string
	cmd := a.online("delete", "Delete organization, with all that it holds", func(ctx context.Context, s *session) error {
		org, err := s.client.Org(ctx, id)
		if err != nil {
			return fmt.Errorf("org %q not found: %w", id, err)
		}
		if err := s.client.DeleteOrg(ctx, id); err != nil {
			return fmt.Errorf("failed to delete org %q: %w", id, err)
		}
		return s.print(org, orgTable(org).deleted())
	})
	cmd.Flags().StringVarP(&id, "id", "i", "", "The organization ID") // never from the environment, where it may stand for another purpose
	required(cmd, "id")
	return cmd
}

func (a *app) orgList() *cobra.Command {
	var org orgByNameFlags
	cmd := a.online("list", "List organizations", func(ctx context.Context, s *session) error {
		orgs, err := s.client.Orgs(ctx, org.name, org.id)
		if err != nil {
			return fmt.Errorf("failed to list orgs: %w", err)
		}
		return s.print(list(orgs), orgTable(orgs...))
	})
	cmd.Aliases = []string{"find", "ls"}
	org.addTo(cmd)
	return cmd
}

func (a *app) orgUpdate() *cobra.Command {
	var id string
	var patch client.OrgPatch
	cmd := a.online("update", "Update organization", func(ctx context.Context, s *session) error {
		org, err := s.client.UpdateOrg(ctx, id, patch)
		if err != nil {
			return fmt.Errorf("failed to update org %q: %w", id, err)
		}
		return s.print(org, orgTable(org))
	})
	cmd.Flags().StringVarP(&id, "id", "i", "", "The organization ID")
	fromEnv(cmd, "id", "ORG_ID")
	required(cmd, "id")
	cmd.Flags().StringVarP(&patch.Name, "name", "n", "", "New name to set on the organization")
	cmd.Flags().StringVarP(&patch.Description, "description", "d", "", "New description to set on the organization")
	return cmd
}

// orgByNameFlags name an organization where the command is about organizations: --id and --name.
type orgByNameFlags struct{ orgFlags }

func (o *orgByNameFlags) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.id, "id", "i", "", "The organization ID")
	cmd.Flags().StringVarP(&o.name, "name", "n", "", "The organization name")
	fromEnv(cmd, "id", "ORG_ID")
	fromEnv(cmd, "name", "ORG")
	rivals(cmd, "id", "name")
}

func orgTable(orgs ...client.Org) table {
	t := table{headers: []string{"ID", "Name"}}
	for _, o := range orgs {
		t.add(o.ID, o.Name)
	}
	return t
}

func (a *app) membersCommand() *cobra.Command {
	return a.group("members", "Organization membership commands", a.memberAdd(), a.memberList(), a.memberRemove())
}

func (a *app) memberAdd() *cobra.Command {
	var org orgByNameFlags
	var user string
	var owner bool
	cmd := a.online("add", "Add organization member", func(ctx context.Context, s *session) error {
		role, what := client.Members, "a member"
		if owner {
			role, what = client.Owners, "an owner"
		}
		id, err := org.resolve(ctx, s)
		if err != nil {
			return err
		}
		added, err := s.client.AddOrgUser(ctx, id, role, user)
		if err != nil {
			return fmt.Errorf("failed to add user %q as %s of org %q: %w", user, what, id, err)
		}
		_, err = fmt.Fprintf(s.Out, "user %q has been added as %s of org %q\n", added.ID, what, id)
		return err
	})
	addMember(cmd, &user)
	org.addTo(cmd)
	cmd.Flags().BoolVar(&owner, "owner", false, "Set new member as an owner")
	return cmd
}

func (a *app) memberList() *cobra.Command {
	var org orgByNameFlags
	cmd := a.online("list", "List organization members", func(ctx context.Context, s *session) error {
		id, err := org.resolve(ctx, s)
		if err != nil {
			return err
		}
		members, err := s.client.OrgUsers(ctx, id, client.Members)
		if err != nil {
			return fmt.Errorf("failed to find members of org %q: %w", id, err)
		}
		owners, err := s.client.OrgUsers(ctx, id, client.Owners)
		if err != nil {
			return fmt.Errorf("failed to find owners of org %q: %w", id, err)
		}
		all := append(owners, members...)
		t := table{headers: []string{"ID", "Name", "User Type", "Status"}}
		for _, m := range all {
			t.add(m.ID, m.Name, m.Role, m.Status)
		}
		return s.print(list(all), t)
	})
	cmd.Aliases = []string{"find", "ls"}
	org.addTo(cmd)
	return cmd
}

func (a *app) memberRemove() *cobra.Command {
	var org orgByNameFlags
	var user string
	cmd := a.online("remove", "Remove organization member", func(ctx context.Context, s *session) error {
		id, err := org.resolve(ctx, s)
		if err != nil {
			return err
		}
		what := "user"
		if err := s.client.RemoveOrgUser(ctx, id, client.Members, user); err != nil {
			what = "owner"
			if s.client.RemoveOrgUser(ctx, id, client.Owners, user) != nil {
				return fmt.Errorf("failed to remove user %q from org %q: %w", user, id, err)
			}
		}
		_, err = fmt.Fprintf(s.Out, "%s %q has been removed from org %q\n", what, user, id)
		return err
	})
	addMember(cmd, &user)
	org.addTo(cmd)
	return cmd
}

func addMember(cmd *cobra.Command, user *string) {
	cmd.Flags().StringVarP(user, "member", "m", "", "The member ID")
	required(cmd, "member")
}
