// Package trust wires the rooms of holdfast-trust into one service: it keeps the keys rotating, serves the list of those that count, and
// signs images for who is allowed to.
package trust

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/holdfast-telemetry/holdfast/trust/access"
	"github.com/holdfast-telemetry/holdfast/trust/audit"
	"github.com/holdfast-telemetry/holdfast/trust/endpoint"
	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/keystore"
	"github.com/holdfast-telemetry/holdfast/trust/rotation"
	"github.com/holdfast-telemetry/holdfast/trust/settings"
	"github.com/holdfast-telemetry/holdfast/trust/signature"
	"github.com/holdfast-telemetry/holdfast/trust/state"
	"github.com/holdfast-telemetry/holdfast/trust/transit"
)

// Service is one process of the signing service.
type Service struct {
	Settings *settings.Settings
	// Keys and Sign say which endpoints are served.
	Keys, Sign bool
	Logger     *slog.Logger
	// Rotation, when it is set, is given the rotation of the keys before it is used. It is for tests.
	Rotation func(*rotation.Rotation)

	rotation   *rotation.Rotation
	signer     *endpoint.Sign    // when it signs
	registries *signature.Client // when it signs
	closers    []func() error
}

// OpenRotation opens the keys and the record of them that a service has made, for a command that changes them. It makes nothing: a command with the
// wrong folder must not leave a second key store there, nor say that there are no keys. The function ends what was opened.
func OpenRotation(ctx context.Context, s *settings.Settings, logger *slog.Logger) (*rotation.Rotation, func() error, error) {
	o := &Service{Settings: s, Logger: logger}
	record, err := o.state()
	if err != nil {
		return nil, nil, err
	}
	if _, at, err := record.Load(ctx); err != nil {
		return nil, nil, err
	} else if at == "" {
		return nil, nil, fmt.Errorf("there is no state %s. Is --data or --config the service's? serve makes the state at its first start; one that is lost is made anew by keys adopt", s.State.Place())
	}
	return OpenLost(s, logger)
}

// OpenLost is OpenRotation where the record may be lost.
func OpenLost(s *settings.Settings, logger *slog.Logger) (*rotation.Rotation, func() error, error) {
	o := &Service{Settings: s, Logger: logger}
	if s.Keys.Vault == nil {
		if _, err := os.Stat(s.Keys.Folder.Path); err != nil {
			return nil, nil, fmt.Errorf("opening the key store: %w. Is --data or --config the service's? serve makes the key store at its start", err)
		}
	}
	if err := o.open(); err != nil {
		return nil, nil, errors.Join(err, o.close())
	}
	return o.rotation, o.close, nil
}

// open opens the keys and the record of them.
func (s *Service) open() error {
	images, lists, err := s.stores()
	if err != nil {
		return err
	}
	record, err := s.state()
	if err != nil {
		return err
	}
	s.rotation = rotation.New(images, lists, record)
	s.rotation.Timing, s.rotation.Sources = s.Settings.Rotation(), s.Settings.Sources
	return nil
}

func (s *Service) close() (err error) {
	for i := len(s.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, s.closers[i]())
	}
	return err
}

// stores opens the key stores.
func (s *Service) stores() (images, lists key.Store, err error) {
	names := s.Settings.Keys
	if v := names.Vault; v != nil {
		client, err := transit.Open(transit.Options{Address: v.Address, Namespace: v.Namespace, CAFile: v.CA, Login: login(v), Logger: s.Logger})
		if err != nil {
			return nil, nil, fmt.Errorf("keys.vault: %w", err)
		}
		s.closers = append(s.closers, client.Close)
		if images, err = client.Key(v.Mount, names.Images); err != nil {
			return nil, nil, err
		}
		lists, err = client.Key(v.Mount, names.List)
		return images, lists, err
	}
	secret, err := s.secret()
	if err != nil {
		return nil, nil, err
	}
	folder, err := keystore.Open(keystore.Options{Dir: names.Folder.Path, Secret: secret})
	if err != nil {
		return nil, nil, err
	}
	if images, err = folder.Key(names.Images); err != nil {
		return nil, nil, err
	}
	lists, err = folder.Key(names.List)
	return images, lists, err
}

