package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/cli/client"
)

// resourceTypes have a --read-… and a --write-… flag each. The type "instance" has none: only setup grants it.
var resourceTypes = []string{
	"authorizations", "buckets", "dashboards", "orgs", "tasks", "telegrafs", "users", "variables", "secrets", "labels", "views",
	"documents", "notificationRules", "notificationEndpoints", "checks", "dbrp", "annotations", "sources", "scrapers", "notebooks",
	"remotes", "replications",
}

// actions of permissions, in the order they are granted.
var actions = []string{"read", "write"}

type authCreateFlags struct {
	org               orgFlags
	user, description string
	operator, all     bool
	// buckets are IDs by action.
	buckets map[string]*[]string
	// types is whether an action is granted on a type.
	types map[string]map[string]*bool
}

func (a *app) authCreate() *cobra.Command {
	f := authCreateFlags{buckets: map[string]*[]string{}, types: map[string]map[string]*bool{}}
	cmd := a.online("create", "Create authorization", func(ctx context.Context, s *session) error { return s.createAuth(ctx, f) })
	f.org.addTo(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&f.user, "user", "u", "", "The user name (default: the first user)")
	flags.StringVarP(&f.description, "description", "d", "", "Token description")
	flags.BoolVar(&f.operator, "operator", false, "Grants all permissions in all organizations")
	flags.BoolVar(&f.all, "all-access", false, "Grants all permissions in a single organization")
	for _, action := range actions {
		f.buckets[action] = flags.StringArray(action+"-bucket", nil, "The ID of a bucket to "+action+"; repeatable")
		f.types[action] = map[string]*bool{}
		for _, resource := range resourceTypes {
			f.types[action][resource] = flags.Bool(action+"-"+resource, false, "Grants the permission to "+action+" "+resource)
		}
	}
	flags.SortFlags = false
	return cmd
}

func (s *session) createAuth(ctx context.Context, f authCreateFlags) error {
	if err := f.check(s.cmd); err != nil {
		return err
	}
	orgID, err := f.org.resolve(ctx, s)
	if err != nil {
		return err
	}
	users, err := s.client.Users(ctx, f.user, "")
	if err != nil {
		return fmt.Errorf("could not find user with name %q: %w", f.user, err)
	}
	if len(users) == 0 {
		return fmt.Errorf("could not find user with name %q", f.user)
	}
	permissions := f.permissions(orgID)
	if f.operator || f.all {
		types, err := s.client.ResourceTypes(ctx)
		if err != nil {
			return fmt.Errorf("could not list the resources that a token can grant: %w", err)
		}
		permissions = everyPermission(types, orgID, users[0].ID, f.operator)
	}
	auth, err := s.client.Authorizations().Create(ctx, client.Authorization{
		OrgID: orgID, UserID: users[0].ID, Description: f.description, Permissions: permissions,
	})
	if err != nil {
		return fmt.Errorf("could not write auth with provided arguments: %w", err)
	}
	view := authViewOf(auth)
	return s.print(view, authTable(view))
}

// check finds what can be said to be wrong before the server is asked.
func (f authCreateFlags) check(cmd *cobra.Command) error {
	some := len(f.permissions("")) > 0
	switch {
	case f.operator && f.all:
		return usagef(cmd, "give --operator or --all-access, not both")
	case f.operator && some:
		return usagef(cmd, "cannot compose other permissions with operator permissions")
	case f.all && some:
		return usagef(cmd, "cannot compose other permissions with all access permissions")
	case !f.operator && !f.all && !some:
		return usagef(cmd, "a token must permit something: give --read-bucket ID, --write-bucket ID, --all-access or other permissions")
	}
	for _, action := range actions {
		if err := checkBucketIDs(cmd, *f.buckets[action]); err != nil {
			return err
		}
	}
	return nil
}

func checkBucketIDs(cmd *cobra.Command, ids []string) error {
	for _, bucket := range ids {
		if _, err := id.Parse(bucket); err != nil {
			return usagef(cmd, "invalid bucket ID '%s': %w (did you pass a bucket name instead of an ID?)", bucket, err)
		}
	}
	return nil
}

// permissions returns what the single flags grant: first buckets, then types.
func (f authCreateFlags) permissions(orgID string) []client.Permission {
	var granted []client.Permission
	for _, action := range actions {
		granted = append(granted, bucketPermissions(action, *f.buckets[action], orgID)...)
	}
	for _, resource := range resourceTypes {
		for _, action := range actions {
			if *f.types[action][resource] {
				granted = append(granted, typePermission(action, resource, orgID))
			}
		}
	}
	return granted
}

func bucketPermissions(action string, ids []string, orgID string) []client.Permission {
	var granted []client.Permission
	for _, bucket := range ids {
		granted = append(granted, client.Permission{
			Action: action, Resource: client.Resource{Type: "buckets", ID: bucket, OrgID: orgID},
		})
	}
	return granted
}

// typePermission permits an action on all of a type. Organizations and users do not belong to an organization.
func typePermission(action, resource, orgID string) client.Permission {
	if resource == "orgs" || resource == "users" {
		orgID = ""
	}
	return client.Permission{Action: action, Resource: client.Resource{Type: resource, OrgID: orgID}}
}

// everyPermission permits everything: in all organizations for an operator, else in one, where the organization itself can
// only be read and of the users only the token's owner can be reached.
func everyPermission(types []string, orgID, userID string, operator bool) []client.Permission {
	var granted []client.Permission
	for _, resource := range types {
		if resource == "instance" {
			continue
		}
		for _, action := range actions {
			p := typePermission(action, resource, orgID)
			switch {
			case operator:
				p.Resource.OrgID = ""
			case resource == "orgs" && action == "write":
				continue
			case resource == "orgs":
				p.Resource.ID = orgID
			case resource == "users":
				p.Resource.ID = userID
			}
			granted = append(granted, p)
		}
	}
	return granted
}
