package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) pingCommand() *cobra.Command {
	var conn connection
	return a.onlineWithoutToken("ping", "Check that the server is healthy (its /health endpoint)", &conn,
		func(ctx context.Context, s *session) error {
			health, err := s.client.Health(ctx)
			if err != nil {
				return err
			}
			if health.Status != "pass" {
				return fmt.Errorf("health check failed: %s", orElse(health.Message, "the server's status is "+health.Status))
			}
			_, err = fmt.Fprintln(s.Out, "OK")
			return err
		})
}