func login(v *settings.Vault) transit.Login {
	switch {
	case v.TokenFile != "":
		return &transit.TokenFile{Path: v.TokenFile}
	case v.Kubernetes != nil:
		return &transit.Kubernetes{Mount: v.Kubernetes.Mount, Role: v.Kubernetes.Role, JWTFile: v.Kubernetes.JWTFile}
	case v.AppRole != nil:
		return &transit.AppRole{Mount: v.AppRole.Mount, RoleIDFile: v.AppRole.RoleIDFile, SecretIDFile: v.AppRole.SecretIDFile}
	}
	return &transit.TokenEnv{Name: v.TokenEnv}
}

// secret is what opens the key store. A key file that nobody named is made.
func (s *Service) secret() (keystore.Secret, error) {
	f := s.Settings.Keys.Folder
	switch {
	case f.Credential != "":
		return keystore.Credential(f.Credential), nil
	case f.PassphraseFile != "":
		return keystore.PassphraseFile(f.PassphraseFile), nil
	}
	_, err := os.Stat(f.KeyFile)
	if errors.Is(err, fs.ErrNotExist) && filepath.Dir(f.KeyFile) == filepath.Clean(s.Settings.Data) {
		if _, keys := os.Stat(f.Path); keys == nil {
			return keystore.Secret{}, fmt.Errorf("there are keys in %s, and the file %s that opens them is gone: restore it", f.Path, f.KeyFile)
		}
		if err := keystore.WriteKeyFile(f.KeyFile); err != nil && !errors.Is(err, fs.ErrExist) {
			return keystore.Secret{}, err
		}
		s.Logger.Warn("the keys are opened by a file on the same disk; a systemd credential or Vault keeps them apart", "file", f.KeyFile)
	}
	return keystore.KeyFile(f.KeyFile), nil
}

func (s *Service) state() (state.Store, error) {
	c := s.Settings.State.ConfigMap
	if c == nil {
		return &state.File{Path: s.Settings.State.File}, nil
	}
	client, err := cluster(c.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("the state: %w", err)
	}
	return &state.ConfigMap{Client: client.CoreV1().ConfigMaps(c.Namespace), Name: c.Name}, nil
}

// Run serves until the context ends.
func (s *Service) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, s.close()) }()
	if err := os.MkdirAll(s.Settings.Data, 0o700); err != nil {
		return fmt.Errorf("making the folder of the data: %w", err)
	}
	if err := s.open(); err != nil {
		return err
	}
	if s.Rotation != nil {
		s.Rotation(s.rotation)
	}
	registry := prometheus.NewRegistry()
	if err := s.rotation.Timing.Validate(); err != nil {
		return err
	}
	public, private := http.NewServeMux(), http.NewServeMux()
	if s.Keys {
		(&endpoint.Keys{Records: s.rotation, Logger: s.Logger, Now: time.Now}).Register(public)
	}
	var certificates *access.Certificates
	if s.Sign {
		sign := public
		if s.Settings.SignListen != "" {
			sign = private
		}
		if certificates, err = s.addSign(sign, registry); err != nil {
			return err
		}
	}
	admin := http.NewServeMux()
	admin.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	admin.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	keeper := newKeeper(s.rotation, s.Logger, registry)
	admin.HandleFunc("GET /readyz", keeper.ready)
	servers := []server{{s.Settings.Listen, public, true}, {s.Settings.AdminListen, admin, false}}
	if s.Sign && s.Settings.SignListen != "" {
		servers = append(servers, server{s.Settings.SignListen, private, true})
	}
	work := []func(context.Context){keeper.run}
	job, err := s.resign()
	if err != nil {
		return err
	}
	if job != nil {
		job.Register(registry)
		admin.Handle("GET /v1/resign", job)
		work = append(work, job.Run)
	}
	return s.serve(ctx, work, certificates, servers)
}

// rules opens the rules. Those in the folder of the data, where nobody named them, may come later.
func (s *Service) rules() (*access.RulesFile, error) {
	path := s.Settings.Access.Rules
	open := access.OpenRules
	if path == s.Settings.DefaultRules() {
		open = access.AwaitRules
	}
	rules, err := open(path)
	if err != nil {
		return nil, err
	}
	rules.Logger = s.Logger
	if rules.Err() != nil {
		s.Logger.Warn("there are no rules: nobody may have anything signed until there are", "file", path)
	}
	return rules, nil
}

