package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/internal/id"
	"github.com/holdfast-telemetry/holdfast/node/cli/client"
)

// What the `influx` command sends when the flags are not given. The API's own default of the age is 0.
const (
	defaultMaxQueueBytes = 67108860
	defaultMaxAgeSeconds = 604800
)

func (a *app) replicationCommand() *cobra.Command {
	cmd := a.group("replication", "Replication stream management commands",
		a.replicationCreate(), a.replicationDelete(), a.replicationList(), a.replicationUpdate())
	if a.Name != "influx" {
		cmd.AddCommand(a.ownReplicationCommands()...)
	}
	return cmd
}

func (a *app) replicationCreate() *cobra.Command {
	var org orgFlags
	var drop dropFlags
	var r client.ReplicationCreate
	cmd := a.online("create", "Create a new replication stream", func(ctx context.Context, s *session) error {
		if err := checkIDs(s.cmd, "remote-id", "local-bucket-id", "remote-bucket-id"); err != nil {
			return err
		}
		if r.RemoteBucketID == "" && r.RemoteBucketName == "" {
			return usagef(s.cmd, "please supply one of: --remote-bucket-id, --remote-bucket")
		}
		if r.RemoteBucketID != "" {
			r.RemoteBucketName = ""
		}
		var err error
		if r.DropNonRetryableData, err = drop.value(s.cmd); err != nil {
			return err
		}
		if r.OrgID, err = org.resolve(ctx, s); err != nil {
			return err
		}
		created, err := s.client.CreateReplication(ctx, r)
		if err != nil {
			return fmt.Errorf("failed to create replication stream %q: %w", r.Name, err)
		}
		return s.print(created, replicationTable(created))
	})
	org.addTo(cmd)
	f := cmd.Flags()
	f.StringVarP(&r.Name, "name", "n", "", "Name for new replication stream")
	f.StringVarP(&r.Description, "description", "d", "", "Description for new replication stream")
	f.StringVar(&r.RemoteID, "remote-id", "", "Remote connection the new replication stream should send data to")
	f.StringVar(&r.LocalBucketID, "local-bucket-id", "", "ID of local bucket data should be replicated from")
	f.StringVar(&r.RemoteBucketID, "remote-bucket-id", "", "ID of remote bucket data should be replicated to")
	f.StringVar(&r.RemoteBucketName, "remote-bucket", "", "Name of remote bucket data should be replicated to")
	f.Int64Var(&r.MaxQueueSizeBytes, "max-queue-bytes", defaultMaxQueueBytes, "Max queue size in bytes")
	f.Int64Var(&r.MaxAgeSeconds, "max-age", defaultMaxAgeSeconds, "Age in `seconds` beyond which data leaves the queue and is sent from the store; 0 is the server's default")
	drop.addTo(cmd)
	required(cmd, "name", "remote-id", "local-bucket-id")
	return cmd
}

func (a *app) replicationDelete() *cobra.Command {
	var id string
	cmd := a.online("delete", "Delete an existing replication stream", func(ctx context.Context, s *session) error {
		r, err := s.client.Replication(ctx, id)
		if err != nil {
			return fmt.Errorf("could not find replication stream with ID %q: %w", id, err)
		}
		if err := s.client.DeleteReplication(ctx, id); err != nil {
			return fmt.Errorf("failed to delete replication stream %q: %w", id, err)
		}
		return s.print(r, replicationTable(r).deleted())
	})
	addReplicationID(cmd, &id)
	return cmd
}

func addReplicationID(cmd *cobra.Command, id *string) {
	cmd.Flags().StringVarP(id, "id", "i", "", "ID of the replication stream")
	required(cmd, "id")
}

func (a *app) replicationList() *cobra.Command {
	var org orgFlags
	var filter client.ReplicationFilter
	cmd := a.online("list", "List all replication streams and corresponding metrics", func(ctx context.Context, s *session) error {
		var err error
		if filter.OrgID, err = org.resolve(ctx, s); err != nil {
			return err
		}
		replications, err := s.client.Replications(ctx, filter)
		if err != nil {
			return fmt.Errorf("failed to get replication streams: %w", err)
		}
		return s.print(list(replications), replicationTable(replications...))
	})
	cmd.Aliases = []string{"find", "ls"}
	org.addTo(cmd)
	f := cmd.Flags()
	f.StringVarP(&filter.Name, "name", "n", "", "Filter results to only replication streams with a specific name")
	f.StringVar(&filter.RemoteID, "remote-id", "", "Filter results to only replication streams for a specific remote connection")
	f.StringVar(&filter.LocalBucketID, "local-bucket-id", "", "Filter results to only replication streams for a specific local bucket")
	return cmd
}

