package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/node/cli/client"
)

func (a *app) v1Command() *cobra.Command {
	return a.group("v1", "InfluxDB v1 management commands", a.dbrpCommand(), a.v1AuthCommand(), a.shellCommand())
}

func (a *app) dbrpCommand() *cobra.Command {
	return a.group("dbrp", "Commands to manage database and retention policy mappings for v1 APIs",
		a.dbrpCreate(), a.dbrpDelete(), a.dbrpList(), a.dbrpUpdate())
}

func (a *app) dbrpCreate() *cobra.Command {
	var org orgFlags
	var d client.DBRPCreate
	cmd := a.online("create", "Create a database and retention policy mapping to an existing bucket", func(ctx context.Context, s *session) error {
		var err error
		if d.OrgID, err = org.resolve(ctx, s); err != nil {
			return err
		}
		created, err := s.client.CreateDBRP(ctx, d)
		if err != nil {
			return fmt.Errorf("failed to create dbrp for bucket %q: %w", d.BucketID, err)
		}
		return s.print(created, dbrpTable(created))
	})
	org.addTo(cmd)
	f := cmd.Flags()
	f.StringVar(&d.BucketID, "bucket-id", "", "The ID of the bucket to be mapped")
	f.StringVar(&d.Database, "db", "", "The name of the database")
	f.StringVar(&d.RetentionPolicy, "rp", "", "The name of the retention policy")
	f.BoolVar(&d.Default, "default", false, "Identify this retention policy as the default for the database")
	required(cmd, "bucket-id", "db", "rp")
	return cmd
}

func (a *app) dbrpList() *cobra.Command {
	var org orgFlags
	var filter client.DBRPFilter
	cmd := a.online("list", "List database and retention policy mappings", func(ctx context.Context, s *session) error {
		var err error
		if filter.Org, err = org.ref(s); err != nil {
			return err
		}
		mappings, err := s.client.DBRPs(ctx, filter)
		if err != nil {
			return fmt.Errorf("failed to list dbrps: %w", err)
		}
		return s.printDBRPs(mappings)
	})
	cmd.Aliases = []string{"find", "ls"}
	org.addTo(cmd)
	f := cmd.Flags()
	f.StringVar(&filter.BucketID, "bucket-id", "", "Limit results to the matching bucket id")
	f.StringVar(&filter.Database, "db", "", "Limit results to the matching database name")
	f.StringVar(&filter.ID, "id", "", "Limit results to a single mapping")
	f.StringVar(&filter.Policy, "rp", "", "Limit results to the matching retention policy name")
	f.BoolVar(&filter.DefaultOnly, "default", false, "Limit results to default mappings")
	return cmd
}

// printDBRPs prints the mappings that were made, then those that follow from the buckets' names.
func (s *session) printDBRPs(mappings []client.DBRP) error {
	if s.json {
		return s.printJSON(list(mappings))
	}
	var physical, virtual []client.DBRP
	for _, m := range mappings {
		if m.Virtual {
			virtual = append(virtual, m)
		} else {
			physical = append(physical, m)
		}
	}
	if err := s.printTable(dbrpTable(physical...)); err != nil {
		return err
	}
	if _, err := fmt.Fprint(s.Out, "\nVIRTUAL DBRP MAPPINGS (READ-ONLY)\n----------------------------------\n"); err != nil {
		return err
	}
	return s.printTable(dbrpTable(virtual...))
}

func (a *app) dbrpUpdate() *cobra.Command {
	var org orgFlags
	var id string
	var patch client.DBRPPatch
	cmd := a.online("update", "Update a database and retention policy mapping", func(ctx context.Context, s *session) error {
		ref, err := org.ref(s)
		if err != nil {
			return err
		}
		updated, err := s.client.UpdateDBRP(ctx, ref, id, patch)
		if err != nil {
			return fmt.Errorf("failed to update DBRP mapping %q: %w", id, err)
		}
		return s.print(updated, dbrpTable(updated))
	})
	org.addTo(cmd)
	f := cmd.Flags()
	f.StringVar(&id, "id", "", "The ID of the mapping to update")
	f.StringVarP(&patch.RetentionPolicy, "rp", "r", "", "The updated name of the retention policy")
	f.BoolVar(&patch.Default, "default", false, "Set this mapping's retention policy as the default for the mapping's database")
	required(cmd, "id")
	return cmd
}

func (a *app) dbrpDelete() *cobra.Command {
	var org orgFlags
	var id string
	cmd := a.online("delete", "Delete a database and retention policy mapping", func(ctx context.Context, s *session) error {
		ref, err := org.ref(s)
		if err != nil {
			return err
		}
		mapping, err := s.client.DBRP(ctx, ref, id)
		if err != nil {
			return fmt.Errorf("failed to find DBRP mapping %q: %w", id, err)
		}
		if err := s.client.DeleteDBRP(ctx, ref, id); err != nil {
			return fmt.Errorf("failed to delete DBRP mapping %q: %w", id, err)
		}
		return s.print(mapping, dbrpTable(mapping))
	})
	org.addTo(cmd)
	cmd.Flags().StringVar(&id, "id", "", "The ID of the mapping to delete")
	required(cmd, "id")
	return cmd
}

func dbrpTable(mappings ...client.DBRP) table {
	t := table{headers: []string{"ID", "Database", "Bucket ID", "Retention Policy", "Default", "Organization ID"}}
	for _, m := range mappings {
		t.add(m.ID, m.Database, m.BucketID, m.RetentionPolicy, m.Default, m.OrgID)
	}
	return t
}
