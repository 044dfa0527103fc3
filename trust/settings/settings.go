// Package settings reads the configuration of holdfast-trust: one YAML file. It is read whole and checked whole; a field that is not known is an
// error with its line.
package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/holdfast-telemetry/holdfast/trust/access"
	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/keylist"
	"github.com/holdfast-telemetry/holdfast/trust/rotation"
)

// MaxSize bounds the file, in bytes.
const MaxSize = 1 << 20

// Settings are those of a service. Paths are relative to the folder of the file.
type Settings struct {
	// Data is the folder of what has no other place: keys, state, tokens, audit log.
	Data string `yaml:"data"`
	// Listen is HOST:PORT of the key endpoint and, unless SignListen is set, of the signing endpoint.
	Listen string `yaml:"listen"`
	// SignListen is HOST:PORT of the signing endpoint alone.
	SignListen string `yaml:"sign-listen"`
	// AdminListen is HOST:PORT of metrics and health.
	AdminListen string   `yaml:"admin-listen"`
	TLS         TLS      `yaml:"tls"`
	Keys        Keys     `yaml:"keys"`
	State       State    `yaml:"state"`
	Timing      Timing   `yaml:"timing"`
	Sources     []string `yaml:"sources"`
	Access      Access   `yaml:"access"`
	Audit       Audit    `yaml:"audit"`
	Registry    Registry `yaml:"registry"`
	Resign      *Resign  `yaml:"resign"`
	Selftest    Selftest `yaml:"selftest"`
}

// TLS is how the service proves who it is. Without it, it listens on the loopback only.
type TLS struct {
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
	// ClientCA are the authorities of client certificates, by which CI may say who it is.
	ClientCA string `yaml:"client-ca"`
}

// Keys say where the private keys are: in Vault's transit engine, or else in an encrypted folder.
type Keys struct {
	Images string `yaml:"images"` // name of the key that signs images
	List   string `yaml:"list"`   // name of the key that signs lists
	Folder Folder `yaml:"folder"`
	Vault  *Vault `yaml:"vault"`
}

// Folder is the key store of one machine. One of the secrets is used; without any, a key file is made beside the folder.
type Folder struct {
	Path           string `yaml:"path"`
	PassphraseFile string `yaml:"passphrase-file"`
	KeyFile        string `yaml:"key-file"`
	Credential     string `yaml:"credential"`
}

// Vault is a transit engine of Vault or OpenBao.
type Vault struct {
	Address   string `yaml:"address"`
	Namespace string `yaml:"namespace"`
	CA        string `yaml:"ca"`
	Mount     string `yaml:"mount"`
	// One of these is how to log in.
	TokenFile  string     `yaml:"token-file"`
	TokenEnv   string     `yaml:"token-env"`
	Kubernetes *VaultRole `yaml:"kubernetes"`
	AppRole    *AppRole   `yaml:"approle"`
}

// VaultRole is a login by the token of a service account.
type VaultRole struct {
	Role    string `yaml:"role"`
	Mount   string `yaml:"mount"`
	JWTFile string `yaml:"jwt-file"`
}

// AppRole is a login by files.
type AppRole struct {
	Mount        string `yaml:"mount"`
	RoleIDFile   string `yaml:"role-id-file"`
	SecretIDFile string `yaml:"secret-id-file"`
}

// State is where the record of the keys is.
type State struct {
	File      string     `yaml:"file"`
	ConfigMap *ConfigMap `yaml:"config-map"`
}

// Place says where it is, as the end of a sentence.
func (s State) Place() string {
	if c := s.ConfigMap; c != nil {
		return fmt.Sprintf("in the ConfigMap %s of the namespace %s", c.Name, c.Namespace)
	}
	return "at " + s.File
}

// ConfigMap is an object of a cluster, for several instances.
type ConfigMap struct {
	Namespace  string `yaml:"namespace"`
	Name       string `yaml:"name"`
	Kubeconfig string `yaml:"kubeconfig"`
}

