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

// ownReplicationCommands are those that only a Holdfast node answers.
func (a *app) ownReplicationCommands() []*cobra.Command {
	return []*cobra.Command{
		a.replicationStatus(),
		a.replicationSwitch("pause", "Stop a replication from sending; what is written meanwhile is kept for it", (*client.Client).PauseReplication),
		a.replicationSwitch("resume", "Make a paused replication send again", (*client.Client).ResumeReplication),
		a.replicationDeadLetters(), a.replicationRetry(), a.replicationPurge(),
		a.replicationGaps(), a.replicationFill(), a.replicationResync(),
	}
}

func (a *app) replicationSwitch(verb, short string, do func(*client.Client, context.Context, string) (client.ReplicationStatus, error)) *cobra.Command {
	var id string
	cmd := a.online(verb, short, func(ctx context.Context, s *session) error {
		status, err := do(s.client, ctx, id)
		if err != nil {
			return fmt.Errorf("failed to %s replication %q: %w", verb, id, err)
		}
		return s.print(status, statusTable(status))
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
			return s.print(list(all), statusTable(all...))
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

func statusTable(statuses ...client.ReplicationStatus) table {
	t := table{headers: []string{
		"ID", "Name", "State", "Lag", "Remaining Bytes", "ETA", "Points Sent", "Points Dropped", "Open Gaps", "Dead Letters", "Last Success", "Next Try", "Reason",
	}}
	for _, s := range statuses {
		state, eta := s.State, "unknown"
		if s.Paused {
			state = "paused"
		}
		if s.ETASeconds != nil {
			eta = seconds(*s.ETASeconds)
		}
		t.add(s.ID, s.Name, state, seconds(s.LagSeconds), s.RemainingBytes, eta, s.PointsSent, droppedText(s.Dropped),
			s.OpenGaps, s.DeadLetters, timeText(s.LastSuccess), timeText(s.NextTry), joined("; ", s.Reason, s.Damage))
	}
	return t
}

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(time.Second).String()
}

// droppedText lists counts by reason: "0", or "12 (purged 2, refused 10)".
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

// joined joins what is not empty.
func joined(separator string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), separator)
}
