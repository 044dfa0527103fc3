package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/spf13/cobra"

	"github.com/holdfast-telemetry/holdfast/internal/commandline"
	"github.com/holdfast-telemetry/holdfast/trust/client"
	"github.com/holdfast-telemetry/holdfast/trust/endpoint"
	"github.com/holdfast-telemetry/holdfast/trust/images"
	"github.com/holdfast-telemetry/holdfast/trust/key"
	"github.com/holdfast-telemetry/holdfast/trust/keylist"
	"github.com/holdfast-telemetry/holdfast/trust/signature"
	"github.com/holdfast-telemetry/holdfast/trust/sync"
)

// serviceFlags say which signing service is asked, and as whom.
type serviceFlags struct{ url, tokenFile, ca, certificate, key string }

func (f *serviceFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.url, "url", "http://127.0.0.1:8470", "the signing service")
	cmd.Flags().StringVar(&f.tokenFile, "token-file", "", "a file with the token: of ci-credentials, or the one that CI has by OIDC (else the variable HOLDFAST_TRUST_TOKEN)")
	cmd.Flags().StringVar(&f.ca, "ca", "", "a PEM file with the authority of the service's certificate")
	cmd.Flags().StringVar(&f.certificate, "certificate", "", "a client certificate, instead of a token")
	cmd.Flags().StringVar(&f.key, "key", "", "its key")
}

func (f *serviceFlags) client(getenv func(string) string) (*client.Client, error) {
	token := func() (string, error) {
		if f.tokenFile == "" {
			if t := getenv("HOLDFAST_TRUST_TOKEN"); t != "" {
				return t, nil
			}
			return "", errors.New("there is no token: give --token-file, or the variable HOLDFAST_TRUST_TOKEN")
		}
		text, err := os.ReadFile(f.tokenFile)
		return strings.TrimSpace(string(text)), err
	}
	ca, err := optional(f.ca)
	if err != nil {
		return nil, err
	}
	if f.certificate == "" {
		return client.New(f.url, token, ca, nil)
	}
	pair, err := tls.LoadX509KeyPair(f.certificate, f.key)
	if err != nil {
		return nil, fmt.Errorf("reading the client certificate: %w", err)
	}
	return client.New(f.url, nil, ca, &pair)
}

// optional reads a file whose name may be empty.
func optional(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	return os.ReadFile(file)
}

func (a *app) signCommand() *cobra.Command {
	var service serviceFlags
	var thirdParty, force bool
	cmd := &cobra.Command{Use: "sign IMAGE@DIGEST...", Short: "Have images signed by the signing service", Args: arguments(1, many)}
	service.add(cmd)
	cmd.Flags().BoolVar(&thirdParty, "third-party", false, "put the signatures into the repository for images that others publish")
	cmd.Flags().BoolVar(&force, "force", false, "sign again what was signed just now")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := service.client(a.Getenv)
		if err != nil {
			return err
		}
		return c.Sign(cmd.Context(), endpoint.Request{Images: args, ThirdParty: thirdParty, Force: force}, a.showSigned)
	}
	return cmd
}

func (a *app) showSigned(r endpoint.Result) {
	switch {
	case r.Error != "":
		a.printf("FAILED  %s: %s\n", r.Image, r.Error)
	case r.Written:
		a.printf("signed  %s by %s until %s: %s\n", r.Image, r.Key, r.NotAfter.Format(time.RFC3339), r.Signature)
	default:
		a.printf("fresh   %s by %s: %s\n", r.Image, r.Key, r.Signature)
	}
}

