package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/node/cli/client"
)

func (a *app) bucketCommand() *cobra.Command {
	return a.group("bucket", "Bucket management commands",
		a.bucketCreate(), a.bucketDelete(), a.bucketList(), a.bucketUpdate())
}

func (a *app) bucketCreate() *cobra.Command {
	var org orgFlags
	var b client.Bucket
	var retention, shard string
	cmd := a.online("create", "Create bucket", func(ctx context.Context, s *session) error {
		rule, err := retentionRule(s.cmd, retention, shard)
		if err != nil {
			return err
		}
		if rule.EverySeconds > 0 || rule.ShardGroupDurationSeconds > 0 {
			b.RetentionRules = []client.RetentionRule{rule}
		}
		if b.OrgID, err = org.resolve(ctx, s); err != nil {
			return err
		}
		created, err := s.client.CreateBucket(ctx, b)
		if err != nil {
			return fmt.Errorf("failed to create bucket: %w", err)
		}
		return s.print(created, bucketTable(created))
	})
	org.addTo(cmd)
	cmd.Flags().StringVarP(&b.Name, "name", "n", "", "New bucket name")
	fromEnv(cmd, "name", "BUCKET_NAME")
	required(cmd, "name")
	cmd.Flags().StringVarP(&b.Description, "description", "d", "", "Description of the bucket that will be created")
	cmd.Flags().StringVarP(&retention, "retention", "r", "", "Duration bucket will retain data, or 0 for infinite")
	cmd.Flags().StringVar(&shard, "shard-group-duration", "", "Shard group duration used internally by the storage engine")
	cmd.Flags().StringVar(&b.SchemaType, "schema-type", "implicit", "The schema type (implicit is the only one there is)")
	return cmd
}

func retentionRule(cmd *cobra.Command, retention, shard string) (client.RetentionRule, error) {
	rule := client.RetentionRule{Type: "expire"}
	var err error
	if rule.EverySeconds, err = parseSeconds(retention); err != nil {
		return rule, usagef(cmd, "--retention: %w", err)
	}
	if rule.ShardGroupDurationSeconds, err = parseSeconds(shard); err != nil {
		return rule, usagef(cmd, "--shard-group-duration: %w", err)
	}
	return rule, nil
}

func (a *app) bucketDelete() *cobra.Command {
	var org orgFlags
	var id, name string
	cmd := a.online("delete", "Delete bucket and its points", func(ctx context.Context, s *session) error {
		filter := client.BucketFilter{ID: id}
		switch {
		case id == "" && name == "":
			return usagef(s.cmd, "must specify bucket ID or bucket name: give --id or --name")
		case id == "":
			ref, err := org.ref(s)
			if err != nil {
				return err
			}
			filter = client.BucketFilter{Name: name, Org: ref.Name, OrgID: ref.ID}
		}
		shown := orElse(id, name)
		found, err := s.client.Buckets(ctx, filter)
		if err != nil {
			return fmt.Errorf("failed to find bucket %q: %w", shown, err)
		}
		if len(found) == 0 {
			return fmt.Errorf("bucket %q not found", shown)
		}
		if err := s.client.DeleteBucket(ctx, found[0].ID); err != nil {
			return fmt.Errorf("failed to delete bucket %q: %w", shown, err)
		}
		return s.print(found[0], bucketTable(found[0]).deleted())
	})
	org.addTo(cmd)
	addBucketByName(cmd, &id, &name)
	return cmd
}

func addBucketByName(cmd *cobra.Command, id, name *string) {
	cmd.Flags().StringVarP(id, "id", "i", "", "The bucket ID, required if name isn't provided")
	cmd.Flags().StringVarP(name, "name", "n", "", "The bucket name, org or org-id will be required by choosing this")
}

type bucketListFlags struct {
	org                     orgFlags
	id, name                string
	limit, offset, pageSize int
}

