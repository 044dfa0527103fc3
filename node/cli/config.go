package cli

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/node/cli/profile"
)

func (a *app) configCommand() *cobra.Command {
	cmd := a.local("config [name | -]", "Config management commands", func(l *localSession) error {
		p, err := l.configs.Active()
		if len(l.args) > 0 {
			p, err = l.configs.Activate(l.args[0])
		}
		if err != nil {
			return err
		}
		return l.printConfig(p)
	})
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usagef(cmd, "give the name of one config")
		}
		return nil
	}
	cmd.Long = `Without a name, print the active config; with one, make that config active; with -, the one that was active before.

A config is a server's address, a token and a default organization. They are kept in ~/.influxdbv2/configs, which the influx
command shares.`
	cmd.AddCommand(a.configCreate(), a.configList(), a.configUpdate(), a.configRemove())
	return cmd
}

// localSession is what commands have that only work on the configs.
type localSession struct {
	*app
	printer
	configs profile.File
	cmd     *cobra.Command
	args    []string
}

func (a *app) local(use, short string, run func(l *localSession) error) *cobra.Command {
	var path string
	var p printer
	cmd := a.leaf(use, short, func(cmd *cobra.Command, args []string) error {
		configs, err := configFile(path)
		if err != nil {
			return err
		}
		p.out = a.Out
		return run(&localSession{app: a, printer: p, configs: configs, cmd: cmd, args: args})
	})
	addConfigsPath(cmd, &path)
	p.addTo(cmd)
	return cmd
}

// configFlags describe a config.
type configFlags struct {
	profile.Profile
	userPassword string
}

func (c *configFlags) addTo(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&c.Name, "config-name", "n", "", "Name of the config")
	f.StringVarP(&c.Host, "host-url", "u", "", "Base URL of the server the config targets")
	f.StringVarP(&c.Token, "token", "t", "", "Auth token to use when communicating with the server")
	f.StringVarP(&c.userPassword, "username-password", "p", "", "Username (and optionally `username:password`) to use for authentication")
	f.StringVarP(&c.Org, "org", "o", "", "Default organization name to use in the config")
	f.BoolVarP(&c.Active, "active", "a", false, "Set the config as active")
}

// value checks the flags and returns the config that they describe.
func (c *configFlags) value(cmd *cobra.Command) (profile.Profile, error) {
	p := c.Profile
	if p.Token != "" && c.userPassword != "" {
		return p, usagef(cmd, "token and username-password cannot be specified together, please choose just one")
	}
	if c.userPassword != "" {
		p.Cookie = base64.StdEncoding.EncodeToString([]byte(c.userPassword))
	}
	if p.Host != "" {
		u, err := url.Parse(p.Host)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return p, usagef(cmd, "host URL %q is invalid: it must look like http://localhost:8086", p.Host)
		}
	}
	return p, nil
}

func (a *app) configCreate() *cobra.Command {
	var c configFlags
	cmd := a.local("create", "Create config", func(l *localSession) error {
		p, err := c.value(l.cmd)
		if err != nil {
			return err
		}
		if p, err = l.configs.Create(p); err != nil {
			return fmt.Errorf("failed to create config %q: %w", c.Name, err)
		}
		return l.printConfig(p)
	})
	c.addTo(cmd)
	required(cmd, "config-name", "host-url")
	return cmd
}

func (a *app) configUpdate() *cobra.Command {
	var c configFlags
	cmd := a.local("set", "Update config", func(l *localSession) error {
		p, err := c.value(l.cmd)
		if err != nil {
			return err
		}
		if p, err = l.configs.Update(p); err != nil {
			return fmt.Errorf("failed to update config %q: %w", c.Name, err)
		}
		return l.printConfig(p)
	})
	cmd.Aliases = []string{"update"}
	c.addTo(cmd)
	required(cmd, "config-name")
	return cmd
}

func (a *app) configList() *cobra.Command {
	cmd := a.local("ls", "List configs", func(l *localSession) error {
		profiles, err := l.configs.List()
		if err != nil {
			return err
		}
		return l.print(byName(profiles), configTable(profiles...))
	})
	cmd.Aliases = []string{"list"}
	return cmd
}

func (a *app) configRemove() *cobra.Command {
	cmd := a.local("rm NAME...", "Delete configs", func(l *localSession) error {
		var deleted []profile.Profile
		for _, name := range l.args {
			p, err := l.configs.Delete(name)
			if errors.Is(err, profile.ErrNotFound) {
				_, _ = fmt.Fprintf(l.Err, "WARN: %v\n", err)
				continue
			}
			if err != nil {
				return err
			}
			deleted = append(deleted, p)
		}
		return l.print(byName(deleted), configTable(deleted...).deleted())
	})
	cmd.Aliases = []string{"delete", "remove"}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usagef(cmd, "give the names of the configs to delete")
		}
		return nil
	}
	return cmd
}

func (l *localSession) printConfig(p profile.Profile) error {
	p.Token, p.Cookie = hidden(p.Token), hidden(p.Cookie)
	return l.print(p, configTable(p))
}

// byName is the JSON form of a list of configs. Their secrets stay in the file.
func byName(profiles []profile.Profile) map[string]profile.Profile {
	m := make(map[string]profile.Profile, len(profiles))
	for _, p := range profiles {
		p.Token, p.Cookie = hidden(p.Token), hidden(p.Cookie)
		m[p.Name] = p
	}
	return m
}

func hidden(secret string) string {
	if secret == "" {
		return ""
	}
	return "(not shown)"
}

func configTable(profiles ...profile.Profile) table {
	t := table{headers: []string{"Active", "Name", "URL", "Org"}}
	for _, p := range profiles {
		active := ""
		if p.Active {
			active = "*"
		}
		t.add(active, p.Name, p.Host, p.Org)
	}
	return t
}