func (a *app) replicationUpdate() *cobra.Command {
	var id string
	var drop dropFlags
	var patch client.ReplicationPatch
	cmd := a.online("update", "Update an existing replication stream", func(ctx context.Context, s *session) error {
		if err := checkIDs(s.cmd, "remote-id", "remote-bucket-id"); err != nil {
			return err
		}
		var err error
		if patch.DropNonRetryableData, err = drop.value(s.cmd); err != nil {
			return err
		}
		updated, err := s.client.UpdateReplication(ctx, id, patch)
		if err != nil {
			return fmt.Errorf("failed to update replication stream %q: %w", id, err)
		}
		return s.print(updated, replicationTable(updated))
	})
	addReplicationID(cmd, &id)
	f := cmd.Flags()
	f.StringVarP(&patch.Name, "name", "n", "", "New name for the replication stream")
	f.StringVarP(&patch.Description, "description", "d", "", "New description for the replication stream")
	f.StringVar(&patch.RemoteID, "remote-id", "", "New ID of remote connection the replication stream should send data to")
	f.StringVar(&patch.RemoteBucketID, "remote-bucket-id", "", "New ID of remote bucket that data should be replicated to")
	f.StringVar(&patch.RemoteBucketName, "remote-bucket", "", "New name of remote bucket that data should be replicated to")
	f.Int64Var(&patch.MaxQueueSizeBytes, "max-queue-bytes", 0, "New max queue size in bytes")
	f.Int64Var(&patch.MaxAgeSeconds, "max-age", 0, "New age in `seconds` beyond which data leaves the queue and is sent from the store")
	drop.addTo(cmd)
	return cmd
}

// checkIDs refuses flags that were given and hold no ID.
func checkIDs(cmd *cobra.Command, flags ...string) error {
	for _, name := range flags {
		f := cmd.Flags().Lookup(name)
		if _, err := id.Parse(f.Value.String()); f.Changed && err != nil {
			return usagef(cmd, "--%s %q: an ID has 16 hexadecimal digits", name, f.Value)
		}
	}
	return nil
}

// dropFlags say whether a batch that the remote refuses for good is dropped: yes, no, or as it is.
type dropFlags struct{ yes, no bool }

func (d *dropFlags) addTo(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&d.yes, "drop-non-retryable-data", false, "Count lines that the remote refuses for good, and do not keep them as dead letters")
	cmd.Flags().BoolVar(&d.no, "no-drop-non-retryable-data", false, "Keep lines that the remote refuses for good as dead letters")
}

func (d *dropFlags) value(cmd *cobra.Command) (*bool, error) {
	if d.yes && d.no {
		return nil, usagef(cmd, "cannot specify both --drop-non-retryable-data and --no-drop-non-retryable-data at the same time")
	}
	if d.yes || d.no {
		return &d.yes, nil
	}
	return nil, nil
}

func replicationTable(replications ...client.Replication) table {
	t := table{headers: []string{
		"ID", "Name", "Org ID", "Remote ID", "Local Bucket ID", "Remote Bucket ID", "Remote Bucket Name", "Remaining Bytes to be Synced",
		"Current Queue Bytes on Disk", "Max Queue Bytes", "Latest Status Code", "Drop Non-Retryable Data",
	}}
	for _, r := range replications {
		bucketID := r.RemoteBucketID
		if r.RemoteBucketName != "" {
			bucketID = "" // servers fill it with a value that means nothing
		}
		t.add(r.ID, r.Name, r.OrgID, r.RemoteID, r.LocalBucketID, bucketID, r.RemoteBucketName, r.RemainingBytesToBeSynced,
			r.CurrentQueueSizeBytes, r.MaxQueueSizeBytes, r.LatestResponseCode, r.DropNonRetryableData)
	}
	return t
}
