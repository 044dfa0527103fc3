package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/node/cli/client"
)

// Commands that only a Holdfast node answers.

func (a *app) replicationPause() *cobra.Command {
	return a.replicationSwitch("pause", "Stop a replication from sending; what is written meanwhile is kept for it", (*client.Client).PauseReplication)
}

func (a *app) replicationResume() *cobra.Command {
	return a.replicationSwitch("resume", "Make a paused replication send again", (*client.Client).ResumeReplication)
}

func (a *app) replicationSwitch(verb, short string, do func(*client.Client, context.Context, string) (client.Replication, error)) *cobra.Command {
	var id string
	cmd := a.online(verb, short, func(ctx context.Context, s *session) error {
		r, err := do(s.client, ctx, id)
		if err != nil {
			return fmt.Errorf("failed to %s replication %q: %w", verb, id, err)
		}
		return s.print(r, replicationTable(r))
	})
	addReplicationID(cmd, &id)
	return cmd
}

func (a *app) replicationStatus() *cobra.Command {
	var id string
	cmd := a.online("status", "Show how replications fare: lag, backlog, what was sent and dropped, the next try", func(ctx context.Context, s *session) error {
		if id == "" {
			all, err := s.client.ReplicationStatuses(ctx)
			if err != nil {
				return fmt.Errorf("failed to get the status of replications: %w", err)
			}
			return s.print(all, statusTable(all...))
		}
		one, err := s.client.ReplicationStatus(ctx, id)
		if err != nil {
			return fmt.Errorf("failed to get the status of replication %q: %w", id, err)
		}
		return s.print(one, statusTable(one))
	})
	cmd.Flags().StringVarP(&id, "id", "i", "", "ID of the replication stream; all without it")
	return cmd
}

func statusTable(statuses ...client.NamedStatus) table {
	t := table{headers: []string{
		"ID", "Name", "State", "Lag", "Remaining Bytes", "ETA", "Points Sent", "Points Dropped", "Open Gaps", "Dead Letters", "Last Success", "Next Try", "Reason",
	}}
	for _, n := range statuses {
		s := n.Status
		state, eta := s.State, "unknown"
		if n.Paused {
			state = "paused"
		}
		if s.ETASeconds >= 0 {
			eta = seconds(s.ETASeconds)
		}
		t.add(n.ID, n.Name, state, seconds(s.LagSeconds), s.RemainingBytes, eta, s.PointsSent, droppedText(s.PointsDropped),
			s.OpenGaps, s.DeadLetters, timeText(s.LastSuccess), timeText(s.NextTry), s.Reason)
	}
	return t
}

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(time.Second).String()
}

// droppedText lists counts by reason: "0", or "12 (damaged 2, refused 10)".
func droppedText(byReason map[string]int64) string {
	var sum int64
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(byReason)) {
		if byReason[reason] != 0 {
			sum += byReason[reason]
			parts = append(parts, fmt.Sprintf("%s %d", reason, byReason[reason]))
		}
	}
	if sum == 0 {
		return "0"
	}
	return fmt.Sprintf("%d (%s)", sum, strings.Join(parts, ", "))
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func (a *app) replicationDeadLetters() *cobra.Command {
	var id string
	var offset, limit int
	var lines bool
	cmd := a.online("dead-letters", "List the lines that the remote refused for good", func(ctx context.Context, s *session) error {
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
		if left := total - offset - len(letters); left > 0 {
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
	var letters []string
	cmd := a.online("retry", "Send dead letters once more", func(ctx context.Context, s *session) error {
		n, err := s.client.RetryDeadLetters(ctx, id, letters)
		if err != nil {
			return fmt.Errorf("failed to retry the dead letters of replication %q: %w", id, err)
		}
		if s.json {
			return s.printJSON(map[string]int{"retried": n})
		}
		_, err = fmt.Fprintf(s.Out, "%d dead letters will be sent once more\n", n)
		return err
	})
	addReplicationID(cmd, &id)
	cmd.Flags().StringArrayVar(&letters, "dead-letter", nil, "ID of a dead letter; repeatable; all without it")
	return cmd
}