// Timing is rotation.Timing with what is not set left out.
type Timing struct {
	Active   Duration `yaml:"active"`
	Lifetime Duration `yaml:"lifetime"`
	Poll     Duration `yaml:"poll"`
	Slack    Duration `yaml:"slack"`
	Resign   Duration `yaml:"resign"`
	List     Duration `yaml:"list"`
}

// Access says who may have what signed.
type Access struct {
	Rules  string `yaml:"rules"`
	Tokens string `yaml:"tokens"`
}

// Audit is the log of requests.
type Audit struct {
	Folder string `yaml:"folder"`
}

// Registry says how registries are spoken to.
type Registry struct {
	Plain []string `yaml:"plain"` // HOST:PORT of registries without TLS
	CA    string   `yaml:"ca"`
}

// Duration is a time such as 90s, 1h30m or 7d.
type Duration time.Duration

var days = regexp.MustCompile(`^([0-9]{1,4})d$`)

// UnmarshalYAML reads it.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	if m := days.FindStringSubmatch(n.Value); m != nil {
		count, err := strconv.Atoi(m[1])
		*d = Duration(time.Duration(count) * 24 * time.Hour)
		return err
	}
	t, err := time.ParseDuration(n.Value)
	if err != nil {
		return fmt.Errorf("line %d: %q is no time: 90s, 1h30m or 7d are some", n.Line, n.Value)
	}
	*d = Duration(t)
	return nil
}

// shortest is the least that a key may sign for; see Settings.Rotation.
const shortest = time.Hour

// Read reads a file. Without a name, the settings are the defaults in the folder data.
func Read(file, data string) (*Settings, error) {
	s, dir := &Settings{}, "."
	if file != "" {
		in, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("reading the configuration: %w", err)
		}
		defer func() { _ = in.Close() }() // it was only read
		text, err := io.ReadAll(io.LimitReader(in, MaxSize+1))
		if err != nil {
			return nil, fmt.Errorf("reading the configuration: %w", err)
		}
		if s, err = Parse(text); err != nil {
			return nil, located(file, err)
		}
		dir = filepath.Dir(file)
	}
	if data != "" {
		s.Data, dir = data, "."
	}
	s.complete(dir)
	if err := s.Check(); err != nil && file != "" {
		return nil, fmt.Errorf("%s: %w", file, err)
	} else if err != nil {
		return nil, err
	}
	return s, nil
}

// Parse reads the text of a file.
func Parse(text []byte) (*Settings, error) {
	if len(text) > MaxSize {
		return nil, fmt.Errorf("there are more than %d bytes", MaxSize)
	}
	s := &Settings{}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(s); err != nil && !errors.Is(err, io.EOF) {
		return nil, explain(err)
	}
	if err := d.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is a second document, which nothing would read")
	}
	return s, nil
}

