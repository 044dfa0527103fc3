package cli

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/internal/commandline"
	"github.com/holdfast-telemetry/holdfast/node/cli/client"
	"github.com/holdfast-telemetry/holdfast/node/cli/profile"
)

// connection holds the flags that say which server to talk to.
type connection struct {
	host, token, configsPath, profile, traceID string
	skipVerify, debug                          bool
	headers                                    []string
}

func (c *connection) addTo(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.host, "host", "", "HTTP address of the server")
	fromEnv(cmd, "host", "HOST")
	f.BoolVar(&c.skipVerify, "skip-verify", false, "Skip TLS certificate chain and host name verification")
	fromEnv(cmd, "skip-verify", "SKIP_VERIFY")
	addConfigsPath(cmd, &c.configsPath)
	f.StringVarP(&c.profile, "active-config", "c", "", "Config to use for this command")
	fromEnv(cmd, "active-config", "ACTIVE_CONFIG")
	f.StringVar(&c.traceID, "trace-debug-id", "", "Trace ID to send")
	fromEnv(cmd, "trace-debug-id", "TRACE_DEBUG_ID")
	f.StringArrayVar(&c.headers, "extra-http-header", nil, "Header to send, as `name:value`")
	fromEnv(cmd, "extra-http-header", "EXTRA_HTTP_HEADER")
	for _, hidden := range []string{"trace-debug-id", "extra-http-header"} {
		f.Lookup(hidden).Hidden = true
	}
	f.BoolVar(&c.debug, "http-debug", false, "Write the head of every request and response to stderr")
}

func (c *connection) addTokenTo(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&c.token, "token", "t", "", "Token to authenticate requests with")
	fromEnv(cmd, "token", "TOKEN")
}

func addConfigsPath(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "configs-path", "", "File of the configs (default ~/.influxdbv2/configs)")
	fromEnv(cmd, "configs-path", "CONFIGS_PATH")
}

func configFile(path string) (profile.File, error) {
	if path != "" {
		return profile.File{Path: path}, nil
	}
	path, err := profile.DefaultPath()
	return profile.File{Path: path}, err
}

// session is one command's connection to a server, with the profile it came from and the way to print.
type session struct {
	*app
	printer
	client  *client.Client
	configs profile.File
	// profile is the one in use, with the host and token of flags and environment in place of its own.
	profile profile.Profile
	cmd     *cobra.Command
	args    []string
}

// online makes a command that talks to a server with a token and prints resources.
func (a *app) online(use, short string, run func(ctx context.Context, s *session) error) *cobra.Command {
	var conn connection
	cmd := a.onlineWithoutToken(use, short, &conn, run)
	conn.addTokenTo(cmd)
	return cmd
}

// onlineWithoutToken is for commands that need no token, or that have a meaning of their own for the flag of that name.
func (a *app) onlineWithoutToken(use, short string, conn *connection, run func(ctx context.Context, s *session) error) *cobra.Command {
	var p printer
	cmd := a.leaf(use, short, func(cmd *cobra.Command, args []string) error {
		s, err := a.open(cmd, conn, p)
		if err != nil {
			return err
		}
		s.args = args
		return s.explain(run(cmd.Context(), s))
	})
	conn.addTo(cmd)
	p.addTo(cmd)
	return cmd
}

func (a *app) open(cmd *cobra.Command, conn *connection, p printer) (*session, error) {
	configs, err := configFile(conn.configsPath)
	if err != nil {
		return nil, err
	}
	active, err := configs.Active()
	if conn.profile != "" {
		active, err = configs.Get(conn.profile)
	}
	if err != nil {
		return nil, err
	}
	active.Host = orElse(conn.host, active.Host)
	if conn.token != "" {
		active.Token, active.Cookie = conn.token, ""
	}
	header, err := conn.header(cmd)
	if err != nil {
		return nil, err
	}
	o := client.Options{
		Host: active.Host, Token: active.Token, InsecureTLS: conn.skipVerify, UserAgent: a.build.UserAgent(cmd.Root().Name()), Header: header,
	}
	if conn.debug {
		o.Debug = a.Err
	}
	c, err := client.New(o)
	if err != nil {
		return nil, commandline.Usage(cmd, err)
	}
	p.out = a.Out
	s := &session{app: a, printer: p, client: c, configs: configs, profile: active, cmd: cmd}
	if active.Token == "" && active.Cookie != "" {
		return s, s.explain(s.signIn(cmd.Context()))
	}
	return s, nil
}

