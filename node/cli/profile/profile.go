// Package profile keeps the connection profiles of the command line: named servers with their tokens, one of them active.
//
// The file is the one of the `influx` command (~/.influxdbv2/configs, TOML, a table for each profile), so that both commands share
// their profiles. It holds tokens: it is written with mode 0600, as a whole, by rename. Keys this package does not know are kept; comments are not.
package profile

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/influxdata/toml"
)

// Profile is one server and how to speak to it.
type Profile struct {
	Name string `json:"-"`
	// Host is the server's address, such as http://localhost:8086.
	Host string `json:"url"`
	// Token is an API token in clear.
	Token string `json:"token"`
	// Org is the default organization's name.
	Org string `json:"org"`
	// Active marks the profile that commands use. At most one is.
	Active bool `json:"active,omitempty"`
	// Previous marks the profile that was active before.
	Previous bool `json:"previous,omitempty"`
	// Cookie is base64 of `user` or `user:password` for a session instead of a token.
	Cookie string `json:"cookie,omitempty"`

	// unknown are the keys that only other programs know.
	unknown map[string]any
}

// Default is what commands use without any profile.
var Default = Profile{Name: "default", Host: "http://localhost:8086", Active: true}

// Errors that callers branch on.
var (
	ErrNotFound = errors.New("config is not found")
	ErrExists   = errors.New("config already exists")
)

// reserved are the names that the command line has as words of its own.
var reserved = []string{"-", "list", "update", "set", "delete", "switch", "create"}

// File is a file of profiles. The file need not exist.
type File struct{ Path string }

// DefaultPath returns the place that the `influx` command uses.
func DefaultPath() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("finding the home directory (give --configs-path): %w", err)
	}
	return filepath.Join(home, ".influxdbv2", "configs"), nil
}

// List returns the profiles by name, sorted.
func (f File) List() ([]Profile, error) {
	set, err := f.read()
	if err != nil {
		return nil, err
	}
	profiles := make([]Profile, 0, len(set))
	for _, name := range slices.Sorted(maps.Keys(set)) {
		profiles = append(profiles, set[name])
	}
	return profiles, nil
}

// Get returns the profile of a name.
func (f File) Get(name string) (Profile, error) {
	set, err := f.read()
	if err != nil {
		return Profile{}, err
	}
	p, ok := set[name]
	if !ok {
		return Profile{}, fmt.Errorf("%w: %q in %s", ErrNotFound, name, f.Path)
	}
	return p, nil
}

// Active returns the active profile; where none is marked, the first by name; where there is none, Default.
func (f File) Active() (Profile, error) {
	profiles, err := f.List()
	if err != nil {
		return Profile{}, err
	}
	for _, p := range profiles {
		if p.Active {
			return p, nil
		}
	}
	if len(profiles) > 0 {
		return profiles[0], nil
	}
	return Default, nil
}

// Create adds a profile, and makes it the active one if it says so.
func (f File) Create(p Profile) (Profile, error) {
	if p.Name == "" {
		return Profile{}, errors.New("config name is empty")
	}
	if slices.Contains(reserved, p.Name) {
		return Profile{}, fmt.Errorf("%q is not a valid config name: choose another", p.Name)
	}
	set, err := f.read()
	if err != nil {
		return Profile{}, err
	}
	if _, ok := set[p.Name]; ok {
		return Profile{}, fmt.Errorf("%w: %q in %s", ErrExists, p.Name, f.Path)
	}
	set[p.Name] = p
	if p.Active {
		set.activate(p.Name)
	}
	return set[p.Name], f.write(set)
}

// Update sets what is not empty in p on the profile of its name. A token replaces a cookie and the reverse.
func (f File) Update(p Profile) (Profile, error) {
	set, err := f.read()
	if err != nil {
		return Profile{}, err
	}
	old, ok := set[p.Name]
	if !ok {
		return Profile{}, fmt.Errorf("%w: %q in %s", ErrNotFound, p.Name, f.Path)
	}
	if p.Token != "" {
		old.Token, old.Cookie = p.Token, ""
	}
	if p.Cookie != "" {
		old.Token, old.Cookie = "", p.Cookie
	}
	if p.Host != "" {
		old.Host = p.Host
	}
	if p.Org != "" {
		old.Org = p.Org
	}
	set[p.Name] = old
	if p.Active {
		set.activate(p.Name)
	}
	return set[p.Name], f.write(set)
}

// Activate makes a profile the active one; "-" is the one that was active before.
func (f File) Activate(name string) (Profile, error) {
	if name != "-" {
		return f.Update(Profile{Name: name, Active: true})
	}
	profiles, err := f.List()
	if err != nil {
		return Profile{}, err
	}
	for _, p := range profiles {
		if p.Previous {
			return f.Update(Profile{Name: p.Name, Active: true})
		}
	}
	return Profile{}, fmt.Errorf("%w: no config was active before", ErrNotFound)
}

// Delete removes a profile. When it was the active one, the one before it, or else the first by name, becomes active.
func (f File) Delete(name string) (Profile, error) {
	set, err := f.read()
	if err != nil {
		return Profile{}, err
	}
	p, ok := set[name]
	if !ok {
		return Profile{}, fmt.Errorf("%w: %q in %s", ErrNotFound, name, f.Path)
	}
	delete(set, name)
	if p.Active && len(set) > 0 {
		set.activate(set.successor())
	}
	return p, f.write(set)
}

type profiles map[string]Profile

func (s profiles) activate(name string) {
	for n, p := range s {
		if n == name {
			p.Active, p.Previous = true, false
		} else {
			p.Active, p.Previous = false, p.Active
		}
		s[n] = p
	}
}

func (s profiles) successor() string {
	names := slices.Sorted(maps.Keys(s))
	for _, n := range names {
		if s[n].Previous {
			return n
		}
	}
	return names[0]
}

func (f File) read() (profiles, error) {
	text, err := os.ReadFile(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return profiles{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the configs: %w", err)
	}
	tables := map[string]map[string]any{}
	if err := toml.Unmarshal(text, &tables); err != nil {
		return nil, fmt.Errorf("reading the configs in %s (repair the file, or move it away and run `config create`): %w", f.Path, err)
	}
	set := profiles{}
	for name, table := range tables {
		set[name] = fromTable(name, table)
	}
	return set, nil
}

// write replaces the file, so that a crash leaves the old one or the new one.
func (f File) write(set profiles) error {
	folder := filepath.Dir(f.Path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("writing the configs: %w", err)
	}
	temp, err := os.CreateTemp(folder, ".configs-*") // created with mode 0600
	if err != nil {
		return fmt.Errorf("writing the configs: %w", err)
	}
	_, err = temp.WriteString(set.text())
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), f.Path)
	}
	if err != nil {
		_ = os.Remove(temp.Name()) // the first error is the one to tell
		return fmt.Errorf("writing the configs: %w", err)
	}
	return nil
}
