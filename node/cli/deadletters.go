package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) replicationDeadLetters() *cobra.Command {
	var id string
	var offset, limit int
	var lines bool
	cmd := a.online("dead-letters", "List the lines that the remote refused for good", func(ctx context.Context, s *session) error {
		if limit < 1 || offset < 0 {
			return usagef(s.cmd, "--limit must be at least 1, --offset at least 0")
		}
		letters, total, err := s.client.DeadLetters(ctx, id, offset, limit)
		if err != nil {
			return fmt.Errorf("failed to list the dead letters of replication %q: %w", id, err)
		}
		if lines {
			for _, l := range letters {
				if _, err := fmt.Fprintln(s.Out, l.Line); err != nil {
					return err
				}
			}
		} else {
			t := table{headers: []string{"ID", "At", "Status Code", "Reason", "Line"}}
			for _, l := range letters {
				t.add(l.ID, timeText(l.At), l.Code, l.Reason, l.Line)
			}
			if err := s.print(list(letters), t); err != nil {
				return err
			}
		}
		if left := total - offset - len(letters); left > 0 && len(letters) > 0 {
			_, err = fmt.Fprintf(s.Err, "%d more; list them with --offset %d\n", left, offset+len(letters))
		}
		return err
	})
	addReplicationID(cmd, &id)
	cmd.Flags().IntVar(&limit, "limit", 20, "Number of dead letters to list, 100 at most")
	cmd.Flags().IntVar(&offset, "offset", 0, "Number of dead letters to skip over in the list")
	cmd.Flags().BoolVar(&lines, "lines", false, "Print nothing but the lines, which can be mended and written again")
	return cmd
}

func (a *app) replicationRetry() *cobra.Command {
	var id string
	var letters []int64
	cmd := a.online("retry", "Send dead letters once more", func(ctx context.Context, s *session) error {
		if err := s.client.RetryDeadLetters(ctx, id, letters); err != nil {
			return fmt.Errorf("failed to retry the dead letters of replication %q: %w", id, err)
		}
		return nil
	})
	addReplicationID(cmd, &id)
	cmd.Flags().Int64SliceVar(&letters, "dead-letter", nil, "ID of a dead letter; repeatable; all without it")
	return cmd
}

func (a *app) replicationPurge() *cobra.Command {
	var id string
	var letters []int64
	var all bool
	cmd := a.online("purge", "Delete dead letters: their points will not reach the remote", func(ctx context.Context, s *session) error {
		if all == (len(letters) > 0) {
			return usagef(s.cmd, "give --dead-letter ID, or --all")
		}
		n, err := s.client.PurgeDeadLetters(ctx, id, letters)
		if err != nil {
			return fmt.Errorf("failed to purge the dead letters of replication %q: %w", id, err)
		}
		if s.json {
			return s.printJSON(map[string]int{"purged": n})
		}
		_, err = fmt.Fprintf(s.Out, "purged %d dead letters\n", n)
		return err
	})
	addReplicationID(cmd, &id)
	cmd.Flags().Int64SliceVar(&letters, "dead-letter", nil, "ID of a dead letter; repeatable")
	cmd.Flags().BoolVar(&all, "all", false, "Delete all of them")
	return cmd
}

func (a *app) replicationGaps() *cobra.Command {
	var id string
	cmd := a.online("gaps", "List the spans of time that were not sent in step and are filled from the store", func(ctx context.Context, s *session) error {
		gaps, err := s.client.Gaps(ctx, id)
		if err != nil {
			return fmt.Errorf("failed to list the gaps of replication %q: %w", id, err)
		}
		t := table{headers: []string{"ID", "Reason", "Found", "First Time", "Last Time", "Points", "State", "Points Sent", "Closed"}}
		for _, g := range gaps {
			points := any(g.Points)
			if g.Points < 0 {
				points = "unknown"
			}
			t.add(g.ID, g.Reason, timeText(g.Found), timeText(time.Unix(0, g.MinTime)), timeText(time.Unix(0, g.MaxTime)), points, g.State, g.Sent, timeText(g.Closed))
		}
		return s.print(list(gaps), t)
	})
	addReplicationID(cmd, &id)
	return cmd
}

func (a *app) replicationFill() *cobra.Command {
	var id string
	var gap int
	cmd := a.online("fill", "Fill a gap from the store now", func(ctx context.Context, s *session) error {
		if err := s.client.FillGap(ctx, id, gap); err != nil {
			return fmt.Errorf("failed to fill gap %d of replication %q: %w", gap, id, err)
		}
		return nil
	})
	addReplicationID(cmd, &id)
	cmd.Flags().IntVar(&gap, "gap", 0, "ID of the gap")
	required(cmd, "gap")
	return cmd
}

func (a *app) replicationResync() *cobra.Command {
	var id, start, stop string
	cmd := a.online("resync", "Send the points of a range of time once more, from the store", func(ctx context.Context, s *session) error {
		if err := checkTimes(s.cmd, start, stop); err != nil {
			return err
		}
		if err := s.client.Resync(ctx, id, start, stop); err != nil {
			return fmt.Errorf("failed to resync replication %q: %w", id, err)
		}
		return nil
	})
	addReplicationID(cmd, &id)
	addTimes(cmd, &start, &stop)
	return cmd
}

// addTimes adds the flags of a range of time, both ends inclusive.
func addTimes(cmd *cobra.Command, start, stop *string) {
	cmd.Flags().StringVar(start, "start", "", "The start time in RFC3339Nano format (ex: '2009-01-02T23:00:00Z')")
	cmd.Flags().StringVar(stop, "stop", "", "The stop time in RFC3339Nano format (ex: '2009-01-02T23:00:00Z')")
	required(cmd, "start", "stop")
}

func checkTimes(cmd *cobra.Command, start, stop string) error {
	for _, at := range []struct{ flag, value string }{{"start", start}, {"stop", stop}} {
		if _, err := time.Parse(time.RFC3339Nano, at.value); err != nil {
			return usagef(cmd, "--%s %q is not an RFC 3339 time such as 2026-03-01T10:00:00Z", at.flag, at.value)
		}
	}
	return nil
}