// addSign adds the signing endpoint.
func (s *Service) addSign(mux *http.ServeMux, registry *prometheus.Registry) (*access.Certificates, error) {
	rules, err := s.rules()
	if err != nil {
		return nil, err
	}
	tokens, err := access.OpenTokens(s.Settings.Access.Tokens)
	if err != nil {
		return nil, err
	}
	var certificates *access.Certificates
	if s.Settings.TLS.ClientCA != "" {
		if certificates, err = access.OpenCertificates(s.Settings.TLS.ClientCA); err != nil {
			return nil, err
		}
	}
	log, report, err := audit.Open(s.Settings.Audit.Folder)
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, log.Close)
	if report.Torn > 0 {
		s.Logger.Warn("the audit log ended in the middle of a line, for which no answer went out", "bytes", report.Torn)
	}
	if report.Damage != nil {
		s.Logger.Error("the audit log is damaged, and goes on in a new segment", "error", report.Damage)
	}
	var ca []byte
	if s.Settings.Registry.CA != "" {
		if ca, err = os.ReadFile(s.Settings.Registry.CA); err != nil {
			return nil, fmt.Errorf("reading the authority of registries: %w", err)
		}
	}
	client, err := signature.NewClient(signature.Options{Plain: s.Settings.Registry.Plain, CA: ca, UserAgent: "holdfast-trust"})
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, func() error { client.Close(); return nil })
	e := &endpoint.Sign{Control: &access.Control{Rules: rules, Tokens: tokens, Certificates: certificates, Limits: access.NewLimits()}, Log: log, Keys: s.rotation,
		Writer: &signature.Legacy{Client: client}, Fresh: s.rotation.Timing.Resign / 2, Logger: s.Logger, Outcomes: endpoint.NewOutcomes(registry)}
	if len(s.Settings.Sources) > 0 {
		e.Source = s.Settings.Sources[0]
	}
	e.Register(mux)
	s.signer, s.registries = e, client
	return certificates, nil
}

// server is one address.
type server struct {
	addr    string
	handler http.Handler
	tls     bool // when the service has a certificate
}

// serve listens at all addresses and works until the context ends.
func (s *Service) serve(ctx context.Context, work []func(context.Context), certificates *access.Certificates, servers []server) error {
	var config *tls.Config
	if s.Settings.TLS.Certificate != "" {
		pair := &reloading{certificate: s.Settings.TLS.Certificate, key: s.Settings.TLS.Key}
		if _, err := pair.get(nil); err != nil {
			return err
		}
		config = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.get}
		if certificates != nil {
			certificates.Configure(config)
		}
	}
	failed := make(chan error, len(servers))
	var running []*http.Server
	for _, o := range servers {
		l, err := s.listen(o, config)
		if err != nil {
			return err
		}
		h := &http.Server{Handler: o.handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
			ErrorLog: slog.NewLogLogger(s.Logger.Handler(), slog.LevelWarn)}
		running = append(running, h)
		go func() { failed <- h.Serve(l) }()
	}
	if s.Keys { // a process that serves no lists cannot know that clusters have one
		s.rotation.Serve()
	}
	var working sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	for _, do := range work {
		working.Go(func() { do(ctx) })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	cancel()
	for _, h := range running {
		stop, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		err = errors.Join(err, h.Shutdown(stop))
		cancel()
	}
	working.Wait()
	return err
}

func (s *Service) listen(o server, config *tls.Config) (net.Listener, error) {
	l, err := net.Listen("tcp", o.addr)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	scheme := "http"
	if config != nil && o.tls {
		l, scheme = tls.NewListener(l, config), "https"
	} else if ip := l.Addr().(*net.TCPAddr).IP; o.tls && !ip.IsLoopback() {
		return nil, errors.Join(fmt.Errorf("listening at %s without tls.certificate: tokens would be sent in the clear. Set tls, or listen on the loopback", o.addr), l.Close())
	}
	s.Logger.Info("listening", "url", scheme+"://"+l.Addr().String())
	return l, nil
}