func (a *app) verifyCommand() *cobra.Command {
	var list, pin, ca string
	var plain []string
	cmd := &cobra.Command{Use: "verify IMAGE@DIGEST...", Short: "Say by which listed key images are signed, and until when they may be deployed", Args: arguments(1, many),
		Long: "Say by which listed key images are signed, and until when they may be deployed. It ends with 1 when an image is not signed, and with 3 when that could not be found out."}
	cmd.Flags().StringVar(&list, "keys", "http://127.0.0.1:8470/v1/keys", "URL of the key list")
	cmd.Flags().StringVar(&pin, "pin", "", "a PEM file with the list key (holdfast-trust keys pin prints it)")
	cmd.Flags().StringVar(&ca, "ca", "", "a PEM file with the authority of the endpoint's certificate")
	cmd.Flags().StringSliceVar(&plain, "plain", nil, "registries, HOST:PORT, without TLS")
	_ = cmd.MarkFlagRequired("pin")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		l, err := fetchList(cmd.Context(), list, pin, ca)
		if err != nil {
			return &unknownError{err}
		}
		registries, err := signature.NewClient(signature.Options{Plain: plain, UserAgent: "holdfast-trust", Attempts: 3})
		if err != nil {
			return err
		}
		defer registries.Close()
		return a.verify(cmd.Context(), &signature.Reader{Client: registries}, l, args)
	}
	return cmd
}

// fetchList fetches a key list and opens it.
func fetchList(ctx context.Context, url, pin, ca string) (*keylist.List, error) {
	pem, err := os.ReadFile(pin)
	if err != nil {
		return nil, err
	}
	pinned, err := key.ParsePEM(pem)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", pin, err)
	}
	authority, err := optional(ca)
	if err != nil {
		return nil, err
	}
	f, err := sync.NewFetcher(url, authority, true)
	if err != nil {
		return nil, err
	}
	raw, err := f.Fetch(ctx)
	if err != nil {
		return nil, fmt.Errorf("fetching the key list: %w", err)
	}
	o, err := keylist.Open(raw, pinned)
	if err != nil {
		return nil, err
	}
	if _, err := (keylist.Seen{}).Accept(o, time.Now()); err != nil {
		return nil, err
	}
	return o.List, nil
}

func (a *app) verify(ctx context.Context, r *signature.Reader, l *keylist.List, args []string) error {
	unsigned, unknown := 0, error(nil)
	for _, arg := range args {
		by, until, err := admitted(ctx, r, l, arg)
		switch {
		case errors.Is(err, signature.ErrNotSigned):
			unsigned++
			a.printf("REFUSED %s: %v\n", arg, err)
		case err != nil:
			unknown = errors.Join(unknown, err)
			a.printf("UNKNOWN %s: %v\n", arg, err)
		default:
			a.printf("ok      %s by %s until %s\n", arg, by, until.Format(time.RFC3339))
		}
	}
	if unsigned > 0 {
		return fmt.Errorf("%d of %d images are not signed by a listed key", unsigned, len(args))
	}
	if unknown != nil {
		return &unknownError{unknown}
	}
	return nil
}

func (a *app) imagesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "images", Short: "Check and update the lists of images that others publish"}
	check := &cobra.Command{Use: "check FILE...", Short: "Say what is wrong with lists of images", Args: arguments(1, many), RunE: func(_ *cobra.Command, args []string) error {
		_, err := a.lists(args)
		return err
	}}
	var write bool
	update := &cobra.Command{Use: "update FILE...", Short: "Write what the tags of lists name now; what changed needs a review again", Args: arguments(1, many), RunE: func(cmd *cobra.Command, args []string) error {
		for _, file := range args {
			if err := a.update(cmd.Context(), file, write); err != nil {
				return err
			}
		}
		return nil
	}}
	update.Flags().BoolVar(&write, "write", true, "write the file; without it, only say what would change")
	cmd.AddCommand(check, update)
	return cmd
}

// lists reads and checks lists, and prints their problems.
func (a *app) lists(files []string) (all []*images.List, err error) {
	var problems []images.Problem
	for _, file := range files {
		l, found, err := images.Read(os.DirFS(filepath.Dir(file)), filepath.Base(file))
		if err != nil {
			return nil, err
		}
		for i := range found {
			found[i].File = file
		}
		for i := range l.Images {
			l.Images[i].File = file
		}
		problems = append(problems, found...)
		all = append(all, l)
	}
	problems = append(problems, images.Check(all, time.Now())...)
	errs := 0
	for _, p := range problems {
		a.printf("%s\n", p)
		if !p.Warning {
			errs++
		}
	}
	if errs > 0 {
		return all, fmt.Errorf("%d errors in %s", errs, strings.Join(files, ", "))
	}
	return all, nil
}

