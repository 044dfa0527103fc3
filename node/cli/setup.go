package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/node/cli/client"
	"github.com/holdfast-telemetry/holdfast/node/cli/profile"
)

type setupFlags struct {
	username, password, token, org, bucket, retention, configName string
	force                                                         bool
}

func (a *app) setupCommand() *cobra.Command {
	var conn connection
	var f setupFlags
	cmd := a.onlineWithoutToken("setup", "Setup instance with initial user, org, bucket", &conn,
		func(ctx context.Context, s *session) error { return s.setup(ctx, f) })
	cmd.Long = `Setup instance with initial user, org, bucket.

What is not given by flags is asked for, then the whole is confirmed; with --force nothing is asked. The operator token that the
server makes is saved in a config, which later commands use.`
	flags := cmd.Flags()
	flags.StringVarP(&f.username, "username", "u", "", "Name of initial user to create")
	flags.StringVarP(&f.password, "password", "p", "", "Password to set on initial user")
	flags.StringVarP(&f.token, "token", "t", "", "Auth token to set on the initial user (default: the server makes one)")
	fromEnv(cmd, "token", "TOKEN")
	flags.StringVarP(&f.org, "org", "o", "", "Name of initial organization to create")
	flags.StringVarP(&f.bucket, "bucket", "b", "", "Name of initial bucket to create")
	flags.StringVarP(&f.retention, "retention", "r", "", "Duration initial bucket will retain data, or 0 for infinite")
	flags.BoolVarP(&f.force, "force", "f", false, "Skip confirmation prompt")
	flags.StringVarP(&f.configName, "name", "n", "", "Name to set on CLI config generated for the instance, required if other configs exist")
	return cmd
}

func (s *session) setup(ctx context.Context, f setupFlags) error {
	allowed, err := s.client.SetupAllowed(ctx)
	if err != nil {
		return fmt.Errorf("failed to check if already set up: %w", err)
	}
	if !allowed {
		return fmt.Errorf("instance at %s has already been set up", s.client.Host())
	}
	// The result must have a place before the server is changed: the token is shown only once.
	name, err := s.newConfigName(f.configName)
	if err != nil {
		return err
	}
	request, err := s.setupRequest(ctx, f)
	if err != nil {
		return err
	}
	result, err := s.client.Setup(ctx, request)
	if err != nil {
		return fmt.Errorf("failed to setup instance: %w", err)
	}
	config := profile.Profile{Name: name, Host: s.profile.Host, Token: result.Auth.Token, Org: result.Org.Name, Active: true}
	if _, err := s.configs.Create(config); err != nil {
		return fmt.Errorf("setup succeeded, but its token could not be saved (create one with `auth create` after signing in as %q): %w",
			result.User.Name, err)
	}
	t := table{headers: []string{"User", "Organization", "Bucket"}}
	t.add(result.User.Name, result.Org.Name, result.Bucket.Name)
	return s.print(map[string]string{
		"user": result.User.Name, "organization": result.Org.Name, "bucket": result.Bucket.Name,
	}, t)
}

func (s *session) newConfigName(name string) (string, error) {
	existing, err := s.configs.List()
	if err != nil {
		return "", err
	}
	if name == "" && len(existing) > 0 {
		return "", usagef(s.cmd, "config name is required if you already have existing configs: give --name (-n)")
	}
	for _, p := range existing {
		if p.Name == name {
			return "", fmt.Errorf("config name %q already exists in %s: give another with --name, or remove it with `config rm`", name, s.configs.Path)
		}
	}
	return orElse(name, profile.Default.Name), nil
}

func (s *session) setupRequest(ctx context.Context, f setupFlags) (client.SetupRequest, error) {
	r := client.SetupRequest{Username: f.username, Password: f.password, Token: f.token, Org: f.org, Bucket: f.bucket}
	var err error
	if r.RetentionSeconds, err = parseSeconds(f.retention); err != nil {
		return r, usagef(s.cmd, "--retention: %w", err)
	}
	if (f.force || f.password != "") && len(f.password) < minPassword {
		return r, usagef(s.cmd, "%w", errShortPassword)
	}
	if f.force {
		for _, flag := range []struct{ name, value string }{{"--username", f.username}, {"--org", f.org}, {"--bucket", f.bucket}} {
			if flag.value == "" {
				return r, usagef(s.cmd, "--force asks nothing, so %s must be given", flag.name)
			}
		}
		return r, nil
	}
	return s.askSetup(ctx, r, f.retention == "")
}

func (s *session) askSetup(ctx context.Context, r client.SetupRequest, askRetention bool) (client.SetupRequest, error) {
	ask := s.prompt()
	ask.say("> Welcome! This sets up %s.\n", s.client.Host())
	for _, q := range []struct {
		answer   *string
		question string
		secret   bool
	}{
		{&r.Username, "Please type your primary username", false},
		{&r.Password, "Please type your password", true},
		{&r.Org, "Please type your primary organization name", false},
		{&r.Bucket, "Please type your primary bucket name", false},
	} {
		if *q.answer != "" {
			continue
		}
		var err error
		if q.secret {
			*q.answer, err = ask.newPassword(ctx, q.question)
		} else {
			*q.answer, err = ask.text(ctx, q.question, "")
		}
		if err != nil {
			return r, fmt.Errorf("%w (give --username, --password, --org, --bucket and --force to be asked nothing)", err)
		}
	}
	if askRetention {
		hours, err := askHours(ctx, ask)
		if err != nil {
			return r, err
		}
		r.RetentionSeconds = hours * 3600
	}
	retention := "infinite"
	if r.RetentionSeconds > 0 {
		retention = (time.Duration(r.RetentionSeconds) * time.Second).String()
	}
	ok, err := ask.confirm(ctx, fmt.Sprintf(`Setup with these parameters?
  Username:          %s
  Organization:      %s
  Bucket:            %s
  Retention Period:  %s
`, r.Username, r.Org, r.Bucket, retention))
	if err == nil && !ok {
		err = errors.New("setup was canceled: nothing was changed (--force skips the confirmation)")
	}
	return r, err
}

// askHours asks until the answer is a whole number of hours that a duration can hold.
func askHours(ctx context.Context, ask *prompter) (int64, error) {
	const most = int64(1<<63-1) / int64(time.Hour)
	for {
		answer, err := ask.text(ctx, "Please type your retention period in hours, or 0 for infinite", "0")
		if err != nil {
			return 0, err
		}
		hours, err := strconv.ParseInt(answer, 10, 64)
		if err == nil && hours >= 0 && hours <= most {
			return hours, nil
		}
		ask.say("X Retention period must be a whole number of hours, 0 or more\n")
	}
}