func (c *connection) header(cmd *cobra.Command) (http.Header, error) {
	h := http.Header{}
	for _, line := range c.headers {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, usagef(cmd, "--extra-http-header %q has no value: write it as name:value", line)
		}
		h.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	if c.traceID != "" {
		h.Set("Zap-Trace-Span", c.traceID)
	}
	return h, nil
}

// signIn opens a session for the user of a profile that has one instead of a token.
func (s *session) signIn(ctx context.Context) error {
	decoded, err := base64.StdEncoding.DecodeString(s.profile.Cookie)
	if err != nil {
		return fmt.Errorf("the user name in config %q is damaged: set it anew with `config set --username-password`", s.profile.Name)
	}
	user, password, ok := strings.Cut(string(decoded), ":")
	if !ok {
		if password, err = s.prompt().secret(ctx, fmt.Sprintf("Please type the password of %q", user)); err != nil {
			return err
		}
	}
	return s.client.SignIn(ctx, user, password)
}

// explain adds to an error what its reader can do about it.
func (s *session) explain(err error) error {
	var unreachable *client.UnreachableError
	var refused *client.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unreachable) && errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w\nNothing listens at %s: start a node there with `holdfast run`, or name another server with --host, HOLDFAST_HOST or a config",
			err, unreachable.Host)
	case errors.As(err, &unreachable) && strings.Contains(err.Error(), "x509:"):
		return fmt.Errorf("%w\nThe server's certificate is not trusted here: add its CA to this machine, or pass --skip-verify", err)
	case errors.As(err, &refused) && refused.Status == http.StatusUnauthorized && !s.client.HasCredentials():
		return fmt.Errorf("%w\nNo token was sent: give --token, set HOLDFAST_TOKEN, or save one with `%s config create`", err, s.cmd.Root().Name())
	case errors.As(err, &refused) && refused.Status == http.StatusUnauthorized:
		return fmt.Errorf("%w\nThe server does not know the credentials that were sent (or they do not permit this): check the token of config %q, or give another with --token",
			err, s.profile.Name)
	case errors.As(err, &refused) && refused.Status == http.StatusNotFound && refused.Message == "path not found":
		return fmt.Errorf("%w\nThe server at %s does not have this: it is no Holdfast node, or an older one", err, s.client.Host())
	}
	return err
}

// orgFlags name an organization.
type orgFlags struct{ id, name string }

func (o *orgFlags) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.id, "org-id", "", "The ID of the organization")
	cmd.Flags().StringVarP(&o.name, "org", "o", "", "The name of the organization (default: the config's)")
	fromEnv(cmd, "org-id", "ORG_ID")
	fromEnv(cmd, "org", "ORG")
	rivals(cmd, "org-id", "org")
}

// ref returns the one of the two that was given, or the profile's organization.
func (o orgFlags) ref(s *session) (client.OrgRef, error) {
	switch {
	case o.id != "" && o.name != "":
		return client.OrgRef{}, usagef(s.cmd, "ambiguous organization: give --org-id or --org, not both")
	case o.id != "":
		return client.OrgRef{ID: o.id}, nil
	case o.name != "" || s.profile.Org != "":
		return client.OrgRef{Name: orElse(o.name, s.profile.Org)}, nil
	}
	return client.OrgRef{}, usagef(s.cmd, "must specify org ID or org name: give --org, set HOLDFAST_ORG, or use a config with an organization")
}

// resolve returns the organization's ID, asking the server when only the name is known.
func (o orgFlags) resolve(ctx context.Context, s *session) (string, error) {
	ref, err := o.ref(s)
	if err != nil || ref.ID != "" {
		return ref.ID, err
	}
	orgs, err := s.client.Orgs(ctx, ref.Name, "")
	if err != nil {
		return "", fmt.Errorf("failed to look up organization %q: %w", ref.Name, err)
	}
	if len(orgs) == 0 {
		return "", fmt.Errorf("no organization with name %q", ref.Name)
	}
	return orgs[0].ID, nil
}
