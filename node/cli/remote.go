package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/node/cli/client"
)

func (a *app) remoteCommand() *cobra.Command {
	return a.group("remote", "Remote connection management commands",
		a.remoteCreate(), a.remoteDelete(), a.remoteList(), a.remoteUpdate())
}

func (a *app) remoteCreate() *cobra.Command {
	var org orgFlags
	var r client.RemoteCreate
	cmd := a.online("create", "Create a new remote connection", func(ctx context.Context, s *session) error {
		return s.createRemote(ctx, org, r)
	})
	org.addTo(cmd)
	f := cmd.Flags()
	f.StringVarP(&r.Name, "name", "n", "", "Name for the new remote connection")
	f.StringVarP(&r.Description, "description", "d", "", "Description for the new remote connection")
	f.StringVar(&r.RemoteURL, "remote-url", "", "The url for the remote database")
	f.StringVar(&r.RemoteAPIToken, "remote-api-token", "", "The API token for the remote database (asked for when it is not given)")
	f.StringVar(&r.RemoteOrgID, "remote-org-id", "", "The ID of the remote organization")
	f.BoolVar(&r.AllowInsecureTLS, "allow-insecure-tls", false, "Allows insecure TLS")
	required(cmd, "name", "remote-url")
	return cmd
}

func (s *session) createRemote(ctx context.Context, org orgFlags, r client.RemoteCreate) error {
	var err error
	if r.RemoteAPIToken == "" {
		if r.RemoteAPIToken, err = s.prompt().secret(ctx, "Please type the API token for "+r.RemoteURL); err != nil {
			return usagef(s.cmd, "missing --remote-api-token: %w", err)
		}
	}
	if r.OrgID, err = org.resolve(ctx, s); err != nil {
		return fmt.Errorf("failed to find local org id: %w", err)
	}
	if _, err := s.client.Orgs(ctx, "", r.OrgID); err != nil {
		return fmt.Errorf("failed to lookup local org: %w", err)
	}
	if r.RemoteOrgID == "" {
		_, _ = fmt.Fprintln(s.Err, "WARN: --remote-org-id is required for remotes that are Holdfast, InfluxDB 2 or Cloud; ignore this for InfluxDB 1.x and 3")
	}
	created, err := s.client.CreateRemote(ctx, r)
	if err != nil {
		return fmt.Errorf("failed to create remote connection %q: %w", r.Name, err)
	}
	return s.print(created, remoteTable(created))
}

func (a *app) remoteDelete() *cobra.Command {
	var id string
	var withReplications bool
	cmd := a.online("delete", "Delete an existing remote connection", func(ctx context.Context, s *session) error {
		return s.deleteRemote(ctx, id, withReplications)
	})
	cmd.Flags().StringVarP(&id, "id", "i", "", "ID of the remote connection to be deleted")
	required(cmd, "id")
	cmd.Flags().BoolVar(&withReplications, "delete-replications", false, "Delete the replications that send to this remote first; what they have not sent is not sent")
	return cmd
}

func (s *session) deleteRemote(ctx context.Context, id string, withReplications bool) error {
	remote, err := s.client.Remote(ctx, id)
	if err != nil {
		return fmt.Errorf("failed to find remote connection with ID %q: %w", id, err)
	}
	if withReplications {
		if err := s.deleteReplicationsOf(ctx, remote); err != nil {
			return err
		}
	}
	if err := s.client.DeleteRemote(ctx, id); err != nil {
		err = fmt.Errorf("failed to delete remote connection %q: %w", id, err)
		var refused *client.Error
		if errors.As(err, &refused) && refused.Status != http.StatusNotFound && !withReplications {
			return fmt.Errorf("%w\nIf replications still use it, delete them with it: --delete-replications", err)
		}
		return err
	}
	return s.print(remote, remoteTable(remote).deleted())
}

// deleteReplicationsOf prints what it deleted as a table, except where the output is JSON of the remote.
func (s *session) deleteReplicationsOf(ctx context.Context, remote client.Remote) error {
	replications, err := s.client.Replications(ctx, client.ReplicationFilter{OrgID: remote.OrgID, RemoteID: remote.ID})
	if err != nil {
		return fmt.Errorf("failed to find replication streams with remote ID %q: %w", remote.ID, err)
	}
	for _, r := range replications {
		if err := s.client.DeleteReplication(ctx, r.ID); err != nil {
			return fmt.Errorf("failed to delete replication with ID %q: %w", r.ID, err)
		}
	}
	if len(replications) == 0 || s.json {
		return nil
	}
	return s.printTable(replicationTable(replications...).deleted())
}

func (a *app) remoteList() *cobra.Command {
	var org orgFlags
	var name, url string
	cmd := a.online("list", "List all remote connections", func(ctx context.Context, s *session) error {
		orgID, err := org.resolve(ctx, s)
		if err != nil {
			return err
		}
		remotes, err := s.client.Remotes(ctx, orgID, name, url)
		if err != nil {
			return fmt.Errorf("failed to get remote connections: %w", err)
		}
		return s.print(list(remotes), remoteTable(remotes...))
	})
	cmd.Aliases = []string{"find", "ls"}
	org.addTo(cmd)
	cmd.Flags().StringVarP(&name, "name", "n", "", "Filter results to only connections with a specific name")
	cmd.Flags().StringVar(&url, "remote-url", "", "Filter results to only connections for a specific remote URL")
	return cmd
}

func (a *app) remoteUpdate() *cobra.Command {
	var id string
	var insecure bool
	var patch client.RemotePatch
	cmd := a.online("update", "Update an existing remote connection", func(ctx context.Context, s *session) error {
		if s.cmd.Flags().Changed("allow-insecure-tls") {
			patch.AllowInsecureTLS = &insecure
		}
		updated, err := s.client.UpdateRemote(ctx, id, patch)
		if err != nil {
			return fmt.Errorf("failed to update remote connection %q: %w", id, err)
		}
		return s.print(updated, remoteTable(updated))
	})
	f := cmd.Flags()
	f.StringVarP(&id, "id", "i", "", "Remote connection ID")
	required(cmd, "id")
	f.StringVarP(&patch.Name, "name", "n", "", "New name for the remote connection")
	f.StringVarP(&patch.Description, "description", "d", "", "New description for the remote connection")
	f.StringVar(&patch.RemoteURL, "remote-url", "", "New url for the remote database")
	f.StringVar(&patch.RemoteAPIToken, "remote-api-token", "", "New API token for the remote database")
	f.StringVar(&patch.RemoteOrgID, "remote-org-id", "", "New ID of the remote organization")
	f.BoolVar(&insecure, "allow-insecure-tls", false, "Allows insecure TLS")
	return cmd
}

func remoteTable(remotes ...client.Remote) table {
	t := table{headers: []string{"ID", "Name", "Org ID", "Remote URL", "Remote Org ID", "Allow Insecure TLS"}}
	for _, r := range remotes {
		t.add(r.ID, r.Name, r.OrgID, r.RemoteURL, r.RemoteOrgID, r.AllowInsecureTLS)
	}
	return t
}
