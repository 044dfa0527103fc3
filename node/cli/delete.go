package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/node/cli/client"
)

func (a *app) deleteCommand() *cobra.Command {
	var org orgFlags
	var bucket bucketFlags
	var r client.DeleteRange
	cmd := a.online("delete", "Delete points of a bucket", func(ctx context.Context, s *session) error {
		ref, err := org.ref(s)
		if err != nil {
			return err
		}
		if err := bucket.check(s.cmd); err != nil {
			return err
		}
		if err := checkTimes(s.cmd, r.Start, r.Stop); err != nil {
			return err
		}
		from := client.DeleteTarget{Org: ref.Name, OrgID: ref.ID, BucketID: bucket.id}
		if bucket.id == "" {
			from.Bucket = bucket.name
		}
		if err := s.client.Delete(ctx, from, r); err != nil {
			return fmt.Errorf("failed to delete data: %w", err)
		}
		return nil
	})
	org.addTo(cmd)
	bucket.addTo(cmd, "to delete from")
	addTimes(cmd, &r.Start, &r.Stop)
	cmd.Flags().StringVarP(&r.Predicate, "predicate", "p", "", `Condition such as '_measurement="cpu" AND host="a"'; all points of the range without it`)
	return cmd
}

// bucketFlags name a bucket where points go to or come from.
type bucketFlags struct{ id, name string }

func (b *bucketFlags) addTo(cmd *cobra.Command, what string) {
	cmd.Flags().StringVar(&b.id, "bucket-id", "", "The ID of the bucket "+what)
	cmd.Flags().StringVarP(&b.name, "bucket", "b", "", "The name of the bucket "+what)
	fromEnv(cmd, "bucket-id", "BUCKET_ID")
	fromEnv(cmd, "bucket", "BUCKET_NAME")
	rivals(cmd, "bucket-id", "bucket")
}

func (b *bucketFlags) check(cmd *cobra.Command) error {
	switch {
	case b.id == "" && b.name == "":
		return usagef(cmd, "must specify bucket ID or bucket name: give --bucket, or set HOLDFAST_BUCKET_NAME")
	case b.id != "" && b.name != "":
		return usagef(cmd, "ambiguous bucket: give --bucket-id or --bucket, not both")
	}
	return nil
}