// complete sets what is not set, and makes paths relative to the file's folder relative to the process's.
func (s *Settings) complete(dir string) {
	first := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	first(&s.Data, "holdfast-trust")
	first(&s.Listen, "127.0.0.1:8470")
	first(&s.AdminListen, "127.0.0.1:8471")
	first(&s.Keys.Images, "images")
	first(&s.Keys.List, "keylist")
	within := func(path *string) {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
	paths := []*string{&s.Data, &s.TLS.Certificate, &s.TLS.Key, &s.TLS.ClientCA, &s.Keys.Folder.Path, &s.Keys.Folder.PassphraseFile, &s.Keys.Folder.KeyFile,
		&s.State.File, &s.Access.Rules, &s.Access.Tokens, &s.Audit.Folder, &s.Registry.CA}
	if v := s.Keys.Vault; v != nil {
		first(&v.Mount, "transit")
		paths = append(paths, &v.CA, &v.TokenFile)
		if v.Kubernetes != nil {
			paths = append(paths, &v.Kubernetes.JWTFile)
		}
		if v.AppRole != nil {
			paths = append(paths, &v.AppRole.RoleIDFile, &v.AppRole.SecretIDFile)
		}
	}
	if c := s.State.ConfigMap; c != nil {
		paths = append(paths, &c.Kubeconfig)
	}
	if r := s.Resign; r != nil {
		if r.Every == 0 {
			r.Every = min(defaultEvery, Duration(s.Rotation().Resign))
		}
		for i := range r.Images {
			paths = append(paths, &r.Images[i])
		}
		for i := range r.Deployed {
			paths = append(paths, &r.Deployed[i].Kubeconfig, &r.Deployed[i].Path)
		}
	}
	for _, p := range paths {
		within(p)
	}
	data := func(field *string, name string) { first(field, filepath.Join(s.Data, name)) }
	data(&s.Keys.Folder.Path, "keys")
	if f := &s.Keys.Folder; f.PassphraseFile == "" && f.Credential == "" {
		data(&f.KeyFile, "key")
	}
	if s.State.ConfigMap == nil {
		data(&s.State.File, "state.json")
	}
	first(&s.Access.Rules, s.DefaultRules())
	data(&s.Access.Tokens, "tokens.json")
	data(&s.Audit.Folder, "audit")
}

// DefaultRules is where the rules are when nothing says where.
func (s *Settings) DefaultRules() string { return filepath.Join(s.Data, "rules.yaml") }

// Rotation is the timing of the keys, with the defaults where nothing is set.
func (s *Settings) Rotation() rotation.Timing {
	t := rotation.DefaultTiming()
	for _, f := range []struct {
		to   *time.Duration
		from Duration
	}{{&t.Active, s.Timing.Active}, {&t.Lifetime, s.Timing.Lifetime}, {&t.Poll, s.Timing.Poll}, {&t.Slack, s.Timing.Slack}, {&t.Resign, s.Timing.Resign}, {&t.List, s.Timing.List}} {
		if f.from != 0 {
			*f.to = time.Duration(f.from)
		}
	}
	return t
}

// Check says what is wrong with settings together.
func (s *Settings) Check() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for field, name := range map[string]string{"keys.images": s.Keys.Images, "keys.list": s.Keys.List} {
		if err := key.CheckName(name); err != nil {
			fail("%s: %w", field, err)
		}
	}
	if s.Keys.Images == s.Keys.List {
		fail("keys.images and keys.list are both %s: a list signed by the key of images could be made by whoever may have images signed", s.Keys.List)
	}
	if (s.TLS.Certificate == "") != (s.TLS.Key == "") {
		fail("tls needs both certificate and key")
	}
	if s.TLS.ClientCA != "" && s.TLS.Certificate == "" {
		fail("tls.client-ca needs tls.certificate and tls.key: client certificates are seen where TLS ends")
	}
	secrets := 0
	for _, set := range []string{s.Keys.Folder.PassphraseFile, s.Keys.Folder.KeyFile, s.Keys.Folder.Credential} {
		if set != "" {
			secrets++
		}
	}
	if secrets > 1 {
		fail("keys.folder: one of passphrase-file, key-file and credential is wanted")
	}
	if v := s.Keys.Vault; v != nil {
		logins := 0
		for _, set := range []bool{v.TokenFile != "", v.TokenEnv != "", v.Kubernetes != nil, v.AppRole != nil} {
			if set {
				logins++
			}
		}
		if logins != 1 {
			fail("keys.vault: one of token-file, token-env, kubernetes and approle is wanted")
		}
	}
	if c := s.State.ConfigMap; c != nil && (c.Name == "" || c.Namespace == "" || s.State.File != "") {
		fail("state: a file, or a config-map with its namespace and name, is wanted")
	}
	for _, source := range s.Sources {
		if err := keylist.CheckSource(source); err != nil {
			fail("sources: %w", err)
		}
	}
	s.checkResign(fail)
	if r := s.Selftest.Repository; r != "" {
		if _, err := access.ParseRepository(r); err != nil {
			fail("selftest.repository: %w", err)
		}
	}
	t := s.Rotation()
	if err := t.Validate(); err != nil {
		fail("timing: %w", err)
	}
	if t.Active < shortest {
		fail("timing: active is %v: at least %v is wanted", t.Active, shortest)
	}
	return errors.Join(errs...)
}