func (a *app) bucketList() *cobra.Command {
	var f bucketListFlags
	cmd := a.online("list", "List buckets", func(ctx context.Context, s *session) error {
		buckets, err := s.listBuckets(ctx, f)
		if err != nil {
			return err
		}
		return s.print(list(buckets), bucketTable(buckets...))
	})
	cmd.Aliases = []string{"find", "ls"}
	f.org.addTo(cmd)
	addBucketByName(cmd, &f.id, &f.name)
	cmd.Flags().IntVar(&f.limit, "limit", 0, "Total number of buckets to fetch from the server, or 0 to return all buckets")
	cmd.Flags().IntVar(&f.offset, "offset", 0, "Number of buckets to skip over in the list")
	cmd.Flags().IntVar(&f.pageSize, "page-size", 20, "Number of buckets to fetch per request to the server")
	return cmd
}

// listBuckets fetches page by page: a page that is not full is the last.
func (s *session) listBuckets(ctx context.Context, f bucketListFlags) ([]client.Bucket, error) {
	if f.pageSize < 1 || f.limit < 0 || f.offset < 0 {
		return nil, usagef(s.cmd, "--page-size must be at least 1, --limit and --offset at least 0")
	}
	ref, err := f.org.ref(s)
	if err != nil {
		return nil, err
	}
	filter := client.BucketFilter{Org: ref.Name, OrgID: ref.ID, ID: f.id}
	if f.id == "" {
		filter.Name = f.name
	}
	if f.id != "" || f.name != "" {
		found, err := s.client.Buckets(ctx, filter)
		if err != nil {
			return nil, fmt.Errorf("failed to find bucket %q: %w", orElse(f.id, f.name), err)
		}
		return found, nil
	}
	var all []client.Bucket
	for {
		filter.Limit, filter.Offset = f.pageSize, f.offset+len(all)
		if f.limit > 0 {
			filter.Limit = min(f.pageSize, f.limit-len(all))
		}
		page, err := s.client.Buckets(ctx, filter)
		if err != nil {
			return nil, fmt.Errorf("failed to list buckets: %w", err)
		}
		all = append(all, page...)
		if len(page) < filter.Limit || f.limit > 0 && len(all) >= f.limit {
			return all, nil
		}
	}
}

func (a *app) bucketUpdate() *cobra.Command {
	var id, retention, shard string
	var patch client.BucketPatch
	cmd := a.online("update", "Update bucket", func(ctx context.Context, s *session) error {
		rule, err := retentionRule(s.cmd, retention, shard)
		if err != nil {
			return err
		}
		if retention != "" || shard != "" {
			change := client.RetentionRulePatch{Type: rule.Type}
			if retention != "" {
				change.EverySeconds = &rule.EverySeconds
			}
			if shard != "" {
				change.ShardGroupDurationSeconds = &rule.ShardGroupDurationSeconds
			}
			patch.RetentionRules = []client.RetentionRulePatch{change}
		}
		updated, err := s.client.UpdateBucket(ctx, id, patch)
		if err != nil {
			return fmt.Errorf("failed to update bucket %q: %w", id, err)
		}
		return s.print(updated, bucketTable(updated))
	})
	cmd.Aliases = []string{"set"}
	cmd.Flags().StringVarP(&id, "id", "i", "", "The bucket ID")
	required(cmd, "id")
	cmd.Flags().StringVarP(&patch.Name, "name", "n", "", "New name to set on the bucket")
	cmd.Flags().StringVarP(&patch.Description, "description", "d", "", "New description to set on the bucket")
	cmd.Flags().StringVarP(&retention, "retention", "r", "", "New retention duration to set on the bucket, or 0 for infinite")
	cmd.Flags().StringVar(&shard, "shard-group-duration", "", "New shard group duration to set on the bucket, or 0 to have the server calculate a value")
	return cmd
}

func bucketTable(buckets ...client.Bucket) table {
	t := table{headers: []string{"ID", "Name", "Retention", "Shard group duration", "Organization ID", "Schema Type"}}
	for _, b := range buckets {
		retention, shard := "infinite", "n/a"
		if len(b.RetentionRules) > 0 {
			if every := b.RetentionRules[0].EverySeconds; every > 0 {
				retention = (time.Duration(every) * time.Second).String()
			}
			if span := b.RetentionRules[0].ShardGroupDurationSeconds; span > 0 {
				shard = (time.Duration(span) * time.Second).String()
			}
		}
		t.add(b.ID, b.Name, retention, shard, b.OrgID, orElse(b.SchemaType, "implicit"))
	}
	return t
}