func (a *app) update(ctx context.Context, file string, write bool) error {
	l, _, err := images.Read(os.DirFS(filepath.Dir(file)), filepath.Base(file))
	if err != nil {
		return err
	}
	text, changes, err := images.Update(ctx, l, func(ctx context.Context, tag name.Tag) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		d, err := remote.Head(tag, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
		if err != nil {
			return "", err
		}
		return d.Digest.String(), nil
	})
	if err != nil {
		return err
	}
	for _, c := range changes {
		a.printf("%s:%d: %s:%s names %s now, and not %s\n", file, c.Line, c.Reference.Context(), c.Tag, c.Digest, c.Reference.DigestStr())
	}
	if !write || len(changes) == 0 {
		return nil
	}
	at, err := os.Stat(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, at.Mode().Perm())
}

func (a *app) resignCommand() *cobra.Command {
	var service serviceFlags
	var w work
	var dry bool
	cmd := &cobra.Command{Use: "resign [IMAGE@DIGEST...]", Short: "Sign again what is to go on running: the lists of images of others, and images of our own", Args: arguments(0, many)}
	service.add(cmd)
	w.add(cmd)
	cmd.Flags().BoolVar(&w.force, "force", false, "sign again what was signed just now")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only say what would be signed")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		theirs, ours, problems, err := w.find(cmd.Context(), a, args)
		if err != nil {
			return err
		}
		if len(theirs)+len(ours) == 0 {
			return errors.Join(commandline.Usage(cmd, errors.New("there is nothing to sign: give --images, --deployed, --kubeconfig, or images")), problems)
		}
		if dry {
			for _, i := range append(theirs, ours...) {
				a.printf("would sign %s\n", i)
			}
			return problems
		}
		c, err := service.client(a.Getenv)
		if err != nil {
			return err
		}
		// What is wrong with some entries does not keep the others from being signed.
		return errors.Join(a.resign(cmd.Context(), c, theirs, ours, w.force), problems)
	}
	return cmd
}

// work is what is to be signed again.
type work struct {
	lists, files, kubeconfigs []string
	force                     bool
}

func (w *work) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&w.lists, "images", nil, "lists of images that others publish")
	cmd.Flags().StringSliceVar(&w.files, "deployed", nil, "files with images of our own, by digest, one on each line")
	cmd.Flags().StringSliceVar(&w.kubeconfigs, "kubeconfig", nil, "clusters whose images of our own are signed: those that are not of the lists")
}

// find returns the images of others and our own. Problems with entries of lists leave the rest.
func (w *work) find(ctx context.Context, a *app, args []string) (theirs, ours []string, problems, err error) {
	all, problems := a.lists(w.lists)
	if all == nil && problems != nil {
		return nil, nil, nil, problems // a list could not be read at all
	}
	listed := map[string]bool{} // repositories of others
	for _, l := range all {
		for _, i := range l.Images {
			listed[i.Reference.Context().Name()] = true
		}
	}
	for _, i := range images.Signable(all, time.Now()) {
		theirs = append(theirs, i.Reference.Name())
	}
	ours = append(ours, args...)
	for _, file := range w.files {
		found, readErr := referencesIn(file)
		ours, err = append(ours, found...), errors.Join(err, readErr)
	}
	if len(w.kubeconfigs) > 0 {
		running, _, readErr := deployed(ctx, w.kubeconfigs)
		err = errors.Join(err, readErr)
		for _, i := range running {
			if repository, _, _ := strings.Cut(i.Reference, "@"); !listed[repository] {
				ours = append(ours, i.Reference)
			}
		}
	}
	slices.Sort(ours)
	return theirs, slices.Compact(ours), problems, err
}

// resign has images signed again, and tells how far it is and how long it took.
func (a *app) resign(ctx context.Context, c *client.Client, theirs, ours []string, force bool) (err error) {
	bar := newBar(a.Err, len(theirs)+len(ours))
	for _, r := range []endpoint.Request{{Images: theirs, ThirdParty: true, Force: force}, {Images: ours, Force: force}} {
		err = errors.Join(err, c.Sign(ctx, r, func(result endpoint.Result) {
			if bar.step(); result.Error != "" {
				a.showSigned(result)
			}
		}))
	}
	a.printf("%s\n", bar.end())
	return err
}
